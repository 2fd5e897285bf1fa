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
