//! Signatures of requests: made anew for every attempt, checked in constant time.
//!
//! Two forms ride on the same request, so that a receiver can move from one to the other without a
//! day on which neither holds:
//!
//! - **legacy**, what MIT Learn checks today: `X-MITLearn-Signature`, lower-case hex of
//!   HMAC-SHA256(secret, body). It covers the body alone: no time, no id, hence no defence against
//!   a replayed request.
//! - **standard**, Standard Webhooks 1.0: HMAC-SHA256(secret, `id.timestamp.body`) in
//!   `webhook-signature` as `v1,<base64>`, several of them separated by blanks while secrets are
//!   rotated; beside it `webhook-id` (the same at every attempt of a message) and
//!   `webhook-timestamp` (seconds, of this attempt).
//!
//! The bytes signed are the bytes sent: nothing is serialized between the two. A signature made
//! once and reused at a retry is the commonest fault of senders: its timestamp leaves the
//! receiver's tolerance, and the retry that should have healed the failure cannot succeed.
//!
//! A secret is the UTF-8 bytes of its text; with the prefix `whsec_` (standard form) it is what the
//! rest decodes to as base64.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hmac::{Hmac, Mac};
use ol_chassis::secret::SecretText;
use sha2::Sha256;

/// The header MIT Learn checks.
pub const LEGACY_HEADER: &str = "x-mitlearn-signature";
/// The message's identifier, the same at every attempt.
pub const ID_HEADER: &str = "webhook-id";
/// When this attempt was signed, in seconds since 1970-01-01 UTC.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// The signatures of the standard form.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// How far a timestamp may be off, in seconds, in either direction.
pub const TOLERANCE_SECONDS: u64 = 300;

const STANDARD_PREFIX: &str = "whsec_";
const STANDARD_VERSION: &str = "v1";

/// Why a request is not believed. Says which rule, never a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No header of either form.
    #[error("The request carries no signature")]
    Missing,
    /// A signature that is not of its form.
    #[error("The signature is not of the form that its header asks for")]
    Malformed,
    /// No secret makes this signature.
    #[error("No active secret makes this signature")]
    Wrong,
    /// A timestamp that is no number of seconds.
    #[error("The timestamp is not a number of seconds")]
    TimestampMalformed,
    /// A timestamp too far in the past or future.
    #[error("The timestamp is too far from now")]
    TimestampOutside,
}

/// The active secrets of a target, the one to sign with first.
///
/// Never empty. Debug shows how many there are and nothing of them.
#[derive(Clone)]
pub struct Keyring {
    secrets: Vec<SecretText>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Keyring({} secrets)", self.secrets.len())
    }
}

impl Keyring {
    /// The secrets of these texts, the primary first; a text may hold several, one a line. `None`
    /// when there is none at all.
    #[must_use]
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a SecretText>) -> Option<Self> {
        let mut secrets: Vec<SecretText> = Vec::new();
        for line in texts.into_iter().flat_map(|text| text.expose().lines()) {
            if !line.is_empty() && secrets.iter().all(|known| known.expose() != line) {
                secrets.push(SecretText::new(line));
            }
        }
        (!secrets.is_empty()).then_some(Self { secrets })
    }

    /// Whether both hold the same secrets in the same order.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.secrets.len() == other.secrets.len()
            && self.secrets.iter().zip(&other.secrets).all(|(a, b)| a.expose() == b.expose())
    }

    /// How many secrets are active.
    #[must_use]
    pub fn count(&self) -> usize {
        self.secrets.len()
    }

    /// The legacy signature by the secret at `position` (0 is the primary): 64 hex digits.
    #[must_use]
    pub fn legacy(&self, position: usize, body: &[u8]) -> Option<String> {
        let secret = self.secrets.get(position)?;
        Some(hex(&mac(secret.expose().as_bytes(), &[body]).finalize().into_bytes()))
    }

    /// The value of [`SIGNATURE_HEADER`]: a signature by every active secret, separated by blanks.
    #[must_use]
    pub fn standard(&self, id: &str, timestamp_seconds: u64, body: &[u8]) -> String {
        let signatures: Vec<String> = self
            .secrets
            .iter()
            .map(|secret| {
                let mac = standard_mac(secret, id, timestamp_seconds, body);
                format!("{STANDARD_VERSION},{}", STANDARD.encode(mac.finalize().into_bytes()))
            })
            .collect();
        signatures.join(" ")
    }

    /// Checks a legacy signature and says which secret made it (0 is the primary).
    ///
    /// # Errors
    /// [`Refusal::Malformed`] when it is not 64 lower-case hex digits, [`Refusal::Wrong`].
    pub fn check_legacy(&self, signature: &str, body: &[u8]) -> Result<usize, Refusal> {
        let given = unhex(signature).ok_or(Refusal::Malformed)?;
        let matches = |secret: &SecretText| {
            mac(secret.expose().as_bytes(), &[body]).verify_slice(&given).is_ok()
        };
        self.secrets.iter().position(matches).ok_or(Refusal::Wrong)
    }

    /// Checks the three headers of the standard form at `now_seconds` and says which secret signed.
    ///
    /// # Errors
    /// Every [`Refusal`] but [`Refusal::Missing`].
    pub fn check_standard(
        &self,
        id: &str,
        timestamp: &str,
        signatures: &str,
        body: &[u8],
        now_seconds: u64,
    ) -> Result<usize, Refusal> {
        let timestamp_seconds = parse_timestamp(timestamp)?;
        if timestamp_seconds.abs_diff(now_seconds) > TOLERANCE_SECONDS {
            return Err(Refusal::TimestampOutside);
        }
        let given: Vec<Vec<u8>> = signatures
            .split_whitespace()
            .filter_map(|entry| entry.split_once(','))
            .filter(|(version, _)| *version == STANDARD_VERSION)
            .filter_map(|(_, text)| decode_base64(text))
            .collect();
        if given.is_empty() {
            return Err(Refusal::Malformed);
        }
        let matches = |secret: &SecretText| {
            given.iter().any(|signature| {
                standard_mac(secret, id, timestamp_seconds, body).verify_slice(signature).is_ok()
            })
        };
        self.secrets.iter().position(matches).ok_or(Refusal::Wrong)
    }
}

