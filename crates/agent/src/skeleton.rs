//! The skeleton of a blank root volume: the directories of a Debian system and an `/etc` that is
//! copied from the host by an allowlist. Nothing else of the host is ever copied.
//!
//! Nearly all of it is the same for every machine, so it can be laid out once, in a directory of
//! which volumes are then made, and each volume only gets what is its own. What it was laid out
//! from has a mark, which tells when it must be done anew.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::Path;

use crate::error::{AgentError, Doing, Result};
use crate::secrets::holds_secret;

/// Holdfast's own directory on a root volume; masked inside the node.
pub(crate) const HIDDEN: &str = ".holdfast";
const POPULATED: &str = "populated";
const POPULATING: &str = "populating";
/// Everything is there but what only one machine may have.
const LAID_OUT: &str = "laid-out";

/// At most so many entries are copied from the host's `/etc`.
const ETC_ENTRIES_MAX: usize = 20_000;
/// At most so many directories deep.
const ETC_DEPTH_MAX: usize = 12;
/// A single file of `/etc` is at most this large, in bytes.
const ETC_FILE_MAX_BYTES: u64 = 8 * 1024 * 1024;

/// What is copied from `/etc`. Absent on purpose: shadow (a locked one is generated), ssh, ssl
/// keys, cron, sudoers, everything of servers, of clients (they know passwords) and of the host's own
/// services; environment, and of skel what is not a shell's, because that is where people put
/// passwords of proxies, and tokens. What [`holds_secret`] finds in the others stays out as well.
const ETC_ALLOWED: &[&str] = &[
    "alternatives",
    "bash.bashrc",
    "ca-certificates",
    "ca-certificates.conf",
    "debian_version",
    "default/locale",
    "gai.conf",
    "group",
    "host.conf",
    "inputrc",
    "issue",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "locale.alias",
    "locale.gen",
    "localtime",
    "login.defs",
    "magic",
    "mime.types",
    "networks",
    "nsswitch.conf",
    "os-release",
    "pam.conf",
    "pam.d",
    "perl",
    "profile",
    "profile.d",
    "protocols",
    "python3",
    "rpc",
    "security/access.conf",
    "security/group.conf",
    "security/limits.conf",
    "security/limits.d",
    "security/namespace.conf",
    "security/pam_env.conf",
    "security/time.conf",
    "services",
    "shells",
    "skel/.bash_logout",
    "skel/.bashrc",
    "skel/.profile",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
    "timezone",
];

