//! The fabric: the VPC's bridge, and nodes plugged into it.

use super::address::MacAddress;
use super::address::VpcLayout;
use super::address::digest;
use super::error::NetworkError;
use super::namespace::{self, Pins, on_own_thread};
use super::netlink::{self, LOOPBACK, Session, SourceRoute, set_sysctl};
use std::collections::BTreeSet;
use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::thread;

/// Where an instance asks about itself. Source: EC2 user guide, "Instance metadata".
pub const METADATA_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// The bridge in the fabric.
pub(super) const BRIDGE: &str = "hf0";
/// What the fabric's ends of the nodes' links begin with.
const LINK_PREFIX: &str = "hf-";
/// What a link begins with once its node is unplugged. Never what [`link_name`] gives.
const RETIRED_PREFIX: &str = "hfx-";
/// A link from the bridge back into the fabric, always up. Without it the bridge loses its carrier
/// with its last node, and the kernel, which looks at links that came back once a second, lets
/// nothing through it for up to that long.
pub(super) const CARRIER: (&str, &str) = ("hfk0", "hfk1");
/// The node's end of its primary link.
const NODE_LINK: &str = "eth0";
/// The highest device index of a node's interface: links with higher ones are never looked for.
pub const MAX_DEVICE_INDEX: u32 = holdfast_model::spec::MAX_DEVICE_INDEX;
/// The routing table of a further interface is this and its device index.
const SOURCE_TABLES: u32 = 100;
/// The longest prefix that leaves room for a node beside the gateway.
const MAX_PREFIX: u8 = 30;

/// What identifies a node on its network. It stays the same for as long as the node lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interface {
    /// Its MAC address.
    pub mac: MacAddress,
    /// Its private IPv4 address.
    pub private_ip: Ipv4Addr,
    /// The length of its subnet's prefix, in bits.
    pub prefix: u8,
    /// Its subnet's gateway.
    pub gateway: Ipv4Addr,
}

impl Interface {
    fn check(&self, name: &str) -> Result<(), NetworkError> {
        let bad = |why: String| Err(NetworkError::BadInterface { name: name.to_owned(), why });
        let Interface { mac, private_ip, prefix, gateway } = self;
        if !mac.is_unicast() {
            return bad(format!("{mac} is not a unicast MAC address; one looks like 02:4e:11:…"));
        }
        if !(1..=MAX_PREFIX).contains(prefix) {
            return bad(format!("the prefix /{prefix} must be /1 to /{MAX_PREFIX}"));
        }
        let mask = u32::MAX << (32 - u32::from(*prefix));
        if private_ip == gateway || (u32::from(*private_ip) ^ u32::from(*gateway)) & mask != 0 {
            return bad(format!(
                "{private_ip}/{prefix} and its gateway {gateway} must be two addresses of one \
                 subnet"
            ));
        }
        Ok(())
    }
}

/// A node's network namespace, pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeNamespace {
    path: PathBuf,
}

impl NodeNamespace {
    /// The file to open and to `setns` to.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The network of one data directory. It lives in the kernel: dropping this changes nothing.
///
/// Calls about different nodes may run at once; the caller makes sure that there are never two at
/// once about one node. All of them block, for milliseconds.
#[derive(Debug, Clone)]
pub struct Fabric {
    pins: Pins,
    layout: VpcLayout,
}

impl Fabric {
    /// Makes the fabric of a data directory, or adopts the one that is there with its nodes.
    ///
    /// Open the storage pool of the same directory first: it gives the directory a mount of its
    /// own, which would cover pins that are older than it.
    ///
    /// # Errors
    /// [`NetworkError::OtherRange`] if the fabric there has another range; otherwise what the
    /// system said. What was done until then is found and completed by the next call.
    pub fn open(dir: &Path, layout: &VpcLayout) -> Result<Fabric, NetworkError> {
        let pins = Pins::of(dir)?;
        pins.prepare()?;
        let path = pins.fabric();
        let adopted =
            if namespace::is_pinned(&path)? { Some(namespace::open(&path)?) } else { None };
        on_own_thread(|| {
            match &adopted {
                Some(fabric) => namespace::enter(fabric, &path)?,
                None => namespace::enter_new()?,
            }
            netlink::run("the fabric's bridge", async || complete(layout, &path).await)?;
            // Last: a namespace that is pinned as the fabric is a whole one.
            if adopted.is_none() { namespace::pin_own(&path) } else { Ok(()) }
        })?;
        let fabric = Fabric { pins, layout: layout.clone() };
        if adopted.is_some() {
            fabric.sweep()?;
        }
        Ok(fabric)
    }