/// The headers of a request that may carry a signature, lower-case name and value.
pub type HeaderPairs = [(String, String)];

/// Checks a captured request by every form it carries: each form that is there must hold.
///
/// # Errors
/// [`Refusal`], of the first form that does not hold.
pub fn check(
    keyring: &Keyring,
    headers: &HeaderPairs,
    body: &[u8],
    now_seconds: u64,
) -> Result<Vec<(&'static str, usize)>, Refusal> {
    let find =
        |name: &str| headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.trim());
    let mut held = Vec::new();
    if let Some(signature) = find(LEGACY_HEADER) {
        held.push(("legacy", keyring.check_legacy(signature, body)?));
    }
    if let Some(signatures) = find(SIGNATURE_HEADER) {
        let (Some(id), Some(timestamp)) = (find(ID_HEADER), find(TIMESTAMP_HEADER)) else {
            return Err(Refusal::Malformed);
        };
        held.push((
            "standard",
            keyring.check_standard(id, timestamp, signatures, body, now_seconds)?,
        ));
    }
    if held.is_empty() { Err(Refusal::Missing) } else { Ok(held) }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac
}

fn standard_mac(secret: &SecretText, id: &str, timestamp: u64, body: &[u8]) -> Hmac<Sha256> {
    let prefix = format!("{id}.{timestamp}.");
    match secret.expose().strip_prefix(STANDARD_PREFIX).and_then(decode_base64) {
        Some(key) => mac(&key, &[prefix.as_bytes(), body]),
        None => mac(secret.expose().as_bytes(), &[prefix.as_bytes(), body]),
    }
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok()
}

