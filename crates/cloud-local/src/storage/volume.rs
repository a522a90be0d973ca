//! Volumes and snapshots.

use super::error::StorageError;
use super::loops::{self, Blocks, FileKey, LOOP_MAJOR, LoopDevice};
use super::pool::Pool;
use super::random::random_uuid;
use super::{ext4, image, ioctl, mounts};
use holdfast_model::{SnapshotId, VolumeId};
use image::Draft;
use nix::mount::MsFlags;
use nix::sys::stat::{major, minor};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub(super) const GIB: u64 = 1 << 30;

/// What is known of a volume's image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeInfo {
    /// Its size in bytes, as its device shows it.
    pub size_bytes: u64,
    /// What it takes from the pool, in bytes; blocks shared with snapshots count in full.
    pub used_bytes: u64,
    /// Its filesystem's UUID; `None` if its superblock is destroyed.
    pub fs_uuid: Option<String>,
}

/// How a volume is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MountOptions {
    /// Nothing may be written, not even by journal replay.
    pub read_only: bool,
}

impl Pool {
    pub(super) fn image(&self, volume: &VolumeId) -> Result<PathBuf, StorageError> {
        image::check_id(volume.as_str())?;
        Ok(self.volumes().join(format!("{volume}.img")))
    }

    fn snapshot_image(&self, snapshot: &SnapshotId) -> Result<PathBuf, StorageError> {
        image::check_id(snapshot.as_str())?;
        Ok(self.snapshots().join(format!("{snapshot}.img")))
    }

    /// Makes a blank volume with an empty ext4 of a new UUID.
    ///
    /// # Errors
    /// [`StorageError::AlreadyExists`], [`StorageError::NoSpace`],
    /// [`StorageError::MissingProgram`], or what mkfs.ext4 or the kernel says; then there is no
    /// volume.
    pub fn create_blank(
        &self,
        volume: &VolumeId,
        size_gib: u32,
    ) -> Result<VolumeInfo, StorageError> {
        let target = self.absent(volume)?;
        self.check_space(&format!("volume {volume}"))?;
        let draft = Draft::new(&self.drafts(), volume.as_str())?;
        draft.set_len(u64::from(size_gib) * GIB)?;
        ext4::make(draft.path(), &random_uuid()?, None)?;
        draft.keep(&target, volume.as_str())?;
        self.existing(volume, &target)
    }

    /// Makes a volume from a snapshot; a larger one's filesystem grows with it.
    ///
    /// # Errors
    /// [`StorageError::NotFound`] for the snapshot, [`StorageError::TooSmall`],
    /// [`StorageError::AlreadyExists`], [`StorageError::NoSpace`], or what the kernel says; then
    /// there is no volume.
    pub fn create_from_snapshot(
        &self,
        volume: &VolumeId,
        snapshot: &SnapshotId,
        size_gib: Option<u32>,
    ) -> Result<VolumeInfo, StorageError> {
        let target = self.absent(volume)?;
        let source = self.snapshot_image(snapshot)?;
        let has_bytes = present(&source, snapshot.as_str())?.len();
        let asked = size_gib.map_or(has_bytes, |gib| u64::from(gib) * GIB);
        if asked < has_bytes {
            let asked_gib = size_gib.unwrap_or_default();
            return Err(StorageError::TooSmall { id: volume.to_string(), asked_gib, has_bytes });
        }
        self.check_space(&format!("volume {volume}"))?;
        let draft = Draft::new(&self.drafts(), volume.as_str())?;
        draft.clone_of(&source)?;
        if asked > has_bytes {
            draft.set_len(asked)?;
            ext4::grow(draft.path())?;
        }
        draft.keep(&target, volume.as_str())?;
        self.existing(volume, &target)
    }

    /// Deletes a volume; one that is gone is success.
    ///
    /// # Errors
    /// [`StorageError::InUse`] while it is attached.
    pub fn delete_volume(&self, volume: &VolumeId) -> Result<(), StorageError> {
        let path = self.image(volume)?;
        if !path.exists() {
            return Ok(());
        }
        if let Some(device) = loops::holding(&path)? {
            let by = device.path().display().to_string();
            return Err(StorageError::InUse { id: volume.to_string(), by });
        }
        image::remove(&path)
    }

