//! Links, addresses and routes of one network namespace, by netlink.

use super::address::MacAddress;
use super::error::NetworkError;
use futures_util::TryStreamExt;
use netlink_packet_route::address::AddressAttribute;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkMessage,
};
use netlink_packet_route::route::RouteScope;
use netlink_packet_route::rule::RuleAction;
use rtnetlink::{
    Error, Handle, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder,
};
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

/// The kernel answers in microseconds; while many namespaces are being destroyed it can take
/// some hundred milliseconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// The most links or addresses that are listed.
const MAX_LISTED: usize = 65_536;
/// The loopback's index in every namespace.
/// Source: include/net/net_namespace.h in Linux, `LOOPBACK_IFINDEX`.
pub(super) const LOOPBACK: u32 = 1;

/// Runs netlink work to its end on the calling thread, which must be one of
/// [`super::namespace::on_own_thread`]: a session belongs to the namespace in which the thread is
/// when it is opened.
pub(super) fn run<R>(
    what: &str,
    work: impl AsyncFnOnce() -> Result<R, NetworkError>,
) -> Result<R, NetworkError> {
    runtime()?.block_on(async {
        tokio::time::timeout(ANSWER_LIMIT, work()).await.unwrap_or_else(|_| {
            Err(NetworkError::NoAnswer { what: what.to_owned(), waited_s: ANSWER_LIMIT.as_secs() })
        })
    })
}

/// A runtime that stays on the calling thread, and so in its namespace.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, NetworkError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| NetworkError::Thread { cause })
}

/// A conversation with the kernel about one namespace.
pub(super) struct Session {
    handle: Handle,
}

