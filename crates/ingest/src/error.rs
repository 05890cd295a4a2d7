//! Every way to fail, and whose turn it is.
//!
//! A failure is *definite* (a fact about the source, the lake or the job: retrying cannot change
//! it, a person can) or *transient* (weather: the same run, later, can succeed). The kinds are
//! closed lists, and [`crate::policy`] says of each whether it is retried, which exit code it
//! gives, what the operator is told and which runbook has the rest; a new kind does not compile
//! until that is decided.
//!
//! An [`Error`] carries its kind, facts as pairs, and the cause. Facts are names, types, counts and
//! positions, never the value of a cell and never a secret; the cause is reached by
//! [`std::error::Error::source`] and is never part of the printed line, so a chain prints once.

use crate::inventory::InventoryError;

pub use crate::source_code::Doing;

/// What a failing operation of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

pub use ol_chassis::error::Cause;

ol_chassis::failure_of! {
    /// A failure, and whose turn it is.
    Failure {
        /// A fact that no retry changes.
        Definite,
        /// Weather: the same run, later, can succeed.
        Transient,
    }
}

ol_chassis::kinds! {
    /// The facts that no retry changes.
    Definite {
        /// A flag, variable or settings file cannot be obeyed.
        Configuration = "The settings cannot be used",
        /// No variable and no secret store says where the source is. Context: `variable`.
        SourceVariableMissing = "It is not known where the source is",
        /// A file or a secret that the settings name cannot be had.
        SettingRefused = "A file or secret that the settings name cannot be had",
        /// The inventory breaks its rules or a filter selects nothing.
        InventoryInvalid = "The inventory cannot be used",
        /// The inventory asks for a way of reading or writing that this build does not carry out.
        /// Context: `sync_mode` or `source_kind`.
        ModeUnsupported = "This build cannot read or write a table this way",

        /// The source refused the user, the password or the address we come from.
        AuthenticationFailed = "The source refused the login",
        /// The source has no database of this name.
        DatabaseMissing = "The source has no such database",
        /// The user may not read a table. Context: `table`.
        PermissionDenied = "The user may not read the table",
        /// Row-level security would hide rows from the user, so a copy would lack them.
        RowsHidden = "Row-level security would hide rows of the table",
        /// The source demands encryption, or the encrypted connection could not be made.
        TlsFailed = "An encrypted connection could not be made",
        /// The source is older than what can be read. Context: `version`, `oldest`.
        ServerTooOld = "The server is too old",

        /// The table is not there, or was dropped between plan and run.
        RelationMissing = "The table does not exist at the source",
        /// A column was dropped, added or changed its type between plan and run.
        ColumnChanged = "The columns of the table changed while it was read",
        /// The relation is no table: a view, a materialized view, a foreign table, a sequence.
        RelationKindRefused = "Only tables are read",
        /// Two columns get one name in the lake, or some reader of it cannot take a name. Context: `columns`, `reason`.
        ColumnNamesCollide = "Readers of the lake cannot take the names of the columns",
        /// A column has a type the contract refuses. Context: `column`, `type`.
        TypeRefused = "A column has a type that cannot be stored",
        /// The column that a table is followed by is missing or has no order. Context: `column`, `reason`.
        CursorUnusable = "The cursor column cannot be used",
        /// A value is not what its column's type says. Context: `column`; never the value.
        ValueUndecodable = "A value could not be decoded",

        /// The state of the table is that of another server or database. Context: `was`, `is`.
        SourceReplaced = "The source is not the one that the table was read from",
        /// The source sent something the protocol does not have there.
        ProtocolViolated = "The source sent a message that was not understood",
        /// The source refused a statement for a reason no other kind names. Context: `sqlstate`.
        SourceRefused = "The source refused a statement",
        /// The source reports damage of its own files.
        SourceDamaged = "The source reports damaged data",

        /// The server, the role or the table does not allow changes to be followed. Context: `reason`.
        ReplicationUnavailable = "The changes cannot be followed",
        /// The replication slot that the tables were followed with is gone. Context: `slot`.
        SlotMissing = "The replication slot is gone",
        /// The server gave the slot up, and changes with it. Context: `slot`, `reason`.
        SlotLost = "The replication slot is lost",
        /// Somebody else moved, recreated or owns the slot, so changes went past us. Context: `slot`.
        SlotMoved = "The replication slot was moved by somebody else",
        /// The server was promoted, restored or replaced: positions mean something else. Context: `recorded`, `found`.
        TimelineChanged = "The source is not the server that was followed",
        /// The publication was dropped, or does not publish what is needed. Context: `publication`, `reason`, `statement`.
        PublicationMissing = "The publication does not publish what is needed",
        /// The log does not say which rows are updated and deleted. Context: `table`, `reason`.
        ReplicaIdentityInsufficient = "The source does not log which rows change",
        /// The slot holds back more of the source's log than is allowed. Context: `slot`, `retained_bytes`.
        SlotTooFarBehind = "The replication slot holds back too much of the source's log",
        /// An update did not say the value of a column, and nothing else here does. Context: `table`, `column`.
        ToastUnknown = "The source did not log a value that is needed",

        /// Changes of a table were acknowledged while it could not take them. Context: `table`, `since`.
        ChangesMissed = "The table lacks changes that the source no longer has",

        /// A replace would shrink the table too far.
        ReplaceGuarded = "The replace would shrink the table",
        /// The table in the lake cannot take the columns of the source.
        SchemaConflict = "The table in the lake cannot take these columns",
        /// A file of the warehouse cannot be written.
        WarehouseUnwritable = "The warehouse cannot be written",
        /// A file of the warehouse cannot be read.
        WarehouseUnreadable = "A file of the warehouse cannot be read",
        /// The bucket of the warehouse does not exist.
        WarehouseMissing = "The bucket of the warehouse does not exist",
        /// The bucket is in another region than the one that is asked.
        WarehouseElsewhere = "The bucket of the warehouse is in another region",
        /// The warehouse knows who asks, and refuses.
        WarehouseRefused = "The warehouse refused the request",
        /// No keys for the warehouse were found.
        WarehouseLoginMissing = "No keys for the warehouse were found",
        /// The keys for the warehouse are not accepted, or not given to us.
        WarehouseLoginRefused = "The keys for the warehouse are not accepted",
        /// The keys for the warehouse were temporary.
        WarehouseLoginExpired = "The keys for the warehouse have expired",
        /// The key that files are encrypted with is disabled, gone or not ours.
        EncryptionKeyRefused = "The encryption key of the warehouse cannot be used",
        /// This machine's clock is minutes away from the warehouse's.
        ClockWrong = "The clock of this machine is wrong",
        /// A disk on our side is full.
        DiskFull = "The disk is full",
        /// The catalog refused the user or is read-only.
        CatalogRefused = "The catalog refused the request",
        /// The catalog holds what nobody can read.
        CatalogCorrupt = "The catalog cannot be understood",
        /// A change of a row keeps values of a row that the table in the lake does not have.
        LakeRowMissing = "A row that was changed at the source is not in the lake",
        /// The table is not in the lake.
        LakeTableMissing = "The table does not exist in the lake",
        /// It is not known whether a file is needed. Context: `table`, `reason`.
        SweepUnsafe = "Nothing was swept, as a table may need it that cannot be read",
        /// The lake does not hold what the source held.
        VerificationFailed = "The lake does not hold what the source holds",
        /// Our table and the one of another loader do not hold the same. Context: `table`, `rows`, `columns`.
        ComparisonDiffers = "The two tables do not hold the same",
        /// The rows of a log without a key cannot be reduced to the latest. Context: `table`.
        ComparisonUnkeyed = "The rows of a log cannot be compared without a key",

        /// Something this program holds to be impossible.
        Defect = "This should not be possible",
    }
}

