//! A fleet that is looked at by hand: what it asks of the cloud waits until the test answers it.

use holdfast_controller::{Effect, Fleet, FleetConfig, Input};
use holdfast_model::facts::{Fact, Page, Query, ResourceKind};
use holdfast_model::time::SECOND;
use holdfast_model::{CloudError, ErrorClass, Installation, Time};
use serde_json::{Value, json};

/// A fleet without nodes, and what it wants to know.
pub struct Looking {
    pub fleet: Fleet,
    pub now: Time,
    pub asked: Vec<(u64, Query)>,
    /// What it wants besides.
    pub wants: Vec<Effect>,
}

impl Looking {
    pub fn new() -> Looking {
        let fleet = Fleet::new(FleetConfig::ec2(Installation::from("us")));
        let mut looking =
            Looking { fleet, now: Time(10 * SECOND), asked: Vec::new(), wants: Vec::new() };
        looking.take(Input::Loaded(Vec::new()));
        looking
    }

    pub fn take(&mut self, input: Input) {
        for effect in self.fleet.handle(self.now, input) {
            match effect {
                Effect::Observe { id, query } => self.asked.push((id, query)),
                other => self.wants.push(other),
            }
        }
    }

    /// Time passes.
    pub fn pass(&mut self, millis: u64) {
        self.now = self.now.plus(millis);
        self.take(Input::Tick);
    }

    /// The question for a page of a sweep that was asked last.
    pub fn question(&mut self, kind: ResourceKind) -> (u64, Query) {
        let is_it = |(_, query): &(u64, Query)| query.kind == kind && query.ids.is_empty();
        let at = self.asked.iter().position(is_it);
        self.asked.remove(at.unwrap_or_else(|| panic!("{kind:?} is not asked for")))
    }

    /// It is answered so; returns which page it was.
    pub fn answer(
        &mut self,
        kind: ResourceKind,
        result: Result<Page, CloudError>,
    ) -> Option<String> {
        let (id, query) = self.question(kind);
        self.take(Input::Observed(id, result));
        query.page
    }

    /// All sweeps that are asked for come to their end, and show this.
    pub fn sweep(&mut self, facts: &[Fact]) {
        let mut sweeps: Vec<(u64, Query)> = Vec::new();
        self.asked.retain(|(id, query)| {
            let is_look = !query.ids.is_empty();
            if !is_look {
                sweeps.push((*id, query.clone()));
            }
            is_look
        });
        for (id, query) in sweeps {
            let of_kind = facts.iter().filter(|fact| fact.kind() == query.kind).cloned();
            self.take(Input::Observed(id, page(of_kind.collect(), None)));
        }
    }

    /// The look at this id that was asked for, if any was.
    pub fn look(&mut self, id: &str) -> Option<u64> {
        let at = self.asked.iter().position(|(_, query)| query.ids == [id])?;
        Some(self.asked.remove(at).0)
    }

    pub fn swept(&self, kind: ResourceKind) -> Option<Time> {
        self.fleet.world().swept(kind)
    }
}

pub fn page(facts: Vec<Fact>, next: Option<&str>) -> Result<Page, CloudError> {
    Ok(Page { facts, next: next.map(str::to_owned) })
}

pub fn unreachable() -> Result<Page, CloudError> {
    Err(CloudError {
        class: ErrorClass::Unreachable,
        code: "Unreachable".to_owned(),
        message: String::new(),
    })
}

/// The document of a node in one market that keeps this (`persistRootDevice`, say).
pub fn document(keeps: &str) -> Value {
    json!({
        "name": "n", "region": "sim-1",
        "persistence": { keeps: true },
        "compute": {
            "vpcId": "vpc-sim", "subnetIds": ["subnet-sim-1a"],
            "launchSpecification": {
                "imageId": "ami-sim", "instanceTypes": { "types": ["m5.large"] }
            }
        }
    })
}
