//! The seed of whatever a test draws by chance: the same source draws the same, another source
//! something else.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// The variable that says another seed.
pub const SEED_VARIABLE: &str = "HOLDFAST_SEED";
/// How deep the source is looked through.
const DEPTH_MAX: usize = 16;

/// The seed for `what`, below 2^32: `HOLDFAST_SEED`, or else the hash of the source of all crates.
/// It is printed past the test's own capture, so that it is seen when all is well.
///
/// # Panics
/// If `HOLDFAST_SEED` is no number, or the source cannot be read.
#[must_use]
pub fn seed(what: &str) -> u64 {
    let said = std::env::var(SEED_VARIABLE).ok();
    let seed = said.map_or_else(
        || {
            let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
            let hash = hash_of(&crates).unwrap_or_else(|e| panic!("the source: {e}"));
            hash >> 32
        },
        |said| said.parse().unwrap_or_else(|_| panic!("{SEED_VARIABLE}={said} is no number")),
    );
    let _ = writeln!(io::stderr(), "{what}: seed {seed}");
    seed
}

/// The hash of all Rust files below a directory, with their names: the same files have the same
/// hash wherever they are.
///
/// # Errors
/// If one cannot be read.
pub fn hash_of(dir: &Path) -> io::Result<u64> {
    // FNV-1a: nobody forges a tree here.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut take = |bytes: &[u8]| {
        for byte in bytes.iter().chain(&[0]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    let mut files = Vec::new();
    let mut left = vec![(dir.to_owned(), 0)];
    while let Some((below, depth)) = left.pop() {
        for entry in fs::read_dir(&below)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_dir() && depth < DEPTH_MAX {
                left.push((path, depth + 1));
            } else if kind.is_file() && path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    for path in files {
        let name = path.strip_prefix(dir).unwrap_or(&path);
        take(name.as_os_str().as_encoded_bytes());
        take(&fs::read(&path)?);
    }
    Ok(hash)
}
