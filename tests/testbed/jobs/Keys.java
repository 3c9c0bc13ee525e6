package testbed;

import java.io.Serializable;
import org.apache.flink.runtime.state.KeyGroupRangeAssignment;

/**
 * Keys that load all key groups alike: record after record goes to the next key group, and within it to the next key.
 * What is left of skew is Flink's own, that of key groups over subtasks.
 */
final class Keys implements Serializable {
    private static final long serialVersionUID = 1;

    private final int[][] byGroup;

    Keys(int keys, int maxParallelism) {
        int perGroup = Math.max(1, keys / maxParallelism);
        byGroup = new int[maxParallelism][perGroup];
        int[] found = new int[maxParallelism];
        int missing = perGroup * maxParallelism;
        for (int key = 0; missing > 0; key++) {
            int group = KeyGroupRangeAssignment.assignToKeyGroup(key, maxParallelism);
            if (found[group] < perGroup) {
                byGroup[group][found[group]++] = key;
                missing--;
            }
        }
    }

    int of(long number) {
        int[] group = byGroup[(int) (number % byGroup.length)];
        return group[(int) (number / byGroup.length % group.length)];
    }
}
