package testbed;

import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.streaming.api.functions.co.KeyedCoProcessFunction;
import org.apache.flink.util.Collector;

/** A keyed step with two inputs: every record of either costs the same and comes out once, numbered by what its key saw. */
final class Join extends KeyedCoProcessFunction<Integer, Event, Event, Event> {
    private static final long serialVersionUID = 1;

    private final Cost cost;
    private transient ValueState<Long> seen;

    Join(Cost cost) {
        this.cost = cost;
    }

    @Override
    public void processElement1(Event left, Context context, Collector<Event> out) throws Exception {
        join(left, out);
    }

    @Override
    public void processElement2(Event right, Context context, Collector<Event> out) throws Exception {
        join(right, out);
    }

    private void join(Event event, Collector<Event> out) throws Exception {
        if (seen == null) {
            seen = getRuntimeContext().getState(new ValueStateDescriptor<>("seen", Long.class));
        }
        Long before = seen.value();
        long now = before == null ? 1 : before + 1;
        seen.update(now);
        cost.pay();
        out.collect(new Event(event.key, now, event.payload));
    }
}
