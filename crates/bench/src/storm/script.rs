//! What Holdfast is compared with: scripts that replace nodes without a fleet.
//!
//! Both follow what Spot documents for a stateful node: a pause (terminate, final snapshot of the
//! root, register its image), then a resume (launch from that image with the same interface, attach
//! the same volumes), one step after the other, and look at each resource by itself as the AWS
//! SDK's waiters do, every 15 seconds. `incumbent` does so for all nodes side by side, `naive` for
//! one node after another. They are models of documents, not measurements of somebody's service,
//! and they tidy nothing up afterwards.

use super::stage::{Node, Stage};
use crate::BenchError;
use crate::drive::Drive;
use holdfast_cloud_sim::SimCloud;
use holdfast_cloud_sim::config::{IMAGE, market};
use holdfast_model::command::{Launch, Mount};
use holdfast_model::facts::{
    Fact, ImageState, InstanceState, Query, ResourceKind, SnapshotState, VolumeState,
};
use holdfast_model::tags::{self, Tags};
use holdfast_model::{
    Command, ErrorClass, ImageId, InstanceId, Lifecycle, SnapshotId, Time, Token,
};
use std::collections::BTreeSet;

/// From one look of a waiter to the next (AWS SDK: `InstanceTerminated`, `SnapshotCompleted`,
/// `ImageAvailable`, `InstanceRunning`, `VolumeInUse`: 15 s).
const WAITER: u64 = 15_000;
/// The agent in the node answers nobody's EC2 calls: it may be asked often.
const AGENT: u64 = 1_000;
/// The SDK's first and longest pause after being throttled (AWS SDKs reference, "Retry behavior").
const BACKOFF: (u64, u64) = (1_000, 20_000);
/// The most steps of all nodes together: beyond it something turns in a circle.
const MAX_STEPS: u64 = 20_000_000;

/// Where a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Terminate,
    UntilTerminated,
    UntilFree,
    Snapshot,
    UntilCompleted,
    Register,
    UntilAvailable,
    Run,
    UntilRunning,
    Attach(usize),
    UntilAttached(usize),
    Gate,
    Back,
}

struct Course<'a> {
    node: &'a Node,
    step: Step,
    throttled: u32,
    snapshot: SnapshotId,
    image: ImageId,
    next: InstanceId,
}

/// What came of one attempt.
enum Came {
    Next(Time),
    Again(Time),
}

/// Runs a script over every node; returns when each was back.
pub(super) fn run(stage: &mut Stage, one_by_one: bool) -> Result<Vec<Time>, BenchError> {
    let Stage { drive, nodes } = stage;
    let Drive { cloud, now, .. } = drive;
    let mut courses: Vec<Course<'_>> = nodes
        .iter()
        .map(|node| Course {
            node,
            step: Step::Terminate,
            throttled: 0,
            snapshot: SnapshotId(String::new()),
            image: ImageId(String::new()),
            next: InstanceId(String::new()),
        })
        .collect();
    let began = *now;
    let mut due: BTreeSet<(Time, usize)> = BTreeSet::new();
    let at_once = if one_by_one { 1 } else { courses.len() };
    due.extend((0..courses.len()).take(at_once).map(|n| (began, n)));
    let mut back = Vec::with_capacity(courses.len());
    for _ in 0..MAX_STEPS {
        let Some((at, number)) = due.pop_first() else {
            *now = (*now).max(back.iter().copied().max().unwrap_or(began));
            return Ok(back);
        };
        *now = (*now).max(at);
        let Some(course) = courses.get_mut(number) else { continue };
        match course.go(cloud, *now) {
            Came::Again(at) => drop(due.insert((at, number))),
            Came::Next(at) => {
                course.step = course.step.next(course.node);
                if course.step != Step::Back {
                    due.insert((at, number));
                    continue;
                }
                back.push(*now);
                let following = number + 1;
                if one_by_one && following < nodes.len() {
                    due.insert((at, following));
                }
            }
        }
    }
    let waits = format!("{} of {} nodes are back", back.len(), nodes.len());
    Err(BenchError::Stuck { what: "a script".to_owned(), waits })
}

impl Step {
    fn next(self, node: &Node) -> Step {
        let attach = |n: usize| if n < node.data.len() { Step::Attach(n) } else { Step::Gate };
        match self {
            Step::Terminate => Step::UntilTerminated,
            Step::UntilTerminated => Step::UntilFree,
            Step::UntilFree => Step::Snapshot,
            Step::Snapshot => Step::UntilCompleted,
            Step::UntilCompleted => Step::Register,
            Step::Register => Step::UntilAvailable,
            Step::UntilAvailable => Step::Run,
            Step::Run => Step::UntilRunning,
            Step::UntilRunning => attach(0),
            Step::Attach(n) => Step::UntilAttached(n),
            Step::UntilAttached(n) => attach(n + 1),
            Step::Gate | Step::Back => Step::Back,
        }
    }
}

