//! Real nodes on this Linux host: volumes, interfaces, namespaces, metadata service.
//!
//! [`LocalCloud`] is region `local-1` behind the `Cloud` trait. Its words are EC2's, so that one
//! spec moves between both by changing ids.
//!
//! ```text
//! cloud.rs      LocalCloud: commands in, facts out         rows.rs, state.rs   what it remembers
//! launch.rs     RunInstances                               region.rs, types.rs what it offers
//! power.rs      terminate, interrupt: how instances end    refusal.rs          how it says no
//! gate.rs       drain, open the gate                       keeper.rs           what happens by itself
//! checks.rs     whether instances are well                 writes.rs           who wrote since
//! reclaim.rs    space that is given back                   promises.rs         what volumes may become
//! node.rs       the certain end of a node                  markets.rs          what is set for markets
//! user_volumes.rs, user_instances.rs  what people do with what is theirs
//! shared_usr.rs what a node sees of the host's /usr that it should not
//! volumes.rs, images.rs, interfaces.rs, addresses.rs       recover.rs          after a kill -9
//! labels.rs     the memory once more, beside the images    account.rs          what has no row
//! rebuild.rs    a lost memory made anew, with revive.rs    damage.rs           a row that is damaged
//! unaccounted.rs  what people do with what has no row      sums.rs             checksums
//! storage/      the pool, volumes, power cuts              reset.rs            giving it all up
//! network/      the fabric, nodes' links
//! ```
//!
//! **Invariant:** an instance is shown as terminated only when the kernel has given back every
//! device that it could have written to.

mod account;
mod addresses;
mod checks;
mod cloud;
mod damage;
mod gate;
mod images;
mod interfaces;
mod keeper;
mod labels;
mod launch;
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
mod reset;
mod revive;
mod rows;
mod shared_usr;
mod state;
pub mod storage;
mod sums;
mod types;
mod unaccounted;
mod user_instances;
mod user_volumes;
mod volumes;
mod writes;

pub use addresses::LocalAddress;
pub use cloud::{LocalCloud, LocalOptions};
pub use images::HOST_IMAGE;
pub use markets::{MAX_HOURLY_USD, MarketChange, MarketView};
pub use promises::{MAX_OVERCOMMIT, OVERCOMMIT, PoolView};
pub use rebuild::{Rebuilt, rebuild};
pub use refusal::LocalError;
pub use region::{ACCOUNT, REGION, VPC, ZONES, subnet_of};
pub use reset::reset;
pub use state::StateError;
pub use unaccounted::{Thing, Unaccounted};
