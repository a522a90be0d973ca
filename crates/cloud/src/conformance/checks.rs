//! The checks.

use super::Subject;
use holdfast_model::command::Launch;
use holdfast_model::facts::{
    Fact, Health, InstanceState, InterfaceState, Query, ResourceKind, SnapshotState, VolumeState,
};
use holdfast_model::tags::{self, Tags};
use holdfast_model::{
    Command, ErrorClass, InstanceId, InterfaceId, Market, SnapshotId, Token, VolumeId,
};
use serde_json::Map;

/// Size of the suite's volumes in GiB.
const GIB: u32 = 1;

pub(super) async fn all(s: &Subject) {
    eprintln!("a token names one launch however often it is repeated");
    a_token_names_one_launch(s).await;
    eprintln!("a token with another request is refused");
    a_token_with_another_request_is_refused(s).await;
    eprintln!("a volume is attached to one instance at a time and only in its zone");
    a_volume_is_attached_once_and_in_its_zone(s).await;
    eprintln!("termination frees volumes and interface and deletes what should die");
    termination_frees_what_is_kept(s).await;
    eprintln!("an interruption leaves a terminated instance and free volumes");
    an_interruption_frees_the_volumes(s).await;
    eprintln!("a market without capacity refuses for capacity and then launches");
    a_market_without_capacity_refuses(s).await;
    eprintln!("a root travels by snapshot and image");
    a_root_travels_by_image(s).await;
    eprintln!("deleting twice is success, deleting what is in use is refused");
    deleting_is_idempotent_and_careful(s).await;
    eprintln!("an interface is in use by one instance and lies in one zone");
    an_interface_is_used_once(s).await;
    super::limits::all(s).await;
    super::snapshots::all(s).await;
    super::network::all(s).await;
}

pub(super) fn tags_for(token: &str, role: &str) -> Tags {
    Tags::from([
        (tags::INSTALLATION.to_owned(), "conformance".to_owned()),
        (tags::NODE.to_owned(), "smi-00000001".to_owned()),
        (tags::GENERATION.to_owned(), "1".to_owned()),
        (tags::ROLE.to_owned(), role.to_owned()),
        (tags::TOKEN.to_owned(), token.to_owned()),
    ])
}

pub(super) fn launch(s: &Subject, token: &str, market: &Market) -> Launch {
    Launch {
        token: Token::from(token),
        market: market.clone(),
        image: s.image.clone(),
        interface: None,
        root_delete_on_termination: true,
        root_size_gib: Some(GIB),
        user_data: None,
        shutdown_script: None,
        root_settings: Map::new(),
        volume_tags: None,
        interface_tags: None,
        settings: Map::new(),
        tags: tags_for(token, "instance"),
    }
}

pub(super) fn first_id(facts: &[Fact]) -> String {
    match facts.first() {
        Some(fact) => fact.id().to_owned(),
        None => panic!("a creation's reply must carry the new resource"),
    }
}

pub(super) async fn run_instance(s: &Subject, launch: Launch) -> InstanceId {
    let reply = s.must(Command::RunInstances(Box::new(launch))).await;
    let id = InstanceId(first_id(&reply.facts));
    s.until(
        id.as_str(),
        "running",
        |f| matches!(f, Some(Fact::Instance(i)) if i.state == InstanceState::Running),
    )
    .await;
    id
}

pub(super) async fn terminate(s: &Subject, id: &InstanceId) {
    s.must(Command::TerminateInstances { instance: id.clone() }).await;
    gone(s, id).await;
}

async fn gone(s: &Subject, id: &InstanceId) {
    s.until(id.as_str(), "terminated", |f| match f {
        Some(Fact::Instance(i)) => i.state == InstanceState::Terminated,
        Some(_) => false,
        None => true,
    })
    .await;
}

pub(super) async fn volume(s: &Subject, token: &str, market: &Market) -> VolumeId {
    let reply = s
        .must(Command::CreateVolume {
            token: Token::from(token),
            zone: market.zone.clone(),
            size_gib: GIB,
            snapshot: None,
            settings: Map::new(),
            tags: tags_for(token, "data:/dev/xvdb"),
        })
        .await;
    let id = VolumeId(first_id(&reply.facts));
    volume_is(s, &id, VolumeState::Available).await;
    id
}

pub(super) async fn volume_is(s: &Subject, id: &VolumeId, state: VolumeState) {
    s.until(id.as_str(), &format!("{state:?}"), |f| {
        matches!(f, Some(Fact::Volume(v)) if v.state == state
            && (state != VolumeState::InUse || v.attachment_settled))
    })
    .await;
}

pub(super) fn attach(volume: &VolumeId, instance: &InstanceId) -> Command {
    Command::AttachVolume {
        volume: volume.clone(),
        instance: instance.clone(),
        device: "/dev/xvdb".to_owned(),
    }
}

pub(super) async fn delete_volume(s: &Subject, id: &VolumeId) {
    s.must(Command::DeleteVolume { volume: id.clone() }).await;
    s.until(id.as_str(), "deleted", |f| f.is_none()).await;
}