ol_chassis::kinds! {
    /// The weather.
    Transient {
        /// The source's address cannot be reached or refuses connections.
        HostUnreachable = "The source cannot be reached",
        /// The source's name has no address.
        HostUnknown = "The name of the source's host has no address",
        /// The connection broke while it was used.
        ConnectionLost = "The connection to the source broke",
        /// The source starts, stops, or ended our session to do so.
        ServerStarting = "The source is starting or shutting down",
        /// The source has no connection left for us.
        TooManyConnections = "The source has no connection left",
        /// The source ended a statement that took too long, or a person did.
        StatementTimeout = "The source ended a statement that took too long",
        /// A table was locked for too long.
        LockTimeout = "The table was locked for too long",
        /// The snapshot the tables are read under is gone or too old.
        SnapshotLost = "The snapshot that the tables are read under is gone",
        /// A replica had to replay changes over the rows we were reading.
        RecoveryConflict = "The replica gave up the snapshot to follow its primary",
        /// The server has not come to the position that the table has. Context: `reached`, `is_at`.
        SourceBehind = "The source is behind what the lake has",
        /// The lake has not come to where the source was compared. Context: `is_at`, `compared_at`.
        LakeBehind = "The lake has not come to the moment at which the source was compared",
        /// Rows changed at every look. Context: `rows`.
        RowsMoving = "Rows kept changing while they were compared",
        /// Another process follows the same changes. Context: `slot`.
        SlotInUse = "The replication slot is in use by another process",
        /// The source is out of memory, of disk, or of another resource.
        SourceExhausted = "The source is out of memory or disk",

        /// The warehouse did not answer, or could not serve us, as often as it was asked.
        WarehouseUnreachable = "The warehouse cannot be reached",
        /// Another process holds the catalog database.
        CatalogLocked = "The catalog is locked by another process",
        /// The catalog does not answer.
        CatalogUnreachable = "The catalog cannot be reached",
        /// The table kept changing under the commit.
        CommitConflict = "The table kept changing under the commit",
        /// Another run moved the table between the reading of its state and the commit.
        StateMoved = "Another run moved the table",
        /// The catalog did not say whether it took the commit.
        CommitStateUnknown = "It is not known whether the commit was taken",
        /// A secret store does not answer.
        SecretStoreUnreachable = "The secret store cannot be reached",
        /// The run was asked to stop.
        Stopped = "The run was asked to stop",
    }
}

