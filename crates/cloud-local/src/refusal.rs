//! Refusals in EC2's codes (EC2 API reference, "Error codes"), and how this host's own failures
//! are told.

use crate::state::StateError;
use crate::storage::StorageError;
use holdfast_agent::AgentError;
pub(crate) use holdfast_cloud::refusal::{conflict, error, not_found, refused};
use holdfast_model::{CloudError, ErrorClass};
use std::path::{Path, PathBuf};

/// Why the local cloud as a whole could not be opened, changed or taken down.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// Volumes.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The memory.
    #[error(transparent)]
    State(#[from] StateError),
    /// Interfaces.
    #[error(transparent)]
    Network(#[from] crate::network::NetworkError),
    /// A node.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// A file.
    #[error("{doing} {path}: {cause}")]
    Io {
        /// What was done, as a participle.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's word.
        cause: std::io::Error,
    },
    /// The request cannot be met.
    #[error("{0}")]
    Refused(CloudError),
}

impl From<CloudError> for LocalError {
    fn from(error: CloudError) -> Self {
        LocalError::Refused(error)
    }
}

/// The host failed: nobody knows how far it came, and the same request finishes it.
fn internal(message: String) -> CloudError {
    error(ErrorClass::OutcomeUnknown, "InternalError", message)
}

impl From<StateError> for CloudError {
    fn from(e: StateError) -> Self {
        if e.is_no_space() {
            return error(ErrorClass::Storage, "MaxStorageExceeded", e.to_string());
        }
        internal(e.to_string())
    }
}

impl From<StorageError> for CloudError {
    fn from(e: StorageError) -> Self {
        let message = e.to_string();
        match e {
            StorageError::NoSpace { .. } => {
                error(ErrorClass::Storage, "MaxStorageExceeded", message)
            }
            StorageError::FilesystemDoesNotMount { .. } => {
                refused("FilesystemDoesNotMount", message)
            }
            StorageError::TooSmall { .. } => refused("InvalidParameterValue", message),
            StorageError::NotFound { .. } | StorageError::BadId { .. } => {
                refused("InvalidVolume.NotFound", message)
            }
            StorageError::InUse { .. } | StorageError::StillHeld { .. } => {
                conflict("VolumeInUse", message)
            }
            _ => internal(message),
        }
    }
}

impl From<LocalError> for CloudError {
    fn from(e: LocalError) -> Self {
        match e {
            LocalError::Storage(e) => e.into(),
            LocalError::State(e) => e.into(),
            LocalError::Refused(e) => e,
            LocalError::Agent(AgentError::Refused(message) | AgentError::Invalid(message)) => {
                refused("InvalidParameterValue", message)
            }
            LocalError::Agent(e @ AgentError::NotRunning { .. }) => {
                conflict("IncorrectInstanceState", e.to_string())
            }
            other @ (LocalError::Network(_) | LocalError::Agent(_) | LocalError::Io { .. }) => {
                internal(other.to_string())
            }
        }
    }
}

/// An error with a file or directory, for `map_err`.
pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> LocalError {
    let path = path.to_owned();
    move |cause| LocalError::Io { doing, path, cause }
}
