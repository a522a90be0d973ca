//! Attacks by what is written in a filesystem: damage, and superblocks that ask for more than is due.
//!
//! Damage is never provoked on a filesystem whose own word is to stop the host (`errors=panic`): its
//! control is `errors=continue`, which takes the same way through the kernel.

use super::*;
use holdfast_cloud_local::storage::{self, MountOptions, Pool};
use std::os::unix::fs::FileExt;
use std::process::Command as Program;

fn run_program(program: &mut Program) -> String {
    let ended = program.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(
        ended.status.success(),
        "{program:?}: {said}{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    said
}

fn tune(image: &Path, words: &[&str]) {
    run_program(Program::new("tune2fs").args(words).arg(image));
}

fn debugfs(image: &Path, request: &str) -> String {
    run_program(Program::new("debugfs").args(["-w", "-R", request]).arg(image))
}

/// Makes the directory `/broken` in an unmounted image, and noise of its one block.
fn damage(image: &Path) {
    debugfs(image, "mkdir broken");
    let block: u64 = debugfs(image, "blocks /broken").trim().parse().unwrap();
    let file = std::fs::File::options().write(true).open(image).unwrap();
    file.write_all_at(&[0xA5; 4_096], block * 4_096).unwrap();
    file.sync_all().unwrap();
}

/// The options that the kernel shows of the filesystem at a mount point of the host.
fn options_at(target: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let at = format!(" {} ", target.display());
    let line = mounts.lines().rfind(|line| line.contains(&at)).expect("it is mounted");
    line.rsplit(' ').next().unwrap().to_owned()
}

/// A pool without a cloud, taken down whatever happens.
struct Bare {
    dir: holdfast_scratch::Scratch,
    pool: Pool,
    volume: VolumeId,
}

impl Drop for Bare {
    fn drop(&mut self) {
        if let Err(e) = storage::teardown(self.dir.path()) {
            eprintln!("cleaning up {}: {e}", self.dir.path().display());
        }
    }
}

impl Bare {
    fn new() -> Bare {
        let dir = holdfast_scratch::Scratch::new();
        let pool = Pool::open(dir.path(), &PoolOptions { size_bytes: 1 << 30 }).unwrap();
        let volume = VolumeId::from("vol-1");
        pool.create_blank(&volume, 1).unwrap();
        Bare { dir, pool, volume }
    }

    fn image(&self) -> PathBuf {
        self.pool.dir().join("pool/volumes/vol-1.img")
    }

    fn target(&self) -> PathBuf {
        let path = self.pool.dir().join("mounts/vol-1");
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    fn try_mount(&self) -> Result<(), storage::StorageError> {
        self.pool.attach(&self.volume).unwrap();
        self.pool.mount(&self.volume, &self.target(), MountOptions::default())
    }

    /// Waits until the kernel shows what it has found: where it writes on, it does so a little later.
    fn says_damaged(&self) -> String {
        for _ in 0..MAX_LOOKS {
            let why = self.pool.fault(&self.target()).unwrap().unwrap_or_default();
            if why.contains("found its filesystem damaged") {
                return why;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it is not seen: {:?}", self.pool.fault(&self.target()));
    }

    fn unmount(&self) {
        self.pool.unmount(&self.target()).unwrap();
        self.pool.detach(&self.volume).unwrap();
    }
}

#[test]
fn a_damaged_filesystem_is_written_no_more_whatever_its_superblock_says() {
    let bare = Bare::new();
    tune(&bare.image(), &["-e", "continue"]);
    damage(&bare.image());
    let target = bare.target();

    // The control: mounted as the superblock says, it is written on.
    let device = bare.pool.attach(&bare.volume).unwrap().path();
    run_program(Program::new("mount").args(["-t", "ext4"]).arg(&device).arg(&target));
    std::fs::read_dir(target.join("broken")).unwrap().next().unwrap().unwrap_err();
    std::fs::write(target.join("written-on"), "").unwrap();
    bare.says_damaged();
    bare.unmount();
    // As if the kernel had not noticed yet.
    debugfs(&bare.image(), "set_super_value state 1");
    debugfs(&bare.image(), "set_super_value error_count 0");

    bare.try_mount().unwrap();
    assert_eq!(bare.pool.fault(&target).unwrap(), None);
    std::fs::write(target.join("before"), "").unwrap();
    std::fs::read_dir(target.join("broken")).unwrap().next().unwrap().unwrap_err();
    let refused = std::fs::write(target.join("after"), "").unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EROFS));
    let why = bare.says_damaged();
    assert!(why.contains(" errors, the first at 20"), "{why}");
    bare.unmount();

    // What cannot be put right without asking is not mounted again.
    let refused = bare.try_mount().unwrap_err();
    let said = refused.to_string();
    assert!(matches!(refused, storage::StorageError::FilesystemDoesNotMount { .. }), "{said}");
    assert!(said.contains("found it damaged") && said.contains("e2fsck -f"), "{said}");
}

/// Only the options are looked at: a filesystem that says this is never damaged here.
#[test]
fn no_superblock_makes_damage_stop_the_host() {
    let bare = Bare::new();
    let target = bare.target();
    for word in ["continue", "panic"] {
        tune(&bare.image(), &["-e", word]);
        bare.try_mount().unwrap();
        let shown = options_at(&target);
        bare.unmount();
        tune(&bare.image(), &["-e", "continue"]);
        assert!(shown.split(',').any(|option| option == "errors=remount-ro"), "{word}: {shown}");
    }
}

#[test]
fn errors_that_were_found_are_looked_at_before_the_next_mount() {
    let bare = Bare::new();
    debugfs(&bare.image(), "set_super_value state 3");
    debugfs(&bare.image(), "set_super_value error_count 2");
    bare.try_mount().unwrap();
    std::fs::write(bare.target().join("sound"), "").unwrap();
    assert_eq!(bare.pool.fault(&bare.target()).unwrap(), None);
    bare.unmount();
    let shown = run_program(Program::new("dumpe2fs").arg("-h").arg(bare.image()));
    assert!(!shown.contains("FS Error count") && !shown.contains("with errors"), "{shown}");
}

#[test]
fn a_superblock_that_asks_for_more_than_its_volume_is_not_mounted() {
    let bare = Bare::new();
    tune(&bare.image(), &["-E", "mount_opts=nobarrier"]);
    let refused = bare.try_mount().unwrap_err().to_string();
    assert!(refused.contains("brings mount options"), "{refused}");
    bare.pool.detach(&bare.volume).unwrap();
    tune(&bare.image(), &["-E", "mount_opts="]);
    // A device number, such as that of another node's volume.
    debugfs(&bare.image(), "set_super_value journal_dev 1793");
    let refused = bare.try_mount().unwrap_err().to_string();
    assert!(refused.contains("journal is not in itself"), "{refused}");
    bare.pool.detach(&bare.volume).unwrap();
    debugfs(&bare.image(), "set_super_value journal_dev 0");
    // What a superblock may ask for by default is not done either.
    tune(&bare.image(), &["-o", "nobarrier,journal_data_writeback,discard"]);
    bare.try_mount().unwrap();
    let shown = options_at(&bare.target());
    for bad in ["nobarrier", "barrier=0", "data=writeback"] {
        assert!(!shown.split(',').any(|option| option == bad), "{bad}: {shown}");
    }
    assert!(!shown.split(',').any(|option| option == "discard"), "{shown}");
    bare.unmount();
}

/// Root in a node cannot mount anew what it has, nor reach the superblock: it has neither the right nor
/// the device.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_cannot_change_how_its_volumes_are_mounted() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let volume = new_volume(&cloud, "v").await;
    let node = run(
        &cloud,
        launch(
            "m1",
            None,
            script(
                "for at in / /var/lib/data; do
                    mount -o remount,errors=continue $at && echo REMOUNTED $at
                    mount -o remount,bind,dev $at && echo REMOUNTED $at
                 done
                 unshare -Urm mount -o remount,errors=continue / && echo REMOUNTED
                 mknod /root/disk b 7 0 && echo MADE-A-DEVICE
                 ls /dev/loop* /dev/vd* /dev/sd* && echo HAS-A-DEVICE
                 fstrim / && echo TRIMMED
                 echo has-tried; sleep 600",
            ),
        ),
    )
    .await;
    must(&cloud, attach(&volume, &node.id)).await;
    must(&cloud, open_gate(&volume, &node.id)).await;
    console_says(&cloud, &node.id, "has-tried").await;
    let console = holdfast_agent::console_path(&cloud.instance_dir(&node.id));
    let said = std::fs::read_to_string(console).unwrap();
    for bad in ["REMOUNTED", "MADE-A-DEVICE", "HAS-A-DEVICE", "TRIMMED"] {
        assert!(!said.contains(bad), "{said}");
    }
    // The control: the host can, and it shows where the wall would be gone.
    let target = scratch.path().canonicalize().unwrap().join("mounts").join(volume.as_str());
    let before = options_at(&target);
    assert!(!before.contains("errors=continue"), "{before}");
    run_program(Program::new("mount").args(["-o", "remount,errors=continue"]).arg(&target));
    assert!(!options_at(&target).contains("remount-ro"), "{}", options_at(&target));
    run_program(Program::new("mount").args(["-o", "remount,errors=remount-ro"]).arg(&target));
    terminate(&cloud, &node.id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_whose_volume_is_found_damaged_is_impaired_and_says_so() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let volume = new_volume(&cloud, "v").await;
    damage(&scratch.path().join(format!("pool/volumes/{volume}.img")));
    let node = run(&cloud, launch("m2", None, script("ls /var/lib/data/broken; sleep 600"))).await;
    must(&cloud, attach(&volume, &node.id)).await;
    must(&cloud, open_gate(&volume, &node.id)).await;
    for _ in 0..MAX_LOOKS {
        let seen = instance(&cloud, &node.id).await;
        if let Some(why) = seen.health_why {
            assert_eq!(seen.health, Health::Impaired);
            assert!(why.contains(volume.as_str()) && why.contains("damaged"), "{why}");
            terminate(&cloud, &node.id).await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it is never impaired");
}
