//! `holdfast local pool`: what this host has for volumes, and what was promised of it.

use super::arguments::PoolCommand;
use super::client::Client;
use holdfast_terminal::{Failure, print, print_json};
use holdfast_wire::local::Pool;

/// Shows it.
pub fn run(command: &PoolCommand) -> Result<(), Failure> {
    let pool = look(&command.server.client()?)?;
    if command.json { print_json(&pool) } else { print(&show(&pool)) }
}

/// The pool as the server shows it.
pub fn look(client: &Client) -> Result<Pool, Failure> {
    client.item(&format!("{}/pool", holdfast_api::LOCAL))
}

fn show(pool: &Pool) -> String {
    format!(
        "pool          {}, {} used, {} free\n\
         disk          {} taken by the pool, {} free\n\
         promised      {}\n",
        gib(pool.total_bytes),
        gib(pool.used_bytes),
        gib(pool.free_bytes),
        gib(pool.file_bytes),
        gib(pool.disk_free_bytes),
        promised(pool),
    )
}

/// What was promised, in a sentence.
pub fn promised(pool: &Pool) -> String {
    let rule = if pool.overcommit > 1.0 {
        format!("up to {} times as much may be promised", pool.overcommit)
    } else {
        "never more than that is promised".to_owned()
    };
    let beyond = if pool.promised_bytes > pool.there_bytes {
        "; IF ALL VOLUMES BECOME FULL, WRITES TO THEM FAIL"
    } else {
        ""
    };
    format!(
        "{} to volumes, {} are there; {rule}{beyond}",
        gib(pool.promised_bytes),
        gib(pool.there_bytes)
    )
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit after the point")]
fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / (1_u64 << 30) as f64)
}