/// Directories of a fresh root, with their modes.
const DIRECTORIES: &[(&str, u32)] = &[
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("media", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("srv", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("var", 0o755),
    ("var/cache", 0o755),
    ("var/lib", 0o755),
    ("var/local", 0o755),
    ("var/log", 0o755),
    ("var/mail", 0o755),
    ("var/opt", 0o755),
    ("var/spool", 0o755),
    ("var/tmp", 0o1777),
];

const LINKS: &[(&str, &str)] = &[
    ("bin", "usr/bin"),
    ("sbin", "usr/sbin"),
    ("lib", "usr/lib"),
    ("lib64", "usr/lib64"),
    ("etc/mtab", "../proc/self/mounts"),
    ("var/run", "/run"),
    ("var/lock", "/run/lock"),
];

/// Prepares the blank root volume that is mounted at `mountpoint` on the host: directories, links,
/// `/etc`. Does nothing on a volume that it has prepared before, starts again on one where it was
/// interrupted, and adds what is missing to a copy of what [`lay_out_root`] has made. To be called
/// only before a volume's first boot.
///
/// # Errors
/// `Invalid` when the volume holds something that this function did not write (it is never
/// overwritten), `Io` naming the path.
pub fn populate_root(mountpoint: &Path) -> Result<()> {
    let hidden = mountpoint.join(HIDDEN);
    let is_ours = is_plain_dir(&hidden)?;
    if is_ours && exists(&hidden.join(POPULATED))? {
        return Ok(());
    }
    if !(is_ours && exists(&hidden.join(LAID_OUT))?) {
        lay_out_root(mountpoint)?;
    }
    write_file(&mountpoint.join("etc/machine-id"), &machine_id()?, 0o444)?;
    let (from, to) = (hidden.join(LAID_OUT), hidden.join(POPULATED));
    fs::rename(&from, &to).doing(|| format!("marking {} as prepared", mountpoint.display()))
}

/// Lays out in an empty directory what every machine's blank root begins with.
///
/// # Errors
/// As of [`populate_root`].
pub fn lay_out_root(mountpoint: &Path) -> Result<()> {
    let hidden = mountpoint.join(HIDDEN);
    if !(is_plain_dir(&hidden)? && exists(&hidden.join(POPULATING))?) {
        refuse_unless_blank(mountpoint)?;
        make_dir(&hidden, 0o700)?;
        write_file(&hidden.join(POPULATING), "", 0o600)?;
    }
    for below in ["usr", "usr/upper", "usr/work", "usr/lower"] {
        // The upper directory shows its own mode and owner at /usr.
        make_dir(&hidden.join(below), 0o755)?;
    }
    for (directory, mode) in DIRECTORIES {
        make_dir(&mountpoint.join(directory), *mode)?;
    }
    for (link, target) in LINKS {
        make_link(&mountpoint.join(link), Path::new(target))?;
    }
    populate_etc(Path::new("/etc"), &mountpoint.join("etc"))?;
    let (from, to) = (hidden.join(POPULATING), hidden.join(LAID_OUT));
    fs::rename(&from, &to).doing(|| format!("marking {} as laid out", mountpoint.display()))
}

/// What [`lay_out_root`] would copy now, in a word: another one means that the host's `/etc`, or
/// the skeleton, has changed. Files count by what the filesystem says of them.
///
/// # Errors
/// `Io` naming the path.
pub fn root_mark() -> Result<String> {
    let mut mark = DefaultHasher::new();
    (env!("CARGO_PKG_VERSION"), DIRECTORIES, LINKS, ETC_ALLOWED).hash(&mut mark);
    let host = Path::new("/etc");
    let mut left = ETC_ENTRIES_MAX;
    for name in ETC_ALLOWED.iter().chain(&["passwd"]) {
        mark_tree(&host.join(name), 0, &mut left, &mut mark)?;
    }
    for entry in read_dir(host)? {
        if is_runtime(&entry.file_name().to_string_lossy()) {
            mark_tree(&entry.path(), 0, &mut left, &mut mark)?;
        }
    }
    Ok(format!("{:016x}", mark.finish()))
}

fn mark_tree(path: &Path, depth: usize, left: &mut usize, mark: &mut impl Hasher) -> Result<()> {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e).doing(|| format!("looking at {}", path.display())),
    };
    if *left == 0 {
        // The copying says that there is too much.
        return Ok(());
    }
    *left -= 1;
    path.as_os_str().as_bytes().hash(mark);
    let owner = (meta.mode(), meta.uid(), meta.gid());
    (owner, meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()).hash(mark);
    (meta.ctime(), meta.ctime_nsec()).hash(mark);
    if meta.is_dir() && depth < ETC_DEPTH_MAX {
        let mut entries: Vec<_> = read_dir(path)?.into_iter().map(|e| e.path()).collect();
        entries.sort();
        for entry in entries {
            mark_tree(&entry, depth + 1, left, mark)?;
        }
    }
    Ok(())
}

/// Configuration of a language's runtime, whose name has its version in it.
fn is_runtime(name: &str) -> bool {
    name.starts_with("java-") && name.ends_with("-openjdk") || name.starts_with("python3.")
}