impl Failure {
    /// The kind a PostgreSQL error code stands for: see `source_code.rs`.
    pub fn from_sqlstate(code: &str, doing: Doing) -> Self {
        crate::source_code::failure(code, doing)
    }
}

ol_chassis::error_of! {
    /// A failure with its facts and its cause.
    Error(Failure)
}

impl Error {
    /// A failure that a PostgreSQL error code stands for; the code becomes a fact.
    pub fn from_sqlstate(code: &str, doing: Doing) -> Self {
        Self::new(Failure::from_sqlstate(code, doing)).with("sqlstate", code)
    }

    /// Whether the same run, later, can succeed.
    pub fn is_transient(&self) -> bool {
        matches!(self.failure(), Failure::Transient(_))
    }
}

impl From<InventoryError> for Error {
    fn from(error: InventoryError) -> Self {
        Self::new(Definite::InventoryInvalid).with("problems", error.problems.len()).because(error)
    }
}

impl From<ol_chassis::Error> for Error {
    fn from(error: ol_chassis::Error) -> Self {
        let failure: Failure = match error.kind() {
            ol_chassis::ErrorKind::Configuration => Definite::Configuration.into(),
            ol_chassis::ErrorKind::Definite => Definite::SettingRefused.into(),
            ol_chassis::ErrorKind::Transient => Transient::SecretStoreUnreachable.into(),
        };
        Self::of_ground(failure, error)
    }
}

