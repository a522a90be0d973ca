//! `holdfast local pool`: what this host has for volumes, and what was promised of it.

use super::address_routes::blocking;
use super::client::Client;
use super::exit::Failure;
use super::options::ServerOptions;
use super::routes::Local;
use super::{print, print_json};
use axum::extract::State;
use clap::Args;
use holdfast_api::Answer;
use holdfast_cloud_local::{LocalCloud, PoolView};
use holdfast_wire::Answered;
use holdfast_wire::local::Pool;

/// `holdfast local pool`.
#[derive(Debug, Args)]
pub struct PoolCommand {
    /// Which server.
    #[command(flatten)]
    pub server: ServerOptions,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

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

/// What this host has for volumes.
#[utoipa::path(get, path = "/pool", tag = "local",
    responses((status = 200, body = Answered<Pool>)))]
pub async fn route(State(local): State<Local>) -> Result<Answer<Pool>, holdfast_api::Failure> {
    let view = blocking(local.cloud, LocalCloud::pool).await?;
    Ok(Answer::item("holdfast:local:pool", shown(&view)))
}

fn shown(view: &PoolView) -> Pool {
    Pool {
        total_bytes: view.room.total_bytes,
        used_bytes: view.room.used_bytes(),
        free_bytes: view.room.free_bytes,
        file_bytes: view.room.file_bytes,
        disk_free_bytes: view.room.disk_free_bytes,
        there_bytes: view.room.there_bytes(),
        promised_bytes: view.promised_bytes,
        most_bytes: view.most_bytes(),
        overcommit: view.overcommit,
    }
}
