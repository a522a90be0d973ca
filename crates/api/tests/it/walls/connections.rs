//! Connections that take a place and do nothing for it.

use crate::server::{NODES, Server, TOKEN};
use holdfast_api::Bounds;
use holdfast_model::Severity;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// So long that no test waits for it.
const EVER: Duration = Duration::from_secs(3_600);
/// How many places the servers here have for those without the token.
const PLACES: usize = 32;
/// How many connections an attacker opens at most.
const MOST: usize = 400;
/// How often a user may have to try.
const TRIES: usize = 10;

/// What a connection of an attacker sends when it is open. None of them ever reads.
#[derive(Debug, Clone, Copy)]
enum Attack {
    Nothing,
    HalfAHead,
    HealthThatIsNeverRead,
    RequestsWithAWrongToken,
    AByteAtATime,
}

const ATTACKS: [Attack; 5] = [
    Attack::Nothing,
    Attack::HalfAHead,
    Attack::HealthThatIsNeverRead,
    Attack::RequestsWithAWrongToken,
    Attack::AByteAtATime,
];

impl Attack {
    fn first_bytes(self) -> Vec<u8> {
        match self {
            Attack::Nothing => Vec::new(),
            Attack::HalfAHead => b"GET /health HTTP/1.1\r\nHost: x\r\nX-Half: ".to_vec(),
            Attack::HealthThatIsNeverRead => {
                b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n".repeat(200).to_vec()
            }
            Attack::RequestsWithAWrongToken => format!(
                "POST {NODES} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer no\r\n\
                 Content-Length: 100000\r\n\r\n"
            )
            .into_bytes(),
            Attack::AByteAtATime => b"G".to_vec(),
        }
    }

    fn open(self, server: &Server) -> Option<TcpStream> {
        let mut stream = TcpStream::connect(server.address()).ok()?;
        stream.set_write_timeout(Some(Duration::from_millis(200))).ok()?;
        // The server may have closed it already.
        let _ = stream.write_all(&self.first_bytes());
        Some(stream)
    }
}

/// One request on a connection of its own; the answer's first line, if there was one in time.
fn ask(server: &Server, path: &str, patience: Duration) -> Option<String> {
    let mut stream = TcpStream::connect(server.address()).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer).lines().next()?.to_owned())
}

fn is_served(server: &Server, patience: Duration) -> bool {
    ask(server, NODES, patience).is_some_and(|line| line == "HTTP/1.1 200 OK")
}

/// Opens connections, and goes on sending on those that trickle, until it is told to stop.
fn attack(server: &Server, kind: Attack, stop: &AtomicBool) {
    let mut open: Vec<TcpStream> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        if open.len() < MOST {
            open.extend(kind.open(server));
        } else {
            std::thread::yield_now();
        }
        if let (Attack::AByteAtATime, Some(stream)) = (kind, open.last_mut()) {
            let _ = stream.write_all(b"E");
        }
    }
}

