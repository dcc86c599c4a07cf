//! Which addresses a hub may connect to.
//!
//! Invariant: the resolver hands out checked addresses only, so the address that is connected to
//! has been checked, whatever the name resolved to a moment before.
//! Spec: ID-15, ID-16; special ranges from the IANA registries (RFC 6890 and its updates).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::config::Network;

/// How an error of this module begins.
pub(super) const REFUSED: &str = "address refused";

/// What a hub's settings allow beyond public addresses.
#[derive(Debug)]
pub(super) struct AddressPolicy {
    allow: Vec<IpNet>,
    plain: Vec<IpNet>,
}

impl AddressPolicy {
    pub(super) fn new(network: &Network) -> Self {
        Self { allow: network.allow.clone(), plain: network.plain_http.clone() }
    }

    /// Whether one address may be connected to; with `plain`, without encryption.
    pub(super) fn check(&self, ip: IpAddr, plain: bool) -> Result<(), &'static str> {
        let ip = embedded_v4(ip);
        let named = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&ip));
        if plain && !ip.is_loopback() && !named(&self.plain) {
            return Err("plain HTTP is for loopback and network.plain_http only");
        }
        if named(&self.allow) || is_public(ip) {
            return Ok(());
        }
        Err("not a public address, and not in network.allow")
    }
}

/// The IPv4 address inside an IPv6 one that only carries it (mapped, NAT64, 6to4).
fn embedded_v4(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let s = v6.segments();
    let v4 = |hi: u16, lo: u16| {
        let [a, b] = hi.to_be_bytes();
        let [c, d] = lo.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        [0, 0, 0, 0, 0, 0xffff, hi, lo] | [0x64, 0xff9b, 0, 0, 0, 0, hi, lo] => v4(hi, lo),
        [0x2002, hi, lo, ..] => v4(hi, lo),
        _ => ip,
    }
}

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_unspecified()
        || ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || ip.is_broadcast()
        || ip.is_multicast()
        || ip.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b));
    !special
}

/// Global unicast is 2000::/3; documentation and the deprecated ranges inside it are not public.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let s = ip.segments();
    (s[0] & 0xe000) == 0x2000
        && !(s[0] == 0x2001 && s[1] < 0x200)
        && !(s[0] == 0x2001 && s[1] == 0xdb8)
        && !(s[0] == 0x3fff && s[1] < 0x1000)
}

/// Who knows the addresses of a name.
pub(super) trait Lookup: Clone + Send + Sync + 'static {
    /// All of them, as they are now.
    fn addresses(&self, name: &str) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;
}

/// The system.
#[derive(Clone)]
pub(super) struct System;

impl Lookup for System {
    async fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.collect())
    }
}

/// Resolves a name and keeps the addresses that may be connected to.
pub(super) struct CheckedResolver<L> {
    pub(super) policy: Arc<AddressPolicy>,
    pub(super) plain: bool,
    pub(super) lookup: L,
}

impl<L: Lookup> Resolve for CheckedResolver<L> {
    fn resolve(&self, name: Name) -> Resolving {
        let (policy, plain) = (Arc::clone(&self.policy), self.plain);
        let lookup = self.lookup.clone();
        Box::pin(async move {
            let mut refused = None;
            let mut good: Vec<SocketAddr> = Vec::new();
            for address in lookup.addresses(name.as_str()).await? {
                match policy.check(address.ip(), plain) {
                    Ok(()) => good.push(address),
                    Err(why) => refused = Some(format!("{REFUSED}: {}: {why}", address.ip())),
                }
            }
            match refused {
                Some(why) if good.is_empty() => Err(why.into()),
                _ => Ok(Box::new(good.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: &[&str], plain: &[&str]) -> AddressPolicy {
        let nets = |texts: &[&str]| texts.iter().map(|t| t.parse().expect("a range")).collect();
        AddressPolicy { allow: nets(allow), plain: nets(plain) }
    }

    /// ID-15: private, loopback, link-local and embedded addresses are refused unless named.
    #[test]
    fn only_public_addresses_pass() {
        let none = policy(&[], &[]);
        let vectors = include_str!("../../spec/vectors/addresses.json");
        let vectors: serde_json::Value = serde_json::from_str(vectors).expect("vectors");
        let cases = vectors["addresses"].as_array().expect("cases");
        for case in cases {
            let address = case["address"].as_str().expect("an address");
            let passes = none.check(address.parse().expect("an address"), false).is_ok();
            assert_eq!(passes, case["public"] == true, "{address}");
        }
    }

    /// Answers that change with every question.
    #[derive(Clone)]
    struct Fickle(Arc<std::sync::Mutex<Vec<Vec<&'static str>>>>);

    impl Lookup for Fickle {
        async fn addresses(&self, _: &str) -> io::Result<Vec<SocketAddr>> {
            let answer = self.0.lock().expect("no panic").remove(0);
            let address = |ip: &str| SocketAddr::new(ip.parse().expect("an address"), 443);
            Ok(answer.into_iter().map(address).collect())
        }
    }

    /// ID-15: what a name leads to is checked at every connection, and only what was checked is connected to: an
    /// answer that was good a moment ago, or a good one beside a bad one, opens nothing else.
    #[tokio::test]
    async fn an_answer_that_changes_is_checked_again() {
        let answers = vec![
            vec!["93.184.216.34"],
            vec!["127.0.0.1"],
            vec!["10.0.0.1", "93.184.216.34", "::ffff:169.254.169.254"],
            vec!["64:ff9b::7f00:1", "fe80::1"],
        ];
        let lookup = Fickle(Arc::new(std::sync::Mutex::new(answers)));
        let policy = Arc::new(policy(&[], &[]));
        let resolver = CheckedResolver { policy, plain: false, lookup };
        let mut seen = Vec::new();
        for _ in 0..4 {
            let name: Name = "rebinding.example".parse().expect("a name");
            seen.push(match resolver.resolve(name).await {
                Ok(addresses) => addresses.map(|a| a.ip().to_string()).collect(),
                Err(error) => vec![error.to_string()],
            });
        }
        let refused = |ip: &str| {
            vec![format!("{REFUSED}: {ip}: not a public address, and not in network.allow")]
        };
        assert_eq!(seen[0], ["93.184.216.34"]);
        assert_eq!(seen[1], refused("127.0.0.1"));
        assert_eq!(seen[2], ["93.184.216.34"]);
        assert_eq!(seen[3], refused("fe80::1"));
    }

    /// ID-16: plain HTTP is spoken on loopback and where it was allowed by name.
    #[test]
    fn plain_http_needs_loopback_or_leave() {
        let lab = policy(&["10.77.0.0/24", "127.0.0.0/8"], &["10.77.0.0/24"]);
        let ip = |text: &str| text.parse().expect("an address");
        assert_eq!(lab.check(ip("10.77.0.1"), true), Ok(()));
        assert_eq!(lab.check(ip("127.0.0.1"), true), Ok(()));
        assert!(lab.check(ip("93.184.216.34"), true).is_err());
        assert!(policy(&["10.0.0.0/8"], &[]).check(ip("10.77.0.1"), true).is_err());
    }
}
