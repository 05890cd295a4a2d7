//! Masks: what replaces a value before anything of it is written.
//!
//! A hashed value is `hex(sha256(salt ‖ text))`, lower case, where the text is the one that the source prints: equal
//! values stay equal, also across tables and runs, so they can be joined on. The salt is a secret, because without one
//! every e-mail address that somebody guesses could be looked up. Whoever changes it resets the tables.
//!
//! The mask is part of how a column is read (`Wire::Hashed`, `Wire::Nulled` of a source), so there is no way from a
//! value to a batch past it, be it copied or streamed.

use std::fmt;

use ol_chassis::config::Variables;
use ol_chassis::secret::{SecretSource, SecretText};
use sha2::{Digest as _, Sha256};

use crate::error::{Definite, Error};

/// The variable of the salt; `OL_MASK_SALT_FILE` and Vault are looked at as for every secret.
pub const SALT_VARIABLE: &str = "OL_MASK_SALT";
/// The shortest salt, in bytes: what is shorter can be tried out.
const SHORTEST_SALT: usize = 16;

/// The secret that values are hashed with. It cannot be printed.
#[derive(Clone)]
pub struct Salt(Sha256);

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(…)")
    }
}

impl PartialEq for Salt {
    fn eq(&self, other: &Self) -> bool {
        self.0.clone().finalize() == other.0.clone().finalize()
    }
}

impl Eq for Salt {}

impl Salt {
    /// The salt that the environment names.
    ///
    /// # Errors
    /// There is none, it cannot be read, or it is too short to be one.
    pub async fn load() -> Result<Self, Error> {
        let missing = |what: &str| {
            Error::new(Definite::Configuration)
                .with("variable", SALT_VARIABLE)
                .with("what", what)
                .advise(format!(
                    "Set {SALT_VARIABLE} (or {SALT_VARIABLE}_FILE, or a path in Vault) to a secret of at least \
                     {SHORTEST_SALT} bytes that stays the same."
                ))
        };
        let Some(source) = SecretSource::from_variables(SALT_VARIABLE, &Variables::process())?
        else {
            return Err(missing("columns are masked by sha256_salted, and there is no salt"));
        };
        let text = source.read().await?;
        if text.expose().len() < SHORTEST_SALT {
            return Err(missing("the salt is too short"));
        }
        Ok(Self::of(&text))
    }

    /// A salt of this text.
    #[must_use]
    pub fn of(text: &SecretText) -> Self {
        Self(Sha256::new_with_prefix(text.expose().as_bytes()))
    }

    /// Appends the mask of a value, given as the source prints it, to `out`.
    pub fn mask(&self, text: &[u8], out: &mut String) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hash = self.0.clone();
        hash.update(text);
        for byte in hash.finalize() {
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from(*DIGITS.get(usize::from(digit)).unwrap_or(&b'?')));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_is_the_digest_of_salt_and_text() {
        let salt = Salt::of(&SecretText::new("pepper and salt!"));
        let mut out = String::new();
        salt.mask(b"somebody@example.org", &mut out);
        // printf '%s' 'pepper and salt!somebody@example.org' | sha256sum
        assert_eq!(out, "de9300bef1c02a7c6b6c62677292aaf70c2a867bce834bdfc7bca7a2a290718a");
        assert_eq!(format!("{salt:?}"), "Salt(…)");
        assert_ne!(salt, Salt::of(&SecretText::new("another one of 16")));
    }
}
