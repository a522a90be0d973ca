//! Real nodes on this Linux host: volumes, interfaces, namespaces, metadata service.

pub mod storage;
