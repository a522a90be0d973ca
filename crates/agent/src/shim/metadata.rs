//! The metadata service, version 2: at 169.254.169.254 in the node's network, for that node alone.
//! Source: EC2 user guide, "Use the Instance Metadata Service to access instance metadata" and
//! "Instance metadata categories".

mod tree;

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;

use super::node::Node;
use super::pace::Pace;
use crate::error::{Doing, Result};

/// Connections at once.
const CONNECTIONS_MAX: usize = 64;
/// Connections and requests that are answered at once, and how many each second after that: the
/// others wait. EC2 has limits here, too, without saying which.
const REQUESTS_AT_ONCE: u64 = 1_000;
const REQUESTS_PER_S: u64 = 100;
/// A connection lives at most this long.
const CONNECTION_MAX: Duration = Duration::from_secs(30);
/// A request's head arrives within this time.
const HEAD_MAX: Duration = Duration::from_secs(5);
/// A request's head is at most this large, in bytes.
const HEAD_MAX_BYTES: usize = 16 * 1024;
/// Tokens at once; then the one that ends first is forgotten.
const TOKENS_MAX: usize = 1024;
/// A token lives from one second to six hours.
const TOKEN_TTL_S: std::ops::RangeInclusive<u64> = 1..=21_600;
const TTL_HEADER: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN_HEADER: &str = "x-aws-ec2-metadata-token";

type Answer = Response<Full<Bytes>>;

pub(super) fn serve(
    node: Rc<RefCell<Node>>,
    listener: TcpListener,
) -> Result<impl Future<Output = ()>> {
    let listener = tokio::net::TcpListener::from_std(listener)
        .doing(|| "listening on the metadata address".into())?;
    Ok(async move {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let pace = Pace::new(REQUESTS_AT_ONCE, REQUESTS_PER_S, Instant::now());
        let pace = Rc::new(RefCell::new(pace));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let Ok((stream, _)) = listener.accept().await else {
                // Out of descriptors, say: let some connections end.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            // One that asks for nothing takes time, too.
            rest_for_one(&pace).await;
            let node = node.clone();
            let pace = Rc::clone(&pace);
            if let Some(hops) = node.borrow().config.metadata.hop_limit
                && stream.set_ttl(u32::from(hops)).is_err()
            {
                continue;
            }
            tokio::task::spawn_local(async move {
                let service = service_fn(|request| {
                    let (node, pace) = (node.clone(), Rc::clone(&pace));
                    async move {
                        rest_for_one(&pace).await;
                        Ok::<_, Infallible>(respond(&mut node.borrow_mut(), &request))
                    }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_MAX)
                    .max_buf_size(HEAD_MAX_BYTES)
                    .serve_connection(TokioIo::new(stream), service);
                // Either way the connection is over and the node may ask again.
                let _ = tokio::time::timeout(CONNECTION_MAX, connection).await;
                drop(place);
            });
        }
    })
}

async fn rest_for_one(pace: &RefCell<Pace>) {
    let rest = pace.borrow_mut().take(1, Instant::now());
    if !rest.is_zero() {
        tokio::time::sleep(rest).await;
    }
}

fn respond(node: &mut Node, request: &Request<Incoming>) -> Answer {
    let path = request.uri().path();
    if request.method() == Method::PUT {
        return if path == "/latest/api/token" {
            new_token(node, request)
        } else {
            failure(StatusCode::METHOD_NOT_ALLOWED)
        };
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return failure(StatusCode::METHOD_NOT_ALLOWED);
    }
    let token = request.headers().get(TOKEN_HEADER).and_then(|t| t.to_str().ok());
    let now = Instant::now();
    let valid = match token {
        Some(token) => node.tokens.get(token).is_some_and(|end| *end > now),
        None => !node.config.metadata.tokens_required,
    };
    if !valid {
        return failure(StatusCode::UNAUTHORIZED);
    }
    let started_at_ms = node.started_at_ms();
    match tree::lookup(&tree::leaves(&node.config, node.notice.as_ref(), started_at_ms), path) {
        Some((content_type, body)) => text(StatusCode::OK, content_type, body),
        None => failure(StatusCode::NOT_FOUND),
    }
}

fn new_token(node: &mut Node, request: &Request<Incoming>) -> Answer {
    // A proxy that forwards requests must not be able to get a token for a stranger.
    if request.headers().contains_key("x-forwarded-for") {
        return failure(StatusCode::FORBIDDEN);
    }
    let ttl = request
        .headers()
        .get(TTL_HEADER)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.trim().parse::<u64>().ok())
        .filter(|ttl| TOKEN_TTL_S.contains(ttl));
    let Some(ttl) = ttl else { return failure(StatusCode::BAD_REQUEST) };
    let mut random = [0_u8; 32];
    if getrandom::fill(&mut random).is_err() {
        return failure(StatusCode::SERVICE_UNAVAILABLE);
    }
    let token = URL_SAFE.encode(random);
    let now = Instant::now();
    node.tokens.retain(|_, end| *end > now);
    if node.tokens.len() >= TOKENS_MAX
        && let Some(first) =
            node.tokens.iter().min_by_key(|(_, end)| **end).map(|(token, _)| token.clone())
    {
        node.tokens.remove(&first);
    }
    node.tokens.insert(token.clone(), now + Duration::from_secs(ttl));
    let mut answer = text(StatusCode::OK, "text/plain", token.into_bytes());
    answer.headers_mut().insert(TTL_HEADER, HeaderValue::from(ttl));
    answer
}

fn failure(status: StatusCode) -> Answer {
    let reason = status.canonical_reason().unwrap_or("Error");
    text(status, "text/plain", format!("{} - {reason}\n", status.as_u16()).into_bytes())
}

fn text(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
