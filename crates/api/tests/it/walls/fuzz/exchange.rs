//! One request over a connection of its own, byte for byte, and what comes back.

use super::draw::Request;
use holdfast_wire::check::Description;
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// By when an answer must be there: more than the server gives any request.
const PATIENCE: Duration = Duration::from_secs(60);
/// The most bytes of an answer that are looked at.
const MOST: u64 = 64 * 1024 * 1024;

/// How an exchange ended.
pub enum Ended {
    Answered(Vec<Answer>),
    /// Without a byte.
    Closed,
    /// Still open, without an answer.
    Hung,
    /// Something that is no answer.
    Garbled(String),
}

/// One answer.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Answer {
    /// Whether it is one that may be given to any request, and as the server describes it.
    pub fn check(&self, request: &Request, description: &Description) -> Result<(), String> {
        // A frozen server says so to everybody who asks for its health.
        let is_health = request.asks_health && self.status == 503;
        if self.status >= 500 && !is_health {
            return Err(format!("{}: {}", self.status, String::from_utf8_lossy(&self.body)));
        }
        if self.body.is_empty() {
            // A stream of events may have none.
            let may_be = request.is_head || self.status == 200;
            return if may_be { Ok(()) } else { Err(format!("{}: no body", self.status)) };
        }
        // A stream, the description and a health have no envelope.
        let sealed = serde_json::from_slice::<Value>(&self.body).ok();
        let echo = sealed.as_ref().and_then(|body| body.get("request"));
        if let Some(echo) = echo {
            let text = |member: &str| echo[member].as_str().unwrap_or_default();
            let body = String::from_utf8_lossy(&self.body);
            let checked = description.check(text("method"), text("url"), self.status, &body);
            checked.map_err(|faults| faults.join("\n"))?;
        }
        if self.status == 200 {
            return Ok(());
        }
        let body: Value = serde_json::from_slice(&self.body).map_err(|e| {
            format!("{}: {e}: {}", self.status, String::from_utf8_lossy(&self.body))
        })?;
        let sealed = body["response"]["status"]["code"] == self.status
            && body["response"]["errors"][0]["message"].is_string();
        if sealed || is_health { Ok(()) } else { Err(format!("not in the envelope: {body}")) }
    }
}

pub fn exchange(address: &str, request: &Request) -> Ended {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    // It may refuse, and close, before it has read everything.
    for part in request.bytes.chunks(request.chunk.max(1)) {
        if stream.write_all(part).is_err() {
            break;
        }
    }
    if request.ends_early {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut received = Vec::new();
    if request.follows {
        // It goes on for ever: its head is enough.
        let mut first = [0_u8; 16];
        return match stream.read_exact(&mut first) {
            Ok(()) if first.starts_with(b"HTTP/1.1 200") => Ended::Answered(Vec::new()),
            Ok(()) => {
                received.extend_from_slice(&first);
                finish(stream, received)
            }
            Err(e) => silent(&e),
        };
    }
    finish(stream, received)
}

fn silent(error: &std::io::Error) -> Ended {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Ended::Hung,
        _ => Ended::Closed,
    }
}

fn finish(stream: TcpStream, mut received: Vec<u8>) -> Ended {
    let read = stream.take(MOST).read_to_end(&mut received);
    match read {
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ended::Hung,
        // A connection may be reset behind its last answer.
        _ if received.is_empty() => Ended::Closed,
        _ => match answers(&received) {
            Ok(answers) => Ended::Answered(answers),
            Err(why) => Ended::Garbled(format!("{why}: {}", String::from_utf8_lossy(&received))),
        },
    }
}

/// Takes what was received apart.
fn answers(mut rest: &[u8]) -> Result<Vec<Answer>, String> {
    let mut answers = Vec::new();
    while !rest.is_empty() {
        let end = rest.windows(4).position(|w| w == b"\r\n\r\n").ok_or("a head without an end")?;
        let head = std::str::from_utf8(&rest[..end]).map_err(|_| "a head that is no text")?;
        let status: u16 = head
            .strip_prefix("HTTP/1.")
            .and_then(|h| h.get(2..5)?.parse().ok())
            .ok_or("no status line")?;
        rest = &rest[end + 4..];
        if status == 100 {
            continue;
        }
        let field = |name: &str| {
            head.lines().skip(1).find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let body = match field("content-length") {
            // What was asked with HEAD has no body, whatever its length would be.
            Some(_) if rest.starts_with(b"HTTP/1.") => Vec::new(),
            Some(length) => {
                let length: usize = length.parse().map_err(|_| "no length")?;
                // A reset may have cut it off.
                let length = length.min(rest.len());
                let (body, after) = rest.split_at(length);
                rest = after;
                body.to_vec()
            }
            None => std::mem::take(&mut rest).to_vec(),
        };
        answers.push(Answer { status, body });
    }
    Ok(answers)
}
