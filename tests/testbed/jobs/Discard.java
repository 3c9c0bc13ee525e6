package testbed;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.UUID;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.metrics.Counter;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.util.Collector;

/**
 * The end of a job: counts what arrives and keeps nothing. Where it is told a folder, it keeps the count in its state, and with each
 * checkpoint writes down what it is there, as {@code CHECKPOINT-ANYTHING}: what all of its subtasks have counted since the job was
 * first run, each record once.
 */
final class Discard extends ProcessFunction<Event, Void> implements CheckpointedFunction {
    private static final long serialVersionUID = 1;

    private final Cost cost;
    private final String folder;
    private transient Counter discarded;
    private transient ListState<Long> counts;
    private transient long count;

    Discard(Cost cost, String folder) {
        this.cost = cost;
        this.folder = folder;
    }

    @Override
    public void processElement(Event event, Context context, Collector<Void> out) {
        if (discarded == null) {
            discarded = getRuntimeContext().getMetricGroup().counter("discarded");
        }
        cost.pay();
        discarded.inc();
        count++;
    }

    @Override
    public void initializeState(FunctionInitializationContext context) throws Exception {
        if (folder == null) {
            return;
        }
        counts = context.getOperatorStateStore().getListState(new ListStateDescriptor<>("counts", Long.class));
        for (long before : counts.get()) {
            count += before;
        }
    }

    @Override
    public void snapshotState(FunctionSnapshotContext context) throws Exception {
        if (folder == null) {
            return;
        }
        counts.clear();
        counts.add(count);
        Path written = Path.of(folder, "." + UUID.randomUUID());
        Files.write(written, Long.toString(count).getBytes(StandardCharsets.UTF_8));
        String name = context.getCheckpointId() + "-" + UUID.randomUUID();
        Files.move(written, Path.of(folder, name), StandardCopyOption.ATOMIC_MOVE);
    }
}
