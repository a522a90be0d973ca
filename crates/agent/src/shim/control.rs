//! The control socket: one request per line, one answer per line, for root only.

use std::cell::RefCell;
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;

use super::node::{Node, Notice};
use crate::error::{AgentError, Doing, Result};
use crate::protocol::{
    LINE_MAX_BYTES, ManifestEntry, Request, Response, SCRIPT_TIMEOUT_MAX_MS, ScriptOutcome,
    WorkloadState,
};

/// Connections at once.
const CONNECTIONS_MAX: usize = 16;
/// A connection may be silent this long.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Init says what became of the workload within this time after the gate opened.
const WORKLOAD_START_MAX: Duration = Duration::from_secs(5);
/// After a script's own limit, init gets this long to say so.
const SCRIPT_REPORT_MAX: Duration = Duration::from_secs(2);
/// A healthy init answers within this time; a millisecond is usual.
const CHECK_MAX: Duration = Duration::from_secs(2);
/// Texts of a notice are at most this long, in bytes.
const NOTICE_TEXT_MAX_BYTES: usize = 64;

pub(super) fn serve(
    node: Rc<RefCell<Node>>,
    listener: UnixListener,
) -> Result<impl Future<Output = ()>> {
    let doing = || "listening on the control socket".to_owned();
    listener.set_nonblocking(true).doing(doing)?;
    let listener = tokio::net::UnixListener::from_std(listener).doing(doing)?;
    Ok(async move {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) if from_root(&stream) => {
                    let node = node.clone();
                    tokio::task::spawn_local(async move {
                        // A peer that hangs up in the middle has only itself to answer to.
                        let _ = converse(node, stream).await;
                        drop(place);
                    });
                }
                Ok(_) => {}
                // Out of descriptors, say: let some connections end.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    })
}

fn from_root(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == 0)
}

async fn converse(node: Rc<RefCell<Node>>, stream: UnixStream) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut read).take(LINE_MAX_BYTES as u64);
        let reading = limited.read_until(b'\n', &mut line);
        match tokio::time::timeout(IDLE_MAX, reading).await {
            Ok(Ok(n)) if n > 0 => {}
            _ => return Ok(()),
        }
        let complete = line.ends_with(b"\n");
        let response = if complete {
            match serde_json::from_slice::<Request>(&line) {
                Ok(request) => answer(&node, request)
                    .await
                    .unwrap_or_else(|e| Response::Refused { message: plain(&e) }),
                Err(e) => Response::Refused { message: format!("not a request: {e}") },
            }
        } else {
            Response::Refused { message: format!("a request is at most {LINE_MAX_BYTES} bytes") }
        };
        let mut text = serde_json::to_vec(&response)?;
        text.push(b'\n');
        write.write_all(&text).await?;
        if !complete {
            return Ok(());
        }
    }
}

/// The client says "refused" itself.
fn plain(error: &AgentError) -> String {
    match error {
        AgentError::Refused(message) => message.clone(),
        other => other.to_string(),
    }
}

async fn answer(node: &Rc<RefCell<Node>>, request: Request) -> Result<Response> {
    match request {
        Request::Ping => Ok(Response::Status(node.borrow().status())),
        Request::Check => {
            let answered = node.borrow_mut().check()?;
            match tokio::time::timeout(CHECK_MAX, answered).await {
                Ok(Ok(())) => Ok(Response::Done),
                _ => Err(AgentError::Refused(format!(
                    "init has not answered for {} ms: its processes are stopped, or starve",
                    CHECK_MAX.as_millis()
                ))),
            }
        }
        Request::Mount { device, source, fs_uuid, target } => {
            let entry = ManifestEntry { device, fs_uuid, target };
            node.borrow_mut().mount(entry, &source)?;
            Ok(Response::Done)
        }
        Request::Unmount { target } => {
            node.borrow_mut().unmount(&target)?;
            Ok(Response::Done)
        }
        Request::KnownBy { private_ip, mac, hostname } => {
            node.borrow_mut().known_by(private_ip, mac, hostname)?;
            Ok(Response::Done)
        }
        Request::OpenGate { manifest } => {
            let (opened_at_ms, mut workload) = node.borrow_mut().open_gate(&manifest)?;
            let started = workload.wait_for(|state| *state != WorkloadState::Waiting);
            match tokio::time::timeout(WORKLOAD_START_MAX, started).await {
                Ok(Ok(_)) => Ok(Response::GateOpen { opened_at_ms }),
                _ => Err(AgentError::Refused("init did not say that the workload started".into())),
            }
        }
        Request::SetNotice { action, time } => {
            if !matches!(action.as_str(), "terminate" | "stop" | "hibernate")
                || time.len() > NOTICE_TEXT_MAX_BYTES
                || !time.is_ascii()
            {
                return Err(AgentError::Invalid(
                    "a notice is terminate, stop or hibernate, and an RFC 3339 time".into(),
                ));
            }
            node.borrow_mut().notice = Some(Notice { action, time });
            Ok(Response::Done)
        }
        Request::RunShutdownScript { timeout_ms } => {
            if timeout_ms > SCRIPT_TIMEOUT_MAX_MS {
                return Err(AgentError::Invalid(format!(
                    "a shutdown script may run at most {SCRIPT_TIMEOUT_MAX_MS} ms"
                )));
            }
            let ended = node.borrow_mut().run_shutdown_script(timeout_ms)?;
            let limit = Duration::from_millis(timeout_ms) + SCRIPT_REPORT_MAX;
            let outcome = match tokio::time::timeout(limit, ended).await {
                Ok(Ok(outcome)) => outcome,
                _ => ScriptOutcome::TimedOut,
            };
            Ok(Response::Script { outcome })
        }
        Request::Stop { timeout_ms } => {
            node.borrow_mut().stop(timeout_ms)?;
            Ok(Response::Done)
        }
        Request::Kill => {
            node.borrow_mut().kill()?;
            Ok(Response::Done)
        }
    }
}
