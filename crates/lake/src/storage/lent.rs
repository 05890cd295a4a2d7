//! Keys to a table's files that a catalog lends with the table.

use std::collections::BTreeMap;

use ol_chassis::secret::SecretText;

use super::options::{S3Addressing, S3Credentials, S3Options};

/// Keys and address that a catalog has given for the files of one table. The names of the settings are those of the
/// protocol's configuration of S3.
#[derive(Clone, Debug)]
pub(crate) struct Lent {
    endpoint: Option<String>,
    region: Option<String>,
    in_path: Option<bool>,
    access_key_id: String,
    secret_access_key: SecretText,
    session_token: Option<SecretText>,
}

impl Lent {
    /// What the settings lend; nothing when they have no keys: an address alone says no more than our own surroundings.
    pub(crate) fn of(mut settings: BTreeMap<String, String>) -> Option<Self> {
        Some(Self {
            access_key_id: settings.remove("s3.access-key-id")?,
            secret_access_key: SecretText::new(settings.remove("s3.secret-access-key")?),
            session_token: settings.remove("s3.session-token").map(SecretText::new),
            endpoint: settings.remove("s3.endpoint"),
            region: settings.remove("s3.region").or_else(|| settings.remove("client.region")),
            in_path: settings.remove("s3.path-style-access").map(|value| value == "true"),
        })
    }

    /// Our own options with what is lent in their place.
    pub(super) fn options(self, own: &S3Options) -> S3Options {
        S3Options {
            endpoint: self.endpoint.or_else(|| own.endpoint.clone()),
            region: self.region.or_else(|| own.region.clone()),
            addressing: match self.in_path {
                Some(true) => S3Addressing::Path,
                Some(false) | None => own.addressing,
            },
            credentials: S3Credentials::Keys {
                access_key_id: self.access_key_id,
                secret_access_key: self.secret_access_key,
                session_token: self.session_token,
            },
            ..own.clone()
        }
    }
}
