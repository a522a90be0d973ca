//! `holdfast local market …`: the markets of this host, as commands show and set them.

use super::arguments::{ALL, MarketCommand, MarketSetting, MarketVerb, Number, Price};
use super::client::{Client, printable};
use super::tables;
use holdfast_terminal::{Code, Failure};
use holdfast_terminal::{complain, print, print_json};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A market, as the server tells of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// Its instance type.
    pub instance_type: String,
    /// Its zone.
    pub zone: String,
    /// `spot` or `on-demand`.
    pub lifecycle: String,
    /// US dollars for an hour.
    pub hourly_usd: f64,
    /// What it usually costs.
    pub usual_usd: f64,
    /// How many instances it takes.
    pub capacity: Option<u32>,
    /// How many you may have.
    pub quota: Option<u32>,
    /// What runs in it.
    pub instances: Vec<String>,
    /// Whether something was set.
    pub changed: bool,
}

/// Does what a market command says.
pub fn run(command: &MarketCommand) -> Result<(), Failure> {
    let client = command.server.client()?;
    match &command.verb {
        MarketVerb::List { instance_type, zone, changed } => {
            list(&client, instance_type, zone, *changed, command.json)
        }
        MarketVerb::Set(setting) => set(&client, setting, command.json),
    }
}

fn path() -> String {
    format!("{}/markets", holdfast_api::LOCAL)
}

fn list(
    client: &Client,
    instance_type: &str,
    zone: &str,
    changed: bool,
    as_json: bool,
) -> Result<(), Failure> {
    let mut response = client.get(&path())?;
    let items = response.get_mut("items").map(Value::take).unwrap_or_default();
    let Value::Array(mut items) = items else { return Err(other_version()) };
    for (what, member, asked) in
        [("instance type", "instanceType", instance_type), ("zone", "zone", zone)]
    {
        let mut known: Vec<&str> = items.iter().filter_map(|i| i[member].as_str()).collect();
        if asked != ALL && !known.contains(&asked) {
            known.dedup();
            known.sort_unstable();
            known.dedup();
            let why = format!("there is no {what} {asked}; there are {}", known.join(", "));
            return Err(Failure::new(Code::Usage, why));
        }
    }
    let is = |item: &Value, member: &str, asked: &str| asked == ALL || item[member] == asked;
    items.retain(|i| is(i, "instanceType", instance_type) && is(i, "zone", zone));
    let markets = read(&Value::Array(items.clone()))?;
    let shown = |place: &Shown| {
        let twins = markets.iter().filter(|m| m.is_at(place));
        !changed || twins.into_iter().any(|m| m.changed)
    };
    if as_json {
        let kept = items.into_iter().zip(&markets).filter(|(_, m)| shown(m)).map(|(i, _)| i);
        return print_json(&kept.collect());
    }
    let kept: Vec<Shown> = markets.iter().filter(|m| shown(m)).cloned().collect();
    if kept.is_empty() {
        return print("Nothing was set: every market is as usual.\n");
    }
    print(&in_a_table(&kept))
}

impl Shown {
    /// Whether both are of one type and zone.
    fn is_at(&self, other: &Shown) -> bool {
        self.instance_type == other.instance_type && self.zone == other.zone
    }
}

fn read(markets: &Value) -> Result<Vec<Shown>, Failure> {
    Vec::<Shown>::deserialize(markets).map_err(|_| other_version())
}

fn other_version() -> Failure {
    Failure::new(Code::Failed, "the server has another version than this command")
}

/// Markets in a table, spot and on-demand of a type and zone in one line.
fn in_a_table(markets: &[Shown]) -> String {
    let header = tables::words(&[
        "TYPE",
        "ZONE",
        "SPOT $/H",
        "ROOM",
        "QUOTA",
        "RUN",
        "ON-DEMAND $/H",
        "ROOM",
        "QUOTA",
        "RUN",
    ]);
    let number = |n: Option<u32>| n.map_or_else(|| "any".to_owned(), |n| n.to_string());
    let cells = |market: Option<&Shown>| match market {
        None => ["-", "-", "-", "-"].map(str::to_owned),
        Some(m) => {
            // What was set is marked: the rest is as usual.
            let mark = if m.hourly_usd == m.usual_usd { "" } else { " set" };
            [
                format!("{:.4}{mark}", m.hourly_usd),
                number(m.capacity),
                number(m.quota),
                m.instances.len().to_string(),
            ]
        }
    };
    let mut rows = Vec::new();
    for (index, first) in markets.iter().enumerate() {
        if markets[..index].iter().any(|m| m.is_at(first)) {
            continue;
        }
        let of = |lifecycle: &str| {
            cells(markets.iter().find(|m| m.is_at(first) && m.lifecycle == lifecycle))
        };
        let mut row = vec![printable(&first.instance_type), printable(&first.zone)];
        row.extend(of("spot"));
        row.extend(of("on-demand"));
        rows.push(row);
    }
    tables::table(header, rows)
}

