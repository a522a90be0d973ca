//! The model's tests: specs, documents, stored records.

mod document;
mod record;
mod spec;
