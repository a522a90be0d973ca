//! Where a node is, where it goes, and why there, for people.

use super::client::printable;
use holdfast_model::spec::revert::Revert;
use holdfast_model::{Spec, Time};
use holdfast_wire::Lifecycle;
use holdfast_wire::record::NodeRecord;
use serde_json::Value;

/// What a node's document says, if it can be read.
pub fn spec(record: &NodeRecord) -> Option<Spec> {
    Spec::read(&Value::Object(record.document.0.clone())).ok()
}

/// Lines about a node's market, each with its label.
pub fn facts(record: &NodeRecord, spec: Option<&Spec>, now: Time) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(holder) = &record.holder {
        facts.push(("market", holder.market.to_string()));
        if !holder.why.is_empty() {
            facts.push(("because", printable(&holder.why)));
        }
        let on_demand = holder.market.lifecycle == Lifecycle::OnDemand;
        if let Some(spec) =
            spec.filter(|s| on_demand && s.lifecycle == holdfast_model::Lifecycle::Spot)
        {
            facts.push(("spot again", spot_again(record, spec, now)));
        }
    }
    let next = record.replacement.as_ref().filter(|_| record.holder.is_none());
    if let Some((replacement, market)) = next.and_then(|r| Some((r, r.market.as_ref()?))) {
        facts.push(("next market", market.to_string()));
        if !replacement.market_why.is_empty() {
            facts.push(("because", printable(&replacement.market_why)));
        }
    }
    facts
}

/// When a node that fell back to on-demand goes back to spot.
fn spot_again(record: &NodeRecord, spec: &Spec, now: Time) -> String {
    let Some(allowed) = spec.revert.next(now) else {
        return "at its next replacement (strategy.revertToSpot is never)".to_owned();
    };
    let at = record.revert_after.map_or(allowed, |after| Time(after).max(allowed));
    let when = if at > now {
        format!("asked for in {}", holdfast_terminal::duration::show(at.since(now)))
    } else {
        "asked for from time to time".to_owned()
    };
    match spec.revert {
        Revert::Windows(_) => format!("{when} (strategy.optimizationWindows)"),
        _ => format!("{when} (strategy.revertToSpot is always)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::sample::sample;
    use holdfast_model::time::{MINUTE, SECOND};
    use serde_json::json;

    fn lines(record: &NodeRecord) -> Vec<String> {
        let spec = spec(record);
        let now = Time(record.created_at).plus(MINUTE);
        let facts = facts(record, spec.as_ref(), now);
        facts.iter().map(|(label, value)| format!("{label}: {value}")).collect()
    }

    fn on_demand(strategy: serde_json::Value) -> NodeRecord {
        let mut record = sample().record;
        record.document.0.insert("strategy".to_owned(), strategy);
        let holder = record.holder.as_mut().unwrap();
        holder.market.lifecycle = Lifecycle::OnDemand;
        holder.why = "$0.0960/h; 2 better ones refused lately".to_owned();
        record
    }

    #[test]
    fn a_node_that_fell_back_to_on_demand_says_why_and_when_it_goes_back() {
        let market = "market: m5.large on-demand in local-1a".to_owned();
        let because = "because: $0.0960/h; 2 better ones refused lately".to_owned();
        let record = on_demand(json!({"lifeCycle": "spot"}));
        let never = "spot again: at its next replacement (strategy.revertToSpot is never)".into();
        assert_eq!(lines(&record), [market.clone(), because.clone(), never]);
        let always = json!({"lifeCycle": "spot", "revertToSpot": {"performAt": "always"}});
        let mut record = on_demand(always);
        let soon = "spot again: asked for from time to time (strategy.revertToSpot is always)";
        assert_eq!(lines(&record), [market.clone(), because.clone(), soon.to_owned()]);
        record.revert_after = Some(record.created_at + MINUTE + 7 * SECOND);
        let then = "spot again: asked for in 7.0 s (strategy.revertToSpot is always)".to_owned();
        assert_eq!(lines(&record), [market.clone(), because.clone(), then]);
        let wanted = on_demand(json!({"lifeCycle": "on_demand"}));
        assert_eq!(lines(&wanted), [market, because], "it is where its spec wants it");
    }

    #[test]
    fn a_node_without_an_instance_says_where_it_goes() {
        let mut record = sample().record;
        let market = record.holder.take().unwrap().market;
        assert_eq!(lines(&record), Vec::<String>::new());
        let replacement = record.replacement.as_mut().unwrap();
        replacement.market = Some(market);
        replacement.market_why = "$0.0350/h".to_owned();
        let next = "next market: m5.large spot in local-1a";
        assert_eq!(lines(&record), [next.to_owned(), "because: $0.0350/h".to_owned()]);
    }
}
