//! Which market a node is launched in, weighed by hand.

use crate::launches::is_launch;
use holdfast_engine::observed::survival::Survival;
use holdfast_engine::parts::markets::policy::{self, Way};
use holdfast_engine::{Plan, Scene, Tuning, World, plan};
use holdfast_model::facts::ResourceKind;
use holdfast_model::market::{Catalogue, InstanceType, MarketPrice, Subnet};
use holdfast_model::record::SpotLifetime;
use holdfast_model::time::{HOUR, MINUTE};
use holdfast_model::{
    Command, Epoch, Installation, Lifecycle, Market, NodeId, Record, Row, SubnetId, Time, Zone,
};
use serde_json::{Value, json};

/// A type in the zone of this subnet.
fn market(instance_type: &str, subnet: &str, lifecycle: Lifecycle) -> Market {
    Market {
        instance_type: instance_type.to_owned(),
        zone: Zone::from(format!("zone of {subnet}").as_str()),
        subnet: SubnetId::from(subnet),
        lifecycle,
    }
}

/// A region with two types in two zones, in which everything costs ten cents on demand.
fn region(spot: &[(&str, &str, f64)], attachment_limit: u32) -> Catalogue {
    let subnet = |id: &&str| Subnet {
        id: SubnetId::from(*id),
        zone: Zone::from(format!("zone of {id}").as_str()),
        vpc: "v".into(),
        cidr: None,
    };
    let kind = |name: &&str| InstanceType {
        name: (*name).to_owned(),
        vcpus: 2,
        memory_mib: 8192,
        attachment_limit,
        architecture: "x86_64".to_owned(),
    };
    let prices = spot.iter().flat_map(|(name, subnet, hourly_usd)| {
        [(Lifecycle::Spot, *hourly_usd), (Lifecycle::OnDemand, 0.1)].map(|(lifecycle, usd)| {
            MarketPrice { market: market(name, subnet, lifecycle), hourly_usd: usd }
        })
    });
    Catalogue {
        region: "r".to_owned(),
        types: ["m5.large", "c5.large"].iter().map(kind).collect(),
        subnets: ["subnet-1", "subnet-2"].iter().map(subnet).collect(),
        prices: prices.collect(),
    }
}

fn node(change: impl FnOnce(&mut Value)) -> Record {
    let mut document = json!({
        "name": "n", "region": "r", "persistence": { "persistBlockDevices": true,
            "blockDevicesMode": "reattach" },
        "strategy": { "lifeCycle": "spot", "fallbackToOd": false },
        "compute": {
            "vpcId": "v", "subnetIds": ["subnet-1", "subnet-2"],
            "launchSpecification": {
                "imageId": "ami-1", "instanceTypes": { "types": ["m5.large", "c5.large"] },
                "blockDeviceMappings": [
                    { "deviceName": "/dev/xvdb", "ebs": { "volumeSize": 4 } },
                    { "deviceName": "/dev/xvdc", "ebs": { "volumeSize": 4 } },
                ],
            }
        }
    });
    change(&mut document);
    Record::new(NodeId::from("smi-1"), document, Time(1))
}

fn planned(record: &Record, catalogue: &Catalogue, survival: &Survival, now: Time) -> Plan {
    let mut world = World::new(0);
    for kind in ResourceKind::ALL {
        world.complete_sweep(kind, Time(1));
    }
    let scene = Scene {
        world: &world,
        catalogue,
        installation: &Installation::from("us"),
        epoch: Epoch { count: 1, began: Time(1) },
        survival,
        tuning: &Tuning::ec2(),
        snapshot_volumes: 0,
        choice_from: Time(0),
        now,
    };
    plan(record.clone(), &scene)
}

/// The type and subnet that are launched, if something is.
fn launched(plan: &Plan) -> Option<(String, String)> {
    let replacement = plan.record.work.as_ref()?;
    let calls = replacement.rows.get(&Row::Launch)?.calls.values();
    calls.map(|call| &call.command).filter(|command| is_launch(command)).find_map(|command| {
        let Command::RunInstances(launch) = command else { return None };
        let Market { instance_type, subnet, .. } = &launch.market;
        Some((instance_type.clone(), subnet.0.clone()))
    })
}

fn in_market(instance_type: &str, subnet: &str) -> Option<(String, String)> {
    Some((instance_type.to_owned(), subnet.to_owned()))
}

#[test]
fn a_hundredth_of_a_cent_decides_between_zones_and_between_types_where_the_price_comes_first() {
    let prices = [
        ("m5.large", "subnet-1", 0.0302),
        ("m5.large", "subnet-2", 0.0301),
        ("c5.large", "subnet-1", 0.0300),
        ("c5.large", "subnet-2", 0.0303),
    ];
    let region = region(&prices, 28);
    for (orientation, expected) in [
        ("balanced", in_market("m5.large", "subnet-2")),
        ("cheapest", in_market("c5.large", "subnet-1")),
        ("costOriented", in_market("c5.large", "subnet-1")),
    ] {
        let record = node(|spec| spec["strategy"]["orientation"] = orientation.into());
        let plan = planned(&record, &region, &Survival::default(), Time(HOUR));
        assert_eq!(launched(&plan), expected, "{orientation}: {:?}", plan.events);
    }
}

