//! The parts of a node's identity: root, data volumes, interface, and the copies that are kept.

use super::work::Work;
use crate::observed::marks::generation;
use crate::parts::network::interface_role;
use holdfast_model::adoption::{Candidate, FRESH};
use holdfast_model::facts::{
    Fact, ImageFact, ImageState, InstanceFact, SnapshotFact, SnapshotState, VolumeFact, VolumeState,
};
use holdfast_model::record::{DataHead, DataVolume, FinalSnapshot, Record, RootHead};
use holdfast_model::tags::{GENERATION, ROLE, Tags};
use holdfast_model::time::MINUTE;
use holdfast_model::{ImageId, Known, SnapshotId, Time, VolumeId};

/// EC2's usual name of the root device, where nothing that is left tells it.
const ROOT_DEVICE: &str = "/dev/xvda";

/// The parts of which a person may be asked.
pub(super) fn names(work: &Work<'_>) -> Vec<String> {
    let fixed = ["instance", "root"].map(str::to_owned);
    let interfaces = [0].iter().chain(&work.spec.secondary).map(|index| interface_role(*index));
    let devices = work.spec.data.iter().map(|d| d.device.clone());
    fixed.into_iter().chain(interfaces).chain(devices).collect()
}

pub(super) fn role(tags: &Tags) -> &str {
    tags.get(ROLE).map_or("", String::as_str)
}

fn of_generation(tags: &Tags) -> String {
    tags.get(GENERATION)
        .map_or("of an unknown generation".to_owned(), |g| format!("generation {g}"))
}

fn number(tags: &Tags) -> u64 {
    tags.get(GENERATION).and_then(|g| g.parse().ok()).unwrap_or_default()
}

fn volumes<'a>(work: &Work<'a>) -> Vec<&'a VolumeFact> {
    let there = |v: &VolumeFact| v.state != VolumeState::Deleting && v.state != VolumeState::Error;
    let pick = |f: &&'a Fact| match *f {
        Fact::Volume(v) if there(v) => Some(&**v),
        _ => None,
    };
    work.facts.iter().filter_map(pick).collect()
}

fn images<'a>(work: &Work<'a>) -> Vec<&'a ImageFact> {
    let pick = |f: &&'a Fact| match *f {
        Fact::Image(i) if i.state == ImageState::Available && role(&i.tags) == "root" => Some(&**i),
        _ => None,
    };
    work.facts.iter().filter_map(pick).collect()
}

fn describe_volume(v: &VolumeFact) -> Candidate {
    let held = match &v.attached_to {
        Some((instance, device)) => format!("held by {instance} as {device}"),
        None => "free".to_owned(),
    };
    let what = format!("{}, {} GiB in {}, {held}", of_generation(&v.tags), v.size_gib, v.zone);
    Candidate { id: v.id.0.clone(), what }
}

/// Whether a volume can be relied on to be written by nobody; asks otherwise.
fn is_free(work: &mut Work<'_>, part: &str, volume: &VolumeFact) -> bool {
    let free = match work.scene.world.volume(volume.id.as_str()) {
        Known::Present(v) => v.state == VolumeState::Available && v.attached_to.is_none(),
        Known::Absent | Known::Unknown => false,
    };
    if !free {
        let why = "it is not free; adopt again when it is";
        work.ask(part, why.to_owned(), vec![describe_volume(volume)]);
    }
    free
}