    /// The addresses that it was opened with.
    #[must_use]
    pub fn layout(&self) -> &VpcLayout {
        &self.layout
    }

    /// Gives a node its network: a namespace of its own, pinned, in which `eth0` has exactly this
    /// MAC address and this IP and reaches the VPC, and `lo` has the metadata address. What was
    /// plugged in under the same name is replaced; neighbours notice nothing but the gap.
    ///
    /// # Errors
    /// [`NetworkError::BadName`], [`NetworkError::BadInterface`], [`NetworkError::NoFabric`], or
    /// what the system said; then nothing is left of the new namespace.
    pub fn plug(&self, name: &str, interface: &Interface) -> Result<NodeNamespace, NetworkError> {
        let path = self.pins.node(name)?;
        interface.check(name)?;
        self.unplug(name)?;
        let fabric = open_fabric(&self.pins)?;
        let made = on_own_thread(|| {
            namespace::enter(&fabric, &self.pins.fabric())?;
            netlink::run(name, async || make_node(name, &path, interface).await)
        });
        if let Err(error) = made {
            // The first error says what is wrong; a second one from cleaning up would hide it.
            if let Err(second) = self.unplug(name) {
                tracing::warn!(node = name, error = %second, "cleaning up after a failed plug");
            }
            return Err(error);
        }
        Ok(NodeNamespace { path })
    }

    /// Which of these nodes have their link with this device index, and have it up.
    ///
    /// # Errors
    /// [`NetworkError::NoFabric`], or what the system said.
    pub fn connected(&self, links: &[(&str, u32)]) -> Result<BTreeSet<String>, NetworkError> {
        let up = self.within("links", async |session| session.links_up().await)?;
        let is_up =
            |(name, index): &&(&str, u32)| up.binary_search(&link_name(name, *index)).is_ok();
        Ok(links.iter().filter(is_up).map(|(name, _)| (*name).to_owned()).collect())
    }

    /// Cuts the node off at once, as when its host loses power: what is inside stays, but no packet
    /// leaves or arrives. `false` if it was not plugged in.
    ///
    /// # Errors
    /// [`NetworkError::BadName`], [`NetworkError::NoFabric`], or what the system said.
    pub fn link_down(&self, name: &str) -> Result<bool, NetworkError> {
        self.pins.node(name)?;
        self.within(name, async |session| {
            let mut found = false;
            for index in 0..=MAX_DEVICE_INDEX {
                found |= session.set_down(&link_name(name, index)).await?;
            }
            Ok(found)
        })
    }

    /// Takes a node's network away: its link, and the pin of its namespace. Not plugged in is
    /// success. Processes that are still inside keep an empty namespace until they end.
    ///
    /// When this returns, the link is cut and no longer the node's. The kernel needs some ten
    /// milliseconds more to delete it, which happens on a thread of its own; should the server be
    /// killed meanwhile, the next [`Fabric::open`] deletes it.
    ///
    /// # Errors
    /// [`NetworkError::BadName`], [`NetworkError::NoFabric`], or what the system said.
    pub fn unplug(&self, name: &str) -> Result<(), NetworkError> {
        let path = self.pins.node(name)?;
        let retired = self.within(name, async |session| {
            let mut found = false;
            for index in 0..=MAX_DEVICE_INDEX {
                found |= session.retire(&link_name(name, index), retired_name).await?;
            }
            Ok(found)
        })?;
        namespace::unpin(&path)?;
        if retired { self.sweep() } else { Ok(()) }
    }

    /// Deletes retired links without waiting for it.
    fn sweep(&self) -> Result<(), NetworkError> {
        let pins = self.pins.clone();
        let started = thread::Builder::new().name("holdfast-sweep".to_owned()).spawn(move || {
            match within(&pins, "retired links", delete_retired) {
                // The fabric was taken down meanwhile, and all links with it.
                Ok(()) | Err(NetworkError::NoFabric { .. }) => {}
                Err(error) => tracing::warn!(%error, "retired links stay until the next unplug"),
            }
        });
        match started {
            Ok(_) => Ok(()),
            // No thread to be had: then it takes its time here.
            Err(_) => within(&self.pins, "retired links", delete_retired),
        }
    }

