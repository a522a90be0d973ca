//! Masters: filesystems with content, made once, of which volumes are copies.
//!
//! A volume of a master shares its blocks until it writes them, and is made in a fraction of the
//! time that making and filling a filesystem takes. Like the root volumes of machines that start
//! from one image, all of them begin with the same filesystem UUID.

use super::error::StorageError;
use super::ext4;
use super::image::{self, Draft};
use super::pool::Pool;
use super::random::{random_hex, random_uuid};
use super::volume::GIB;
use super::volume::VolumeInfo;
use holdfast_model::VolumeId;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// At most so many masters are kept: one for each size of a root.
const MAX_MASTERS: usize = 8;

impl Pool {
    /// Makes a volume whose filesystem has the content that `fill` lays out in an empty directory.
    ///
    /// `fill` runs only if there is no master of this kind, mark and size yet. Masters of the kind
    /// with another mark are deleted then: what they were filled from has changed.
    ///
    /// # Errors
    /// What `fill` says, on the outside; within, those of [`Pool::create_blank`]. In either case
    /// there is no volume.
    pub fn create_from_master<E>(
        &self,
        volume: &VolumeId,
        size_gib: u32,
        (kind, mark): (&str, String),
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<Result<VolumeInfo, StorageError>, E> {
        let name = format!("{kind}-{mark}-{size_gib}");
        let master = self.masters().join(format!("{name}.img"));
        if !master.exists() {
            let content = match self.absent(volume).and_then(|_| Content::new(&self.drafts())) {
                Ok(content) => content,
                Err(e) => return Ok(Err(e)),
            };
            fill(&content.0)?;
            let stem = format!("{kind}-{mark}-");
            if let Err(e) = self.make_master(&master, &name, &stem, size_gib, &content) {
                return Ok(Err(e));
            }
        }
        Ok(self.copy_of(&master, volume))
    }

    fn copy_of(&self, master: &Path, volume: &VolumeId) -> Result<VolumeInfo, StorageError> {
        let target = self.absent(volume)?;
        self.check_space(&format!("volume {volume}"))?;
        let draft = Draft::new(&self.drafts(), volume.as_str())?;
        draft.clone_of(master)?;
        draft.keep(&target, volume.as_str())?;
        self.existing(volume, &target)
    }

    fn make_master(
        &self,
        master: &Path,
        name: &str,
        stem: &str,
        size_gib: u32,
        content: &Content,
    ) -> Result<(), StorageError> {
        image::check_id(name)?;
        self.check_space("what blank roots are copied from")?;
        let draft = Draft::new(&self.drafts(), name)?;
        draft.set_len(u64::from(size_gib) * GIB)?;
        ext4::make(draft.path(), &random_uuid()?, Some(&content.0))?;
        self.leave_room_for_a_master(stem)?;
        match draft.keep(master, name) {
            // Another launch made it meanwhile.
            Err(StorageError::AlreadyExists { .. }) => Ok(()),
            made => made,
        }
    }

    /// Deletes masters that are out of date, and the oldest ones if there are too many.
    fn leave_room_for_a_master(&self, stem: &str) -> Result<(), StorageError> {
        let directory = self.masters();
        let mut found: Vec<(SystemTime, PathBuf)> = Vec::new();
        let entries = fs::read_dir(&directory).map_err(StorageError::io("listing", &directory))?;
        for entry in entries {
            let entry = entry.map_err(StorageError::io("listing", &directory))?;
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with(stem) {
                let made = entry.metadata().and_then(|m| m.modified());
                found.push((made.map_err(StorageError::io("looking at", &path))?, path));
            } else {
                image::remove(&path)?;
            }
        }
        found.sort();
        let excess = (found.len() + 1).saturating_sub(MAX_MASTERS);
        found.drain(..excess).try_for_each(|(_, path)| image::remove(&path))
    }
}

/// A directory that goes when this value does (and, after a kill, when the pool is opened again).
struct Content(PathBuf);

impl Content {
    fn new(drafts: &Path) -> Result<Content, StorageError> {
        let path = drafts.join(format!("content.{}", random_hex(8)?));
        fs::DirBuilder::new()
            .mode(0o755)
            .create(&path)
            .map_err(StorageError::io("creating", &path))?;
        // It becomes the root of the filesystem, whatever the umask is.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .map_err(StorageError::io("setting the mode of", &path))?;
        Ok(Content(path))
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        // Best effort: the next opening of the pool removes it otherwise.
        let _ = fs::remove_dir_all(&self.0);
    }
}
