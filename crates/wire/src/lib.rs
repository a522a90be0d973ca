//! What goes over the wire: one type for each request and each answer. The server writes these and
//! describes the interface by them, clients read them, and nobody has another idea of a member.
//!
//! ```text
//! envelope.rs   what every answer is in          node.rs     nodes in Spot's interface
//! own.rs        nodes in Holdfast's own          record.rs   what was decided about a node
//! facts.rs      what the cloud shows             fleet.rs    the fleet as a whole, adoption
//! local.rs      the cloud of this host           flag.rs     flags, also as texts
//! check.rs      whether an answer is as it was described
//! ```
//!
//! Members in camel case are the interface's own. Inside `record`, and of what the cloud shows, they
//! have underscores. Instants are milliseconds since 1970 there, and RFC 3339 in UTC elsewhere.
//!
//! **Invariant:** nothing here is stored, and nothing that is stored is here: a record may change its
//! layout without anybody's scripts noticing.

pub mod check;
mod envelope;
mod facts;
mod flag;
mod fleet;
pub mod local;
mod node;
mod own;
pub mod record;

pub use envelope::{
    Answered, Failed, FailedBody, Items, Reason, RequestEcho, Status, StatusBody, StatusCode,
};
pub use facts::{Association, Attachment, Image, Instance, Interface, Resource, Snapshot, Volume};
pub use flag::as_flag;
pub use fleet::{
    AdoptRequest, CallLimit, Candidate, CooledMarket, FleetStatus, Freeze, FreezeRequest, Health,
    Question, Standing, Unaccounted,
};
pub use node::{
    Deallocation, Deletion, ListedNode, LogEntry, ManagedInstance, Node, NodeRequest, NodeStatus,
};
pub use own::{
    Choice, DecisionRequest, Event, Generation, KeptVolume, Lifecycle, Market, NodeSummary,
    RollbackRequest, UndeleteRequest, WholeNode,
};

use serde::de::DeserializeOwned;

/// The body of a request.
pub trait RequestBody: DeserializeOwned {
    /// One that is in order, as JSON.
    const EXAMPLE: &'static str;
}
