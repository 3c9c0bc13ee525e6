package testbed;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.NavigableMap;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.locks.LockSupport;
import org.apache.flink.api.common.state.CheckpointListener;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.util.Collector;

/**
 * The end of a job that writes each record down exactly once, in two phases: with a checkpoint into a hidden file, whose name is
 * part of the checkpoint, and when the checkpoint is complete under a name that is seen. A file holds 20 bytes for each record: its
 * key, its number, and how many of its key the step before has counted with it.
 *
 * <p>While a file {@code .slow} is there a record costs it 20 ms, and while {@code .unable} is, a subtask that comes to its end fails.
 */
final class Ledger extends ProcessFunction<Event, Void> implements CheckpointedFunction, CheckpointListener {
    private static final long serialVersionUID = 1;
    private static final long SLOW_NANOS = 20_000_000;

    private final Cost cost;
    private final String folder;
    private transient ListState<String> pending;
    /** By checkpoint, what is written and not yet seen. */
    private transient NavigableMap<Long, String> hidden;
    private transient ByteArrayOutputStream bytes;

    Ledger(Cost cost, String folder) {
        this.cost = cost;
        this.folder = folder;
    }

    @Override
    public void processElement(Event event, Context context, Collector<Void> out) throws IOException {
        cost.pay();
        if (Files.exists(Path.of(folder, ".slow"))) {
            LockSupport.parkNanos(SLOW_NANOS);
        }
        DataOutputStream record = new DataOutputStream(bytes);
        record.writeInt(event.key);
        record.writeLong(event.number);
        record.writeLong(event.seen);
    }

    @Override
    public void initializeState(FunctionInitializationContext context) throws Exception {
        hidden = new TreeMap<>();
        bytes = new ByteArrayOutputStream();
        pending = context.getOperatorStateStore().getListState(new ListStateDescriptor<>("pending", String.class));
        for (String name : pending.get()) {
            show(name);
        }
    }

    @Override
    public void snapshotState(FunctionSnapshotContext context) throws Exception {
        if (bytes.size() > 0) {
            String name = context.getCheckpointId() + "-" + UUID.randomUUID();
            Files.write(Path.of(folder, "." + name), bytes.toByteArray());
            hidden.put(context.getCheckpointId(), name);
            bytes.reset();
        }
        // What an earlier checkpoint has brought that nobody has called complete is part of this one.
        pending.update(new ArrayList<>(hidden.values()));
    }

    @Override
    public void notifyCheckpointComplete(long checkpoint) throws IOException {
        NavigableMap<Long, String> complete = hidden.headMap(checkpoint, true);
        for (String name : complete.values()) {
            show(name);
        }
        complete.clear();
    }

    private void show(String name) throws IOException {
        try {
            Files.move(Path.of(folder, "." + name), Path.of(folder, name), StandardCopyOption.ATOMIC_MOVE);
        } catch (NoSuchFileException e) {
            if (!Files.exists(Path.of(folder, name))) {
                throw e;
            }
        }
    }

    @Override
    public void close() throws IOException {
        if (Files.exists(Path.of(folder, ".unable"))) {
            throw new IOException("told to fail at the end");
        }
    }
}
