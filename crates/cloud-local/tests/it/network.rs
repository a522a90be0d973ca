//! Nodes' namespaces on a real bridge: reachability, lasting identity, adoption, no traces.

use holdfast_cloud_local::network::{
    Fabric, Forwarder, Interface, METADATA_ADDRESS, MacAddress, NetworkError, NetworkInventory,
    VpcLayout, in_fabric, in_namespace, inventory, teardown,
};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// Far longer than anything here takes; a test that reaches it has failed.
const LIMIT: Duration = Duration::from_secs(20);
const PORT: u16 = 7000;

/// A data directory with a network, taken down whatever happens.
struct Scratch {
    dir: holdfast_scratch::Scratch,
}

impl Scratch {
    fn new() -> Scratch {
        assert!(nix::unistd::geteuid().is_root(), "these tests need root: run them with sudo");
        let dir = holdfast_scratch::Scratch::with_end(|dir| {
            if let Err(e) = teardown(dir) {
                eprintln!("cleaning up {}: {e}", dir.display());
            }
        });
        Scratch { dir }
    }

    fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn open(&self) -> Fabric {
        Fabric::open(self.dir(), &VpcLayout::default()).unwrap()
    }
}

/// The interface of node `host` in the zone with this number.
fn interface(zone: u8, host: u8) -> Interface {
    Interface {
        mac: MacAddress::for_id(&format!("eni-{zone}-{host}")),
        private_ip: Ipv4Addr::new(10, 77, zone, host),
        prefix: 24,
        gateway: Ipv4Addr::new(10, 77, zone, 1),
    }
}

fn plug(fabric: &Fabric, name: &str, interface: &Interface) -> PathBuf {
    fabric.plug(name, interface).unwrap().path().to_owned()
}

/// Listens in a namespace and sends every connection's bytes back, until the test ends.
fn echo_in(namespace: &Path) {
    let listener =
        in_namespace(namespace, || TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).unwrap())
            .unwrap();
    echo_on(listener);
}

fn echo_on(listener: TcpListener) {
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            thread::spawn(move || {
                let mut reader = client.try_clone().unwrap();
                let _ = std::io::copy(&mut reader, &mut client);
                let _ = client.shutdown(Shutdown::Write);
            });
        }
    });
}

