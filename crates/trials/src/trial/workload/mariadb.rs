//! MariaDB.

use crate::trial::journal::Acknowledge;
use crate::trial::patience::{Patience, READ_TIMEOUT};
use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Its user, without a password, and its database: as in the example.
const USER: &str = "orders";

fn connect(address: Ipv4Addr, connect: Duration, answer: Duration) -> Result<Conn, String> {
    let options = OptsBuilder::new()
        .ip_or_hostname(Some(address.to_string()))
        .user(Some(USER))
        .db_name(Some(USER))
        // Else it would look for a socket on this host.
        .prefer_socket(false)
        .tcp_connect_timeout(Some(connect))
        .read_timeout(Some(answer))
        .write_timeout(Some(answer));
    Conn::new(options).map_err(|e| e.to_string())
}

pub(super) fn write(
    address: Ipv4Addr,
    patience: Patience,
    journal: &mut Acknowledge<'_>,
) -> Result<(), String> {
    let mut connection = connect(address, patience.connect, patience.answer)?;
    connection
        .query_drop(
            "CREATE TABLE IF NOT EXISTS acked \
             (id bigint PRIMARY KEY, tries bigint NOT NULL DEFAULT 0) ENGINE=InnoDB",
        )
        .map_err(|e| e.to_string())?;
    // A second try changes the row: InnoDB shows a commit before it has flushed it, so a second try
    // that merely finds the row would be acknowledged without waiting for the flush.
    let insert = connection
        .prep("INSERT INTO acked (id) VALUES (?) ON DUPLICATE KEY UPDATE tries = tries + 1")
        .map_err(|e| e.to_string())?;
    while let Some(next) = journal.next() {
        connection.exec_drop(&insert, (next,)).map_err(|e| e.to_string())?;
        journal.acknowledged();
    }
    Ok(())
}

pub(super) fn leave_behind(address: Ipv4Addr, rows: u64) -> Result<(), String> {
    let mut connection = connect(address, READ_TIMEOUT, READ_TIMEOUT)?;
    let statements = [
        "CREATE TABLE IF NOT EXISTS behind (row bigint PRIMARY KEY, content varchar(1024))"
            .to_owned(),
        "TRUNCATE behind".to_owned(),
        format!("INSERT INTO behind SELECT seq, REPEAT(MD5(seq), 32) FROM seq_1_to_{rows}"),
    ];
    for statement in statements {
        connection.query_drop(statement).map_err(|e| e.to_string())?;
    }
    Ok(())
}

pub(super) fn read_back(address: Ipv4Addr) -> Result<BTreeSet<u64>, String> {
    let mut connection = connect(address, READ_TIMEOUT, READ_TIMEOUT)?;
    let ids: Vec<u64> = connection.query("SELECT id FROM acked").map_err(|e| e.to_string())?;
    Ok(ids.into_iter().collect())
}
