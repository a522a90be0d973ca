//! The server's side of `holdfast local market`.

use super::arguments::ALL;
use super::host::{Local, MAX_NOTICE_MS, failed, read};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use holdfast_api::{Answer, Failure, node_name};
use holdfast_cloud_local::{LocalCloud, LocalError, MarketChange, MarketView};
use holdfast_controller::Handle;
use holdfast_model::{InstanceId, Lifecycle};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// What is to change; members that are left out stay, null means the usual.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Setting {
    /// An instance type, or `all`.
    instance_type: String,
    /// A zone, or `all`.
    zone: String,
    #[serde(default)]
    spot: Change,
    #[serde(default)]
    on_demand: Change,
    /// Forget first what was set before.
    #[serde(default)]
    usual: bool,
    /// Take back the spot instances for which there is no room any more.
    #[serde(default)]
    interrupt: bool,
    /// Announced this many milliseconds before.
    #[serde(default)]
    notice_ms: Option<u64>,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Change {
    #[serde(deserialize_with = "given")]
    capacity: Option<Option<u32>>,
    #[serde(deserialize_with = "given")]
    quota: Option<Option<u32>>,
    #[serde(deserialize_with = "given")]
    hourly_usd: Option<Option<f64>>,
}

/// Tells null from a member that is left out.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

impl Change {
    fn after(self, usual: bool) -> MarketChange {
        let or_usual = |given: Option<Option<u32>>| given.or(usual.then_some(None));
        MarketChange {
            capacity: or_usual(self.capacity),
            quota: or_usual(self.quota),
            hourly_usd: self.hourly_usd.or(usual.then_some(None)),
        }
    }
}

/// Every market.
pub async fn list(State(local): State<Local>) -> Result<Answer, Failure> {
    let markets = blocking(&local.cloud, |cloud| cloud.markets()).await?;
    Ok(Answer::items("holdfast:market", markets.iter().map(shown).collect()))
}

/// Changes markets, and says what runs beyond what they take.
pub async fn set(State(local): State<Local>, body: Bytes) -> Result<Answer, Failure> {
    let like =
        "{\"instanceType\": \"t3.small\", \"zone\": \"local-1a\", \"spot\": {\"capacity\": 0}}";
    let setting: Setting = read(&body, like)?;
    if setting.notice_ms.is_some_and(|n| n > MAX_NOTICE_MS) {
        let why = format!("a notice is at most {MAX_NOTICE_MS} milliseconds");
        return Err(Failure::bad_request(why));
    }
    let asked = (setting.instance_type.clone(), setting.zone.clone());
    let all = blocking(&local.cloud, |cloud| cloud.markets()).await?;
    check(&all, &asked.0, &asked.1)?;
    let notice = setting.notice_ms.map(Duration::from_millis);
    let interrupt = setting.interrupt;
    let changed = blocking(&local.cloud, move |cloud| {
        let meant = all.iter().filter(|v| is_meant(v, &asked.0, &asked.1));
        let changes: Vec<_> = meant
            .map(|view| {
                let change = match view.market.lifecycle {
                    Lifecycle::Spot => setting.spot,
                    Lifecycle::OnDemand => setting.on_demand,
                };
                (view.market.clone(), change.after(setting.usual))
            })
            .collect();
        cloud.change_markets(&changes)
    })
    .await?;
    // Named before anything is taken back: a node that has lost its instance soon holds none.
    let mut beyond: Vec<(InstanceId, Value)> = changed
        .iter()
        .flat_map(|view| view.beyond_capacity().iter().map(move |id| (view, id)))
        .map(|(view, id)| {
            let mut item = named(&local.handle, id);
            item["lifecycle"] = json!(view.market.lifecycle);
            (id.clone(), item)
        })
        .collect();
    let (changed, taken) = blocking(&local.cloud, move |cloud| {
        let taken = if interrupt { take_back(cloud, &changed, notice) } else { Vec::new() };
        Ok((changed, taken))
    })
    .await?;
    local.handle.catalogue_changed();
    for (id, item) in &mut beyond {
        item["interrupted"] = json!(taken.contains(id));
    }
    let beyond: Vec<Value> = beyond.into_iter().map(|(_, item)| item).collect();
    let item = json!({
        "markets": changed.iter().map(shown).collect::<Vec<_>>(),
        "beyondCapacity": beyond,
    });
    Ok(Answer::item("holdfast:marketSetting", item))
}

