//! Volumes, snapshots and power cuts on real loop devices.

use holdfast_cloud_local::storage::{
    Inventory, MountOptions, Pool, PoolOptions, StorageError, teardown,
};
use holdfast_model::{SnapshotId, VolumeId};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const GIB: u64 = 1 << 30;
const CHILD_DIR: &str = "HOLDFAST_TEST_POOL_DIR";

/// A pool in a directory of its own, taken down whatever happens.
struct Scratch {
    dir: holdfast_scratch::Scratch,
}

impl Scratch {
    fn new() -> Scratch {
        assert!(nix::unistd::geteuid().is_root(), "these tests need root: run them with sudo");
        let dir = holdfast_scratch::Scratch::with_end(|dir| {
            if let Err(e) = teardown(dir) {
                eprintln!("cleaning up {}: {e}", dir.display());
            }
        });
        Scratch { dir }
    }

    fn open(&self) -> Pool {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<Pool, StorageError> {
        Pool::open(self.dir.path(), &PoolOptions { size_bytes: GIB })
    }

    /// A directory to mount on.
    fn target(&self, name: &str) -> PathBuf {
        let path = self.dir.path().canonicalize().unwrap().join("mounts").join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }
}

fn vol(name: &str) -> VolumeId {
    VolumeId(format!("vol-{name}"))
}

fn snap(name: &str) -> SnapshotId {
    SnapshotId(format!("snap-{name}"))
}

fn attach_and_mount(pool: &Pool, volume: &VolumeId, target: &Path) {
    pool.attach(volume).unwrap();
    pool.mount(volume, target, MountOptions::default()).unwrap();
}

fn unmount_and_detach(pool: &Pool, volume: &VolumeId, target: &Path) {
    pool.unmount(target).unwrap();
    pool.detach(volume).unwrap();
}

fn write_synced(path: &Path, content: &[u8]) {
    let mut file = File::create(path).unwrap();
    file.write_all(content).unwrap();
    file.sync_all().unwrap();
    File::open(path.parent().unwrap()).unwrap().sync_all().unwrap();
}

#[test]
fn a_power_cut_keeps_what_was_synced_and_loses_what_was_not() {
    let scratch = Scratch::new();
    let pool = scratch.open();
    let volume = vol("0a");
    pool.create_blank(&volume, 1).unwrap();
    let target = scratch.target("0a");
    attach_and_mount(&pool, &volume, &target);
    write_synced(&target.join("synced"), b"acknowledged");
    let mut unsynced = File::create(target.join("unsynced")).unwrap();
    unsynced.write_all(b"hoped for").unwrap();

    pool.power_cut(&target).unwrap();
    pool.power_cut(&target).unwrap();

    let after = unsynced.write_all(b"more").and_then(|()| unsynced.sync_all());
    assert_eq!(after.unwrap_err().raw_os_error(), Some(libc::EIO), "a write after the cut");
    assert!(File::create(target.join("late")).is_err(), "a file made after the cut");
    drop(unsynced);
    unmount_and_detach(&pool, &volume, &target);
    attach_and_mount(&pool, &volume, &target);
    assert_eq!(fs::read(target.join("synced")).unwrap(), b"acknowledged");
    assert_eq!(
        fs::read(target.join("unsynced")).unwrap_or_default(),
        b"",
        "what was never synced survived: the power cut is not one"
    );
    assert!(!target.join("late").exists());
    unmount_and_detach(&pool, &volume, &target);
}

/// A log that a server appends to while the pool runs full: what it was told is there is there, and
/// nothing after it but what was written, no zeros in place of what could not be.
#[test]
fn a_file_is_never_longer_than_what_could_be_written_to_it() {
    let scratch = Scratch::new();
    let pool = scratch.open();
    let volume = vol("0f");
    pool.create_blank(&volume, 1).unwrap();
    let target = scratch.target("0f");
    attach_and_mount(&pool, &volume, &target);
    write_synced(&target.join("log"), b"");
    let mut log = File::options().append(true).open(target.join("log")).unwrap();
    let ballast = fill(&pool.dir().join("pool"));
    let mut acknowledged = 0;
    let failed = (0..1_000_000).find_map(|_| {
        let written = log.write_all(&[b'x'; 37]).and_then(|()| log.sync_data());
        acknowledged += u64::from(written.is_ok()) * 37;
        written.err()
    });
    assert!(failed.is_some(), "the pool was not full");
    // The kernel shows that it has given a filesystem up once somebody tries again.
    log.write_all(b"x").unwrap_err();
    drop(log);
    fs::remove_file(ballast).unwrap();
    assert!(pool.fault(&target).unwrap().is_some(), "it is seen that a write has failed");
    unmount_and_detach(&pool, &volume, &target);
    attach_and_mount(&pool, &volume, &target);
    let found = fs::read(target.join("log")).unwrap();
    assert!(found.len() as u64 >= acknowledged, "{} of {acknowledged}", found.len());
    let zeros = found.iter().filter(|byte| **byte != b'x').count();
    assert_eq!(zeros, 0, "of {} bytes, {acknowledged} acknowledged", found.len());
    unmount_and_detach(&pool, &volume, &target);
}

/// A deletion that never became durable is none: at the next mount the file is there. What its
/// filesystem called free meanwhile must not have been given back, or zeros stand in its place.
#[test]
fn what_was_deleted_in_vain_is_not_given_back() {
    let scratch = Scratch::new();
    let pool = scratch.open();
    pool.hold_still_with(Path::new(env!("CARGO_BIN_EXE_holdfast-local-shim")));
    let volume = vol("0i");
    pool.create_blank(&volume, 1).unwrap();
    let target = scratch.target("0i");
    attach_and_mount(&pool, &volume, &target);
    let content = vec![7_u8; 8 << 20];
    write_synced(&target.join("kept"), &content);
    nix::unistd::syncfs(File::open(&target).unwrap()).unwrap();
    let ballast = fill(&pool.dir().join("pool"));

    fs::remove_file(target.join("kept")).unwrap();
    let committed = File::open(&target).unwrap().sync_all();
    assert!(committed.is_err(), "the pool was not full");
    pool.reclaim().unwrap();
    pool.trim_volumes(&mut || true).unwrap();

    pool.power_cut(&target).unwrap();
    unmount_and_detach(&pool, &volume, &target);
    fs::remove_file(ballast).unwrap();
    attach_and_mount(&pool, &volume, &target);
    let found = fs::read(target.join("kept")).unwrap();
    let zeros = found.iter().filter(|byte| **byte == 0).count();
    assert!(found == content, "{zeros} zeros in {} bytes", found.len());
    unmount_and_detach(&pool, &volume, &target);
}

/// Two blocks at once, as a database's log has them, where there is room for one: what a volume's
/// device calls written is there in whole. (Since Linux 6.15 a loop device that writes through the
/// page cache calls a write done that its file took in part.)
#[test]
fn what_a_full_pool_takes_in_part_is_not_called_written() {
    const BLOCK: usize = 4_096;
    let scratch = Scratch::new();
    let pool = scratch.open();
    // Past every cache of the device itself, which wants memory that begins at a block.
    let attach = |volume: &VolumeId| {
        let path = pool.attach(volume).unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let direct = fs::read_to_string(format!("/sys/block/{name}/loop/dio")).unwrap();
        assert_eq!(direct.trim(), "1", "{volume} is not written past the page cache");
        File::options().write(true).custom_flags(libc::O_DIRECT).open(path).unwrap()
    };
    let memory = [vec![7_u8; 3 * BLOCK], vec![8_u8; 3 * BLOCK]];
    let [old, new] = [0, 1].map(|which| {
        let begin = memory[which].as_ptr().align_offset(BLOCK);
        &memory[which][begin..begin + 2 * BLOCK]
    });
    // Apart from each other, so that each needs room of its own.
    let places: Vec<u64> = (0..200).map(|n| GIB / 2 + n * 64 * BLOCK as u64).collect();
    let (blank, copy) = (vol("0g"), vol("0h"));
    pool.create_blank(&blank, 1).unwrap();
    let device = attach(&blank);
    for (number, at) in places.iter().enumerate() {
        // Of every other pair both blocks are there, and will be shared.
        if number % 2 == 0 {
            device.write_all_at(old, *at).unwrap();
        }
    }
    device.sync_all().unwrap();
    drop(device);
    pool.detach(&blank).unwrap();
    pool.create_snapshot(&snap("0g"), &blank).unwrap();
    pool.create_from_snapshot(&copy, &snap("0g"), None).unwrap();
    for volume in [&blank, &copy] {
        let device = attach(volume);
        // The first block of each pair has room of its own.
        for at in &places {
            device.write_all_at(&new[..BLOCK], *at).unwrap();
        }
        device.sync_all().unwrap();
        let ballast = fill(&pool.dir().join("pool"));
        let room = File::options().write(true).open(&ballast).unwrap();
        let size = room.metadata().unwrap().len();
        let (mut written, mut refused) = (Vec::new(), 0);
        for at in &places {
            match device.write_all_at(new, *at).and_then(|()| device.sync_all()) {
                Ok(()) => written.push(*at),
                Err(_) => refused += 1,
            }
            if refused > 0 {
                room.set_len(size - refused * BLOCK as u64).unwrap();
                room.sync_all().unwrap();
            }
        }
        let image = File::open(pool.dir().join(format!("pool/volumes/{volume}.img"))).unwrap();
        let whole = |at: u64| {
            let mut found = [0; 2 * BLOCK];
            image.read_exact_at(&mut found, at).unwrap();
            found == *new
        };
        let (of, lost) = (written.len(), written.iter().filter(|at| !whole(**at)).count());
        assert_eq!(lost, 0, "of {of} writes to {volume} that were called done; {refused} refused");
        assert!(refused > 0, "the pool was not full");
        fs::remove_file(ballast).unwrap();
        drop(device);
        pool.detach(volume).unwrap();
    }
}

/// Takes all the space that a pool has.
fn fill(pool: &Path) -> PathBuf {
    let path = pool.join("ballast");
    let mut ballast = File::create_new(&path).unwrap();
    let stat = nix::sys::statvfs::statvfs(pool).unwrap();
    let most = (stat.blocks_available() * stat.fragment_size()).saturating_sub(8 << 20);
    let none = nix::fcntl::FallocateFlags::empty();
    nix::fcntl::fallocate(&ballast, none, 0, i64::try_from(most).unwrap()).unwrap();
    std::io::Seek::seek(&mut ballast, std::io::SeekFrom::Start(most)).unwrap();
    while ballast.write_all(&[1; 4_096]).is_ok() {}
    // What is not on the pool yet would take its space later, and fail then.
    let _ = ballast.sync_all();
    path
}

#[test]
fn a_power_cut_is_refused_where_no_volume_of_the_pool_is_mounted() {
    let scratch = Scratch::new();
    let pool = scratch.open();
    let plain = scratch.target("plain");
    let refused = pool.power_cut(&plain).unwrap_err();
    assert!(matches!(refused, StorageError::NotOurMount { .. }), "{refused}");
    let pool_itself = pool.dir().join("pool");
    let refused = pool.power_cut(&pool_itself).unwrap_err();
    assert!(matches!(refused, StorageError::NotOurMount { .. }), "{refused}");
    write_synced(&pool_itself.join("still-writable"), b"yes");
}

#[test]
fn a_snapshot_of_a_live_volume_holds_what_was_synced() {
    let scratch = Scratch::new();
    let pool = scratch.open();
    let (volume, snapshot, copy) = (vol("1a"), snap("1a"), vol("1b"));
    let made = pool.create_blank(&volume, 1).unwrap();
    let target = scratch.target("1a");
    attach_and_mount(&pool, &volume, &target);
    write_synced(&target.join("before"), b"in the snapshot");

    pool.create_snapshot(&snapshot, &volume).unwrap();
    write_synced(&target.join("after"), b"not in the snapshot");
    let twice = pool.create_snapshot(&snapshot, &volume).unwrap_err();
    assert!(matches!(twice, StorageError::AlreadyExists { .. }), "{twice}");

    let restored = pool.create_from_snapshot(&copy, &snapshot, Some(2)).unwrap();
    assert_eq!(restored.size_bytes, 2 * GIB);
    assert_eq!(restored.fs_uuid, made.fs_uuid, "a copy of the blocks has the same UUID");
    let mounted_copy = scratch.target("1b");
    attach_and_mount(&pool, &copy, &mounted_copy);
    assert_eq!(fs::read(mounted_copy.join("before")).unwrap(), b"in the snapshot");
    assert!(!mounted_copy.join("after").exists());
    let grown = nix::sys::statvfs::statvfs(&mounted_copy).unwrap();
    assert!(grown.blocks() * grown.fragment_size() > GIB, "the filesystem grew with its volume");

    unmount_and_detach(&pool, &copy, &mounted_copy);
    assert!(pool.snapshot_size(&snapshot).unwrap().is_some());
    pool.delete_snapshot(&snapshot).unwrap();
    pool.delete_snapshot(&snapshot).unwrap();
    attach_and_mount(&pool, &copy, &mounted_copy);
    assert_eq!(fs::read(mounted_copy.join("before")).unwrap(), b"in the snapshot");
    unmount_and_detach(&pool, &copy, &mounted_copy);
    unmount_and_detach(&pool, &volume, &target);
}

#[test]
fn a_smaller_volume_than_its_snapshot_is_refused() {
    let scratch = Scratch::new();
    let pool = scratch.open();
    pool.create_blank(&vol("2a"), 2).unwrap();
    pool.create_snapshot(&snap("2a"), &vol("2a")).unwrap();
    let refused = pool.create_from_snapshot(&vol("2b"), &snap("2a"), Some(1)).unwrap_err();
    assert!(matches!(refused, StorageError::TooSmall { .. }), "{refused}");
    assert_eq!(pool.volume(&vol("2b")).unwrap(), None);
}

#[test]
fn a_damaged_volume_is_refused_and_never_formatted() {
    let scratch = Scratch::new();
    let pool = scratch.open();
    let volume = vol("3a");
    pool.create_blank(&volume, 1).unwrap();
    let image = pool.dir().join("pool/volumes/vol-3a.img");
    let file = OpenOptions::new().read(true).write(true).open(&image).unwrap();
    let noise = vec![0xA5; 64 * 1024];
    file.write_all_at(&noise, 0).unwrap();
    file.sync_all().unwrap();

    pool.attach(&volume).unwrap();
    let target = scratch.target("3a");
    let refused = pool.mount(&volume, &target, MountOptions::default()).unwrap_err();
    assert!(matches!(refused, StorageError::FilesystemDoesNotMount { .. }), "{refused}");
    assert!(refused.to_string().contains("vol-3a"), "{refused}");
    pool.detach(&volume).unwrap();
    let mut now = vec![0; noise.len()];
    file.read_exact_at(&mut now, 0).unwrap();
    assert!(now == noise, "the damaged blocks were written over");
    assert_eq!(pool.volume(&volume).unwrap().unwrap().fs_uuid, None);
    let again = pool.create_blank(&volume, 1).unwrap_err();
    assert!(matches!(again, StorageError::AlreadyExists { .. }), "{again}");
}

#[test]
fn a_pool_file_that_does_not_mount_is_left_as_it_is() {
    let scratch = Scratch::new();
    let file = scratch.dir.path().join("pool.xfs");
    let noise = vec![0x5A; 1 << 20];
    fs::write(&file, &noise).unwrap();
    let refused = scratch.try_open().unwrap_err();
    assert!(matches!(refused, StorageError::PoolDoesNotMount { .. }), "{refused}");
    assert!(fs::read(&file).unwrap() == noise);
    let left = Inventory::of(scratch.dir.path()).unwrap();
    assert_eq!(left.loops, [], "the device of a failed opening is given back");
}

#[test]
fn opening_again_adopts_what_is_attached_and_mounted() {
    let scratch = Scratch::new();
    let volume = vol("4a");
    let target = scratch.target("4a");
    let first = scratch.open();
    first.create_blank(&volume, 1).unwrap();
    attach_and_mount(&first, &volume, &target);
    write_synced(&target.join("kept"), b"kept");
    let before = first.inventory().unwrap();
    drop(first);

    let second = scratch.open();
    assert_eq!(second.inventory().unwrap(), before);
    let device = second.attached(&volume).unwrap();
    assert!(device.is_some());
    assert_eq!(second.attach(&volume).unwrap(), device.unwrap(), "attached once, found again");
    second.mount(&volume, &target, MountOptions::default()).unwrap();
    assert_eq!(fs::read(target.join("kept")).unwrap(), b"kept");
    let refused = second.detach(&volume).unwrap_err();
    assert!(matches!(refused, StorageError::InUse { .. }), "{refused}");
    let refused = second.delete_volume(&volume).unwrap_err();
    assert!(matches!(refused, StorageError::InUse { .. }), "{refused}");
    unmount_and_detach(&second, &volume, &target);
    second.detach(&volume).unwrap();
    second.delete_volume(&volume).unwrap();
    second.delete_volume(&volume).unwrap();
}

#[test]
fn teardown_leaves_nothing_and_can_be_repeated() {
    let scratch = Scratch::new();
    let pool = scratch.open();
    let (volume, target) = (vol("5a"), scratch.target("5a"));
    pool.create_blank(&volume, 1).unwrap();
    attach_and_mount(&pool, &volume, &target);
    pool.create_blank(&vol("5b"), 1).unwrap();
    pool.attach(&vol("5b")).unwrap();
    pool.create_snapshot(&snap("5a"), &volume).unwrap();
    // Something still open does not stop it.
    let held = File::create(target.join("held-open")).unwrap();
    drop(held);

    teardown(scratch.dir.path()).unwrap();
    assert_eq!(Inventory::of(scratch.dir.path()).unwrap(), Inventory::default());
    assert!(!scratch.dir.path().join("pool.xfs").exists());
    teardown(scratch.dir.path()).unwrap();
    let fresh = scratch.open();
    assert_eq!(fresh.volume(&volume).unwrap(), None);
}

#[test]
fn a_foreign_mount_namespace_does_not_keep_a_volume_back() {
    let scratch = Scratch::new();
    let pool = scratch.open();
    let (volume, target) = (vol("6a"), scratch.target("6a"));
    pool.create_blank(&volume, 1).unwrap();
    attach_and_mount(&pool, &volume, &target);
    // As systemd starts a service with mounts of its own.
    let mut service = Command::new("unshare")
        .args(["--mount", "--propagation", "slave", "sh", "-c", "echo ready; exec sleep 60"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = [0; 6];
    service.stdout.take().unwrap().read_exact(&mut ready).unwrap();
    let freed = pool.unmount(&target).and_then(|()| pool.detach(&volume));
    service.kill().unwrap();
    service.wait().unwrap();
    freed.unwrap();
}

#[test]
fn an_id_that_would_leave_the_pool_is_refused() {
    let scratch = Scratch::new();
    let pool = scratch.open();
    for id in ["../x", "", "a/b", "vol 1"] {
        let refused = pool.create_blank(&VolumeId::from(id), 1).unwrap_err();
        assert!(matches!(refused, StorageError::BadId { .. }), "{id}: {refused}");
    }
}

#[test]
fn a_kill_while_volumes_are_made_leaves_only_whole_ones() {
    let scratch = Scratch::new();
    for round in 0..6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "storage::child_makes_volumes_until_killed", "--ignored"])
            .arg("--nocapture")
            .env(CHILD_DIR, scratch.dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Wait for its first volume, then kill it somewhere in a later one.
        let mut said = Vec::new();
        let mut out = child.stdout.take().unwrap();
        while !said.ends_with(b"made\n") {
            let mut byte = [0];
            assert_eq!(out.read(&mut byte).unwrap(), 1, "the child ended by itself");
            said.push(byte[0]);
        }
        std::thread::sleep(Duration::from_millis(7 * round));
        child.kill().unwrap();
        child.wait().unwrap();

        let pool = scratch.open();
        let found = pool.inventory().unwrap();
        assert_eq!(found.drafts, [] as [&str; 0]);
        for id in &found.volumes {
            let volume = VolumeId(id.clone());
            assert!(pool.volume(&volume).unwrap().unwrap().fs_uuid.is_some(), "{id} is half made");
            let target = scratch.target("check");
            attach_and_mount(&pool, &volume, &target);
            unmount_and_detach(&pool, &volume, &target);
            pool.delete_volume(&volume).unwrap();
        }
    }
}

#[test]
#[ignore = "the child process of the test above"]
fn child_makes_volumes_until_killed() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    let pool = Pool::open(Path::new(&dir), &PoolOptions { size_bytes: GIB }).unwrap();
    for number in 0..1_000 {
        pool.create_blank(&vol(&format!("{}-{number}", std::process::id())), 1).unwrap();
        println!("made");
    }
}

