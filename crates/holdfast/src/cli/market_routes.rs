//! The server's side of `holdfast local market`.

use super::arguments::ALL;
use super::host::{Local, MAX_NOTICE_MS, failed};
use axum::extract::State;
use axum::http::StatusCode;
use holdfast_api::{Answer, Failure, Sent, holder, lifecycle, node_name};
use holdfast_cloud_local::{LocalCloud, LocalError, MarketView};
use holdfast_controller::Handle;
use holdfast_model::{InstanceId, Lifecycle};
use holdfast_wire::Answered;
use holdfast_wire::local::{
    BeyondCapacity, LocalMarket, MarketChange, MarketRequest, MarketSetting,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// What a change means for the cloud; what is as usual is forgotten.
fn meant(change: MarketChange, usual: bool) -> holdfast_cloud_local::MarketChange {
    let or_usual = |given: Option<Option<u32>>| given.or(usual.then_some(None));
    holdfast_cloud_local::MarketChange {
        capacity: or_usual(change.capacity),
        quota: or_usual(change.quota),
        hourly_usd: change.hourly_usd.or(usual.then_some(None)),
    }
}

/// Every market.
#[utoipa::path(get, path = "/markets", tag = "local",
    responses((status = 200, body = Answered<LocalMarket>)))]
pub async fn list(State(local): State<Local>) -> Result<Answer<LocalMarket>, Failure> {
    let markets = blocking(&local.cloud, |cloud| cloud.markets()).await?;
    Ok(Answer::items("holdfast:market", markets.iter().map(shown).collect()))
}

/// Changes markets, and says what runs beyond what they take.
#[utoipa::path(put, path = "/markets", tag = "local",
    request_body = MarketRequest,
    responses((status = 200, body = Answered<MarketSetting>)))]
pub async fn set(
    State(local): State<Local>,
    Sent(setting): Sent<MarketRequest>,
) -> Result<Answer<MarketSetting>, Failure> {
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
        let asked = all.iter().filter(|v| is_meant(v, &asked.0, &asked.1));
        let changes: Vec<_> = asked
            .map(|view| {
                let change = match view.market.lifecycle {
                    Lifecycle::Spot => setting.spot,
                    Lifecycle::OnDemand => setting.on_demand,
                };
                (view.market.clone(), meant(change, setting.usual))
            })
            .collect();
        cloud.change_markets(&changes)
    })
    .await?;
    // Named before anything is taken back: a node that has lost its instance soon holds none.
    let mut beyond: Vec<BeyondCapacity> = changed
        .iter()
        .flat_map(|view| view.beyond_capacity().iter().map(move |id| (view, id)))
        .map(|(view, id)| named(&local.handle, id, view.market.lifecycle))
        .collect();
    let (changed, taken) = blocking(&local.cloud, move |cloud| {
        let taken = if interrupt { take_back(cloud, &changed, notice) } else { Vec::new() };
        Ok((changed, taken))
    })
    .await?;
    local.handle.catalogue_changed();
    for item in &mut beyond {
        item.interrupted = taken.iter().any(|id| id.0 == item.instance_id);
    }
    let markets = changed.iter().map(shown).collect();
    let item = MarketSetting { markets, beyond_capacity: beyond };
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

fn shown(view: &MarketView) -> LocalMarket {
    LocalMarket {
        instance_type: view.market.instance_type.clone(),
        zone: view.market.zone.0.clone(),
        lifecycle: lifecycle(view.market.lifecycle),
        hourly_usd: view.hourly_usd,
        usual_usd: view.usual_usd,
        capacity: view.capacity,
        quota: view.quota,
        instances: view.instances.iter().map(|id| id.0.clone()).collect(),
        changed: view.is_changed(),
    }
}

/// An instance that is not interrupted yet, with the node that it is of.
fn named(handle: &Handle, id: &InstanceId, of: Lifecycle) -> BeyondCapacity {
    let node = handle.look(|view| {
        let node = view.nodes.values().find(|n| holder(&n.record) == Some(id));
        node.map(|n| (n.record.id.0.clone(), node_name(&n.record).to_owned()))
    });
    let (node_id, node_name) = node.unzip();
    BeyondCapacity {
        instance_id: id.0.clone(),
        node_id,
        node_name,
        lifecycle: lifecycle(of),
        interrupted: false,
    }
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
