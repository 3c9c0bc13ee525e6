package testbed;

import java.io.Serializable;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.concurrent.locks.LockSupport;

/**
 * What one record costs a subtask: {@code none}, {@code wait:4ms} of waiting, as for an answer from elsewhere, or
 * {@code burn:0.4ms} of processor time, which takes longer by the clock where processors are short. What a wait or a
 * burn went too far is taken off the next one, so the mean is exact although single records vary.
 */
final class Cost implements Serializable {
    private static final long serialVersionUID = 1;
    /** A wait shorter than this costs more to begin than it lasts; the debts of several records are paid together. */
    private static final long SHORTEST_WAIT_NANOS = 500_000;

    private enum Kind { NONE, WAIT, BURN }

    private final Kind kind;
    private final long nanos;
    private long owed;
    private transient ThreadMXBean threads;

    private Cost(Kind kind, long nanos) {
        this.kind = kind;
        this.nanos = nanos;
    }

    static Cost parse(String text) {
        if (text.equals("none")) {
            return new Cost(Kind.NONE, 0);
        }
        int colon = text.indexOf(':');
        if (colon < 0 || !text.endsWith("ms")) {
            throw new IllegalArgumentException("a cost is none, wait:4ms or burn:0.4ms, not " + text);
        }
        Kind kind = Kind.valueOf(text.substring(0, colon).toUpperCase());
        double millis = Double.parseDouble(text.substring(colon + 1, text.length() - 2));
        return new Cost(kind, Math.round(millis * 1e6));
    }

    /** Spends it, for one record. */
    void pay() {
        owed += nanos;
        switch (kind) {
            case WAIT:
                if (owed >= SHORTEST_WAIT_NANOS) {
                    long start = System.nanoTime();
                    LockSupport.parkNanos(owed);
                    owed -= System.nanoTime() - start;
                }
                break;
            case BURN:
                if (owed > 0) {
                    burn();
                }
                break;
            default:
        }
    }

    private void burn() {
        if (threads == null) {
            threads = ManagementFactory.getThreadMXBean();
        }
        long start = threads.getCurrentThreadCpuTime();
        long used = 0;
        while (used < owed) {
            // Asking for the time is a system call: a few microseconds of work between two of them.
            for (int i = 0; i < 200; i++) {
                Thread.onSpinWait();
            }
            used = threads.getCurrentThreadCpuTime() - start;
        }
        owed -= used;
    }
}
