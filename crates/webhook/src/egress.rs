//! Whom this process may call: the declared hosts, at addresses that fit them, and nobody else.
//!
//! A URL is checked before a request is made (scheme, host, user name); a name is checked when it is
//! looked up: the addresses that do not fit are taken out of the answer, and the connection is made to
//! one of those that are left. The lookup that is checked is the one that is used, so a name that
//! changes its address between the two (DNS rebinding) gains nothing. Redirects are not followed.
//!
//! Private addresses are refused unless they are allowed by setting, so that a wrong or hostile name
//! cannot make us talk to what only this network reaches (metadata services, databases). A base URL
//! that *is* a loopback address, or `localhost`, is taken as meant, outside qa and production.
//! Through a proxy the proxy looks names up: then the names alone are checked here. The proxy itself is
//! where the settings say, which is usually a private address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ol_chassis::config::Environment;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// The rules of one target.
#[derive(Debug, Clone)]
pub struct Rules {
    hosts: Vec<String>,
    allow_private: bool,
    allow_plain_http: bool,
    allow_loopback: bool,
    /// Where the proxy is: the one name that is looked up and not judged.
    proxy_host: Option<String>,
}

/// Why an address is not called. Names hosts, never paths or bodies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A scheme that is not https (or http to this machine).
    #[error("Only https is allowed, and http to this machine")]
    Scheme,
    /// A user name or password in the URL.
    #[error("A URL with a user name is not called")]
    Credentials,
    /// A host nobody declared.
    #[error("The host {0} is not declared")]
    Host(String),
    /// A host whose addresses are all private.
    #[error("The host {0} leads to a private address")]
    Private(String),
}

/// The name has no address at all.
#[derive(Debug, thiserror::Error)]
#[error("The name {0} has no address")]
pub struct Unknown(pub String);

impl Rules {
    /// The rules for a target at `base`, which declares its own host.
    #[must_use]
    pub fn new(base: &Url, environment: Environment, settings: &crate::config::Egress) -> Self {
        let is_development = matches!(environment, Environment::Dev | Environment::Ci);
        let mut hosts: Vec<String> =
            settings.allowed_hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        hosts.extend(base.host_str().map(str::to_ascii_lowercase));
        let proxy = Url::parse(&settings.proxy).ok();
        Self {
            hosts,
            allow_private: settings.allow_private,
            allow_plain_http: settings.allow_plain_http,
            allow_loopback: settings.allow_private || (is_development && is_loopback(base)),
            proxy_host: proxy.and_then(|url| url.host_str().map(str::to_owned)),
        }
    }

    /// Checks a URL before anything is sent to it.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn check(&self, url: &Url) -> Result<(), Refused> {
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        match url.scheme() {
            "https" => {}
            "http" if self.allow_plain_http || is_loopback(url) => {}
            _other => return Err(Refused::Scheme),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::Credentials);
        }
        if !self.hosts.contains(&host) {
            return Err(Refused::Host(host));
        }
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) | None => None,
        };
        match literal {
            Some(address) if !self.allows(address) => Err(Refused::Private(host)),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether a connection to this address may be made.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        if self.allow_private || is_public(address) {
            return true;
        }
        self.allow_loopback && canonical(address).is_loopback()
    }
}

/// Looks names up for the HTTP client, by the rules.
#[derive(Clone)]
pub struct VettedResolver {
    rules: Arc<Rules>,
}

impl VettedResolver {
    /// A resolver that obeys these rules.
    #[must_use]
    pub fn new(rules: Arc<Rules>) -> Self {
        Self { rules }
    }
}

impl fmt::Debug for VettedResolver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("VettedResolver").finish_non_exhaustive()
    }
}

impl Resolve for VettedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = Arc::clone(&self.rules);
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> = match tokio::net::lookup_host((host.as_str(), 0)).await {
                Ok(addresses) => addresses.collect(),
                Err(_) => Vec::new(),
            };
            let addresses = vet(&rules, &host, found)?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

fn vet(rules: &Rules, host: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Cause> {
    if found.is_empty() {
        return Err(Unknown(host.to_owned()).into());
    }
    if rules.proxy_host.as_deref() == Some(host) {
        return Ok(found);
    }
    let allowed: Vec<SocketAddr> =
        found.into_iter().filter(|address| rules.allows(address.ip())).collect();
    if allowed.is_empty() { Err(Refused::Private(host.to_owned()).into()) } else { Ok(allowed) }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => canonical(IpAddr::V6(address)).is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

/// An IPv4 address that is written as an IPv6 one, as itself.
fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(six) => embedded(six).map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// The IPv4 address inside `::ffff:a.b.c.d` (mapped) and `64:ff9b::a.b.c.d` (NAT64, RFC 6052).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    if let Some(four) = address.to_ipv4_mapped() {
        return Some(four);
    }
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            Some(Ipv4Addr::new(a, b, c, d))
        }
        _other => None,
    }
}

