//! Where a text stands that is to be edited: in a file, in a function, exactly once.

use proc_macro2::Span;
use std::ops::Range;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// Why a text is not found. Each says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// The file is no Rust.
    #[error("the file cannot be parsed ({0}): mend it first")]
    Unreadable(String),
    /// Nothing has that name.
    #[error("the file has no function, constant or type `{0}`: write where the old text is now")]
    NoFunction(String),
    /// The old text is not there.
    #[error("the old text does not stand in `{0}`: write what stands there now")]
    Gone(String),
    /// The old text is there more than once.
    #[error("the old text stands {1} times in `{0}`: write more of it, so that it is one")]
    Ambiguous(String, usize),
    /// The new text is the old one.
    #[error("the new text is the old text: it must change something")]
    Nothing,
}

/// The byte range of `old` in `source`: it stands exactly once in what is called `function`.
///
/// # Errors
/// [`AnchorError`] if it does not.
pub fn find(source: &str, function: &str, old: &str) -> Result<Range<usize>, AnchorError> {
    let items = items(source, function)?;
    if items.is_empty() {
        return Err(AnchorError::NoFunction(function.to_owned()));
    }
    let mut found: Vec<usize> = items
        .iter()
        .filter_map(|item| source.get(item.clone()).map(|text| (item.start, text)))
        .flat_map(|(start, text)| text.match_indices(old).map(move |(at, _)| start + at))
        .collect();
    // A function within a function of the same name is looked through twice.
    found.sort_unstable();
    found.dedup();
    match found.as_slice() {
        [] => Err(AnchorError::Gone(function.to_owned())),
        [at] => Ok(*at..at + old.len()),
        more => Err(AnchorError::Ambiguous(function.to_owned(), more.len())),
    }
}

/// The source with `new` in place of `old`.
///
/// # Errors
/// [`AnchorError`] if the old text does not stand there exactly once, or nothing would change.
pub fn replace(source: &str, function: &str, old: &str, new: &str) -> Result<String, AnchorError> {
    if old == new {
        return Err(AnchorError::Nothing);
    }
    let at = find(source, function, old)?;
    let mut edited = source.to_owned();
    edited.replace_range(at, new);
    Ok(edited)
}

/// The byte ranges of all that has this name: `name`, or `Type::name` for what an impl holds.
fn items(source: &str, name: &str) -> Result<Vec<Range<usize>>, AnchorError> {
    let file = syn::parse_file(source).map_err(|e| AnchorError::Unreadable(e.to_string()))?;
    let (of, name) = match name.rsplit_once("::") {
        Some((of, name)) => (Some(of), name),
        None => (None, name),
    };
    let mut search = Search { of, name, within: Vec::new(), found: Vec::new() };
    search.visit_file(&file);
    Ok(search.found)
}

struct Search<'a> {
    of: Option<&'a str>,
    name: &'a str,
    /// The types and traits around, the innermost last.
    within: Vec<String>,
    found: Vec<Range<usize>>,
}

impl Search<'_> {
    fn meet(&mut self, ident: &syn::Ident, span: Span) {
        let here = self.of.is_none_or(|of| self.within.last().is_some_and(|w| w == of));
        if ident == self.name && here {
            self.found.push(span.byte_range());
        }
    }
}

impl<'ast> Visit<'ast> for Search<'_> {
    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let name = match item.self_ty.as_ref() {
            syn::Type::Path(path) => path.path.segments.last().map(|s| s.ident.to_string()),
            _ => None,
        };
        self.within.push(name.unwrap_or_default());
        visit::visit_item_impl(self, item);
        self.within.pop();
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.meet(&item.ident, item.span());
        self.within.push(item.ident.to_string());
        visit::visit_item_trait(self, item);
        self.within.pop();
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.meet(&item.sig.ident, item.span());
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.meet(&item.sig.ident, item.span());
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.meet(&item.sig.ident, item.span());
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.meet(&item.ident, item.span());
        visit::visit_item_const(self, item);
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.meet(&item.ident, item.span());
        visit::visit_impl_item_const(self, item);
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.meet(&item.ident, item.span());
        visit::visit_item_static(self, item);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.meet(&item.ident, item.span());
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.meet(&item.ident, item.span());
        visit::visit_item_enum(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.meet(&item.ident, item.span());
        visit::visit_item_type(self, item);
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        if let Some(ident) = &item.ident {
            self.meet(ident, item.span());
        }
        visit::visit_item_macro(self, item);
    }
}
