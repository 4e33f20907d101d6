//! Address ranges that limit where a grant may be used from.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A range of addresses, `10.0.0.0/8` or `2001:db8::/32`, in its one spelling: the host bits are
/// zero and the address is written as the standard library writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    network: IpAddr,
    prefix_bits: u8,
}

impl Cidr {
    /// Reads a range; `None` for anything but its one spelling.
    ///
    /// IPv4 addresses mapped into IPv6 are not accepted: a peer seen so counts as IPv4.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let cidr = Self {
            network: address.parse().ok()?,
            prefix_bits: bits.parse().ok()?,
        };
        let in_range = cidr.prefix_bits <= cidr.width();
        let canonical = cidr.network.to_canonical() == cidr.network && cidr.to_string() == text;
        (in_range && canonical && cidr.masked(cidr.network) == cidr.network).then_some(cidr)
    }

    /// Whether the address is in the range. An IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.network.is_ipv4() && self.masked(address) == self.network
    }

    /// Whether every address of the other range is in this one.
    pub fn covers(&self, other: &Self) -> bool {
        self.prefix_bits <= other.prefix_bits && self.contains(other.network)
    }

    fn width(&self) -> u8 {
        if self.network.is_ipv4() { 32 } else { 128 }
    }

    fn masked(&self, address: IpAddr) -> IpAddr {
        let host_bits = u32::from(self.width().saturating_sub(self.prefix_bits));
        match address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
                Ipv4Addr::from_bits(address.to_bits() & mask).into()
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
                Ipv6Addr::from_bits(address.to_bits() & mask).into()
            }
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_they_say() {
        let contains = |cidr: &str, address: &str| {
            Cidr::parse(cidr)
                .unwrap()
                .contains(address.parse::<IpAddr>().unwrap())
        };
        assert!(contains("10.0.0.0/8", "10.255.0.1"));
        assert!(contains("10.0.0.0/8", "::ffff:10.0.0.1"));
        assert!(!contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("0.0.0.0/0", "1.2.3.4") && !contains("0.0.0.0/0", "::1"));
        assert!(contains("::/0", "::1") && !contains("::/0", "::ffff:1.2.3.4"));
        assert!(
            contains("2001:db8::/33", "2001:db8:7fff::1") && !contains("2001:db8::/33", "2001:db8:8000::1")
        );
        assert!(contains("127.0.0.1/32", "127.0.0.1") && !contains("127.0.0.1/32", "127.0.0.2"));
        let covers =
            |wide: &str, narrow: &str| Cidr::parse(wide).unwrap().covers(&Cidr::parse(narrow).unwrap());
        assert!(covers("10.0.0.0/8", "10.0.0.0/8") && covers("10.0.0.0/8", "10.9.0.0/16"));
        assert!(!covers("10.0.0.0/16", "10.0.0.0/8") && !covers("10.0.0.0/8", "11.0.0.0/16"));
        assert!(!covers("0.0.0.0/0", "::/0") && !covers("::/0", "0.0.0.0/0"));
        for text in [
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/08",
            "10.0.0.0",
            "::ffff:10.0.0.0/104",
            "2001:DB8::/32",
            "/8",
        ] {
            assert_eq!(Cidr::parse(text), None, "{text}");
        }
    }
}
