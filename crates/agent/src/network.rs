//! The metadata service's address, on the loopback interface of the node's network namespace.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::error::{AgentError, Doing, Result};

/// Where an instance asks about itself. Source: EC2 user guide, "Instance metadata".
pub const METADATA_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// Its port.
pub const METADATA_PORT: u16 = 80;

/// Listens on the metadata address in the calling thread's network namespace, after bringing
/// `lo` up and giving it the address if it lacks them.
pub(crate) fn listen_for_metadata() -> Result<TcpListener> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        .doing(|| "opening a socket in the node's network".into())?;
    loopback_up(&socket).doing(|| "bringing lo up in the node's network".into())?;
    let address = SocketAddrV4::new(METADATA_ADDRESS, METADATA_PORT);
    let listener = match TcpListener::bind(address) {
        Err(e) if e.kind() == io::ErrorKind::AddrNotAvailable => {
            add_address(&socket).doing(|| format!("adding {METADATA_ADDRESS} to the node's lo"))?;
            TcpListener::bind(address)
        }
        result => result,
    }
    .doing(|| format!("listening on {address} in the node's network"))?;
    listener.set_nonblocking(true).doing(|| format!("listening on {address}"))?;
    Ok(listener)
}

fn request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: all zeroes is a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

fn control(socket: &OwnedFd, code: libc::c_ulong, request: &mut libc::ifreq) -> io::Result<()> {
    // SAFETY: every code used here takes a pointer to an `ifreq`.
    if unsafe { libc::ioctl(socket.as_raw_fd(), code as _, std::ptr::from_mut(request)) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn loopback_up(socket: &OwnedFd) -> io::Result<()> {
    let mut flags = request("lo")?;
    control(socket, libc::SIOCGIFFLAGS, &mut flags)?;
    // SAFETY: SIOCGIFFLAGS has just filled this member in.
    let found = unsafe { flags.ifr_ifru.ifru_flags };
    let up = libc::IFF_UP as libc::c_short;
    if found & up != 0 {
        return Ok(());
    }
    flags.ifr_ifru.ifru_flags = found | up;
    control(socket, libc::SIOCSIFFLAGS, &mut flags)
}

/// As a labelled second address: `lo` keeps 127.0.0.1.
fn add_address(socket: &OwnedFd) -> io::Result<()> {
    for (code, value) in
        [(libc::SIOCSIFADDR, METADATA_ADDRESS), (libc::SIOCSIFNETMASK, Ipv4Addr::BROADCAST)]
    {
        let mut address = request("lo:imds")?;
        let value = libc::sockaddr_in {
            sin_family: libc::AF_INET as libc::sa_family_t,
            sin_port: 0,
            sin_addr: libc::in_addr { s_addr: u32::from(value).to_be() },
            sin_zero: [0; 8],
        };
        // SAFETY: a `sockaddr_in` is as large as the `sockaddr` that it goes into.
        unsafe {
            std::ptr::write((&raw mut address.ifr_ifru.ifru_addr).cast(), value);
        }
        control(socket, code, &mut address)?;
    }
    Ok(())
}

/// Enters the network namespace pinned at `path`, for the calling thread and its later children.
pub(crate) fn enter_namespace(path: &std::path::Path) -> Result<()> {
    let file = std::fs::File::open(path)
        .doing(|| format!("opening the network namespace {}", path.display()))?;
    nix::sched::setns(&file, nix::sched::CloneFlags::CLONE_NEWNET).map_err(|e| match e {
        nix::errno::Errno::EINVAL => {
            AgentError::Invalid(format!("{} is not a network namespace", path.display()))
        }
        e => AgentError::Io {
            doing: format!("entering the network namespace {}", path.display()),
            source: e.into(),
        },
    })
}