impl Course<'_> {
    fn tags(&self, role: &str, generation: u64) -> Tags {
        Tags::from([
            (tags::INSTALLATION.to_owned(), "script".to_owned()),
            (tags::NODE.to_owned(), self.node.id.to_string()),
            (tags::ROLE.to_owned(), role.to_owned()),
            (tags::GENERATION.to_owned(), generation.to_string()),
        ])
    }

    fn go(&mut self, cloud: &mut SimCloud, now: Time) -> Came {
        match self.command() {
            Some(command) => self.call(cloud, now, command),
            None => self.look(cloud, now),
        }
    }

    fn command(&self) -> Option<Command> {
        let (old, new) = (self.node.generation, self.node.generation + 1);
        Some(match self.step {
            Step::Terminate => Command::TerminateInstances { instance: self.node.instance.clone() },
            Step::Snapshot => Command::CreateSnapshot {
                volume: self.node.root.clone(),
                tags: self.tags("root", old),
            },
            Step::Register => Command::RegisterImage {
                name: format!("script-{}-{new}", self.node.id),
                snapshot: self.snapshot.clone(),
                like: ImageId::from(IMAGE),
                root_device: self.node.root_device.clone(),
                tags: self.tags("root", old),
            },
            Step::Run => Command::RunInstances(Box::new(Launch {
                token: Token(format!("script-{}-{new}", self.node.id)),
                market: market("m5.large", "sim-1a", Lifecycle::Spot),
                image: self.image.clone(),
                interface: self.node.interface.clone(),
                root_delete_on_termination: false,
                root_size_gib: None,
                user_data: None,
                shutdown_script: None,
                root_settings: Default::default(),
                volume_tags: None,
                interface_tags: None,
                settings: serde_json::Map::new(),
                tags: self.tags("instance", new),
            })),
            Step::Attach(n) => {
                let (device, volume) = self.node.data.get(n)?.clone();
                Command::AttachVolume { volume, instance: self.next.clone(), device }
            }
            Step::Gate => Command::OpenGate {
                instance: self.next.clone(),
                manifest: self.node.data.iter().map(mount).collect(),
                interface: None,
            },
            _ => return None,
        })
    }

    fn call(&mut self, cloud: &mut SimCloud, now: Time, command: Command) -> Came {
        let scheduled = cloud.call(now, command);
        match scheduled.result {
            Ok(reply) => {
                self.throttled = 0;
                if let Some(made) = reply.facts.first() {
                    let id = made.id();
                    match self.step {
                        Step::Snapshot => self.snapshot = SnapshotId::from(id),
                        Step::Register => self.image = ImageId::from(id),
                        Step::Run => self.next = InstanceId::from(id),
                        _ => {}
                    }
                }
                Came::Next(scheduled.reply_at)
            }
            Err(e) if e.class == ErrorClass::Throttled => self.back_off(now),
            Err(_) if self.step == Step::Gate => Came::Again(now.plus(AGENT)),
            Err(_) => Came::Again(now.plus(WAITER)),
        }
    }

    fn back_off(&mut self, now: Time) -> Came {
        let (least, most) = BACKOFF;
        let pause = (least << self.throttled.min(10)).min(most);
        self.throttled += 1;
        // Spread, as the SDK's jitter does, so that they do not all come at once.
        let spread = u64::from(self.node.id.as_str().bytes().last().unwrap_or(0)) * 7 % 1_000;
        Came::Again(now.plus(pause + spread))
    }

    fn look(&mut self, cloud: &mut SimCloud, now: Time) -> Came {
        let (kind, id) = match self.step {
            Step::UntilTerminated => (ResourceKind::Instance, self.node.instance.to_string()),
            Step::UntilFree => (ResourceKind::Volume, self.node.root.to_string()),
            Step::UntilCompleted => (ResourceKind::Snapshot, self.snapshot.to_string()),
            Step::UntilAvailable => (ResourceKind::Image, self.image.to_string()),
            Step::UntilRunning => (ResourceKind::Instance, self.next.to_string()),
            Step::UntilAttached(n) => match self.node.data.get(n) {
                Some((_, volume)) => (ResourceKind::Volume, volume.to_string()),
                None => return Came::Next(now),
            },
            _ => return Came::Next(now),
        };
        let (at, page) = cloud.observe(now, &Query { kind, ids: vec![id], page: None });
        match page {
            // Terminated instances are shown for an hour; whoever comes later finds nothing.
            Ok(page) if page.facts.is_empty() && self.step == Step::UntilTerminated => {
                Came::Next(at)
            }
            Ok(page) if page.facts.first().is_some_and(|f| self.is_reached(f)) => Came::Next(at),
            Err(e) if e.class == ErrorClass::Throttled => self.back_off(now),
            _ => Came::Again(now.plus(WAITER)),
        }
    }

    fn is_reached(&self, fact: &Fact) -> bool {
        match (self.step, fact) {
            (Step::UntilTerminated, Fact::Instance(i)) => i.state == InstanceState::Terminated,
            (Step::UntilRunning, Fact::Instance(i)) => i.state == InstanceState::Running,
            (Step::UntilFree, Fact::Volume(v)) => v.state == VolumeState::Available,
            (Step::UntilAttached(_), Fact::Volume(v)) => v.attachment_settled,
            (Step::UntilCompleted, Fact::Snapshot(s)) => s.state == SnapshotState::Completed,
            (Step::UntilAvailable, Fact::Image(i)) => i.state == ImageState::Available,
            _ => false,
        }
    }
}

fn mount((device, volume): &(String, holdfast_model::VolumeId)) -> Mount {
    let target = format!("/mnt/{}", device.trim_start_matches("/dev/"));
    Mount { volume: volume.clone(), device: device.clone(), fs_uuid: None, target }
}
