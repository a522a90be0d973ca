//! One node, planned by hand: each answer comes when the test gives it.

use holdfast_engine::observed::survival::Survival;
use holdfast_engine::replies::absorb;
use holdfast_engine::{Plan, Scene, Tuning, World, plan};
use holdfast_model::facts::{
    Attachment, Fact, Health, InstanceFact, InstanceState, ResourceKind, VolumeFact, VolumeState,
};
use holdfast_model::market::{Catalogue, InstanceType, Market, MarketPrice, Subnet};
use holdfast_model::replacement::{Call, Replacement};
use holdfast_model::tags::Tags;
use holdfast_model::{
    CallState, CloudError, Command, Epoch, ErrorClass, ImageId, Installation, InstanceId,
    InterfaceId, Kind, Lifecycle, NodeId, Record, Reply, Row, Shared, SubnetId, Time, VolumeId,
    Zone,
};
use serde_json::{Value, json};

pub fn market() -> Market {
    Market {
        instance_type: "m5.large".to_owned(),
        zone: Zone::from("z"),
        subnet: SubnetId::from("subnet-z"),
        lifecycle: Lifecycle::Spot,
    }
}

/// The same place, and another type of instance.
pub fn other_market() -> Market {
    Market { instance_type: "c5.large".to_owned(), ..market() }
}

fn catalogue() -> Catalogue {
    let kind = |market: Market| InstanceType {
        name: market.instance_type,
        vcpus: 2,
        memory_mib: 8192,
        attachment_limit: 28,
        architecture: "x86_64".to_owned(),
    };
    Catalogue {
        region: "r".to_owned(),
        types: vec![kind(market()), kind(other_market())],
        subnets: vec![Subnet {
            id: SubnetId::from("subnet-z"),
            zone: Zone::from("z"),
            vpc: "v".into(),
            cidr: None,
        }],
        prices: vec![
            MarketPrice { market: market(), hourly_usd: 0.01 },
            MarketPrice { market: other_market(), hourly_usd: 0.02 },
        ],
    }
}

/// The spec of a node that keeps this and has these data volumes.
pub fn document(persistence: &Value, devices: &[&str]) -> Value {
    let mappings: Vec<Value> =
        devices.iter().map(|d| json!({ "deviceName": d, "ebs": { "volumeSize": 4 } })).collect();
    json!({
        "name": "n", "region": "r", "persistence": persistence,
        "strategy": { "lifeCycle": "spot" },
        "compute": {
            "vpcId": "v", "subnetIds": ["subnet-z"],
            "launchSpecification": {
                "imageId": "ami-1", "instanceTypes": { "types": ["m5.large"] },
                "blockDeviceMappings": mappings,
            }
        }
    })
}

pub struct Played {
    pub record: Record,
    pub world: World,
    pub now: Time,
    pub tuning: Tuning,
    pub catalogue: Catalogue,
}

impl Played {
    pub fn new(persistence: &Value, devices: &[&str]) -> Played {
        Played::of(document(persistence, devices))
    }

    /// A node that was made from this document, in a cloud that shows nothing.
    pub fn of(document: Value) -> Played {
        let mut world = World::new(0);
        for kind in ResourceKind::ALL {
            world.complete_sweep(kind, Time(1));
        }
        Played {
            record: Record::new(NodeId::from("smi-1"), document, Time(1)),
            world,
            now: Time(1),
            tuning: Tuning::local(),
            catalogue: catalogue(),
        }
    }