fn parse_timestamp(text: &str) -> Result<u64, Refusal> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits {
        return Err(Refusal::TimestampMalformed);
    }
    text.parse().map_err(|_| Refusal::TimestampMalformed)
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes all that is written to it");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let bytes = text.as_bytes();
    if bytes.len() != 64 {
        return None;
    }
    bytes
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => Some((digit(*high)? << 4) | digit(*low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use proptest::prelude::*;

    use super::*;

    fn keyring(text: &str) -> Keyring {
        Keyring::parse([&SecretText::new(text)]).unwrap()
    }

    /// Made by CPython's `hmac`; also in the receiver's own tests.
    const VECTORS: [(&str, &str); 3] = [
        (
            r#"{"source":"canvas","content_path":"canvas/course_content/123/abc.imscc","course_id":123}"#,
            "f5742fb1ec88175717ab57cdcba62d6b64f70cb54a2cf26b895499062f3810e2",
        ),
        (
            r#"{"video_id":"vid_abc123","delete":true}"#,
            "ce49e789626217d6ecd77d6ab4474f66812c5a4e31015ac983ad65b7ac4cf20f",
        ),
        (
            r#"{"resources":[{"readable_id":"a","title":"Caf\u00e9"}]}"#,
            "f60454f1c31c2ba56cca6ff21b6fdf184278a914e61ff15fd84aca7450582e7e",
        ),
    ];

    #[test]
    fn the_legacy_vectors_hold() {
        let keyring = keyring("supersecret");
        for (body, signature) in VECTORS {
            assert_eq!(keyring.legacy(0, body.as_bytes()).unwrap(), signature);
            assert_eq!(keyring.check_legacy(signature, body.as_bytes()), Ok(0));
            let upper = signature.to_ascii_uppercase();
            assert_eq!(keyring.check_legacy(&upper, body.as_bytes()), Err(Refusal::Malformed));
        }
    }

    /// The vector of the Standard Webhooks specification.
    #[test]
    fn the_standard_vector_holds() {
        let keyring = keyring("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", br#"{"test": 2432232314}"#);
        let signature = keyring.standard(id, 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let at = |now| keyring.check_standard(id, "1614265330", &signature, body, now);
        assert_eq!(at(1_614_265_330 + 300), Ok(0));
        assert_eq!(at(1_614_265_330 + 301), Err(Refusal::TimestampOutside));
        assert_eq!(at(1_614_265_330 - 301), Err(Refusal::TimestampOutside));
    }

    #[test]
    fn every_active_secret_signs_and_either_is_believed() {
        let both = keyring("new\nold");
        assert_eq!(both.count(), 2);
        let signatures = both.standard("msg_1", 100, b"{}");
        for secret in ["new", "old"] {
            let receiver = keyring(secret);
            assert_eq!(receiver.check_standard("msg_1", "100", &signatures, b"{}", 100), Ok(0));
        }
        let old = keyring("old").legacy(0, b"{}").unwrap();
        assert_eq!(both.check_legacy(&old, b"{}"), Ok(1));
        assert!(both.legacy(2, b"{}").is_none());
        assert!(!format!("{both:?}").contains("new"));
    }

    #[test]
    fn a_captured_request_is_checked_by_each_form_it_carries() {
        let keyring = keyring("s");
        let mut headers = vec![(LEGACY_HEADER.to_owned(), keyring.legacy(0, b"{}").unwrap())];
        assert_eq!(check(&keyring, &headers, b"{}", 0), Ok(vec![("legacy", 0)]));
        assert_eq!(check(&keyring, &headers, b"{} ", 0), Err(Refusal::Wrong));
        headers.push((SIGNATURE_HEADER.to_owned(), keyring.standard("m", 7, b"{}")));
        assert_eq!(check(&keyring, &headers, b"{}", 0), Err(Refusal::Malformed));
        headers.push((ID_HEADER.to_owned(), "m".to_owned()));
        headers.push((TIMESTAMP_HEADER.to_owned(), "7".to_owned()));
        assert_eq!(check(&keyring, &headers, b"{}", 0), Ok(vec![("legacy", 0), ("standard", 0)]));
        assert_eq!(check(&keyring, &[], b"{}", 0), Err(Refusal::Missing));
    }

    proptest! {
        #[test]
        fn what_is_signed_is_believed_and_nothing_else(
            secret in "[!-~]{1,40}", id in "[a-z_0-9]{1,30}", body in any::<Vec<u8>>(),
            timestamp in 0u64..4_000_000_000, flip in any::<prop::sample::Index>(),
        ) {
            let keyring = keyring(&secret);
            let standard = keyring.standard(&id, timestamp, &body);
            let stamp = timestamp.to_string();
            prop_assert_eq!(keyring.check_standard(&id, &stamp, &standard, &body, timestamp), Ok(0));
            let legacy = keyring.legacy(0, &body).unwrap();
            prop_assert_eq!(keyring.check_legacy(&legacy, &body), Ok(0));
            let mut other = body.clone();
            other.push(0);
            let place = flip.index(other.len());
            if let Some(byte) = other.get_mut(place) { *byte ^= 1; }
            prop_assert_eq!(keyring.check_legacy(&legacy, &other), Err(Refusal::Wrong));
            prop_assert_eq!(
                keyring.check_standard(&id, &stamp, &standard, &other, timestamp),
                Err(Refusal::Wrong)
            );
        }

        #[test]
        fn no_header_makes_the_check_panic(
            values in prop::collection::vec((prop::sample::select(vec![
                LEGACY_HEADER, ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER]), ".{0,80}"), 0..6),
            body in any::<Vec<u8>>(),
        ) {
            let headers: Vec<_> =
                values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            prop_assert!(check(&keyring("s"), &headers, &body, 0).is_err());
        }
    }
}
