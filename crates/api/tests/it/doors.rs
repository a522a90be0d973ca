//! Who may come in, how large, how long.

use crate::server::{NODES, Server, TOKEN, sample};
use axum::routing::get;
use holdfast_api::{Answer, Auth, Failure, TOKEN_FILE, limits};
use holdfast_model::Time;
use holdfast_model::standing::{Cause, Freeze};
use holdfast_store::Store;
use holdfast_store::memory::MemoryStore;
use holdfast_wire::{Answered, Association};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

#[test]
fn nobody_gets_in_without_the_token() {
    let server = Server::start();
    let long = format!("Bearer {}", "x".repeat(5_000));
    let wrong = [
        None,
        Some("Bearer wrong"),
        Some(TOKEN),
        Some("Basic abc"),
        Some("Bearer "),
        Some(long.as_str()),
    ];
    for who in wrong {
        for path in [NODES, "/openapi.json", "/no/such/path", "/holdfast/v1/events"] {
            let reply = server.ask_as("GET", path, None, who);
            assert_eq!((reply.status, reply.codes()), (401, vec!["UNAUTHORIZED"]), "{who:?}");
            assert!(!reply.body.to_string().contains(TOKEN));
        }
    }
    let lower = format!("bearer {TOKEN}");
    assert_eq!(server.ask_as("GET", NODES, None, Some(&lower)).status, 200);
}

#[test]
fn health_needs_no_token_and_says_one_word() {
    let server = Server::start();
    let ask = || {
        let reply = server.ask_as("GET", "/health", None, None);
        (reply.status, reply.body)
    };
    assert_eq!(ask(), (200, json!({ "status": "ready" })));
    server.view.write().unwrap().ready = false;
    assert_eq!(ask().1, json!({ "status": "starting" }));
    let reason = "a secret reason".to_owned();
    let freeze = Freeze { since: Time(0), reason, ids: Vec::new() };
    server.view.write().unwrap().standing.freezes.insert(Cause::Asked, freeze);
    assert_eq!(ask().1, json!({ "status": "frozen" }));
}

/// Sends bytes and reads until the server closes the connection.
fn raw(server: &Server, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_body_that_is_too_large_is_refused_announced_or_not() {
    let server = Server::start();
    let head = format!(
        "POST {NODES} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Authorization: Bearer {TOKEN}\r\n"
    );
    let announced = format!("{head}Content-Length: {}\r\n\r\n", limits::MAX_BODY + 1);
    let chunk = "x".repeat(limits::MAX_BODY + 1);
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{chunk}", chunk.len());
    for request in [announced, chunked] {
        let answer = raw(&server, request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.contains("\"code\":\"BODY_TOO_LARGE\""), "{answer}");
    }
    let mut largest = sample("a");
    largest["remark"] = json!("x".repeat(limits::MAX_BODY - 2_000));
    assert_eq!(server.post(&largest).status, 200);
}

#[test]
fn a_body_is_not_read_for_somebody_without_the_token() {
    let server = Server::start();
    let request = format!("POST {NODES} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = [0_u8; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
}

#[test]
fn deeply_nested_json_is_refused() {
    let server = Server::start();
    let reply = server.ask("POST", NODES, Some(&"[".repeat(100_000)));
    assert_eq!((reply.status, reply.codes()), (400, vec!["INVALID_VALUE"]));
    assert!(reply.fields()[0].starts_with("[0][0]"), "{}", reply.body);
}

#[test]
fn the_binarys_routes_stand_behind_the_same_door_and_in_the_same_envelope() {
    #[utoipa::path(get, path = "/good", responses((status = 200, body = Answered<Association>)))]
    async fn good() -> Answer<Association> {
        let (allocation, public_ip) = ("eipalloc-1".to_owned(), "198.51.100.1".to_owned());
        Answer::item("local", Association { allocation, public_ip })
    }
    let bad = get(|| async { Failure::bad_request("no") });
    let panics = get(|| async {
        if true {
            panic!("as told")
        }
    });
    let local =
        OpenApiRouter::new().routes(routes!(good)).route("/bad", bad).route("/panic", panics);
    let server = Server::with_local(Some(local));
    let path = |tail: &str| format!("/holdfast/v1/local/{tail}");
    assert_eq!(
        server.get(&path("good")).item(),
        &json!({ "allocation": "eipalloc-1", "public_ip": "198.51.100.1" })
    );
    assert_eq!(server.get(&path("bad")).codes(), ["INVALID_REQUEST"]);
    let panicked = server.get(&path("panic"));
    assert_eq!((panicked.status, panicked.codes()), (500, vec!["INTERNAL_ERROR"]));
    assert_eq!(server.ask_as("GET", &path("good"), None, None).status, 401);
    assert_eq!(Server::start().get(&path("good")).status, 404);
}

#[test]
fn the_token_is_made_once_kept_as_a_hash_and_only_its_owner_reads_it() {
    let dir = holdfast_scratch::Scratch::new();
    let path = dir.path().join(TOKEN_FILE);
    let store = MemoryStore::new();
    let first = Auth::open(&store, dir.path()).unwrap();
    let token = std::fs::read_to_string(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let header = format!("Bearer {}", token.trim());
    assert!(token.trim().len() == 43 && first.admits(header.as_bytes()));
    let stored = store.setting("api-token-sha256").unwrap().unwrap();
    assert!(stored.len() == 64 && !stored.contains(token.trim()));
    assert!(!format!("{first:?}").contains(token.trim()));

    assert!(Auth::open(&store, dir.path()).unwrap() == first);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), token);

    let second = Auth::renew(&store, dir.path()).unwrap();
    assert!(!second.admits(header.as_bytes()));
    assert!(Auth::open(&store, dir.path()).unwrap() == second);
}