/// The root volume of a running instance.
pub(super) async fn root_of(s: &Subject, id: &InstanceId) -> VolumeId {
    match s.look(id.as_str()).await {
        Some(Fact::Instance(i)) => match i.attachments.iter().find(|a| a.device == i.root_device) {
            Some(attachment) => attachment.volume.clone(),
            None => panic!("{id} shows no root volume"),
        },
        other => panic!("{id} is {other:?}"),
    }
}

async fn a_token_names_one_launch(s: &Subject) {
    let request = launch(s, "c-one", &s.market);
    let first = run_instance(s, request.clone()).await;
    let again = s.must(Command::RunInstances(Box::new(request))).await;
    assert_eq!(first.as_str(), first_id(&again.facts), "the same token is the same instance");
    let query = Query { kind: ResourceKind::Instance, ids: Vec::new(), page: None };
    let page = match s.cloud.observe(query).await {
        Ok(page) => page,
        Err(e) => panic!("{e}"),
    };
    let same = page
        .facts
        .iter()
        .filter(|f| f.tags().get(tags::TOKEN).map(String::as_str) == Some("c-one"))
        .count();
    assert_eq!(same, 1, "a repeated token makes no second instance");
    terminate(s, &first).await;
}

async fn a_token_with_another_request_is_refused(s: &Subject) {
    let id = volume(s, "c-vol", &s.market).await;
    let other = s
        .one(Command::CreateVolume {
            token: Token::from("c-vol"),
            zone: s.market.zone.clone(),
            size_gib: GIB + 1,
            snapshot: None,
            settings: Map::new(),
            tags: tags_for("c-vol", "data:/dev/xvdb"),
        })
        .await;
    match other {
        Err(e) => assert_eq!(e.class, ErrorClass::Refused, "{e}"),
        Ok(reply) => panic!("another request under the same token made {reply:?}"),
    }
    delete_volume(s, &id).await;
}

async fn a_volume_is_attached_once_and_in_its_zone(s: &Subject) {
    let id = volume(s, "c-att", &s.market).await;
    let here = run_instance(s, launch(s, "c-att-1", &s.market)).await;
    let there = run_instance(s, launch(s, "c-att-2", &s.elsewhere)).await;
    let refused = s.one(attach(&id, &there)).await;
    assert!(refused.is_err(), "another zone's instance took the volume");
    s.must(attach(&id, &here)).await;
    volume_is(s, &id, VolumeState::InUse).await;
    s.must(attach(&id, &here)).await;
    let third = run_instance(s, launch(s, "c-att-3", &s.market)).await;
    assert!(s.one(attach(&id, &third)).await.is_err(), "two instances hold one volume");
    terminate(s, &there).await;
    terminate(s, &third).await;
    terminate(s, &here).await;
    volume_is(s, &id, VolumeState::Available).await;
    delete_volume(s, &id).await;
}

async fn termination_frees_what_is_kept(s: &Subject) {
    let data = volume(s, "c-term-data", &s.market).await;
    let interface = interface(s, "c-term-eni", &s.market).await;
    let mut request = launch(s, "c-term", &s.market);
    request.root_delete_on_termination = false;
    request.interface = Some(interface.clone());
    let id = run_instance(s, request).await;
    s.must(attach(&data, &id)).await;
    volume_is(s, &data, VolumeState::InUse).await;
    let root = root_of(s, &id).await;
    terminate(s, &id).await;
    volume_is(s, &data, VolumeState::Available).await;
    volume_is(s, &root, VolumeState::Available).await;
    interface_is(s, &interface, InterfaceState::Available).await;
    delete_volume(s, &data).await;
    delete_volume(s, &root).await;
    s.must(Command::DeleteNetworkInterface { interface: interface.clone() }).await;

    let doomed = run_instance(s, launch(s, "c-term-2", &s.market)).await;
    let root = root_of(s, &doomed).await;
    terminate(s, &doomed).await;
    s.until(root.as_str(), "deleted with its instance", |f| f.is_none()).await;
}

async fn an_interruption_frees_the_volumes(s: &Subject) {
    let data = volume(s, "c-int-data", &s.market).await;
    let mut request = launch(s, "c-int", &s.market);
    request.root_delete_on_termination = false;
    let id = run_instance(s, request).await;
    s.must(attach(&data, &id)).await;
    volume_is(s, &data, VolumeState::InUse).await;
    let root = root_of(s, &id).await;
    (s.interrupt)(id.clone()).await;
    gone(s, &id).await;
    volume_is(s, &data, VolumeState::Available).await;
    volume_is(s, &root, VolumeState::Available).await;
    delete_volume(s, &data).await;
    delete_volume(s, &root).await;
}

async fn a_market_without_capacity_refuses(s: &Subject) {
    (s.set_capacity)(s.market.clone(), false).await;
    let refused = s.one(Command::RunInstances(Box::new(launch(s, "c-cap", &s.market)))).await;
    match refused {
        Err(e) => assert_eq!(e.class, ErrorClass::Capacity, "{e}"),
        Ok(reply) => panic!("launched without capacity: {reply:?}"),
    }
    (s.set_capacity)(s.market.clone(), true).await;
    let id = run_instance(s, launch(s, "c-cap-2", &s.market)).await;
    terminate(s, &id).await;
}

