//! What the commands say, and with which code they end.

use crate::played::{Ended, Played, TOKEN, holdfast, spec};
use holdfast_scratch::Scratch;
use serde_json::json;

#[test]
fn a_nodes_life_by_name_and_by_id() {
    let server = Played::start();
    let made = server.node_with(&["create", "-f", "-", "--wait"], Some(&spec("db")));
    assert_eq!(made.code, 0, "{}", made.err);
    assert!(made.out.ends_with(") is ACTIVE on m5.large spot in local-1a\n"), "{}", made.out);
    assert!(made.err.contains("made db (smi-") && made.err.contains("db is ACTIVE after"));

    let listed = server.node(&["list", "--json"]).json();
    let id = listed[0]["id"].as_str().unwrap().to_owned();
    assert!(server.node(&["list"]).out.contains(&id));

    let shown = server.node(&["show", &id, "--json"]).json();
    assert_eq!(shown["record"]["document"]["name"], "db");
    let user_data = &shown["record"]["document"]["compute"]["launchSpecification"]["userData"];
    assert_eq!(user_data, "IyEvYmluL3No");
    assert!(server.node(&["show", "db"]).out.starts_with(&format!("db ({id})  ACTIVE")));

    let paused = server.node(&["pause", "db", "--json", "--wait"]);
    assert_eq!((paused.code, &paused.json()["status"]), (0, &json!("PAUSED")));
    assert_eq!(server.node(&["recycle", "db", "--json"]).json()["status"], "ACTIVE");
    assert_eq!(server.node(&["resume", &id]).code, 0);

    let change = server.node_with(&["update", "db", "-f", "-"], Some("description: new"));
    assert_eq!(change.code, 0, "{}", change.err);
    let shown = server.node(&["show", "db", "--json"]).json();
    assert_eq!(shown["record"]["document"]["description"], "new");
    assert_eq!(shown["record"]["document"]["name"], "db");

    let kept = ["delete", "db", "--yes", "--keep-volumes", "--wait"];
    assert_eq!(server.node(&kept).code, 0);
    assert_eq!(server.node(&["list", "--json"]).json(), json!([]));
    let left = server.node(&["show", &id, "--json"]).json();
    assert_eq!(left["record"]["deallocation"]["shouldDeleteVolumes"], false);
    assert_eq!(left["record"]["deallocation"]["shouldTerminateInstance"], true);
    assert_eq!(server.node(&["list", "--all", "--json"]).json()[0]["givenUp"], true);
    assert_eq!(server.node(&["delete", "db", "--yes"]).code, 3);
}

fn failed(ended: &Ended, code: i32, says: &[&str]) {
    assert_eq!(ended.code, code, "{}{}", ended.out, ended.err);
    for said in says {
        assert!(ended.err.contains(said), "{said:?} is not in {:?}", ended.err);
    }
    assert_eq!(ended.out, "");
}

#[test]
fn every_mistake_of_a_spec_is_told_with_code_2() {
    let server = Played::start();
    let create = |text: &str| server.node_with(&["create", "-f", "-"], Some(text));
    failed(&create("name: a\n"), 2, &["mistakes:", "- region: is missing", "- compute.vpcId:"]);
    failed(&create("- a\n"), 2, &["standard input: is no spec"]);
    failed(&create("{\"name\": "), 2, &["is not JSON"]);
    let misspelt = create(&(spec("a") + "strateggy: {}\n"));
    assert_eq!(misspelt.code, 0);
    assert!(misspelt.err.contains("strateggy is not known"), "{}", misspelt.err);
    failed(&server.node(&["create", "-f", "/no/such/file"]), 2, &["/no/such/file: No such file"]);
}

#[test]
fn a_name_that_means_nothing_or_too_much_is_told() {
    let server = Played::start();
    failed(&server.node(&["show", "db"]), 3, &["there is no node db", "holdfast node list"]);
    let (first, second) = (server.create("db"), server.create("db"));
    failed(&server.node(&["pause", "db"]), 2, &["2 nodes", &first, &second, "by its id"]);
    assert_eq!(server.node(&["pause", &first]).code, 0);
}

#[test]
fn a_wait_that_takes_too_long_ends_with_code_5_and_says_what_it_waits_for() {
    let server = Played::stuck();
    let arguments = ["create", "-f", "-", "--wait", "--timeout", "300ms"];
    let ended = server.node_with(&arguments, Some(&spec("db")));
    failed(&ended, 5, &["is not there after 300 ms", "waits for better times"]);
    // Without a terminal nothing waits by itself.
    assert_eq!(server.node(&["resume", "db"]).code, 0);
}

#[test]
fn a_server_that_is_not_there_is_code_4_with_the_remedy() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = format!("http://{free}");
    let mut command = holdfast();
    command.args(["node", "list", "--server", &server]).env("HOLDFAST_TOKEN", TOKEN);
    failed(&command.output().unwrap().into(), 4, &["no server answers", "holdfast serve"]);
}

#[test]
fn a_token_that_is_missing_or_wrong_is_code_6_with_the_remedy() {
    let server = Played::start();
    let list = || {
        let mut command = holdfast();
        command.args(["node", "list", "--server", &server.address]);
        command
    };
    let wrong = list().env("HOLDFAST_TOKEN", "wrong").output().unwrap();
    failed(&wrong.into(), 6, &["the token is not this server's"]);
    let dir = Scratch::new();
    let missing = list().arg("--data-dir").arg(dir.path()).output().unwrap();
    failed(&missing.into(), 6, &["No such file", "the server writes it at its first start"]);
    let file = dir.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let found: Ended = list().arg("--data-dir").arg(dir.path()).output().unwrap().into();
    assert_eq!(found.code, 0, "{}", found.err);
    let given: Ended = list().arg("--token-file").arg(&file).output().unwrap().into();
    assert_eq!(given.code, 0, "{}", given.err);
}

#[test]
fn nothing_is_deleted_without_a_yes() {
    let server = Played::start();
    server.create("db");
    failed(&server.node(&["delete", "db"]), 2, &["--yes", "everything that belongs to it"]);
    assert_eq!(server.node(&["list", "--json"]).json()[0]["status"], "ACTIVE");
}

#[test]
fn mistakes_on_the_command_line_are_code_2() {
    let calls: [&[&str]; 6] = [
        &[],
        &["node"],
        &["node", "show"],
        &["node", "interrupt", "a", "--notice", "soon"],
        &["node", "exec", "a"],
        &["serve", "--listen", "nowhere"],
    ];
    for arguments in calls {
        assert_eq!(holdfast().args(arguments).output().unwrap().status.code(), Some(2));
    }
    let https = ["node", "list", "--server", "https://example.org"];
    let ended = holdfast().args(https).env("HOLDFAST_TOKEN", "x").output().unwrap();
    failed(&ended.into(), 2, &["must be like http://127.0.0.1:7766"]);
    assert_eq!(holdfast().arg("--help").output().unwrap().status.code(), Some(0));
}

#[test]
fn a_decision_that_nobody_waits_for_is_code_1() {
    let server = Played::start();
    server.create("db");
    let ended = server.node(&["decide", "db", "retry"]);
    failed(&ended, 1, &["waits for no decision"]);
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let server = Played::start();
    server.create("db");
    let mut child = holdfast()
        .args(["node", "list", "--server", &server.address])
        .env("HOLDFAST_TOKEN", TOKEN)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
