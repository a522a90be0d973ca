//! Connections: accepted, limited, and let go in order.

use crate::limits::{HEAD_TIMEOUT, MAX_CONNECTIONS, MAX_HEAD, SHUTDOWN_GRACE};
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// How long to wait when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Says when the server is about to stop: an answer that would go on for ever ends then.
#[derive(Clone)]
pub(crate) struct Closing(watch::Receiver<bool>);

impl Closing {
    /// Ends when the server is about to stop.
    pub(crate) async fn wait(&mut self) {
        // The sender is dropped only after it has said so.
        drop(self.0.wait_for(|closing| *closing).await);
    }
}

/// Serves until `shutdown` is ready; then requests under way have [`SHUTDOWN_GRACE`] to end.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send,
) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (closing, closed) = watch::channel(false);
    let router = router.layer(Extension(Closing(closed.clone())));
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, stream) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accepted => accepted,
        };
        match (permit, stream) {
            (Ok(permit), Ok((stream, _))) => {
                let closing = Closing(closed.clone());
                tokio::spawn(connection(stream, router.clone(), closing, permit));
            }
            (_, Err(error)) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            // The semaphore is never closed.
            (Err(_), _) => break,
        }
    }
    drop(listener);
    let _ = closing.send(true);
    drop((closed, router));
    if tokio::time::timeout(SHUTDOWN_GRACE, closing.closed()).await.is_err() {
        tracing::warn!("connections still open are dropped");
    }
}

async fn connection(
    stream: TcpStream,
    router: Router,
    mut closing: Closing,
    _permit: OwnedSemaphorePermit,
) {
    // Answers are small and are waited for.
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => Some(ended),
        () = closing.wait() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(SHUTDOWN_GRACE, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