/// Whether bytes come back from an address, for a caller in the right namespace; tried until the
/// limit, since a neighbour that was asked for in vain is asked for again only after a while.
fn echoes(address: Ipv4Addr) -> bool {
    let until = Instant::now() + LIMIT;
    while Instant::now() < until {
        match echo_once(SocketAddr::from((address, PORT)), b"hello") {
            Ok(back) => return back == b"hello",
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
    false
}

fn echo_once(address: SocketAddr, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(bytes)?;
    stream.shutdown(Shutdown::Write)?;
    let mut back = Vec::new();
    stream.read_to_end(&mut back)?;
    Ok(back)
}

/// `/proc/net/arp` of a namespace: the lines about one address.
fn neighbour(namespace: &Path, address: Ipv4Addr) -> String {
    let text = in_namespace(namespace, || fs::read_to_string("/proc/thread-self/net/arp").unwrap())
        .unwrap();
    let wanted = format!("{address} ");
    text.lines().filter(|l| l.starts_with(&wanted)).collect()
}

fn links_here() -> Vec<String> {
    let text = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    text.lines().skip(2).filter_map(|l| Some(l.split_once(':')?.0.trim().to_owned())).collect()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

#[test]
fn nodes_reach_each_other_in_and_across_subnets_and_their_gateways() {
    let scratch = Scratch::new();
    let fabric = scratch.open();
    let (a, b, c) = (interface(1, 10), interface(1, 11), interface(2, 10));
    let in_a = plug(&fabric, "node-a", &a);
    let in_b = plug(&fabric, "node-b", &b);
    let in_c = plug(&fabric, "node-c", &c);
    echo_in(&in_b);
    echo_in(&in_c);
    // The gateway is the fabric itself.
    let gateway = in_fabric(scratch.dir(), || TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)));
    echo_on(gateway.unwrap().unwrap());

    for target in [b.private_ip, c.private_ip, a.gateway, c.gateway] {
        assert!(in_namespace(&in_a, || echoes(target)).unwrap(), "{target} from node-a");
    }
    assert!(in_fabric(scratch.dir(), || echoes(c.private_ip)).unwrap());
    // The far node sees who calls: nothing is translated on the way.
    let listener = in_namespace(&in_c, || TcpListener::bind((c.private_ip, 7001)).unwrap());
    let listener = listener.unwrap();
    in_namespace(&in_a, || TcpStream::connect((c.private_ip, 7001)).unwrap()).unwrap();
    assert_eq!(listener.accept().unwrap().1.ip(), a.private_ip);
}

#[test]
fn each_node_has_the_metadata_address_for_itself() {
    let scratch = Scratch::new();
    let fabric = scratch.open();
    let in_a = plug(&fabric, "node-a", &interface(1, 10));
    let in_b = plug(&fabric, "node-b", &interface(1, 11));
    let bind = || TcpListener::bind((METADATA_ADDRESS, 80));
    let of_a = in_namespace(&in_a, bind).unwrap().unwrap();
    let _of_b = in_namespace(&in_b, bind).unwrap().unwrap();
    in_namespace(&in_a, || TcpStream::connect((METADATA_ADDRESS, 80)).unwrap()).unwrap();
    // Who calls from inside is the address itself: nobody else on the VPC can be that.
    assert_eq!(of_a.accept().unwrap().1.ip(), METADATA_ADDRESS);
    let outside = in_fabric(scratch.dir(), || {
        TcpStream::connect_timeout(&(METADATA_ADDRESS, 80).into(), Duration::from_secs(2))
    });
    assert!(outside.unwrap().is_err());
}

#[test]
fn a_node_that_is_plugged_in_again_is_the_same_for_a_neighbour_that_knew_it() {
    let scratch = Scratch::new();
    let fabric = scratch.open();
    let (a, b) = (interface(1, 10), interface(1, 11));
    let in_a = plug(&fabric, "node-a", &a);
    let in_b = plug(&fabric, "node-b", &b);
    echo_in(&in_b);
    assert!(in_namespace(&in_a, || echoes(b.private_ip)).unwrap());
    assert!(neighbour(&in_a, b.private_ip).contains(&b.mac.to_string()));

    fabric.unplug("node-b").unwrap();
    assert!(neighbour(&in_a, b.private_ip).contains(&b.mac.to_string()), "still remembered");
    let in_b = plug(&fabric, "node-b", &b);
    echo_in(&in_b);
    assert!(in_namespace(&in_a, || echoes(b.private_ip)).unwrap());
    assert!(neighbour(&in_a, b.private_ip).contains(&b.mac.to_string()));

    // Plugged in over itself: the old namespace is cut off, the new one answers.
    let in_b = plug(&fabric, "node-b", &b);
    echo_in(&in_b);
    assert!(in_namespace(&in_a, || echoes(b.private_ip)).unwrap());
    assert_eq!(inventory(scratch.dir()).unwrap().links.len(), 2);
}

#[test]
fn a_further_interface_that_is_made_again_at_once_takes_the_place_of_the_one_before() {
    let scratch = Scratch::new();
    let fabric = scratch.open();
    let (in_a, in_b) =
        (plug(&fabric, "node-a", &interface(1, 10)), plug(&fabric, "node-b", &interface(1, 11)));
    echo_in(&in_b);
    // As after a server that was killed between making it and saying so.
    for _ in 0..10 {
        fabric.add_interface("node-b", 1, &interface(1, 12)).unwrap();
    }
    assert!(in_namespace(&in_a, || echoes(interface(1, 12).private_ip)).unwrap());
    fabric.remove_interface("node-b", 1).unwrap();
    fabric.add_interface("node-b", 1, &interface(1, 13)).unwrap();
    assert!(in_namespace(&in_a, || echoes(interface(1, 13).private_ip)).unwrap());
    assert_eq!(inventory(scratch.dir()).unwrap().links.len(), 3);
}

#[test]
fn a_cut_link_carries_nothing_until_the_node_is_plugged_in_again() {
    let scratch = Scratch::new();
    let fabric = scratch.open();
    let b = interface(1, 11);
    let in_b = plug(&fabric, "node-b", &b);
    echo_in(&in_b);
    let target = SocketAddr::from((b.private_ip, PORT));
    assert!(in_fabric(scratch.dir(), || echoes(b.private_ip)).unwrap());

    assert!(fabric.link_down("node-b").unwrap());
    assert!(fabric.link_down("node-b").unwrap(), "a second cut is no error");
    let after = in_fabric(scratch.dir(), || {
        TcpStream::connect_timeout(&target, Duration::from_millis(300)).map(drop)
    });
    assert!(after.unwrap().is_err());
    assert!(in_namespace(&in_b, || echoes(Ipv4Addr::LOCALHOST)).unwrap(), "what is inside lives");

    let in_b = plug(&fabric, "node-b", &b);
    echo_in(&in_b);
    assert!(in_fabric(scratch.dir(), || echoes(b.private_ip)).unwrap());
    // Something still holds the namespace: the node is off the network all the same.
    let _held = fs::File::open(&in_b).unwrap();
    fabric.unplug("node-b").unwrap();
    fabric.unplug("node-b").unwrap();
    assert!(!fabric.link_down("node-b").unwrap(), "nothing to cut");
    let until = Instant::now() + LIMIT;
    let only_fabric = NetworkInventory { fabric: true, ..NetworkInventory::default() };
    while inventory(scratch.dir()).unwrap() != only_fabric {
        assert!(Instant::now() < until, "{:?}", inventory(scratch.dir()));
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_hosts_own_links_stay_as_they_are() {
    let scratch = Scratch::new();
    let before = links_here();
    let fabric = scratch.open();
    plug(&fabric, "node-a", &interface(1, 10));
    assert_eq!(links_here(), before);
    let inside = in_fabric(scratch.dir(), links_here).unwrap();
    assert_eq!(inside.len(), 5, "lo, the bridge, its carrier and one link: {inside:?}");
    fabric.unplug("node-a").unwrap();
    teardown(scratch.dir()).unwrap();
    assert_eq!(links_here(), before);
}

#[test]
fn a_fabric_that_is_opened_again_has_its_nodes_still() {
    let scratch = Scratch::new();
    let b = interface(1, 11);
    {
        let fabric = scratch.open();
        echo_in(&plug(&fabric, "node-b", &b));
    }
    let fabric = scratch.open();
    assert!(in_fabric(scratch.dir(), || echoes(b.private_ip)).unwrap());
    let in_b = fabric.namespace("node-b").unwrap();
    assert!(in_namespace(in_b.path(), || echoes(b.private_ip)).unwrap());
    let in_a = plug(&fabric, "node-a", &interface(1, 10));
    assert!(in_namespace(&in_a, || echoes(b.private_ip)).unwrap());
    assert!(neighbour(&in_a, b.private_ip).contains(&b.mac.to_string()));

    let other = VpcLayout::at(Ipv4Addr::new(10, 90, 0, 0)).unwrap();
    let refused = Fabric::open(scratch.dir(), &other);
    assert!(matches!(refused, Err(NetworkError::OtherRange { .. })), "{refused:?}");
    assert!(in_namespace(&in_a, || echoes(b.private_ip)).unwrap(), "nothing was harmed");
}

#[test]
fn teardown_leaves_nothing_and_may_be_repeated() {
    let scratch = Scratch::new();
    let fabric = scratch.open();
    plug(&fabric, "node-a", &interface(1, 10));
    plug(&fabric, "node-b", &interface(2, 10));
    // A crash between two steps can leave a file that pins nothing.
    fs::write(scratch.dir().join("netns/node-c"), "").unwrap();
    let found = inventory(scratch.dir()).unwrap();
    assert!(found.fabric);
    assert_eq!(found.nodes, names(&["node-a", "node-b"]));
    assert_eq!(found.links.len(), 2);
    assert_eq!(found.leftovers, names(&["node-c"]));

    teardown(scratch.dir()).unwrap();
    assert_eq!(inventory(scratch.dir()).unwrap(), NetworkInventory::default());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let dir = scratch.dir().canonicalize().unwrap();
    assert!(!mounts.contains(dir.to_str().unwrap()), "no mount is left");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "no file is left");
    teardown(scratch.dir()).unwrap();

    let without = in_fabric(scratch.dir(), || ());
    assert!(matches!(without, Err(NetworkError::NoFabric { .. })), "{without:?}");
    let without = fabric.plug("node-a", &interface(1, 10));
    assert!(matches!(without, Err(NetworkError::NoFabric { .. })), "{without:?}");
    scratch.open();
}

#[test]
fn names_and_interfaces_that_cannot_work_are_refused_and_leave_nothing() {
    let scratch = Scratch::new();
    let fabric = scratch.open();
    let good = interface(1, 10);
    for name in ["", "fabric", "../x", "a b", &"n".repeat(65)] {
        let refused = fabric.plug(name, &good);
        assert!(matches!(refused, Err(NetworkError::BadName { .. })), "{name:?}: {refused:?}");
    }
    let group = MacAddress([0x03, 0, 0, 0, 0, 1]);
    let elsewhere = Ipv4Addr::new(10, 77, 2, 1);
    for bad in [
        Interface { mac: group, ..good },
        Interface { gateway: elsewhere, ..good },
        Interface { private_ip: good.gateway, ..good },
        Interface { prefix: 0, ..good },
        Interface { prefix: 31, ..good },
    ] {
        let refused = fabric.plug("node-a", &bad);
        assert!(matches!(refused, Err(NetworkError::BadInterface { .. })), "{refused:?}");
    }
    let found = inventory(scratch.dir()).unwrap();
    assert_eq!(found, NetworkInventory { fabric: true, ..NetworkInventory::default() });
}

#[test]
fn a_forwarder_carries_bytes_from_the_host_until_it_is_stopped() {
    let scratch = Scratch::new();
    let fabric = scratch.open();
    let b = interface(1, 11);
    echo_in(&plug(&fabric, "node-b", &b));
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let target = SocketAddr::from((b.private_ip, PORT));
    let forwarder = Forwarder::start(scratch.dir(), listen, target).unwrap();
    let port = forwarder.local_addr();

    // More than all buffers on the way hold, so both directions must run at once.
    let sent: Vec<u8> = (0..8 << 20).map(|i: u32| (i % 251) as u8).collect();
    let mut stream = TcpStream::connect(port).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let bytes = sent.clone();
    let writing = thread::spawn(move || {
        writer.write_all(&bytes).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    writing.join().unwrap();
    assert!(back == sent, "{} bytes came back of {}", back.len(), sent.len());

    // The same port serves the node's next generation.
    echo_in(&plug(&fabric, "node-b", &b));
    assert_eq!(echo_once(port, b"again").unwrap(), b"again");

    let mut open = TcpStream::connect(port).unwrap();
    open.set_read_timeout(Some(LIMIT)).unwrap();
    open.write_all(b"x").unwrap();
    open.read_exact(&mut [0]).unwrap();
    forwarder.stop();
    assert!(matches!(open.read(&mut [0]), Ok(0) | Err(_)), "its connections are closed");
    assert!(TcpStream::connect(port).is_err(), "its port is closed");

    let public = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let refused = Forwarder::start(scratch.dir(), public, target);
    assert!(matches!(refused, Err(NetworkError::NotLoopback { .. })), "{refused:?}");
}

/// A bridge that has lost its carrier lets nothing through for up to a second after it is back.
#[test]
fn the_bridge_keeps_its_carrier_when_the_last_node_is_unplugged() {
    use nix::net::if_::InterfaceFlags;
    let scratch = Scratch::new();
    let fabric = scratch.open();
    let running = || {
        in_fabric(scratch.dir(), || {
            nix::ifaddrs::getifaddrs()
                .unwrap()
                .find(|i| i.interface_name == "hf0")
                .is_some_and(|i| i.flags.contains(InterfaceFlags::IFF_RUNNING))
        })
        .unwrap()
    };
    plug(&fabric, "node-a", &interface(1, 10));
    let begun = Instant::now();
    // The kernel notices a new link in its own time.
    while !running() {
        assert!(begun.elapsed() < LIMIT, "the bridge is up");
        thread::sleep(Duration::from_millis(5));
    }
    fabric.unplug("node-a").unwrap();
    assert_eq!(inventory(scratch.dir()).unwrap().links, Vec::<String>::new());
    // Twice as long as the kernel takes to look at links.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2_500) {
        assert!(running(), "with no node the bridge stays up");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Not a check, since it depends on the machine: `cargo test -- --ignored --nocapture times_of`.
#[test]
#[ignore = "prints times, checks nothing"]
fn times_of_plug_and_unplug() {
    const ROUNDS: usize = 40;
    let scratch = Scratch::new();
    let started = Instant::now();
    let fabric = scratch.open();
    println!("open      {:8.2?}", started.elapsed());
    let b = interface(1, 11);
    for i in 20..30 {
        plug(&fabric, &format!("other-{i}"), &interface(1, i));
    }
    let mut times = [(); 4].map(|()| Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        let steps: [&dyn Fn(); 4] = [
            &|| drop(fabric.plug("node-b", &b).unwrap()),
            &|| drop(fabric.plug("node-b", &b).unwrap()),
            &|| assert!(fabric.link_down("node-b").unwrap()),
            &|| fabric.unplug("node-b").unwrap(),
        ];
        for (step, times) in steps.iter().zip(&mut times) {
            let started = Instant::now();
            step();
            times.push(started.elapsed());
        }
    }
    for (name, times) in ["plug", "replace", "link_down", "unplug"].iter().zip(&mut times) {
        times.sort();
        let (min, median, max) = (times[0], times[ROUNDS / 2], times[ROUNDS - 1]);
        println!("{name:9} min {min:8.2?}  median {median:8.2?}  max {max:8.2?}");
    }
}
