//! What will happen by itself, and when.

use holdfast_model::{ImageId, InstanceId, InterfaceId, SnapshotId, Time, VolumeId};
use std::collections::BTreeMap;

/// One thing that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// `pending` becomes `running`.
    Runs(InstanceId),
    /// The status checks pass.
    Healthy(InstanceId),
    /// The shutdown script ends.
    Drained(InstanceId),
    /// The notice of an interruption arrives.
    Announced(InstanceId, Time),
    /// The interruption itself.
    Interrupted(InstanceId),
    /// `shutting-down` becomes `terminated`.
    Terminated(InstanceId),
    /// A terminated instance lets go of its volumes and its interface.
    Released(InstanceId),
    /// A terminated instance is no longer shown.
    Vanished(InstanceId),
    /// `creating` becomes `available`.
    VolumeMade(VolumeId),
    /// `attaching` becomes `attached`.
    Attached(VolumeId, InstanceId),
    /// `detaching` becomes `available`.
    Detached(VolumeId, InstanceId),
    /// An interface's `attaching` becomes `attached`.
    InterfaceAttached(InterfaceId, InstanceId),
    /// An interface's `detaching` becomes `available`.
    InterfaceDetached(InterfaceId, InstanceId),
    /// `deleting` becomes nothing.
    VolumeGone(VolumeId),
    /// A snapshot is complete.
    SnapshotMade(SnapshotId),
    /// An image can be launched.
    ImageMade(ImageId),
}

/// Events in the order of their time, and of their making.
#[derive(Debug, Clone, Default)]
pub(crate) struct Events {
    due: BTreeMap<(Time, u64), Event>,
    made: u64,
}

impl Events {
    pub(crate) fn add(&mut self, at: Time, event: Event) {
        self.made += 1;
        self.due.insert((at, self.made), event);
    }

    pub(crate) fn next(&self) -> Option<Time> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next event that is due by `now`, with its time.
    pub(crate) fn pop(&mut self, now: Time) -> Option<(Time, Event)> {
        if self.next()? > now {
            return None;
        }
        self.due.pop_first().map(|((at, _), event)| (at, event))
    }
}
