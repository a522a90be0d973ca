//! Redis.

use super::{ANSWER_TIMEOUT, READ_TIMEOUT};
use crate::trial::writer::Acknowledge;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

fn connect(address: Ipv4Addr, timeout: Duration) -> Result<redis::Connection, String> {
    let client = redis::Client::open((address.to_string(), 6379)).map_err(|e| e.to_string())?;
    let connection =
        client.get_connection_with_timeout(ANSWER_TIMEOUT).map_err(|e| e.to_string())?;
    connection.set_read_timeout(Some(timeout)).map_err(|e| e.to_string())?;
    connection.set_write_timeout(Some(timeout)).map_err(|e| e.to_string())?;
    Ok(connection)
}

pub(super) fn write(address: Ipv4Addr, journal: &mut Acknowledge<'_>) -> Result<(), String> {
    let mut connection = connect(address, ANSWER_TIMEOUT)?;
    while let Some(next) = journal.next() {
        let _: () = redis::cmd("SADD")
            .arg("acked")
            .arg(next)
            .query(&mut connection)
            .map_err(|e| e.to_string())?;
        journal.acknowledged();
    }
    Ok(())
}

pub(super) fn read_back(address: Ipv4Addr) -> Result<BTreeSet<u64>, String> {
    let mut connection = connect(address, READ_TIMEOUT)?;
    let ids: Vec<u64> =
        redis::cmd("SMEMBERS").arg("acked").query(&mut connection).map_err(|e| e.to_string())?;
    Ok(ids.into_iter().collect())
}
