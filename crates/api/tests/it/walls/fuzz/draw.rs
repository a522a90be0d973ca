//! What a seed draws: requests that are right, nearly right, and wrong on purpose.

use super::exchange::Answer;
use crate::server::sample;
use serde_json::{Map, Value, json};

/// The most nodes that are there at once.
const MOST_NODES: usize = 4;

/// A request as it is sent.
pub struct Request {
    pub bytes: Vec<u8>,
    /// How many bytes are written at once.
    pub chunk: usize,
    /// Whether nothing more is sent behind it.
    pub ends_early: bool,
    /// Whether a server may close the connection without an answer: it is not whole, or no HTTP.
    pub may_be_dropped: bool,
    /// Whether it may have asked for `/health`.
    pub asks_health: bool,
    /// Whether it asks for a stream without an end.
    pub follows: bool,
    /// Whether its answers have no bodies.
    pub is_head: bool,
    /// The node that it makes or deletes, if it does.
    is_creation: bool,
    deletes: Option<String>,
}

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }
}

/// Draws requests.
pub struct Draw {
    chance: Chance,
    token: String,
    nodes: Vec<String>,
}

/// Methods and paths of the whole interface, those of this host's nodes included; `{id}` is a node
/// or a resource.
pub const PATHS: [(&str, &str); 46] = [
    ("POST", "/aws/ec2/managedInstance"),
    ("GET", "/aws/ec2/managedInstance"),
    ("GET", "/aws/ec2/managedInstance/{id}"),
    ("PUT", "/aws/ec2/managedInstance/{id}"),
    ("DELETE", "/aws/ec2/managedInstance/{id}"),
    ("GET", "/aws/ec2/managedInstance/{id}/status"),
    ("PUT", "/aws/ec2/managedInstance/{id}/pause"),
    ("PUT", "/aws/ec2/managedInstance/{id}/resume"),
    ("PUT", "/aws/ec2/managedInstance/{id}/recycle"),
    ("DELETE", "/aws/ec2/managedInstance/{id}/volume/{id}"),
    ("GET", "/aws/ec2/group/{id}/logs"),
    ("GET", "/holdfast/v1/nodes"),
    ("GET", "/holdfast/v1/nodes/{id}"),
    ("POST", "/holdfast/v1/nodes/{id}/decide"),
    ("POST", "/holdfast/v1/nodes/{id}/undelete"),
    ("GET", "/holdfast/v1/nodes/{id}/generations"),
    ("POST", "/holdfast/v1/nodes/{id}/rollback"),
    ("POST", "/holdfast/v1/nodes/{id}/adopt"),
    ("GET", "/holdfast/v1/fleet"),
    ("POST", "/holdfast/v1/freeze"),
    ("POST", "/holdfast/v1/thaw"),
    ("GET", "/holdfast/v1/unaccounted"),
    ("GET", "/holdfast/v1/events"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("GET", "/health"),
    ("POST", "/holdfast/v1/local/nodes/{id}/interrupt"),
    ("GET", "/holdfast/v1/local/nodes/{id}/exec"),
    ("GET", "/holdfast/v1/local/markets"),
    ("PUT", "/holdfast/v1/local/markets"),
    ("GET", "/holdfast/v1/local/instances"),
    ("DELETE", "/holdfast/v1/local/instances/{id}"),
    ("GET", "/holdfast/v1/local/volumes"),
    ("POST", "/holdfast/v1/local/volumes"),
    ("DELETE", "/holdfast/v1/local/volumes/{id}"),
    ("POST", "/holdfast/v1/local/volumes/{id}/attach"),
    ("POST", "/holdfast/v1/local/volumes/{id}/detach"),
    ("GET", "/holdfast/v1/local/addresses"),
    ("POST", "/holdfast/v1/local/addresses"),
    ("DELETE", "/holdfast/v1/local/addresses/{id}"),
    ("GET", "/holdfast/v1/local/pool"),
    ("GET", "/holdfast/v1/local/unaccounted"),
    ("DELETE", "/holdfast/v1/local/unaccounted/{id}"),
    ("POST", "/holdfast/v1/local/unaccounted/{id}/adopt"),
    ("GET", "/"),
    ("GET", "/{id}"),
];

/// Texts that somebody may not have thought of.
const TEXTS: [&str; 22] = [
    "",
    "a",
    "0",
    "-1",
    "true",
    "null",
    "smi-00000000",
    "i-0123456789abcdef0",
    "vol-1",
    "root",
    "/dev/xvdb",
    "/etc/passwd",
    "../../etc/passwd",
    "\u{0}",
    "a\nb\r\nc: d",
    "\u{1b}[2J",
    "\u{202e}",
    "\u{feff}",
    "💣",
    "%s%n",
    "'; DROP TABLE records; --",
    "18446744073709551616",
];

/// Parts of addresses that somebody may not have thought of.
const SEGMENTS: [&str; 14] = [
    "smi-00000000",
    "smi-ffffffff",
    "%00",
    "%ff%fe",
    "%2e%2e%2f",
    "..",
    ".",
    "%0d%0aX:%20y",
    "a%20b",
    "%E2%80%AE",
    "{id}",
    "%",
    "%zz",
    "vol-0123456789abcdef0",
];

const QUERIES: [&str; 16] = [
    "",
    "?accountId=act-1",
    "?after=smi-5",
    "?after=%00",
    "?all=true",
    "?all=maybe",
    "?limit=0",
    "?limit=-1",
    "?limit=99999999999999999999",
    "?fromDate=1&toDate=0",
    "?fromDate=x&severity=LOUD",
    "?severity=WARN&limit=1000",
    "?resourceId=%ff",
    "?node=a&after=18446744073709551615",
    "?follow=true",
    "?a=b&a=c&&&=%",
];

impl Draw {
    pub fn new(seed: u64, token: &str) -> Draw {
        Draw { chance: Chance(seed), token: token.to_owned(), nodes: Vec::new() }
    }

    /// Takes in what a request has made or ended.
    pub fn learn(&mut self, request: &Request, answers: &[Answer]) {
        let Some(first) = answers.iter().find(|a| a.status == 200) else { return };
        if request.is_creation {
            let body: Value = serde_json::from_slice(&first.body).unwrap_or_default();
            let id = body["response"]["items"][0]["id"].as_str();
            self.nodes.extend(id.map(str::to_owned));
        }
        if let Some(gone) = &request.deletes {
            self.nodes.retain(|id| id != gone);
        }
    }

    /// Deletes what was made, and lifts a freeze, a request at a time; `None`: all is gone.
    pub fn tidy(&mut self) -> Option<Request> {
        let id = self.nodes.pop()?;
        let body = json!({ "deallocationConfig": {
            "shouldDeleteImages": true, "shouldDeleteNetworkInterfaces": true,
            "shouldDeleteVolumes": true, "shouldDeleteSnapshots": true,
            "shouldTerminateInstance": true,
        }});
        let path = format!("/aws/ec2/managedInstance/{id}");
        let authorization = format!("Authorization: Bearer {}\r\n", self.token);
        let mut request = plain("DELETE", &path, &authorization, body.to_string().as_bytes());
        request.deletes = Some(id);
        Some(request)
    }

    pub fn request(&mut self) -> Request {
        let (mut method, template) = PATHS[self.chance.below(PATHS.len())];
        let path = self.path(template);
        let query = if self.chance.one_in(3) { self.chance.of(&QUERIES) } else { "" };
        if self.chance.one_in(12) {
            let others = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "BREW"];
            method = self.chance.of(&others);
        }
        let authorization = self.authorization();
        let mut body = self.body(method, template);
        let is_creation = method == "POST" && template == PATHS[0].1;
        if is_creation && self.nodes.len() >= MOST_NODES {
            body = b"{}".to_vec();
        }
        let address = format!("{path}{query}");
        let mut request = plain(method, &address, &authorization, &body);
        request.is_creation = is_creation;
        let deletes = method == "DELETE" && template == PATHS[4].1;
        request.deletes = deletes.then(|| path.rsplit('/').next().unwrap_or_default().to_owned());
        request.follows = address.contains("follow=true") && template.ends_with("/events");
        request.asks_health = template == "/health";
        request.is_head = method == "HEAD";
        if self.chance.one_in(8) {
            self.deform(&mut request, method, &address, &authorization, &body);
        }
        if self.chance.one_in(10) {
            request.chunk = 1 + self.chance.below(200);
        }
        request
    }

    fn path(&mut self, template: &str) -> String {
        let mut path = String::new();
        for (index, part) in template.split("{id}").enumerate() {
            if index > 0 {
                path.push_str(&self.segment());
            }
            path.push_str(part);
        }
        if self.chance.one_in(40) {
            path.push_str(self.chance.of(&[
                "/",
                "//",
                "/..",
                "%2f",
                ";x=y",
                "/x".repeat(500).as_str(),
            ]));
        }
        path
    }

    fn segment(&mut self) -> String {
        if !self.nodes.is_empty() && !self.chance.one_in(3) {
            let at = self.chance.below(self.nodes.len());
            return self.nodes[at].clone();
        }
        if self.chance.one_in(20) {
            return "x".repeat(1 + self.chance.below(20_000));
        }
        self.chance.of(&SEGMENTS).to_owned()
    }

    fn authorization(&mut self) -> String {
        match self.chance.below(10) {
            0 => String::new(),
            1 => "Authorization: Bearer no-such-token\r\n".to_owned(),
            2 => {
                let noise = ["Basic YTpi", "Bearer", "bearer  ", "\u{ff}\u{fe}", "Bearer a b c"];
                format!("Authorization: {}\r\n", self.chance.of(&noise))
            }
            _ => format!("Authorization: Bearer {}\r\n", self.token),
        }
    }

    fn body(&mut self, method: &str, template: &str) -> Vec<u8> {
        if method == "GET" && !self.chance.one_in(20) {
            return Vec::new();
        }
        let valid = match template.rsplit('/').next().unwrap_or_default() {
            "managedInstance" => json!({ "managedInstance": self.spec() }),
            "{id}" if method == "PUT" => json!({ "managedInstance": { "description": "d" } }),
            "{id}" => json!({ "deallocationConfig": { "shouldTerminateInstance": true } }),
            "decide" => json!({ "choice": self.chance.of(&["wait", "retry", "restore", "x"]) }),
            "undelete" => json!({ "acceptLoss": true }),
            "rollback" => json!({ "generation": self.chance.below(3), "data": true }),
            "adopt" => json!({ "managedInstance": self.spec(), "heads": { "root": "fresh" } }),
            "interrupt" => json!({ "noticeMs": self.chance.below(2_000) }),
            "markets" => json!({
                "instanceType": "t3.small", "zone": "local-1a", "spot": { "capacity": 3 }
            }),
            "volumes" => json!({ "zone": "local-1a", "sizeGib": 0, "mount": "/srv/x" }),
            "attach" => json!({ "nodeId": self.segment(), "device": "/dev/xvdf" }),
            _ => json!({}),
        };
        match self.chance.below(10) {
            0 => Vec::new(),
            1 => self.noise(),
            2 => {
                let mut text = valid.to_string().into_bytes();
                text.truncate(self.chance.below(text.len()));
                text
            }
            3..=6 => {
                let mut mutated = valid;
                for _ in 0..=self.chance.below(3) {
                    self.mutate(&mut mutated, 0);
                }
                mutated.to_string().into_bytes()
            }
            _ => valid.to_string().into_bytes(),
        }
    }

    fn spec(&mut self) -> Value {
        sample(self.chance.of(&["fuzz", "größe", "a b"]))
    }

    fn noise(&mut self) -> Vec<u8> {
        match self.chance.below(5) {
            0 => "[".repeat(1 + self.chance.below(100_000)).into_bytes(),
            1 => "{\"a\":".repeat(1 + self.chance.below(20_000)).into_bytes(),
            2 => vec![b'x'; 300_000],
            3 => b"{\"managedInstance\": {\"name\": \"\\ud800\"}}".to_vec(),
            _ => (0..self.chance.below(400)).map(|_| self.chance.next() as u8).collect(),
        }
    }

    /// Changes one thing somewhere in a document.
    fn mutate(&mut self, value: &mut Value, depth: usize) {
        let goes_down = depth < 8 && !self.chance.one_in(5);
        match value {
            Value::Object(members) if goes_down && !members.is_empty() => {
                let at = self.chance.below(members.len());
                let name = members.keys().nth(at).cloned().unwrap_or_default();
                match self.chance.below(8) {
                    0 => drop(members.remove(&name)),
                    1 => {
                        let other = self.chance.of(&TEXTS).to_owned();
                        let strange = self.value(0);
                        members.insert(other, strange);
                    }
                    _ => {
                        if let Some(member) = members.get_mut(&name) {
                            self.mutate(member, depth + 1);
                        }
                    }
                }
            }
            Value::Array(items) if goes_down && !items.is_empty() => {
                let at = self.chance.below(items.len());
                if self.chance.one_in(4) {
                    let again = items[at].clone();
                    items.extend(std::iter::repeat_n(again, self.chance.below(60)));
                } else {
                    self.mutate(&mut items[at], depth + 1);
                }
            }
            other => *other = self.value(0),
        }
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.chance.below(12) {
            0 => Value::Null,
            1 => json!(self.chance.one_in(2)),
            2 => json!(self.chance.next()),
            3 => json!(-(self.chance.below(1_000_000) as i64)),
            4 => json!(1e300),
            5 => json!("x".repeat(self.chance.below(100_000))),
            6 => {
                let levels = self.chance.below(120);
                (0..levels).fold(json!(1), |inner, _| json!([inner]))
            }
            7 if depth < 3 => {
                (0..self.chance.below(5)).map(|_| self.value(depth + 1)).collect::<Vec<_>>().into()
            }
            8 if depth < 3 => {
                let mut members = Map::new();
                for _ in 0..self.chance.below(5) {
                    let name = self.chance.of(&TEXTS).to_owned();
                    members.insert(name, self.value(depth + 1));
                }
                members.into()
            }
            _ => json!(self.chance.of(&TEXTS)),
        }
    }

    /// Spoils how a request is sent.
    fn deform(
        &mut self,
        request: &mut Request,
        method: &str,
        address: &str,
        authorization: &str,
        body: &[u8],
    ) {
        request.may_be_dropped = true;
        request.ends_early = true;
        let head = format!("{method} {address} HTTP/1.1\r\nHost: x\r\n{authorization}");
        request.bytes = match self.chance.below(9) {
            // More is announced than comes.
            0 => with(format!("{head}Content-Length: {}\r\n\r\n", body.len() + 100), body),
            // Two requests, the second one behind the first one's body.
            1 => {
                let first = format!("{head}Content-Length: {}\r\n\r\n", body.len());
                let close = format!("{head}Connection: close\r\nContent-Length: 0\r\n\r\n");
                let mut bytes = with(first, body);
                bytes.extend_from_slice(close.as_bytes());
                bytes
            }
            2 => {
                let chunk = format!("{:x}\r\n", body.len());
                let mut bytes = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
                if !body.is_empty() {
                    bytes.extend_from_slice(chunk.as_bytes());
                    bytes.extend_from_slice(body);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(
                    self.chance.of(&["0\r\n\r\n", "zz\r\n", "", "0\r\nX: y\r\n\r\n"]).as_bytes(),
                );
                bytes
            }
            3 => format!("{head}X-Long: {}\r\n\r\n", "y".repeat(self.chance.below(90_000))).into(),
            4 => {
                let fields: String =
                    (0..self.chance.below(150)).map(|n| format!("X-{n}: y\r\n")).collect();
                format!("{head}{fields}\r\n").into()
            }
            5 => with(
                format!(
                    "{head}Expect: 100-continue\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                ),
                body,
            ),
            6 => (0..self.chance.below(2_000)).map(|_| self.chance.next() as u8).collect(),
            7 => format!(
                "{method} {address} HTTP/{}\r\n\r\n",
                self.chance.of(&["1.0", "0.9", "2.0", "x"])
            )
            .into(),
            _ => {
                let mut bytes = request.bytes.clone();
                bytes.truncate(self.chance.below(bytes.len()));
                bytes
            }
        };
        // What was spoilt may do something else than it would have done.
        request.asks_health = true;
        request.is_creation = false;
        request.deletes = None;
        request.is_head = true;
    }
}

fn with(head: String, body: &[u8]) -> Vec<u8> {
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn plain(method: &str, address: &str, authorization: &str, body: &[u8]) -> Request {
    let head = format!(
        "{method} {address} HTTP/1.1\r\nHost: x\r\n{authorization}Connection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    Request {
        bytes: with(head, body),
        chunk: usize::MAX,
        ends_early: false,
        may_be_dropped: false,
        asks_health: false,
        follows: false,
        is_head: false,
        is_creation: false,
        deletes: None,
    }
}
