//! Loop devices: found by the file behind them, never by memory.

use super::error::StorageError;
use super::ioctl;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How many devices are tried when others take them at the same moment.
const MAX_ATTACH_TRIES: u32 = 64;
/// How long a device may take to let go of its image.
const MAX_DETACH_WAIT: Duration = Duration::from_secs(10);
/// Between two looks.
const DETACH_PAUSE: Duration = Duration::from_millis(1);
/// The kernel's major number of loop devices.
pub(super) const LOOP_MAJOR: u32 = 7;

/// A loop device by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LoopDevice(pub u32);

impl LoopDevice {
    /// `/dev/loopN`.
    #[must_use]
    pub fn path(self) -> PathBuf {
        PathBuf::from(format!("/dev/loop{}", self.0))
    }

    fn open(self) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(self.path())
    }

    /// What it holds now: device number and inode of the file behind it.
    pub(super) fn backing(self) -> io::Result<Option<FileKey>> {
        // Sysfs first: opening a free device is needless, and an opener delays others' detaching.
        if !Path::new(&format!("/sys/block/loop{}/loop", self.0)).exists() {
            return Ok(None);
        }
        match self.open() {
            Ok(file) => Ok(ioctl::loop_backing(&file)?.map(FileKey::from)),
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENXIO | libc::ENOENT)) => Ok(None),
            Err(e) => Err(e),
        }
    }
}

/// A file by what the kernel knows of it, whatever its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileKey {
    pub(super) dev: u64,
    pub(super) ino: u64,
}

impl FileKey {
    pub(super) fn of(path: &Path) -> io::Result<FileKey> {
        fs::metadata(path).map(|m| FileKey { dev: m.dev(), ino: m.ino() })
    }
}

impl From<ioctl::Backing> for FileKey {
    fn from(backing: ioctl::Backing) -> Self {
        FileKey { dev: backing.dev, ino: backing.ino }
    }
}

fn is_leaving(device: LoopDevice) -> Result<bool, StorageError> {
    let path = device.path();
    match device.open() {
        Ok(file) => {
            let now = ioctl::loop_backing(&file).map_err(StorageError::io("asking", &path))?;
            Ok(now.is_some_and(|b| b.leaving))
        }
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENXIO | libc::ENOENT)) => Ok(false),
        Err(e) => Err(StorageError::io("opening", &path)(e)),
    }
}

/// The loop devices that hold a file now, with the path that the kernel shows.
pub(super) fn held() -> Result<Vec<(LoopDevice, PathBuf)>, StorageError> {
    let block = Path::new("/sys/block");
    let entries = fs::read_dir(block).map_err(StorageError::io("listing", block))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(StorageError::io("listing", block))?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|n| n.strip_prefix("loop")?.parse().ok());
        let Some(number) = number else { continue };
        if let Ok(path) = fs::read_to_string(entry.path().join("loop/backing_file")) {
            found.push((LoopDevice(number), PathBuf::from(path.trim_end_matches('\n'))));
        }
    }
    found.sort();
    Ok(found)
}

/// The loop device that holds this file, if any.
pub(super) fn holding(image: &Path) -> Result<Option<LoopDevice>, StorageError> {
    let key = FileKey::of(image).map_err(StorageError::io("looking at", image))?;
    for (device, shown) in held()? {
        // The kernel shows the path's last part even where the directory was mounted elsewhere;
        // so only devices with the same file name are opened to compare.
        if shown.file_name() != image.file_name() {
            continue;
        }
        if device.backing().map_err(StorageError::io("asking", &device.path()))? == Some(key) {
            return Ok(Some(device));
        }
    }
    Ok(None)
}

/// The unit of a device's reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blocks {
    /// 512 bytes, which every filesystem takes.
    Least,
    /// 4,096 bytes: an image that shares blocks on XFS is written past the page cache in whole blocks
    /// of that only, and all volumes are ext4 with such blocks.
    Pages,
}

/// Attaches a file, or finds the device that holds it already.
pub(super) fn attach(image: &Path, blocks: Blocks) -> Result<LoopDevice, StorageError> {
    if let Some(device) = holding(image)? {
        if !is_leaving(device)? {
            return Ok(device);
        }
        // Somebody else's last hold on an earlier attachment: never to be used again.
        detach(image, &image.display().to_string())?;
    }
    let control = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/loop-control")
        .map_err(|cause| StorageError::NoLoopDevices { cause })?;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(image)
        .map_err(StorageError::io("opening", image))?;
    let block_size = match blocks {
        Blocks::Least => 512,
        Blocks::Pages => 4_096,
    };
    let name = image.file_name().map(|n| n.as_encoded_bytes().to_vec()).unwrap_or_default();
    for _ in 0..MAX_ATTACH_TRIES {
        let number =
            ioctl::loop_free(&control).map_err(|cause| StorageError::NoLoopDevices { cause })?;
        let device = LoopDevice(number);
        let opened = match device.open() {
            Ok(opened) => opened,
            // Removed, or its node not there yet.
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENXIO | libc::ENOENT)) => {
                std::thread::sleep(DETACH_PAUSE);
                continue;
            }
            Err(cause) => return Err(StorageError::NoLoopDevices { cause }),
        };
        match ioctl::loop_configure(&opened, &file, &name, block_size) {
            Ok(direct) => {
                if !direct {
                    tracing::warn!(
                        image = %image.display(),
                        "its loop device writes through the page cache: when the disk under it is \
                         full, what nodes were told is written may be lost; keep space free there"
                    );
                }
                return Ok(device);
            }
            Err(e) if e.raw_os_error() == Some(libc::EBUSY) => {}
            Err(e) => return Err(StorageError::io("attaching", image)(e)),
        }
    }
    Err(StorageError::LoopsTaken { image: image.to_owned(), tries: MAX_ATTACH_TRIES })
}

/// Frees the device that holds this file and waits until the kernel has let go of it; a file that
/// no device holds is success.
///
/// The kernel frees a device only when its last opener is gone, so the answer of the call proves
/// nothing: only that the file is no longer behind the device does.
pub(super) fn detach(image: &Path, id: &str) -> Result<(), StorageError> {
    let key = FileKey::of(image).map_err(StorageError::io("looking at", image))?;
    match holding(image)? {
        Some(device) => detach_device(device, key, id),
        None => Ok(()),
    }
}

pub(super) fn detach_device(
    device: LoopDevice,
    key: FileKey,
    id: &str,
) -> Result<(), StorageError> {
    let path = device.path();
    let begun = Instant::now();
    {
        let opened = device.open().map_err(StorageError::io("opening", &path))?;
        // Asked through the descriptor that clears: the number may have passed to another file.
        let now = ioctl::loop_backing(&opened).map_err(StorageError::io("asking", &path))?;
        if now.map(FileKey::from) != Some(key) {
            return Ok(());
        }
        match ioctl::loop_clear(&opened) {
            Ok(()) => {}
            Err(e) if e.raw_os_error() == Some(libc::ENXIO) => return Ok(()),
            Err(e) => return Err(StorageError::io("detaching", &path)(e)),
        }
    }
    while begun.elapsed() < MAX_DETACH_WAIT {
        if device.backing().map_err(StorageError::io("asking", &path))? != Some(key) {
            return Ok(());
        }
        std::thread::sleep(DETACH_PAUSE);
    }
    Err(StorageError::StillHeld {
        id: id.to_owned(),
        device: path,
        waited_ms: u64::try_from(MAX_DETACH_WAIT.as_millis()).unwrap_or(u64::MAX),
    })
}
