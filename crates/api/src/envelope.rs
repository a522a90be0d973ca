//! The envelope: what every answer of the interface looks like, the failures too.
//!
//! Success is 200 and nothing else; every body is JSON with `request` and `response`, and
//! `response.status.code` is the HTTP status. Existing clients decide by these.

use crate::limits::{MAX_FIELDS, MAX_HEAD};
use crate::time;
use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use holdfast_controller::Refusal;
use holdfast_model::{FieldError, NodeId, text};
use holdfast_wire::{
    self as wire, Answered, Failed, FailedBody, Items, Reason, RequestEcho, Status, StatusBody,
};
use serde::Serialize;
use serde_json::Value;

/// A success, still without its envelope: items of one type, or nothing but a status.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<T = ()> {
    items: Option<(&'static str, Vec<T>)>,
    note: Option<String>,
}

impl Answer {
    /// Nothing but a status.
    #[must_use]
    pub fn done() -> Answer {
        Answer { items: None, note: None }
    }
}

impl<T> Answer<T> {
    /// One item of a kind.
    #[must_use]
    pub fn item(kind: &'static str, item: T) -> Answer<T> {
        Answer::items(kind, vec![item])
    }

    /// Items of a kind.
    #[must_use]
    pub fn items(kind: &'static str, items: Vec<T>) -> Answer<T> {
        Answer { items: Some((kind, items)), note: None }
    }

    /// With a remark in the status' message.
    #[must_use]
    pub fn noting(mut self, note: String) -> Answer<T> {
        self.note = Some(note);
        self
    }
}

/// A failure, still without its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The HTTP status.
    pub status: StatusCode,
    /// Every reason; never empty.
    pub reasons: Vec<Reason>,
}

impl Failure {
    /// One reason.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Failure {
        Failure {
            status,
            reasons: vec![Reason { code: code.to_owned(), message: message.into(), field: None }],
        }
    }

    /// A request with one mistake that is not in a field.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Failure {
        Failure::new(StatusCode::BAD_REQUEST, "INVALID_REQUEST", message)
    }

    /// Mistakes in fields, all of them.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Failure {
        let reason = |e: FieldError| Reason {
            code: "INVALID_VALUE".to_owned(),
            message: e.to_string(),
            field: Some(e.field),
        };
        Failure {
            status: StatusCode::BAD_REQUEST,
            reasons: errors.into_iter().map(reason).collect(),
        }
    }

    /// No such node. Clients look for both spellings: the one in the code, the other anywhere.
    #[must_use]
    pub fn no_such_node(id: &NodeId) -> Failure {
        Failure::new(
            StatusCode::NOT_FOUND,
            "MANAGED_INSTANCE_DOESNT_EXIST",
            format!("there is no node {} (MANAGED_INSTANCE_DOES_NOT_EXIST)", shown(id.as_str())),
        )
    }

    /// What has no words of its own.
    fn of_status(status: StatusCode) -> Failure {
        let (code, message) = match status {
            StatusCode::NOT_FOUND => {
                ("NOT_FOUND", "there is nothing at this path; see /openapi.json for what there is")
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                ("METHOD_NOT_ALLOWED", "this path takes other methods; see /openapi.json")
            }
            StatusCode::PAYLOAD_TOO_LARGE => ("BODY_TOO_LARGE", "the body is too large"),
            s if s.is_server_error() => {
                ("INTERNAL_ERROR", "the server failed; see its log for what happened")
            }
            _ => ("INVALID_REQUEST", "the request cannot be understood; see /openapi.json"),
        };
        Failure::new(status, code, message)
    }
}

/// A text of the request as an error may repeat it: short, and in one line.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(64).collect();
    text::one_line(&short).into_owned()
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        match refusal {
            Refusal::Invalid(errors) => Failure::invalid(errors),
            Refusal::NoSuchNode(id) => Failure::no_such_node(&id),
            Refusal::Conflict { node, why } => Failure::new(
                StatusCode::CONFLICT,
                "MANAGED_INSTANCE_STATE_CONFLICT",
                format!("{node}: {why}"),
            ),
            Refusal::Unavailable(why) => {
                Failure::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", why)
            }
        }
    }
}