/// Interrupts what spot has no room for. Who has ended meanwhile needs no interruption.
fn take_back(
    cloud: &LocalCloud,
    changed: &[MarketView],
    notice: Option<Duration>,
) -> Vec<InstanceId> {
    let spot = changed.iter().filter(|v| v.market.lifecycle == Lifecycle::Spot);
    let mut taken = Vec::new();
    for id in spot.flat_map(MarketView::beyond_capacity) {
        match cloud.interrupt(id, notice) {
            Ok(()) => taken.push(id.clone()),
            Err(error) => tracing::warn!(instance = %id, %error, "it was not interrupted"),
        }
    }
    taken
}

fn is_meant(view: &MarketView, instance_type: &str, zone: &str) -> bool {
    (instance_type == ALL || view.market.instance_type == instance_type)
        && (zone == ALL || view.market.zone.as_str() == zone)
}

/// Refuses a type or a zone that does not exist, and names those that do.
fn check(all: &[MarketView], instance_type: &str, zone: &str) -> Result<(), Failure> {
    let known = |of: fn(&MarketView) -> &str| {
        let mut seen = BTreeSet::new();
        let names: Vec<&str> = all.iter().map(of).filter(|name| seen.insert(*name)).collect();
        names.join(", ")
    };
    let wrong = |what: &str, name: &str, known: String| {
        let why = format!("there is no {what} {name}; there are {known}, and all for every one");
        Err(Failure::new(StatusCode::BAD_REQUEST, "INVALID_VALUE", why))
    };
    if !all.iter().any(|v| is_meant(v, instance_type, ALL)) {
        return wrong("instance type", instance_type, known(|v| &v.market.instance_type));
    }
    if !all.iter().any(|v| is_meant(v, ALL, zone)) {
        return wrong("zone", zone, known(|v| v.market.zone.as_str()));
    }
    Ok(())
}

fn shown(view: &MarketView) -> Value {
    json!({
        "instanceType": view.market.instance_type,
        "zone": view.market.zone,
        "lifecycle": view.market.lifecycle,
        "hourlyUsd": view.hourly_usd,
        "usualUsd": view.usual_usd,
        "capacity": view.capacity,
        "quota": view.quota,
        "instances": view.instances,
        "changed": view.is_changed(),
    })
}

/// An instance with the node that it is of.
fn named(handle: &Handle, id: &InstanceId) -> Value {
    let mut item = Map::new();
    item.insert("instanceId".to_owned(), json!(id));
    let node = handle.look(|view| {
        let holds = |r: &holdfast_model::Record| r.holder.as_ref().is_some_and(|h| &h.id == id);
        let node = view.nodes.values().find(|n| holds(&n.record));
        node.map(|n| (n.record.id.clone(), node_name(&n.record).to_owned()))
    });
    if let Some((id, name)) = node {
        item.insert("nodeId".to_owned(), json!(id));
        item.insert("nodeName".to_owned(), json!(name));
    }
    Value::Object(item)
}

async fn blocking<R: Send + 'static>(
    cloud: &LocalCloud,
    work: impl FnOnce(&LocalCloud) -> Result<R, LocalError> + Send + 'static,
) -> Result<R, Failure> {
    let cloud = cloud.clone();
    match tokio::task::spawn_blocking(move || work(&cloud)).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(LocalError::Refused(e))) => {
            Err(Failure::new(StatusCode::BAD_REQUEST, "INVALID_VALUE", e.message))
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "the markets could not be changed or read");
            Err(failed(&error.to_string()))
        }
        Err(error) => {
            tracing::error!(%error, "the markets: ended early");
            Err(failed("the server failed; see its log for what happened"))
        }
    }
}
