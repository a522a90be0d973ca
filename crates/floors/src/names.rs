//! Which file of a crate names which.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};

/// A crate cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file or directory cannot be read.
    #[error("{0} cannot be read: {1}")]
    Io(PathBuf, io::Error),
    /// A file is no Rust.
    #[error("{0} is no Rust: {1}")]
    Syntax(PathBuf, syn::Error),
    /// There is no root.
    #[error("{0} has neither a lib.rs nor a main.rs")]
    NoRoot(PathBuf),
}

/// The files of a crate by the path of their module (`steps::launch`; the root's is empty), and what
/// each names of the others.
#[derive(Debug, Default)]
pub struct Tree {
    /// What each module's file names.
    pub names: BTreeMap<String, BTreeSet<String>>,
}

impl Tree {
    /// Reads all files below a source directory.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(source: &Path) -> Result<Tree, ReadError> {
        let mut files = BTreeMap::new();
        find(source, &[], &mut files)?;
        if !files.contains_key("") {
            return Err(ReadError::NoRoot(source.to_owned()));
        }
        let modules: BTreeSet<String> = files.keys().cloned().collect();
        let mut names = BTreeMap::new();
        for (module, path) in files {
            let text = fs::read_to_string(&path).map_err(|e| ReadError::Io(path.clone(), e))?;
            let file = syn::parse_file(&text).map_err(|e| ReadError::Syntax(path, e))?;
            let within = module.split("::").filter(|part| !part.is_empty()).map(str::to_owned);
            let mut reader =
                Reader { within: within.collect(), modules: &modules, named: BTreeSet::new() };
            reader.visit_file(&file);
            let mut named = reader.named;
            named.remove(&module);
            names.insert(module, named);
        }
        Ok(Tree { names })
    }
}

fn find(
    directory: &Path,
    module: &[String],
    files: &mut BTreeMap<String, PathBuf>,
) -> Result<(), ReadError> {
    let error = |e| ReadError::Io(directory.to_owned(), e);
    for entry in fs::read_dir(directory).map_err(error)? {
        let path = entry.map_err(error)?.path();
        let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        let mut inside = module.to_vec();
        if path.is_dir() {
            inside.push(stem.to_owned());
            find(&path, &inside, files)?;
        } else if path.extension().is_some_and(|end| end == "rs") {
            let is_root = module.is_empty() && matches!(stem, "lib" | "main");
            if stem != "mod" && !is_root {
                inside.push(stem.to_owned());
            }
            // A crate that has both roots is read as one: the binary stands above the library.
            files.entry(inside.join("::")).or_insert(path);
        }
    }
    Ok(())
}

struct Reader<'a> {
    /// The module that is being read: the file's, or one that is written out in it.
    within: Vec<String>,
    modules: &'a BTreeSet<String>,
    named: BTreeSet<String>,
}

impl Reader<'_> {
    /// Notes which file a path from the crate's root leads to: that of its longest beginning that is
    /// a module.
    fn note(&mut self, path: &[String]) {
        let longest = (0..=path.len())
            .rev()
            .map(|length| path[..length].join("::"))
            .find(|beginning| self.modules.contains(beginning));
        self.named.extend(longest);
    }

    /// A path as it is written, from the crate's root; nothing if it does not lead into the crate.
    fn resolve(&self, written: &[String]) -> Option<Vec<String>> {
        let own = || self.within.iter().cloned();
        let mut from: Vec<String> = match written.first()?.as_str() {
            "crate" => Vec::new(),
            "self" | "super" => own().collect(),
            first => {
                // A child by its name alone.
                let child: Vec<String> = own().chain([first.to_owned()]).collect();
                if !self.modules.contains(&child.join("::")) {
                    return None;
                }
                return Some(own().chain(written.iter().cloned()).collect());
            }
        };
        for part in written {
            match part.as_str() {
                "crate" | "self" => {}
                "super" => {
                    from.pop();
                }
                _ => from.push(part.clone()),
            }
        }
        Some(from)
    }

    fn read_use(&mut self, tree: &syn::UseTree, before: &[String]) {
        match tree {
            syn::UseTree::Path(path) => {
                let mut so_far = before.to_vec();
                so_far.push(path.ident.to_string());
                self.read_use(&path.tree, &so_far);
            }
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.read_use(item, before));
            }
            syn::UseTree::Name(name) => self.read_end(before, Some(&name.ident)),
            syn::UseTree::Rename(name) => self.read_end(before, Some(&name.ident)),
            syn::UseTree::Glob(_) => self.read_end(before, None),
        }
    }

    fn read_end(&mut self, before: &[String], last: Option<&syn::Ident>) {
        let mut path = before.to_vec();
        path.extend(last.map(ToString::to_string));
        if let Some(path) = self.resolve(&path) {
            self.note(&path);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.within.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.within.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.read_use(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let written: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        // A name alone is in scope by a `use`, which is read already, or is the file's own.
        if written.len() > 1
            && let Some(path) = self.resolve(&written)
        {
            self.note(&path);
        }
        visit::visit_path(self, path);
    }
}
