//! What is copied often and changed seldom: a copy shares it, and a change makes it one's own.
//!
//! A plan works on a copy of its record, a sweep copies what it shows. Most of both is long and
//! stays as it is (the spec, the history, whole requests, tags), so it is behind these.

use crate::{FieldError, Spec};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, OnceLock};

/// A value that its copies share until one of them is changed. It looks like the value itself, on
/// the wire too.
pub struct Shared<T>(Arc<T>);

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Shared<T> {
        Shared(Arc::clone(&self.0))
    }
}

impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Shared<T>) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl<T: Eq> Eq for Shared<T> {}

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Shared<T> {
        Shared(Arc::new(value))
    }
}

impl<T: Default> Default for Shared<T> {
    fn default() -> Shared<T> {
        T::default().into()
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Serialize> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Shared<T>, D::Error> {
        T::deserialize(deserializer).map(Shared::from)
    }
}

impl<'a, T> IntoIterator for &'a Shared<T>
where
    &'a T: IntoIterator,
{
    type Item = <&'a T as IntoIterator>::Item;
    type IntoIter = <&'a T as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        (&*self.0).into_iter()
    }
}

impl<T: Clone + IntoIterator> IntoIterator for Shared<T> {
    type Item = T::Item;
    type IntoIter = T::IntoIter;

    fn into_iter(self) -> T::IntoIter {
        Arc::unwrap_or_clone(self.0).into_iter()
    }
}

impl<K: Ord, V> Shared<BTreeMap<K, V>> {
    /// An empty map.
    #[must_use]
    pub fn new() -> Shared<BTreeMap<K, V>> {
        BTreeMap::new().into()
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Shared<BTreeMap<K, V>> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Shared<BTreeMap<K, V>> {
        BTreeMap::from_iter(pairs).into()
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for Shared<BTreeMap<K, V>> {
    fn from(pairs: [(K, V); N]) -> Shared<BTreeMap<K, V>> {
        BTreeMap::from(pairs).into()
    }
}

/// A node's spec as it was received, and what it says: read once, however often it is asked for.
#[derive(Default)]
pub struct Document(Arc<Inner>);

#[derive(Default)]
struct Inner {
    value: Value,
    spec: OnceLock<Result<Arc<Spec>, Vec<FieldError>>>,
}

impl Clone for Inner {
    fn clone(&self) -> Inner {
        Inner { value: self.value.clone(), spec: self.spec.clone() }
    }
}

impl Document {
    /// What it says.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn spec(&self) -> Result<Arc<Spec>, Vec<FieldError>> {
        self.0.spec.get_or_init(|| Spec::read(&self.0.value).map(Arc::new)).clone()
    }
}

impl Deref for Document {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0.value
    }
}

impl DerefMut for Document {
    fn deref_mut(&mut self) -> &mut Value {
        let inner = Arc::make_mut(&mut self.0);
        // It may say something else afterwards.
        inner.spec = OnceLock::new();
        &mut inner.value
    }
}

impl Clone for Document {
    fn clone(&self) -> Document {
        Document(Arc::clone(&self.0))
    }
}

impl PartialEq for Document {
    fn eq(&self, other: &Document) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.value == other.0.value
    }
}

impl From<Value> for Document {
    fn from(value: Value) -> Document {
        Document(Arc::new(Inner { value, spec: OnceLock::new() }))
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.value.fmt(f)
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.value.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Document, D::Error> {
        Value::deserialize(deserializer).map(Document::from)
    }
}
