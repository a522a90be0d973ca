//! Subnets, who may have which address, and MAC addresses. Pure.

use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// The largest and the smallest subnet.
/// Source: EC2 VPC user guide, "Subnet sizing": "between a /28 netmask and /16 netmask".
const PREFIXES: std::ops::RangeInclusive<u8> = 16..=28;
/// Addresses at the start of a subnet that no node gets, the network's own among them.
/// Source: EC2 VPC user guide, "Subnet sizing": "the first four IP addresses and the last".
const RESERVED_AT_START: u32 = 4;
/// The zones of the one region, in the order of their subnets' third octet, which begins at 1.
const ZONES: [&str; 3] = ["local-1a", "local-1b", "local-1c"];
/// Where the VPC lies if nobody says otherwise.
const DEFAULT_BASE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 0);

/// A text or number that is not the address it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Host bits are set, or the size is not one that EC2 has.
    #[error(
        "{network}/{prefix} is not a subnet: the prefix must be 16 to 28 and the bits after it \
         zero, as in 10.77.1.0/24"
    )]
    Subnet {
        /// The address before the slash.
        network: Ipv4Addr,
        /// The number after it.
        prefix: u8,
    },
    /// Not six pairs of hexadecimal digits.
    #[error("{text:?} is not a MAC address; it should look like 02:4e:11:09:c7:5a")]
    Mac {
        /// What was read.
        text: String,
    },
}

/// A range of IPv4 addresses, such as `10.77.1.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subnet {
    network: Ipv4Addr,
    prefix: u8,
}

impl Subnet {
    /// A subnet of /16 to /28 whose host bits are zero.
    ///
    /// # Errors
    /// [`BadAddress::Subnet`] for anything else.
    pub fn new(network: Ipv4Addr, prefix: u8) -> Result<Subnet, BadAddress> {
        let subnet = Subnet { network, prefix };
        if !PREFIXES.contains(&prefix) || u32::from(network) & !subnet.mask() != 0 {
            return Err(BadAddress::Subnet { network, prefix });
        }
        Ok(subnet)
    }

    /// The network's own address.
    #[must_use]
    pub fn network(&self) -> Ipv4Addr {
        self.network
    }

    /// The number of leading bits that all its addresses share.
    #[must_use]
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// The router's address: the first after the network's own.
    /// Source: EC2 VPC user guide, "Subnet sizing".
    #[must_use]
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.network) + 1)
    }

    /// The last address.
    #[must_use]
    pub fn broadcast(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.network) | !self.mask())
    }

    /// Whether the address lies in it, reserved ones included.
    #[must_use]
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        u32::from(address) & self.mask() == u32::from(self.network)
    }

    /// Whether a node may have the address: in the subnet, and not one of EC2's reserved five.
    #[must_use]
    pub fn is_assignable(&self, address: Ipv4Addr) -> bool {
        let first = u32::from(self.network) + RESERVED_AT_START;
        self.contains(address) && (first..u32::from(self.broadcast())).contains(&address.into())
    }

    fn mask(self) -> u32 {
        u32::MAX << (32 - u32::from(self.prefix))
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

/// The lowest address of the subnet that a node may have and none has; `None` if all are taken.
#[must_use]
pub fn first_free(subnet: Subnet, used: &BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
    // At most 65,531 addresses: a /16.
    let first = u32::from(subnet.network) + RESERVED_AT_START;
    (first..u32::from(subnet.broadcast())).map(Ipv4Addr::from).find(|a| !used.contains(a))
}

/// One zone and the subnet that the VPC has in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneSubnet {
    /// The zone, such as `local-1a`.
    pub zone: String,
    /// Its subnet.
    pub subnet: Subnet,
}

/// Which addresses the VPC has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VpcLayout {
    /// The whole VPC.
    pub range: Subnet,
    /// A subnet for each zone, in the zones' order.
    pub zones: Vec<ZoneSubnet>,
}

impl VpcLayout {
    /// A /16 at `base` with a /24 for each of the three zones: `base.1.0`, `base.2.0`, `base.3.0`.
    ///
    /// # Errors
    /// [`BadAddress::Subnet`] if `base` is not the start of a /16.
    pub fn at(base: Ipv4Addr) -> Result<VpcLayout, BadAddress> {
        let range = Subnet::new(base, 16)?;
        let [a, b, ..] = base.octets();
        let zones = (1..)
            .zip(ZONES)
            .map(|(third, zone)| {
                let subnet = Subnet::new(Ipv4Addr::new(a, b, third, 0), 24)?;
                Ok(ZoneSubnet { zone: zone.to_owned(), subnet })
            })
            .collect::<Result<_, BadAddress>>()?;
        Ok(VpcLayout { range, zones })
    }

