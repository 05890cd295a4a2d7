//! SCRAM: the password is proven and never sent, and the server proves in turn that it knows it.
//!
//! ```text
//!   SaltedPassword = PBKDF2(password, salt, iterations)                AuthMessage = first-bare , server-first , final-bare
//!   ClientProof    = ClientKey XOR HMAC(H(ClientKey), AuthMessage)         ClientKey = HMAC(SaltedPassword, "Client Key")
//!   ServerSignature = HMAC(ServerKey, AuthMessage)                         ServerKey = HMAC(SaltedPassword, "Server Key")
//! ```
//!
//! The hash is SHA-256 where the server says that it has such a secret of the account, and SHA-1 for accounts and servers
//! from before 4.0. For SHA-1 what stands for the password is MongoDB's older digest of it.
//!
//! Source: RFC 5802, RFC 7677; MongoDB Specifications, "Authentication", "SCRAM-SHA-1", "SCRAM-SHA-256".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use ol_chassis::secret::SecretText;
use sha2::{Digest as _, Sha256};

use super::super::bson::{Builder, Value};
use super::super::error::SourceError;
use super::Connection;

/// Fewer iterations than the specification allows would be those of somebody who wants to try passwords.
const LEAST_ITERATIONS: u32 = 4096;
/// More would keep us busy for minutes.
const MOST_ITERATIONS: u32 = 10_000_000;
/// The block of either hash, in bytes (RFC 2104).
const BLOCK_BYTES: usize = 64;

/// A way of logging in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// `SCRAM-SHA-1`.
    Sha1,
    /// `SCRAM-SHA-256`.
    Sha256,
}

impl Mechanism {
    /// The name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Sha1 => "SCRAM-SHA-1",
            Self::Sha256 => "SCRAM-SHA-256",
        }
    }

    fn hash(self, parts: &[&[u8]]) -> Vec<u8> {
        match self {
            Self::Sha1 => {
                let mut hash = sha1::Sha1::default();
                parts.iter().for_each(|part| sha1::Digest::update(&mut hash, part));
                sha1::Digest::finalize(hash).to_vec()
            }
            Self::Sha256 => {
                let mut hash = Sha256::new();
                parts.iter().for_each(|part| hash.update(part));
                hash.finalize().to_vec()
            }
        }
    }

    /// HMAC (RFC 2104); the two crates of hashes do not share one.
    fn hmac(self, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        let mut block = if key.len() > BLOCK_BYTES { self.hash(&[key]) } else { key.to_vec() };
        block.resize(BLOCK_BYTES, 0);
        let with = |pad: u8| block.iter().map(|byte| byte ^ pad).collect::<Vec<u8>>();
        let mut inner = vec![];
        let inner_key = with(0x36);
        inner.push(inner_key.as_slice());
        inner.extend(parts);
        let inner = self.hash(&inner);
        self.hash(&[&with(0x5c), &inner])
    }

    /// The first block of PBKDF2, which is all that is needed (RFC 8018, 5.2).
    fn pbkdf2(self, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
        let mut last = self.hmac(password, &[salt, &1u32.to_be_bytes()]);
        let mut sum = last.clone();
        for _ in 1..iterations {
            last = self.hmac(password, &[&last]);
            sum.iter_mut().zip(&last).for_each(|(byte, other)| *byte ^= other);
        }
        sum
    }

    /// What stands for the password.
    fn prepared(self, user: &str, password: &SecretText) -> Vec<u8> {
        match self {
            Self::Sha1 => {
                let digest = Md5::digest(format!("{user}:mongo:{}", password.expose()));
                digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes()
            }
            Self::Sha256 => {
                // What SASLprep forbids, a server may have taken as it was.
                let prepared = stringprep::saslprep(password.expose());
                prepared.as_deref().unwrap_or(password.expose()).as_bytes().to_vec()
            }
        }
    }
}

pub(super) fn prove(
    connection: &mut Connection,
    mechanism: Mechanism,
    database: &str,
    user: &str,
    password: &SecretText,
) -> Result<(), SourceError> {
    let random = || uuid::Uuid::new_v4().simple().to_string();
    let exchange = Exchange::new(mechanism, user, random() + &random());
    let start = Builder::new()
        .int32("saslStart", 1)
        .string("mechanism", mechanism.word())
        .binary("payload", format!("n,,{}", exchange.first_bare).as_bytes())
        .document("options", Builder::new().boolean("skipEmptyExchange", true));
    let (conversation, first, _) = ask(connection, database, start)?;
    let (proof, signature) = exchange.answer(password, &first)?;
    let go_on = |payload: &[u8]| {
        Builder::new()
            .int32("saslContinue", 1)
            .int32("conversationId", conversation)
            .binary("payload", payload)
    };
    let (_, last, mut is_done) = ask(connection, database, go_on(proof.as_bytes()))?;
    let expected = format!("v={}", STANDARD.encode(signature));
    if last.split(',').next() != Some(expected.as_str()) {
        return Err(SourceError::ServerNotProven);
    }
    if !is_done {
        // A server that knows nothing of skipEmptyExchange wants one more.
        (_, _, is_done) = ask(connection, database, go_on(b""))?;
    }
    is_done.then_some(()).ok_or(SourceError::Protocol("the end of a login"))
}

