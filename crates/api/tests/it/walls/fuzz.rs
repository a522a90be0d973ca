//! Hostile, mutated and valid requests to every path, with the token and without: no answer may be
//! the server's own failure, none may be missing, and each is in the envelope.
//!
//! A run is drawn from a seed and is the same for the same seed (against the same server). A short
//! one is part of the tests. A long one, against the server of the tests or a real one, which must
//! be one to throw away (its nodes are made, changed and deleted):
//!
//! ```text
//! HOLDFAST_FUZZ_SECONDS=300 HOLDFAST_FUZZ_SEED=7 \
//! HOLDFAST_FUZZ_SERVER=127.0.0.1:7766 HOLDFAST_FUZZ_TOKEN=$(cat DATA_DIR/token) \
//! cargo test -p holdfast-api --test it fuzz_for_long -- --ignored --nocapture
//! ```

mod draw;
mod exchange;

use crate::server::{Server, TOKEN};
use draw::Draw;
use exchange::{Ended, exchange};
use holdfast_wire::check::Description;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How many requests the short run has.
const SHORT: u64 = 3_000;
/// The seed if none is given.
const SEED: u64 = 20_200_505;
/// How often what was made is deleted.
const TIDY_EVERY: u64 = 200;

/// What has come of a run.
#[derive(Default)]
struct Tally {
    requests: u64,
    answers: BTreeMap<u16, u64>,
    /// Requests whose connection was closed without an answer, as is right for half a request.
    closed: u64,
    slowest: Duration,
}

/// What a server says of itself.
fn describe(address: &str, token: &str) -> Description {
    let asked = ureq::get(format!("http://{address}/openapi.json"))
        .header("Authorization", format!("Bearer {token}"))
        .call();
    Description::read(&asked.unwrap().body_mut().read_to_string().unwrap()).unwrap()
}

fn run(address: &str, token: &str, seed: u64, goes_on: impl Fn(u64) -> bool) -> Tally {
    let description = describe(address, token);
    for (method, template) in description.operations() {
        let template = template.replace("{volumeId}", "{id}");
        let is_drawn = draw::PATHS.contains(&(method.as_str(), template.as_str()));
        assert!(is_drawn, "{method} {template} is never asked for");
    }
    let mut draw = Draw::new(seed, token);
    let mut tally = Tally::default();
    while goes_on(tally.requests) {
        let request = if tally.requests % TIDY_EVERY == TIDY_EVERY - 1 {
            match draw.tidy() {
                Some(request) => request,
                None => draw.request(),
            }
        } else {
            draw.request()
        };
        let number = tally.requests;
        let began = Instant::now();
        let told = || {
            format!("seed {seed}, request {number}: {}", String::from_utf8_lossy(&request.bytes))
        };
        match exchange(address, &request) {
            Ended::Answered(answers) => {
                for answer in &answers {
                    *tally.answers.entry(answer.status).or_default() += 1;
                    let checked = answer.check(&request, &description);
                    checked.unwrap_or_else(|why| panic!("{why}\n{}", told()));
                }
                draw.learn(&request, &answers);
            }
            Ended::Closed if request.may_be_dropped => tally.closed += 1,
            Ended::Closed => panic!("no answer\n{}", told()),
            Ended::Hung => panic!("it hangs\n{}", told()),
            Ended::Garbled(why) => panic!("{why}\n{}", told()),
        }
        tally.slowest = tally.slowest.max(began.elapsed());
        tally.requests += 1;
    }
    // Whatever was made goes.
    while let Some(request) = draw.tidy() {
        let _ = exchange(address, &request);
    }
    tally
}

impl Tally {
    fn print(&self, seed: u64) {
        let failures: u64 =
            self.answers.iter().filter(|(s, _)| **s >= 500).map(|(_, count)| count).sum();
        println!(
            "seed {seed}: {} requests, answers {:?}, {} closed, {failures} answers of 5xx that are \
             none of a freeze, the slowest took {:?}",
            self.requests, self.answers, self.closed, self.slowest
        );
    }
}

#[test]
fn no_request_makes_the_server_fail_or_hang() {
    let server = Server::start();
    let tally = run(server.address(), TOKEN, SEED, |requests| requests < SHORT);
    tally.print(SEED);
    // The run has been everywhere: it was let in, refused, and did not find.
    for status in [200, 400, 401, 404, 405] {
        assert!(tally.answers.get(&status).is_some_and(|n| *n > 20), "{:?}", tally.answers);
    }
}

fn setting(name: &str) -> Option<String> {
    std::env::var(format!("HOLDFAST_FUZZ_{name}")).ok()
}

#[test]
#[ignore = "takes as long as HOLDFAST_FUZZ_SECONDS says"]
fn fuzz_for_long() {
    let number = |name: &str, usual: u64| setting(name).map_or(usual, |n| n.parse().unwrap());
    let (seconds, seed) = (number("SECONDS", 300), number("SEED", SEED));
    println!("seed {seed}");
    let began = Instant::now();
    let goes_on = |_| began.elapsed() < Duration::from_secs(seconds);
    let tally = match (setting("SERVER"), setting("TOKEN")) {
        (Some(address), Some(token)) => run(&address, &token, seed, goes_on),
        _ => {
            let server = Server::start();
            run(server.address(), TOKEN, seed, goes_on)
        }
    };
    tally.print(seed);
}
