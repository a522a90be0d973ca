//! How instances end: asked to, interrupted, or by themselves.
//!
//! The order of a power cut: the node's link first, so that it acknowledges nothing any more; then
//! its filesystems, so that nothing unsynced is saved by what comes after; then its processes, then
//! mounts and devices. Only when every device has been given back is the instance shown as terminated: from
//! then on its generation can write no more.

use crate::clock::now;
use crate::host::Inner;
use crate::node;
use crate::refusal::{LocalError, not_found, refused};
use crate::requests::Answer;
use crate::rows::{Ending, InstanceRow, InterfaceRow, Row, VolumeRow};
use holdfast_agent::{AgentError, ShimHandle};
use holdfast_cloud::Notice;
use holdfast_model::facts::{Association, Attachment, Health, InstanceState, VolumeState};
use holdfast_model::{CloudError, InstanceId, Reply, Time, VolumeId};
use std::time::Duration;

/// Why an interrupted spot instance ended (EC2 API reference, StateReason).
pub(crate) const INTERRUPTED: &str = "Server.SpotInstanceTermination";
/// Why an instance ended that was asked to.
const USER_INITIATED: &str = "Client.UserInitiatedShutdown";
/// Why an instance ended whose init did.
pub(crate) const SELF_INITIATED: &str = "Client.InstanceInitiatedShutdown";
/// Beyond the node's own limit, this long for its shim to record the end, in milliseconds.
const RECORD_MS: u64 = 2_000;

impl Inner {
    pub(crate) fn terminate(&self, id: &InstanceId) -> Answer {
        let Some(row) = self.begin_ending(id, Ending::Clean, USER_INITIATED)? else {
            // It was terminated so long ago that it is not shown any more.
            return Ok(Reply { facts: Vec::new(), gone: vec![id.to_string()] });
        };
        let held = self.state.look(|table| table.interfaces_of(id))?;
        if row.fact.state != InstanceState::Terminated {
            if row.ending == Some(Ending::Clean) {
                self.stop_cleanly(id)?;
            }
            self.finish(id)?;
        }
        let mut ids = vec![id.to_string()];
        ids.extend(row.fact.attachments.iter().map(|a| a.volume.to_string()));
        ids.extend(held.iter().map(|i| i.fact.id.to_string()));
        let mut reply = self.facts_of(&ids.iter().map(String::as_str).collect::<Vec<_>>())?;
        let shown: Vec<_> = reply.facts.iter().map(|f| f.id().to_owned()).collect();
        reply.gone = ids.into_iter().filter(|id| !shown.contains(id)).collect();
        Ok(reply)
    }

    /// Takes an instance back: with notice at its end, else at once.
    pub(crate) fn interrupt(
        &self,
        id: &InstanceId,
        notice: Option<Duration>,
    ) -> Result<(), LocalError> {
        let Some(notice) = notice else {
            let row = self.begin_ending(id, Ending::Cut, INTERRUPTED)?;
            let row = row.ok_or_else(|| not_found("InvalidInstanceID.NotFound", id.as_str()))?;
            if row.fact.state != InstanceState::Terminated {
                self.cut_power(&row);
                self.finish(id)?;
            }
            return Ok(());
        };
        let millis = u64::try_from(notice.as_millis()).unwrap_or(u64::MAX);
        let at = now().plus(millis);
        self.state.change(|table| {
            let row: Option<InstanceRow> = table.get(id.as_str())?;
            let mut row =
                row.ok_or_else(|| not_found("InvalidInstanceID.NotFound", id.as_str()))?;
            if row.fact.state != InstanceState::Running {
                let message = format!("{id} is not running: there is nothing to take back");
                return Err(refused("IncorrectInstanceState", message));
            }
            // A second notice never gives more time than the first.
            let at = row.fact.interruption_at.map_or(at, |earlier| earlier.min(at));
            row.fact.interruption_at = Some(at);
            table.put(&row)?;
            Ok::<_, CloudError>(())
        })?;
        self.tell_node(id, at);
        self.notify(id, Some(at));
        Ok(())
    }

    /// Publishes the notice in the node's metadata. A node that cannot be told is interrupted all
    /// the same, as on EC2.
    pub(crate) fn tell_node(&self, id: &InstanceId, at: Time) {
        let told = ShimHandle::open(&self.node_dir(id))
            .and_then(|handle| handle.client())
            .and_then(|mut client| client.set_notice("terminate", &rfc3339(at)));
        if let Err(e) = told {
            tracing::warn!(instance = %id, error = %e, "the interruption notice was not published");
        }
    }