    /// What the node is planned with now.
    pub fn scene<T>(&self, look: impl FnOnce(&Scene<'_>) -> T) -> T {
        look(&Scene {
            world: &self.world,
            catalogue: &self.catalogue,
            installation: &Installation::from("us"),
            epoch: Epoch { count: 1, began: Time(1) },
            survival: &Survival::default(),
            tuning: &self.tuning,
            snapshot_volumes: 0,
            choice_from: Time(0),
            now: self.now,
        })
    }

    /// One plan, a moment later.
    pub fn plan(&mut self) -> Plan {
        self.now = self.now.plus(1);
        let planned = self.scene(|scene| plan(self.record.clone(), scene));
        self.record = planned.record.clone();
        planned
    }

    pub fn row(&self, row: Row) -> Option<&holdfast_model::replacement::RowState> {
        self.record.work.as_ref()?.rows.get(&row)
    }

    pub fn is_done(&self, row: Row) -> bool {
        self.row(row).is_some_and(|state| state.done_at.is_some())
    }

    /// The calls of a row that have left and have no answer yet, with their names.
    pub fn open(&self, row: Row) -> Vec<(String, Call)> {
        let calls = self.row(row).into_iter().flat_map(|row| &row.calls);
        let call = calls.map(|(name, call)| (name.clone(), (**call).clone()));
        call.filter(|(_, call)| call.state == CallState::Started).collect()
    }

    /// The first open call of a row that passes the test gets this answer.
    pub fn ends(
        &mut self,
        row: Row,
        which: impl Fn(&Command) -> bool,
        result: impl FnOnce(&Command) -> Result<Vec<Fact>, CloudError>,
    ) {
        let mut open = self.open(row).into_iter();
        let (name, call) = open.find(|(_, call)| which(&call.command)).expect("it was asked for");
        let result = result(&call.command).map(|facts| Reply { facts, gone: Vec::new() });
        self.now = self.now.plus(1);
        if let Ok(reply) = &result {
            self.world.absorb_reply(reply, self.now);
        }
        let taken = absorb(&mut self.record, row, &name, &call.token, &result, self.now);
        assert!(taken, "the answer belongs to a call");
    }

    pub fn answer(
        &mut self,
        which: impl Fn(&Command) -> bool,
        fact: impl FnOnce(&Command) -> Fact,
    ) {
        self.ends(Row::Launch, which, |command| Ok(vec![fact(command)]));
    }

    /// The first open call of a row is refused.
    pub fn refuse(&mut self, row: Row, class: ErrorClass, code: &str) {
        let error = CloudError { class, code: code.to_owned(), message: "no".to_owned() };
        self.ends(row, |_| true, |_| Err(error));
    }

    /// A look at these ids, which shows this.
    pub fn look(&mut self, ids: &[&str], facts: Vec<Fact>) {
        self.now = self.now.plus(1);
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        self.world.absorb_ids(&ids, facts, self.now);
    }

    /// Whether a person is asked, and about which row.
    pub fn asks(&self) -> Option<Row> {
        let stuck = self.record.blocked.decision().filter(|stuck| !stuck.choices().is_empty());
        stuck.map(|stuck| stuck.row)
    }
}

/// A volume that nobody holds.
pub fn volume(id: &str, state: VolumeState, tags: Tags) -> Fact {
    Fact::Volume(Shared::from(VolumeFact {
        id: VolumeId::from(id),
        state,
        zone: Zone::from("z"),
        size_gib: 4,
        attached_to: None,
        attachment_settled: true,
        snapshot: None,
        fs_uuid: None,
        tags,
    }))
}

/// A replacement that has just begun.
pub fn replacement(kind: Kind, started_at: Time) -> Replacement {
    let mut record = Record::new(NodeId::from("smi-1"), Value::Null, started_at);
    record.memory.replacements = 1;
    record.generations.launch();
    Replacement::begin(&record, kind, String::new(), started_at)
}

pub fn is_launch(command: &Command) -> bool {
    matches!(command, Command::RunInstances(_))
}

pub fn instance(command: &Command, state: InstanceState, reason: Option<&str>) -> Fact {
    let Command::RunInstances(launch) = command else { panic!("no launch: {command:?}") };
    let root = Attachment {
        volume: VolumeId::from("vol-root"),
        device: "/dev/xvda".to_owned(),
        delete_on_termination: true,
    };
    Fact::Instance(Shared::from(InstanceFact {
        id: InstanceId::from("i-1"),
        state,
        reason: reason.map(str::to_owned),
        instance_type: "m5.large".to_owned(),
        zone: Zone::from("z"),
        lifecycle: Lifecycle::Spot,
        image: ImageId::from("ami-1"),
        launched_at: Time(2),
        private_ip: None,
        interface: Some(InterfaceId::from("eni-1")),
        root_device: "/dev/xvda".to_owned(),
        // What has ended holds nothing any more.
        attachments: if state == InstanceState::Running { vec![root] } else { Vec::new() },
        health: Health::Initializing,
        health_why: None,
        no_successor: None,
        interruption_at: None,
        drained: false,
        tags: launch.tags.clone(),
    }))
}

/// A look at the volumes is not a look at the instance that is gone: who waits for the one must not
/// seem to wait for the other, or nothing ever brings the node on.
#[test]
fn a_launch_that_is_answered_with_an_ended_instance_waits_for_a_whole_look_and_watches_nothing() {
    let mut node = Played::new(&json!({ "persistRootDevice": true }), &[]);
    node.plan();
    node.answer(is_launch, |launch| {
        instance(launch, InstanceState::Terminated, Some("Client.InternalError: it does not mount"))
    });
    let planned = node.plan();
    assert_eq!(node.record.work.as_ref().map(|r| r.kind), Some(Kind::Lost));
    assert!(planned.waits_for.unwrap_or_default().contains("whole look at the volumes"));
    assert_eq!(planned.watch, [] as [String; 0]);
    let asked = node.now.plus(1);
    node.world.complete_sweep(ResourceKind::Volume, asked);
    node.plan();
    assert!(node.is_done(Row::Fence), "{:?}", node.record.work);
}

#[test]
fn a_launch_waits_for_every_new_volume_whichever_is_answered_last() {
    let devices = ["/dev/xvdb", "/dev/xvdc"];
    for last in devices {
        let kept = json!({ "persistBlockDevices": true, "blockDevicesMode": "reattach" });
        let mut node = Played::new(&kept, &devices);
        node.plan();
        node.answer(is_launch, |launch| instance(launch, InstanceState::Running, None));
        node.plan();
        let mut waits_for = None;
        let mut in_order = devices;
        in_order.sort_by_key(|device| *device == last);
        for (number, device) in in_order.into_iter().enumerate() {
            assert!(!node.is_done(Row::Launch), "{device} is not there yet, {last} comes last");
            assert!(node.row(Row::Attach).is_none(), "nothing is attached yet");
            let role = format!("data:{device}");
            let of_device = |command: &Command| match command {
                Command::CreateVolume { tags, .. } => {
                    tags.get(holdfast_model::tags::ROLE) == Some(&role)
                }
                _ => false,
            };
            node.answer(of_device, |command| {
                let Command::CreateVolume { tags, .. } = command else { unreachable!() };
                volume(&format!("vol-{number}"), VolumeState::Available, tags.clone())
            });
            waits_for = node.plan().waits_for;
        }
        assert!(node.is_done(Row::Launch), "it waits for {waits_for:?}");
    }
}

/// A node that keeps this, whose first instance runs, and what was seen of that.
pub fn running(persistence: &Value) -> (Played, InstanceFact) {
    let mut node = Played::new(persistence, &[]);
    node.plan();
    node.answer(is_launch, |launch| instance(launch, InstanceState::Running, None));
    node.plan();
    node.record.work = None;
    let Some(Fact::Instance(seen)) = node.world.last_seen("i-1").cloned() else {
        panic!("it runs")
    };
    (node, (*seen).clone())
}

/// The instance is seen once more, as this; what is planned then.
pub fn sees(node: &mut Played, instance: InstanceFact) -> Plan {
    node.now = node.now.plus(1);
    node.world.absorb_ids(&["i-1".to_owned()], vec![Fact::Instance(instance.into())], node.now);
    node.plan()
}

/// A status check that fails does not end an instance in whose place nothing could be made: it may
/// serve all the same.
#[test]
fn an_unwell_instance_is_kept_until_another_could_be_made_in_its_place() {
    let (mut node, seen) = running(&json!({ "persistRootDevice": true }));
    let show = |node: &mut Played, health: Health, no_successor: Option<&str>| {
        let no_successor = no_successor.map(str::to_owned);
        sees(node, InstanceFact { health, no_successor, ..seen.clone() })
    };
    let full = Some("the pool is full");
    show(&mut node, Health::Impaired, full);
    node.now = node.now.plus(10 * 60_000);
    let planned = show(&mut node, Health::Impaired, full);
    assert!(node.record.work.is_none(), "{:?}", node.record.work);
    let waits = planned.waits_for.unwrap_or_default();
    assert!(waits.contains("before i-1 is given up: the pool is full"), "{waits}");

    show(&mut node, Health::Impaired, None);
    assert_eq!(node.record.work.as_ref().map(|r| r.kind), Some(Kind::Unhealthy));
}

/// Nor does a recycling that a person asks for: it waits before anything is given up.
#[test]
fn a_recycling_gives_nothing_up_before_another_instance_could_be_made() {
    let (mut node, seen) = running(&json!({ "persistRootDevice": true }));
    node.record.lifecycle.set_recycle(true);
    let mut show = |no_successor: Option<&str>| {
        let no_successor = no_successor.map(str::to_owned);
        let planned =
            sees(&mut node, InstanceFact { health: Health::Ok, no_successor, ..seen.clone() });
        (planned.waits_for.unwrap_or_default(), node.row(Row::Stop).is_some())
    };
    let (waits, stops) = show(Some("the pool is full"));
    assert!(waits.contains("before i-1 is given up") && !stops, "{waits}");
    let (waits, stops) = show(None);
    assert!(stops, "{waits}");
}

#[test]
fn a_pending_instance_is_no_launch_that_is_done() {
    let mut node = Played::new(&json!({ "persistRootDevice": true }), &[]);
    node.plan();
    let mut launched = None;
    node.answer(is_launch, |launch| {
        launched = Some(instance(launch, InstanceState::Running, None));
        let Some(Fact::Instance(fact)) = launched.clone() else { unreachable!() };
        let pending = InstanceFact { state: InstanceState::Pending, ..(*fact).clone() };
        Fact::Instance(pending.into())
    });
    node.plan();
    assert!(!node.is_done(Row::Launch), "nothing can be attached to it yet");
    node.look(&["i-1"], launched.into_iter().collect());
    node.plan();
    assert!(node.is_done(Row::Launch));
}
