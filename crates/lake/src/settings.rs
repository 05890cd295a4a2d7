//! Where the lake is and how its files are written.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Result};
use crate::storage::options::S3Options;

/// The name of the catalog inside its database. Every reader must be told the same one.
pub const CATALOG_NAME: &str = "ol";

/// Address of a catalog: `sqlite:PATH`, `postgres://user:password@host/database`,
/// `rest+https://client:secret@host/path?warehouse=NAME` or `glue:`.
///
/// A REST catalog takes the options `warehouse`, `scope`, `token_url` and `vended_credentials` (true unless it says
/// false); Glue takes `catalog_id`, and everything else from the AWS default chain.
///
/// The text may hold a password, so neither `Debug` nor `Display` shows more than the scheme.
#[derive(Clone, PartialEq, Eq)]
pub struct CatalogAddress(String);

impl CatalogAddress {
    /// Takes the address as it stands in the configuration; it is checked by [`crate::Lake::open`].
    pub fn new(address: impl Into<String>) -> Self {
        Self(address.into())
    }

    /// The whole address, with its secrets.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The part before the first colon, or nothing when there is none.
    pub fn scheme(&self) -> &str {
        self.0.split_once(':').map_or("", |(scheme, _rest)| scheme)
    }
}

impl fmt::Debug for CatalogAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CatalogAddress({}:[redacted])", self.scheme())
    }
}

impl fmt::Display for CatalogAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:[redacted]", self.scheme())
    }
}

impl From<&str> for CatalogAddress {
    fn from(address: &str) -> Self {
        Self::new(address)
    }
}

impl From<String> for CatalogAddress {
    fn from(address: String) -> Self {
        Self(address)
    }
}

/// Everything [`crate::Lake::open`] needs to know.
#[derive(Clone, Debug)]
pub struct LakeSettings {
    /// The catalog that says which metadata file is the current one of each table.
    pub catalog: CatalogAddress,
    /// Folder of the tables: a path (made absolute), `file:///…` or `s3://bucket/prefix`.
    pub warehouse: String,
    /// How data files are written.
    pub write: WriteOptions,
    /// How S3 is reached, for a warehouse there and for tables that are.
    pub s3: S3Options,
}

impl LakeSettings {
    /// Settings with the default way of writing.
    pub fn new(catalog: impl Into<CatalogAddress>, warehouse: impl Into<String>) -> Self {
        Self {
            catalog: catalog.into(),
            warehouse: warehouse.into(),
            write: WriteOptions::default(),
            s3: S3Options::default(),
        }
    }
}

/// How data files are written. All sizes are of encoded and compressed bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteOptions {
    /// A data file is closed at the first row group that reaches this size.
    pub target_file_bytes: u64,
    /// A row group is closed at this size. It is what a writer holds in memory, so it bounds memory.
    pub row_group_bytes: u64,
    /// A row group is closed at this number of rows, however small they are.
    pub row_group_rows: usize,
    /// A data page is closed at this size.
    pub page_bytes: usize,
    /// Level of zstd, 1 to 22.
    pub compression_level: i32,
    /// A data file below this size that loses rows to a merge is rewritten without them; a larger one gets a delete
    /// file. Zero never rewrites.
    pub rewrite_below_bytes: u64,
    /// Batches that may wait for the encoder before [`crate::DataWriter::write`] blocks.
    pub queued_batches: usize,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            target_file_bytes: 256 << 20,
            row_group_bytes: 24 << 20,
            row_group_rows: 4 << 20,
            page_bytes: 1 << 20,
            compression_level: 1,
            rewrite_below_bytes: 1 << 20,
            queued_batches: 2,
        }
    }
}

/// The folder of all tables, absolute.
#[derive(Clone, Debug)]
pub(crate) struct Warehouse {
    /// Its address, without a slash at the end.
    address: String,
}

impl Warehouse {
    /// Parses the setting. The folder need not exist.
    pub(crate) fn parse(setting: &str) -> Result<Self> {
        let refuse = |reason: &str| {
            Error::new(ErrorKind::Settings).with("warehouse", setting).with("reason", reason)
        };
        // PyIceberg parses locations as addresses, where these characters start another part.
        if setting.contains(['?', '#', '%']) {
            return Err(refuse("readers cannot open a path that contains ?, # or %"));
        }
        let path = match setting.split_once("://") {
            Some(("s3" | "s3a", rest)) => return Self::on_s3(rest, refuse),
            Some(("file", rest)) if rest.starts_with('/') => rest,
            Some(("file", _rest)) => return Err(refuse("a file address has three slashes")),
            Some((_scheme, _rest)) => return Err(refuse("the scheme is not supported")),
            None => setting.strip_prefix("file:").unwrap_or(setting),
        };
        if path.is_empty() {
            return Err(refuse("it is empty"));
        }
        let folder = std::path::absolute(path)
            .map_err(|error| refuse("the current folder is unknown").because(error))?;
        let Some(folder) = folder.to_str() else {
            return Err(refuse("it is not UTF-8"));
        };
        Ok(Self { address: format!("file://{}", folder.trim_end_matches('/')) })
    }