/// Where the root's newest content is.
pub(super) fn root(work: &mut Work<'_>, holder: Option<&InstanceFact>) {
    if let Some(instance) = holder {
        work.record.identity.root = root_of(work, instance);
        return;
    }
    if !work.spec.persistence.root {
        work.record.identity.root = RootHead::Fresh;
        return;
    }
    let live: Vec<&VolumeFact> =
        volumes(work).into_iter().filter(|v| !role(&v.tags).starts_with("data:")).collect();
    let saved = images(work);
    let mut candidates: Vec<Candidate> = live.iter().map(|v| describe_volume(v)).collect();
    candidates.extend(saved.iter().map(|i| {
        let from = i.snapshot.as_ref().map_or("nothing", SnapshotId::as_str);
        let what = format!("{}, an image of {from}", of_generation(&i.tags));
        Candidate { id: i.id.0.clone(), what }
    }));
    let chosen = work.head("root").or_else(|| newest_root(work, &live, &saved));
    match chosen.as_deref() {
        Some(FRESH) => work.record.identity.root = RootHead::Fresh,
        Some(id) => {
            if let Some(volume) = live.iter().find(|v| v.id.as_str() == id) {
                if is_free(work, "root", volume) {
                    work.record.identity.root = live_root(work, volume);
                }
            } else if let Some(image) = saved.iter().find(|i| i.id.as_str() == id)
                && let Some(snapshot) = image.snapshot.clone()
            {
                work.record.identity.root = RootHead::Captured {
                    snapshot,
                    image: image.id.clone(),
                    root_device: image.root_device.clone(),
                };
            } else {
                work.ask("root", format!("{id} is none of its candidates"), candidates);
            }
        }
        None if candidates.is_empty() && work.record.generations.is_first() => {
            work.record.identity.root = RootHead::Fresh;
        }
        None => {
            let why = if candidates.is_empty() {
                "nothing is left of it; --head root=fresh begins with the spec's image".to_owned()
            } else {
                "it is not certain where its newest content is; choose with --head root=ID"
                    .to_owned()
            };
            work.ask("root", why, candidates);
        }
    }
}

/// The root's newest content, if that is certain: it is in the only thing of the node's newest
/// generation. A volume that is older than its own image has been captured in it.
fn newest_root(work: &Work<'_>, live: &[&VolumeFact], saved: &[&ImageFact]) -> Option<String> {
    let newest = work.record.generations.number();
    let volumes: Vec<_> = live.iter().filter(|v| number(&v.tags) == newest).collect();
    let images: Vec<_> = saved.iter().filter(|i| number(&i.tags) == newest).collect();
    match (volumes.as_slice(), images.as_slice()) {
        // Between the image and the deletion of the volume: both hold the same.
        ([volume], _) => Some(volume.id.0.clone()),
        ([], [image]) => Some(image.id.0.clone()),
        _ => None,
    }
}

fn live_root(work: &Work<'_>, volume: &VolumeFact) -> RootHead {
    let wanted = volume.tags.get(GENERATION);
    let told = work.facts.iter().find_map(|f| match f {
        Fact::Instance(i) if i.tags.get(GENERATION) == wanted => Some(i.root_device.clone()),
        Fact::Image(i) => Some(i.root_device.clone()),
        _ => None,
    });
    RootHead::Live {
        volume: Some(volume.id.clone()),
        generation: number(&volume.tags),
        root_device: Some(told.unwrap_or_else(|| ROOT_DEVICE.to_owned())),
        kept: true,
        from: None,
        origin: None,
    }
}

fn root_of(work: &Work<'_>, instance: &InstanceFact) -> RootHead {
    let held = instance.attachments.iter().find(|a| a.device == instance.root_device);
    let from = images(work).into_iter().find(|i| i.id == instance.image).and_then(|image| {
        Some((image.snapshot.clone()?, image.id.clone(), image.root_device.clone()))
    });
    RootHead::Live {
        volume: held.map(|a| a.volume.clone()),
        generation: number(&instance.tags),
        root_device: Some(instance.root_device.clone()),
        kept: held.is_some_and(|a| !a.delete_on_termination),
        from,
        origin: None,
    }
}

