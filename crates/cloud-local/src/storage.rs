//! Real volumes on a Linux host, by system calls.
//!
//! One sparse file, `pool.xfs`, holds an XFS with reflinks, mounted at `<dir>/pool` through a loop
//! device. A volume is a sparse ext4 image in it (`pool/volumes/<id>.img`); attached, it has a
//! loop device of its own; a snapshot (`pool/snapshots/<id>.img`) is a reflink of the image. Blank
//! roots are reflinks of a master (`pool/masters/`), which is made once.
//!
//! Nothing here remembers anything: what is attached or mounted is asked of the kernel each time,
//! so a server that was killed and started again finds the same answers.
//!
//! **Invariant:** an image that exists is never formatted. Images are made under `pool/tmp` and
//! renamed when they are whole.

mod error;
mod ext4;
mod faults;
mod image;
mod inventory;
mod ioctl;
mod loops;
mod masters;
mod mounts;
mod pool;
mod programs;
mod random;
mod room;
mod trim;
mod volume;

pub use error::StorageError;
pub use inventory::{Inventory, teardown};
pub use loops::LoopDevice;
pub use pool::{Pool, PoolOptions};
pub use room::Room;
pub use volume::{MountOptions, VolumeInfo};
