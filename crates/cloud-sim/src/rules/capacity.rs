//! Which markets have room.

use super::Answer;
use crate::faults::Class;
use crate::refusal::{error, refused};
use crate::world::World;
use holdfast_model::facts::InstanceState;
use holdfast_model::time::MINUTE;
use holdfast_model::{CloudError, Command, ErrorClass, Lifecycle, Market, Reply, Time, Zone};
use std::collections::BTreeMap;

type Key = (String, Zone, Lifecycle);

fn key(market: &Market) -> Key {
    (market.instance_type.clone(), market.zone.clone(), market.lifecycle)
}

/// Limits of markets; a market without one takes any number.
#[derive(Debug, Clone, Default)]
pub(crate) struct Capacity {
    most: BTreeMap<Key, u32>,
    dry_until: BTreeMap<Key, Time>,
}

impl Capacity {
    pub(crate) fn set(&mut self, market: &Market, instances: Option<u32>) {
        match instances {
            Some(most) => self.most.insert(key(market), most),
            None => self.most.remove(&key(market)),
        };
    }

    pub(crate) fn drought(&mut self, market: &Market, until: Time) {
        self.dry_until.insert(key(market), until);
    }

    fn is_dry(&self, market: &Market, now: Time) -> bool {
        self.dry_until.get(&key(market)).is_some_and(|until| *until > now)
    }
}

impl World {
    /// A market that has refused a launch goes on refusing for a while.
    pub(crate) fn dry_for_a_while(&mut self, command: &Command) {
        let market = match command {
            Command::RunInstances(launch) => &launch.market,
            Command::Probe { market, .. } => market,
            _ => return,
        };
        let until = self.now.plus(self.faults.between(Class::Capacity, 1, 20 * MINUTE));
        self.capacity.drought(market, until);
    }

    /// Refuses a launch for which the market has no room, or the account no quota.
    pub(crate) fn check_capacity(&self, market: &Market, vcpus: u32) -> Result<(), CloudError> {
        let (quota, code) = match market.lifecycle {
            Lifecycle::Spot => (self.config.spot_vcpus, "MaxSpotInstanceCountExceeded"),
            Lifecycle::OnDemand => (self.config.on_demand_vcpus, "VcpuLimitExceeded"),
        };
        let limit = self.capacity.most.get(&key(market));
        if let Some(quota) = quota {
            let used: u32 = self.alive(|l, _| l == market.lifecycle).map(|i| i.vcpus).sum();
            if used.saturating_add(vcpus) > quota {
                let message = format!(
                    "{used} of {quota} {} vCPUs are used; raise the quota or use another lifecycle",
                    market.lifecycle
                );
                return Err(error(ErrorClass::Quota, code, message));
            }
        }
        let dry = self.capacity.is_dry(market, self.now);
        let full = limit.is_some_and(|most| {
            let here = self.alive(|lifecycle, i| {
                lifecycle == market.lifecycle
                    && i.zone == market.zone
                    && i.instance_type == market.instance_type
            });
            here.count() >= *most as usize
        });
        if dry || full {
            let message = format!("{market} has no capacity now; use another market");
            return Err(error(ErrorClass::Capacity, "InsufficientInstanceCapacity", message));
        }
        Ok(())
    }

    /// A launch of one bare instance that is given back at once.
    pub(crate) fn probe(&mut self, market: &Market) -> Answer {
        let Some(kind) = self.config.types.iter().find(|t| t.offered.name == market.instance_type)
        else {
            let message = format!("{} is not offered here", market.instance_type);
            return Err(refused("InvalidParameterValue", message));
        };
        self.check_capacity(market, kind.offered.vcpus)?;
        Ok(Reply { facts: Vec::new(), gone: Vec::new() })
    }

    fn alive(
        &self,
        test: impl Fn(Lifecycle, &holdfast_model::facts::InstanceFact) -> bool,
    ) -> impl Iterator<Item = &crate::resources::Instance> {
        self.instances.values().filter(move |i| {
            i.fact.state != InstanceState::Terminated && test(i.fact.lifecycle, &i.fact)
        })
    }
}
