package testbed;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SourceSplit;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.core.io.SimpleVersionedSerializer;

/** A partitioned topic as a source. The checkpoint of the enumerator is the list of splits that nobody reads yet. */
final class TopicSource implements Source<Event, TopicSource.Split, List<TopicSource.Split>> {
    private static final long serialVersionUID = 1;

    /** One partition, and how far it was read. */
    static final class Split implements SourceSplit {
        final int index;
        final long offset;

        Split(int index, long offset) {
            this.index = index;
            this.offset = offset;
        }

        @Override
        public String splitId() {
            return Integer.toString(index);
        }
    }

    final Topic topic;
    final int splits;
    final Keys keys;
    final byte[] payload;
    final Cost cost;
    final double limit;
    final boolean reportsPending;
    final boolean hasTimes;

    /**
     * @param payload the bytes that each record carries
     * @param limit records per second that one subtask may fetch; 0 for as many as there are
     * @param reportsPending whether there is a {@code pendingRecords} gauge
     * @param hasTimes whether the event time of a record is that at which it came into being; it has none otherwise
     */
    TopicSource(
            Topic topic,
            int splits,
            Keys keys,
            byte[] payload,
            Cost cost,
            double limit,
            boolean reportsPending,
            boolean hasTimes) {
        this.topic = topic;
        this.splits = splits;
        this.keys = keys;
        this.payload = payload;
        this.cost = cost;
        this.limit = limit;
        this.reportsPending = reportsPending;
        this.hasTimes = hasTimes;
    }

    @Override
    public Boundedness getBoundedness() {
        return Boundedness.CONTINUOUS_UNBOUNDED;
    }

    @Override
    public SourceReader<Event, Split> createReader(SourceReaderContext context) {
        return new TopicReader(this, context);
    }

    @Override
    public SplitEnumerator<Split, List<Split>> createEnumerator(SplitEnumeratorContext<Split> context) {
        List<Split> all = new ArrayList<>();
        for (int i = 0; i < splits; i++) {
            all.add(new Split(i, 0));
        }
        return new TopicEnumerator(context, all);
    }

    @Override
    public SplitEnumerator<Split, List<Split>> restoreEnumerator(
            SplitEnumeratorContext<Split> context, List<Split> unassigned) {
        return new TopicEnumerator(context, unassigned);
    }

    @Override
    public SimpleVersionedSerializer<Split> getSplitSerializer() {
        return new SplitSerializer();
    }

    @Override
    public SimpleVersionedSerializer<List<Split>> getEnumeratorCheckpointSerializer() {
        return new SplitsSerializer();
    }

    private static final int SPLIT_BYTES = Integer.BYTES + Long.BYTES;

    private static final class SplitSerializer implements SimpleVersionedSerializer<Split> {
        @Override
        public int getVersion() {
            return 1;
        }

        @Override
        public byte[] serialize(Split split) {
            return ByteBuffer.allocate(SPLIT_BYTES).putInt(split.index).putLong(split.offset).array();
        }

        @Override
        public Split deserialize(int version, byte[] bytes) throws IOException {
            ByteBuffer buffer = ByteBuffer.wrap(bytes);
            return new Split(buffer.getInt(), buffer.getLong());
        }
    }

    private static final class SplitsSerializer implements SimpleVersionedSerializer<List<Split>> {
        @Override
        public int getVersion() {
            return 1;
        }

        @Override
        public byte[] serialize(List<Split> splits) {
            ByteBuffer buffer = ByteBuffer.allocate(SPLIT_BYTES * splits.size());
            splits.forEach(split -> buffer.putInt(split.index).putLong(split.offset));
            return buffer.array();
        }

        @Override
        public List<Split> deserialize(int version, byte[] bytes) {
            List<Split> splits = new ArrayList<>();
            for (ByteBuffer buffer = ByteBuffer.wrap(bytes); buffer.hasRemaining(); ) {
                splits.add(new Split(buffer.getInt(), buffer.getLong()));
            }
            return splits;
        }
    }
}
