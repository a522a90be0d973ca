//! The rows of the table, a file each.

pub mod attach;
pub mod capture;
pub mod drain;
pub(crate) mod ended;
pub mod fence;
pub mod launch;
pub mod place;
pub mod probe;
pub mod ready;
pub mod retire;
pub mod standby;
pub mod stop;