    /// What is known of a volume; `None` if it does not exist.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn volume(&self, volume: &VolumeId) -> Result<Option<VolumeInfo>, StorageError> {
        let path = self.image(volume)?;
        if path.exists() { self.existing(volume, &path).map(Some) } else { Ok(None) }
    }

    /// Whether a volume has its image.
    #[must_use]
    pub fn has_volume(&self, volume: &VolumeId) -> bool {
        self.image(volume).is_ok_and(|path| path.exists())
    }

    /// Whether a snapshot has its image.
    #[must_use]
    pub fn has_snapshot(&self, snapshot: &SnapshotId) -> bool {
        self.snapshot_image(snapshot).is_ok_and(|path| path.exists())
    }

    pub(super) fn existing(
        &self,
        volume: &VolumeId,
        path: &Path,
    ) -> Result<VolumeInfo, StorageError> {
        let found = present(path, volume.as_str())?;
        let superblock = ext4::superblock(path).map_err(StorageError::io("reading", path))?;
        Ok(VolumeInfo {
            size_bytes: found.len(),
            used_bytes: found.blocks() * 512,
            fs_uuid: superblock.map(|s| s.uuid),
        })
    }

    pub(super) fn absent(&self, volume: &VolumeId) -> Result<PathBuf, StorageError> {
        let target = self.image(volume)?;
        if target.exists() {
            return Err(StorageError::AlreadyExists { id: volume.to_string() });
        }
        Ok(target)
    }

    /// Gives a volume a loop device, or finds the one it has.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], [`StorageError::NoLoopDevices`],
    /// [`StorageError::LoopsTaken`].
    pub fn attach(&self, volume: &VolumeId) -> Result<LoopDevice, StorageError> {
        let path = self.image(volume)?;
        present(&path, volume.as_str())?;
        loops::attach(&path, Blocks::Pages)
    }

    /// The loop device that a volume has, by asking the kernel.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], or what the kernel says.
    pub fn attached(&self, volume: &VolumeId) -> Result<Option<LoopDevice>, StorageError> {
        let path = self.image(volume)?;
        present(&path, volume.as_str())?;
        loops::holding(&path)
    }

    /// Takes a volume's loop device away and waits, up to ten seconds, until nothing can write
    /// through it any more. A volume without one, or that is gone, is success.
    ///
    /// # Errors
    /// [`StorageError::InUse`] while it is mounted where this process sees it;
    /// [`StorageError::StillHeld`] if something else keeps the device open.
    pub fn detach(&self, volume: &VolumeId) -> Result<(), StorageError> {
        let path = self.image(volume)?;
        if !path.exists() {
            return Ok(());
        }
        let Some(device) = loops::holding(&path)? else { return Ok(()) };
        let number = (LOOP_MAJOR, device.0);
        if let Some(mounted) = mounts::all()?.into_iter().find(|m| m.device == number) {
            let by = format!("mounted at {}", mounted.target.display());
            return Err(StorageError::InUse { id: volume.to_string(), by });
        }
        loops::detach(&path, volume.as_str())
    }

    /// Mounts an attached volume. A damaged filesystem is checked once with `e2fsck -p` and never
    /// formatted.
    ///
    /// # Errors
    /// [`StorageError::NotAttached`], [`StorageError::FilesystemDoesNotMount`],
    /// [`StorageError::InUse`] if it or something else is mounted at the target.
    pub fn mount(
        &self,
        volume: &VolumeId,
        target: &Path,
        options: MountOptions,
    ) -> Result<(), StorageError> {
        let path = self.image(volume)?;
        present(&path, volume.as_str())?;
        let device = loops::holding(&path)?
            .ok_or_else(|| StorageError::NotAttached { id: volume.to_string() })?;
        if let Some(there) = mounts::at(target)? {
            if there.device == (LOOP_MAJOR, device.0) {
                return Ok(());
            }
            let by = format!("something else is mounted at {}", target.display());
            return Err(StorageError::InUse { id: volume.to_string(), by });
        }
        let mut flags = MsFlags::MS_NOATIME | MsFlags::MS_NODEV;
        // Inode tables are holes that read as zeros; writing them out would only fill the pool.
        // A write that cannot be carried out gives the filesystem up, so that a file never becomes
        // longer than what is in it (ext4(5): otherwise the length is committed all the same, and a
        // log ends in zeros that its server takes for damage).
        // The rest is said because a superblock may say otherwise: a filesystem that the kernel finds
        // damaged must be written no more (ext4(5): `errors=continue` would go on, `errors=panic` would
        // stop the host), what is synced must have reached the disk, and no freed block is to be handed
        // back at each commit.
        let mut words =
            "noinit_itable,data_err=abort,errors=remount-ro,data=ordered,barrier=1,nodiscard";
        if options.read_only {
            flags |= MsFlags::MS_RDONLY;
            words = "noload,errors=remount-ro";
        }
        let device = device.path();
        self.make_sound(volume, &path, &device, options)?;
        if let Err(cause) = mounts::mount_device(&device, target, "ext4", flags, words) {
            if !ext4::is_damage(&cause) {
                return Err(StorageError::io("mounting", target)(cause));
            }
            let (sound, fsck) = ext4::preen(&device)?;
            let again = if sound {
                mounts::mount_device(&device, target, "ext4", flags, words)
            } else {
                Err(cause)
            };
            again.map_err(|cause| StorageError::FilesystemDoesNotMount {
                volume: volume.to_string(),
                image: path.clone(),
                cause,
                fsck,
            })?;
        }
        // A node gets a copy of this mount: what it mounts below must not come back here.
        mounts::make_private(target)
    }

    /// Before a mount: looks at what the superblock says of itself. A filesystem in which the kernel has
    /// found errors is checked: what `e2fsck -p` cannot put right without asking is not mounted.
    fn make_sound(
        &self,
        volume: &VolumeId,
        image: &Path,
        device: &Path,
        options: MountOptions,
    ) -> Result<(), StorageError> {
        let found = ext4::superblock(image).map_err(StorageError::io("reading", image))?;
        let refuse = |why: &str, fsck: String| StorageError::FilesystemDoesNotMount {
            volume: volume.to_string(),
            image: image.to_owned(),
            cause: io::Error::other(why.to_owned()),
            fsck,
        };
        match found {
            Some(ext4::Superblock { foreign: Some(why), .. }) => {
                Err(refuse(why, "it was not asked".to_owned()))
            }
            Some(ext4::Superblock { has_errors: true, .. }) if !options.read_only => {
                let (sound, fsck) = ext4::preen(device)?;
                tracing::warn!(%volume, sound, %fsck, "a filesystem with errors was checked");
                let why = "the kernel has found it damaged";
                if sound { Ok(()) } else { Err(refuse(why, fsck)) }
            }
            // One without a superblock does not mount either: the kernel says why.
            _ => Ok(()),
        }
    }

    /// Unmounts what is mounted at a path; nothing there is success. What keeps it busy for half
    /// a second keeps it out of sight only (see [`Pool::detach`], which is the proof).
    ///
    /// # Errors
    /// What the kernel says.
    pub fn unmount(&self, target: &Path) -> Result<(), StorageError> {
        mounts::unmount(target)
    }

    /// Whether anything is mounted at a path.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn is_mounted(&self, target: &Path) -> Result<bool, StorageError> {
        Ok(mounts::at(target)?.is_some())
    }

    /// Cuts the power of the volume mounted at a path: what was not synced is gone, what was
    /// synced stays, and every later write fails with EIO, in whatever namespace it is made.
    /// Twice is success.
    ///
    /// # Errors
    /// [`StorageError::NotOurMount`] unless a volume of this pool is mounted there.
    pub fn power_cut(&self, target: &Path) -> Result<(), StorageError> {
        let refuse =
            || StorageError::NotOurMount { path: target.to_owned(), pool: self.dir().to_owned() };
        // Opened once, then asked through the descriptor: the filesystem that is checked is the
        // one that is shut down.
        let root = File::open(target).map_err(StorageError::io("opening", target))?;
        let dev = root.metadata().map_err(StorageError::io("looking at", target))?.dev();
        if major(dev) != u64::from(LOOP_MAJOR) {
            return Err(refuse());
        }
        let number = u32::try_from(minor(dev)).map_err(|_| refuse())?;
        let backing = LoopDevice(number)
            .backing()
            .map_err(StorageError::io("looking at", target))?
            .ok_or_else(refuse)?;
        let pool = FileKey::of(&self.volumes())
            .map_err(StorageError::io("looking at", &self.volumes()))?;
        if backing.dev != pool.dev {
            return Err(refuse());
        }
        match ioctl::ext4_shutdown(root.as_raw_fd()) {
            Ok(()) => Ok(()),
            // It was cut before.
            Err(e) if e.raw_os_error() == Some(libc::EIO) => Ok(()),
            Err(e) => Err(StorageError::io("cutting the power of", target)(e)),
        }
    }

    /// Takes a snapshot: the image as it is at this instant, with everything that its node has
    /// synced, whether it is attached or not.
    ///
    /// # Errors
    /// [`StorageError::NotFound`] for the volume, [`StorageError::AlreadyExists`],
    /// [`StorageError::NoSpace`], or what the kernel says; then there is no snapshot.
    pub fn create_snapshot(
        &self,
        snapshot: &SnapshotId,
        volume: &VolumeId,
    ) -> Result<(), StorageError> {
        let source = self.image(volume)?;
        present(&source, volume.as_str())?;
        let target = self.snapshot_image(snapshot)?;
        if target.exists() {
            return Err(StorageError::AlreadyExists { id: snapshot.to_string() });
        }
        self.check_space(&format!("snapshot {snapshot}"))?;
        let draft = Draft::new(&self.drafts(), snapshot.as_str())?;
        draft.clone_of(&source)?;
        draft.keep(&target, snapshot.as_str())
    }

    /// The size in bytes of the volume that a snapshot was taken of; `None` if there is no such
    /// snapshot.
    ///
    /// # Errors
    /// [`StorageError::BadId`].
    pub fn snapshot_size(&self, snapshot: &SnapshotId) -> Result<Option<u64>, StorageError> {
        let path = self.snapshot_image(snapshot)?;
        Ok(fs::metadata(path).ok().map(|m| m.len()))
    }

    /// Deletes a snapshot; one that is gone is success.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn delete_snapshot(&self, snapshot: &SnapshotId) -> Result<(), StorageError> {
        image::remove(&self.snapshot_image(snapshot)?)
    }
}

fn present(path: &Path, id: &str) -> Result<fs::Metadata, StorageError> {
    fs::metadata(path).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => {
            StorageError::NotFound { id: id.to_owned(), path: path.to_owned() }
        }
        _ => StorageError::Io { doing: "looking at", path: path.to_owned(), cause },
    })
}
