package testbed;

import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/** A keyed step of known cost that counts each key's records in its state, and puts out some copies of each with the count. */
final class Work extends KeyedProcessFunction<Integer, Event, Event> {
    private static final long serialVersionUID = 1;

    private final Cost cost;
    private final int copies;
    private transient ValueState<Long> seen;

    Work(Cost cost, int copies) {
        this.cost = cost;
        this.copies = copies;
    }

    @Override
    public void processElement(Event event, Context context, Collector<Event> out) throws Exception {
        if (seen == null) {
            seen = getRuntimeContext().getState(new ValueStateDescriptor<>("seen", Long.class));
        }
        Long before = seen.value();
        event.seen = before == null ? 1 : before + 1;
        seen.update(event.seen);
        cost.pay();
        for (int i = 0; i < copies; i++) {
            out.collect(event);
        }
    }
}