/// Where the data's newest content is, device by device.
pub(super) fn data(work: &mut Work<'_>, holder: Option<&InstanceFact>) {
    let persisted = work.spec.persistence.data.is_some();
    let before = std::mem::take(&mut work.record.identity.data);
    for wanted in work.spec.data.clone() {
        let device = wanted.device;
        let known = before.iter().find(|d| d.device == device);
        let held = holder
            .and_then(|i| i.attachments.iter().find(|a| a.device == device))
            .and_then(|a| volumes(work).into_iter().find(|v| v.id == a.volume));
        let found = match held {
            Some(volume) => Newest::Volume(volume),
            None if persisted || holder.is_some() => free_data(work, &device),
            None => Newest::Nowhere,
        };
        let (head, fs_uuid, restore) = match found {
            Newest::Volume(v) => {
                let head = DataHead::Volume { id: v.id.clone(), zone: v.zone.clone() };
                let same = known.filter(|k| k.head == head).and_then(|k| k.fs_uuid.clone());
                (head, v.fs_uuid.clone().or(same), None)
            }
            Newest::Snapshot(id) => (DataHead::Fresh, None, Some(id)),
            Newest::Nowhere => (DataHead::Fresh, None, None),
        };
        work.record.identity.data.push(DataVolume {
            device,
            head,
            fs_uuid,
            user_attached: None,
            restore,
        });
    }
    // What the spec no longer names is kept as it was, if it is still there.
    let shown: Vec<&VolumeId> = volumes(work).into_iter().map(|v| &v.id).collect();
    let others = before.into_iter().filter(|d| {
        work.spec.data.iter().all(|w| w.device != d.device)
            && matches!(&d.head, DataHead::Volume { id, .. } if shown.contains(&id))
    });
    let others: Vec<DataVolume> = others.collect();
    work.record.identity.data.extend(others);
}

/// Where a data volume's newest content is.
enum Newest<'a> {
    /// In a volume.
    Volume(&'a VolumeFact),
    /// In a snapshot: the next instance gets a volume that is made from it.
    Snapshot(SnapshotId),
    /// Nowhere: it begins as the spec says.
    Nowhere,
}

/// What holds the content of a device that no instance holds.
fn free_data<'a>(work: &mut Work<'a>, device: &str) -> Newest<'a> {
    let wanted = format!("data:{device}");
    let candidates: Vec<&VolumeFact> =
        volumes(work).into_iter().filter(|v| role(&v.tags) == wanted).collect();
    let copies = copies(work, &wanted);
    let mut told: Vec<Candidate> = candidates.iter().map(|v| describe_volume(v)).collect();
    told.extend(copies.iter().map(|s| describe_snapshot(work, s)));
    let later = later_copy(work, &wanted, &candidates);
    match work.head(device).as_deref() {
        Some(FRESH) => Newest::Nowhere,
        Some(id) => {
            if let Some(volume) = candidates.iter().find(|v| v.id.as_str() == id).copied() {
                if_free(work, device, volume)
            } else if let Some(copy) = copies.iter().find(|s| s.id.as_str() == id) {
                Newest::Snapshot(copy.id.clone())
            } else {
                work.ask(device, format!("{id} is none of its candidates"), told);
                Newest::Nowhere
            }
        }
        None => match (candidates.as_slice(), later) {
            ([volume], None) => if_free(work, device, volume),
            ([], None) if work.record.generations.is_first() => Newest::Nowhere,
            ([], later) => {
                let what = match later {
                    Some(_) if !copies.is_empty() => format!(
                        "only snapshots are left of it; choose one with --head {device}=ID (a \
                         volume is made from it), or"
                    ),
                    Some(copy) => {
                        format!("only {} is left of it ({}), not complete;", copy.id, copy.what)
                    }
                    None => "nothing is left of it;".to_owned(),
                };
                let why = format!(
                    "{what} --head {device}=fresh begins with what the spec says, which may name \
                     a snapshot"
                );
                work.ask(device, why, told);
                Newest::Nowhere
            }
            (_, later) => {
                let mut why = "it is not certain which holds the newest content".to_owned();
                if let Some(copy) = later {
                    why = format!("the snapshot {} may hold newer content", copy.id);
                }
                why.push_str(&format!("; choose with --head {device}=ID"));
                work.ask(device, why, told);
                Newest::Nowhere
            }
        },
    }
}

/// A volume, if it is free; asks otherwise.
fn if_free<'a>(work: &mut Work<'_>, device: &str, volume: &'a VolumeFact) -> Newest<'a> {
    if is_free(work, device, volume) { Newest::Volume(volume) } else { Newest::Nowhere }
}

/// How many snapshots of a device are offered.
const MAX_COPIES: usize = 10;

/// The complete snapshots of a device, the newest first.
fn copies<'a>(work: &Work<'a>, wanted: &str) -> Vec<&'a SnapshotFact> {
    let pick = |f: &&'a Fact| match *f {
        Fact::Snapshot(s) if role(&s.tags) == wanted && s.state == SnapshotState::Completed => {
            Some(&**s)
        }
        _ => None,
    };
    let mut copies: Vec<&SnapshotFact> = work.facts.iter().filter_map(pick).collect();
    copies.sort_by_key(|s| std::cmp::Reverse((s.started_at, number(&s.tags))));
    copies.truncate(MAX_COPIES);
    copies
}

