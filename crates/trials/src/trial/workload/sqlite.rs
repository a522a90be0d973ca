//! A server of a few lines before SQLite: see `examples/sqlite.yaml`.

use super::lines::Lines;
use crate::trial::journal::Acknowledge;
use crate::trial::patience::{Patience, READ_TIMEOUT};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

const PORT: u16 = 7_000;

pub(super) fn write(
    address: Ipv4Addr,
    patience: Patience,
    journal: &mut Acknowledge<'_>,
) -> Result<(), String> {
    let mut connection = Lines::connect(address, PORT, patience.connect, patience.answer)?;
    while let Some(next) = journal.next() {
        let answer = connection.ask(&format!("W {next}\n"))?;
        if answer != format!("OK {next}") {
            return Err(format!("the server answered {answer}"));
        }
        journal.acknowledged();
    }
    Ok(())
}

pub(super) fn read_back(address: Ipv4Addr) -> Result<BTreeSet<u64>, String> {
    let mut connection = Lines::connect(address, PORT, READ_TIMEOUT, READ_TIMEOUT)?;
    Ok(connection.ask("R\n")?.split(' ').filter_map(|id| id.parse().ok()).collect())
}
