//! PostgreSQL.

use crate::trial::journal::Acknowledge;
use crate::trial::patience::{Patience, READ_TIMEOUT};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::time::timeout;
use tokio_postgres::{Client, Statement};

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())
}

async fn connect(address: Ipv4Addr, patience: Duration) -> Result<Client, String> {
    let mut config = tokio_postgres::Config::new();
    config.host(address.to_string()).user("postgres").dbname("postgres").connect_timeout(patience);
    let (client, connection) = config.connect(tokio_postgres::NoTls).await.map_err(text)?;
    tokio::spawn(connection);
    Ok(client)
}

async fn begin(address: Ipv4Addr, patience: Patience) -> Result<(Client, Statement), String> {
    let client = connect(address, patience.connect).await?;
    client
        .batch_execute("CREATE TABLE IF NOT EXISTS acked (id bigint PRIMARY KEY)")
        .await
        .map_err(text)?;
    let insert = client
        .prepare("INSERT INTO acked (id) VALUES ($1) ON CONFLICT DO NOTHING")
        .await
        .map_err(text)?;
    Ok((client, insert))
}

pub(super) fn write(
    address: Ipv4Addr,
    patience: Patience,
    journal: &mut Acknowledge<'_>,
) -> Result<(), String> {
    runtime()?.block_on(async {
        let (client, insert) = timeout(patience.begin, begin(address, patience))
            .await
            .map_err(|_| "no answer to a connection".to_owned())??;
        while let Some(next) = journal.next() {
            let id = i64::try_from(next).map_err(|e| e.to_string())?;
            timeout(patience.answer, client.execute(&insert, &[&id]))
                .await
                .map_err(|_| "no answer to a write".to_owned())?
                .map_err(text)?;
            journal.acknowledged();
        }
        Ok(())
    })
}

pub(super) fn leave_behind(address: Ipv4Addr, rows: u64) -> Result<(), String> {
    // Each statement in a transaction of its own: rows of a table that is as new as they are could
    // stay out of the log.
    let statements = [
        "CREATE TABLE IF NOT EXISTS behind (row bigint, content text)".to_owned(),
        "TRUNCATE behind".to_owned(),
        format!(
            "INSERT INTO behind SELECT row, repeat(md5(row::text), 32) \
             FROM generate_series(1, {rows}) AS row"
        ),
    ];
    runtime()?.block_on(async {
        let write = async {
            let client = connect(address, READ_TIMEOUT).await?;
            for statement in statements {
                client.batch_execute(&statement).await.map_err(text)?;
            }
            Ok(())
        };
        timeout(READ_TIMEOUT, write).await.map_err(|_| "writing took too long".to_owned())?
    })
}

pub(super) fn read_back(address: Ipv4Addr) -> Result<BTreeSet<u64>, String> {
    runtime()?.block_on(async {
        let read = async {
            let client = connect(address, READ_TIMEOUT).await?;
            client.query("SELECT id FROM acked", &[]).await.map_err(text)
        };
        let rows = timeout(READ_TIMEOUT, read)
            .await
            .map_err(|_| "reading back took too long".to_owned())??;
        let ids = rows.iter().map(|row| row.get::<_, i64>(0));
        Ok(ids.filter_map(|id| u64::try_from(id).ok()).collect())
    })
}

fn text(error: tokio_postgres::Error) -> String {
    error.to_string()
}
