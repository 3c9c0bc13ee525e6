package testbed;

import org.apache.flink.streaming.api.datastream.DataStream;

/** source, parse (4 ms a record), enrich (1 ms), sink. */
public final class Chain {
    public static void main(String[] args) throws Exception {
        Shape shape = new Shape(args, "chain", 12_800);
        DataStream<Event> records = shape.source("source", true);
        DataStream<Event> parsed = shape.work("parse", records, "wait:4ms", 1);
        DataStream<Event> enriched = shape.work("enrich", parsed, "wait:1ms", 1);
        shape.sink("sink", enriched);
        shape.run();
    }
}
