//! Paths in a node's tree, walked without following a link.
//!
//! Root in a node may put a link anywhere, and exchange a directory for one at any moment. Whoever
//! acts there for the host therefore holds a directory open and goes from it to the next: what was
//! looked at is what is changed, and no link leads anywhere.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::sys::stat::{Mode, fchmod, mkdirat};

use crate::error::{AgentError, Doing, Result};
use crate::sys::{self, OnMount};

/// A directory of the calling process's tree, held open.
pub(crate) struct Directory {
    fd: OwnedFd,
    /// Where it was found: for errors only.
    path: PathBuf,
}

impl Directory {
    /// The root of the calling process.
    pub fn root() -> Result<Self> {
        let path = PathBuf::from("/");
        let fd = nix::fcntl::open(
            &path,
            nix::fcntl::OFlag::O_PATH
                | nix::fcntl::OFlag::O_DIRECTORY
                | nix::fcntl::OFlag::O_CLOEXEC,
            Mode::empty(),
        )
        .doing(|| "opening the node's root".into())?;
        Ok(Self { fd, path })
    }

    /// The directory at an absolute or relative `path`, counted from this one.
    pub fn open(&self, path: &Path) -> Result<Self> {
        self.plain_parts(path)?.into_iter().try_fold(self.again()?, |at, part| {
            let path = at.path.join(part);
            let fd = at.step(part).map_err(|e| in_the_way(e, "opening", &path))?;
            Ok(Self { fd, path })
        })
    }

    /// As [`Directory::open`]; what is missing is made with `mode`, whatever the umask is.
    pub fn make(&self, path: &Path, mode: u32) -> Result<Self> {
        self.plain_parts(path)?.into_iter().try_fold(self.again()?, |at, part| {
            let path = at.path.join(part);
            let making = |e| in_the_way(e, "making", &path);
            let wanted = Mode::from_bits_truncate(mode);
            let made = match mkdirat(&at.fd, part, wanted) {
                Ok(()) => true,
                Err(Errno::EEXIST) => false,
                Err(e) => return Err(making(e.into())),
            };
            if made {
                let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
                let new = sys::open_beneath(at.fd.as_fd(), part, flags, 0).map_err(making)?;
                fchmod(&new, wanted).map_err(|e| making(e.into()))?;
            }
            let fd = at.step(part).map_err(making)?;
            Ok(Self { fd, path })
        })
    }

    /// What the directory itself is on.
    pub fn on_mount(&self) -> Result<OnMount> {
        self.entry_on_mount(Path::new(""))
    }

