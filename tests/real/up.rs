//! Not a test: a cluster with a running job to look at and to try things on, as `tests/testbed/up` starts it.

use std::io::{Write, stderr};

use anyhow::Result;

use crate::testbed::{Flink, Job, Options};

#[tokio::test]
#[ignore = "stays until it is interrupted; run tests/testbed/up"]
async fn up() -> Result<()> {
    let version = std::env::var("TIDEGATE_UP").unwrap_or_else(|_| "2.3".to_owned());
    let config = std::env::var("TIDEGATE_UP_CONFIG").unwrap_or_default();
    let options = config
        .split_whitespace()
        .filter_map(|line| line.split_once('='))
        .fold(Options::default(), |options, (key, value)| options.with(key, value));
    let flink = Flink::start(&version, options).await?;
    let topic = flink.topic("orders")?;
    topic.set_rate(500.0)?;
    let job = flink.submit(&Job::chain(&topic).parallelism("parse", 3)).await?;
    let rates = topic.file().display();
    writeln!(
        stderr(),
        "\nFlink {} is at {}, with the job chain ({job}): source, parse (4 ms a record), enrich (1 ms), sink, and 500\n\
         records a second. To have, say, 1500:\n\n    echo \"$(date +%s%3N) 1500\" >> {rates}\n\nIt stays until it is interrupted.",
        flink.version(),
        flink.url()
    )?;
    std::future::pending().await
}
