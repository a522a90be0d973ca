//! The policies that are compared. Holdfast's is the engine's own code, asked as the fleet asks it.

use super::replay::{Costs, Place, Policy, Tick};
use super::trace::Trace;
use holdfast_engine::context::desk::Desk;
use holdfast_engine::observed::survival::Survival;
use holdfast_engine::parts::markets::{self, Choice, choose, choose_spot};
use holdfast_engine::{Scene, Tuning, World};
use holdfast_model::market::{Catalogue, InstanceType, MarketPrice, Subnet};
use holdfast_model::record::{
    DataHead, DataVolume, MAX_SPOT_LIFETIMES, Record, ServingInstance, SpotLifetime,
};
use holdfast_model::{
    Epoch, ErrorClass, Installation, InstanceId, Lifecycle, Market, NodeId, Spec, SubnetId, Time,
    VolumeId, Zone,
};
use serde_json::json;

const TYPE: &str = "m5.large";

/// Always on demand, in the first zone.
pub struct OnDemand;

impl Policy for OnDemand {
    fn place(&mut self, _: &mut Tick<'_>, now_at: Option<Place>, _: bool) -> Place {
        now_at.unwrap_or(Place { zone: 0, lifecycle: Lifecycle::OnDemand })
    }
}

/// At every tick in the cheapest zone that has capacity, on demand when none has, back at once. It
/// is told where capacity is, for nothing.
pub struct Greedy {
    /// How many zones there are.
    pub zones: usize,
}

impl Policy for Greedy {
    fn place(&mut self, tick: &mut Tick<'_>, now_at: Option<Place>, _: bool) -> Place {
        let open = (0..self.zones).filter(|zone| tick.launch(*zone));
        match open.min_by(|a, b| tick.price(*a).total_cmp(&tick.price(*b))) {
            Some(zone) => Place { zone, lifecycle: Lifecycle::Spot },
            None => {
                let zone = now_at.map_or(0, |at| at.zone);
                Place { zone, lifecycle: Lifecycle::OnDemand }
            }
        }
    }
}

/// What a volume allows that is pinned to its zone: spot there when there is some, told for nothing,
/// on demand otherwise, back at once.
pub struct Pinned {
    /// The zone.
    pub zone: usize,
}

impl Policy for Pinned {
    fn place(&mut self, tick: &mut Tick<'_>, _: Option<Place>, _: bool) -> Place {
        let spot = tick.launch(self.zone);
        let lifecycle = if spot { Lifecycle::Spot } else { Lifecycle::OnDemand };
        Place { zone: self.zone, lifecycle }
    }
}

/// Holdfast: the engine's choice, and the engine's way back to spot.
pub struct Holdfast {
    record: Record,
    spec: Spec,
    catalogue: Catalogue,
    survival: Survival,
    tuning: Tuning,
    world: World,
    installation: Installation,
}

impl Holdfast {
    /// A node that may use every zone of the trace.
    ///
    /// # Errors
    /// A sentence, if the spec that is made for it cannot be read.
    pub fn new(trace: &Trace, costs: &Costs) -> Result<Holdfast, String> {
        let subnets: Vec<String> = trace.zones.iter().map(|z| subnet(&z.zone)).collect();
        let document = json!({
            "name": "replayed",
            "region": "replayed-1",
            "strategy": {"orientation": "costOriented", "revertToSpot": {"performAt": "always"}},
            "persistence": {"persistBlockDevices": true},
            "compute": {"vpcId": "vpc-1", "subnetIds": subnets, "launchSpecification": {
                "imageId": "ami-1", "instanceTypes": {"types": [TYPE]}
            }}
        });
        let spec = Spec::read(&document).map_err(|errors| format!("{errors:?}"))?;
        let record = Record::new(NodeId::from("smi-00000001"), document, Time(0));
        let catalogue = Catalogue {
            region: "replayed-1".to_owned(),
            types: vec![InstanceType {
                name: TYPE.to_owned(),
                vcpus: 2,
                memory_mib: 8_192,
                attachment_limit: 28,
                architecture: "x86_64".to_owned(),
            }],
            subnets: trace
                .zones
                .iter()
                .map(|z| Subnet {
                    id: SubnetId(subnet(&z.zone)),
                    vpc: "vpc-1".to_owned(),
                    zone: Zone(z.zone.clone()),
                    cidr: None,
                })
                .collect(),
            prices: Vec::new(),
        };
        let tuning = Tuning {
            blackout_same_zone: costs.same_zone_ms,
            blackout_zone_move: costs.zone_move_ms,
            ..Tuning::ec2()
        };
        Ok(Holdfast {
            record,
            spec,
            catalogue,
            survival: Survival::default(),
            world: World::new(tuning.consistency_window),
            tuning,
            installation: Installation::from("0123abcd"),
        })
    }

    fn market(&self, place: Place) -> Option<Market> {
        let known = self.catalogue.subnets.get(place.zone)?;
        Some(Market {
            instance_type: TYPE.to_owned(),
            zone: known.zone.clone(),
            subnet: known.id.clone(),
            lifecycle: place.lifecycle,
        })
    }