#[test]
fn a_full_pool_refuses_new_things_with_a_clear_word() {
    let scratch = Scratch::new();
    let pool = Pool::open(scratch.dir.path(), &PoolOptions { size_bytes: GIB / 2 }).unwrap();
    let ballast = OpenOptions::new()
        .create_new(true)
        .write(true)
        .open(pool.dir().join("pool/ballast"))
        .unwrap();
    let (free, _) = pool.free_bytes().unwrap();
    let take = i64::try_from(free.saturating_sub(20 << 20)).unwrap();
    nix::fcntl::fallocate(&ballast, nix::fcntl::FallocateFlags::empty(), 0, take).unwrap();
    let refused = pool.create_blank(&vol("7a"), 1).unwrap_err();
    assert!(refused.is_no_space(), "{refused}");
    assert_eq!(pool.volume(&vol("7a")).unwrap(), None);
}

/// Not a check: prints how long each step takes (`--nocapture`, `--ignored`).
#[test]
#[ignore = "prints times"]
fn times() {
    let scratch = Scratch::new();
    let pool = Pool::open(scratch.dir.path(), &PoolOptions { size_bytes: 16 * GIB }).unwrap();
    let mut rows: Vec<(&str, Vec<f64>)> = Vec::new();
    for round in 0..20 {
        let (volume, target) = (vol(&format!("t{round}")), scratch.target(&format!("t{round}")));
        let mut step = |name: &'static str, work: &mut dyn FnMut()| {
            let begun = Instant::now();
            work();
            let ms = begun.elapsed().as_secs_f64() * 1e3;
            match rows.iter_mut().find(|(n, _)| *n == name) {
                Some((_, all)) => all.push(ms),
                None => rows.push((name, vec![ms])),
            }
        };
        step("create 10 GiB", &mut || drop(pool.create_blank(&volume, 10).unwrap()));
        step("attach", &mut || {
            pool.attach(&volume).unwrap();
        });
        let mount = &mut || pool.mount(&volume, &target, MountOptions::default()).unwrap();
        step("mount", mount);
        for n in 0..200 {
            let file = File::create(target.join(format!("f{n}"))).unwrap();
            file.write_all_at(&[1; 8192], 0).unwrap();
            if n % 4 == 0 {
                file.sync_all().unwrap();
            }
        }
        step("snapshot, live", &mut || {
            pool.create_snapshot(&snap(&format!("t{round}")), &volume).unwrap();
        });
        step("power cut", &mut || pool.power_cut(&target).unwrap());
        step("unmount", &mut || pool.unmount(&target).unwrap());
        step("detach", &mut || pool.detach(&volume).unwrap());
        step("attach again", &mut || {
            pool.attach(&volume).unwrap();
        });
        let mount = &mut || pool.mount(&volume, &target, MountOptions::default()).unwrap();
        step("mount with replay", mount);
        unmount_and_detach(&pool, &volume, &target);
    }
    for (name, mut all) in rows {
        all.sort_by(f64::total_cmp);
        println!(
            "{name}: {:.1} / {:.1} / {:.1} ms",
            all[0],
            all[all.len() / 2],
            all[all.len() - 1]
        );
    }
}

