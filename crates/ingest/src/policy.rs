//! One table: what follows from each kind of failure.
//!
//! Retry, exit code, the sentence for the operator and the runbook are decided here and nowhere
//! else, by one match without a catch-all. A runbook is `deploy/runbooks/NAME.md`; a test compares
//! the names used here with the files that exist, both ways.

use ol_chassis::Exit;

use crate::error::{Definite, Error, Failure, Transient};

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Whether the run itself tries again before it gives up.
    pub retry: bool,
    /// The exit code when this failure ends the run.
    pub exit: Exit,
    /// Whether the table is *refused*: it can never be read faithfully as it is, whatever the
    /// state of servers and rights.
    pub refuses_table: bool,
    /// What to do next, as sentences; `{key}` stands for the failure's fact of that name.
    pub advice: &'static str,
    /// The runbook, a file name in `deploy/runbooks` without its ending.
    pub runbook: &'static str,
}

impl Policy {
    const fn configuration(runbook: &'static str, advice: &'static str) -> Self {
        Self { retry: false, exit: Exit::Configuration, refuses_table: false, advice, runbook }
    }

    const fn definite(runbook: &'static str, advice: &'static str) -> Self {
        Self { retry: false, exit: Exit::Definite, refuses_table: false, advice, runbook }
    }

    const fn refused(runbook: &'static str, advice: &'static str) -> Self {
        Self { retry: false, exit: Exit::Definite, refuses_table: true, advice, runbook }
    }

    const fn transient(runbook: &'static str, advice: &'static str) -> Self {
        Self { retry: true, exit: Exit::Transient, refuses_table: false, advice, runbook }
    }
}

/// What follows from a kind of failure.
pub fn policy(failure: Failure) -> Policy {
    match failure {
        Failure::Definite(kind) => definite(kind),
        Failure::Transient(kind) => transient(kind),
    }
}