/// Sends a step; the conversation, the server's payload, and whether it is done.
fn ask(
    connection: &mut Connection,
    database: &str,
    step: Builder,
) -> Result<(i32, String, bool), SourceError> {
    let answer = connection.run(database, step)?;
    let document = connection.document(&answer)?;
    let not = || SourceError::Protocol("a step of a login");
    let Some(Value::Binary { bytes, .. }) = document.get("payload")? else { return Err(not()) };
    let Some(Value::Int32(conversation)) = document.get("conversationId")? else {
        return Err(not());
    };
    let is_done = document.get("done")? == Some(Value::Boolean(true));
    let payload = std::str::from_utf8(bytes).map_err(|_| not())?;
    Ok((conversation, payload.to_owned(), is_done))
}

/// One login, without the wire.
struct Exchange {
    mechanism: Mechanism,
    user: String,
    nonce: String,
    first_bare: String,
}

impl Exchange {
    fn new(mechanism: Mechanism, user: &str, nonce: String) -> Self {
        let escaped = user.replace('=', "=3D").replace(',', "=2C");
        let first_bare = format!("n={escaped},r={nonce}");
        Self { mechanism, user: user.to_owned(), nonce, first_bare }
    }

    /// Our last message, and what the server must say to it.
    fn answer(&self, password: &SecretText, first: &str) -> Result<(String, Vec<u8>), SourceError> {
        let not = || SourceError::Protocol("the first message of a login");
        let part = |key: &str| first.split(',').find_map(|part| part.strip_prefix(key));
        let nonce = part("r=").filter(|it| it.starts_with(&self.nonce)).ok_or_else(not)?;
        let salt = part("s=").and_then(|it| STANDARD.decode(it).ok()).ok_or_else(not)?;
        let iterations: u32 = part("i=").and_then(|it| it.parse().ok()).ok_or_else(not)?;
        if !(LEAST_ITERATIONS..=MOST_ITERATIONS).contains(&iterations) {
            return Err(SourceError::Protocol("a possible number of iterations"));
        }
        let by = self.mechanism;
        let salted = by.pbkdf2(&by.prepared(&self.user, password), &salt, iterations);
        let final_bare = format!("c=biws,r={nonce}");
        let message = format!("{},{first},{final_bare}", self.first_bare);
        let client_key = by.hmac(&salted, &[b"Client Key"]);
        let mut proof = by.hmac(&by.hash(&[&client_key]), &[message.as_bytes()]);
        proof.iter_mut().zip(&client_key).for_each(|(byte, key)| *byte ^= key);
        let server_key = by.hmac(&salted, &[b"Server Key"]);
        let signature = by.hmac(&server_key, &[message.as_bytes()]);
        Ok((format!("{final_bare},p={}", STANDARD.encode(proof)), signature))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    /// The example of RFC 7677, section 3.
    #[test]
    fn the_example_of_the_standard() {
        let exchange = Exchange::new(Mechanism::Sha256, "user", "rOprNGfwEbeRWgbNEkqO".into());
        let first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (last, signature) = exchange.answer(&SecretText::new("pencil"), first).unwrap();
        assert_eq!(
            last,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(STANDARD.encode(signature), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    /// The example of the specification of MongoDB's authentication, "SCRAM-SHA-1".
    #[test]
    fn the_example_of_the_older_hash() {
        let exchange = Exchange::new(Mechanism::Sha1, "user", "fyko+d2lbbFgONRv9qkxdawL".into());
        let first = "r=fyko+d2lbbFgONRv9qkxdawLHo+Vgk7qvUOKUwuWLIWg4l/9SraGMHEE,s=rQ9ZY3MntBeuP3E1TDVC4w==,i=10000";
        let (last, signature) = exchange.answer(&SecretText::new("pencil"), first).unwrap();
        assert_eq!(
            last,
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawLHo+Vgk7qvUOKUwuWLIWg4l/9SraGMHEE,p=MC2T8BvbmWRckDw8oWl5IVghwCY="
        );
        assert_eq!(STANDARD.encode(signature), "UMWeI25JD1yNYZRMpZ4VHvhZ9e0=");
    }

    #[test]
    fn a_server_that_asks_for_too_little_or_repeats_another_nonce_is_refused() {
        let exchange = Exchange::new(Mechanism::Sha256, "user", "abc".into());
        for first in ["r=abcd,s=W22Z,i=1", "r=xyz,s=W22Z,i=4096", "r=abcd,i=4096", "e=other-error"]
        {
            assert!(exchange.answer(&SecretText::new("pencil"), first).is_err(), "{first}");
        }
    }
}