async fn a_root_travels_by_image(s: &Subject) {
    let mut request = launch(s, "c-root", &s.market);
    request.root_delete_on_termination = false;
    let id = run_instance(s, request).await;
    let root = root_of(s, &id).await;
    terminate(s, &id).await;
    volume_is(s, &root, VolumeState::Available).await;
    let reply = s
        .must(Command::CreateSnapshot { volume: root.clone(), tags: tags_for("c-snap", "root") })
        .await;
    let snapshot = SnapshotId(first_id(&reply.facts));
    s.until(
        snapshot.as_str(),
        "completed",
        |f| matches!(f, Some(Fact::Snapshot(x)) if x.state == SnapshotState::Completed),
    )
    .await;
    let register = |name: &str| Command::RegisterImage {
        name: name.to_owned(),
        snapshot: snapshot.clone(),
        like: s.image.clone(),
        root_device: "/dev/xvda".to_owned(),
        tags: tags_for("c-image", "root"),
    };
    let reply = s.must(register("conformance-image")).await;
    let image = holdfast_model::ImageId(first_id(&reply.facts));
    let twin = s.one(register("conformance-image")).await;
    assert!(
        twin.is_err_and(|e| e.class == ErrorClass::Refused),
        "an image's name is unique: EC2 refuses a second one"
    );
    s.until(image.as_str(), "available", |f| {
        matches!(f, Some(Fact::Image(i))
            if i.state == holdfast_model::facts::ImageState::Available)
    })
    .await;
    let in_use = s.one(Command::DeleteSnapshot { snapshot: snapshot.clone() }).await;
    assert!(in_use.is_err(), "a snapshot that an image needs cannot be deleted");
    let mut request = launch(s, "c-root-2", &s.elsewhere);
    request.image = image.clone();
    let id = run_instance(s, request).await;
    terminate(s, &id).await;
    s.must(Command::DeregisterImage { image: image.clone() }).await;
    s.must(Command::DeregisterImage { image }).await;
    s.must(Command::DeleteSnapshot { snapshot }).await;
    delete_volume(s, &root).await;
}

async fn deleting_is_idempotent_and_careful(s: &Subject) {
    let data = volume(s, "c-del", &s.market).await;
    let id = run_instance(s, launch(s, "c-del-1", &s.market)).await;
    s.must(attach(&data, &id)).await;
    volume_is(s, &data, VolumeState::InUse).await;
    let in_use = s.one(Command::DeleteVolume { volume: data.clone() }).await;
    assert!(in_use.is_err(), "a volume in use was deleted");
    terminate(s, &id).await;
    terminate(s, &id).await;
    volume_is(s, &data, VolumeState::Available).await;
    delete_volume(s, &data).await;
    s.must(Command::DeleteVolume { volume: data }).await;
}

pub(super) async fn interface(s: &Subject, token: &str, market: &Market) -> InterfaceId {
    let reply = s
        .must(Command::CreateNetworkInterface {
            token: Token::from(token),
            subnet: market.subnet.clone(),
            private_ip: None,
            groups: Vec::new(),
            tags: tags_for(token, "interface"),
        })
        .await;
    InterfaceId(first_id(&reply.facts))
}

pub(super) async fn interface_is(s: &Subject, id: &InterfaceId, state: InterfaceState) {
    s.until(
        id.as_str(),
        &format!("{state:?}"),
        |f| matches!(f, Some(Fact::Interface(i)) if i.state == state),
    )
    .await;
}

async fn an_interface_is_used_once(s: &Subject) {
    let id = interface(s, "c-eni", &s.market).await;
    let mut wrong_zone = launch(s, "c-eni-0", &s.elsewhere);
    wrong_zone.interface = Some(id.clone());
    let refused = s.one(Command::RunInstances(Box::new(wrong_zone))).await;
    assert!(refused.is_err(), "an interface was used in another zone");
    let mut request = launch(s, "c-eni-1", &s.market);
    request.interface = Some(id.clone());
    let first = run_instance(s, request).await;
    match s.look(first.as_str()).await {
        Some(Fact::Instance(i)) => {
            assert_eq!(i.interface.as_ref(), Some(&id));
            assert_ne!(i.health, Health::Impaired);
        }
        other => panic!("{first} is {other:?}"),
    }
    let mut second = launch(s, "c-eni-2", &s.market);
    second.interface = Some(id.clone());
    let refused = s.one(Command::RunInstances(Box::new(second))).await;
    assert!(refused.is_err(), "two instances use one interface");
    terminate(s, &first).await;
    interface_is(s, &id, InterfaceState::Available).await;
    s.must(Command::DeleteNetworkInterface { interface: id.clone() }).await;
    s.must(Command::DeleteNetworkInterface { interface: id.clone() }).await;
}
