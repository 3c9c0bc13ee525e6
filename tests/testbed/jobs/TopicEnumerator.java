package testbed;

import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;

/** Deals the splits out to the subtasks by their numbers, and again those that a failed subtask had. */
final class TopicEnumerator implements SplitEnumerator<TopicSource.Split, List<TopicSource.Split>> {
    private final SplitEnumeratorContext<TopicSource.Split> context;
    private final List<TopicSource.Split> unassigned;

    TopicEnumerator(SplitEnumeratorContext<TopicSource.Split> context, List<TopicSource.Split> unassigned) {
        this.context = context;
        this.unassigned = new ArrayList<>(unassigned);
    }

    @Override
    public void start() {}

    @Override
    public void handleSplitRequest(int subtask, String host) {}

    @Override
    public void addSplitsBack(List<TopicSource.Split> splits, int subtask) {
        unassigned.addAll(splits);
        // Without a reader they wait: it asks for them when it registers.
        if (context.registeredReaders().containsKey(subtask)) {
            addReader(subtask);
        }
    }

    @Override
    public void addReader(int subtask) {
        unassigned.removeIf(split -> {
            boolean its = split.index % context.currentParallelism() == subtask;
            if (its) {
                context.assignSplit(split, subtask);
            }
            return its;
        });
    }

    @Override
    public List<TopicSource.Split> snapshotState(long checkpoint) {
        return new ArrayList<>(unassigned);
    }

    @Override
    public void close() {}
}
