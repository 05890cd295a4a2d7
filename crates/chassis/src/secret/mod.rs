//! Secrets that cannot be printed, and where they come from.
//!
//! A secret is a type of its own ([`SecretText`], [`SecretUrl`]): its debug form, its display and
//! its serialized form are safe, so a log line, an error or a metric cannot give it away by
//! accident (I9). [`expose`](SecretText::expose) is the one way in, and easy to search for.
//!
//! A [`SecretSource`] says where one is: in a variable, in a file (Docker and Kubernetes secrets),
//! or in Vault. It is read at the moment of connection, not at start, because a long run outlives a
//! rotated password. Vault's database credentials live as long as their lease: the [`SecretUrl`]
//! made from them keeps the lease renewed until its last clone is dropped.

mod lease;
mod login;
mod source;
mod text;
mod url;
mod vault;

pub use source::SecretSource;
pub use text::SecretText;
pub use url::SecretUrl;
pub use vault::Vault;
