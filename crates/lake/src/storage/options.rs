//! How a warehouse on S3 is reached.

use std::time::Duration;

use ol_chassis::secret::SecretText;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// S3 takes no part below 5 MiB but the last, and at most 10,000 of them.
const SMALLEST_PART_BYTES: usize = 5 << 20;

/// How a warehouse on S3 is reached and what its objects are encrypted with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct S3Options {
    /// Address of the server; `None` takes `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL` or the profile's, or else AWS.
    /// Plain HTTP is spoken where an endpoint asks for it, and nowhere else.
    pub endpoint: Option<String>,
    /// The region of the buckets; `None` takes `AWS_REGION`, the profile's, or the machine's.
    pub region: Option<String>,
    /// Who asks.
    #[serde(skip)]
    pub credentials: S3Credentials,
    /// Where the name of a bucket stands in the address of a request.
    pub addressing: S3Addressing,
    /// Encryption that is asked for each object; `None` leaves it to the bucket.
    pub encryption: Option<S3Encryption>,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long one request may take, its body included.
    pub request_timeout: Duration,
    /// How often a request is repeated that the server could not serve, or that got lost.
    pub retries: usize,
    /// Size of the parts a large object is uploaded in. A smaller object is one request.
    pub part_bytes: usize,
    /// Parts of one object that are under way at the same time. A writer holds one part more than this in memory.
    pub parts_in_flight: usize,
}

impl Default for S3Options {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            credentials: S3Credentials::default(),
            addressing: S3Addressing::default(),
            encryption: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(60),
            retries: 8,
            part_bytes: 8 << 20,
            parts_in_flight: 3,
        }
    }
}

impl S3Options {
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |setting: &str, reason: &str| {
            Err(Error::new(ErrorKind::Settings).with("setting", setting).with("reason", reason))
        };
        if self.part_bytes < SMALLEST_PART_BYTES {
            return refuse("s3.part_bytes", "S3 takes no part below 5 MiB (5242880)");
        }
        if self.parts_in_flight == 0 {
            return refuse("s3.parts_in_flight", "it must be at least 1");
        }
        if self.connect_timeout.is_zero() || self.request_timeout.is_zero() {
            return refuse("s3 timeouts", "they must be longer than nothing");
        }
        Ok(())
    }
}

/// Who asks for objects.
#[derive(Clone, Debug, Default)]
pub enum S3Credentials {
    /// The chain of the AWS tools: environment, profile files, web identity, container, instance.
    #[default]
    Chain,
    /// These keys.
    Keys {
        /// The access key.
        access_key_id: String,
        /// Its secret.
        secret_access_key: SecretText,
        /// The token of temporary keys.
        session_token: Option<SecretText>,
    },
}

impl PartialEq for S3Credentials {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Chain, Self::Chain) => true,
            (Self::Keys { access_key_id: ours, .. }, Self::Keys { access_key_id: theirs, .. }) => {
                ours == theirs
            }
            (Self::Chain, Self::Keys { .. }) | (Self::Keys { .. }, Self::Chain) => false,
        }
    }
}

/// Where the name of a bucket stands in the address of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum S3Addressing {
    /// In the path where an endpoint is set or the name has dots (no certificate fits it), in the host otherwise.
    #[default]
    Auto,
    /// In the path.
    Path,
    /// In the host.
    Host,
}

/// What objects are encrypted with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum S3Encryption {
    /// Keys of S3 (`AES256`).
    S3,
    /// A key of KMS (`aws:kms`); without its name the account's own key for S3.
    Kms {
        /// Name, ARN or alias of the key.
        key_id: Option<String>,
    },
    /// Twice by a key of KMS (`aws:kms:dsse`).
    DualKms {
        /// Name, ARN or alias of the key.
        key_id: Option<String>,
    },
}