    /// The namespace of a node that is plugged in.
    ///
    /// # Errors
    /// [`NetworkError::BadName`], [`NetworkError::NoNamespace`], or what the system said.
    pub fn namespace(&self, name: &str) -> Result<NodeNamespace, NetworkError> {
        let path = self.pins.node(name)?;
        namespace::open(&path)?;
        Ok(NodeNamespace { path })
    }

    /// Gives a node that is plugged in a further interface, `eth` with the device index: with
    /// exactly this MAC address and this IP, and what comes from that IP leaves by it. What was
    /// there under the same index is replaced.
    ///
    /// # Errors
    /// [`NetworkError::BadName`], [`NetworkError::BadInterface`], [`NetworkError::NoNamespace`],
    /// [`NetworkError::NoFabric`], or what the system said; then nothing is left of the link.
    pub fn add_interface(
        &self,
        name: &str,
        device_index: u32,
        interface: &Interface,
    ) -> Result<(), NetworkError> {
        let path = self.pins.node(name)?;
        interface.check(name)?;
        if !(1..=MAX_DEVICE_INDEX).contains(&device_index) {
            let why = format!("the device index {device_index} must be 1 to {MAX_DEVICE_INDEX}");
            return Err(NetworkError::BadInterface { name: name.to_owned(), why });
        }
        self.remove_interface(name, device_index)?;
        let node = namespace::open(&path)?;
        let fabric = open_fabric(&self.pins)?;
        let made = on_own_thread(|| {
            namespace::enter(&fabric, &self.pins.fabric())?;
            netlink::run(name, async || {
                let fabric = Session::open()?;
                let bridge = fabric.index_of_made(BRIDGE).await?;
                namespace::enter(&node, &path)?;
                add_link(&fabric, bridge, name, device_index, interface).await
            })
        });
        if made.is_err()
            && let Err(second) = self.remove_interface(name, device_index)
        {
            tracing::warn!(node = name, error = %second, "cleaning up after a failed interface");
        }
        made
    }

    /// Makes a further interface of a node that is plugged in its first: everything leaves by it and
    /// from its address, and `eth0` has none any more. Twice is once.
    ///
    /// # Errors
    /// [`NetworkError::NoNamespace`], or what the system said.
    pub fn make_first(
        &self,
        name: &str,
        device_index: u32,
        gateway: Ipv4Addr,
    ) -> Result<(), NetworkError> {
        let path = self.pins.node(name)?;
        let node = namespace::open(&path)?;
        on_own_thread(|| {
            namespace::enter(&node, &path)?;
            netlink::run(name, async || {
                let session = Session::open()?;
                let primary = session.index_of_made(NODE_LINK).await?;
                let first = session.index_of_made(&format!("eth{device_index}")).await?;
                // With its last address a link loses its routes.
                for address in session.addresses(primary).await? {
                    session.remove_address(primary, address).await?;
                }
                session.replace_default_route(gateway, first).await
            })
        })
    }

    /// Takes a further interface from a node, running or not. Not there is success. When this
    /// returns, the link is gone on both sides: another one may take its place at once.
    ///
    /// # Errors
    /// [`NetworkError::BadName`], [`NetworkError::NoFabric`], or what the system said.
    pub fn remove_interface(&self, name: &str, device_index: u32) -> Result<(), NetworkError> {
        self.pins.node(name)?;
        let link = link_name(name, device_index);
        // Cut first: deleting takes a while.
        self.within(name, async |session| {
            session.set_down(&link).await?;
            session.delete(&link).await.map(|_| ())
        })
    }

