package testbed;

import org.apache.flink.streaming.api.datastream.DataStream;

/**
 * Two sources, of which {@code right} does not report its pending records; {@code left} is multiplied by
 * {@code explode}, {@code right} goes through {@code clean}, and {@code join} takes both in. What it puts out goes to a
 * sink and, unless {@code --window-millis} is 0, through a window to a slow report as well.
 */
public final class Diamond {
    public static void main(String[] args) throws Exception {
        // Few keys, so that every key has records in every window: what a window puts out does not grow with the load.
        Shape shape = new Shape(args, "diamond", 256);
        DataStream<Event> left = shape.source("left", true);
        DataStream<Event> right = shape.source("right", false);
        DataStream<Event> exploded = shape.work("explode", left, "wait:1ms", shape.arguments.number("copies", 3));
        DataStream<Event> cleaned = shape.work("clean", right, "wait:1ms", 1);
        DataStream<Event> joined = shape.join("join", exploded, cleaned, "wait:1.5ms");
        shape.sink("sink", joined);
        int window = shape.arguments.number("window-millis", 5000);
        if (window > 0) {
            DataStream<Event> counts = shape.window("window", joined, window);
            DataStream<Event> reports = shape.work("report", counts, "wait:10ms", 1);
            shape.sink("archive", reports);
        }
        shape.run();
    }
}
