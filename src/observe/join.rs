//! Several requests at once, without a task for each.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// Waits for all of them; the results are in their order.
pub(super) async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (future, output) in running.iter_mut().zip(&mut outputs).filter(|(_, output)| output.is_none()) {
            if let Poll::Ready(ready) = future.as_mut().poll(context) {
                *output = Some(ready);
            }
        }
        if outputs.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keeps_the_order_and_does_not_wait_one_by_one() {
        let (first, second) = tokio::sync::oneshot::channel();
        let mut first = Some(first);
        let mut second = Some(second);
        // The one in front ends only after the one behind it has run.
        let results = join_all((0..2).map(|i| {
            let (sender, receiver) = if i == 1 { (first.take(), None) } else { (None, second.take()) };
            async move {
                if let Some(receiver) = receiver {
                    receiver.await.expect("sent");
                }
                if let Some(sender) = sender {
                    sender.send(()).expect("awaited");
                }
                i
            }
        }))
        .await;
        assert_eq!(results, [0, 1]);
    }
}
