//! One error type for the whole crate, so that a caller decides by [`ErrorKind`] and never by text.
//!
//! A message never holds a secret nor a cell value: contexts are names, paths, counts and identifiers.

use std::error::Error as StdError;
use std::fmt;

/// What a failing operation of the lake returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// What went wrong, and so whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// The settings of the lake cannot be used: an unknown catalog scheme, a warehouse other readers cannot open.
    Settings,
    /// Another process holds the lock of the catalog database.
    CatalogLocked,
    /// The catalog did not answer: refused, reset, timed out, or still starting.
    CatalogUnreachable,
    /// The catalog answered and refused: wrong password, missing right, read-only database.
    CatalogRefused,
    /// The catalog holds something that is not an Iceberg SQL catalog, or points at metadata nobody can parse.
    CatalogCorrupt,
    /// The table kept changing under the commit until the tries ran out.
    CommitConflict,
    /// The catalog did not say whether the commit was taken. Nothing was deleted.
    CommitStateUnknown,
    /// Someone else committed a later position than the one this overwrite carries.
    StaleOverwrite,
    /// The table's state is not the one the commit was made for: somebody else moved the table.
    StateMoved,
    /// A row that keeps values of an earlier row has no earlier row.
    PatchWithoutRow,
    /// A replace would shrink the table below its threshold.
    ReplaceShrinks {
        /// Rows of the table now.
        before: u64,
        /// Rows the table would have after the replace.
        after: u64,
    },
    /// The wanted schema cannot be reached from the table's schema by an allowed change.
    SchemaConflict,
    /// The wanted schema is not one a table can have: a name twice, a bad decimal.
    SchemaInvalid,
    /// A file or folder of the warehouse could not be written.
    WarehouseUnwritable,
    /// A file of the warehouse could not be read.
    WarehouseUnreadable,
    /// The disk of the warehouse is full.
    NoSpace,
    /// The bucket of the warehouse does not exist.
    WarehouseMissing,
    /// The bucket of the warehouse is in another region than the one that is asked.
    WarehouseElsewhere,
    /// The warehouse knows who asks and refuses the request.
    WarehouseRefused,
    /// Nobody says who asks: no keys for the warehouse were found.
    WarehouseLoginMissing,
    /// The keys for the warehouse are not accepted, or are not given to us.
    WarehouseLoginRefused,
    /// The keys for the warehouse were temporary, and their time is over.
    WarehouseLoginExpired,
    /// The key that files are encrypted with is disabled, gone, or not ours to use.
    EncryptionKeyRefused,
    /// The clock of this machine differs from the warehouse's by minutes, so no request is accepted.
    ClockWrong,
    /// The warehouse did not answer, or could not serve the request, as often as it was asked.
    WarehouseUnreachable,
    /// The table, namespace or column does not exist.
    NotFound,
    /// The rows handed over do not have the schema of the table.
    RowsMismatch,
    /// A data file could not be encoded or decoded.
    Parquet,
    /// A state this crate holds to be impossible.
    Unexpected,
}

