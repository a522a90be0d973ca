//! etcd, through its JSON gateway.

use crate::trial::journal::Acknowledge;
use crate::trial::patience::{Patience, READ_TIMEOUT};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;
use ureq::Agent;

/// What every key begins with.
const PREFIX: &str = "acked/";
/// The first key after all of them.
const AFTER: &str = "acked0";
/// The largest answer in bytes.
const MAX_ANSWER: u64 = 1 << 30;

fn agent(connect: Duration, answer: Duration) -> Agent {
    let config = Agent::config_builder()
        .proxy(None)
        .timeout_connect(Some(connect))
        .timeout_global(Some(answer));
    config.build().into()
}

fn ask(agent: &Agent, address: Ipv4Addr, method: &str, body: &Value) -> Result<Value, String> {
    let url = format!("http://{address}:2379/v3/kv/{method}");
    let mut answer = agent.post(url).send(body.to_string()).map_err(|e| e.to_string())?;
    let text = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
    serde_json::from_slice(&text.map_err(|e| e.to_string())?).map_err(|e| e.to_string())
}

pub(super) fn write(
    address: Ipv4Addr,
    patience: Patience,
    journal: &mut Acknowledge<'_>,
) -> Result<(), String> {
    let agent = agent(patience.connect, patience.answer);
    while let Some(next) = journal.next() {
        let key = STANDARD.encode(format!("{PREFIX}{next}"));
        let answer = ask(&agent, address, "put", &json!({ "key": key, "value": "" }))?;
        if answer.pointer("/header/revision").is_none() {
            return Err(format!("etcd answered {answer}"));
        }
        journal.acknowledged();
    }
    Ok(())
}

pub(super) fn read_back(address: Ipv4Addr) -> Result<BTreeSet<u64>, String> {
    let range = json!({
        "key": STANDARD.encode(PREFIX), "range_end": STANDARD.encode(AFTER), "keys_only": true,
    });
    let answer = ask(&agent(READ_TIMEOUT, READ_TIMEOUT), address, "range", &range)?;
    let found = answer["kvs"].as_array().cloned().unwrap_or_default();
    let ids = found.iter().filter_map(|kv| {
        let key = STANDARD.decode(kv["key"].as_str()?).ok()?;
        String::from_utf8(key).ok()?.strip_prefix(PREFIX)?.parse().ok()
    });
    Ok(ids.collect())
}