    fn place_of(&self, market: &Market) -> Option<Place> {
        let zone = self.catalogue.subnets.iter().position(|s| s.zone == market.zone)?;
        Some(Place { zone, lifecycle: market.lifecycle })
    }

    /// Prices as they are published now.
    fn publish(&mut self, tick: &Tick<'_>, on_demand_usd: f64) {
        let mut prices = Vec::new();
        for zone in 0..self.catalogue.subnets.len() {
            for lifecycle in [Lifecycle::Spot, Lifecycle::OnDemand] {
                if let Some(market) = self.market(Place { zone, lifecycle }) {
                    let spot = lifecycle == Lifecycle::Spot;
                    let hourly_usd = if spot { tick.price(zone) } else { on_demand_usd };
                    prices.push(MarketPrice { market, hourly_usd });
                }
            }
        }
        self.catalogue.prices = prices;
    }

    /// Asks the engine for markets, one after the other, until one grants an instance.
    fn ask(
        &mut self,
        now: Time,
        decide: fn(&Desk<'_>) -> Choice,
        mut granted: impl FnMut(Place) -> bool,
    ) -> Option<Place> {
        for _ in 0..=self.catalogue.subnets.len() * 2 {
            let scene = Scene {
                world: &self.world,
                catalogue: &self.catalogue,
                installation: &self.installation,
                epoch: Epoch::default(),
                survival: &self.survival,
                tuning: &self.tuning,
                snapshot_volumes: 0,
                choice_from: Time(0),
                now,
            };
            let mut desk = Desk::new(self.record.clone(), self.spec.clone().into(), &scene);
            let Choice::Market(market, _) = decide(&desk) else { return None };
            let place = self.place_of(&market)?;
            if granted(place) {
                return Some(place);
            }
            markets::cool(&mut desk, &market, ErrorClass::Capacity);
            self.record.memory.market_backoff = desk.record.memory.market_backoff;
        }
        None
    }

    /// The record as the engine leaves it when one instance follows another.
    fn hold(&mut self, place: Place, now: Time, lost: bool) {
        let Some(market) = self.market(place) else { return };
        let before = self.record.clone();
        if let Some(holder) = before.instance.as_ref()
            && holder.market.lifecycle == Lifecycle::Spot
        {
            self.record.memory.spot_lifetimes.push(SpotLifetime {
                market: holder.market.clone(),
                ended_at: now,
                lived_ms: now.since(holder.launched_at),
                lost,
            });
            let excess = self.record.memory.spot_lifetimes.len().saturating_sub(MAX_SPOT_LIFETIMES);
            self.record.memory.spot_lifetimes.drain(..excess);
        }
        self.record.generations.launch();
        self.record.memory.revert_after = None;
        self.record.identity.data = vec![DataVolume {
            device: "/dev/xvdb".to_owned(),
            head: DataHead::Volume { id: VolumeId::from("vol-1"), zone: market.zone.clone() },
            fs_uuid: None,
            user_attached: None,
            restore: None,
        }];
        self.record.instance = Some(ServingInstance {
            why: String::new(),
            id: InstanceId(format!("i-{}", self.record.generations.number())),
            market,
            launched_at: now,
            impaired_since: None,
        });
        self.survival.follow(Some(&before), Some(&self.record));
    }
}

/// Holdfast with what it needs to know of prices.
pub struct Priced {
    /// The policy.
    pub holdfast: Holdfast,
    /// On-demand price, US dollars for an hour.
    pub on_demand_usd: f64,
}

impl Policy for Priced {
    fn place(&mut self, tick: &mut Tick<'_>, now_at: Option<Place>, lost: bool) -> Place {
        let now = Time(tick.now_ms());
        let node = &mut self.holdfast;
        if let Some(at) = now_at.filter(|at| !lost && at.lifecycle == Lifecycle::Spot) {
            return at;
        }
        let on_demand =
            Place { zone: now_at.map_or(0, |at| at.zone), lifecycle: Lifecycle::OnDemand };
        let next = if let Some(at) = now_at.filter(|_| !lost) {
            // On demand: the way back is looked for every now and then.
            let interval = node.tuning.revert_interval;
            let launched = node.record.instance.as_ref().map_or(now, |h| h.launched_at);
            if now < node.record.memory.revert_after.unwrap_or(launched.plus(interval)) {
                return at;
            }
            node.publish(tick, self.on_demand_usd);
            let probed = node.ask(now, choose_spot, |place| tick.probe(place.zone));
            let Some(place) = probed else {
                node.record.memory.revert_after = Some(now.plus(interval));
                return at;
            };
            place
        } else {
            node.publish(tick, self.on_demand_usd);
            let granted = |p: Place| p.lifecycle == Lifecycle::OnDemand || tick.launch(p.zone);
            node.ask(now, choose, granted).unwrap_or(on_demand)
        };
        node.hold(next, now, lost);
        next
    }
}

fn subnet(zone: &str) -> String {
    format!("subnet-{zone}")
}
