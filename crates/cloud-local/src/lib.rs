//! Real nodes on this Linux host: volumes, interfaces, namespaces, metadata service.
//!
//! [`LocalCloud`] is region `local-1` behind the `Cloud` trait. Its words are EC2's, so that one
//! spec moves between both by changing ids.
//!
//! No file names one of a floor above its own (`tests/it/floors.rs`):
//!
//! ```text
//! whole       cloud (LocalCloud: commands in, facts out)  rebuild (a lost memory made anew, with revive)
//!             reset (giving it all up)
//! by itself   keeper  checks (whether instances are well)  reclaim (space that is given back)
//!             recover (after a kill -9)  account (what has no row)
//! commands    launch (RunInstances)  power (how instances end)  gate (drain, open the gate)
//!             volumes  images  interfaces  addresses  markets  promises (what volumes may become)
//!             user_volumes, user_instances, unaccounted (what people do)
//! host        the open memory, pool and network, which everything above works with
//! parts       strangers, deletions, turns, writes (what `host` holds)  lookup, requests (how is asked)
//!             region, types (what is offered)  revive (rows of labels)  damage (rows that are damaged)
//!             node (the certain end of a node)  ids  metadata_options  private  shared_usr
//! refusal     how it says no
//! memory      state (what it remembers), rows, labels (the memory once more, beside the images)
//! ground      storage (the pool, volumes, power cuts)  network (the fabric, nodes' links)  clock  sums
//! ```
//!
//! **Invariant:** an instance is shown as terminated only when the kernel has given back every
//! device that it could have written to.

mod account;
mod addresses;
mod checks;
mod clock;
mod cloud;
mod damage;
mod deletions;
mod gate;
mod host;
mod ids;
mod images;
mod interfaces;
mod keeper;
mod labels;
mod launch;
mod lookup;
mod markets;
mod metadata_options;
pub mod network;
mod node;
mod power;
mod private;
mod promises;
mod rebuild;
mod reclaim;
mod recover;
mod refusal;
mod region;
mod requests;
mod reset;
mod revive;
mod rows;
mod shared_usr;
mod state;
pub mod storage;
mod strangers;
mod sums;
mod turns;
mod types;
mod unaccounted;
mod user_instances;
mod user_volumes;
mod volumes;
mod writes;

pub use addresses::LocalAddress;
pub use cloud::LocalOptions;
pub use host::LocalCloud;
pub use images::HOST_IMAGE;
pub use markets::{MAX_HOURLY_USD, MarketChange, MarketView};
pub use promises::{MAX_OVERCOMMIT, OVERCOMMIT, PoolView};
pub use rebuild::{Rebuilt, rebuild};
pub use refusal::LocalError;
pub use region::{ACCOUNT, REGION, VPC, ZONES, subnet_of};
pub use reset::reset;
pub use state::StateError;
pub use unaccounted::{Thing, Unaccounted};
