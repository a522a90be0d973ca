//! Speaks to the server, and turns what it answers into sentences and exit codes.

use holdfast_model::depth::read_stored;
use holdfast_model::text;
use holdfast_terminal::{Code, Failure};
use holdfast_wire::{Failed, Items, NodeSummary, WholeNode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io::BufReader;
use std::time::Duration;
use ureq::http::Response;
use ureq::{Agent, Body};
use utoipa::ToSchema;

/// By when a connection must stand.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// By when a request must be answered; the server gives up earlier.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(40);
/// The largest answer in bytes.
const MAX_ANSWER: u64 = 256 * 1024 * 1024;
/// The most pages of nodes that are read.
const MAX_PAGES: usize = 100;

/// What a request came to.
pub struct Done<T> {
    /// The item.
    pub item: T,
    /// What the server says beside it.
    pub remark: Option<String>,
}

/// A server, and the token for it.
pub struct Client {
    agent: Agent,
    base: String,
    bearer: String,
}

impl Client {
    /// For a server's address.
    pub fn new(server: &str, token: &str) -> Result<Client, Failure> {
        let base = server.trim_end_matches('/');
        if !base.starts_with("http://") || base.len() == "http://".len() {
            let why = format!("the server's address {base} must be like http://127.0.0.1:7766");
            return Err(Failure::new(Code::Usage, why));
        }
        let agent: Agent = Agent::config_builder()
            .http_status_as_error(false)
            // The server is on this host, or at an address that was given on purpose.
            .proxy(None)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .max_redirects(0)
            .build()
            .into();
        Ok(Client { agent, base: base.to_owned(), bearer: format!("Bearer {token}") })
    }

    /// Every item that GET gives.
    pub fn items<T: DeserializeOwned + ToSchema>(&self, path: &str) -> Result<Vec<T>, Failure> {
        Ok(self.get::<Items<T>>(path)?.items)
    }

    /// The only item that GET gives.
    pub fn item<T: DeserializeOwned + ToSchema>(&self, path: &str) -> Result<T, Failure> {
        self.only(self.get(path)?).map(|done| done.item)
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let request = self.agent.get(self.url(path)).header("Authorization", &self.bearer);
        let request = request.config().timeout_global(Some(ANSWER_TIMEOUT)).build();
        self.read(self.answer(request.call())?)
    }

    /// POST, PUT or DELETE with a body or without; gives the only item.
    pub fn ask<T: DeserializeOwned + ToSchema>(
        &self,
        method: &str,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Done<T>, Failure> {
        self.only(self.read(self.send(method, path, body)?)?)
    }

    /// POST, PUT or DELETE with a body or without.
    pub fn tell(
        &self,
        method: &str,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<(), Failure> {
        self.send(method, path, body).map(|_| ())
    }

    /// POST, PUT or DELETE without a body.
    pub fn order(&self, method: &str, path: &str) -> Result<(), Failure> {
        self.tell(method, path, None::<&()>)
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Value, Failure> {
        let url = self.url(path);
        let request = match method {
            "POST" => self.agent.post(url),
            "PUT" => self.agent.put(url),
            "DELETE" => self.agent.delete(url).force_send_body(),
            other => {
                let why = format!("{other} is not a method that changes something");
                return Err(Failure::new(Code::Failed, why));
            }
        };
        let request = request
            .header("Authorization", &self.bearer)
            .header("Content-Type", "application/json")
            .config()
            .timeout_global(Some(ANSWER_TIMEOUT))
            .build();
        self.answer(match body {
            Some(body) => request.send_json(body),
            None => request.send_empty(),
        })
    }

    fn read<T: DeserializeOwned>(&self, response: Value) -> Result<T, Failure> {
        serde_json::from_value(response).map_err(|e| {
            let why = format!("the server at {} has another version ({e})", self.base);
            Failure::new(Code::Failed, why)
        })
    }

    fn only<T: ToSchema>(&self, items: Items<T>) -> Result<Done<T>, Failure> {
        let remark = items.status.message.strip_prefix("OK; ").map(str::to_owned);
        let item = items.items.into_iter().next();
        let item = item.ok_or_else(|| {
            let why =
                format!("the server at {} did what was asked and does not say what", self.base);
            Failure::new(Code::Failed, why)
        })?;
        Ok(Done { item, remark })
    }

    /// Lines that may go on for ever.
    pub fn lines(&self, path: &str) -> Result<BufReader<ureq::BodyReader<'static>>, Failure> {
        let request = self.agent.get(self.url(path)).header("Authorization", &self.bearer);
        let response = request.call().map_err(|e| self.unreachable(&e))?;
        if response.status().as_u16() == 200 {
            return Ok(BufReader::new(response.into_body().into_reader()));
        }
        Err(self.refused(response))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn answer(&self, result: Result<Response<Body>, ureq::Error>) -> Result<Value, Failure> {
        let response = result.map_err(|e| self.unreachable(&e))?;
        if response.status().as_u16() != 200 {
            return Err(self.refused(response));
        }
        let mut body = self.body(response)?;
        Ok(body.get_mut("response").map(Value::take).unwrap_or_default())
    }

    fn body(&self, mut response: Response<Body>) -> Result<Value, Failure> {
        let read = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
        let bytes = read.map_err(|e| self.unreachable(&e))?;
        let foreign = || {
            let why = format!("what answers at {} is no holdfast server", self.base);
            Failure::new(Code::Failed, why)
        };
        // An answer holds records, which are deeper than what may be sent.
        let text = std::str::from_utf8(&bytes).map_err(|_| foreign())?;
        read_stored(text).map_err(|_| foreign())
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        match error {
            ureq::Error::Timeout(_) => {
                let why = format!("the server at {} did not answer in time ({error})", self.base);
                Failure::new(Code::Unreachable, why)
            }
            _ => Failure::new(
                Code::Unreachable,
                format!(
                    "no server answers at {} ({error}); start one with: holdfast serve, or say \
                     where it is with --server or HOLDFAST_SERVER",
                    self.base
                ),
            ),
        }
    }

    fn refused(&self, response: Response<Body>) -> Failure {
        let status = response.status().as_u16();
        let body = match self.body(response) {
            Ok(body) => body,
            Err(failure) => return failure,
        };
        let failed = serde_json::from_value::<Failed>(body).ok();
        let errors = failed.map(|failed| failed.response.errors).unwrap_or_default();
        let code = match errors.first().map(|e| e.code.as_str()).unwrap_or_default() {
            "MANAGED_INSTANCE_DOESNT_EXIST" => Code::NoSuchNode,
            "INVALID_VALUE" => Code::Usage,
            "UNAUTHORIZED" => Code::Unauthorized,
            "BUSY" | "UNAVAILABLE" => Code::Unreachable,
            "TIMEOUT" => Code::Timeout,
            _ => Code::Failed,
        };
        let messages: Vec<String> = errors.iter().map(|e| printable(&e.message)).collect();
        let message = match messages.as_slice() {
            [] => format!("the server answered {status} without a reason"),
            [one] => one.clone(),
            all => format!("{} mistakes:\n  - {}", all.len(), all.join("\n  - ")),
        };
        Failure::new(code, message)
    }

    /// Every node in short.
    pub fn nodes(&self, given_up_too: bool) -> Result<Vec<NodeSummary>, Failure> {
        let mut nodes: Vec<NodeSummary> = Vec::new();
        for _ in 0..MAX_PAGES {
            let after = nodes.last().map(|n| n.id.as_str()).unwrap_or_default();
            let path = format!("/holdfast/v1/nodes?all={given_up_too}&after={after}");
            let page: Vec<NodeSummary> = self.items(&path)?;
            let full = page.len() >= holdfast_api::limits::MAX_LISTED;
            nodes.extend(page);
            if !full {
                break;
            }
        }
        Ok(nodes)
    }

    /// The node that a name or an id means.
    pub fn find(&self, name: &str) -> Result<NodeSummary, Failure> {
        choose(self.nodes(true)?, name, &self.base)
    }

    /// One node with all that is known.
    pub fn whole(&self, id: &str) -> Result<WholeNode, Failure> {
        self.item(&format!("/holdfast/v1/nodes/{id}"))
    }
}

/// A text of the server as it may stand in a line on a terminal.
pub fn printable(text: &str) -> String {
    text::one_line(text).into_owned()
}

/// A node by its id, or by its name; nodes that have been given up only if no other is meant.
fn choose(nodes: Vec<NodeSummary>, name: &str, server: &str) -> Result<NodeSummary, Failure> {
    let mut meant: Vec<NodeSummary> =
        nodes.into_iter().filter(|n| n.id == name || n.name == name).collect();
    if let Some(exact) = meant.iter().position(|n| n.id == name) {
        return Ok(meant.swap_remove(exact));
    }
    if meant.iter().any(|n| !n.given_up) {
        meant.retain(|n| !n.given_up);
    }
    match (meant.pop(), meant.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => {
            let why = format!("there is no node {name} at {server}; see: holdfast node list");
            Err(Failure::new(Code::NoSuchNode, why))
        }
        (Some(last), false) => {
            meant.push(last);
            let ids: Vec<&str> = meant.iter().map(|n| n.id.as_str()).collect();
            let why = format!(
                "{} nodes have the name {name}: {}; say which by its id",
                ids.len(),
                ids.join(", ")
            );
            Err(Failure::new(Code::Usage, why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, name: &str, given_up: bool) -> NodeSummary {
        NodeSummary { id: id.to_owned(), name: name.to_owned(), given_up, ..NodeSummary::default() }
    }

    #[test]
    fn a_node_is_meant_by_its_id_or_by_a_name_that_only_it_has() {
        let nodes = || {
            vec![
                node("smi-1", "db", false),
                node("smi-2", "db", true),
                node("smi-3", "twin", false),
                node("smi-4", "twin", false),
                node("smi-5", "old", true),
            ]
        };
        let chosen = |name: &str| choose(nodes(), name, "http://x").map(|n| n.id);
        assert_eq!(chosen("smi-4").unwrap(), "smi-4");
        assert_eq!(chosen("db").unwrap(), "smi-1");
        assert_eq!(chosen("old").unwrap(), "smi-5");
        let twins = chosen("twin").unwrap_err();
        assert_eq!(twins.code, Code::Usage);
        assert!(twins.message.contains("smi-3, smi-4"), "{}", twins.message);
        assert_eq!(chosen("none").unwrap_err().code, Code::NoSuchNode);
    }
}
