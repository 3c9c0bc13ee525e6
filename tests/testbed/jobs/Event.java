package testbed;

/**
 * What flows through the jobs: the record's number in its topic, its key, and what makes it as large as real ones: it
 * decides how many records the network buffers swallow. A POJO, so that Flink needs no Kryo.
 */
public class Event {
    public int key;
    public long number;
    /** How many of its key the last step has counted with it. */
    public long seen;
    public byte[] payload;

    public Event() {}

    Event(int key, long number, byte[] payload) {
        this.key = key;
        this.number = number;
        this.payload = payload;
    }
}
