//! Filesystems that stand still for a moment, and go on whatever happens to who asked for it.

use holdfast_agent::{STANDSTILL_MOST_MS, STANDSTILL_SUBCOMMAND, Standstill};
use holdfast_cloud_local::storage::{MountOptions, Pool, PoolOptions, teardown};
use holdfast_model::VolumeId;
use holdfast_scratch::Scratch;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Whatever should happen happens within this.
const PATIENCE: Duration = Duration::from_secs(30);

/// Two volumes, and who writes to the first of them without a pause.
struct Scene {
    targets: Vec<PathBuf>,
    written: Arc<AtomicU64>,
    // Its end comes after `drop` has run.
    dir: Scratch,
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.written.store(u64::MAX / 2, Ordering::SeqCst);
        for target in &self.targets {
            holdfast_agent::thaw(target);
        }
    }
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_holdfast-local-shim"))
}

impl Scene {
    fn new() -> Scene {
        let dir = Scratch::with_end(|dir| {
            // The writer sees that the file is gone with its filesystem.
            for _ in 0..100 {
                if teardown(dir).is_ok() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let pool = Pool::open(dir.path(), &PoolOptions { size_bytes: 1 << 30 }).unwrap();
        let mut targets = Vec::new();
        for name in ["vol-0a", "vol-0b"] {
            let volume = VolumeId(name.to_owned());
            pool.create_blank(&volume, 1).unwrap();
            let target = dir.path().canonicalize().unwrap().join("mounts").join(name);
            std::fs::create_dir_all(&target).unwrap();
            pool.attach(&volume).unwrap();
            pool.mount(&volume, &target, MountOptions::default()).unwrap();
            targets.push(target);
        }
        let written = Arc::new(AtomicU64::new(0));
        let (path, count) = (targets[0].join("file"), Arc::clone(&written));
        std::thread::spawn(move || {
            let mut file = File::create(path).unwrap();
            while count.load(Ordering::SeqCst) < u64::MAX / 2 {
                if file.write_all(b"x").and_then(|()| file.sync_data()).is_err() {
                    return;
                }
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        let scene = Scene { targets, written, dir };
        scene.goes_on();
        scene
    }

    fn count(&self) -> u64 {
        self.written.load(Ordering::SeqCst)
    }

    /// Waits until something is written.
    fn goes_on(&self) {
        let (before, began) = (self.count(), Instant::now());
        // One write may have been under way.
        while self.count() < before + 2 {
            assert!(began.elapsed() < PATIENCE, "nothing is written any more");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn stands(&self) {
        // A write that had been done may not have been counted yet.
        std::thread::sleep(Duration::from_millis(20));
        let before = self.count();
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(self.count(), before, "nothing is written meanwhile");
    }
}

#[test]
fn nothing_is_written_until_it_ends_and_then_everything_goes_on() {
    let scene = Scene::new();
    let still = Standstill::begin(program(), &scene.targets).unwrap();
    scene.stands();
    assert!(still.end().unwrap(), "it was not late");
    scene.goes_on();
}

#[test]
fn who_takes_too_long_is_not_waited_for_and_is_told() {
    let scene = Scene::new();
    let still = Standstill::begin(program(), &scene.targets).unwrap();
    std::thread::sleep(Duration::from_millis(STANDSTILL_MOST_MS));
    scene.goes_on();
    assert!(!still.end().unwrap(), "what was copied is not of one instant");
    scene.goes_on();
}

#[test]
fn a_server_that_dies_meanwhile_lets_everything_go_on_at_once() {
    let scene = Scene::new();
    let mut child = Command::new(program())
        .arg(STANDSTILL_SUBCOMMAND)
        .args(&scene.targets)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert_eq!(line, "still\n");
    scene.stands();
    // What a server's death does: its end of the pipe is closed.
    drop(child.stdin.take());
    line.clear();
    said.read_line(&mut line).unwrap();
    assert_eq!(line, "held\n", "long before its time was over");
    assert!(child.wait().unwrap().success());
    scene.goes_on();
}

#[test]
fn a_directory_that_is_no_mount_point_is_refused_and_nothing_stands_still() {
    let scene = Scene::new();
    let mut targets = scene.targets.clone();
    targets.push(scene.dir.path().canonicalize().unwrap().join("mounts"));
    let refused = Standstill::begin(program(), &targets).unwrap_err().to_string();
    assert!(refused.contains("is not a mount point"), "{refused}");
    scene.goes_on();
}