    /// Leads a public address to a node: everybody in the VPC reaches the node by it, and the node
    /// answers from it. It leads nowhere else any more.
    ///
    /// # Errors
    /// [`NetworkError::NoNamespace`], [`NetworkError::NoFabric`], or what the system said.
    pub fn lead_address(
        &self,
        name: &str,
        public_ip: Ipv4Addr,
        private_ip: Ipv4Addr,
    ) -> Result<(), NetworkError> {
        let path = self.pins.node(name)?;
        let node = namespace::open(&path)?;
        on_own_thread(|| {
            namespace::enter(&node, &path)?;
            netlink::run(name, async || Session::open()?.add_address(LOOPBACK, public_ip, 32).await)
        })?;
        self.within(name, async |session| {
            let bridge = session.index_of_made(BRIDGE).await?;
            session.lead(public_ip, private_ip, bridge).await
        })
    }

    /// Leads a public address nowhere, and takes it from the node that had it, if that is plugged
    /// in.
    ///
    /// # Errors
    /// [`NetworkError::NoFabric`], or what the system said.
    pub fn withdraw_address(
        &self,
        name: Option<&str>,
        public_ip: Ipv4Addr,
    ) -> Result<(), NetworkError> {
        let what = public_ip.to_string();
        self.within(&what, async |session| session.lead_nowhere(public_ip).await)?;
        let Some(name) = name else { return Ok(()) };
        let path = self.pins.node(name)?;
        let node = match namespace::open(&path) {
            Ok(node) => node,
            Err(NetworkError::NoNamespace { .. }) => return Ok(()),
            Err(e) => return Err(e),
        };
        on_own_thread(|| {
            namespace::enter(&node, &path)?;
            netlink::run(name, async || Session::open()?.remove_address(LOOPBACK, public_ip).await)
        })
    }