    /// The addresses that stand for public ones: Elastic IPs are allocated from here.
    #[must_use]
    pub fn public(&self) -> Option<Subnet> {
        let [a, b, ..] = self.range.network().octets();
        Subnet::new(Ipv4Addr::new(a, b, 254, 0), 24).ok()
    }

    /// The subnet of a zone.
    #[must_use]
    pub fn subnet_of(&self, zone: &str) -> Option<Subnet> {
        self.zones.iter().find(|z| z.zone == zone).map(|z| z.subnet)
    }
}

impl Default for VpcLayout {
    /// 10.77.0.0/16.
    fn default() -> VpcLayout {
        #[expect(clippy::expect_used, reason = "10.77.0.0 is the start of a /16; a test makes it")]
        VpcLayout::at(DEFAULT_BASE).expect("the default range is a /16")
    }
}

/// A MAC address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// The same id gives the same address on every host: unicast, locally administered (`02:…`),
    /// 40 bits of the id's SHA-256.
    #[must_use]
    pub fn for_id(id: &str) -> MacAddress {
        let [a, b, c, d, e, _] = digest(id);
        MacAddress([0x02, a, b, c, d, e])
    }

    /// Whether an interface may have it: not a group's address, not all zeroes.
    #[must_use]
    pub fn is_unicast(&self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<MacAddress, BadAddress> {
        let bad = || BadAddress::Mac { text: text.to_owned() };
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().filter(|p| p.len() == 2 && !p.starts_with('+'));
            *octet = u8::from_str_radix(part.ok_or_else(bad)?, 16).map_err(|_| bad())?;
        }
        parts.next().is_none().then_some(MacAddress(octets)).ok_or_else(bad)
    }
}

/// The first 48 bits of an id's SHA-256: enough that thousands of nodes do not meet.
pub(super) fn digest(id: &str) -> [u8; 6] {
    let hash = Sha256::digest(id.as_bytes());
    let mut out = [0; 6];
    for (to, from) in out.iter_mut().zip(hash) {
        *to = from;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Ipv4Addr {
        text.parse().unwrap()
    }

    #[test]
    fn the_default_vpc_has_three_zones_with_a_gateway_each() {
        let vpc = VpcLayout::default();
        assert_eq!(vpc.range.to_string(), "10.77.0.0/16");
        let zones: Vec<_> = vpc
            .zones
            .iter()
            .map(|z| format!("{} {} {}", z.zone, z.subnet, z.subnet.gateway()))
            .collect();
        let expected = [
            "local-1a 10.77.1.0/24 10.77.1.1",
            "local-1b 10.77.2.0/24 10.77.2.1",
            "local-1c 10.77.3.0/24 10.77.3.1",
        ];
        assert_eq!(zones, expected);
        assert_eq!(vpc.subnet_of("local-1b"), Some(vpc.zones[1].subnet));
        assert_eq!(vpc.subnet_of("local-1d"), None);
    }

    #[test]
    fn a_range_with_host_bits_or_of_a_wrong_size_is_refused() {
        assert!(VpcLayout::at(ip("10.77.1.0")).is_err());
        assert!(Subnet::new(ip("10.77.1.0"), 29).is_err());
        assert!(Subnet::new(ip("10.0.0.0"), 8).is_err());
        assert!(Subnet::new(ip("10.77.1.8"), 24).is_err());
    }

    #[test]
    fn allocation_skips_the_reserved_five_and_ends_when_all_are_taken() {
        let subnet = Subnet::new(ip("10.77.1.0"), 28).unwrap();
        let mut used = BTreeSet::new();
        while let Some(address) = first_free(subnet, &used) {
            assert!(subnet.is_assignable(address));
            assert!(used.insert(address));
        }
        assert_eq!(used.len(), 16 - 5);
        assert_eq!(used.first(), Some(&ip("10.77.1.4")));
        assert_eq!(used.last(), Some(&ip("10.77.1.14")));
        used.remove(&ip("10.77.1.9"));
        assert_eq!(first_free(subnet, &used), Some(ip("10.77.1.9")));
        for reserved in ["10.77.1.0", "10.77.1.3", "10.77.1.15", "10.77.2.5"] {
            assert!(!subnet.is_assignable(ip(reserved)), "{reserved}");
        }
    }

    #[test]
    fn a_mac_address_depends_on_the_id_alone_and_reads_back() {
        let mac = MacAddress::for_id("eni-0a1b");
        assert_eq!(mac, MacAddress::for_id("eni-0a1b"));
        assert_ne!(mac, MacAddress::for_id("eni-0a1c"));
        assert_eq!(mac.0[0], 0x02);
        assert!(mac.is_unicast());
        assert_eq!(mac.to_string().parse(), Ok(mac));
        for text in ["", "02:00", "02:00:00:00:00:00:00", "02:00:00:00:00:0g", "2:0:0:0:0:0"] {
            assert!(text.parse::<MacAddress>().is_err(), "{text}");
        }
    }
}