#[test]
fn volumes_of_a_master_have_its_content_and_go_ways_of_their_own() {
    let scratch = Scratch::new();
    let pool = scratch.open();
    let mut filled = 0;
    let mut make = |name: &str, size: u32, mark: &str| {
        let made = pool.create_from_master(&vol(name), size, ("test", mark.to_owned()), |dir| {
            filled += 1;
            fs::write(dir.join("content"), mark)?;
            fs::set_permissions(dir.join("content"), fs::Permissions::from_mode(0o640))?;
            std::os::unix::fs::symlink("/nowhere", dir.join("link"))
        });
        made.unwrap().unwrap()
    };
    let (a, b) = (make("8a", 1, "one"), make("8b", 1, "one"));
    assert_eq!((a.size_bytes, b.size_bytes), (GIB, GIB));
    assert_eq!(make("8c", 2, "one").size_bytes, 2 * GIB);
    let masters = |pool: &Pool| fs::read_dir(pool.dir().join("pool/masters")).unwrap().count();
    assert_eq!(masters(&pool), 2);
    make("8d", 1, "two");
    assert_eq!(masters(&pool), 1, "those of another mark are out of date");
    assert_eq!(filled, 3);

    let targets = ["8a", "8b", "8d"].map(|name| {
        let target = scratch.target(name);
        attach_and_mount(&pool, &vol(name), &target);
        target
    });
    write_synced(&targets[0].join("content"), b"changed");
    let read = |target: &PathBuf| fs::read_to_string(target.join("content")).unwrap();
    assert_eq!(targets.each_ref().map(read), ["changed", "one", "two"]);
    assert_eq!(fs::metadata(targets[1].join("content")).unwrap().mode() & 0o777, 0o640);
    assert_eq!(fs::metadata(&targets[1]).unwrap().mode() & 0o777, 0o755);
    assert_eq!(fs::read_link(targets[1].join("link")).unwrap(), Path::new("/nowhere"));
    for (name, target) in ["8a", "8b", "8d"].iter().zip(&targets) {
        unmount_and_detach(&pool, &vol(name), target);
    }
    let again =
        pool.create_from_master(&vol("8a"), 1, ("test", "two".to_owned()), |_| Ok::<_, ()>(()));
    assert!(matches!(again, Ok(Err(StorageError::AlreadyExists { .. }))), "{again:?}");
    let no = pool.create_from_master(&vol("8e"), 1, ("test", "three".to_owned()), |_| Err("no"));
    assert_eq!(no.unwrap_err(), "no");
    assert!(!pool.has_volume(&vol("8e")) && pool.inventory().unwrap().drafts.is_empty());
}

#[test]
fn sizes_that_nobody_asks_for_any_more_do_not_pile_up_as_masters() {
    let scratch = Scratch::new();
    let pool = scratch.open();
    for size in 1..=10 {
        let kind = ("test", "one".to_owned());
        let made =
            pool.create_from_master(&vol(&format!("9{size}")), size, kind, |_| Ok::<_, ()>(()));
        made.unwrap().unwrap();
    }
    assert_eq!(fs::read_dir(pool.dir().join("pool/masters")).unwrap().count(), 8);
}
