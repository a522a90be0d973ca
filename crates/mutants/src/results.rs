//! What became of each mutant, a line of JSON each: a run that was interrupted goes on where it was.

use crate::generated::Mutant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// What became of a mutant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verdict", content = "by")]
pub enum Verdict {
    /// A test failed.
    Killed(String),
    /// A test was not over in time.
    KilledByTime(String),
    /// All tests passed.
    Survived,
    /// All tests passed, and a list says why: the entry's name.
    Equivalent(String),
    /// It does not compile.
    Unviable,
}

/// A mutant and what became of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tried {
    /// The mutant.
    pub mutant: Mutant,
    /// What became of it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct Head {
    /// What was tested.
    tree: String,
}

/// The file of a run.
#[derive(Debug)]
pub struct Results {
    file: File,
    /// What was tried before.
    pub before: BTreeMap<String, Tried>,
}

impl Results {
    /// Opens the file of a run over this tree. What another tree came to is set aside.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub fn open(path: &Path, tree: &str) -> io::Result<Results> {
        let text = fs::read_to_string(path).unwrap_or_default();
        let mut lines = text.lines();
        let head = lines.next().and_then(|line| serde_json::from_str::<Head>(line).ok());
        let before: BTreeMap<String, Tried> = match &head {
            Some(head) if head.tree == tree => {
                read_lines(lines).map(|tried| (tried.mutant.name.clone(), tried)).collect()
            }
            Some(head) => {
                fs::rename(path, path.with_extension(format!("{}.jsonl", head.tree)))?;
                BTreeMap::new()
            }
            None => BTreeMap::new(),
        };
        // Anew, for the last line may be half a one.
        let mut all = serde_json::to_string(&Head { tree: tree.to_owned() })? + "\n";
        for tried in before.values() {
            all += &(serde_json::to_string(tried)? + "\n");
        }
        fs::write(path, all)?;
        let file = File::options().append(true).open(path)?;
        Ok(Results { file, before })
    }

    /// Adds what became of a mutant.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&mut self, tried: &Tried) -> io::Result<()> {
        let line = serde_json::to_string(tried)? + "\n";
        self.file.write_all(line.as_bytes())
    }
}

/// The survivors of a run, whatever the tree was.
///
/// # Errors
/// If the file cannot be read.
pub fn survivors(path: &Path) -> io::Result<Vec<Mutant>> {
    let text = fs::read_to_string(path)?;
    let survived = read_lines(text.lines()).filter(|tried| tried.verdict == Verdict::Survived);
    Ok(survived.map(|tried| tried.mutant).collect())
}

fn read_lines<'a>(lines: impl Iterator<Item = &'a str>) -> impl Iterator<Item = Tried> {
    lines.filter_map(|line| serde_json::from_str(line).ok())
}