impl ErrorKind {
    /// Whether the same call may succeed later without anybody acting.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::CatalogLocked
            | Self::CatalogUnreachable
            | Self::CommitConflict
            | Self::CommitStateUnknown
            | Self::StaleOverwrite
            | Self::StateMoved
            | Self::WarehouseUnreachable => true,
            Self::Settings
            | Self::CatalogRefused
            | Self::CatalogCorrupt
            | Self::PatchWithoutRow
            | Self::ReplaceShrinks { .. }
            | Self::SchemaConflict
            | Self::SchemaInvalid
            | Self::WarehouseUnwritable
            | Self::WarehouseUnreadable
            | Self::WarehouseMissing
            | Self::WarehouseElsewhere
            | Self::WarehouseRefused
            | Self::WarehouseLoginMissing
            | Self::WarehouseLoginRefused
            | Self::WarehouseLoginExpired
            | Self::EncryptionKeyRefused
            | Self::ClockWrong
            | Self::NoSpace
            | Self::NotFound
            | Self::RowsMismatch
            | Self::Parquet
            | Self::Unexpected => false,
        }
    }

    /// What a person can do about it, as one sentence.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Settings => "Correct OL_CATALOG or OL_WAREHOUSE.",
            Self::CatalogLocked => {
                "Wait for the other process, or find out who holds the catalog database open."
            }
            Self::CatalogUnreachable => {
                "Check that the catalog server runs and that its host and port are right."
            }
            Self::CatalogRefused => {
                "Check the user, the password and the rights of the catalog in OL_CATALOG."
            }
            Self::CatalogCorrupt => {
                "Restore the catalog entry or its metadata file from a copy; nothing was changed."
            }
            Self::CommitConflict => "Run again; find out who else writes this table.",
            Self::CommitStateUnknown => {
                "Run again; the next run finds out whether the commit was taken."
            }
            Self::StaleOverwrite => {
                "Run again; another run has already committed later rows of this table."
            }
            Self::StateMoved => {
                "Run again; another run moved the table, and the next one starts from where it is now."
            }
            Self::PatchWithoutRow => {
                "Copy the table anew; rows it should have were removed by somebody else."
            }
            Self::ReplaceShrinks { .. } => {
                "Look at the source; when the smaller table is right, allow the replace once by its override."
            }
            Self::SchemaConflict => {
                "Declare the column's lake type as it is in the table, or load the table under a new name."
            }
            Self::SchemaInvalid => "Rename, exclude or retype the column in the inventory.",
            Self::WarehouseUnwritable => {
                "Give this user the right to write the folder, or point OL_WAREHOUSE elsewhere."
            }
            Self::WarehouseUnreadable => {
                "Restore the file, or give this user the right to read it."
            }
            Self::NoSpace => "Free space on the disk of the warehouse, then run again.",
            Self::WarehouseMissing => "Create the bucket, or correct OL_WAREHOUSE.",
            Self::WarehouseElsewhere => {
                "Set AWS_REGION to the region of the bucket, or correct AWS_ENDPOINT_URL_S3."
            }
            Self::WarehouseRefused => {
                "Give this role the rights s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject and \
                 s3:AbortMultipartUpload on the warehouse."
            }
            Self::WarehouseLoginMissing => {
                "Give this process an identity: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, a service \
                 account with a role, or an instance role."
            }
            Self::WarehouseLoginRefused => {
                "Correct the access key and its secret, or the trust policy of the role; make sure both are of this \
                 account."
            }
            Self::WarehouseLoginExpired => "Log in anew to get fresh keys, then run again.",
            Self::EncryptionKeyRefused => {
                "Enable the KMS key and give this role kms:GenerateDataKey and kms:Decrypt on it, or correct \
                 s3.kms_key_id."
            }
            Self::ClockWrong => "Set the clock of this machine, and keep it right by NTP.",
            Self::WarehouseUnreachable => {
                "Run again; if it lasts, check the network, AWS_ENDPOINT_URL_S3 and the state of S3 in this region."
            }
            Self::NotFound => "Check the name, or create the table by a run.",
            Self::RowsMismatch | Self::Unexpected => "Report this as a defect.",
            Self::Parquet => "Check the file, or report this as a defect.",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Settings => "The settings of the lake cannot be used",
            Self::CatalogLocked => "The catalog is locked by another process",
            Self::CatalogUnreachable => "The catalog cannot be reached",
            Self::CatalogRefused => "The catalog refused the request",
            Self::CatalogCorrupt => "The catalog cannot be understood",
            Self::CommitConflict => "The table kept changing under the commit",
            Self::CommitStateUnknown => "It is not known whether the commit was taken",
            Self::StaleOverwrite => "The table already holds a later position",
            Self::StateMoved => "Another run moved the table",
            Self::PatchWithoutRow => "A change keeps values of a row the table does not have",
            Self::ReplaceShrinks { before, after } => {
                return write!(
                    formatter,
                    "The replace would shrink the table from {before} to {after} rows"
                );
            }
            Self::SchemaConflict => "The schema of the table cannot be changed this way",
            Self::SchemaInvalid => "A table cannot have this schema",
            Self::WarehouseUnwritable => "The warehouse cannot be written",
            Self::WarehouseUnreadable => "A file of the warehouse cannot be read",
            Self::NoSpace => "The disk of the warehouse is full",
            Self::WarehouseMissing => "The bucket of the warehouse does not exist",
            Self::WarehouseElsewhere => "The bucket of the warehouse is in another region",
            Self::WarehouseRefused => "The warehouse refused the request",
            Self::WarehouseLoginMissing => "No keys for the warehouse were found",
            Self::WarehouseLoginRefused => "The keys for the warehouse are not accepted",
            Self::WarehouseLoginExpired => "The keys for the warehouse have expired",
            Self::EncryptionKeyRefused => "The encryption key of the warehouse cannot be used",
            Self::ClockWrong => "The clock of this machine is wrong",
            Self::WarehouseUnreachable => "The warehouse cannot be reached",
            Self::NotFound => "It does not exist in the lake",
            Self::RowsMismatch => "The rows do not have the schema of the table",
            Self::Parquet => "A data file cannot be encoded or decoded",
            Self::Unexpected => "The lake is in a state it should not be in",
        };
        formatter.write_str(text)
    }
}

