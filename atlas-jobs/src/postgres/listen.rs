//! Hearing of new jobs from other processes, by LISTEN and NOTIFY. A hint only: polling is the floor.

use super::PostgresJobs;
use super::error::{BACKEND, failed};
use crate::error::{Kind, StoreError};
use crate::store::Waker;
use futures_util::future::poll_fn;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Socket};

/// So often a listener says that it is there; `atlas_jobs_notify` believes it three times as long.
const PRESENT: Duration = Duration::from_secs(30);
/// Between two attempts to connect again.
const AGAIN: Duration = Duration::from_secs(5);

impl PostgresJobs {
    /// Listens for new jobs of other processes on a connection of its own, so that workers of this process start them at
    /// once and not at their next poll. The pool can't serve for this: it keeps its connections' messages to itself.
    ///
    /// `config` must lead to the same database and the same search path as the pool, past any proxy that shares
    /// connections among clients. A task keeps the connection until the last clone of this store is dropped; if it breaks,
    /// it is made again. Until somebody listens, nothing is sent: enqueueing costs less then.
    ///
    /// # Errors
    /// As [`open`](PostgresJobs::open), if the first connection can't be made.
    pub async fn listen<T>(&self, config: Config, tls: T) -> Result<(), StoreError>
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send + 'static,
        T::TlsConnect: Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let connected = config.connect(tls.clone()).await.map_err(|error| failed("listen", &error))?;
        let waker = Arc::downgrade(&self.db.waker);
        let (ready, heard) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let mut ready = Some(ready);
            let mut next = Some(connected);
            while waker.strong_count() > 0 {
                if let Some((client, connection)) = next.take() {
                    serve(client, connection, &waker, ready.take()).await;
                    tracing::debug!("the connection for wake-ups has ended; until it is back, workers poll");
                }
                if waker.strong_count() == 0 {
                    return;
                }
                tokio::time::sleep(AGAIN).await;
                next = config.connect(tls.clone()).await.ok();
            }
        });
        heard.await.map_err(|_| StoreError::new(Kind::Unavailable, BACKEND, "listen"))?
    }
}

/// Until the connection breaks or nobody is left to be woken.
async fn serve<S, T>(
    client: Client,
    mut connection: Connection<S, T>,
    waker: &Weak<Waker>,
    ready: Option<tokio::sync::oneshot::Sender<Result<(), StoreError>>>,
) where
    Connection<S, T>: Unpin,
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let wake = || {
        if let Some(waker) = waker.upgrade() {
            waker.wake();
        }
    };
    let messages = async {
        while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
            if matches!(message, AsyncMessage::Notification(_)) {
                wake();
            }
        }
    };
    let presence = async {
        let listening = present(&client, waker, &wake, ready).await;
        if let Err(error) = listening {
            tracing::debug!(error = &error as &dyn std::error::Error, "listening for jobs was refused");
        }
    };
    tokio::select! {
        () = messages => {}
        () = presence => {}
    }
}

async fn present(
    client: &Client,
    waker: &Weak<Waker>,
    wake: &(dyn Fn() + Sync),
    ready: Option<tokio::sync::oneshot::Sender<Result<(), StoreError>>>,
) -> Result<(), StoreError> {
    let begin = async {
        client.batch_execute("LISTEN atlas_jobs").await?;
        let gone = "DELETE FROM atlas_jobs_listener WHERE seen_at < atlas_jobs_now() - 3600000";
        client.execute(gone, &[]).await?;
        let here = "INSERT INTO atlas_jobs_listener (seen_at) VALUES (atlas_jobs_now()) RETURNING no";
        client.query_one(here, &[]).await?.try_get::<_, i64>(0)
    };
    let begun = begin.await.map_err(|error| failed("listen", &error));
    // Jobs may have come while nobody listened.
    wake();
    let number = match (begun, ready) {
        (Ok(number), ready) => {
            // The caller may have stopped waiting, which it may.
            drop(ready.map(|ready| ready.send(Ok(()))));
            number
        }
        (Err(error), Some(ready)) => return ready.send(Err(error)).or(Ok(())),
        (Err(error), None) => return Err(error),
    };
    while waker.strong_count() > 0 {
        tokio::time::sleep(PRESENT).await;
        let here = "UPDATE atlas_jobs_listener SET seen_at = atlas_jobs_now() WHERE no = $1";
        client.execute(here, &[&number]).await.map_err(|error| failed("listen", &error))?;
    }
    Ok(())
}
