//! The partitions that a source reads from, counted in the names of its metrics: Kafka's and Pulsar's name each.

use std::collections::BTreeSet;

/// A partition, as far as it must be told from others: cluster, topic and number.
type Partition<'a> = (Option<&'a str>, &'a str, &'a str);

/// The number of partitions that the names tell of; `None` when they tell of none.
pub fn source_partitions<'a>(metric_names: impl IntoIterator<Item = &'a str>) -> Option<u32> {
    let found: BTreeSet<Partition<'_>> =
        metric_names.into_iter().filter_map(|name| kafka(name).or_else(|| pulsar(name))).collect();
    u32::try_from(found.len()).ok().filter(|count| *count > 0)
}

/// `….KafkaSourceReader.topic.orders.partition.3.currentOffset`, with `.kafkaCluster.c1` before for a source of several
/// clusters.
fn kafka(name: &str) -> Option<Partition<'_>> {
    let (rest, number) = name.strip_suffix(".currentOffset")?.rsplit_once(".partition.")?;
    let (reader, topic) = rest.split_once(".KafkaSourceReader.topic.")?;
    let cluster = reader.split_once(".kafkaCluster.").map(|(_, cluster)| cluster);
    (is_number(number) && !topic.is_empty()).then_some((cluster, topic, number))
}

/// `….PulsarConsumer.persistent_//public/default/orders-partition-3.d842f.numMsgsReceived`.
fn pulsar(name: &str) -> Option<Partition<'_>> {
    let consumer = name.strip_suffix(".numMsgsReceived")?.rsplit_once('.')?.0;
    let (_, partition) = consumer.split_once(".PulsarConsumer.")?;
    let (topic, number) = partition.rsplit_once("-partition-")?;
    (is_number(number) && !topic.is_empty()).then_some((None, topic, number))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_a_partition_and_nothing_else() {
        for (names, count) in [
            (&[][..], None),
            (&["1.Source__x.numRecordsIn", "1.S.KafkaSourceReader.topic..partition.1.currentOffset"], None),
            (&["1.S.KafkaSourceReader.topic.a.partition.x.currentOffset"], None),
            (&["1.S.KafkaSourceReader.topic.a.b.partition.1.currentOffset"; 2], Some(1)),
            (&["0.S.PulsarConsumer.t-partition-1.numMsgsReceived"], None),
            (
                &[
                    "0.S.PulsarConsumer.t-partition-1.x.numMsgsReceived",
                    "0.S.PulsarConsumer.t-partition-1.y.numMsgsReceived",
                ],
                Some(1),
            ),
        ] {
            assert_eq!(source_partitions(names.iter().copied()), count, "{names:?}");
        }
    }
}
