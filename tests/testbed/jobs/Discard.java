package testbed;

import org.apache.flink.metrics.Counter;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.util.Collector;

/** The end of a job: counts what arrives and keeps nothing. */
final class Discard extends ProcessFunction<Event, Void> {
    private static final long serialVersionUID = 1;

    private final Cost cost;
    private transient Counter discarded;

    Discard(Cost cost) {
        this.cost = cost;
    }

    @Override
    public void processElement(Event event, Context context, Collector<Void> out) {
        if (discarded == null) {
            discarded = getRuntimeContext().getMetricGroup().counter("discarded");
        }
        cost.pay();
        discarded.inc();
    }
}