fn populate_etc(host: &Path, etc: &Path) -> Result<()> {
    let mut left = ETC_ENTRIES_MAX;
    for name in ETC_ALLOWED {
        let mut parent = etc.to_path_buf();
        if let Some(below) = Path::new(name).parent() {
            for part in below.components() {
                parent.push(part);
                make_dir(&parent, 0o755)?;
            }
        }
        copy_tree(&host.join(name), &etc.join(name), 0, &mut left)?;
    }
    for entry in read_dir(host)? {
        let name = entry.file_name();
        if is_runtime(&name.to_string_lossy()) {
            copy_tree(&host.join(&name), &etc.join(&name), 0, &mut left)?;
        }
    }
    // Old systems keep password hashes in passwd itself; and PAM refuses accounts that shadow does
    // not know, so each gets an entry that no password opens.
    let passwd = fs::read_to_string(host.join("passwd"))
        .doing(|| format!("reading {}", host.join("passwd").display()))?;
    let (passwd, shadow) = locked_accounts(&passwd);
    write_file(&etc.join("passwd"), &passwd, 0o644)?;
    write_file(&etc.join("shadow"), &shadow, 0o600)?;
    write_file(&etc.join("fstab"), "", 0o644)
}

/// A machine of its own, not the host: machine-id(5), 32 hexadecimal digits.
fn machine_id() -> Result<String> {
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random)
        .map_err(|e| AgentError::Invalid(format!("no random numbers for a machine id: {e}")))?;
    let mut text = String::new();
    for byte in random {
        text.push_str(&format!("{byte:02x}"));
    }
    text.push('\n');
    Ok(text)
}

fn locked_accounts(passwd: &str) -> (String, String) {
    let (mut clean, mut shadow) = (String::new(), String::new());
    for line in passwd.lines() {
        let mut fields: Vec<&str> = line.split(':').collect();
        if fields.len() < 7 || fields[0].is_empty() {
            continue;
        }
        fields[1] = "x";
        clean.push_str(&fields.join(":"));
        clean.push('\n');
        shadow.push_str(&format!("{}:*:19000:0:99999:7:::\n", fields[0]));
    }
    (clean, shadow)
}

/// Copies links as they are, directories, and files that everybody on the host may read. A file
/// that is closed to others is a secret by that alone and is left out, and so is one that says what
/// is one.
fn copy_tree(from: &Path, to: &Path, depth: usize, left: &mut usize) -> Result<()> {
    let meta = match fs::symlink_metadata(from) {
        Ok(meta) => meta,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e).doing(|| format!("looking at {}", from.display())),
    };
    *left = left.checked_sub(1).ok_or_else(|| {
        AgentError::Invalid(format!(
            "the host's /etc has more than {ETC_ENTRIES_MAX} entries to copy; the last was {}",
            from.display()
        ))
    })?;
    if meta.is_symlink() {
        let target = fs::read_link(from).doing(|| format!("reading {}", from.display()))?;
        return make_link(to, &target);
    }
    if meta.is_dir() {
        if depth >= ETC_DEPTH_MAX {
            return Ok(());
        }
        make_dir(to, meta.permissions().mode() & 0o7777)?;
        for entry in read_dir(from)? {
            copy_tree(&entry.path(), &to.join(entry.file_name()), depth + 1, left)?;
        }
        return Ok(());
    }
    if !meta.is_file() || meta.mode() & 0o004 == 0 || meta.len() > ETC_FILE_MAX_BYTES {
        return Ok(());
    }
    if holds_secret(&fs::read(from).doing(|| format!("reading {}", from.display()))?) {
        return Ok(());
    }
    fs::copy(from, to).doing(|| format!("copying {} to {}", from.display(), to.display()))?;
    lchown(to, Some(meta.uid()), Some(meta.gid())).doing(|| format!("owning {}", to.display()))
}