fn describe_snapshot(work: &Work<'_>, s: &SnapshotFact) -> Candidate {
    let minutes = work.scene.now.since(s.started_at) / MINUTE;
    let of = of_generation(&s.tags);
    let what = format!("{of}, a snapshot of {}, begun {minutes} minutes ago", s.volume);
    Candidate { id: s.id.0.clone(), what }
}

/// A complete snapshot that may hold newer content than each of these volumes: of another volume,
/// and not of an earlier generation.
fn later_copy(work: &Work<'_>, wanted: &str, volumes: &[&VolumeFact]) -> Option<Candidate> {
    work.facts.iter().find_map(|f| match f {
        Fact::Snapshot(s) if role(&s.tags) == wanted && s.state != SnapshotState::Error => {
            let covered = volumes.iter().any(|v| {
                v.id == s.volume
                    || v.snapshot.as_ref() == Some(&s.id)
                    || number(&v.tags) > number(&s.tags)
            });
            (!covered).then(|| describe_snapshot(work, s))
        }
        _ => None,
    })
}

/// Final snapshots that are kept from now on. Of data only those of earlier generations: the
/// newest content is in the volumes, and is captured from there.
pub(super) fn finals(work: &mut Work<'_>, holder: Option<&InstanceFact>) {
    let newest = work.record.generations.number();
    let mut finals: Vec<FinalSnapshot> = Vec::new();
    let chosen = |work: &Work<'_>, of: &str| work.heads.contains_key(of);
    if !chosen(work, "root") {
        for image in images(work) {
            let of = number(&image.tags);
            if let Some(snapshot) = image.snapshot.clone()
                && (holder.is_none() || of < newest)
            {
                finals.push(final_of(of, "root", snapshot, Some(image.id.clone())));
            }
        }
    } else if let RootHead::Captured { snapshot, image, .. } = &work.record.identity.root {
        finals.push(final_of(newest, "root", snapshot.clone(), Some(image.clone())));
    }
    for fact in &work.facts {
        let Fact::Snapshot(s) = fact else { continue };
        let Some(device) = role(&s.tags).strip_prefix("data:") else { continue };
        let of = generation(fact).unwrap_or(newest);
        if s.state == SnapshotState::Completed && of < newest && !chosen(work, device) {
            finals.push(final_of(of, device, s.id.clone(), None));
        }
    }
    finals.sort_by(|a, b| (a.generation, &a.snapshot).cmp(&(b.generation, &b.snapshot)));
    work.record.kept.final_snapshots = finals;
}

fn final_of(
    generation: u64,
    of: &str,
    snapshot: SnapshotId,
    image: Option<ImageId>,
) -> FinalSnapshot {
    FinalSnapshot {
        generation,
        of: of.to_owned(),
        snapshot,
        image,
        taken_at: Time::default(),
        size_gib: None,
        ready: true,
        set_aside: false,
        origin: None,
    }
}

/// Where everything is, as a sentence.
pub(super) fn told(record: &Record) -> String {
    let root = match &record.identity.root {
        RootHead::Fresh => "root begins with the spec's image".to_owned(),
        RootHead::Captured { image, .. } => format!("root is in {image}"),
        RootHead::Live { volume: Some(volume), .. } => format!("root is in {volume}"),
        RootHead::Live { volume: None, .. } => "root is not known".to_owned(),
    };
    let data = record.identity.data.iter().map(|d| match (&d.head, &d.restore) {
        (_, Some(snapshot)) => format!("{} in {snapshot}", d.device),
        (DataHead::Volume { id, .. }, None) => format!("{} in {id}", d.device),
        (DataHead::Fresh, None) => format!("{} begins anew", d.device),
    });
    let address = record.identity.interface.iter().map(|i| format!("address {}", i.private_ip));
    let all: Vec<String> = std::iter::once(root).chain(data).chain(address).collect();
    all.join(", ")
}
