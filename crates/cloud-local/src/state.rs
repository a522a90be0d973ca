//! The local cloud's memory: one SQLite file. What is durable here is what EC2 would remember;
//! what is attached, mounted or running is asked of the kernel.
//!
//! Every row has a checksum. One that is damaged is left out of what is listed, refused where it is
//! asked for, and stops nothing else (`damage.rs` puts right what can be).

mod addresses;
mod cells;
mod error;
mod instances;
mod markets;
mod salvage;
mod schema;
mod table;

pub(crate) use addresses::ADDRESS;
pub use error::StateError;
pub(crate) use instances::{INSTANCE, Kept};
pub(crate) use markets::{MARKET, MarketRow};
pub(crate) use salvage::Salvage;
pub(crate) use table::{FILE, State, Table};
