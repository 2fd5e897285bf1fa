//! A turn for the other tasks.

use std::future::poll_fn;
use std::task::Poll;

/// Goes behind the tasks that are ready to run. Unlike tokio's own `yield_now`, which waits until the thread it was called on
/// has nothing left to do: a handler that blocks that thread does not hold up who gave way, since another one goes on.
pub(crate) async fn give_way() {
    let mut given = false;
    poll_fn(|context| {
        if given {
            return Poll::Ready(());
        }
        given = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

// Where a task waits can't be seen through the public API.
#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn a_task_that_blocks_its_thread_holds_up_nobody_who_gave_way_to_it() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let (open, gate) = mpsc::channel();
        let blocked = runtime.block_on(runtime.spawn(async move {
            // The next task of this thread.
            let blocked = tokio::spawn(async move { gate.recv_timeout(Duration::from_secs(10)) });
            give_way().await;
            open.send(()).ok();
            blocked.await
        }));
        assert_eq!(blocked.unwrap().unwrap(), Ok(()));
    }
}
