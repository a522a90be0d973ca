//! CreateTags and DeleteTags.

use super::Answer;
use crate::refusal::not_found;
use crate::world::World;
use holdfast_cloud::request;
use holdfast_model::CloudError;
use holdfast_model::facts::ResourceKind;
use holdfast_model::tags::Tags;

impl World {
    pub(crate) fn create_tags(&mut self, id: &str, tags: &Tags) -> Answer {
        self.check_known(id, self.truly(id).is_some(), "InvalidID")?;
        let there = self.truly(id).map(|fact| fact.tags().clone()).unwrap_or_default();
        let more = tags.keys().filter(|key| !there.contains_key(*key)).count();
        request::check_count(there.len() + more)?;
        self.tags_of(id)?.extend(tags.clone());
        self.showing(&[id])
    }

    pub(crate) fn delete_tags(&mut self, id: &str, keys: &[String]) -> Answer {
        self.tags_of(id)?.retain(|key, _| !keys.contains(key));
        self.showing(&[id])
    }

    fn tags_of(&mut self, id: &str) -> Result<&mut Tags, CloudError> {
        self.check_known(id, self.truly(id).is_some(), "InvalidID")?;
        let tags = match ResourceKind::of_id(id) {
            Some(ResourceKind::Instance) => self.instance_mut(&id.into()).map(|i| &mut i.fact.tags),
            Some(ResourceKind::Volume) => self.volume_mut(&id.into()).map(|v| &mut v.fact.tags),
            Some(ResourceKind::Snapshot) => self.snapshot_mut(&id.into()).map(|s| &mut s.fact.tags),
            Some(ResourceKind::Image) => self.image_mut(&id.into()).map(|i| &mut i.fact.tags),
            Some(ResourceKind::Interface) => {
                self.interface_mut(&id.into()).map(|i| &mut i.fact.tags)
            }
            None => None,
        };
        tags.ok_or_else(|| not_found("InvalidID", id))
    }
}
