//! The page about markets is played: a drought, another zone, on-demand, and back.

use crate::docs::{blocks, root};
use crate::life::Real;
use std::process::Command;

/// Runs a line of the page as a person does, in the repository's directory.
fn run(real: &Real, line: &str) -> String {
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_holdfast"));
    let path = std::env::var("PATH").unwrap();
    let output = Command::new("sh")
        .args(["-c", line])
        .current_dir(root())
        .env("PATH", format!("{}:{path}", binary.parent().unwrap().display()))
        .env("HOLDFAST_SERVER", real.url())
        .env("HOLDFAST_TOKEN", real.token())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{line}: {said}{complained}");
    said + &complained
}

fn market(real: &Real) -> (String, String) {
    let shown = real.shown("roaming");
    let text = |part: &str| {
        let path = format!("/record/holder/market/{part}");
        shown.pointer(&path).unwrap().as_str().unwrap().to_owned()
    };
    (text("lifecycle"), text("zone"))
}

#[test]
fn a_node_goes_through_a_drought_as_the_page_about_markets_says() {
    let real = Real::start();
    let mut been = Vec::new();
    let (mut said, mut generation) = (String::new(), 0);
    let mut shown = Vec::new();
    for line in blocks("local-markets.md", "sh").join("").lines() {
        // In a terminal it waits.
        let waits = line.starts_with("holdfast node create");
        let line = if waits { format!("{line} --wait") } else { line.to_owned() };
        let before = line.contains("--interrupt").then(|| real.generation("roaming"));
        if line.starts_with("sleep ") {
            // Until it is back on spot by itself, however long that takes here.
            real.wait_for_generation_of("roaming", generation);
            been.push(market(&real));
            continue;
        }
        said = run(&real, &line);
        if line.starts_with("holdfast node show") {
            shown.push(said.clone());
        }
        if let Some(before) = before {
            assert!(
                said.contains("of roaming: no room for it any more; its power was cut"),
                "{said}"
            );
            real.wait_for_generation_of("roaming", before);
        }
        if before.is_some() || waits {
            generation = real.generation("roaming");
            been.push(market(&real));
        }
    }
    assert_eq!(said.trim(), "kept", "what was written before the first drought");
    let lifecycles: Vec<&str> = been.iter().map(|(lifecycle, _)| lifecycle.as_str()).collect();
    assert_eq!(lifecycles, ["spot", "spot", "on-demand", "spot"]);
    assert_eq!(been[0].1, "local-1a");
    assert_ne!(been[1].1, "local-1a");
    assert!(shown.iter().all(|text| text.contains("\n  because     $")), "{shown:#?}");
    let (dry, back) = (&shown[1], &shown[2]);
    assert!(dry.contains("refused lately") && dry.contains("\n  spot again  asked for"), "{dry}");
    assert!(!back.contains("spot again"), "{back}");
    let events = real.done(&["events", "roaming"]);
    assert!(events.contains("spot may serve again"), "{events}");

    // What runs beyond the capacity is named, and runs on.
    let zone = &been[3].1;
    let line = format!("holdfast local market set all {zone} --spot-capacity 0");
    let said = run(&real, &line);
    assert!(said.contains("it runs on for now") && said.contains("--interrupt"), "{said}");
    assert_eq!(market(&real), been[3]);
    let listed = run(&real, "holdfast local market list t3.small --changed");
    assert_eq!(listed.lines().count(), 2, "one zone was set: {listed}");
    let listed = run(&real, "holdfast local market list all local-1c");
    assert!(listed.starts_with("TYPE ") && listed.contains("m5.large"), "{listed}");
    run(&real, "holdfast node delete roaming --yes --wait");
}

#[test]
fn a_market_that_is_not_there_is_a_mistake_that_names_those_that_are() {
    let real = Real::start();
    let wrong = [
        (vec!["set", "t9.huge", "local-1a", "--price", "1"], "there is no instance type t9.huge"),
        (vec!["set", "t3.small", "mars", "--price", "1"], "local-1a, local-1b, local-1c"),
        (vec!["set", "t3.small", "local-1a"], "nothing to set: give --spot-capacity"),
        (vec!["set", "t3.small", "local-1a", "--price", "0"], "above 0"),
        (vec!["set", "t3.small", "local-1a", "--notice", "5s"], "--interrupt"),
        (vec!["list", "t9.huge"], "t3.small"),
    ];
    for (arguments, expected) in wrong {
        let ended = real.market(&arguments);
        assert_eq!(ended.code, 2, "{arguments:?}: {}{}", ended.out, ended.err);
        assert!(ended.err.contains(expected), "{arguments:?}: {}", ended.err);
    }
    let set = real.market(&["set", "t3.small", "local-1a", "--price", "0.5", "--quota", "2"]);
    assert_eq!(set.code, 0, "{}", set.err);
    let listed = real.market(&["list", "t3.small", "local-1a", "--json"]).json();
    assert_eq!(listed[0]["hourlyUsd"], 0.5);
    assert_eq!((&listed[0]["quota"], &listed[1]["quota"]), (&2.into(), &2.into()));
    assert_eq!(real.market(&["set", "all", "all", "--usual"]).code, 0);
    assert!(real.market(&["list", "--changed"]).out.starts_with("Nothing was set"));
}
