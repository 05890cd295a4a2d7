//! SCRAM-SHA-256: the password is proven and never sent, and the server proves in turn that it knows it.
//!
//! ```text
//!   SaltedPassword = PBKDF2(SASLprep(password), salt, iterations)      AuthMessage = first-bare , server-first , final-bare
//!   ClientProof    = ClientKey XOR HMAC(SHA256(ClientKey), AuthMessage)     ClientKey = HMAC(SaltedPassword, "Client Key")
//!   ServerSignature = HMAC(ServerKey, AuthMessage)                          ServerKey = HMAC(SaltedPassword, "Server Key")
//! ```
//!
//! Source: RFC 5802, RFC 7677; MongoDB Specifications, "Authentication", "SCRAM-SHA-256".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use ol_chassis::secret::SecretText;
use sha2::{Digest as _, Sha256};

use super::super::bson::{Builder, Value};
use super::super::error::SourceError;
use super::Connection;

/// Fewer iterations than the specification allows would be those of somebody who wants to try passwords.
const LEAST_ITERATIONS: u32 = 4096;
/// More would keep us busy for minutes.
const MOST_ITERATIONS: u32 = 10_000_000;

type Digest = [u8; 32];

pub(super) fn prove(
    connection: &mut Connection,
    database: &str,
    user: &str,
    password: &SecretText,
) -> Result<(), SourceError> {
    let nonce =
        uuid::Uuid::new_v4().simple().to_string() + &uuid::Uuid::new_v4().simple().to_string();
    let exchange = Exchange::new(user, nonce);
    let start = Builder::new()
        .int32("saslStart", 1)
        .string("mechanism", "SCRAM-SHA-256")
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
    nonce: String,
    first_bare: String,
}

impl Exchange {
    fn new(user: &str, nonce: String) -> Self {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Self { first_bare: format!("n={user},r={nonce}"), nonce }
    }

    /// Our last message, and what the server must say to it.
    fn answer(&self, password: &SecretText, first: &str) -> Result<(String, Digest), SourceError> {
        let not = || SourceError::Protocol("the first message of a login");
        let part = |key: &str| first.split(',').find_map(|part| part.strip_prefix(key));
        let nonce = part("r=").filter(|it| it.starts_with(&self.nonce)).ok_or_else(not)?;
        let salt = part("s=").and_then(|it| STANDARD.decode(it).ok()).ok_or_else(not)?;
        let iterations: u32 = part("i=").and_then(|it| it.parse().ok()).ok_or_else(not)?;
        if !(LEAST_ITERATIONS..=MOST_ITERATIONS).contains(&iterations) {
            return Err(SourceError::Protocol("a possible number of iterations"));
        }
        // What SASLprep forbids, a server may have taken as it was.
        let prepared = stringprep::saslprep(password.expose());
        let prepared = prepared.as_deref().unwrap_or(password.expose());
        let salted = pbkdf2(prepared.as_bytes(), &salt, iterations);
        let final_bare = format!("c=biws,r={nonce}");
        let message = format!("{},{first},{final_bare}", self.first_bare);
        let client_key = hmac(&salted, &[b"Client Key"]);
        let stored_key: Digest = Sha256::digest(client_key).into();
        let mut proof = hmac(&stored_key, &[message.as_bytes()]);
        proof.iter_mut().zip(client_key).for_each(|(byte, key)| *byte ^= key);
        let server_key = hmac(&salted, &[b"Server Key"]);
        let signature = hmac(&server_key, &[message.as_bytes()]);
        Ok((format!("{final_bare},p={}", STANDARD.encode(proof)), signature))
    }
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Digest {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// The first block of PBKDF2, which is all that is needed (RFC 8018, 5.2).
fn pbkdf2(password: &[u8], salt: &[u8], iterations: u32) -> Digest {
    let keyed = Hmac::<Sha256>::new_from_slice(password).expect("HMAC takes keys of every length");
    let block = |parts: &[&[u8]]| -> Digest {
        let mut mac = keyed.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    };
    let mut last = block(&[salt, &1u32.to_be_bytes()]);
    let mut sum = last;
    for _ in 1..iterations {
        last = block(&[&last]);
        sum.iter_mut().zip(last).for_each(|(byte, other)| *byte ^= other);
    }
    sum
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    /// The example of RFC 7677, section 3.
    #[test]
    fn the_example_of_the_standard() {
        let exchange = Exchange::new("user", "rOprNGfwEbeRWgbNEkqO".into());
        let first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (last, signature) = exchange.answer(&SecretText::new("pencil"), first).unwrap();
        assert_eq!(
            last,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(STANDARD.encode(signature), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn a_server_that_asks_for_too_little_or_repeats_another_nonce_is_refused() {
        let exchange = Exchange::new("user", "abc".into());
        for first in ["r=abcd,s=W22Z,i=1", "r=xyz,s=W22Z,i=4096", "r=abcd,i=4096", "e=other-error"]
        {
            assert!(exchange.answer(&SecretText::new("pencil"), first).is_err(), "{first}");
        }
    }
}
