//! The servers that are tried: what runs in the node, and what speaks to it from outside.

mod etcd;
mod lines;
mod mariadb;
mod postgres;
mod redis;
mod sqlite;

use super::journal::Acknowledge;
use super::patience::Patience;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// A server that keeps what it has acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Workload {
    /// PostgreSQL: one INSERT per id.
    Postgres,
    /// Redis: one SADD per id.
    Redis,
    /// MariaDB: one INSERT per id.
    Mariadb,
    /// etcd: one put per id. Not for benchmarks.
    #[value(skip)]
    Etcd,
    /// A small server before SQLite. Not for benchmarks.
    #[value(skip)]
    Sqlite,
}

impl Workload {
    /// Its node's name in its spec.
    pub fn name(self) -> &'static str {
        match self {
            Workload::Postgres => "postgres",
            Workload::Redis => "redis",
            Workload::Mariadb => "mariadb",
            Workload::Etcd => "etcd",
            Workload::Sqlite => "sqlite",
        }
    }

    /// Its node's spec: the example that people start with.
    pub fn spec(self) -> &'static str {
        match self {
            Workload::Postgres => include_str!("../../../../examples/postgres.yaml"),
            Workload::Redis => include_str!("../../../../examples/redis.yaml"),
            Workload::Mariadb => include_str!("../../../../examples/mariadb.yaml"),
            Workload::Etcd => include_str!("../../../../examples/etcd.yaml"),
            Workload::Sqlite => include_str!("../../../../examples/sqlite.yaml"),
        }
    }

    /// Connects and writes ids, from the next one on, until told to stop or something fails.
    pub fn write(
        self,
        address: Ipv4Addr,
        patience: Patience,
        journal: &mut Acknowledge<'_>,
    ) -> Result<(), String> {
        match self {
            Workload::Postgres => postgres::write(address, patience, journal),
            Workload::Redis => redis::write(address, patience, journal),
            Workload::Mariadb => mariadb::write(address, patience, journal),
            Workload::Etcd => etcd::write(address, patience, journal),
            Workload::Sqlite => sqlite::write(address, patience, journal),
        }
    }

    /// Whether [`Workload::leave_behind`] means something to it.
    pub fn has_checkpoints(self) -> bool {
        matches!(self, Workload::Postgres | Workload::Mariadb)
    }

    /// Writes so many rows of 1 KiB to a table of their own, which are in the server's log and in
    /// none of its checkpoints: what a crash leaves to be replayed. The table is emptied first.
    pub fn leave_behind(self, address: Ipv4Addr, rows: u64) -> Result<(), String> {
        match self {
            Workload::Postgres => postgres::leave_behind(address, rows),
            Workload::Mariadb => mariadb::leave_behind(address, rows),
            _ => Err(format!("{} reads its whole log at every start", self.name())),
        }
    }

    /// Every id that the server has.
    pub fn read_back(self, address: Ipv4Addr) -> Result<BTreeSet<u64>, String> {
        match self {
            Workload::Postgres => postgres::read_back(address),
            Workload::Redis => redis::read_back(address),
            Workload::Mariadb => mariadb::read_back(address),
            Workload::Etcd => etcd::read_back(address),
            Workload::Sqlite => sqlite::read_back(address),
        }
    }
}
