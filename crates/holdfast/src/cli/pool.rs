//! `holdfast local pool`: what this host has for volumes, and what was promised of it.

use super::arguments::PoolCommand;
use super::client::Client;
use holdfast_terminal::Failure;
use holdfast_terminal::{print, print_json};
use serde_json::Value;

/// Shows it.
pub fn run(command: &PoolCommand) -> Result<(), Failure> {
    let pool = look(&command.server.client()?)?;
    if command.json { print_json(&pool) } else { print(&show(&pool)) }
}

/// The pool as the server shows it.
pub fn look(client: &Client) -> Result<Value, Failure> {
    let mut response = client.get(&format!("{}/pool", holdfast_api::LOCAL))?;
    Ok(response.pointer_mut("/items/0").map(Value::take).unwrap_or_default())
}

fn show(pool: &Value) -> String {
    let size = |member: &str| gib(pool[member].as_u64().unwrap_or_default());
    format!(
        "pool          {}, {} used, {} free\n\
         disk          {} taken by the pool, {} free\n\
         promised      {}\n",
        size("totalBytes"),
        size("usedBytes"),
        size("freeBytes"),
        size("fileBytes"),
        size("diskFreeBytes"),
        promised(pool),
    )
}

/// What was promised, in a sentence.
pub fn promised(pool: &Value) -> String {
    let bytes = |member: &str| pool[member].as_u64().unwrap_or_default();
    let overcommit = pool["overcommit"].as_f64().unwrap_or_default();
    let rule = if overcommit > 1.0 {
        format!("up to {overcommit} times as much may be promised")
    } else {
        "never more than that is promised".to_owned()
    };
    let beyond = if bytes("promisedBytes") > bytes("thereBytes") {
        "; IF ALL VOLUMES BECOME FULL, WRITES TO THEM FAIL"
    } else {
        ""
    };
    format!(
        "{} to volumes, {} are there; {rule}{beyond}",
        gib(bytes("promisedBytes")),
        gib(bytes("thereBytes"))
    )
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit after the point")]
fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / (1_u64 << 30) as f64)
}
