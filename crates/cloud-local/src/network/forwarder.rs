//! A port of the host that leads to a port of a node.

use super::error::NetworkError;
use super::fabric::open_fabric;
use super::namespace::{self, Pins};
use super::netlink;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::Path;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// The most connections of one forwarder at once; more wait in the listener's queue.
pub const MAX_CONNECTIONS: usize = 256;
/// How long a node may take to accept. One that is not plugged in is given up by the kernel sooner.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// After a failed accept (no file descriptors left, say), before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A silent connection is probed after this long, this often, and given up after so many probes:
/// a node that is gone sends no end.
const PROBE_AFTER: Duration = Duration::from_secs(30);
const PROBE_EVERY: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;

/// Carries TCP connections from the host's loopback into the fabric, while it lives.
///
/// It has no authentication: everybody on the host may use it.
#[derive(Debug)]
pub struct Forwarder {
    local: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Forwarder {
    /// Listens on `listen` (port 0: any free one) in the caller's namespace, and connects each
    /// client to `target` in the fabric. A target that refuses or does not answer within ten
    /// seconds closes the client's connection.
    ///
    /// It belongs to the fabric of this moment: after a teardown, start another.
    ///
    /// # Errors
    /// [`NetworkError::NotLoopback`], [`NetworkError::Listen`], [`NetworkError::NoFabric`], or what
    /// the system said.
    pub fn start(
        dir: &Path,
        listen: SocketAddr,
        target: SocketAddr,
    ) -> Result<Forwarder, NetworkError> {
        if !listen.ip().is_loopback() {
            return Err(NetworkError::NotLoopback { listen });
        }
        let pins = Pins::of(dir)?;
        let fabric = open_fabric(&pins)?;
        // Here and not on the thread: a socket stays in the namespace where it was made.
        let cannot = |cause| NetworkError::Listen { listen, cause };
        let listener = StdListener::bind(listen).map_err(cannot)?;
        listener.set_nonblocking(true).map_err(cannot)?;
        let local = listener.local_addr().map_err(cannot)?;

        let (stop, stopped) = oneshot::channel();
        let (ready, started) = mpsc::channel();
        let path = pins.fabric();
        let thread = thread::Builder::new()
            .name("holdfast-forward".to_owned())
            .spawn(move || {
                let runtime = namespace::enter(&fabric, &path).and_then(|()| netlink::runtime());
                match runtime {
                    Ok(runtime) => {
                        let _ = ready.send(Ok(()));
                        runtime.block_on(serve(listener, target, stopped));
                    }
                    Err(e) => {
                        let _ = ready.send(Err(e));
                    }
                }
            })
            .map_err(|cause| NetworkError::Thread { cause })?;
        // A thread that ended without a word has panicked.
        started.recv().unwrap_or_else(|_| {
            Err(NetworkError::Thread { cause: io::Error::other("the forwarder's thread ended") })
        })?;
        Ok(Forwarder { local, stop: Some(stop), thread: Some(thread) })
    }

    /// The address to connect to.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Closes the port and all connections, and waits until that is done. Dropping does the same.
    pub fn stop(self) {}
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        // Dropping the sender is the signal.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(port = %self.local, "a forwarder panicked");
        }
    }
}

/// Until `stopped`; then every connection is dropped.
async fn serve(listener: StdListener, target: SocketAddr, mut stopped: oneshot::Receiver<()>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%target, %error, "a forwarder cannot watch its port");
            return;
        }
    };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((client, _)) => {
                    connections.spawn(carry(client, target));
                }
                Err(error) => {
                    tracing::warn!(%target, %error, "a forwarder could not accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// One connection, until both sides are done.
async fn carry(mut client: TcpStream, target: SocketAddr) {
    let connected = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(target)).await;
    let mut node = match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(node) => node,
        Err(error) => {
            tracing::debug!(%target, %error, "a forwarder could not connect");
            return;
        }
    };
    // Delays would only add up; and without probes a vanished node would hold its place for ever.
    let prepared = client.set_nodelay(true).and_then(|()| node.set_nodelay(true));
    if let Err(error) = prepared.and_then(|()| probe(&node)) {
        tracing::debug!(%target, %error, "a forwarder could not set a socket's options");
        return;
    }
    if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut node).await {
        tracing::debug!(%target, %error, "a forwarded connection broke");
    }
}

fn probe(socket: &TcpStream) -> io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, PROBE_AFTER)?;
    sockopt::set_tcp_keepintvl(socket, PROBE_EVERY)?;
    sockopt::set_tcp_keepcnt(socket, PROBES)?;
    Ok(())
}
