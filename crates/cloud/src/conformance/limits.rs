//! Checks of what a request may say, what a token means, and which states take which calls.

use super::Subject;
use super::checks::{
    attach, delete_volume, interface, interface_is, launch, root_of, run_instance, tags_for,
    terminate, volume, volume_is,
};
use holdfast_model::facts::{
    Fact, InterfaceState, Query, ResourceKind, SnapshotState, VolumeState,
};
use holdfast_model::tags::{self, MAX_TAG_KEY, MAX_TAGS, Tags};
use holdfast_model::{CloudError, Command, ErrorClass, Reply, SnapshotId, Token, VolumeId};
use serde_json::Map;

pub(super) async fn all(s: &Subject) {
    eprintln!("a token whose instance has been terminated launches nothing ever again");
    a_used_up_token_launches_nothing(s).await;
    eprintln!("a resource has at most fifty tags, and their keys are short");
    tags_have_limits(s).await;
    eprintln!("a client token has at most sixty-four characters");
    tokens_have_limits(s).await;
    eprintln!("an instance that has ended takes no volume, and one that runs keeps its root");
    states_take_what_fits_them(s).await;
    eprintln!("a volume is no smaller than the snapshot that it comes from");
    a_volume_holds_its_snapshot(s).await;
}

fn create(
    s: &Subject,
    token: &str,
    size_gib: u32,
    snapshot: Option<&SnapshotId>,
    tags: Tags,
) -> Command {
    Command::CreateVolume {
        token: Token::from(token),
        zone: s.market.zone.clone(),
        size_gib,
        snapshot: snapshot.cloned(),
        settings: Map::new(),
        tags,
    }
}

fn is_refused(answer: Result<Reply, CloudError>, code: &str) {
    match answer {
        Err(e) => assert_eq!((e.class, e.code.as_str()), (ErrorClass::Refused, code), "{e}"),
        Ok(reply) => panic!("{code} was expected, not {reply:?}"),
    }
}

async fn a_used_up_token_launches_nothing(s: &Subject) {
    let request = launch(s, "c-used-up", &s.market);
    let first = run_instance(s, request.clone()).await;
    terminate(s, &first).await;
    let again = s.one(Command::RunInstances(Box::new(request))).await;
    is_refused(again, "IdempotentInstanceTerminated");
    let query = Query { kind: ResourceKind::Instance, ids: Vec::new(), page: None };
    let page = match s.cloud.observe(query).await {
        Ok(page) => page,
        Err(e) => panic!("{e}"),
    };
    let token = |f: &&Fact| f.tags().get(tags::TOKEN).map(String::as_str) == Some("c-used-up");
    assert!(page.facts.iter().filter(token).all(|f| f.id() == first.as_str()));
}

async fn tags_have_limits(s: &Subject) {
    let many = |count: usize| -> Tags {
        let mut all = tags_for("c-tags", "data:/dev/xvdb");
        let more = (0..count - all.len()).map(|n| (format!("key-{n}"), "value".to_owned()));
        all.extend(more);
        all
    };
    let too_many = create(s, "c-tags", 1, None, many(MAX_TAGS + 1));
    is_refused(s.one(too_many).await, "TagLimitExceeded");
    let reply = s.must(create(s, "c-tags", 1, None, many(MAX_TAGS))).await;
    let id = VolumeId(super::checks::first_id(&reply.facts));
    volume_is(s, &id, VolumeState::Available).await;
    let tag = |key: &str| Command::CreateTags {
        resource: id.to_string(),
        tags: Tags::from([(key.to_owned(), "other".to_owned())]),
    };
    is_refused(s.one(tag("one-more")).await, "TagLimitExceeded");
    s.must(tag("key-0")).await;
    let keys = vec!["key-1".to_owned()];
    s.must(Command::DeleteTags { resource: id.to_string(), keys }).await;
    is_refused(s.one(tag(&"k".repeat(MAX_TAG_KEY + 1))).await, "InvalidParameterValue");
    is_refused(s.one(tag("aws:mine")).await, "InvalidParameterValue");
    s.must(tag(&"k".repeat(MAX_TAG_KEY))).await;
    delete_volume(s, &id).await;
}