/// Whether an address is one of the public Internet (the IANA special-purpose registries, RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match canonical(address) {
        IpAddr::V4(four) => {
            let [a, b, c, _] = four.octets();
            !(four.is_private()
                || four.is_loopback()
                || four.is_link_local()
                || four.is_unspecified()
                || four.is_broadcast()
                || four.is_documentation()
                || four.is_multicast()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && (18..20).contains(&b)))
        }
        IpAddr::V6(six) => {
            let [first, second, ..] = six.segments();
            // Only 2000::/3 is given out as global unicast.
            (first & 0xe000) == 0x2000
                && !(first == 0x2001 && second == 0x0db8)
                && !(first == 0x2001 && second < 0x0200)
                && first != 0x2002
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::config::Egress;

    fn rules(base: &str, environment: Environment, allow_private: bool) -> Rules {
        let settings = Egress {
            allowed_hosts: vec!["Other.example.org".to_owned()],
            allow_private,
            allow_plain_http: false,
            proxy: String::new(),
        };
        Rules::new(&Url::parse(base).unwrap(), environment, &settings)
    }

    fn check(rules: &Rules, url: &str) -> Result<(), Refused> {
        rules.check(&Url::parse(url).unwrap())
    }

    #[test]
    fn only_declared_hosts_by_https() {
        let rules = rules("https://api.learn.mit.edu", Environment::Production, false);
        assert_eq!(check(&rules, "https://API.learn.mit.edu/api/"), Ok(()));
        assert_eq!(check(&rules, "https://other.example.org/"), Ok(()));
        assert_eq!(check(&rules, "http://api.learn.mit.edu/"), Err(Refused::Scheme));
        assert_eq!(check(&rules, "ftp://api.learn.mit.edu/"), Err(Refused::Scheme));
        assert_eq!(check(&rules, "https://u:p@api.learn.mit.edu/"), Err(Refused::Credentials));
        let elsewhere = "https://api.learn.mit.edu.evil.example/";
        assert!(matches!(check(&rules, elsewhere), Err(Refused::Host(_))));
    }

    #[test]
    fn private_addresses_are_refused_in_every_spelling() {
        let rules = rules("https://api.learn.mit.edu", Environment::Production, false);
        for address in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.0.8",
            "240.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001:db8::1",
            "2001::1",
        ] {
            assert!(!rules.allows(address.parse().unwrap()), "{address}");
        }
        for address in
            ["8.8.8.8", "18.9.22.69", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
        {
            assert!(rules.allows(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_name_that_leads_to_private_addresses_only_is_refused_and_a_mixed_one_is_pinned_to_the_public()
     {
        let rules = rules("https://api.learn.mit.edu", Environment::Production, false);
        let at = |text: &str| SocketAddr::new(text.parse().unwrap(), 0);
        let refused = vet(&rules, "x", vec![at("10.0.0.1")]).unwrap_err();
        assert_eq!(refused.downcast_ref(), Some(&Refused::Private("x".to_owned())));
        let pinned = vet(&rules, "x", vec![at("10.0.0.1"), at("8.8.8.8")]).unwrap();
        assert_eq!(pinned, [at("8.8.8.8")]);
        assert!(vet(&rules, "x", Vec::new()).unwrap_err().is::<Unknown>());
    }

    #[test]
    fn a_loopback_base_url_is_meant_in_development_and_must_be_allowed_in_production() {
        let base = "http://127.0.0.1:8765";
        assert_eq!(check(&rules(base, Environment::Dev, false), base), Ok(()));
        let refused = check(&rules(base, Environment::Production, false), base);
        assert!(matches!(refused, Err(Refused::Private(_))));
        assert_eq!(check(&rules(base, Environment::Production, true), base), Ok(()));
        let named = rules("https://api.learn.mit.edu", Environment::Dev, false);
        assert!(!named.allows("127.0.0.1".parse().unwrap()), "a name may not lead here");
    }

    #[tokio::test]
    async fn the_resolver_obeys_the_rules() {
        let rules = rules("https://localhost", Environment::Production, false);
        let resolver = VettedResolver::new(Arc::new(rules));
        let refused = resolver.resolve("localhost".parse().unwrap()).await.err().unwrap();
        assert!(refused.is::<Refused>(), "{refused}");
    }
}