fn set(client: &Client, setting: &MarketSetting, as_json: bool) -> Result<(), Failure> {
    let body = body(setting)?;
    let mut response = client.send("PUT", &path(), Some(&body))?;
    let item = response.pointer_mut("/items/0").map(Value::take).unwrap_or_default();
    if as_json {
        return print_json(&item);
    }
    print(&in_a_table(&read(&item["markets"])?))?;
    for line in beyond(&item["beyondCapacity"], setting) {
        complain(&line);
    }
    Ok(())
}

fn body(setting: &MarketSetting) -> Result<Value, Failure> {
    let change = |capacity: Option<Number>, quota: Option<Number>, price: Option<Price>| {
        let mut members = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            members.extend(value.map(|v| (name.to_owned(), v)));
        };
        put("capacity", capacity.map(|n| json!(n.0)));
        put("quota", quota.map(|n| json!(n.0)));
        put("hourlyUsd", price.map(|p| json!(p.0)));
        members
    };
    let s = setting;
    let spot = change(s.spot_capacity, s.spot_quota.or(s.quota), s.price);
    let on_demand = change(s.on_demand_capacity, s.on_demand_quota.or(s.quota), s.on_demand_price);
    if spot.is_empty() && on_demand.is_empty() && !s.usual && !s.interrupt {
        let why = "nothing to set: give --spot-capacity, --price, --quota, --on-demand-capacity, \
                   --on-demand-price or --usual";
        return Err(Failure::new(Code::Usage, why));
    }
    Ok(json!({
        "instanceType": s.instance_type,
        "zone": s.zone,
        "spot": spot,
        "onDemand": on_demand,
        "usual": s.usual,
        "interrupt": s.interrupt,
        "noticeMs": s.notice.map(|n| u64::try_from(n.as_millis()).unwrap_or(u64::MAX)),
    }))
}

/// What runs although there is no room for it, and what becomes of it.
fn beyond(found: &Value, setting: &MarketSetting) -> Vec<String> {
    let found = found.as_array().cloned().unwrap_or_default();
    let mut lines: Vec<String> = Vec::new();
    let mut runs_on = false;
    for item in &found {
        let text = |member: &str| item[member].as_str().map(printable).unwrap_or_default();
        let mut who = text("instanceId");
        if item["nodeName"].is_string() {
            who = format!("{who} of {}", text("nodeName"));
        }
        let taken = item["interrupted"] == true;
        lines.push(match (taken, text("lifecycle") == "spot") {
            (true, _) if setting.notice.is_some() => {
                format!("{who}: no room for it any more; it has its notice")
            }
            (true, _) => format!("{who}: no room for it any more; its power was cut"),
            (false, true) => format!("{who}: no room for it any more; it runs on for now"),
            (false, false) => format!("{who}: on-demand is never taken back; it runs on"),
        });
        runs_on |= !taken && item["lifecycle"] == "spot";
    }
    if runs_on && !setting.interrupt {
        lines.push("Take back what runs on with --interrupt, or wait until it ends.".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_prices_are_read_and_anything_else_is_refused_with_what_is_allowed() {
        assert_eq!("0".parse(), Ok(Number(Some(0))));
        assert_eq!("any".parse(), Ok(Number(None)));
        assert!("-1".parse::<Number>().unwrap_err().contains("from 0"));
        assert_eq!("0.03".parse(), Ok(Price(Some(0.03))));
        assert_eq!("usual".parse(), Ok(Price(None)));
        for wrong in ["0", "-1", "NaN", "inf", "1001", "cheap", ""] {
            assert!(wrong.parse::<Price>().unwrap_err().contains("above 0"), "{wrong}");
        }
    }
}
