//! A server on a free port, with the real interface and, in the controller's place, a responder
//! that does to records what the engine's words do, and nothing else.

use holdfast_api::{Auth, Bounds, router, serve_within};
use holdfast_controller::{Ask, Handle, NodeView, Order, Refusal, View};
use holdfast_engine::context::refusal::NotDone;
use holdfast_engine::words;
use holdfast_model::record::{Goal, Record, ServingInstance};
use holdfast_model::standing::{Cause, Freeze};
use holdfast_model::user::UserCommand;
use holdfast_model::{
    Event, EventCode, InstanceId, Lifecycle, Market, NodeId, Severity, Spec, SubnetId, Time, Zone,
    document,
};
use holdfast_store::memory::MemoryStore;
use holdfast_store::{Store, Write};
use holdfast_wire::check::Description;
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock, RwLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use ureq::Agent;
use utoipa_axum::router::OpenApiRouter;

pub const TOKEN: &str = "the-token-of-the-tests";
/// When the responder thinks that it is: 2020-05-05T08:53:12.000Z.
pub const NOW: Time = Time(1_588_668_792_000);

pub struct Server {
    pub base: String,
    pub view: Arc<RwLock<View>>,
    pub store: Arc<MemoryStore>,
    agent: Agent,
    description: OnceLock<Description>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub struct Reply {
    pub status: u16,
    pub body: Value,
}

impl Reply {
    pub fn response(&self) -> &Value {
        &self.body["response"]
    }

    /// The only item; the answer must be a success with one.
    pub fn item(&self) -> &Value {
        assert_eq!(self.status, 200, "{}", self.body);
        assert_eq!(self.response()["count"], 1, "{}", self.body);
        &self.response()["items"][0]
    }

    pub fn codes(&self) -> Vec<&str> {
        let errors = self.response()["errors"].as_array().expect("errors");
        errors.iter().map(|e| e["code"].as_str().expect("a code")).collect()
    }

    pub fn fields(&self) -> Vec<&str> {
        let errors = self.response()["errors"].as_array().expect("errors");
        let mut fields: Vec<&str> = errors.iter().filter_map(|e| e["field"].as_str()).collect();
        fields.sort_unstable();
        fields
    }
}

impl Server {
    pub fn start() -> Server {
        Server::with_local(None)
    }

    pub fn with_local(local: Option<OpenApiRouter>) -> Server {
        Server::within(Bounds::default(), local)
    }

    pub fn within(bounds: Bounds, local: Option<OpenApiRouter>) -> Server {
        let store = Arc::new(MemoryStore::new());
        let (handle, words, view) = Handle::detached(Arc::clone(&store) as Arc<dyn Store>);
        let (handle, orders) = handle.with_orders();
        view.write().unwrap().ready = true;
        let (stop, stopped) = oneshot::channel::<()>();
        let (told, address) = std::sync::mpsc::channel();
        let shown = Arc::clone(&view);
        let written = Arc::clone(&store);
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                told.send(listener.local_addr().unwrap()).unwrap();
                tokio::spawn(obey(orders, Arc::clone(&shown)));
                tokio::spawn(respond(words, shown, written));
                let router = router(handle, Auth::of_token(TOKEN), local);
                serve_within(bounds, listener, router, async {
                    let _ = stopped.await;
                })
                .await;
            });
        });
        let address = address.recv().unwrap();
        let agent: Agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .into();
        Server {
            base: format!("http://{address}"),
            view,
            store,
            agent,
            description: OnceLock::new(),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub fn address(&self) -> &str {
        self.base.trim_start_matches("http://")
    }

    /// Asks with the token; a body of `None` is none at all, with `Content-Type` all the same.
    pub fn ask(&self, method: &str, path: &str, body: Option<&str>) -> Reply {
        self.ask_as(method, path, body, Some(&format!("Bearer {TOKEN}")))
    }

    pub fn ask_as(&self, method: &str, path: &str, body: Option<&str>, who: Option<&str>) -> Reply {
        let (status, text) = self.exchange(method, path, body, who);
        let body = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e} in {text:?}"));
        Reply { status, body }
    }

    /// Lines, each of which is JSON.
    pub fn lines(&self, path: &str) -> Vec<Value> {
        let (status, text) = self.exchange("GET", path, None, Some(&format!("Bearer {TOKEN}")));
        assert_eq!(status, 200, "{text}");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What the server says of itself.
    pub fn description(&self) -> &Description {
        self.description.get_or_init(|| {
            let who = format!("Bearer {TOKEN}");
            let (status, text) = self.send("GET", DESCRIPTION, None, Some(&who));
            assert_eq!(status, 200, "{text}");
            Description::read(&text).unwrap()
        })
    }

    /// Every answer that a test sees is as the server describes it.
    fn exchange(
        &self,
        method: &str,
        path: &str,
        body: Option<&str>,
        who: Option<&str>,
    ) -> (u16, String) {
        let (status, text) = self.send(method, path, body, who);
        let describes_itself = status == 200 && path == DESCRIPTION;
        if !describes_itself {
            let checked = self.description().check(method, path, status, &text);
            checked.unwrap_or_else(|faults| panic!("{}\n{text}", faults.join("\n")));
        }
        (status, text)
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<&str>,
        who: Option<&str>,
    ) -> (u16, String) {
        let url = format!("{}{path}", self.base);
        let content = ("Content-Type", "application/json");
        let who = who.unwrap_or_default();
        let response = match method {
            "GET" => self.agent.get(url).header(content.0, content.1).with(who).call(),
            other => {
                let request = match other {
                    "POST" => self.agent.post(url),
                    "PUT" => self.agent.put(url),
                    "PATCH" => self.agent.patch(url),
                    _ => self.agent.delete(url).force_send_body(),
                };
                let request = request.header(content.0, content.1).with(who);
                match body {
                    Some(body) => request.send(body),
                    None => request.send_empty(),
                }
            }
        };
        let mut response = response.unwrap();
        let status = response.status().as_u16();
        (status, response.body_mut().read_to_string().unwrap())
    }

    pub fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, None)
    }

    pub fn put(&self, id: &str, managed_instance: &Value) -> Reply {
        let body = json!({ "managedInstance": managed_instance }).to_string();
        self.ask("PUT", &format!("{NODES}/{id}"), Some(&body))
    }

    pub fn post(&self, managed_instance: &Value) -> Reply {
        let body = json!({ "managedInstance": managed_instance }).to_string();
        self.ask("POST", NODES, Some(&body))
    }

    /// Makes a node and gives its id.
    pub fn create(&self, managed_instance: &Value) -> String {
        self.post(managed_instance).item()["id"].as_str().unwrap().to_owned()
    }

    pub fn log(&self, node: &str, at: u64, severity: Severity, message: &str) {
        let node = NodeId::from(node);
        let event = Event {
            at: Time(at),
            node: node.clone(),
            severity,
            code: EventCode::Decided,
            message: message.to_owned(),
        };
        let expected =
            self.store.load().unwrap().iter().find(|r| r.node == node).map(|r| r.revision);
        let write = Write {
            node,
            expected: expected.unwrap_or(0),
            record: Some("{}".to_owned()),
            events: vec![event],
        };
        self.store.commit(&[write]).unwrap();
    }
}

