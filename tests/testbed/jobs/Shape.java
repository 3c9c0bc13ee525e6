package testbed;

import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * The steps that the jobs are put together from. Each is a vertex of its own, named after its stage, with a uid, and
 * takes {@code --STAGE.parallelism} (0: that of the whole job) and {@code --STAGE.cost}. All jobs take {@code --name}, {@code --keys},
 * {@code --max-parallelism}, {@code --splits}, {@code --payload} (bytes that each record carries),
 * {@code --checkpoint-millis} and {@code --checkpoint-timeout-millis} (unset: the cluster's configuration).
 */
final class Shape {
    final StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment();
    final Arguments arguments;
    private final String name;
    private final Keys keys;
    private final int splits;
    private final byte[] payload;

    Shape(String[] args, String name, int keys) {
        arguments = new Arguments(args);
        this.name = arguments.text("name", name);
        int maxParallelism = arguments.number("max-parallelism", 128);
        this.keys = new Keys(arguments.number("keys", keys), maxParallelism);
        splits = arguments.number("splits", 16);
        payload = new byte[arguments.number("payload", 200)];
        environment.setMaxParallelism(maxParallelism);
        int checkpoints = arguments.number("checkpoint-millis", 0);
        if (checkpoints > 0) {
            environment.enableCheckpointing(checkpoints);
        }
        int timeout = arguments.number("checkpoint-timeout-millis", 0);
        if (timeout > 0) {
            environment.getCheckpointConfig().setCheckpointTimeout(timeout);
        }
    }

    /**
     * A source of the topic {@code --STAGE.topic FILE}; {@code --STAGE.limit} is the most that one subtask fetches a second, and
     * {@code --STAGE.times true} gives its records event times.
     */
    DataStream<Event> source(String stage, boolean reportsPending) {
        TopicSource source = new TopicSource(
                new Topic(arguments.text(stage + ".topic")),
                splits,
                keys,
                payload,
                cost(stage, "none"),
                arguments.real(stage + ".limit", 0),
                arguments.flag(stage + ".pending", reportsPending),
                arguments.flag(stage + ".times", false));
        TypeInformation<Event> events = TypeInformation.of(Event.class);
        return own(stage, environment.fromSource(source, WatermarkStrategy.noWatermarks(), stage, events));
    }

    DataStream<Event> work(String stage, DataStream<Event> input, String cost, int copies) {
        return own(stage, input.keyBy(event -> event.key).process(new Work(cost(stage, cost), copies)));
    }

    DataStream<Event> join(String stage, DataStream<Event> left, DataStream<Event> right, String cost) {
        return own(stage, left.connect(right)
                .keyBy(event -> event.key, event -> event.key)
                .process(new Join(cost(stage, cost))));
    }

    DataStream<Event> window(String stage, DataStream<Event> input, long millis) {
        return own(stage, input.keyBy(event -> event.key).process(new Window(millis)));
    }

    /** With {@code --STAGE.ledger FOLDER}, records are written down there, each exactly once. */
    void sink(String stage, DataStream<Event> input) {
        String folder = arguments.text(stage + ".ledger", null);
        Cost cost = cost(stage, "none");
        // Not FORWARD: with vertices of different parallelism that edge is broken before Flink 2.3 (FLINK-33123).
        own(stage, input.rebalance().process(folder == null ? new Discard(cost) : new Ledger(cost, folder)));
    }

    void run() throws Exception {
        arguments.done();
        environment.execute(name);
    }

    private Cost cost(String stage, String otherwise) {
        return Cost.parse(arguments.text(stage + ".cost", otherwise));
    }

    private <T> SingleOutputStreamOperator<T> own(String stage, SingleOutputStreamOperator<T> step) {
        step.name(stage).uid(stage).disableChaining();
        int parallelism = arguments.number(stage + ".parallelism", 1);
        return parallelism == 0 ? step : step.setParallelism(parallelism);
    }
}