async fn tokens_have_limits(s: &Subject) {
    let long = "t".repeat(65);
    let wrong = create(s, &long, 1, None, tags_for("c-long", "data:/dev/xvdb"));
    is_refused(s.one(wrong).await, "InvalidParameterValue");
    let mut request = launch(s, "c-long", &s.market);
    request.token = Token(long);
    let answer = s.one(Command::RunInstances(Box::new(request))).await;
    is_refused(answer, "InvalidParameterValue");
}

async fn states_take_what_fits_them(s: &Subject) {
    let (data, other) =
        (volume(s, "c-st-1", &s.market).await, volume(s, "c-st-2", &s.market).await);
    let kept = interface(s, "c-st-eni", &s.market).await;
    let mut request = launch(s, "c-st", &s.market);
    request.interface = Some(kept.clone());
    let id = run_instance(s, request).await;
    s.must(attach(&data, &id)).await;
    volume_is(s, &data, VolumeState::InUse).await;
    assert!(s.one(attach(&other, &id)).await.is_err(), "one device name has two volumes");
    let root = root_of(s, &id).await;
    let detach = Command::DetachVolume { volume: root, instance: id.clone() };
    is_refused(s.one(detach).await, "OperationNotPermitted");
    let delete = Command::DeleteNetworkInterface { interface: kept.clone() };
    match s.one(delete.clone()).await {
        Err(e) => assert_eq!(e.class, ErrorClass::Conflict, "{e}"),
        Ok(_) => panic!("an interface in use was deleted"),
    }
    let keep = |devices: &[&str], value: bool| Command::SetDeleteOnTermination {
        instance: id.clone(),
        devices: devices.iter().map(|device| (*device).to_owned()).collect(),
        value,
    };
    // Several devices in one request: of all of them, or of none.
    let reply = s.must(keep(&["/dev/xvdb"], true)).await;
    let Some(Fact::Instance(seen)) = reply.facts.first().cloned() else {
        panic!("the answer shows no instance: {reply:?}")
    };
    s.must(keep(&["/dev/xvdb", &seen.root_device], false)).await;
    assert!(s.one(keep(&["/dev/xvdb", "/dev/xvdq"], true)).await.is_err(), "no such device");
    assert!(s.one(keep(&[], false)).await.is_err(), "of no device");
    let root = root_of(s, &id).await;
    terminate(s, &id).await;
    match s.one(attach(&other, &id)).await {
        Err(e) => assert_eq!(e.class, ErrorClass::Refused, "{e}"),
        Ok(_) => panic!("an instance that has ended took a volume"),
    }
    let late = s.one(keep(&["/dev/xvdb"], true)).await;
    assert!(late.is_err(), "it was decided too late what dies with an instance");
    volume_is(s, &data, VolumeState::Available).await;
    volume_is(s, &root, VolumeState::Available).await;
    delete_volume(s, &root).await;
    interface_is(s, &kept, InterfaceState::Available).await;
    s.must(delete).await;
    delete_volume(s, &data).await;
    delete_volume(s, &other).await;
}

async fn a_volume_holds_its_snapshot(s: &Subject) {
    let tags = |token: &str| tags_for(token, "data:/dev/xvdb");
    let reply = s.must(create(s, "c-big", 2, None, tags("c-big"))).await;
    let big = VolumeId(super::checks::first_id(&reply.facts));
    volume_is(s, &big, VolumeState::Available).await;
    let take = Command::CreateSnapshot { volume: big.clone(), tags: tags("c-big-snap") };
    let snapshot = SnapshotId(super::checks::first_id(&s.must(take).await.facts));
    let complete = |f: Option<&Fact>| matches!(f, Some(Fact::Snapshot(x)) if x.state == SnapshotState::Completed);
    s.until(snapshot.as_str(), "completed", complete).await;
    let small = create(s, "c-small", 1, Some(&snapshot), tags("c-small"));
    match s.one(small).await {
        Err(e) => assert_eq!(e.class, ErrorClass::Refused, "{e}"),
        Ok(reply) => panic!("half of a snapshot was restored: {reply:?}"),
    }
    delete_volume(s, &big).await;
    s.must(Command::DeleteSnapshot { snapshot }).await;
}
