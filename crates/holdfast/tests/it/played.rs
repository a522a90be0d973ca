//! A server on a free port whose controller is played: words change records as the engine says,
//! and nodes are where they should be at once, or never.

use holdfast_api::{Auth, router, serve};
use holdfast_controller::{Ask, Handle, NodeView, Refusal, View};
use holdfast_engine::context::refusal::NotDone;
use holdfast_engine::words;
use holdfast_model::record::{Goal, NodeLifecycle, Record, ServingInstance};
use holdfast_model::user::UserCommand;
use holdfast_model::{Lifecycle, Market, Spec, Time, document};
use holdfast_store::memory::MemoryStore;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, RwLock};
use tokio::sync::oneshot;

pub const TOKEN: &str = "the-token-of-the-tests";

pub struct Played {
    pub address: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Played {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// How a command ended.
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ended {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}{}", self.out, self.err))
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Ended {
        Ended {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// `holdfast` without a terminal and without the surroundings' settings.
pub fn holdfast() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command
        .env_remove("HOLDFAST_SERVER")
        .env_remove("HOLDFAST_TOKEN")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null());
    command
}

impl Played {
    /// With nodes that are where they should be at once.
    pub fn start() -> Played {
        Played::of(true)
    }

    /// With nodes that never get anywhere.
    pub fn stuck() -> Played {
        Played::of(false)
    }

    fn of(moves: bool) -> Played {
        let (handle, mut words, view) = Handle::detached(Arc::new(MemoryStore::new()));
        let (stop, stopped) = oneshot::channel::<()>();
        let (told, address) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                told.send(listener.local_addr().unwrap()).unwrap();
                tokio::spawn(async move {
                    while let Some(Ask { word, answer }) = words.recv().await {
                        let _ = answer.send(take(word, &view, moves));
                    }
                });
                let router = router(handle, Auth::of_token(TOKEN), None);
                let stopped = async {
                    let _ = stopped.await;
                };
                serve(listener, router, stopped).await;
            });
        });
        let address = format!("http://{}", address.recv().unwrap());
        Played { address, stop: Some(stop), thread: Some(thread) }
    }

    /// `holdfast node …` with the right token.
    pub fn node(&self, arguments: &[&str]) -> Ended {
        self.node_with(arguments, None)
    }

    pub fn node_with(&self, arguments: &[&str], input: Option<&str>) -> Ended {
        let mut command = holdfast();
        command
            .arg("node")
            .args(arguments)
            .env("HOLDFAST_SERVER", &self.address)
            .env("HOLDFAST_TOKEN", TOKEN);
        let Some(input) = input else { return command.output().unwrap().into() };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap().into()
    }

    /// Makes a node and gives its id.
    pub fn create(&self, name: &str) -> String {
        let ended = self.node_with(&["create", "-f", "-", "--json"], Some(&spec(name)));
        assert_eq!(ended.code, 0, "{}", ended.err);
        ended.json()["id"].as_str().unwrap().to_owned()
    }
}

/// A spec without mistakes, as YAML.
pub fn spec(name: &str) -> String {
    format!(
        "name: {name}\nregion: local-1\npersistence: {{ persistBlockDevices: true }}\n\
         compute:\n  vpcId: vpc-local\n  subnetIds: [subnet-local-1a]\n\
         \x20 launchSpecification:\n    imageId: ami-host\n    userData: '#!/bin/sh'\n\
         \x20   instanceTypes: {{ types: [m5.large] }}\n"
    )
}

fn take(word: UserCommand, view: &RwLock<View>, moves: bool) -> Result<Arc<Record>, Refusal> {
    let mut view = view.write().unwrap();
    let id = word.node().clone();
    let mut record = match &word {
        UserCommand::Create { document, .. } => {
            let document = document::without_nulls(document);
            Spec::read(&document).map_err(Refusal::Invalid)?;
            Record::new(id.clone(), document, Time(1_588_668_792_000))
        }
        other => {
            let node = view.nodes.get(&id).ok_or_else(|| Refusal::NoSuchNode(id.clone()))?;
            let mut record = (*node.record).clone();
            words::apply(&mut record, other, Time(1_588_668_793_000)).map_err(|e| match e {
                NotDone::Invalid(errors) => Refusal::Invalid(errors),
                NotDone::Conflict(why) => Refusal::Conflict { node: id.clone(), why },
            })?;
            record
        }
    };
    record.revision = record.revision.map(|r| r + 1);
    if moves {
        record.lifecycle.set_recycle(false);
        if let NodeLifecycle::Deleting(deletion) = &record.lifecycle {
            record.lifecycle = NodeLifecycle::Deleted(deletion.clone());
        }
        record.instance = (record.lifecycle.goal() == Goal::Running).then(|| ServingInstance {
            why: String::new(),
            id: "i-1".into(),
            market: Market {
                instance_type: "m5.large".to_owned(),
                zone: "local-1a".into(),
                subnet: "subnet-local-1a".into(),
                lifecycle: Lifecycle::Spot,
            },
            launched_at: Time(1_588_668_792_000),
            impaired_since: None,
        });
    }
    let record = Arc::new(record);
    let shown = NodeView {
        record: Arc::clone(&record),
        instance: None,
        volumes: Vec::new(),
        interfaces: Vec::new(),
        image: None,
        waits_for: (!moves).then(|| "better times".to_owned()),
    };
    view.nodes.insert(id, shown);
    Ok(record)
}
