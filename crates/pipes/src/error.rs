//! The one error of this crate: what failed, about which thing, and whether trying again can help.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A bootstrap parameter is missing, or is not base64 of zlib of JSON.
    Parameter,
    /// The context could not be fetched from the place the parameter names.
    ContextUnreadable,
    /// The context is not the JSON document that the protocol describes.
    ContextInvalid,
    /// The messages parameter names no channel that this crate can write to.
    ChannelUnknown,
    /// A message could not be delivered.
    Delivery,
    /// The channel did not finish in time at close; what remained was not delivered.
    DeliveryTimeout,
    /// The session is closed; nothing may be reported after that.
    Closed,
    /// The asset is not one of those that the current step targets.
    AssetNotTargeted,
    /// The asset has been reported as materialized already; Dagster accepts one report an asset.
    MaterializedTwice,
    /// The asset key cannot be written as an escaped string and read back.
    AssetKey,
}

impl ErrorKind {
    fn sentence(self) -> &'static str {
        match self {
            Self::Parameter => "A Dagster Pipes bootstrap parameter cannot be used",
            Self::ContextUnreadable => "The Dagster Pipes context cannot be read",
            Self::ContextInvalid => "The Dagster Pipes context is not a valid document",
            Self::ChannelUnknown => {
                "The Dagster Pipes messages parameter names no known place to write to"
            }
            Self::Delivery => "A Dagster Pipes message cannot be delivered",
            Self::DeliveryTimeout => "Dagster Pipes messages were not delivered in time",
            Self::Closed => "The Dagster Pipes session is closed already",
            Self::AssetNotTargeted => "The asset is not a target of this Dagster step",
            Self::MaterializedTwice => "The asset has been reported as materialized already",
            Self::AssetKey => "The asset key is not valid",
        }
    }
}

/// A failure of the Pipes session, with what it is about and its cause.
///
/// `Display` is one sentence with the context in brackets; the cause is reached by
/// [`source`](StdError::source) and is not repeated in the sentence.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    transient: bool,
    about: Vec<(&'static str, String)>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A definite error of the kind.
    pub(crate) fn new(kind: ErrorKind) -> Self {
        let transient = kind == ErrorKind::DeliveryTimeout;
        Self { kind, transient, about: Vec::new(), source: None }
    }

    /// Adds what the error is about; never a secret or a value of a cell.
    pub(crate) fn about(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.about.push((name, value.into()));
        self
    }

    /// Adds the cause.
    pub(crate) fn caused_by(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Adds an operating system error as the cause, which also says whether to try again.
    pub(crate) fn caused_by_io(mut self, source: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        self.transient = !matches!(
            source.kind(),
            Io::NotFound
                | Io::PermissionDenied
                | Io::InvalidInput
                | Io::InvalidData
                | Io::IsADirectory
                | Io::NotADirectory
                | Io::ReadOnlyFilesystem
        );
        self.caused_by(source)
    }

    /// Adds an object store's error as the cause, which also says whether to try again.
    pub(crate) fn caused_by_object_store(mut self, source: object_store::Error) -> Self {
        use object_store::Error as Store;
        self.transient = !matches!(
            source,
            Store::NotFound { .. }
                | Store::InvalidPath { .. }
                | Store::NotSupported { .. }
                | Store::NotImplemented { .. }
                | Store::PermissionDenied { .. }
                | Store::Unauthenticated { .. }
                | Store::UnknownConfigurationKey { .. }
        );
        self.caused_by(source)
    }

    /// What failed.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later with nothing changed by a person.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.transient
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.kind.sentence())?;
        for (index, (name, value)) in self.about.iter().enumerate() {
            let opening = if index == 0 { " (" } else { ", " };
            write!(formatter, "{opening}{name}: {value}")?;
        }
        if !self.about.is_empty() {
            formatter.write_str(")")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