    fn on_s3(rest: &str, refuse: impl Fn(&str) -> Error) -> Result<Self> {
        let rest = rest.trim_end_matches('/');
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if bucket.is_empty() || !bucket.chars().all(is_name) {
            return Err(refuse("it names no bucket; write s3://bucket/prefix"));
        }
        let is_odd = |folder: &str| matches!(folder, "" | "." | "..");
        if rest.contains('/') && prefix.split('/').any(is_odd) {
            return Err(refuse("a prefix has no empty folders and none named . or .."));
        }
        if prefix.chars().any(char::is_control) {
            return Err(refuse("a prefix has no control characters"));
        }
        Ok(Self { address: format!("s3://{rest}") })
    }

    /// The folder of one table, named after it. Characters that paths or addresses treat specially are replaced, and
    /// a digest of the true name keeps two such tables apart.
    pub(crate) fn table_location(&self, namespace: &str, name: &str) -> String {
        format!("{}/{}", self.namespace_folder(namespace), plain(name))
    }

    /// The folder of a namespace.
    pub(crate) fn namespace_folder(&self, namespace: &str) -> String {
        format!("{}/{}", self.address, plain(namespace))
    }
}

/// `name` when every character is safe in a path, else a safe spelling with a digest of the true name.
fn plain(name: &str) -> String {
    let is_safe =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.');
    let is_plain = !name.is_empty()
        && name.len() <= 200
        && !name.starts_with('.')
        && name.chars().all(is_safe);
    if is_plain {
        return name.to_owned();
    }
    let spelled: String =
        name.chars().take(80).map(|c| if is_safe(c) && c != '.' { c } else { '_' }).collect();
    let digest = Sha256::digest(name.as_bytes());
    let digest: String = digest.iter().take(10).map(|byte| format!("{byte:02x}")).collect();
    format!("{spelled}-{digest}")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]
    use super::*;

    #[test]
    fn an_address_never_shows_its_password() {
        let address = CatalogAddress::new("postgres://ada:lovelace@host/lake");
        let shown = format!("{address} {address:?}");
        assert!(!shown.contains("lovelace"), "{shown}");
        assert!(shown.contains("postgres"), "{shown}");
    }

    #[test]
    fn a_relative_warehouse_becomes_absolute() {
        let warehouse = Warehouse::parse(".ol/warehouse").unwrap();
        assert!(warehouse.address.starts_with("file:///"));
        assert!(warehouse.table_location("n", "t").ends_with("/.ol/warehouse/n/t"));
        assert_eq!(
            Warehouse::parse("file:///x/w/").unwrap().table_location("n", "t"),
            "file:///x/w/n/t"
        );
    }

    #[test]
    fn a_warehouse_on_s3_is_a_bucket_and_perhaps_a_prefix() {
        for (setting, location) in [
            ("s3://b", "s3://b/n/t"),
            ("s3://b/", "s3://b/n/t"),
            ("s3a://b.c/x/y/", "s3://b.c/x/y/n/t"),
        ] {
            assert_eq!(Warehouse::parse(setting).unwrap().table_location("n", "t"), location);
        }
        for setting in ["s3://", "s3:///x", "s3://b/x//y", "s3://b/../y", "s3://user@b/x"] {
            let error = Warehouse::parse(setting).unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::Settings, "{setting}");
        }
    }

    #[test]
    fn warehouses_readers_cannot_open_are_refused() {
        for setting in ["", "gs://bucket/x", "file://x", "/a#b", "/a?b", "/a%20b"] {
            let error = Warehouse::parse(setting).unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::Settings, "{setting}");
        }
    }

    #[test]
    fn strange_table_names_get_distinct_safe_folders() {
        assert_eq!(plain("raw__mitxonline__users"), "raw__mitxonline__users");
        let first = plain("a/b");
        assert_ne!(first, plain("a?b"));
        assert!(first.starts_with("a_b-"), "{first}");
        assert!(!plain("..").contains(".."));
    }
}
