//! How much the pool, and the disk under it, have for volumes.

use super::error::StorageError;
use super::pool::Pool;
use super::pool::{RESERVE_BYTES, space};
use holdfast_model::VolumeId;
use std::fs;
use std::os::unix::fs::MetadataExt;

/// The pool keeps this part of itself for its own bookkeeping: where it wrote what, and who shares it.
const BOOKKEEPING_PART: u64 = 32;

/// What is there, all of it in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// The size of the pool.
    pub total_bytes: u64,
    /// What is free in the pool, whether the disk under it has it or not.
    pub free_bytes: u64,
    /// What the pool's file takes from the disk.
    pub file_bytes: u64,
    /// What is free on the disk.
    pub disk_free_bytes: u64,
}

impl Room {
    /// What lies in the pool: volumes, snapshots and what blank roots are copied from.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.total_bytes.saturating_sub(self.free_bytes)
    }

    /// What volumes and snapshots can have together, as far as the disk has it.
    #[must_use]
    pub fn there_bytes(&self) -> u64 {
        let most = self.total_bytes.min(self.file_bytes.saturating_add(self.disk_free_bytes));
        most.saturating_sub(most / BOOKKEEPING_PART).saturating_sub(RESERVE_BYTES)
    }
}

impl Pool {
    /// What is there now.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn room(&self) -> Result<Room, StorageError> {
        let (free_bytes, total_bytes) = space(&self.root())?;
        let file = self.file();
        let (disk_free_bytes, _) = space(&file)?;
        let found = fs::metadata(&file).map_err(StorageError::io("looking at", &file))?;
        Ok(Room { total_bytes, free_bytes, file_bytes: found.blocks() * 512, disk_free_bytes })
    }

    /// What a volume's image takes from the pool, in bytes; blocks shared with snapshots count in
    /// full. 0 if there is no image (yet).
    #[must_use]
    pub fn taken_by(&self, volume: &VolumeId) -> u64 {
        let found = self.image(volume).ok().and_then(|path| fs::metadata(path).ok());
        found.map_or(0, |image| image.blocks() * 512)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_what_the_disk_can_give_and_no_more_than_the_pool() {
        const GIB: u64 = 1 << 30;
        let mut room = Room {
            total_bytes: 64 * GIB,
            free_bytes: 60 * GIB,
            file_bytes: 4 * GIB,
            disk_free_bytes: 500 * GIB,
        };
        assert_eq!(room.used_bytes(), 4 * GIB);
        assert_eq!(room.there_bytes(), 62 * GIB - RESERVE_BYTES);
        room.disk_free_bytes = 28 * GIB;
        assert_eq!(room.there_bytes(), 31 * GIB - RESERVE_BYTES);
        room = Room { total_bytes: 0, free_bytes: 1, file_bytes: 0, disk_free_bytes: 0 };
        assert_eq!((room.used_bytes(), room.there_bytes()), (0, 0));
    }
}