/// A failure of the lake: its kind, where it happened, and what caused it.
///
/// `Display` prints the kind and the contexts; the cause is reached by [`std::error::Error::source`].
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    context: Vec<(&'static str, String)>,
    source: Option<Source>,
}

impl Error {
    /// A failure of `kind` without context.
    pub fn new(kind: ErrorKind) -> Self {
        Self(Box::new(Inner { kind, context: Vec::new(), source: None }))
    }

    /// Adds a fact, such as the table, the path or the two types that do not fit.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((key, value.to_string()));
        self
    }

    /// Sets the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// The facts about the failure, in the order they were added.
    pub fn context(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.context.iter().map(|(key, value)| (*key, value.as_str()))
    }

    /// Whether the same call may succeed later without anybody acting.
    pub fn is_transient(&self) -> bool {
        self.0.kind.is_transient()
    }

    /// What a person can do about it, as one sentence.
    pub fn advice(&self) -> &'static str {
        self.0.kind.advice()
    }

    /// Maps a failure of the Apache crate. A storage failure of ours travels inside it and is taken out again.
    pub(crate) fn from_iceberg(otherwise: ErrorKind, error: iceberg::Error) -> Self {
        let kind = match find::<StorageFailure>(&error) {
            Some(failure) => failure.kind.clone(),
            None => otherwise,
        };
        Self::new(kind).because(error)
    }

    /// Maps a failure of the Parquet crate; an I/O failure of the file below it keeps its own kind.
    pub(crate) fn from_parquet(error: parquet::errors::ParquetError) -> Self {
        let kind = match find::<StorageFailure>(&error) {
            Some(failure) => failure.kind.clone(),
            None => ErrorKind::Parquet,
        };
        Self::new(kind).because(error)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("context", &self.0.context)
            .field("source", &self.0.source)
            .finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0.kind)?;
        for (index, (key, value)) in self.0.context.iter().enumerate() {
            write!(formatter, "{}{key}: {value}", if index == 0 { " (" } else { ", " })?;
        }
        if self.0.context.is_empty() { Ok(()) } else { formatter.write_str(")") }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// A file operation that failed, with the path and the kind it means to the caller.
#[derive(Debug, thiserror::Error)]
#[error("{action} {path}")]
pub(crate) struct StorageFailure {
    pub(crate) kind: ErrorKind,
    pub(crate) action: &'static str,
    pub(crate) path: String,
    #[source]
    pub(crate) source: Source,
}

impl StorageFailure {
    pub(crate) fn of(
        kind: ErrorKind,
        action: &'static str,
        path: &str,
        source: impl Into<Source>,
    ) -> Self {
        Self { kind, action, path: path.to_owned(), source: source.into() }
    }

    pub(crate) fn reading(action: &'static str, path: &str, source: std::io::Error) -> Self {
        Self::of(ErrorKind::WarehouseUnreadable, action, path, source)
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "only a full disk is told from the other forty kinds"
    )]
    pub(crate) fn writing(action: &'static str, path: &str, source: std::io::Error) -> Self {
        let kind = match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                ErrorKind::NoSpace
            }
            _other => ErrorKind::WarehouseUnwritable,
        };
        Self::of(kind, action, path, source)
    }
}

impl From<StorageFailure> for Error {
    fn from(failure: StorageFailure) -> Self {
        Self::new(failure.kind.clone()).because(failure)
    }
}

/// The first error of type `T` in the chain of `error`.
pub(crate) fn find<'a, T: StdError + 'static>(
    error: &'a (dyn StdError + 'static),
) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<T>() {
            return Some(found);
        }
        // An I/O error hides what it carries from its own source chain.
        if let Some(io) = current.downcast_ref::<std::io::Error>()
            && let Some(inner) = io.get_ref()
            && let Some(found) = find::<T>(inner)
        {
            return Some(found);
        }
        next = current.source();
    }
    None
}