    /// Marks an instance as ending. An interruption turns a clean end into a cut, never the other
    /// way. `None`: there is no such instance.
    pub(crate) fn begin_ending(
        &self,
        id: &InstanceId,
        ending: Ending,
        reason: &str,
    ) -> Result<Option<InstanceRow>, CloudError> {
        let row = self.state.change(|table| {
            let Some(mut row) = table.get::<InstanceRow>(id.as_str())? else {
                return Ok::<_, CloudError>(None);
            };
            if row.fact.state == InstanceState::Terminated {
                return Ok(Some(row));
            }
            row.fact.state = InstanceState::ShuttingDown;
            row.fact.reason.get_or_insert_with(|| reason.to_owned());
            if row.ending.is_none() || ending == Ending::Cut {
                row.ending = Some(ending);
            }
            table.put(&row)?;
            Ok(Some(row))
        })?;
        self.notify(id, None);
        Ok(row)
    }

    /// Asks the node's processes to end and waits for that, within limits; a node that does not
    /// end in time has its power cut.
    pub(crate) fn stop_cleanly(&self, id: &InstanceId) -> Result<(), LocalError> {
        let handle = match ShimHandle::open(&self.node_dir(id)) {
            Ok(handle) => handle,
            // It has ended, or never began.
            Err(AgentError::NotRunning { .. }) => return Ok(()),
            Err(e) => return Err(e.into()),
        };
        if let Some(why) = self.silence_of(id) {
            tracing::warn!(instance = %id, %why, "a node that does not answer is cut off at once");
            if let Some(row) = self.begin_ending(id, Ending::Cut, USER_INITIATED)? {
                self.cut_power(&row);
            }
            return Ok(());
        }
        let limit = self.clean_stop_ms;
        let asked = handle.client().and_then(|mut client| client.stop(Some(limit)));
        let ended = match asked {
            Ok(()) => handle.wait_exit(limit.saturating_add(RECORD_MS))?.is_some(),
            Err(e) => {
                tracing::warn!(instance = %id, error = %e, "a node could not be asked to end");
                false
            }
        };
        if !ended && let Some(row) = self.begin_ending(id, Ending::Cut, USER_INITIATED)? {
            self.cut_power(&row);
        }
        Ok(())
    }

    /// Cuts a node off, and kills its processes. What fails here is tried again by
    /// [`Inner::finish`], which does not succeed before it is done.
    fn cut_power(&self, row: &InstanceRow) {
        let id = &row.fact.id;
        if let Err(e) = self.cut(row) {
            tracing::warn!(instance = %id, error = %e, "a power cut was not complete");
        }
        if let Err(e) = ShimHandle::open(&self.node_dir(id)).and_then(|handle| handle.kill())
            && !matches!(e, AgentError::NotRunning { .. })
        {
            tracing::warn!(instance = %id, error = %e, "a node could not be killed");
        }
    }

    /// Takes a node's link down, and shuts down every filesystem of it. Where one cannot be, the
    /// others are all the same.
    ///
    /// The link first: power ends everywhere at once, but an ext4 that is shut down tells an fsync
    /// that was under way that it succeeded, if the abort has ended its transaction before it looks
    /// (`jbd2_complete_transaction` in Linux 6.18). The server then acknowledges what was lost; a
    /// machine without power could not have said so.
    fn cut(&self, row: &InstanceRow) -> Result<(), LocalError> {
        let mut first_error = self.link_down(row).err();
        for attachment in self.own_attachments(row) {
            let target = self.mountpoint(&attachment.volume);
            let cut = match self.pool.is_mounted(&target) {
                Ok(true) => self.pool.power_cut(&target),
                Ok(false) => Ok(()),
                Err(e) => Err(e),
            };
            first_error = first_error.or(cut.err().map(LocalError::from));
        }
        first_error.map_or(Ok(()), Err)
    }