impl From<ol_lake::Error> for Error {
    fn from(error: ol_lake::Error) -> Self {
        use ol_lake::ErrorKind as Lake;
        let mut counts = None;
        let failure: Failure = match error.kind() {
            Lake::Settings => Definite::Configuration.into(),
            Lake::CatalogLocked => Transient::CatalogLocked.into(),
            Lake::CatalogUnreachable => Transient::CatalogUnreachable.into(),
            Lake::CatalogRefused => Definite::CatalogRefused.into(),
            Lake::CatalogCorrupt => Definite::CatalogCorrupt.into(),
            Lake::CommitConflict | Lake::StaleOverwrite => Transient::CommitConflict.into(),
            Lake::StateMoved => Transient::StateMoved.into(),
            Lake::PatchWithoutRow => Definite::LakeRowMissing.into(),
            Lake::CommitStateUnknown => Transient::CommitStateUnknown.into(),
            Lake::ReplaceShrinks { before, after } => {
                counts = Some((*before, *after));
                Definite::ReplaceGuarded.into()
            }
            Lake::SchemaConflict => Definite::SchemaConflict.into(),
            Lake::SchemaInvalid => Definite::ColumnNamesCollide.into(),
            Lake::WarehouseUnwritable => Definite::WarehouseUnwritable.into(),
            Lake::WarehouseUnreadable | Lake::Parquet => Definite::WarehouseUnreadable.into(),
            Lake::WarehouseMissing => Definite::WarehouseMissing.into(),
            Lake::WarehouseElsewhere => Definite::WarehouseElsewhere.into(),
            Lake::WarehouseRefused => Definite::WarehouseRefused.into(),
            Lake::WarehouseLoginMissing => Definite::WarehouseLoginMissing.into(),
            Lake::WarehouseLoginRefused => Definite::WarehouseLoginRefused.into(),
            Lake::WarehouseLoginExpired => Definite::WarehouseLoginExpired.into(),
            Lake::EncryptionKeyRefused => Definite::EncryptionKeyRefused.into(),
            Lake::ClockWrong => Definite::ClockWrong.into(),
            Lake::WarehouseUnreachable => Transient::WarehouseUnreachable.into(),
            Lake::NoSpace => Definite::DiskFull.into(),
            Lake::NotFound => Definite::LakeTableMissing.into(),
            Lake::RowsMismatch | Lake::Unexpected => Definite::Defect.into(),
        };
        let mut mapped = Self::new(failure);
        if let Some((before, after)) = counts {
            mapped = mapped.with("rows_before", before).with("rows_after", after);
        }
        for (key, value) in error.context() {
            mapped = mapped.with(key, value);
        }
        mapped.because(error)
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn a_failure_prints_its_facts_and_not_its_cause() {
        let error = Error::new(Definite::ValueUndecodable)
            .with("table", "public.users_user")
            .with("column", "joined")
            .because(std::io::Error::other("secret value 42"));
        assert_eq!(
            error.to_string(),
            "A value could not be decoded (table: public.users_user, column: joined)"
        );
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("secret value 42"));
        assert_eq!(error.fact("column"), Some("joined"));
        assert!(!error.is_transient());
    }

    #[test]
    fn failures_of_other_crates_keep_their_facts_and_their_advice() {
        let settings = ol_chassis::Error::configuration("The variable is not set")
            .with("variable", "OL_SOURCE_A_B_URL")
            .advise("Set it");
        let error = Error::from(settings);
        assert_eq!(error.failure(), Definite::Configuration.into());
        assert_eq!(
            error.to_string(),
            "The settings cannot be used (what: The variable is not set (variable: OL_SOURCE_A_B_URL))"
        );
        assert_eq!(crate::policy::advice(&error), "Set it.");
        let lake = ol_lake::Error::new(ol_lake::ErrorKind::ReplaceShrinks { before: 9, after: 1 })
            .with("table", "raw.t");
        let error = Error::from(lake);
        assert_eq!(
            error.to_string(),
            "The replace would shrink the table (rows_before: 9, rows_after: 1, table: raw.t)"
        );
        assert!(Error::from(ol_lake::Error::new(ol_lake::ErrorKind::CatalogLocked)).is_transient());
    }

    #[test]
    fn headlines_are_sentences_and_differ() {
        let mut seen = std::collections::BTreeSet::new();
        for failure in Failure::all() {
            let headline = failure.headline();
            assert!(headline.starts_with(|c: char| c.is_ascii_uppercase()), "{headline}");
            assert!(!headline.ends_with('.'), "{headline}");
            assert!(seen.insert(headline), "twice: {headline}");
        }
    }

    #[test]
    fn the_error_stays_small() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