/// Says who asks, if it is anybody.
trait With {
    fn with(self, who: &str) -> Self;
}

impl<B> With for ureq::RequestBuilder<B> {
    fn with(self, who: &str) -> Self {
        if who.is_empty() { self } else { self.header("Authorization", who) }
    }
}

/// Where the server describes itself.
const DESCRIPTION: &str = "/openapi.json";
pub const NODES: &str = "/aws/ec2/managedInstance";

/// A document without mistakes.
pub fn sample(name: &str) -> Value {
    json!({
        "name": name,
        "region": "local-1",
        "persistence": { "persistBlockDevices": true, "blockDevicesMode": "reattach" },
        "compute": {
            "product": "Linux/UNIX",
            "vpcId": "vpc-local",
            "subnetIds": ["subnet-local-1b", "subnet-local-1a"],
            "launchSpecification": {
                "imageId": "ami-host",
                "instanceTypes": { "types": ["m5.large", "m5.xlarge"] },
                "tags": [{ "tagKey": "team", "tagValue": "orders" }],
            },
        },
    })
}

/// What the fleet does with orders, as far as it can be seen.
async fn obey(mut orders: mpsc::Receiver<Order>, view: Arc<RwLock<View>>) {
    while let Some(order) = orders.recv().await {
        let standing = &mut view.write().unwrap().standing;
        match order {
            Order::Freeze(reason, answer) => {
                let freeze = Freeze { since: NOW, reason, ids: Vec::new() };
                standing.freezes.insert(Cause::Asked, freeze);
                let _ = answer.send(Ok(standing.clone()));
            }
            Order::Thaw(answer) => {
                standing.freezes.remove(&Cause::Asked);
                let _ = answer.send(Ok(standing.clone()));
            }
            Order::Strays(answer) => drop(answer.send(Ok(Vec::new()))),
        }
    }
}

async fn respond(mut words: mpsc::Receiver<Ask>, view: Arc<RwLock<View>>, store: Arc<MemoryStore>) {
    while let Some(Ask { word, answer }) = words.recv().await {
        let _ = answer.send(take(word, &view, &store));
    }
}

fn take(
    word: UserCommand,
    view: &RwLock<View>,
    _store: &MemoryStore,
) -> Result<Arc<Record>, Refusal> {
    let mut view = view.write().unwrap();
    let id = word.node().clone();
    let mut record = match &word {
        UserCommand::Create { document, .. } => {
            let document = document::without_nulls(document);
            Spec::accept(&document, None).map_err(Refusal::Invalid)?;
            Record::new(id.clone(), document, NOW)
        }
        other => {
            let node = view.nodes.get(&id).ok_or_else(|| Refusal::NoSuchNode(id.clone()))?;
            let mut record = (*node.record).clone();
            words::apply(&mut record, other, NOW.plus(1_007)).map_err(|e| match e {
                NotDone::Invalid(errors) => Refusal::Invalid(errors),
                NotDone::Conflict(why) => Refusal::Conflict { node: id.clone(), why },
            })?;
            record
        }
    };
    record.revision = record.revision.map(|r| r + 1);
    // What the loop would do later.
    record.instance = (record.lifecycle.goal() == Goal::Running).then(|| ServingInstance {
        why: String::new(),
        id: InstanceId::from("i-0123456789abcdef0"),
        market: Market {
            instance_type: "m5.large".to_owned(),
            zone: Zone::from("local-1a"),
            subnet: SubnetId::from("subnet-local-1a"),
            lifecycle: Lifecycle::Spot,
        },
        launched_at: NOW.plus(5),
        impaired_since: None,
    });
    let record = Arc::new(record);
    let shown = NodeView {
        record: Arc::clone(&record),
        instance: None,
        volumes: Vec::new(),
        interfaces: Vec::new(),
        image: None,
        waits_for: None,
    };
    view.nodes.insert(id, shown);
    Ok(record)
}
