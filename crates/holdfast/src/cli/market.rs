//! `holdfast local market …`: the markets of this host, as commands show and set them.

use super::arguments::{ALL, MarketCommand, MarketSetting, MarketVerb, Number, Price};
use super::client::{Client, printable};
use super::tables;
use holdfast_terminal::{Code, Failure, complain, print, print_json};
use holdfast_wire::Lifecycle;
use holdfast_wire::local::{
    BeyondCapacity, LocalMarket, MarketChange, MarketRequest, MarketSetting as Set,
};
use std::collections::BTreeSet;

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
    let mut markets: Vec<LocalMarket> = client.items(&path())?;
    check("instance type", instance_type, markets.iter().map(|m| m.instance_type.as_str()))?;
    check("zone", zone, markets.iter().map(|m| m.zone.as_str()))?;
    let is = |found: &str, asked: &str| asked == ALL || found == asked;
    markets.retain(|m| is(&m.instance_type, instance_type) && is(&m.zone, zone));
    let shown = |place: &&LocalMarket| {
        let mut twins = markets.iter().filter(|m| is_same_place(m, place));
        !changed || twins.any(|m| m.changed)
    };
    let kept: Vec<LocalMarket> = markets.iter().filter(shown).cloned().collect();
    if as_json {
        return print_json(&kept);
    }
    if kept.is_empty() {
        return print("Nothing was set: every market is as usual.\n");
    }
    print(&in_a_table(&kept))
}

/// Refuses what there is not, and names what there is.
fn check<'a>(what: &str, asked: &str, found: impl Iterator<Item = &'a str>) -> Result<(), Failure> {
    let known: BTreeSet<&str> = found.collect();
    if asked == ALL || known.contains(asked) {
        return Ok(());
    }
    let known: Vec<&str> = known.into_iter().collect();
    let why = format!("there is no {what} {asked}; there are {}", known.join(", "));
    Err(Failure::new(Code::Usage, why))
}

/// Whether both are of one type and zone.
fn is_same_place(one: &LocalMarket, other: &LocalMarket) -> bool {
    one.instance_type == other.instance_type && one.zone == other.zone
}

/// Markets in a table, spot and on-demand of a type and zone in one line.
fn in_a_table(markets: &[LocalMarket]) -> String {
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
    let cells = |market: Option<&LocalMarket>| match market {
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
        if markets[..index].iter().any(|m| is_same_place(m, first)) {
            continue;
        }
        let of = |lifecycle: Lifecycle| {
            let mut places = markets.iter().filter(|m| is_same_place(m, first));
            cells(places.find(|m| m.lifecycle == lifecycle))
        };
        let mut row = vec![printable(&first.instance_type), printable(&first.zone)];
        row.extend(of(Lifecycle::Spot));
        row.extend(of(Lifecycle::OnDemand));
        rows.push(row);
    }
    tables::table(header, rows)
}

fn set(client: &Client, setting: &MarketSetting, as_json: bool) -> Result<(), Failure> {
    let body = body(setting)?;
    let set = client.ask::<Set>("PUT", &path(), Some(&body))?.item;
    if as_json {
        return print_json(&set);
    }
    print(&in_a_table(&set.markets))?;
    for line in beyond(&set.beyond_capacity, setting) {
        complain(&line);
    }
    Ok(())
}

fn body(setting: &MarketSetting) -> Result<MarketRequest, Failure> {
    let change =
        |capacity: Option<Number>, quota: Option<Number>, price: Option<Price>| MarketChange {
            capacity: capacity.map(|n| n.0),
            quota: quota.map(|n| n.0),
            hourly_usd: price.map(|p| p.0),
        };
    let s = setting;
    let spot = change(s.spot_capacity, s.spot_quota.or(s.quota), s.price);
    let on_demand = change(s.on_demand_capacity, s.on_demand_quota.or(s.quota), s.on_demand_price);
    let nothing = MarketChange::default();
    if spot == nothing && on_demand == nothing && !s.usual && !s.interrupt {
        let why = "nothing to set: give --spot-capacity, --price, --quota, --on-demand-capacity, \
                   --on-demand-price or --usual";
        return Err(Failure::new(Code::Usage, why));
    }
    Ok(MarketRequest {
        instance_type: s.instance_type.clone(),
        zone: s.zone.clone(),
        spot,
        on_demand,
        usual: s.usual,
        interrupt: s.interrupt,
        notice_ms: s.notice.map(|n| u64::try_from(n.as_millis()).unwrap_or(u64::MAX)),
    })
}

/// What runs although there is no room for it, and what becomes of it.
fn beyond(found: &[BeyondCapacity], setting: &MarketSetting) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut runs_on = false;
    for item in found {
        let mut who = printable(&item.instance_id);
        if let Some(name) = &item.node_name {
            who = format!("{who} of {}", printable(name));
        }
        let is_spot = item.lifecycle == Lifecycle::Spot;
        lines.push(match (item.interrupted, is_spot) {
            (true, _) if setting.notice.is_some() => {
                format!("{who}: no room for it any more; it has its notice")
            }
            (true, _) => format!("{who}: no room for it any more; its power was cut"),
            (false, true) => format!("{who}: no room for it any more; it runs on for now"),
            (false, false) => format!("{who}: on-demand is never taken back; it runs on"),
        });
        runs_on |= !item.interrupted && is_spot;
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
