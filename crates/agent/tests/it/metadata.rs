//! The metadata service, version 2.

use crate::machine::Machine;

const TTL: &str = "X-aws-ec2-metadata-token-ttl-seconds";
const TOKEN: &str = "X-aws-ec2-metadata-token";

#[test]
fn metadata_answers_by_token_and_identifies_the_node() {
    let machine = Machine::with_user_data("#!/bin/sh\ntrue\n");
    machine.start();
    let get = |path: &str, token: &str| machine.metadata("GET", path, &[(TOKEN, token)]);
    assert_eq!(machine.metadata("GET", "/latest/meta-data/", &[]).0, 401);
    assert_eq!(get("/latest/meta-data/", "guessed").0, 401);
    for bad in ["0", "21601", "soon"] {
        assert_eq!(machine.metadata("PUT", "/latest/api/token", &[(TTL, bad)]).0, 400, "{bad}");
    }
    assert_eq!(machine.metadata("PUT", "/latest/api/token", &[]).0, 400);
    let (status, token) = machine.metadata("PUT", "/latest/api/token", &[(TTL, "21600")]);
    assert_eq!(status, 200);
    let value = |path: &str| {
        let (status, body) = get(path, &token);
        assert_eq!(status, 200, "{path}");
        body
    };
    assert_eq!(value("/latest/meta-data/instance-id"), machine.config.instance_id);
    assert_eq!(value("/latest/meta-data/local-ipv4"), "10.0.1.5");
    assert_eq!(value("/latest/meta-data/mac"), "02:00:00:00:00:05");
    assert_eq!(value("/latest/meta-data/instance-life-cycle"), "spot");
    assert_eq!(value("/latest/meta-data/placement/availability-zone"), "local-1a");
    assert_eq!(value("/latest/meta-data/tags/instance/Name"), "db");
    assert_eq!(value("/latest/user-data"), "#!/bin/sh\ntrue\n");
    assert!(value("/latest/meta-data").contains("placement/\n"));
    let document = value("/latest/dynamic/instance-identity/document");
    assert!(document.contains(&machine.config.instance_id), "{document}");
    assert_eq!(get("/latest/meta-data/nothing", &token).0, 404);
}

#[test]
fn an_interruption_shows_once_it_is_announced() {
    let machine = Machine::new();
    machine.start();
    let token = machine.metadata("PUT", "/latest/api/token", &[(TTL, "60")]).1;
    let notice =
        || machine.metadata("GET", "/latest/meta-data/spot/instance-action", &[(TOKEN, &token)]);
    assert_eq!(notice().0, 404);
    machine.client().set_notice("terminate", "2030-01-01T00:02:00Z").unwrap();
    assert_eq!(
        notice(),
        (200, r#"{"action":"terminate","time":"2030-01-01T00:02:00Z"}"#.to_owned())
    );
    assert!(machine.client().set_notice("explode", "2030-01-01T00:02:00Z").is_err());
}

#[test]
fn metadata_options_say_whether_a_token_is_needed_and_tags_are_shown() {
    let mut machine = Machine::new();
    machine.config.metadata.tokens_required = false;
    machine.config.metadata.tags = false;
    machine.config.metadata.hop_limit = Some(3);
    machine.start();
    let get = |path: &str, headers: &[(&str, &str)]| machine.metadata("GET", path, headers);
    let id = (200, machine.config.instance_id.clone());
    assert_eq!(get("/latest/meta-data/instance-id", &[]), id);
    assert_eq!(get("/latest/meta-data/instance-id", &[(TOKEN, "guessed")]).0, 401);
    let token = machine.metadata("PUT", "/latest/api/token", &[(TTL, "60")]).1;
    assert_eq!(get("/latest/meta-data/instance-id", &[(TOKEN, &token)]), id);
    assert_eq!(get("/latest/meta-data/tags/instance/Name", &[]).0, 404);
}
