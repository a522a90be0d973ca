//! What the network of a data directory holds, and taking all of it down.

use super::error::NetworkError;
use super::fabric::{BRIDGE, CARRIER, is_retired, within};
use super::namespace::{self, Pins};
use std::path::Path;

/// What exists of a data directory's network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkInventory {
    /// Whether the fabric's namespace is pinned.
    pub fabric: bool,
    /// Nodes whose namespace is pinned, sorted.
    pub nodes: Vec<String>,
    /// Links in the fabric beside its loopback and its bridge, sorted: one for each node that is
    /// plugged in.
    pub links: Vec<String>,
    /// Links of nodes that were unplugged: down, off the bridge's tables, and about to be deleted.
    /// Sorted.
    pub retired: Vec<String>,
    /// Files without a namespace, sorted: a crash, or the host's restart, left them. They are
    /// harmless, and replaced when the node is plugged in again.
    pub leftovers: Vec<String>,
}

impl NetworkInventory {
    /// Whether nothing exists.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == NetworkInventory::default()
    }
}

/// Looks, and changes nothing. Works without the server, and where there is nothing.
///
/// # Errors
/// What the system said.
pub fn inventory(dir: &Path) -> Result<NetworkInventory, NetworkError> {
    let pins = Pins::of(dir)?;
    let mut found = NetworkInventory::default();
    for name in pins.names()? {
        let path = pins.path_of(&name);
        match namespace::is_pinned(&path)? {
            true if path == pins.fabric() => found.fabric = true,
            true => found.nodes.push(name),
            false => found.leftovers.push(name),
        }
    }
    if found.fabric {
        found.links = within(&pins, "links", async |session| session.links().await)?;
        let own = [BRIDGE, CARRIER.0, CARRIER.1];
        found.links.retain(|link| !own.contains(&link.as_str()));
        found.retired = found.links.extract_if(.., |link| is_retired(link)).collect();
    }
    Ok(found)
}

/// Takes down every node's network and the fabric; nothing there is success. Processes that are
/// still inside keep an empty namespace until they end.
///
/// # Errors
/// What the system said. The rest was taken down nevertheless, as far as it went; call it again.
pub fn teardown(dir: &Path) -> Result<(), NetworkError> {
    let pins = Pins::of(dir)?;
    // Links first: a process that is still in the fabric's namespace would keep them.
    if namespace::is_pinned(&pins.fabric())? {
        within(&pins, "links", async |session| {
            for link in session.links().await? {
                session.delete(&link).await?;
            }
            Ok(())
        })?;
    }
    for name in pins.names()? {
        namespace::unpin(&pins.path_of(&name))?;
    }
    pins.remove()
}
