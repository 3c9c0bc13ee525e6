package testbed;

import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/**
 * Counts each key's records by the wall clock and puts the counts out at the end of each window, all at once. Written
 * with timers because the class that takes the length of Flink's own windows differs between 1.x and 2.x.
 */
final class Window extends KeyedProcessFunction<Integer, Event, Event> {
    private static final long serialVersionUID = 1;

    private final long millis;
    private transient ValueState<Long> count;

    Window(long millis) {
        this.millis = millis;
    }

    private ValueState<Long> count() {
        if (count == null) {
            count = getRuntimeContext().getState(new ValueStateDescriptor<>("count", Long.class));
        }
        return count;
    }

    @Override
    public void processElement(Event event, Context context, Collector<Event> out) throws Exception {
        Long before = count().value();
        if (before == null) {
            long now = context.timerService().currentProcessingTime();
            context.timerService().registerProcessingTimeTimer((now / millis + 1) * millis);
        }
        count().update(before == null ? 1 : before + 1);
    }

    @Override
    public void onTimer(long time, OnTimerContext context, Collector<Event> out) throws Exception {
        out.collect(new Event(context.getCurrentKey(), count().value(), new byte[0]));
        count().clear();
    }
}
