import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/** A job of Flink's own parts in a cluster within this process: it loads most of what a JobManager and a TaskManager do. */
public class Small {
    public static void main(String[] arguments) throws Exception {
        Configuration configuration = new Configuration();
        configuration.setString("jobmanager.scheduler", "adaptive");
        configuration.setString("rest.bind-port", "0");
        configuration.setString("execution.checkpointing.interval", "100ms");
        StreamExecutionEnvironment environment = StreamExecutionEnvironment.createLocalEnvironment(2, configuration);
        environment.fromSequence(1, 2000).rebalance().countWindowAll(10).sum(0).print();
        environment.execute("small");
    }
}
