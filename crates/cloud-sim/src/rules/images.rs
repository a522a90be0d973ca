//! Images, registered from root snapshots.

use super::{Answer, gone};
use crate::events::Event;
use crate::faults::Class;
use crate::latency::{Latency, subject_of};
use crate::refusal::{conflict, refused};
use crate::resources::Image;
use crate::world::World;
use holdfast_model::facts::{ImageFact, ImageState, SnapshotState};
use holdfast_model::tags::Tags;
use holdfast_model::{ImageId, SnapshotId};

/// An image's name has so many characters (EC2 API reference, RegisterImage).
const NAME: std::ops::RangeInclusive<usize> = 3..=128;
/// What may stand in it beside letters and digits (the same).
const MARKS: &str = "()[] ./-'@_";

impl World {
    /// Takes no token, but the name is unique.
    pub(crate) fn register_image(
        &mut self,
        name: &str,
        snapshot: &SnapshotId,
        like: &ImageId,
        root_device: &str,
        tags: &Tags,
    ) -> Answer {
        let may = |c: char| c.is_ascii_alphanumeric() || MARKS.contains(c);
        if !NAME.contains(&name.chars().count()) || !name.chars().all(may) {
            let message = format!(
                "{name:?} is no image's name: it must have 3 to 128 letters, digits, spaces, {MARKS}"
            );
            return Err(refused("InvalidAMIName.Malformed", message));
        }
        if let Some(other) = self.image_names.get(name) {
            let message =
                format!("the image {other} has the name {name} already; names are unique");
            return Err(refused("InvalidAMIName.Duplicate", message));
        }
        let source = self.known_snapshot(snapshot)?;
        if source.fact.state != SnapshotState::Completed {
            return Err(conflict("IncorrectState", format!("{snapshot} is not complete yet")));
        }
        let root_gib = source.size_gib;
        let architecture = self.known_image(like)?.fact.architecture.clone();
        let id = ImageId(self.new_id("ami"));
        let fact = ImageFact {
            id: id.clone(),
            state: ImageState::Pending,
            name: name.to_owned(),
            snapshot: Some(snapshot.clone()),
            architecture,
            root_device: root_device.to_owned(),
            tags: tags.clone(),
        };
        self.image_names.insert(name.to_owned(), id.clone());
        self.image_users.entry(snapshot.clone()).or_default().insert(id.clone());
        self.images.insert(id.clone(), Image { fact: fact.into(), root_gib });
        self.born(id.as_str());
        let made_at = self.slowly(
            Class::SlowSnapshot,
            Latency::Image,
            &subject_of(tags, id.as_str()),
            id.as_str(),
        );
        self.events.add(made_at, Event::ImageMade(id.clone()));
        self.showing(&[id.as_str()])
    }

    pub(crate) fn image_made(&mut self, id: &ImageId) {
        let fails = self.images.contains_key(id)
            && (self.faults.was_to_fail(id.as_str()) || self.faults.draw(Class::FailedSnapshot));
        if fails {
            self.hit(Class::FailedSnapshot, id.as_str());
        }
        if let Some(image) = self.image_mut(id) {
            image.fact.state = if fails { ImageState::Failed } else { ImageState::Available };
        }
    }

    pub(crate) fn deregister_image(&mut self, id: &ImageId) -> Answer {
        if self.veil.hides(id.as_str(), self.now) {
            self.known_image(id)?;
        }
        if self.config.images.iter().any(|offered| &offered.id == id) {
            let message = format!("{id} belongs to somebody else and stays");
            return Err(refused("AuthFailure", message));
        }
        self.remove_image(id);
        gone(id.as_str())
    }

    pub(crate) fn remove_image(&mut self, id: &ImageId) {
        self.image_mut(id);
        let Some(image) = self.images.remove(id) else { return };
        self.image_names.remove(&image.fact.name);
        let Some(snapshot) = image.fact.snapshot.clone() else { return };
        if let Some(users) = self.image_users.get_mut(&snapshot) {
            users.remove(id);
            if users.is_empty() {
                self.image_users.remove(&snapshot);
            }
        }
    }
}