fn definite(kind: Definite) -> Policy {
    match kind {
        Definite::Configuration => Policy::configuration(
            "ingest-configuration",
            "Correct the flag, variable or file that the message names, then run again.",
        ),
        Definite::SourceVariableMissing => Policy::configuration(
            "ingest-configuration",
            "Set {variable} to the source's URL (postgres://user@host/database or mysql://user@host/database), or store it in \
             Vault.",
        ),
        Definite::SettingRefused => Policy::definite(
            "ingest-configuration",
            "Check that the file or secret that the message names is there and that we may read it.",
        ),
        Definite::InventoryInvalid => Policy::configuration(
            "ingest-configuration",
            "Correct the places listed; nothing was read or written.",
        ),
        Definite::ModeUnsupported => Policy::definite(
            "ingest-configuration",
            "Change the unit to a sync mode and a source kind that this version carries out, or \
             leave the table to another loader.",
        ),
        Definite::AuthenticationFailed => Policy::definite(
            "ingest-source-login",
            "Check the user and password of the source's URL, and that the server admits this \
             user from here (pg_hba.conf, the host of a MySQL account, and whether it insists on TLS).",
        ),
        Definite::DatabaseMissing => Policy::definite(
            "ingest-source-login",
            "Check the database name at the end of the source's URL.",
        ),
        Definite::PermissionDenied => Policy::definite(
            "ingest-source-permission",
            "Ask the owner of the database for GRANT SELECT on {table} (in Postgres also for GRANT USAGE on its schema), \
             or remove the table from the unit.",
        ),
        Definite::RowsHidden => Policy::refused(
            "ingest-source-permission",
            "Read {table} as a user with BYPASSRLS, or as its owner where row-level security is \
             not forced; as it is, rows would be missing without a word.",
        ),
        Definite::TlsFailed => Policy::definite(
            "ingest-source-login",
            "Check sslmode and sslrootcert in the source's URL and the server's certificate.",
        ),
        Definite::ServerTooOld => Policy::definite(
            "ingest-source-login",
            "Upgrade the server, or leave this unit to another loader.",
        ),
        Definite::RelationMissing => Policy::definite(
            "ingest-source-schema",
            "Find out whether {table} was dropped or renamed, then remove it from the unit or \
             name it anew with renamed_from.",
        ),
        Definite::ColumnChanged => Policy::definite(
            "ingest-source-schema",
            "Run again: the next run plans with the columns {table} has now. If it returns, look \
             for a migration in progress.",
        ),
        Definite::RelationKindRefused => Policy::refused(
            "ingest-table-refused",
            "Remove {table} from the unit; list the tables it is made of instead.",
        ),
        Definite::ColumnNamesCollide => Policy::refused(
            "ingest-table-refused",
            "Exclude one of the columns of {table}, or have one renamed at the source.",
        ),
        Definite::TypeRefused => Policy::refused(
            "ingest-table-refused",
            "Exclude the column {column} of {table}, or declare a lake type for it under overrides.",
        ),
        Definite::CursorUnusable => Policy::definite(
            "ingest-configuration",
            "Name another column as cursor_field of {table}, or set replication_method to xmin, which needs none.",
        ),
        Definite::ValueUndecodable => Policy::definite(
            "ingest-value-undecodable",
            "Look at the column {column} of {table} at the source; exclude it or declare it as \
             string until the cause is known.",
        ),
        Definite::SourceReplaced => Policy::definite(
            "ingest-source-replaced",
            "Check the source's URL. If the database was moved, restored or upgraded for good, reset {table}, and the \
             next run loads it anew.",
        ),
        Definite::ProtocolViolated => Policy::definite(
            "ingest-source-protocol",
            "Check what stands between us and the server (a proxy, a pooler); connect to the \
             server itself. If it returns, report it as a defect.",
        ),
        Definite::SourceRefused => Policy::definite(
            "ingest-source-protocol",
            "Look up the error code in the message and in the server's log.",
        ),
        Definite::SourceDamaged => Policy::definite(
            "ingest-source-damaged",
            "Tell the owner of the database at once: the server reports damaged files.",
        ),
        Definite::ReplicationUnavailable => Policy::definite(
            "ingest-replication-slot",
            "Have the owner of the database change what the message names (wal_level = logical, the \
             role's REPLICATION attribute, a free slot), or change the unit's replication_method.",
        ),
        Definite::SlotMissing => Policy::definite(
            "ingest-replication-slot",
            "Find out who dropped the slot {slot}; then reset the tables of the unit, so that they \
             are copied anew with a new slot.",
        ),
        Definite::SlotLost => Policy::definite(
            "ingest-replication-slot",
            "Drop the slot {slot} and reset the tables of the unit, so that they are copied anew; \
             raise max_slot_wal_keep_size or run more often.",
        ),
        Definite::SlotMoved => Policy::definite(
            "ingest-replication-slot",
            "Find out who else uses the slot {slot} and give them one of their own; then reset the \
             tables of the unit, since changes went past them.",
        ),
        Definite::TimelineChanged => Policy::definite(
            "ingest-replication-slot",
            "Check that the source's URL names the right server; after a restore or a promotion reset \
             the tables of the unit, so that they are copied anew.",
        ),
        Definite::PublicationMissing => Policy::definite(
            "ingest-replication-slot",
            "Have the owner of the tables cure the publication {publication} ({statement}); if it was \
             without a table for a time, reset that table, since its changes were not sent.",
        ),
        Definite::ReplicaIdentityInsufficient => Policy::definite(
            "ingest-replication-slot",
            "Give {table} a primary key, or have its owner run ALTER TABLE with REPLICA IDENTITY FULL; \
             or read it in full.",
        ),
        Definite::SlotTooFarBehind => Policy::definite(
            "ingest-replication-slot",
            "Find out why the slot {slot} is not read and cure it (a larger stream.cap_bytes lets copies begin meanwhile); if \
             that cannot be soon, reset the tables of the unit and drop the slot before the source's disk is full: SELECT \
             pg_drop_replication_slot('{slot}').",
        ),
        Definite::ToastUnknown => Policy::definite(
            "ingest-replication-slot",
            "Reset {table}, so that it is copied anew; if it returns, have its owner run ALTER TABLE \
             with REPLICA IDENTITY FULL.",
        ),
        Definite::ChangesMissed => Policy::definite(
            "ingest-replication-slot",
            "Make sure that what stopped {table} is cured, then `ol-ingest reset` it: the next run \
             copies it anew. The history of a log and rows marked as deleted stay; what happened in \
             between is known from the copy alone.",
        ),
        Definite::ReplaceGuarded => Policy::definite(
            "ingest-replace-guard",
            "Find out whether the rows of {table} really went away; if they did, allow this \
             replace once with --allow-shrink.",
        ),
        Definite::SweepUnsafe => Policy::definite(
            "ingest-maintenance",
            "Repair {table} first, or drop it from the catalog if nobody needs it; then run again. No file was deleted.",
        ),
        Definite::SchemaConflict => Policy::definite(
            "ingest-lake-schema",
            "Declare the column's lake type under overrides as the table in the lake has it, or \
             load {table} under a new raw table.",
        ),
        Definite::WarehouseUnwritable => Policy::definite(
            "ingest-warehouse",
            "Give this process the right to write the warehouse, or point OL_WAREHOUSE elsewhere.",
        ),
        Definite::WarehouseUnreadable => Policy::definite(
            "ingest-warehouse",
            "Give this process the right to read the warehouse; if the file is gone or damaged, \
             load the table anew.",
        ),
        Definite::WarehouseMissing => Policy::definite(
            "ingest-warehouse",
            "Create the bucket that OL_WAREHOUSE names, or correct OL_WAREHOUSE.",
        ),
        Definite::WarehouseElsewhere => Policy::definite(
            "ingest-warehouse",
            "Set AWS_REGION to the region of the bucket, which the cause names, or correct AWS_ENDPOINT_URL_S3.",
        ),
        Definite::WarehouseRefused => Policy::definite(
            "ingest-warehouse",
            "Give the role of this process the rights s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject and \
             s3:AbortMultipartUpload on the warehouse.",
        ),
        Definite::WarehouseLoginMissing => Policy::definite(
            "ingest-warehouse",
            "Give this process an identity: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, a service account \
             with a role, or an instance role.",
        ),
        Definite::WarehouseLoginRefused => Policy::definite(
            "ingest-warehouse",
            "Correct the access key and its secret, or the trust policy of the role.",
        ),
        Definite::WarehouseLoginExpired => Policy::definite(
            "ingest-warehouse",
            "Get fresh keys (`aws sso login`, a new session token), then run again; keys of a role renew themselves.",
        ),
        Definite::EncryptionKeyRefused => Policy::definite(
            "ingest-warehouse",
            "Enable the KMS key and give the role of this process kms:GenerateDataKey and kms:Decrypt on it, or correct \
             s3.kms_key_id.",
        ),
        Definite::ClockWrong => Policy::definite(
            "ingest-warehouse",
            "Set the clock of this machine and keep it right by NTP; S3 accepts a difference of 15 minutes.",
        ),
        Definite::DiskFull => Policy::definite(
            "ingest-warehouse",
            "Free space on the disk; no table was changed by the write that failed.",
        ),
        Definite::CatalogRefused => Policy::definite(
            "ingest-catalog",
            "Check the user, the password and the rights that OL_CATALOG gives.",
        ),
        Definite::CatalogCorrupt => Policy::definite(
            "ingest-catalog",
            "Check that OL_CATALOG names the right catalog; restore it or its metadata file from \
             a copy.",
        ),
        Definite::LakeRowMissing => Policy::definite(
            "ingest-commit",
            "Reset {table} so that it is copied anew; find out who removed rows of it.",
        ),
        Definite::LakeTableMissing => Policy::definite(
            "ingest-catalog",
            "Check OL_ENV and OL_CATALOG, or run the table once to create it.",
        ),
        Definite::VerificationFailed => Policy::definite(
            "ingest-verification",
            "Run the table again and verify once more; if they still differ, do not use the table \
             and report it as a defect.",
        ),
        Definite::ComparisonDiffers => Policy::definite(
            "ingest-comparison",
            "Look at the columns and rows that are named: rows that are newer on one side are the time \
             between the two loads; whatever else differs has to be understood before the switch.",
        ),
        Definite::ComparisonUnkeyed => Policy::definite(
            "ingest-comparison",
            "Declare the primary_key of {table} in the unit, so that the latest row of each key can be \
             compared.",
        ),
        Definite::Defect => Policy::definite(
            "ingest-defect",
            "Report this as a defect with the log of the run; no table was changed by it.",
        ),
    }
}

