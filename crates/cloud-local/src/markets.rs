//! Markets as they are set: what each costs, how many instances it takes, how many the account may
//! have there, and who runs in it. All of it is remembered.

use crate::host::{Inner, LocalCloud};
use crate::refusal::{LocalError, error, refused};
use crate::region;
use crate::requests::Answer;
use crate::rows::InstanceRow;
use crate::state::{StateError, Table};
use crate::types;
use holdfast_model::facts::InstanceState;
use holdfast_model::{CloudError, ErrorClass, InstanceId, Lifecycle, Market, Reply};

/// The highest price of a market, in US dollars for an hour.
pub const MAX_HOURLY_USD: f64 = 1_000.0;

/// A market as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct MarketView {
    /// Which one.
    pub market: Market,
    /// US dollars for an hour.
    pub hourly_usd: f64,
    /// What it usually costs.
    pub usual_usd: f64,
    /// How many instances it takes; `None`: any number.
    pub capacity: Option<u32>,
    /// How many instances the account may have in it; `None`: any number.
    pub quota: Option<u32>,
    /// The instances in it, oldest first.
    pub instances: Vec<InstanceId>,
}

impl MarketView {
    /// Whether something about it was set.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.capacity.is_some() || self.quota.is_some() || self.hourly_usd != self.usual_usd
    }

    /// The instances that the capacity has no room for: the newest. They run on until they are
    /// interrupted, as on EC2.
    #[must_use]
    pub fn beyond_capacity(&self) -> &[InstanceId] {
        let room = self.capacity.map_or(usize::MAX, |c| c as usize);
        self.instances.get(room..).unwrap_or_default()
    }
}

/// What is to change about a market; what is `None` stays.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct MarketChange {
    /// How many instances it takes (`Some(None)`: any number).
    pub capacity: Option<Option<u32>>,
    /// How many instances the account may have in it (`Some(None)`: any number).
    pub quota: Option<Option<u32>>,
    /// US dollars for an hour (`Some(None)`: the usual price).
    pub hourly_usd: Option<Option<f64>>,
}

impl MarketChange {
    /// Another capacity.
    #[must_use]
    pub fn capacity(capacity: Option<u32>) -> MarketChange {
        MarketChange { capacity: Some(capacity), ..MarketChange::default() }
    }
}

impl LocalCloud {
    /// Every market of the region, by type, zone and lifecycle.
    ///
    /// # Errors
    /// If the memory cannot be read.
    pub fn markets(&self) -> Result<Vec<MarketView>, LocalError> {
        self.inner.state.look(|table| {
            let instances = living(table)?;
            region::markets()
                .map(|(market, usual)| Ok(view(table, &instances, market, usual)?))
                .collect()
        })
    }

    /// Changes markets, all of them or none; what runs goes on. How they are then.
    ///
    /// # Errors
    /// [`LocalError::Refused`] for a market that does not exist, or a price that is none.
    pub fn change_markets(
        &self,
        changes: &[(Market, MarketChange)],
    ) -> Result<Vec<MarketView>, LocalError> {
        self.inner.state.change(|table| {
            let instances = living(table)?;
            let changed = changes.iter().map(|(market, change)| {
                let usual_usd = usual_usd(market)?;
                check_price(change)?;
                let mut row = region::market_row(table, market)?;
                row.capacity = change.capacity.unwrap_or(row.capacity);
                row.quota = change.quota.unwrap_or(row.quota);
                row.hourly_usd = change.hourly_usd.unwrap_or(row.hourly_usd);
                let (name, zone) = (&market.instance_type, market.zone.as_str());
                table.put_market(name, zone, market.lifecycle, row)?;
                Ok(view(table, &instances, market.clone(), usual_usd)?)
            });
            changed.collect()
        })
    }
}

/// What a market usually costs, or a refusal if there is none.
fn usual_usd(market: &Market) -> Result<f64, CloudError> {
    let local = types::known(&market.instance_type)?;
    let index = region::zone_index(market.zone.as_str()).ok_or_else(|| {
        let known = region::ZONES.join(", ");
        let message = format!("there is no zone {}; use one of {known}", market.zone);
        refused("InvalidParameterValue", message)
    })?;
    Ok(local.usual_usd(market.lifecycle, index))
}

fn check_price(change: &MarketChange) -> Result<(), CloudError> {
    match change.hourly_usd.flatten() {
        Some(price) if !(price > 0.0 && price <= MAX_HOURLY_USD) => {
            let message =
                format!("a price of {price} USD; it must be above 0 and at most {MAX_HOURLY_USD}");
            Err(refused("InvalidParameterValue", message))
        }
        _ => Ok(()),
    }
}

/// The instances that take room, oldest first.
fn living(table: &Table<'_>) -> Result<Vec<InstanceRow>, StateError> {
    let mut rows = table.all::<InstanceRow>()?;
    rows.retain(|i| i.fact.state != InstanceState::Terminated);
    rows.sort_by_key(|i| i.fact.launched_at);
    Ok(rows)
}

fn is_in(row: &InstanceRow, market: &Market) -> bool {
    row.fact.instance_type == market.instance_type
        && row.fact.zone == market.zone
        && row.fact.lifecycle == market.lifecycle
}

fn view(
    table: &Table<'_>,
    living: &[InstanceRow],
    market: Market,
    usual_usd: f64,
) -> Result<MarketView, StateError> {
    let set = region::market_row(table, &market)?;
    let inside = living.iter().filter(|row| is_in(row, &market));
    Ok(MarketView {
        hourly_usd: set.hourly_usd.unwrap_or(usual_usd),
        usual_usd,
        capacity: set.capacity,
        quota: set.quota,
        instances: inside.map(|row| row.fact.id.clone()).collect(),
        market,
    })
}

impl Inner {
    /// A launch that is given back at once: only whether there is room can be learnt from it.
    pub(crate) fn probe(&self, market: &Market) -> Answer {
        types::known(&market.instance_type)?;
        region::check_place(market)?;
        self.state.look(|table| check_room(table, market))?;
        self.pool.check_space("an instance")?;
        Ok(Reply { facts: Vec::new(), gone: Vec::new() })
    }
}

/// Whether the market takes one more instance.
pub(crate) fn check_room(table: &Table<'_>, market: &Market) -> Result<(), CloudError> {
    let set = region::market_row(table, market)?;
    if set.capacity.is_none() && set.quota.is_none() {
        return Ok(());
    }
    let running = living(table)?.iter().filter(|row| is_in(row, market)).count();
    if let Some(quota) = set.quota.filter(|q| running >= *q as usize) {
        // EC2 API reference, "Error codes".
        let code = match market.lifecycle {
            Lifecycle::Spot => "MaxSpotInstanceCountExceeded",
            Lifecycle::OnDemand => "InstanceLimitExceeded",
        };
        let message = format!(
            "the quota for {market} is used up ({running} of {quota} run); raise it, or use \
             another family of types"
        );
        return Err(error(ErrorClass::Quota, code, message));
    }
    if let Some(capacity) = set.capacity.filter(|c| running >= *c as usize) {
        let message = format!(
            "{market} has no capacity now ({running} of {capacity} run); use another market"
        );
        return Err(error(ErrorClass::Capacity, "InsufficientInstanceCapacity", message));
    }
    Ok(())
}