impl Session {
    /// About the calling thread's namespace; within [`run`] only.
    pub(super) fn open() -> Result<Session, NetworkError> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(|cause| {
            NetworkError::Netlink { doing: "opening", what: "a netlink socket".to_owned(), cause }
        })?;
        tokio::spawn(connection);
        Ok(Session { handle })
    }

    /// A link's index; `None` if there is no such link.
    pub(super) async fn index_of(&self, name: &str) -> Result<Option<u32>, NetworkError> {
        let mut found = std::pin::pin!(self.handle.link().get().match_name(name).execute());
        match found.try_next().await {
            Ok(link) => Ok(link.map(|l| l.header.index)),
            Err(e) if code(&e) == Some(libc::ENODEV) => Ok(None),
            Err(e) => Err(failed("looking for", name)(e)),
        }
    }

    /// The same, for a link that was just made.
    pub(super) async fn index_of_made(&self, name: &str) -> Result<u32, NetworkError> {
        self.index_of(name).await?.ok_or_else(|| NetworkError::Netlink {
            doing: "looking for",
            what: name.to_owned(),
            cause: io::Error::from_raw_os_error(libc::ENODEV),
        })
    }

    /// The names of all links but the loopback, sorted.
    pub(super) async fn links(&self) -> Result<Vec<String>, NetworkError> {
        self.links_that(|_| true).await
    }

    /// The same, of links that are up.
    pub(super) async fn links_up(&self) -> Result<Vec<String>, NetworkError> {
        self.links_that(|link| link.header.flags.contains(LinkFlags::Up)).await
    }

    async fn links_that(
        &self,
        which: impl Fn(&LinkMessage) -> bool,
    ) -> Result<Vec<String>, NetworkError> {
        let mut found = std::pin::pin!(self.handle.link().get().execute());
        let mut names = Vec::new();
        while let Some(link) = found.try_next().await.map_err(failed("listing", "links"))? {
            if link.header.index != LOOPBACK && which(&link) && names.len() < MAX_LISTED {
                names.extend(name_of(link));
            }
        }
        names.sort();
        Ok(names)
    }

    /// A bridge, up. Its MAC address is fixed: otherwise it would be the lowest of its ports', and
    /// change under the nodes' neighbour tables as they come and go.
    pub(super) async fn add_bridge(&self, name: &str, mac: MacAddress) -> Result<(), NetworkError> {
        let message = LinkBridge::new(name).address(mac.0.to_vec()).build();
        self.handle.link().add(message).execute().await.map_err(failed("adding the bridge", name))
    }

    /// A veth pair in one step: one end here, up and on the bridge; the other in the namespace
    /// `far`, still down.
    pub(super) async fn add_veth(
        &self,
        near: &str,
        bridge: u32,
        far: &File,
        far_name: &str,
        far_mac: MacAddress,
    ) -> Result<(), NetworkError> {
        let peer = LinkMessageBuilder::<LinkUnspec>::new()
            .name(far_name)
            .address(far_mac.0.to_vec())
            .setns_by_fd(far.as_raw_fd())
            .build();
        let message = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
            .name(near)
            .controller(bridge)
            .up()
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
            .build();
        self.handle.link().add(message).execute().await.map_err(failed("adding the link", near))
    }

    pub(super) async fn set_up(&self, index: u32) -> Result<(), NetworkError> {
        let message = LinkUnspec::new_with_index(index).up().build();
        let done = self.handle.link().set(message).execute().await;
        done.map_err(failed("bringing up", &link_number(index)))
    }

    /// Cuts a link; `false` if there is none.
    pub(super) async fn set_down(&self, name: &str) -> Result<bool, NetworkError> {
        let Some(index) = self.index_of(name).await? else { return Ok(false) };
        let message = LinkUnspec::new_with_index(index).down().build();
        gone_is_false(self.handle.link().set(message).execute().await)
            .map_err(failed("cutting", name))
    }

    /// Cuts a link and gives it another name, which `new_name` makes of its index; `false` if there
    /// is none.
    pub(super) async fn retire(
        &self,
        name: &str,
        new_name: impl FnOnce(u32) -> String,
    ) -> Result<bool, NetworkError> {
        let Some(index) = self.index_of(name).await? else { return Ok(false) };
        let links = self.handle.link();
        // Two requests: older kernels rename only what is down already.
        let down = LinkUnspec::new_with_index(index).down().build();
        let renamed = LinkUnspec::new_with_index(index).name(new_name(index)).build();
        let done = match links.set(down).execute().await {
            Ok(()) => links.set(renamed).execute().await,
            failed => failed,
        };
        gone_is_false(done).map_err(failed("retiring", name))
    }

    /// Deletes a link, and with a veth also its other end; `false` if there is none.
    pub(super) async fn delete(&self, name: &str) -> Result<bool, NetworkError> {
        let Some(index) = self.index_of(name).await? else { return Ok(false) };
        gone_is_false(self.handle.link().del(index).execute().await)
            .map_err(failed("deleting", name))
    }

    /// Adds an address; there already is success.
    pub(super) async fn add_address(
        &self,
        index: u32,
        address: Ipv4Addr,
        prefix: u8,
    ) -> Result<(), NetworkError> {
        let done = self.handle.address().add(index, IpAddr::V4(address), prefix).execute().await;
        match done {
            Err(e) if code(&e) == Some(libc::EEXIST) => Ok(()),
            done => done.map_err(failed("adding the address", &format!("{address}/{prefix}"))),
        }
    }

    /// A link's IPv4 addresses.
    pub(super) async fn addresses(&self, index: u32) -> Result<Vec<Ipv4Addr>, NetworkError> {
        let request = self.handle.address().get().set_link_index_filter(index);
        let mut found = std::pin::pin!(request.execute());
        let mut addresses = Vec::new();
        let what = link_number(index);
        while let Some(message) =
            found.try_next().await.map_err(failed("listing the addresses of", &what))?
        {
            let local = message.attributes.into_iter().find_map(|a| match a {
                AddressAttribute::Local(IpAddr::V4(local)) => Some(local),
                _ => None,
            });
            if addresses.len() < MAX_LISTED {
                addresses.extend(local);
            }
        }
        Ok(addresses)
    }

    pub(super) async fn add_default_route(&self, via: Ipv4Addr) -> Result<(), NetworkError> {
        let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(via).build();
        let done = self.handle.route().add(route).execute().await;
        done.map_err(failed("adding the default route via", &via.to_string()))
    }

    /// Lets everything leave by this gateway and link, whatever it left by before.
    pub(super) async fn replace_default_route(
        &self,
        via: Ipv4Addr,
        link: u32,
    ) -> Result<(), NetworkError> {
        let route =
            RouteMessageBuilder::<Ipv4Addr>::new().gateway(via).output_interface(link).build();
        let done = self.handle.route().add(route).replace().execute().await;
        done.map_err(failed("replacing the default route by", &via.to_string()))
    }
}

/// A route of its own for what leaves by one of several links: by its source address.
pub(super) struct SourceRoute {
    /// The link.
    pub(super) index: u32,
    /// The link's address.
    pub(super) address: Ipv4Addr,
    /// Its subnet: address and length.
    pub(super) subnet: (Ipv4Addr, u8),
    /// The subnet's gateway.
    pub(super) gateway: Ipv4Addr,
    /// The table that the route stands in, and the rule's priority.
    pub(super) table: u32,
}

