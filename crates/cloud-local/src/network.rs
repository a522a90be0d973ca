//! The nodes' network: one VPC on this host, in a network namespace of its own.
//!
//! ```text
//!   host's namespace          untouched; reaches nodes only through `Forwarder` and `in_fabric`
//!   <dir>/netns/fabric        bridge hf0: the gateway of every zone's subnet, forwards between them
//!     hf-3b1f09c2a7d4 ──┐     one veth for each node, named after the node
//!   <dir>/netns/<node>  └─    eth0: fixed MAC and private IP; lo: 127.0.0.1 and the metadata address
//! ```
//!
//! A namespace is pinned by a bind mount, as `ip netns` does, so it outlives the server. Nothing is
//! remembered here: what is plugged in is asked of the kernel each time.
//!
//! **Invariant:** no thread that lives on ever changes its namespace. Each operation has a thread of
//! its own that enters, works and ends.

mod address;
mod error;
mod fabric;
mod forwarder;
mod inventory;
mod namespace;
mod netlink;

pub use address::{BadAddress, MacAddress, Subnet, VpcLayout, ZoneSubnet, first_free};
pub use error::NetworkError;
pub use fabric::{Fabric, Interface, MAX_DEVICE_INDEX, METADATA_ADDRESS, NodeNamespace, in_fabric};
pub use forwarder::{Forwarder, MAX_CONNECTIONS};
pub use inventory::{NetworkInventory, inventory, teardown};
pub use namespace::in_namespace;
