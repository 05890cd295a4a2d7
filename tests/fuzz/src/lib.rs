//! The modules of `ol-webhook` that read foreign bytes: its very files, without outbox, transport and lake, hence
//! without DataFusion.
//!
//! | target | what it eats | what must hold |
//! |---|---|---|
//! | `signature` | headers and body | only our secrets are believed; one changed byte is not |
//! | `payload` | lines of JSON | written and read again equal; what is built, the receiver takes |
//! | `builder` | good payloads with some edits | the same, far behind the checks that turn most JSON away |
//! | `schedule` | `Retry-After` | both forms read back; waits stay within their bounds |
//! | `triage` | answers | the order of `Allow` does not matter; no value of a body is repeated |
//! | `receiver` | requests | every one has an answer, from which triage finds the true cause |
//! | `connection` | bytes of a connection | it ends, and the next request is served |
//!
//! A crash becomes a fix and a unit test where the code is; its input becomes a seed in `seeds/`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a crash is what is looked for")]
#![allow(dead_code, reason = "the files are those of another crate, and not all of them are here")]

#[path = "../../../crates/webhook/src/error.rs"]
pub mod error;
#[path = "../../../crates/webhook/src/payload/mod.rs"]
pub mod payload;
pub mod payloads;
pub mod receiver;
#[path = "../../../crates/webhook/src/schedule.rs"]
pub mod schedule;
#[path = "../../../crates/webhook/src/signature.rs"]
pub mod signature;
#[path = "../../../crates/webhook/src/triage.rs"]
pub mod triage;

use signature::Keyring;

/// Hosts of OVS media, the same for the sender and the receiver.
pub const OVS_HOST: &str = ".cloudfront.net";

/// The secrets of a text, one a line.
pub fn keyring(text: &str) -> Option<Keyring> {
    Keyring::parse([&ol_chassis::secret::SecretText::new(text)])
}

/// A request or something like one, in the form that seeds have: lines of `name: value`, an empty line, a body.
///
/// Names are lower-case and unique only when the bytes say so.
#[derive(Debug)]
pub struct Message<'a> {
    /// Everything before the first line that is no header: a request line, usually.
    pub first: &'a str,
    /// The headers, in their order.
    pub headers: Vec<(String, String)>,
    /// All bytes behind the empty line.
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads one. `None` when what should be text is not.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (head, body) = match bytes.windows(2).position(|pair| pair == b"\n\n") {
            Some(place) => (&bytes[..place], &bytes[place + 2..]),
            None => (bytes, &[][..]),
        };
        let head = std::str::from_utf8(head).ok()?;
        let (first, rest) = head.split_once('\n').unwrap_or((head, ""));
        let headers = rest.split('\n').filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Some(Self { first, headers, body })
    }

    /// The value of the first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}