fn transient(kind: Transient) -> Policy {
    match kind {
        Transient::HostUnreachable => Policy::transient(
            "ingest-source-unreachable",
            "Wait and run again; if it lasts, check that the server runs and that host, port and \
             network rules let us through.",
        ),
        Transient::HostUnknown => Policy::transient(
            "ingest-source-unreachable",
            "Check the spelling of the host in the source's URL; if it is right, wait for the name \
             service and run again.",
        ),
        Transient::ConnectionLost => Policy::transient(
            "ingest-source-unreachable",
            "Run again; if it returns at the same place, look for a proxy or a timeout that cuts \
             long connections.",
        ),
        Transient::ServerStarting => Policy::transient(
            "ingest-source-unreachable",
            "Wait until the server has started, then run again.",
        ),
        Transient::TooManyConnections => Policy::transient(
            "ingest-source-overloaded",
            "Run again at a quieter time, or read with fewer connections.",
        ),
        Transient::StatementTimeout => Policy::transient(
            "ingest-source-overloaded",
            "Run again; if it returns, raise statement_timeout for this user.",
        ),
        Transient::LockTimeout => Policy::transient(
            "ingest-source-overloaded",
            "Run again when no migration holds {table}.",
        ),
        Transient::SnapshotLost => Policy::transient(
            "ingest-source-snapshot",
            "Run again; if it returns, look for what ends long transactions at the source.",
        ),
        Transient::RecoveryConflict => Policy::transient(
            "ingest-source-snapshot",
            "Run again; if it returns, raise max_standby_streaming_delay on the replica or turn on \
             hot_standby_feedback.",
        ),
        Transient::SourceBehind => Policy::transient(
            "ingest-source-replaced",
            "Run again when the replica has caught up; if it does not, find out whether the server was restored to an \
             earlier state.",
        ),
        Transient::LakeBehind => Policy::transient(
            "ingest-verification",
            "Run `ol-ingest stream --until-caught-up` for the unit and verify again; or, where a stream runs, verify \
             with a longer --wait.",
        ),
        Transient::RowsMoving => Policy::transient(
            "ingest-verification",
            "Verify again at a quieter time, or with more --rounds: all other rows agree.",
        ),
        Transient::SlotInUse => Policy::transient(
            "ingest-replication-slot",
            "Wait for the other run of the unit to end; if there is none, find the server process that \
             holds the slot {slot} in pg_replication_slots.",
        ),
        Transient::SourceExhausted => Policy::transient(
            "ingest-source-overloaded",
            "Tell the owner of the database that it is out of memory or disk, then run again.",
        ),
        Transient::WarehouseUnreachable => Policy::transient(
            "ingest-warehouse",
            "Run again; if it lasts, check the network, AWS_ENDPOINT_URL_S3 and the state of S3 in this region.",
        ),
        Transient::CatalogLocked => Policy::transient(
            "ingest-catalog",
            "Wait for the other run to end; if there is none, find out who holds the catalog open.",
        ),
        Transient::CatalogUnreachable => Policy::transient(
            "ingest-catalog",
            "Run again; if it lasts, check that the server in OL_CATALOG runs and can be reached.",
        ),
        Transient::CommitConflict => Policy::transient(
            "ingest-commit",
            "Run again; if it returns, find out who else writes {table}.",
        ),
        Transient::StateMoved => Policy::transient(
            "ingest-commit",
            "Run again: another run of the same unit moved {table}, and the next one goes on from \
             there; if it returns, find out which two runs share the unit.",
        ),
        Transient::CommitStateUnknown => Policy::transient(
            "ingest-commit",
            "Run again: the next run finds out whether the commit was taken. Delete nothing by hand.",
        ),
        Transient::SecretStoreUnreachable => Policy::transient(
            "ingest-source-login",
            "Run again; if it lasts, check VAULT_ADDR and that the secret store can be reached.",
        ),
        Transient::Stopped => Policy {
            retry: false,
            exit: Exit::Stopped,
            ..Policy::transient("ingest-stopped", "Run again to go on; what was committed stays.")
        },
    }
}

