//! What is no request at all.

use crate::server::{NODES, Server};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;

fn raw(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    // The server may refuse it before all of it is sent.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

#[test]
fn what_cannot_be_read_as_a_request_is_answered_in_the_envelope_too() {
    let server = Server::start();
    let long = "x".repeat(70_000);
    let fields: String = (0..120).map(|n| format!("X-{n}: y\r\n")).collect();
    let requests = [
        (400, "this is no request\r\n\r\n".to_owned()),
        (400, format!("GET {NODES} HTTP/9.9\r\n\r\n")),
        (400, "GET /health HTTP/1.1\r\nBad Header\r\n\r\n".to_owned()),
        // By then the whole head may be too long, too: whichever is seen first.
        (414, format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n")),
        (431, format!("GET /health HTTP/1.1\r\nHost: x\r\nX: {long}\r\n\r\n")),
        (431, format!("GET /health HTTP/1.1\r\n{fields}\r\n")),
    ];
    for (status, request) in requests {
        // Alone, and behind one that is in order.
        for before in ["", "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"] {
            let answer = raw(&server, format!("{before}{request}").as_bytes());
            let own = answer.rfind("HTTP/1.1 ").map(|at| &answer[at..]).unwrap();
            let (head, body) = own.split_once("\r\n\r\n").unwrap();
            let told: u16 = head["HTTP/1.1 ".len()..][..3].parse().unwrap();
            assert!(told == status || (told, status) == (431, 414), "{answer}");
            assert!(head.contains(&format!("content-length: {}", body.len())), "{answer}");
            let body: Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["response"]["status"]["code"], told);
            assert_eq!(body["response"]["errors"][0]["code"], "INVALID_REQUEST");
            assert_eq!(
                answer.matches("\"status\":\"ready\"").count(),
                usize::from(!before.is_empty())
            );
        }
    }
}
