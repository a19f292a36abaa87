//! An IP network: `10.0.0.0/8`, `fd00::/8`, or an address alone.

use std::{fmt, net::IpAddr};

/// How many bits stand before the IPv4 address in an IPv6 one that is mapped from it.
const MAPPED_BITS: u32 = 96;

/// All addresses that begin with the same bits. IPv4 addresses that are mapped into IPv6 are IPv4 addresses here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    prefix: u32,
}

impl Network {
    /// The network that a text is in CIDR notation. `None` for anything else, also where bits are set beyond the prefix:
    /// it is not known whether these or the prefix is meant.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let prefix = match prefix {
            None => width(address),
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
        };
        if prefix > width(address) {
            return None;
        }
        let first = address.to_canonical();
        let is_mapped = first.is_ipv4() && address.is_ipv6();
        let network = Self {
            first,
            prefix: if is_mapped {
                prefix.checked_sub(MAPPED_BITS)?
            } else {
                prefix
            },
        };
        (!network.has_bits_beyond()).then_some(network)
    }

    /// Whether an address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let common_bits = match (self.first, address.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(address)) => (first.to_bits() ^ address.to_bits()).leading_zeros(),
            (IpAddr::V6(first), IpAddr::V6(address)) => (first.to_bits() ^ address.to_bits()).leading_zeros(),
            _ => return false,
        };
        common_bits >= self.prefix
    }

    /// Whether it is every address of its kind.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.prefix == 0
    }

    fn has_bits_beyond(&self) -> bool {
        match self.first {
            IpAddr::V4(first) => first.to_bits().checked_shl(self.prefix).unwrap_or(0) != 0,
            IpAddr::V6(first) => first.to_bits().checked_shl(self.prefix).unwrap_or(0) != 0,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix == width(self.first) {
            return self.first.fmt(f);
        }
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

const fn width(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn v4_mask(prefix: u32) -> u32 {
        u32::MAX.checked_shl(32 - prefix).unwrap_or(0)
    }

    fn v6_mask(prefix: u32) -> u128 {
        u128::MAX.checked_shl(128 - prefix).unwrap_or(0)
    }

    #[rstest]
    #[case("10.0.0.0/8", "10.0.0.0/8")]
    #[case("192.0.2.7", "192.0.2.7")]
    #[case("192.0.2.7/32", "192.0.2.7")]
    #[case("0.0.0.0/0", "0.0.0.0/0")]
    #[case("FD00::/8", "fd00::/8")]
    #[case("::1/128", "::1")]
    #[case("::ffff:10.0.0.0/104", "10.0.0.0/8")]
    #[case("::ffff:192.0.2.7", "192.0.2.7")]
    fn networks_are_read_and_shown(#[case] given: &str, #[case] shown: &str) {
        assert_eq!(Network::parse(given).unwrap().to_string(), shown);
    }

    #[rstest]
    #[case("")]
    #[case("/")]
    #[case("10.0.0.0/")]
    #[case("10.0.0.0/33")]
    #[case("10.0.0.0/+8")]
    #[case("10.0.0.0/8/8")]
    #[case("10.0.0.0/99999999999")]
    #[case("10.0.0.1/8")]
    #[case("10.0.0/8")]
    #[case("fd00::/129")]
    #[case("fd00::1/8")]
    #[case("::ffff:10.0.0.0/90")]
    #[case("proxy.example")]
    fn anything_else_is_refused(#[case] given: &str) {
        assert_eq!(Network::parse(given), None);
    }

    #[test]
    fn a_mapped_address_is_in_the_networks_of_its_ipv4_address_alone() {
        let mapped = "::ffff:10.1.2.3".parse().unwrap();
        assert!(Network::parse("10.0.0.0/8").unwrap().contains(mapped));
        assert!(!Network::parse("::/0").unwrap().contains(mapped));
    }

    proptest! {
        #[test]
        fn ipv4_agrees_with_masks(bits: u32, other: u32, flipped in 0..32_u32, prefix in 0..=32_u32) {
            let mask = v4_mask(prefix);
            let network = Network::parse(&format!("{}/{prefix}", Ipv4Addr::from_bits(bits & mask))).unwrap();
            for address in [bits, other, bits ^ (1 << flipped)] {
                let is_in = address & mask == bits & mask;
                prop_assert_eq!(network.contains(Ipv4Addr::from_bits(address).into()), is_in);
                prop_assert_eq!(network.contains(Ipv4Addr::from_bits(address).to_ipv6_mapped().into()), is_in);
            }
            prop_assert_eq!(Network::parse(&network.to_string()), Some(network));
            let text = format!("{}/{prefix}", Ipv4Addr::from_bits(bits));
            prop_assert_eq!(Network::parse(&text).is_some(), bits & mask == bits);
        }

        #[test]
        fn ipv6_agrees_with_masks(bits: u128, other: u128, flipped in 0..128_u32, prefix in 0..=128_u32) {
            let mask = v6_mask(prefix);
            // Not one that is mapped from IPv4.
            let bits = bits | (1 << 127);
            let first = Ipv6Addr::from_bits(bits & mask);
            let network = Network::parse(&format!("{first}/{prefix}")).unwrap();
            for address in [bits, other | (1 << 127), bits ^ (1 << flipped)] {
                let is_in = address & mask == bits & mask;
                prop_assert_eq!(network.contains(Ipv6Addr::from_bits(address).into()), is_in);
            }
            prop_assert_eq!(Network::parse(&network.to_string()), Some(network));
            prop_assert!(!network.contains(Ipv4Addr::LOCALHOST.into()));
        }

        #[test]
        fn no_text_panics(any in ".*", near in "[0-9a-f:./]{0,24}") {
            let _ = Network::parse(&any);
            let _ = Network::parse(&near);
        }
    }
}