    /// What an entry of it is on.
    pub fn entry_on_mount(&self, name: &Path) -> Result<OnMount> {
        sys::on_mount(self.fd.as_fd(), name)
            .doing(|| format!("looking at {}", self.path.join(name).display()))
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> Result<bool> {
        let doing = || format!("listing {}", self.path.display());
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        let listed = sys::open_beneath(self.fd.as_fd(), Path::new("."), flags, 0).doing(doing)?;
        let mut entries = nix::dir::Dir::from_fd(listed).doing(doing)?;
        let is_entry = |name: &std::ffi::CStr| name != c"." && name != c"..";
        for entry in entries.iter() {
            if is_entry(entry.doing(doing)?.file_name()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes it the working directory.
    pub fn enter(&self) -> Result<()> {
        nix::unistd::fchdir(&self.fd).doing(|| format!("entering {}", self.path.display()))
    }

    /// Writes `text` to the file `name`, made with mode 0644 if it is not there. Asks `replace`
    /// first, with the beginning of what there is, at most `look_at` bytes. What is no plain file
    /// is left as it is; what is behind it is the node's own business.
    pub fn write_file(
        &self,
        name: &str,
        text: &str,
        look_at: usize,
        replace: impl FnOnce(&[u8]) -> bool,
    ) -> Result<()> {
        let path = self.path.join(name);
        let doing = || format!("writing {} in the node", path.display());
        // Non-blocking: what is there may be a pipe that nobody reads.
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let opened = sys::open_beneath(self.fd.as_fd(), Path::new(name), flags, 0o644);
        let mut file = match opened {
            Ok(fd) => std::fs::File::from(fd),
            Err(e) if is_no_plain_file(&e) => return Ok(()),
            Err(e) => return Err(e).doing(doing),
        };
        if !file.metadata().doing(doing)?.is_file() {
            return Ok(());
        }
        let mut beginning = Vec::new();
        (&mut file).take(look_at as u64).read_to_end(&mut beginning).doing(doing)?;
        if !replace(&beginning) {
            return Ok(());
        }
        file.set_len(0).doing(doing)?;
        file.seek(SeekFrom::Start(0)).doing(doing)?;
        file.write_all(text.as_bytes()).doing(doing)
    }

    fn step(&self, part: &Path) -> io::Result<OwnedFd> {
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;
        sys::open_beneath(self.fd.as_fd(), part, flags, 0)
    }

    fn again(&self) -> Result<Self> {
        let fd = self.fd.try_clone().doing(|| format!("opening {}", self.path.display()))?;
        Ok(Self { fd, path: self.path.clone() })
    }

    fn plain_parts<'a>(&self, path: &'a Path) -> Result<Vec<&'a Path>> {
        path.components()
            .filter(|part| !matches!(part, Component::RootDir | Component::CurDir))
            .map(|part| match part {
                Component::Normal(name) => Ok(Path::new(name)),
                _ => Err(AgentError::Invalid(format!(
                    "{} is no path below {}; use one without '..'",
                    path.display(),
                    self.path.display()
                ))),
            })
            .collect()
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A link, a directory, a pipe without a reader, a socket.
fn is_no_plain_file(error: &io::Error) -> bool {
    let known = [libc::ELOOP, libc::EISDIR, libc::ENXIO, libc::ENOTDIR];
    error.raw_os_error().is_some_and(|code| known.contains(&code))
}

fn in_the_way(error: io::Error, doing: &str, path: &Path) -> AgentError {
    match error.raw_os_error() {
        // With O_PATH, O_DIRECTORY and O_NOFOLLOW a link is no directory.
        Some(libc::ELOOP | libc::ENOTDIR | libc::EXDEV) => AgentError::Invalid(format!(
            "{} in the node is a link, or no directory, and is not followed; \
             put a directory there",
            path.display()
        )),
        _ => AgentError::Io {
            doing: format!("{doing} {} in the node", path.display()),
            source: error,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn in_a_directory(check: impl FnOnce(&Path, &Directory)) {
        let outer = holdfast_scratch::Scratch::new();
        let inner = outer.path().join("inner");
        fs::create_dir(&inner).expect("a directory");
        let root = Directory::root().expect("there is a root");
        let directory = root.open(&inner).expect("it was made");
        check(&inner, &directory);
    }

    #[test]
    fn missing_directories_are_made_and_those_there_are_kept() {
        in_a_directory(|inner, directory| {
            directory.make(Path::new("a/b"), 0o750).expect("can be made");
            fs::write(inner.join("a/b/file"), "1").expect("can be written");
            directory.make(Path::new("/a/b"), 0o700).expect("is there");
            assert_eq!(fs::read_to_string(inner.join("a/b/file")).expect("is kept"), "1");
        });
    }

    #[test]
    fn a_link_is_not_followed_wherever_it_stands_and_the_error_names_it() {
        in_a_directory(|inner, directory| {
            let outside = inner.with_file_name("outside");
            fs::create_dir(&outside).expect("can be made");
            symlink(&outside, inner.join("link")).expect("can be linked");
            for path in ["link", "link/below"] {
                let refused = directory.make(Path::new(path), 0o755).err().expect("refused");
                assert!(refused.to_string().contains("/link in the node is a link"), "{refused}");
                assert!(directory.open(Path::new(path)).is_err(), "{path}");
            }
            assert!(directory.open(Path::new("../outside")).is_err());
            assert_eq!(fs::read_dir(&outside).expect("can be listed").count(), 0);
        });
    }

    #[test]
    fn a_file_is_written_unless_it_is_a_link_or_a_pipe_or_somebody_elses() {
        in_a_directory(|inner, directory| {
            let write = |name: &str| directory.write_file(name, "new", 2, |old| old != b"no");
            fs::write(inner.join("victim"), "old").expect("can be written");
            fs::write(inner.join("kept"), "not mine").expect("can be written");
            symlink("victim", inner.join("link")).expect("can be linked");
            nix::unistd::mkfifo(&inner.join("pipe"), Mode::S_IRWXU).expect("can be made");
            for name in ["fresh", "kept", "link", "pipe"] {
                write(name).expect("is written or left alone");
            }
            let read = |name: &str| fs::read_to_string(inner.join(name)).expect("can be read");
            assert_eq!([read("fresh"), read("kept"), read("victim")], ["new", "not mine", "old"]);
            write("victim").expect("is a plain file");
            assert_eq!(read("victim"), "new");
        });
    }
}