#[test]
fn what_is_cheaper_and_taken_back_all_the_time_is_dearer_and_the_reason_says_by_how_much() {
    let prices = [("m5.large", "subnet-1", 0.03), ("m5.large", "subnet-2", 0.02)];
    let region = region(&prices, 28);
    let now = Time(1_000 * HOUR);
    let mut survival = Survival::default();
    let short = |n: u64| SpotLifetime {
        market: market("m5.large", "subnet-2", Lifecycle::Spot),
        ended_at: Time(now.0 - n * 10 * MINUTE),
        lived_ms: 5 * MINUTE,
        lost: true,
    };
    (0..9).rev().for_each(|n| survival.note(&short(n)));
    let record = node(|spec| spec["strategy"]["orientation"] = "cheapest".into());
    let plan = planned(&record, &region, &Survival::default(), now);
    assert_eq!(launched(&plan), in_market("m5.large", "subnet-2"), "nothing was seen yet");
    let plan = planned(&record, &region, &survival, now);
    assert_eq!(launched(&plan), in_market("m5.large", "subnet-1"));
    // Three hours are expected; two times 90 s of 3 h at ten cents are 0.17 cents an hour.
    let why = plan.events.iter().find(|e| e.code == "placed").map(|e| e.message.clone());
    let why = why.expect("people are told");
    assert!(why.contains("$0.0300/h, $0.0317/h with blackouts"), "{why}");
    assert!(why.contains("nothing is known of it yet, 3.0 h are expected"), "{why}");
}

#[test]
fn a_type_must_hold_the_root_the_interface_and_every_volume() {
    for (limit, fits) in [(3, false), (4, true)] {
        let prices = [("m5.large", "subnet-1", 0.03)];
        let plan =
            planned(&node(|_| {}), &region(&prices, limit), &Survival::default(), Time(HOUR));
        assert_eq!(launched(&plan).is_some(), fits, "{limit} attachments: {:?}", plan.events);
        let told = plan.events.iter().any(|e| e.message.contains("holds only 3 attachments"));
        assert_eq!(told, !fits, "{:?}", plan.events);
    }
}

#[test]
fn a_market_that_refused_is_asked_again_as_soon_as_its_time_is_over() {
    let prices = [("m5.large", "subnet-1", 0.03)];
    let region = region(&prices, 28);
    let mut record = node(|spec| {
        spec["compute"]["subnetIds"] = json!(["subnet-1"]);
        spec["compute"]["launchSpecification"]["instanceTypes"]["types"] = json!(["m5.large"]);
    });
    let refused = market("m5.large", "subnet-1", Lifecycle::Spot);
    let until = Time(2 * HOUR);
    record.memory.market_backoff.insert(refused.to_string(), until);
    let plan = planned(&record, &region, &Survival::default(), Time(until.0 - 1));
    assert_eq!((launched(&plan), plan.wake), (None, Some(until)));
    let plan = planned(&plan.record, &region, &Survival::default(), until);
    assert_eq!(launched(&plan), in_market("m5.large", "subnet-1"));
}

#[test]
fn blackouts_are_spread_over_the_life_that_is_expected_and_cost_nothing_on_demand() {
    let way = |lifecycle, life_ms| Way {
        lifecycle,
        hourly_usd: 0.03,
        life_ms,
        getting_there_ms: 6 * MINUTE,
        being_taken_ms: 3 * MINUTE,
    };
    let cost = |way: Way| policy::hourly(&way, 0.1, 2.0);
    let spot = |minutes: u64| cost(way(Lifecycle::Spot, (minutes * MINUTE) as f64));
    // Nine minutes of blackout at twice ten cents, in three hours and in ten minutes.
    assert!((spot(180) - 0.04).abs() < 1e-9, "{}", spot(180));
    assert!((spot(10) - 0.21).abs() < 1e-9, "{}", spot(10));
    assert_eq!(cost(way(Lifecycle::OnDemand, 1.0)), 0.03);
    let pays = |minutes: u64| {
        policy::hourly(&way(Lifecycle::Spot, (minutes * MINUTE) as f64), 0.1, 2.0) < 0.1
    };
    assert!(pays(30) && !pays(20));
}

#[test]
fn to_leave_on_demand_for_what_costs_as_much_does_not_pay() {
    for (hourly_usd, pays) in [(0.0999, true), (0.1, false), (0.1001, false)] {
        let way = Way {
            lifecycle: Lifecycle::Spot,
            hourly_usd,
            life_ms: HOUR as f64,
            getting_there_ms: 0,
            being_taken_ms: 0,
        };
        assert_eq!(policy::hourly(&way, 0.1, 3.0) < 0.1, pays, "{hourly_usd}");
    }
}

#[test]
fn times_are_told_in_minutes_then_hours_then_days() {
    for (millis, told) in [
        (40 * MINUTE, "40 min"),
        (HOUR, "1.0 h"),
        (5 * HOUR + 12 * MINUTE, "5.2 h"),
        (47 * HOUR, "47.0 h"),
        (48 * HOUR, "2.0 d"),
        (74 * HOUR + 24 * MINUTE, "3.1 d"),
    ] {
        assert_eq!(policy::spell(millis as f64), told);
    }
}