    /// What an instance holds, without what a node holds that has no row: if the memory is older than
    /// what runs, it may name an earlier holder.
    fn own_attachments<'a>(
        &'a self,
        row: &'a InstanceRow,
    ) -> impl Iterator<Item = &'a Attachment> + 'a {
        let free = move |a: &&'a Attachment| self.strangers.holder(a.volume.as_str()).is_none();
        row.fact.attachments.iter().filter(free)
    }

    /// Takes everything of an ending instance down and shows it as terminated. Can be repeated;
    /// until it has succeeded the instance is shown as shutting down.
    pub(crate) fn finish(&self, id: &InstanceId) -> Result<(), LocalError> {
        let _busy = self.busy(id);
        let row: Option<InstanceRow> = self.state.look(|t| t.get(id.as_str()))?;
        let Some(row) = row else { return Ok(()) };
        if row.fact.state == InstanceState::Terminated {
            return Ok(());
        }
        if row.ending == Some(Ending::Cut) {
            // Again, under the lock: a volume may have been mounted after the first cut.
            self.cut(&row)?;
        }
        let _no_shim = node::end(&self.node_dir(id), id.as_str())?;
        self.unplug(&row)?;
        // What dies with the instance need not be written back first: a clean unmount would.
        let dying = self.own_attachments(&row).filter(|a| a.delete_on_termination);
        for attachment in dying {
            let target = self.mountpoint(&attachment.volume);
            if self.pool.is_mounted(&target)? {
                self.pool.power_cut(&target)?;
            }
        }
        for attachment in self.own_attachments(&row) {
            self.pool.unmount(&self.mountpoint(&attachment.volume))?;
            self.writes.ended(&attachment.volume);
        }
        for attachment in self.own_attachments(&row) {
            self.pool.detach(&attachment.volume)?;
            // The directory it was mounted on; it may never have been.
            let _ = std::fs::remove_dir(self.mountpoint(&attachment.volume));
        }
        let (dying, led) = self.show_terminated(id)?;
        for association in led {
            self.lead_nowhere(&association.public_ip, None)?;
        }
        for volume in dying {
            self.complete_deletion(&volume)?;
        }
        self.notify(id, None);
        Ok(())
    }

    /// Frees what the instance held; the volumes that die with it, and the Elastic IPs that led to
    /// the interface that did.
    fn show_terminated(
        &self,
        id: &InstanceId,
    ) -> Result<(Vec<VolumeId>, Vec<Association>), CloudError> {
        self.state.change(|table| {
            let Some(mut row) = table.get::<InstanceRow>(id.as_str())? else {
                return Ok((Vec::new(), Vec::new()));
            };
            let (mut dying, mut led) = (Vec::new(), Vec::new());
            for attachment in std::mem::take(&mut row.fact.attachments) {
                let found: Option<VolumeRow> = table.get(attachment.volume.as_str())?;
                let Some(mut volume) = found else { continue };
                let never_made = volume.fact.state == VolumeState::Creating;
                volume.free();
                if attachment.delete_on_termination || never_made {
                    volume.fact.state = VolumeState::Deleting;
                    dying.push(attachment.volume);
                }
                table.put(&volume)?;
            }
            let primary = row.fact.interface.take();
            for mut held in table.interfaces_of(id)? {
                if row.own_interface && primary.as_ref() == Some(&held.fact.id) {
                    led.extend(held.fact.association.take());
                    table.delete::<InterfaceRow>(held.id())?;
                } else {
                    held.free();
                    table.put(&held)?;
                }
            }
            row.fact.state = InstanceState::Terminated;
            row.fact.private_ip = None;
            row.fact.health = Health::Initializing;
            row.fact.health_why = None;
            row.fact.no_successor = None;
            row.ended_at = Some(now());
            table.put(&row)?;
            Ok((dying, led))
        })
    }

    /// Wakes whoever listens. When nobody does, or too many hints wait, it is dropped: it only
    /// wakes, and what it is about can be observed.
    pub(crate) fn notify(&self, id: &InstanceId, interruption_at: Option<Time>) {
        let _ = self.notices.try_send(Notice { instance: id.clone(), interruption_at });
    }
}

/// As metadata shows an instant: RFC 3339, UTC, whole seconds.
fn rfc3339(at: Time) -> String {
    let seconds = i64::try_from(at.0 / 1_000).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds)
        .map(|t| t.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_shown_in_whole_seconds_of_utc() {
        assert_eq!(rfc3339(Time(1_700_000_000_999)), "2023-11-14T22:13:20Z");
    }
}
