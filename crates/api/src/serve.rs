//! Connections: accepted, limited, and let go in order.

use crate::limits::{HEAD_TIMEOUT, MAX_HEAD, SHUTDOWN_GRACE};
use crate::places::{Bounds, Notice, Places, Seat};
use crate::wire::Wire;
use axum::{Extension, Router};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

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
    serve_within(Bounds::default(), listener, router, shutdown).await;
}

/// [`serve`] with other bounds for connections.
pub async fn serve_within(
    bounds: Bounds,
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send,
) {
    let places = Places::new(bounds);
    let (closing, closed) = watch::channel(false);
    let router = router.layer(Extension(Closing(closed.clone())));
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = async {
            let (stream, peer) = listener.accept().await?;
            Ok::<_, std::io::Error>((stream, places.seat(peer.ip()).await))
        };
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, Some((seat, notice)))) => {
                let seated = Seated { service: TowerToHyperService::new(router.clone()), seat };
                let wire = Wire::new(stream, places.bounds().write_patience);
                let closing = Closing(closed.clone());
                tokio::spawn(connection(wire, seated, closing, notice));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            // There are places as long as this runs.
            Ok((_, None)) => break,
        }
    }
    drop(listener);
    let _ = closing.send(true);
    drop((closed, router));
    if tokio::time::timeout(SHUTDOWN_GRACE, closing.closed()).await.is_err() {
        tracing::warn!("connections still open are dropped");
    }
}

/// The interface, for one connection: each request knows its connection's place.
struct Seated {
    service: TowerToHyperService<Router>,
    seat: Arc<Seat>,
}

impl Service<Request<Incoming>> for Seated {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Error;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(Arc::clone(&self.seat));
        self.service.call(request)
    }
}

async fn connection(wire: Wire, seated: Seated, mut closing: Closing, notice: Notice) {
    // Answers are small and are waited for.
    let _ = wire.set_nodelay();
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        // The buffer may grow beyond its size by what one read brings.
        .max_header_size(MAX_HEAD)
        .serve_connection(TokioIo::new(wire), seated);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => Some(ended),
        () = closing.wait() => None,
        why = notice.must_go() => {
            tracing::debug!(why, "a connection without a token is dropped");
            return;
        }
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