fn refuse_unless_blank(mountpoint: &Path) -> Result<()> {
    for entry in read_dir(mountpoint)? {
        if entry.file_name() != "lost+found" {
            return Err(AgentError::Invalid(format!(
                "the root volume at {} is not blank (it holds {:?}) and was not prepared by \
                 Holdfast; it is left as it is. Use a new volume",
                mountpoint.display(),
                entry.file_name()
            )));
        }
    }
    Ok(())
}

fn read_dir(path: &Path) -> Result<Vec<fs::DirEntry>> {
    let doing = || format!("listing {}", path.display());
    fs::read_dir(path).doing(doing)?.map(|entry| entry.doing(doing)).collect()
}

fn exists(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e).doing(|| format!("looking at {}", path.display())),
    }
}

/// A directory, not a link to one: a volume must not lead a host process somewhere else.
fn is_plain_dir(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(meta) => Ok(meta.is_dir()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e).doing(|| format!("looking at {}", path.display())),
    }
}

fn make_dir(path: &Path, mode: u32) -> Result<()> {
    match fs::create_dir(path) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && is_plain_dir(path)? => {}
        Err(e) => return Err(e).doing(|| format!("making {}", path.display())),
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .doing(|| format!("setting the mode of {}", path.display()))
}

fn make_link(path: &Path, target: &Path) -> Result<()> {
    match symlink(target, path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result.doing(|| format!("linking {}", path.display())),
    }
}

fn write_file(path: &Path, text: &str, mode: u32) -> Result<()> {
    fs::write(path, text).doing(|| format!("writing {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .doing(|| format!("setting the mode of {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_hosts_etc_nothing_is_copied_that_a_node_should_not_know() {
        let (host, etc) = (holdfast_scratch::Scratch::new(), holdfast_scratch::Scratch::new());
        let write = |name: &str, text: &str, mode: u32| {
            let path = host.path().join(name);
            fs::create_dir_all(path.parent().expect("it has one")).expect("can be made");
            write_file(&path, text, mode).expect("can be written");
        };
        write("passwd", "root:x:0:0:root:/root:/bin/sh\n", 0o644);
        let secrets = [
            ("environment", "http_proxy=http://u:p@proxy\n"),
            ("profile.d/proxy.sh", "export https_proxy=http://u:p@proxy\n"),
            ("pam.d/database", "auth required pam_mysql.so passwd=hunter2\n"),
            ("skel/.netrc", "machine a login b password c\n"),
            ("ssl/certs/both.pem", "-----BEGIN PRIVATE KEY-----\n"),
            ("ssl/private/key.pem", "-----BEGIN PRIVATE KEY-----\n"),
            ("redis/redis.conf", "requirepass hunter2\n"),
            ("mysql/debian.cnf", "password = hunter2\n"),
            ("apt/auth.conf", "machine a login b password c\n"),
            ("odbc.ini", "Password=hunter2\n"),
            ("ldap/ldap.conf", "bindpw hunter2\n"),
        ];
        for (name, text) in secrets {
            write(name, text, 0o644);
        }
        write("pam.d/closed", "plain", 0o600);
        let kept = ["profile.d/locale.sh", "skel/.bashrc", "ssl/certs/ca.pem", "nsswitch.conf"];
        for name in kept {
            write(name, "plain\n", 0o644);
        }
        populate_etc(host.path(), etc.path()).expect("can be populated");
        for name in secrets.iter().map(|(name, _)| *name).chain(["pam.d/closed"]) {
            assert!(!etc.path().join(name).exists(), "{name}");
        }
        for name in kept {
            assert!(etc.path().join(name).exists(), "{name}");
        }
    }

    #[test]
    fn hashes_in_passwd_are_taken_out_and_every_account_is_locked() {
        let (passwd, shadow) = locked_accounts("root:$6$secret:0:0:root:/root:/bin/bash\nbad\n");
        assert_eq!(passwd, "root:x:0:0:root:/root:/bin/bash\n");
        assert_eq!(shadow, "root:*:19000:0:99999:7:::\n");
    }
}