#[test]
fn whoever_has_the_token_is_served_whatever_connections_without_it_do() {
    for kind in ATTACKS {
        let bounds = Bounds { strangers: PLACES, stranger_time: EVER, ..Bounds::default() };
        let server = Server::within(bounds, None);
        let stop = AtomicBool::new(false);
        std::thread::scope(|threads| {
            threads.spawn(|| attack(&server, kind, &stop));
            for round in 0..20 {
                let tries = (0..TRIES).position(|_| is_served(&server, Duration::from_secs(20)));
                if tries.is_none() {
                    stop.store(true, Ordering::Relaxed);
                    panic!("{kind:?}, round {round}: not served in {TRIES} attempts");
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn control_where_nobody_makes_room_the_same_connections_keep_everybody_out() {
    for kind in [Attack::Nothing, Attack::HalfAHead, Attack::AByteAtATime] {
        let bounds = Bounds {
            strangers: PLACES,
            stranger_time: EVER,
            makes_room: false,
            ..Bounds::default()
        };
        let server = Server::within(bounds, None);
        let held: Vec<_> = (0..PLACES).filter_map(|_| kind.open(&server)).collect();
        assert_eq!(held.len(), PLACES);
        for _ in 0..2 {
            assert!(!is_served(&server, Duration::from_millis(500)), "{kind:?}");
        }
        drop(held);
    }
}

#[test]
fn a_connection_that_shows_no_token_in_time_is_closed() {
    for kind in ATTACKS {
        let soon = Duration::from_millis(300);
        let bounds = Bounds { stranger_time: soon, ..Bounds::default() };
        let server = Server::within(bounds, None);
        let mut stream = kind.open(&server).unwrap();
        let closed = Arc::new(AtomicBool::new(false));
        let trickle = matches!(kind, Attack::AByteAtATime).then(|| {
            let (mut stream, closed) = (stream.try_clone().unwrap(), Arc::clone(&closed));
            std::thread::spawn(move || {
                while !closed.load(Ordering::Relaxed) && stream.write_all(b"E").is_ok() {
                    std::thread::sleep(Duration::from_millis(20));
                }
            })
        });
        // Far below the ten seconds in which a head must have arrived.
        stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
        let mut answers = Vec::new();
        let end = stream.read_to_end(&mut answers);
        closed.store(true, Ordering::Relaxed);
        let waited = end.is_err_and(|e| {
            matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
        });
        assert!(!waited, "{kind:?}: the connection is still open");
        if let Some(trickle) = trickle {
            trickle.join().unwrap();
        }
    }
}

#[test]
fn a_connection_that_has_shown_the_token_is_nobodys_to_take() {
    let bounds =
        Bounds { strangers: 4, stranger_time: Duration::from_millis(300), ..Bounds::default() };
    let server = Server::within(bounds, None);
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let request =
        format!("GET {NODES}/no HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    let mut answer = [0_u8; 4_096];
    stream.write_all(request.as_bytes()).unwrap();
    assert!(stream.read(&mut answer).unwrap() > 0);
    let held: Vec<_> = (0..40).filter_map(|_| Attack::Nothing.open(&server)).collect();
    // Those that have no token are closed by and by; the first of them long since.
    for mut attacker in held {
        attacker.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
        assert_eq!(attacker.read(&mut answer).unwrap_or(0), 0);
    }
    stream.write_all(request.as_bytes()).unwrap();
    assert!(stream.read(&mut answer).unwrap() > 0, "the connection was closed");
}

/// Takes the only place that a member can have, and never reads what it asks for.
fn take_and_never_read(server: &Server, path: &str, times: usize) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    // The server stops reading when its answers are not read.
    let _ = stream.write_all(request.repeat(times).as_bytes());
    stream
}

/// Answers that are larger than what the system keeps for a reader that does not come.
fn unread(server: &Server) -> [(&'static str, usize); 2] {
    for index in 0..900 {
        server.log("smi-1", index, Severity::Info, &"x".repeat(20_000));
    }
    [("/openapi.json", 600), ("/holdfast/v1/events?follow=true&limit=1000", 1)]
}

#[test]
fn an_answer_that_is_not_read_ends_its_connection() {
    let bounds =
        Bounds { members: 1, write_patience: Duration::from_millis(300), ..Bounds::default() };
    let server = Server::within(bounds, None);
    for (path, times) in unread(&server) {
        let held = take_and_never_read(&server, path, times);
        let served = (0..400).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            is_served(&server, Duration::from_secs(20))
        });
        assert!(served, "{path}: the place is not given back");
        drop(held);
    }
}

#[test]
fn control_with_endless_patience_an_answer_that_is_not_read_keeps_its_place() {
    let bounds = Bounds { members: 1, write_patience: EVER, ..Bounds::default() };
    for which in 0..2 {
        let server = Server::within(bounds, None);
        let (path, times) = unread(&server)[which];
        let held = take_and_never_read(&server, path, times);
        for _ in 0..30 {
            std::thread::sleep(Duration::from_millis(50));
            let line = ask(&server, NODES, Duration::from_secs(20));
            assert_eq!(line.as_deref(), Some("HTTP/1.1 503 Service Unavailable"), "{path}");
        }
        drop(held);
    }
}