/// The advice for one failure, with its facts filled in: see [`ol_chassis::failure::fill`].
pub fn advice(error: &Error) -> String {
    match error.own_advice() {
        Some(advice) => advice.to_owned(),
        None => ol_chassis::failure::fill(policy(error.failure()).advice, |key| error.fact(key)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_runbook_exists_and_none_is_stale() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/runbooks");
        let written: BTreeSet<String> = std::fs::read_dir(folder)
            .expect("the runbooks are in the repository")
            .map(|entry| entry.expect("the folder can be read").file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .filter(|name| name.starts_with("ingest-"))
            .collect();
        let named: BTreeSet<String> =
            Failure::all().map(|failure| format!("{}.md", policy(failure).runbook)).collect();
        assert_eq!(written, named);
    }

    #[test]
    fn advice_is_sentences_and_agrees_with_the_family() {
        for failure in Failure::all() {
            let policy = policy(failure);
            assert!(policy.advice.ends_with('.'), "{failure:?}");
            assert!(policy.advice.starts_with(|c: char| c.is_ascii_uppercase()), "{failure:?}");
            assert_eq!(policy.advice.matches('{').count(), policy.advice.matches('}').count());
            let retriable = matches!(policy.exit, Exit::Transient | Exit::Stopped);
            assert_eq!(retriable, matches!(failure, Failure::Transient(_)), "{failure:?}");
            assert!(!policy.retry || policy.exit == Exit::Transient, "{failure:?}");
        }
    }

    #[test]
    fn advice_is_filled_with_facts() {
        let error = Error::new(Definite::TypeRefused).with("table", "public.a").with("column", "b");
        assert_eq!(
            advice(&error),
            "Exclude the column b of public.a, or declare a lake type for it under overrides."
        );
        let error = Error::new(Definite::SourceVariableMissing)
            .with("variable", "OL_SOURCE_MITXONLINE_APP_POSTGRES_URL");
        assert_eq!(
            advice(&error),
            "Set OL_SOURCE_MITXONLINE_APP_POSTGRES_URL to the source's URL \
             (postgres://user@host/database or mysql://user@host/database), or store it in Vault."
        );
        assert_eq!(
            advice(&Error::new(Transient::LockTimeout)),
            "Run again when no migration holds the table."
        );
        // A value that looks like a placeholder is not one.
        let error = Error::new(Transient::CommitConflict).with("table", "{column}");
        assert!(advice(&error).ends_with("who else writes {column}."));
    }
}
