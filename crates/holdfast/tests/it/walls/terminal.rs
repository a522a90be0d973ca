//! What other people's names and messages do to a terminal: nothing.

use crate::played::{Ended, TOKEN, holdfast};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

/// Clears the screen, begins a line of its own, turns the direction, hides a letter.
const HOSTILE: &str = "a\u{1b}[2J\u{1b}]0;pwned\u{7}\nsmi-9  fake  ACTIVE\r\u{9b}31m\u{202e}b\u{2066}\u{200b}\u{feff}";

/// A server that gives each request the same answer, as many times as it is asked.
fn saying(status: &str, body: &Value) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let body = format!("{body}\n");
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

fn request() -> Value {
    json!({ "id": "1", "url": "/", "method": "GET", "timestamp": "2020-05-05T08:53:12.000Z" })
}

/// An answer with one item.
fn answer(item: &Value) -> Value {
    let status = json!({ "code": 200, "message": "OK" });
    let response = json!({ "status": status, "kind": "any", "count": 1, "items": [item] });
    json!({ "request": request(), "response": response })
}

fn run(address: &str, arguments: &[&str]) -> Ended {
    let mut command = holdfast();
    command.args(arguments).env("HOLDFAST_SERVER", address).env("HOLDFAST_TOKEN", TOKEN);
    command.output().unwrap().into()
}

/// Everything that was printed can be seen, and is as many lines as it should be.
fn is_safe(ended: &Ended, lines: usize) {
    for text in [&ended.out, &ended.err] {
        let bad = text.chars().find(|c| *c != '\n' && holdfast_model::text::is_hidden(*c));
        assert_eq!(bad, None, "{text:?}");
    }
    let printed = ended.out.lines().count() + ended.err.lines().count();
    assert_eq!(printed, lines, "{}{}", ended.out, ended.err);
}

#[test]
fn a_name_or_a_message_controls_no_terminal_and_begins_no_line() {
    let node = json!({
        "id": "smi-1", "name": HOSTILE, "status": "ACTIVE", "waitsFor": HOSTILE, "givenUp": false,
    });
    let address = saying("200 OK", &answer(&node));
    let listed = run(&address, &["node", "list"]);
    is_safe(&listed, 2);
    assert!(listed.out.contains("\\u{1b}[2J"), "it is shown: {}", listed.out);
    // As JSON it is the same name.
    let listed = run(&address, &["node", "list", "--json"]);
    assert!(!listed.out.chars().any(|c| c != '\n' && holdfast_model::text::is_hidden(c)));
    assert_eq!(listed.json()[0]["name"], HOSTILE);

    let refusal = json!({ "request": request(), "response": {
        "status": { "code": 409, "message": "Conflict" },
        "errors": [{ "code": "MANAGED_INSTANCE_STATE_CONFLICT", "message": HOSTILE }],
    }});
    let address = saying("409 Conflict", &refusal);
    is_safe(&run(&address, &["status"]), 1);
    is_safe(&run(&address, &["freeze", "--reason", "x"]), 1);

    let stray = json!({
        "installation": HOSTILE, "node": HOSTILE, "ours": true, "recorded": null, "why": HOSTILE,
        "found": HOSTILE, "questions": [], "resources": [],
    });
    let address = saying("200 OK", &answer(&stray));
    let told = run(&address, &["adopt"]);
    is_safe(&told, told.out.lines().count());
    assert!(!told.out.lines().any(|line| line.starts_with("smi-9")), "{}", told.out);
}

#[test]
fn what_a_person_is_told_of_a_spec_controls_no_terminal_either() {
    let dir = holdfast_scratch::Scratch::new();
    let file = dir.path().join("spec.json");
    let spec = json!({ HOSTILE: 1, "name": HOSTILE });
    std::fs::write(&file, spec.to_string()).unwrap();
    let address = saying("200 OK", &json!({ "response": {} }));
    let told = run(&address, &["node", "create", "-f", file.to_str().unwrap()]);
    is_safe(&told, told.out.lines().count() + told.err.lines().count());
    assert!(!told.err.lines().any(|line| line.starts_with("smi-9")), "{}", told.err);
}