    fn within<R: Send>(
        &self,
        what: &str,
        work: impl AsyncFnOnce(&Session) -> Result<R, NetworkError> + Send,
    ) -> Result<R, NetworkError> {
        within(&self.pins, what, work)
    }
}

/// Runs a closure on a new thread in the fabric, and waits for it. Sockets that it makes reach the
/// nodes, and can be returned; the closure must give its connections a timeout of their own.
///
/// # Errors
/// [`NetworkError::NoFabric`], or what the system said.
pub fn in_fabric<R: Send>(dir: &Path, f: impl FnOnce() -> R + Send) -> Result<R, NetworkError> {
    let pins = Pins::of(dir)?;
    let fabric = open_fabric(&pins)?;
    on_own_thread(|| {
        namespace::enter(&fabric, &pins.fabric())?;
        Ok(f())
    })
}

/// The fabric's namespace.
pub(super) fn open_fabric(pins: &Pins) -> Result<File, NetworkError> {
    namespace::open(&pins.fabric()).map_err(|e| match e {
        NetworkError::NoNamespace { path } => NetworkError::NoFabric { path },
        e => e,
    })
}

/// Netlink work in the fabric.
pub(super) fn within<R: Send>(
    pins: &Pins,
    what: &str,
    work: impl AsyncFnOnce(&Session) -> Result<R, NetworkError> + Send,
) -> Result<R, NetworkError> {
    let fabric = open_fabric(pins)?;
    on_own_thread(|| {
        namespace::enter(&fabric, &pins.fabric())?;
        netlink::run(what, async || work(&Session::open()?).await)
    })
}

/// The fabric's end of a node's link: at most 15 characters (`IFNAMSIZ`), the same for the same
/// node and device index.
pub(super) fn link_name(node: &str, device_index: u32) -> String {
    let [a, b, c, d, e, f] = match device_index {
        0 => digest(node),
        // No node's name has a slash.
        index => digest(&format!("{node}/{index}")),
    };
    format!("{LINK_PREFIX}{a:02x}{b:02x}{c:02x}{d:02x}{e:02x}{f:02x}")
}

/// A retired link's name: indices are unique in a namespace.
fn retired_name(index: u32) -> String {
    format!("{RETIRED_PREFIX}{index}")
}

/// Whether a link's node was unplugged.
pub(super) fn is_retired(link: &str) -> bool {
    link.starts_with(RETIRED_PREFIX)
}

/// Deletes every retired link. Two at once are harmless: a link that is gone is success.
async fn delete_retired(session: &Session) -> Result<(), NetworkError> {
    for link in session.links().await?.iter().filter(|link| is_retired(link)) {
        session.delete(link).await?;
    }
    Ok(())
}

/// Makes what the fabric lacks; the calling thread is in it.
async fn complete(layout: &VpcLayout, path: &Path) -> Result<(), NetworkError> {
    // A new namespace inherits the host's settings, so each one that matters is set. Forwarding
    // first: it resets others.
    set_sysctl("ipv4/ip_forward", "1")?;
    // Subnets share the bridge: the router would tell nodes to talk past it, and they would not
    // accept each other's addresses.
    set_sysctl("ipv4/conf/all/send_redirects", "0")?;
    set_sysctl("ipv4/conf/default/send_redirects", "0")?;
    set_sysctl("ipv4/conf/default/rp_filter", "1")?;
    set_sysctl("ipv6/conf/default/disable_ipv6", "1")?;
    let session = Session::open()?;
    session.set_up(LOOPBACK).await?;
    let bridge = match session.index_of(BRIDGE).await? {
        Some(index) => index,
        None => {
            session.add_bridge(BRIDGE, MacAddress::for_id(BRIDGE)).await?;
            session.index_of_made(BRIDGE).await?
        }
    };
    let found = session.addresses(bridge).await?;
    let expected = |a: &Ipv4Addr| layout.zones.iter().any(|z| z.subnet.gateway() == *a);
    if let Some(found) = found.into_iter().find(|a| !expected(a)) {
        let range = layout.range.to_string();
        return Err(NetworkError::OtherRange { path: path.to_owned(), found, range });
    }
    for zone in &layout.zones {
        session.add_address(bridge, zone.subnet.gateway(), zone.subnet.prefix()).await?;
    }
    session.set_up(bridge).await?;
    let (near, far) = CARRIER;
    if session.index_of(near).await?.is_none() {
        let mac = MacAddress::for_id(far);
        session.add_veth(near, bridge, &namespace::own()?, far, mac).await?;
    }
    session.set_up(session.index_of_made(far).await?).await
}

/// Makes a node's namespace and link; the calling thread is in the fabric and ends in the node's.
async fn make_node(name: &str, path: &Path, interface: &Interface) -> Result<(), NetworkError> {
    let link = link_name(name, 0);
    let fabric = Session::open()?;
    let bridge = fabric.index_of_made(BRIDGE).await?;

    namespace::enter_new()?;
    set_sysctl("ipv4/ip_forward", "0")?;
    // Before eth0 is made, which takes these over. It announces itself when it comes up, so that
    // the bridge and the neighbours know at once where it is now; and it answers only for its own
    // address, not for the metadata service's. The VPC is IPv4; ::1 on lo stays.
    set_sysctl("ipv4/conf/default/arp_notify", "1")?;
    set_sysctl("ipv4/conf/default/arp_ignore", "1")?;
    // With two links in one subnet, each speaks only of its own address.
    set_sysctl("ipv4/conf/default/arp_announce", "2")?;
    set_sysctl("ipv6/conf/default/disable_ipv6", "1")?;
    namespace::pin_own(path)?;

    let node = Session::open()?;
    node.set_up(LOOPBACK).await?;
    node.add_address(LOOPBACK, METADATA_ADDRESS, 32).await?;
    fabric.add_veth(&link, bridge, &namespace::own()?, NODE_LINK, interface.mac).await?;
    let eth0 = node.index_of_made(NODE_LINK).await?;
    node.add_address(eth0, interface.private_ip, interface.prefix).await?;
    node.set_up(eth0).await?;
    node.add_default_route(interface.gateway).await
}

/// Makes a further link of a node; the calling thread is in the node's namespace.
async fn add_link(
    fabric: &Session,
    bridge: u32,
    name: &str,
    device_index: u32,
    interface: &Interface,
) -> Result<(), NetworkError> {
    let link = link_name(name, device_index);
    let inside = format!("eth{device_index}");
    fabric.add_veth(&link, bridge, &namespace::own()?, &inside, interface.mac).await?;
    let node = Session::open()?;
    let index = node.index_of_made(&inside).await?;
    node.add_address(index, interface.private_ip, interface.prefix).await?;
    node.set_up(index).await?;
    let mask = u32::MAX << (32 - u32::from(interface.prefix));
    let network = Ipv4Addr::from(u32::from(interface.private_ip) & mask);
    node.add_source_route(&SourceRoute {
        index,
        address: interface.private_ip,
        subnet: (network, interface.prefix),
        gateway: interface.gateway,
        table: SOURCE_TABLES + device_index,
    })
    .await
}
