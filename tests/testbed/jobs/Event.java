package testbed;

/** What flows through the jobs: the record's number in its topic, and its key. A POJO, so that Flink needs no Kryo. */
public class Event {
    public int key;
    public long number;

    public Event() {}

    Event(int key, long number) {
        this.key = key;
        this.number = number;
    }
}
