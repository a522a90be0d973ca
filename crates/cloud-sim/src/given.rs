//! A region as it stood once, to be gone on with: what older versions of Holdfast left behind is
//! kept as facts, with what the volumes and snapshots hold.

use crate::cloud::SimCloud;
use crate::config::SimConfig;
use crate::resources::{Content, Image, Instance, Interface, Snapshot, Volume};
use crate::writes::Writes;
use holdfast_model::facts::{Fact, InstanceFact, InstanceState};
use holdfast_model::{Command, InstanceId, NodeId, Shared, Time, Token, VolumeId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Numbers of writes as ranges, both ends inclusive.
type Ranges = Vec<(u64, u64)>;

/// What a volume or snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The device whose content it is.
    pub device: String,
    /// Which writes.
    pub writes: Ranges,
    /// A snapshot's size in GiB.
    pub size_gib: u32,
    /// A snapshot's filesystem.
    pub fs_uuid: Option<String>,
}

/// What one node had at an instant at which nothing was on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// When.
    pub now: Time,
    /// Its resources.
    pub facts: Vec<Fact>,
    /// Instances whose gates are open, with what their workloads write to.
    pub serving: BTreeMap<InstanceId, Vec<(String, VolumeId)>>,
    /// What volumes and snapshots hold, by id.
    pub held: BTreeMap<String, Held>,
    /// What was acknowledged, by device.
    pub acknowledged: BTreeMap<String, Ranges>,
    /// The number of the last write.
    pub last_number: u64,
}

fn writes(ranges: &Ranges) -> Writes {
    let mut writes = Writes::default();
    for (first, last) in ranges {
        writes.add(*first, *last);
    }
    writes
}

impl SimCloud {
    /// What a node has now. Nothing of it should be on its way.
    pub fn taken(&mut self, now: Time, node: &NodeId) -> Given {
        self.settle(now, node);
        let mut held = BTreeMap::new();
        let mut keep = |id: &str, content: &Content, size_gib: u32, fs_uuid: Option<String>| {
            if let Some((_, device)) = content.owner.as_ref().filter(|(owner, _)| owner == node) {
                let writes = content.writes.ranges().collect();
                let device = device.clone();
                held.insert(id.to_owned(), Held { device, writes, size_gib, fs_uuid });
            }
        };
        for (id, volume) in &self.world.volumes {
            keep(id.as_str(), &volume.content, volume.fact.size_gib, volume.fact.fs_uuid.clone());
        }
        for (id, snapshot) in &self.world.snapshots {
            keep(id.as_str(), &snapshot.content, snapshot.size_gib, snapshot.fs_uuid.clone());
        }
        let serving = self.world.instances.iter().filter_map(|(id, instance)| {
            let workload = instance.workload.as_ref().filter(|w| &w.node == node)?;
            Some((id.clone(), workload.disks.clone()))
        });
        Given {
            now,
            serving: serving.collect(),
            acknowledged: self.world.truth.acknowledged_ranges(node),
            last_number: self.world.truth.last_number(node),
            facts: self.resources(node),
            held,
        }
    }

    /// A region that holds what a node had, and that remembers the calls which made it: repeated,
    /// they make nothing new.
    #[must_use]
    pub fn given(
        seed: u64,
        config: SimConfig,
        node: &NodeId,
        given: &Given,
        made_by: &[(Command, Token)],
    ) -> SimCloud {
        let mut cloud = SimCloud::new(seed, config);
        cloud.advance(given.now);
        for fact in &given.facts {
            cloud.put(fact, given);
            let token = fact.tags().get(holdfast_model::tags::TOKEN);
            let call = made_by
                .iter()
                .find(|(command, of)| Some(&of.0) == token && command.makes() == Some(fact.kind()));
            if let Some((command, token)) = call {
                let key = (command.action(), token.clone());
                cloud.world.tokens.insert(key, (command.clone(), fact.id().to_owned()));
            }
        }
        for (id, held) in &given.held {
            cloud.world.truth.add_holder(&(node.clone(), held.device.clone()), id);
        }
        cloud.world.truth.number(node, given.last_number);
        for (device, ranges) in &given.acknowledged {
            cloud.world.truth.acknowledge(node, device, &writes(ranges));
        }
        for (id, disks) in &given.serving {
            cloud.world.begin_workload(id, disks.clone());
        }
        cloud
    }

    fn put(&mut self, fact: &Fact, given: &Given) {
        let owner = |id: &str| {
            let held = given.held.get(id)?;
            let node = fact.tags().get(holdfast_model::tags::NODE)?;
            Some(((NodeId(node.clone()), held.device.clone()), held))
        };
        let content = |id: &str| {
            owner(id).map_or_else(Content::default, |(lineage, held)| Content {
                owner: Some(lineage),
                writes: writes(&held.writes),
                tail: Writes::default(),
            })
        };
        let world = &mut self.world;
        match fact.clone() {
            Fact::Instance(fact) => {
                let instance = instance(world.config.catalogue(), fact, given);
                world.instances.insert(instance.fact.id.clone(), instance);
            }
            Fact::Volume(fact) => {
                let volume = Volume {
                    content: content(fact.id.as_str()),
                    detaching: false,
                    last_snapshot: None,
                    snapshots_pending: 0,
                    fact,
                };
                world.volumes.insert(volume.fact.id.clone(), volume);
            }
            Fact::Snapshot(fact) => {
                let held = given.held.get(fact.id.as_str());
                let snapshot = Snapshot {
                    size_gib: held.map_or(1, |h| h.size_gib),
                    fs_uuid: held.and_then(|h| h.fs_uuid.clone()),
                    content: content(fact.id.as_str()),
                    fact,
                };
                world.snapshots.insert(snapshot.fact.id.clone(), snapshot);
            }
            Fact::Image(fact) => {
                let root = fact.snapshot.as_ref().and_then(|s| given.held.get(s.as_str()));
                let root_gib = root.map_or(1, |h| h.size_gib);
                if let Some(snapshot) = fact.snapshot.clone() {
                    world.image_users.entry(snapshot).or_default().insert(fact.id.clone());
                }
                world.image_names.insert(fact.name.clone(), fact.id.clone());
                world.images.insert(fact.id.clone(), Image { fact, root_gib });
            }
            Fact::Interface(fact) => {
                world.interfaces.insert(fact.id.clone(), Interface { fact });
            }
        }
    }
}

fn instance(
    catalogue: holdfast_model::market::Catalogue,
    fact: Shared<InstanceFact>,
    given: &Given,
) -> Instance {
    Instance {
        vcpus: catalogue.instance_type(&fact.instance_type).map_or(2, |t| t.vcpus),
        has_script: !fact.drained,
        launch: None,
        own_interface: given.facts.iter().any(|f| made_with(f, &fact)),
        secondary: Vec::new(),
        powered: fact.state == InstanceState::Running,
        answers_at: Some(given.now),
        gate_open: given.serving.contains_key(&fact.id),
        draining: None,
        workload: None,
        fact,
    }
}

/// Whether a fact is of the interface that was made with an instance: the tags of one launch are on
/// both.
fn made_with(fact: &Fact, instance: &InstanceFact) -> bool {
    let token = |tags: &holdfast_model::tags::Tags| tags.get(holdfast_model::tags::TOKEN).cloned();
    let own = token(&instance.tags);
    matches!(fact, Fact::Interface(i) if own.is_some()
        && token(&i.tags) == own
        && i.attached_to.as_ref() == Some(&instance.id))
}
