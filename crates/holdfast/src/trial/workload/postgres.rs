//! PostgreSQL.

use super::{ANSWER_TIMEOUT, READ_TIMEOUT};
use crate::trial::writer::Acknowledge;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())
}

async fn connect(address: Ipv4Addr) -> Result<tokio_postgres::Client, String> {
    let mut config = tokio_postgres::Config::new();
    config.host(address.to_string()).user("postgres").dbname("postgres");
    let connect = config.connect(tokio_postgres::NoTls);
    let (client, connection) = tokio::time::timeout(ANSWER_TIMEOUT, connect)
        .await
        .map_err(|_| "no answer to a connection".to_owned())?
        .map_err(|e| e.to_string())?;
    tokio::spawn(connection);
    Ok(client)
}

pub(super) fn write(address: Ipv4Addr, journal: &mut Acknowledge<'_>) -> Result<(), String> {
    runtime()?.block_on(async {
        let client = connect(address).await?;
        let text = |e: tokio_postgres::Error| e.to_string();
        client
            .batch_execute("CREATE TABLE IF NOT EXISTS acked (id bigint PRIMARY KEY)")
            .await
            .map_err(text)?;
        let insert = client
            .prepare("INSERT INTO acked (id) VALUES ($1) ON CONFLICT DO NOTHING")
            .await
            .map_err(text)?;
        while let Some(next) = journal.next() {
            let id = i64::try_from(next).map_err(|e| e.to_string())?;
            tokio::time::timeout(ANSWER_TIMEOUT, client.execute(&insert, &[&id]))
                .await
                .map_err(|_| "no answer to a write".to_owned())?
                .map_err(text)?;
            journal.acknowledged();
        }
        Ok(())
    })
}

pub(super) fn read_back(address: Ipv4Addr) -> Result<BTreeSet<u64>, String> {
    runtime()?.block_on(async {
        let client = connect(address).await?;
        let rows = tokio::time::timeout(READ_TIMEOUT, client.query("SELECT id FROM acked", &[]))
            .await
            .map_err(|_| "reading back took too long".to_owned())?
            .map_err(|e| e.to_string())?;
        let ids = rows.iter().map(|row| row.get::<_, i64>(0));
        Ok(ids.filter_map(|id| u64::try_from(id).ok()).collect())
    })
}
