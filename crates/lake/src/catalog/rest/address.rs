//! What the address of a REST catalog says.
//!
//! `rest+https://[client:secret@]host[:port][/path][?warehouse=…&scope=…&token_url=…&vended_credentials=…]`

use std::collections::BTreeMap;

use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::settings::CatalogAddress;

/// The scope that clients ask for unless they are told another one: that of the protocol's own examples.
const SCOPE: &str = "catalog";

/// A client that gets its token by OAuth 2.0 client credentials (RFC 6749, section 4.4).
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) secret: String,
    pub(super) scope: String,
    /// Where tokens are given out.
    pub(super) token_url: Url,
}

/// An address taken apart. It holds secrets, so it has no `Debug`.
#[derive(Clone)]
pub(super) struct Address {
    /// The base of all paths, without a slash at its end.
    pub(super) base: String,
    /// Host and port, for messages.
    pub(super) server: String,
    /// Which of the server's warehouses.
    pub(super) warehouse: Option<String>,
    /// Who asks, when the server wants to know.
    pub(super) client: Option<Client>,
    /// Whether the server is asked to lend the means to reach the files.
    pub(super) wants_credentials: bool,
}

impl Address {
    pub(super) fn parse(address: &CatalogAddress) -> Result<Self> {
        let refuse = |reason: &str| {
            Error::new(ErrorKind::Settings).with("catalog", address).with("reason", reason)
        };
        let text = address.expose().strip_prefix("rest+").unwrap_or_default();
        // The parser's message may repeat parts of the address, so it is not kept as the cause.
        let mut url = Url::parse(text).map_err(|_secret| {
            refuse("it is not rest+https://[client:secret@]host[:port][/path]")
        })?;
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| refuse("it names no host"))?.to_owned();
        let server = url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        let mut options: BTreeMap<String, String> =
            url.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
        let (id, secret) = (url.username().to_owned(), url.password().map(str::to_owned));
        let bare = url.set_username("").and_then(|()| url.set_password(None));
        bare.map_err(|()| refuse("it cannot carry a client"))?;
        url.set_query(None);
        url.set_fragment(None);
        let base = url.as_str().trim_end_matches('/').trim_end_matches("/v1").to_owned();
        let scope = options.remove("scope").unwrap_or_else(|| SCOPE.to_owned());
        let token_url = match options.remove("token_url") {
            Some(text) => Url::parse(&text),
            None => Url::parse(&format!("{base}/v1/oauth/tokens")),
        };
        let token_url = token_url.map_err(|_invalid| refuse("token_url is not an address"))?;
        let client = match (id.is_empty(), secret) {
            (true, None) => None,
            (false, Some(secret)) => {
                let (id, secret) = (decoded(&id), decoded(&secret));
                let is_private = |url: &Url| url.scheme() == "https" || is_loopback(url);
                if !is_private(&url) || !is_private(&token_url) {
                    return Err(refuse("a secret is sent over https:// only"));
                }
                Some(Client { id, secret, scope, token_url })
            }
            _half => return Err(refuse("a client needs an identifier and a secret")),
        };
        let warehouse = options.remove("warehouse");
        let wants_credentials = match options.remove("vended_credentials").as_deref() {
            None | Some("true") => true,
            Some("false") => false,
            Some(_other) => return Err(refuse("vended_credentials is true or false")),
        };
        if let Some((key, _value)) = options.pop_first() {
            let known = "warehouse, scope, token_url and vended_credentials are known";
            return Err(refuse(known).with("catalog option", key));
        }
        Ok(Self { base, server, warehouse, client, wants_credentials })
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// What the address spells by `%XX`.
fn decoded(text: &str) -> String {
    let pair = format!("x={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map_or_else(String::new, |(_key, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]
    use super::*;

    #[test]
    fn all_parts_are_found() {
        let text = "rest+https://ada:love%2Flace%2B@lake.example.org/api/catalog/v1/?warehouse=ol&scope=PRINCIPAL_ROLE:ALL";
        let address = Address::parse(&CatalogAddress::from(text)).unwrap();
        assert_eq!(address.base, "https://lake.example.org/api/catalog");
        assert_eq!(address.warehouse.as_deref(), Some("ol"));
        let client = address.client.unwrap();
        assert_eq!((client.id.as_str(), client.secret.as_str()), ("ada", "love/lace+"));
        assert_eq!(client.scope, "PRINCIPAL_ROLE:ALL");
        assert_eq!(
            client.token_url.as_str(),
            "https://lake.example.org/api/catalog/v1/oauth/tokens"
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_keeps_its_secret() {
        for (text, told) in [
            ("rest+https://", "rest+https://"),
            ("rest+http://ada:lovelace@lake.example.org", "https"),
            ("rest+https://ada@lake.example.org", "secret"),
            ("rest+https://lake.example.org?prefix=x", "prefix"),
            ("rest+https://lake.example.org?vended_credentials=1", "true or false"),
            ("rest+https://ada:lovelace@lake.example.org?token_url=http://x.org/t", "https"),
        ] {
            let error = Address::parse(&CatalogAddress::from(text)).err().unwrap();
            assert_eq!(error.kind(), &ErrorKind::Settings, "{text}");
            let said = format!("{error} {error:?}");
            assert!(said.contains(told) && !said.contains("lovelace"), "{said}");
        }
        let local = CatalogAddress::from("rest+http://ada:lovelace@127.0.0.1:8181");
        assert!(Address::parse(&local).is_ok());
    }
}