impl Session {
    /// Removes an address; not there is success.
    pub(super) async fn remove_address(
        &self,
        index: u32,
        address: Ipv4Addr,
    ) -> Result<(), NetworkError> {
        let what = address.to_string();
        let request = self.handle.address().get().set_link_index_filter(index);
        let mut found = std::pin::pin!(request.execute());
        let mut matching = Vec::new();
        while let Some(message) =
            found.try_next().await.map_err(failed("listing the addresses beside", &what))?
        {
            let is = message.attributes.iter().any(
                |a| matches!(a, AddressAttribute::Local(IpAddr::V4(local)) if *local == address),
            );
            if is && matching.len() < MAX_LISTED {
                matching.push(message);
            }
        }
        for message in matching {
            self.handle
                .address()
                .del(message)
                .execute()
                .await
                .map_err(failed("removing the address", &what))?;
        }
        Ok(())
    }

    /// Leads an address to a neighbour, instead of wherever it led before.
    pub(super) async fn lead(
        &self,
        address: Ipv4Addr,
        via: Ipv4Addr,
        link: u32,
    ) -> Result<(), NetworkError> {
        let route = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(address, 32)
            .gateway(via)
            .output_interface(link)
            .build();
        let done = self.handle.route().add(route).replace().execute().await;
        done.map_err(failed("leading an address to", &via.to_string()))
    }

    /// Leads an address nowhere; that it led nowhere is success.
    pub(super) async fn lead_nowhere(&self, address: Ipv4Addr) -> Result<(), NetworkError> {
        let route = RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(address, 32).build();
        match self.handle.route().del(route).execute().await {
            Err(e) if code(&e) == Some(libc::ESRCH) => Ok(()),
            done => done.map_err(failed("leading nowhere", &address.to_string())),
        }
    }

    /// What has this source address leaves by its own link, though another link has the same
    /// subnet.
    pub(super) async fn add_source_route(&self, route: &SourceRoute) -> Result<(), NetworkError> {
        let SourceRoute { index, address, subnet, gateway, table } = route;
        let what = address.to_string();
        let near = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(subnet.0, subnet.1)
            .output_interface(*index)
            .scope(RouteScope::Link)
            .table_id(*table)
            .build();
        let far = RouteMessageBuilder::<Ipv4Addr>::new()
            .gateway(*gateway)
            .output_interface(*index)
            .table_id(*table)
            .build();
        for message in [near, far] {
            let done = self.handle.route().add(message).execute().await;
            done.map_err(failed("adding a route for what comes from", &what))?;
        }
        let rule = self.handle.rule().add().v4().source_prefix(*address, 32);
        let rule = rule.table_id(*table).priority(*table).action(RuleAction::ToTable);
        match rule.execute().await {
            Err(e) if code(&e) == Some(libc::EEXIST) => Ok(()),
            done => done.map_err(failed("adding a rule for what comes from", &what)),
        }
    }
}

/// Sets one of the calling thread's namespace's own settings, such as `ipv4/ip_forward`. A kernel
/// without it (no IPv6) counts as success.
pub(super) fn set_sysctl(name: &str, value: &str) -> Result<(), NetworkError> {
    let path = Path::new("/proc/sys/net").join(name);
    match std::fs::write(&path, value) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(NetworkError::io("setting", &path)),
    }
}

fn name_of(link: LinkMessage) -> Option<String> {
    link.attributes.into_iter().find_map(|a| match a {
        LinkAttribute::IfName(name) => Some(name),
        _ => None,
    })
}

fn link_number(index: u32) -> String {
    format!("link number {index}")
}

/// The kernel's error number.
fn code(error: &Error) -> Option<i32> {
    match error {
        Error::NetlinkError(message) => message.to_io().raw_os_error(),
        _ => None,
    }
}

/// A link that went away by itself, with its namespace, needs nothing more.
fn gone_is_false(result: Result<(), Error>) -> Result<bool, Error> {
    match result {
        Ok(()) => Ok(true),
        Err(e) if code(&e) == Some(libc::ENODEV) => Ok(false),
        Err(e) => Err(e),
    }
}

/// For `map_err`: a netlink error with what was being done, to what.
fn failed(doing: &'static str, what: &str) -> impl FnOnce(Error) -> NetworkError + use<> {
    let what = what.to_owned();
    move |error| match code(&error) {
        Some(libc::EPERM) => NetworkError::NotRoot,
        Some(code) => {
            NetworkError::Netlink { doing, what, cause: io::Error::from_raw_os_error(code) }
        }
        None => NetworkError::Netlink { doing, what, cause: io::Error::other(error) },
    }
}
