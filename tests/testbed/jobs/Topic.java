package testbed;

import java.io.IOException;
import java.io.Serializable;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardOpenOption;

/**
 * How many records have been produced so far: the integral over the wall clock of the rates that an append-only file
 * holds, a line {@code EPOCH_MILLIS RECORDS_PER_SECOND} for each change. It follows from the file and the clock alone,
 * so all subtasks agree on it, a restarted job finds what piled up, and lines that lie in the future are a script.
 */
final class Topic implements Serializable {
    private static final long serialVersionUID = 1;
    private static final long REREAD_MILLIS = 100;

    private final String file;
    private transient FileChannel read;
    private transient long readAt;
    private transient long size;
    /** Null until the file was first read, also in a copy that Flink has shipped to a subtask. */
    private transient long[] since;
    private transient double[] perSecond;
    private transient double[] before;

    Topic(String file) {
        this.file = file;
    }

    /** Records produced until {@code now}. */
    long produced(long now) throws IOException {
        refresh(now);
        int i = since.length - 1;
        while (i >= 0 && since[i] > now) {
            i--;
        }
        return i < 0 ? 0 : (long) (before[i] + perSecond[i] * (now - since[i]) / 1000.0);
    }

    /** When a record that has been produced came into being. */
    long time(long number) throws IOException {
        refresh(System.currentTimeMillis());
        int i = since.length - 1;
        while (i > 0 && before[i] > number) {
            i--;
        }
        return since[i] + (perSecond[i] > 0 ? (long) ((number - before[i]) * 1000.0 / perSecond[i]) : 0);
    }

    private void refresh(long now) throws IOException {
        if (since == null || now - readAt >= REREAD_MILLIS) {
            read();
            readAt = now;
        }
    }

    /** Of the records produced until {@code now}, how many are in this split: they are dealt out one by one. */
    long produced(long now, int split, int splits) throws IOException {
        return (produced(now) - split + splits - 1) / splits;
    }

    /** Writes down that a split has been read up to an offset: eight bytes for each split. */
    void tell(int split, long offset) throws IOException {
        if (read == null) {
            read = FileChannel.open(Paths.get(file + ".read"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        }
        read.write(ByteBuffer.allocate(Long.BYTES).putLong(0, offset), (long) split * Long.BYTES);
    }

    private void read() throws IOException {
        Path path = Paths.get(file);
        long bytes = Files.size(path);
        if (since != null && bytes == size) {
            return;
        }
        String text = new String(Files.readAllBytes(path), StandardCharsets.UTF_8);
        // A line that is still being written has no end yet; the next read has it.
        String[] lines = text.substring(0, text.lastIndexOf('\n') + 1).split("\n");
        int count = lines[0].isEmpty() ? 0 : lines.length;
        since = new long[count];
        perSecond = new double[count];
        before = new double[count];
        for (int i = 0; i < count; i++) {
            int space = lines[i].indexOf(' ');
            since[i] = Long.parseLong(lines[i].substring(0, space));
            perSecond[i] = Double.parseDouble(lines[i].substring(space + 1));
            before[i] = i == 0 ? 0 : before[i - 1] + perSecond[i - 1] * (since[i] - since[i - 1]) / 1000.0;
        }
        size = text.endsWith("\n") ? bytes : -1;
    }
}
