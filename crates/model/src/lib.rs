//! Holdfast's words as data: what users ask for ([`spec`]), what Holdfast has decided and must not
//! forget ([`record`]), what a cloud shows ([`facts`]), what Holdfast asks of it ([`command`]) and
//! what it tells people ([`event`]).
//!
//! **Invariant:** nothing here decides, and nothing here reads a clock, a file or a socket.

pub mod adoption;
pub mod command;
pub mod depth;
pub mod document;
pub mod event;
pub mod facts;
pub mod field_error;
pub mod ids;
pub mod invariant;
pub mod market;
pub mod record;
pub mod replacement;
pub mod shared;
pub mod spec;
pub mod standing;
pub mod tags;
pub mod text;
pub mod time;
pub mod user;
pub mod versions;

pub use command::{CloudError, Command, ErrorClass, Reply};
pub use event::{Event, EventCode, Severity};
pub use facts::{Facts, Known};
pub use field_error::FieldError;
pub use ids::*;
pub use invariant::Invariant;
pub use market::{Lifecycle, Market};
pub use record::Record;
pub use replacement::{Call, CallState, Kind, Replacement, Row, RowState};
pub use shared::{Document, Shared};
pub use spec::Spec;
pub use standing::{Epoch, Standing};
pub use time::Time;
