//! `holdfast serve`: the store, the cloud, the controller and the API in one process.

use super::arguments::{CloudKind, ServeOptions};
use super::log_lines::LogLines;
use super::options::CLOUD_DIR;
use super::{memory, routes};
use holdfast_api::{Auth, TOKEN_FILE};
use holdfast_cloud::Cloud;
use holdfast_cloud_local::{LocalCloud, LocalOptions};
use holdfast_controller::FleetConfig;
use holdfast_controller::serve::start;
use holdfast_model::Installation;
use holdfast_store::Store;
use holdfast_store::sqlite::SqliteStore;
use holdfast_terminal::{Code, Failure};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// The store's setting that names this installation.
const INSTALLATION: &str = "installation";
/// The longest name of an installation.
const MAX_INSTALLATION: usize = 64;
/// The program that becomes a node's shim: this one.
const SELF: &str = "/proc/self/exe";

/// Runs the server until it is told to stop.
pub fn run(options: &ServeOptions) -> Result<(), Failure> {
    let CloudKind::Local = options.cloud;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| LogLines(std::io::stderr()))
        .with_ansi(false)
        .init();
    memory::share_between_threads();
    if !rustix::process::geteuid().is_root() {
        return Err(failed(
            "the server needs root: nodes are real machines of this host; start it as root",
        ));
    }
    let store = Arc::new(SqliteStore::open(&options.data_dir).map_err(failed)?);
    let listener = listen(options.listen)?;
    let installation = installation(&*store, options.installation.as_deref())?;
    let auth = authentication(&*store, options)?;
    let dir = options.data_dir.join(CLOUD_DIR);
    tracing::info!(data_dir = %options.data_dir.display(), %installation, "opening the local cloud");
    // Before the runtime has threads: this waits, and sets up mounts.
    let mut local = LocalOptions::new(dir, PathBuf::from(SELF));
    local.overcommit = options.overcommit;
    let cloud = LocalCloud::open(&local).map_err(failed)?;
    super::backup::keep_making(options.data_dir.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| failed(format!("threads cannot be started: {e}")))?;
    let mut config = FleetConfig::local(installation);
    config.voluntary_per_hour = options.voluntary_per_hour;
    let grace = u64::try_from(options.deallocation_grace.as_millis());
    config.tuning.deallocation_grace = grace.unwrap_or(u64::MAX);
    let serving = Arc::clone(&store);
    config.tuning.snapshot_interval =
        u64::try_from(options.snapshot_interval.as_millis()).unwrap_or(u64::MAX);
    let ended = runtime.block_on(serve(serving, cloud, config, auth, listener));
    // What still runs is idempotent and is taken up at the next start.
    runtime.shutdown_background();
    // Whoever copies the file of a server that was stopped has everything.
    if let Err(error) = store.fold() {
        tracing::warn!(%error, "the store's log was not folded in; copy holdfast.db-wal as well");
    }
    ended
}

fn failed(error: impl ToString) -> Failure {
    Failure::new(Code::Failed, error.to_string())
}

fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(address).map_err(|e| match e.kind() {
        ErrorKind::AddrInUse => failed(format!(
            "the address {address} is taken by another program; stop that one, or give another \
             --listen"
        )),
        _ => failed(format!("cannot listen on {address}: {e}; give another --listen")),
    })?;
    listener.set_nonblocking(true).map_err(failed)?;
    if !address.ip().is_loopback() {
        tracing::warn!(
            %address,
            "THE API IS REACHABLE FROM OTHER MACHINES, WITHOUT ENCRYPTION: whoever reads the \
             traffic learns the token, and the token is root on this host. Listen on loopback, \
             or put a proxy with TLS in front."
        );
    }
    Ok(listener)
}

/// The installation's name: what is ours in the cloud carries it. It is made at the first start,
/// or given where a store was lost; a store that holds nodes is not renamed, for its nodes'
/// resources carry the name.
fn installation(store: &dyn Store, wanted: Option<&str>) -> Result<Installation, Failure> {
    let stored = store.setting(INSTALLATION).map_err(failed)?;
    let name = match (stored, wanted) {
        (Some(name), None) => return Ok(Installation(name)),
        (Some(name), Some(wanted)) if name == wanted => return Ok(Installation(name)),
        (None, None) => {
            let mut bytes = [0_u8; 8];
            let filled = getrandom::fill(&mut bytes);
            filled.map_err(|e| failed(format!("no random bytes: {e}")))?;
            format!("hf-{:016x}", u64::from_be_bytes(bytes))
        }
        (stored, Some(wanted)) => {
            let sound = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if wanted.is_empty() || wanted.len() > MAX_INSTALLATION || !wanted.chars().all(sound) {
                return Err(failed(format!(
                    "--installation {wanted}: must be an installation's name, as holdfast adopt \
                     shows it, such as hf-0123456789abcdef"
                )));
            }
            let nodes = store.load().map_err(failed)?.len();
            if let (Some(stored), 1..) = (stored, nodes) {
                return Err(failed(format!(
                    "--installation {wanted}: this store is of {stored} and has {nodes} nodes; \
                     only a store without nodes can become another installation's: give another \
                     --data-dir"
                )));
            }
            wanted.to_owned()
        }
    };
    store.set_setting(INSTALLATION, &name).map_err(failed)?;
    Ok(Installation(name))
}

fn authentication(store: &dyn Store, options: &ServeOptions) -> Result<Auth, Failure> {
    let path = options.data_dir.join(TOKEN_FILE);
    let auth = if options.new_token {
        Auth::renew(store, &options.data_dir)
    } else {
        Auth::open(store, &options.data_dir)
    };
    let auth = auth.map_err(failed)?;
    note_token(&path);
    Ok(auth)
}

fn note_token(path: &Path) {
    if path.exists() {
        tracing::info!(path = %path.display(), "the token is in this file");
    } else {
        tracing::warn!(
            path = %path.display(),
            "the token's file is gone; clients that know the token still can use it; make a new \
             one with --new-token"
        );
    }
}

async fn serve(
    store: Arc<SqliteStore>,
    cloud: LocalCloud,
    config: FleetConfig,
    auth: Auth,
    listener: TcpListener,
) -> Result<(), Failure> {
    // From here on a signal stops the server in order.
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let store: Arc<dyn Store> = store;
    let shared: Arc<dyn Cloud> = Arc::new(cloud.clone());
    let controller = start(shared, store, config).await.map_err(failed)?;
    let handle = controller.handle();
    let router = holdfast_api::router(handle.clone(), auth, Some(routes::routes(cloud, handle)));
    let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    tracing::info!("holdfast serves on http://{address}");
    let stopped = async {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("told to stop (SIGTERM)"),
            _ = interrupt.recv() => tracing::info!("told to stop (SIGINT)"),
        }
    };
    tokio::select! {
        () = holdfast_api::serve(listener, router, stopped) => {
            tracing::info!("stopped; the nodes go on running");
            Ok(())
        }
        () = watch(&controller) => Err(failed(
            "the controller has ended, which is a defect (see the log above); the nodes go on \
             running; start the server again",
        )),
    }
}

/// Ends when the controller has ended, which it should not.
async fn watch(controller: &holdfast_controller::serve::Controller) {
    const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(1);
    while !controller.has_ended() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
