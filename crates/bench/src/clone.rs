//! Many nodes without the work of making each: one node is made by the fleet, and every call that
//! was made for it is made again for each of the others, with the others' ids in the places of its
//! own. So their records and resources are what the fleet would have made.

use crate::BenchError;
use crate::drive::{Drive, Made};
use holdfast_cloud_sim::{SimCloud, SimConfig, Span};
use holdfast_controller::{FleetConfig, Input};
use holdfast_model::facts::Fact;
use holdfast_model::time::{HOUR, MINUTE, SECOND};
use holdfast_model::user::UserCommand;
use holdfast_model::{Command, Installation, NodeId, Record, Time};
use serde_json::Value;
use std::collections::BTreeMap;

/// How long a step of the node that is copied may take in virtual time.
const LIMIT: u64 = HOUR;

/// One node, and every call that was made for it.
pub(crate) struct Original {
    record: Record,
    calls: Vec<Made>,
    lasted: Time,
}

/// The fleet's configuration in every benchmark.
pub(crate) fn config() -> FleetConfig {
    FleetConfig::ec2(Installation::from("0123abcd"))
}

/// Everything takes the same time, so that every copy goes through the same states as the original.
fn even() -> SimConfig {
    let quick = Span::exactly(100);
    SimConfig {
        pending: quick,
        boot: quick,
        healthy: quick,
        shutting_down: quick,
        release: quick,
        snapshot: quick,
        image: quick,
        attaching: quick,
        volume_creating: quick,
        appears: Span::exactly(0),
        stale: Span::exactly(0),
        reply: Span::exactly(10),
        describe: Span::exactly(10),
        snapshot_interval: 0,
        // Nothing is written while the stage is set.
        write_interval: HOUR * 24,
        ..SimConfig::default()
    }
}

/// Makes one node and replaces it so many times.
pub(crate) fn original(
    seed: u64,
    document: Value,
    replacements: usize,
) -> Result<Original, BenchError> {
    // Another seed than the copies', so that no id of the original is one of theirs.
    let cloud = SimCloud::new(!seed, even());
    let mut drive = Drive::start(cloud, Time(SECOND), config(), Vec::new());
    drive.log = Some(Vec::new());
    let id = NodeId::from("smi-00000000");
    drive.say(Input::Word(1, UserCommand::Create { id: id.clone(), document }));
    for generation in 1..=replacements as u64 + 1 {
        drive.run_until("making a node", LIMIT, |d| {
            let record = d.fleet.record(&id);
            record.is_some_and(|r| r.generations.number() == generation && r.status() == "ACTIVE")
        })?;
        if generation <= replacements as u64 {
            drive.say(Input::Word(generation + 1, UserCommand::Recycle(id.clone())));
        }
    }
    drive.run_for(MINUTE);
    let record = drive.fleet.record(&id).map(|r| (*r).clone());
    let Some(record) = record else {
        let waits = "its record is gone".to_owned();
        return Err(BenchError::Stuck { what: "making a node".to_owned(), waits });
    };
    Ok(Original { record, calls: drive.log.take().unwrap_or_default(), lasted: drive.now })
}

impl Original {
    /// A region with so many copies that serve, at the time given, and their records.
    pub(crate) fn copies(
        &self,
        seed: u64,
        count: usize,
        edit: impl Fn(usize, &mut String),
    ) -> Result<(SimCloud, Time, Vec<Record>), BenchError> {
        let mut cloud = SimCloud::new(seed, even());
        let mut names: Vec<BTreeMap<String, String>> = (1..=count)
            .map(|n| {
                let (old, new) = ("00000000".to_owned(), format!("{n:08x}"));
                BTreeMap::from([
                    (format!("smi-{old}"), format!("smi-{new}")),
                    (format!("hf-{old}"), format!("hf-{new}")),
                ])
            })
            .collect();
        for made in &self.calls {
            let text = written(&made.command)?;
            for (number, names) in names.iter_mut().enumerate() {
                let mut text = renamed(&text, names);
                edit(number, &mut text);
                let command: Command = read(&text)?;
                let answer = cloud.call(made.at, command);
                let reply = answer.result.map_err(|e| BenchError::Stuck {
                    what: "copying a node".to_owned(),
                    waits: format!("{}: {e}", made.command.action()),
                })?;
                for (old, new) in made.facts.iter().zip(&reply.facts) {
                    for (old, new) in words(old).into_iter().zip(words(new)) {
                        names.entry(old).or_insert(new);
                    }
                }
            }
        }
        let text = written(&self.record)?;
        let mut records = Vec::with_capacity(count);
        for (number, names) in names.iter().enumerate() {
            let mut text = renamed(&text, names);
            edit(number, &mut text);
            records.push(read(&text)?);
        }
        cloud.advance(self.lasted);
        Ok((cloud, self.lasted, records))
    }
}

/// What tells one node's resource from another's.
fn words(fact: &Fact) -> Vec<String> {
    let mut words = vec![fact.id().to_owned()];
    match fact {
        Fact::Volume(v) => words.extend(v.fs_uuid.clone()),
        Fact::Interface(i) => words.extend([i.private_ip.clone(), i.mac.clone()]),
        Fact::Instance(_) | Fact::Snapshot(_) | Fact::Image(_) => {}
    }
    words
}

/// Text with every old name replaced. Names are quoted whole, or begin a word.
fn renamed(text: &str, names: &BTreeMap<String, String>) -> String {
    let mut text = text.to_owned();
    for (old, new) in names {
        if text.contains(old.as_str()) {
            text = text.replace(old.as_str(), new);
        }
    }
    text
}

pub(crate) fn written(what: &impl serde::Serialize) -> Result<String, BenchError> {
    serde_json::to_string(what).map_err(|e| BenchError::Copy(e.to_string()))
}

pub(crate) fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, BenchError> {
    serde_json::from_str(text).map_err(|e| BenchError::Copy(e.to_string()))
}