/// What a handler has said, on its way out to the envelope.
#[derive(Clone)]
enum Said {
    Answer(Answer<Value>),
    Failure(Failure),
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        let written = self.items.map(|(kind, items)| {
            let items: Result<Vec<Value>, _> = items.iter().map(serde_json::to_value).collect();
            items.map(|items| (kind, items))
        });
        match written.transpose() {
            Ok(items) => {
                let mut response = StatusCode::OK.into_response();
                let answer = Answer { items, note: self.note };
                response.extensions_mut().insert(Said::Answer(answer));
                response
            }
            Err(error) => {
                tracing::error!(%error, "an answer cannot be written as JSON");
                Failure::of_status(StatusCode::INTERNAL_SERVER_ERROR).into_response()
            }
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(Said::Failure(self));
        response
    }
}

/// What an answer repeats of its request.
pub(crate) fn about(request: &Request) -> RequestEcho {
    let url = request.uri().path_and_query().map_or("/", |p| p.as_str());
    echo(url, request.method().as_str())
}

fn echo(url: &str, method: &str) -> RequestEcho {
    RequestEcho {
        id: uuid(),
        url: url.to_owned(),
        method: method.to_owned(),
        timestamp: time::rfc3339(time::now()),
    }
}

/// A random UUID (version 4), or zeros if the system has no randomness to give: it only names
/// a request.
fn uuid() -> String {
    let mut bytes = [0_u8; 16];
    let _ = getrandom::fill(&mut bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Puts what was said into the envelope. What is neither a word of ours nor a failure (the
/// description, a stream) passes as it is.
pub(crate) fn seal(request: RequestEcho, mut response: Response) -> Response {
    let said = match response.extensions_mut().remove::<Said>() {
        Some(said) => said,
        None if response.status() == StatusCode::OK => return response,
        None => Said::Failure(Failure::of_status(response.status())),
    };
    let (status, mut sealed) = match said {
        Said::Answer(answer) => (StatusCode::OK, answered(request, answer)),
        Said::Failure(failure) => {
            let status = failure.status;
            (status, Json(failed(request, failure)).into_response())
        }
    };
    *sealed.status_mut() = status;
    if status == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("Bearer");
        sealed.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    }
    if let Some(allow) = response.headers_mut().remove(header::ALLOW) {
        sealed.headers_mut().insert(header::ALLOW, allow);
    }
    sealed
}

/// The whole answer, as bytes, to what could not be read as a request: the HTTP layer refuses it
/// before anything here sees it, so neither its address nor its method is known.
pub(crate) fn unread(status: StatusCode) -> Vec<u8> {
    let message = match status {
        StatusCode::URI_TOO_LONG => {
            format!("the request's address is longer than {MAX_HEAD} bytes")
        }
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => format!(
            "the request's head is larger than {MAX_HEAD} bytes or has more than {MAX_FIELDS} fields"
        ),
        _ => "this is no request of HTTP/1.1; see RFC 9112 for what one looks like".to_owned(),
    };
    let envelope = failed(echo("", ""), Failure::new(status, "INVALID_REQUEST", message));
    // Texts and numbers alone: it can be written.
    let body = serde_json::to_string(&envelope).unwrap_or_default();
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    answer.into_bytes()
}

fn answered(request: RequestEcho, answer: Answer<Value>) -> Response {
    let message = answer.note.unwrap_or_else(|| "OK".to_owned());
    let status = wire::StatusCode { code: StatusCode::OK.as_u16(), message };
    match answer.items {
        None => Json(Status { request, response: StatusBody { status } }).into_response(),
        Some((kind, items)) => {
            let kind = kind.to_owned();
            let response = Items { status, kind, count: items.len(), items };
            Json(Answered { request, response }).into_response()
        }
    }
}

fn failed(request: RequestEcho, failure: Failure) -> Failed {
    let message = failure.status.canonical_reason().unwrap_or("Error").to_owned();
    let status = wire::StatusCode { code: failure.status.as_u16(), message };
    Failed { request, response: FailedBody { status, errors: failure.reasons } }
}
