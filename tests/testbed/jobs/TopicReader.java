package testbed;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.core.io.InputStatus;

/**
 * Reads its splits up to what has been produced. When it has caught up it reports that no input is there instead of
 * sleeping in {@code pollNext}, so that Flink counts the time as idle.
 */
final class TopicReader implements SourceReader<Event, TopicSource.Split> {
    /** How long it waits for more once it has caught up: short beside a second, long beside the cost of waking up. */
    private static final long TICK_NANOS = 10_000_000;

    /** How often it writes down how far it has read. */
    private static final long TELL_MILLIS = 50;

    private final TopicSource source;
    private final SourceReaderContext context;
    private final ScheduledExecutorService timer;
    /** Index and offset of each split; guarded by itself, because the gauge is read by another thread. */
    private final List<long[]> splits = new ArrayList<>();

    private CompletableFuture<Void> available = CompletableFuture.completedFuture(null);
    private int next;
    private long dueNanos;

    TopicReader(TopicSource source, SourceReaderContext context) {
        this.source = source;
        this.context = context;
        this.timer = Executors.newSingleThreadScheduledExecutor(task -> {
            Thread thread = new Thread(task, "topic-timer");
            thread.setDaemon(true);
            return thread;
        });
    }

    @Override
    public void start() {
        dueNanos = System.nanoTime();
        timer.scheduleWithFixedDelay(this::tell, 0, TELL_MILLIS, TimeUnit.MILLISECONDS);
        if (source.reportsPending) {
            context.metricGroup().setPendingRecordsGauge(this::pending);
        }
    }

    @Override
    public InputStatus pollNext(ReaderOutput<Event> output) throws Exception {
        long wait = limitWait();
        Event event = wait > 0 ? null : take();
        if (event == null) {
            waitFor(Math.max(wait, TICK_NANOS));
            return InputStatus.NOTHING_AVAILABLE;
        }
        context.metricGroup().getIOMetricGroup().getNumRecordsInCounter().inc();
        source.cost.pay();
        if (source.hasTimes) {
            output.collect(event, source.topic.time(event.number));
        } else {
            output.collect(event);
        }
        return InputStatus.MORE_AVAILABLE;
    }

    /** How long the limit of this subtask keeps it from the next record. What it did not use of it is lost after a tick. */
    private long limitWait() {
        if (source.limit <= 0) {
            return 0;
        }
        long now = System.nanoTime();
        dueNanos = Math.max(dueNanos, now - 2 * TICK_NANOS);
        return dueNanos - now;
    }

    /** The next record of the next split that has one. */
    private Event take() throws IOException {
        synchronized (splits) {
            long now = System.currentTimeMillis();
            for (int tried = 0; tried < splits.size(); tried++) {
                next = (next + 1) % splits.size();
                long[] split = splits.get(next);
                if (split[1] < source.topic.produced(now, (int) split[0], source.splits)) {
                    long number = split[1]++ * source.splits + split[0];
                    if (source.limit > 0) {
                        dueNanos += (long) (1e9 / source.limit);
                    }
                    return new Event(source.keys.of(number), number, source.payload);
                }
            }
            return null;
        }
    }

    private void waitFor(long nanos) {
        CompletableFuture<Void> more = new CompletableFuture<>();
        available = more;
        timer.schedule(() -> more.complete(null), nanos, TimeUnit.NANOSECONDS);
    }

    /** Tells the test how far each split is, without its having to ask Flink: what asks for metrics makes them fresh. */
    private void tell() {
        synchronized (splits) {
            try {
                for (long[] split : splits) {
                    source.topic.tell((int) split[0], split[1]);
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    private long pending() {
        synchronized (splits) {
            long now = System.currentTimeMillis();
            long pending = 0;
            try {
                for (long[] split : splits) {
                    pending += Math.max(0, source.topic.produced(now, (int) split[0], source.splits) - split[1]);
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
            return pending;
        }
    }

    @Override
    public List<TopicSource.Split> snapshotState(long checkpoint) {
        synchronized (splits) {
            List<TopicSource.Split> state = new ArrayList<>();
            splits.forEach(split -> state.add(new TopicSource.Split((int) split[0], split[1])));
            return state;
        }
    }

    @Override
    public CompletableFuture<Void> isAvailable() {
        return available;
    }

    @Override
    public void addSplits(List<TopicSource.Split> added) {
        synchronized (splits) {
            added.forEach(split -> splits.add(new long[] {split.index, split.offset}));
        }
    }

    @Override
    public void notifyNoMoreSplits() {}

    @Override
    public void close() {
        timer.shutdownNow();
    }
}
