//! What can go wrong with the network, each with its remedy.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Why a network operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// Namespaces and links need root.
    #[error("the nodes' network needs root (network namespaces); start Holdfast as root")]
    NotRoot,
    /// The fabric is not there.
    #[error(
        "the network fabric {path} is not there; start the server on this data directory, which \
         makes it"
    )]
    NoFabric {
        /// Where it would be pinned.
        path: PathBuf,
    },
    /// A node's namespace is not there.
    #[error("no network namespace is pinned at {path}; the node is not plugged in")]
    NoNamespace {
        /// Where it would be pinned.
        path: PathBuf,
    },
    /// The fabric has addresses that the configuration does not know.
    #[error(
        "the fabric {path} already has the gateway {found}, which the configured range {range} \
         does not; configure the range that it was made with, or give up its nodes with \
         `holdfast local reset`"
    )]
    OtherRange {
        /// The fabric.
        path: PathBuf,
        /// The address that is not expected.
        found: Ipv4Addr,
        /// The configured range.
        range: String,
    },
    /// A name that cannot be a file's name, or is taken.
    #[error(
        "{name:?} cannot name a node's namespace: letters, digits and hyphens only, at most 64, \
         and not \"fabric\""
    )]
    BadName {
        /// The name.
        name: String,
    },
    /// An interface that could not work.
    #[error("the interface of {name} cannot be used: {why}")]
    BadInterface {
        /// The node.
        name: String,
        /// What is wrong, and what it should be.
        why: String,
    },
    /// A forwarder listens for this host's users only.
    #[error(
        "a forwarder cannot listen on {listen}: it has no authentication, so only addresses of \
         the host's loopback such as 127.0.0.1 are allowed"
    )]
    NotLoopback {
        /// The address that was asked for.
        listen: SocketAddr,
    },
    /// The kernel refused a change of links, addresses or routes.
    #[error("{doing} {what}: {cause}")]
    Netlink {
        /// What was done, as a participle.
        doing: &'static str,
        /// To what.
        what: String,
        /// The kernel's word.
        cause: io::Error,
    },
    /// The kernel did not answer.
    #[error(
        "the kernel did not answer a change of {what} within {waited_s} s; `dmesg` may say why, \
         then try again"
    )]
    NoAnswer {
        /// What was being changed.
        what: String,
        /// How long it was waited for, in seconds.
        waited_s: u64,
    },
    /// The operating system refused.
    #[error("{doing} {path}: {cause}")]
    Io {
        /// What was done, as a participle.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The kernel's word.
        cause: io::Error,
    },
    /// A port could not be listened on.
    #[error("listening on {listen}: {cause}; choose another port, or stop what uses it")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// The kernel's word.
        cause: io::Error,
    },
    /// No thread could be started.
    #[error("starting a thread: {cause}; raise the limit on processes (`ulimit -u`)")]
    Thread {
        /// The kernel's word.
        cause: io::Error,
    },
}

impl NetworkError {
    /// For `map_err`: an I/O error with what was being done, to what. Lack of permission keeps
    /// its class.
    pub(super) fn io<E: Into<io::Error>>(
        doing: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> NetworkError + use<E> {
        let path = path.to_owned();
        move |cause| {
            let cause = cause.into();
            match cause.raw_os_error() {
                Some(libc::EPERM) => NetworkError::NotRoot,
                _ => NetworkError::Io { doing, path, cause },
            }
        }
    }
}
