//! What the error codes of PostgreSQL mean to a run.
//!
//! The source of fact is Appendix A of the PostgreSQL documentation, *Table A.1. PostgreSQL Error
//! Codes* (<https://www.postgresql.org/docs/current/errcodes-appendix.html>): five characters, of
//! which the first two are the class. Codes that say whose turn it is are named one by one; the
//! rest of a class follows its class. Texts of messages are never looked at: they are translated
//! and reworded, codes are not.
//!
//! Two things a code cannot tell are left to the caller. `42501` is both "may not read" and, with
//! `row_security = off`, "would be shown a part only": the catalog is asked about the latter before
//! a table is read. And a server that insists on encryption answers `28000` like one that refuses
//! the user; the advice covers both.

use crate::error::{Definite, Failure, Transient};

/// What was being done when the code arrived, where the same code means different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// Opening a connection.
    Connecting,
    /// Joining the snapshot another connection exported.
    JoiningSnapshot,
    /// Creating a replication slot.
    CreatingSlot,
    /// Beginning to stream from a replication slot.
    StartingStream,
    /// Streaming from a replication slot.
    Streaming,
    /// Anything else.
    Reading,
}

/// The kind of failure a code stands for.
pub(crate) fn failure(code: &str, doing: Doing) -> Failure {
    if let Some(failure) = by_activity(code, doing) {
        return failure;
    }
    let class = code.get(..2).unwrap_or_default();
    by_code(code).or_else(|| by_class(class)).unwrap_or_else(|| Definite::SourceRefused.into())
}

/// A slot that is gone is an undefined object (42704) when the stream begins; while it runs, the same code is a
/// publication that is gone. A slot that was given up is in a wrong state (55000), or its log is a file that is not
/// there (58P01). Before a slot can be created, the wrong state is that of the server (`wal_level`).
///
/// A snapshot that is gone is reported as an invalid parameter (22023, up to PostgreSQL 16), as an
/// undefined object (42704, from PostgreSQL 17), or as a wrong state (55000).
fn by_activity(code: &str, doing: Doing) -> Option<Failure> {
    match (doing, code) {
        (Doing::JoiningSnapshot, "22023" | "42704" | "55000") => {
            Some(Transient::SnapshotLost.into())
        }
        (Doing::Connecting, "42501") => Some(Definite::AuthenticationFailed.into()),
        (Doing::CreatingSlot, "55000" | "53400" | "42501") | (Doing::StartingStream, "42501") => {
            Some(Definite::ReplicationUnavailable.into())
        }
        (Doing::CreatingSlot, "42710")
        | (Doing::CreatingSlot | Doing::StartingStream | Doing::Streaming, "55006") => {
            Some(Transient::SlotInUse.into())
        }
        (Doing::StartingStream, "42704") => Some(Definite::SlotMissing.into()),
        (Doing::Streaming, "42704") => Some(Definite::PublicationMissing.into()),
        (Doing::StartingStream | Doing::Streaming, "55000" | "58P01") => {
            Some(Definite::SlotLost.into())
        }
        (
            Doing::JoiningSnapshot
            | Doing::Connecting
            | Doing::CreatingSlot
            | Doing::StartingStream
            | Doing::Streaming
            | Doing::Reading,
            _,
        ) => None,
    }
}

fn by_code(code: &str) -> Option<Failure> {
    Some(match code {
        // 08: connection exception
        "08001" => Transient::HostUnreachable.into(),
        "08P01" => Definite::ProtocolViolated.into(),
        // 25: invalid transaction state; the two timeouts end the session or the transaction
        "25P03" => Transient::ConnectionLost.into(),
        "25P04" => Transient::StatementTimeout.into(),
        // 40: transaction rollback; a read-only snapshot is rolled back by a recovery conflict only
        "40001" => Transient::RecoveryConflict.into(),
        "40P01" => Transient::LockTimeout.into(),
        // 42: syntax error or access rule violation
        "42501" => Definite::PermissionDenied.into(),
        "42P01" => Definite::RelationMissing.into(),
        "42703" | "42804" => Definite::ColumnChanged.into(),
        "42809" => Definite::RelationKindRefused.into(),
        // 53: insufficient resources
        "53300" => Transient::TooManyConnections.into(),
        // 55: object not in prerequisite state
        "55006" | "55P03" => Transient::LockTimeout.into(),
        // 57: operator intervention
        "57014" => Transient::StatementTimeout.into(),
        "57P01" | "57P02" | "57P03" => Transient::ServerStarting.into(),
        "57P04" => Definite::DatabaseMissing.into(),
        "57P05" => Transient::ConnectionLost.into(),
        // XX: internal error; XX000 itself is a refusal, these two are damage
        "XX001" | "XX002" => Definite::SourceDamaged.into(),
        _ => return None,
    })
}

fn by_class(class: &str) -> Option<Failure> {
    Some(match class {
        // Connection exception.
        "08" => Transient::ConnectionLost.into(),
        // Invalid authorization specification; invalid role specification.
        "28" | "0P" => Definite::AuthenticationFailed.into(),
        // Invalid catalog name.
        "3D" => Definite::DatabaseMissing.into(),
        // Invalid schema name.
        "3F" => Definite::RelationMissing.into(),
        // Transaction rollback.
        "40" => Transient::ConnectionLost.into(),
        // Insufficient resources.
        "53" => Transient::SourceExhausted.into(),
        // Operator intervention.
        "57" => Transient::ServerStarting.into(),
        // System error, external to PostgreSQL itself: its files cannot be read.
        "58" => Definite::SourceDamaged.into(),
        // Snapshot failure.
        "72" => Transient::SnapshotLost.into(),
        // Success, warnings and no data are no errors: one that says so is not understood.
        "00" | "01" | "02" => Definite::ProtocolViolated.into(),
        // Statement not complete, triggered action, feature, locator, grantor, diagnostics, XQuery,
        // case, cardinality, data, constraints, cursors, transaction state, statement names,
        // triggers, descriptors, termination, SQL routines, cursors, external routines,
        // savepoints, syntax, check option, limits, object state, configuration file, foreign
        // data, PL/pgSQL, internal error: the statement is at fault, and stays so.
        "03" | "09" | "0A" | "0B" | "0F" | "0L" | "0Z" | "10" | "20" | "21" | "22" | "23"
        | "24" | "25" | "26" | "27" | "2B" | "2D" | "2F" | "34" | "38" | "39" | "3B" | "42"
        | "44" | "54" | "55" | "F0" | "HV" | "P0" | "XX" => Definite::SourceRefused.into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every class of Table A.1.
    const CLASSES: &[&str] = &[
        "00", "01", "02", "03", "08", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "10", "20", "21",
        "22", "23", "24", "25", "26", "27", "28", "2B", "2D", "2F", "34", "38", "39", "3B", "3D",
        "3F", "40", "42", "44", "53", "54", "55", "57", "58", "72", "F0", "HV", "P0", "XX",
    ];

    #[test]
    fn every_class_is_decided() {
        for class in CLASSES {
            assert!(by_class(class).is_some(), "{class}");
        }
    }

    #[test]
    fn the_codes_that_matter_are_told_apart() {
        let cases: &[(&str, Doing, Failure)] = &[
            ("28P01", Doing::Connecting, Definite::AuthenticationFailed.into()),
            ("28000", Doing::Connecting, Definite::AuthenticationFailed.into()),
            ("42501", Doing::Connecting, Definite::AuthenticationFailed.into()),
            ("42501", Doing::Reading, Definite::PermissionDenied.into()),
            ("3D000", Doing::Connecting, Definite::DatabaseMissing.into()),
            ("53300", Doing::Connecting, Transient::TooManyConnections.into()),
            ("57P03", Doing::Connecting, Transient::ServerStarting.into()),
            ("57P01", Doing::Reading, Transient::ServerStarting.into()),
            ("42P01", Doing::Reading, Definite::RelationMissing.into()),
            ("42703", Doing::Reading, Definite::ColumnChanged.into()),
            ("42809", Doing::Reading, Definite::RelationKindRefused.into()),
            ("57014", Doing::Reading, Transient::StatementTimeout.into()),
            ("55P03", Doing::Reading, Transient::LockTimeout.into()),
            ("40001", Doing::Reading, Transient::RecoveryConflict.into()),
            ("72000", Doing::Reading, Transient::SnapshotLost.into()),
            ("22023", Doing::JoiningSnapshot, Transient::SnapshotLost.into()),
            ("42704", Doing::JoiningSnapshot, Transient::SnapshotLost.into()),
            ("22023", Doing::Reading, Definite::SourceRefused.into()),
            ("55000", Doing::CreatingSlot, Definite::ReplicationUnavailable.into()),
            ("53400", Doing::CreatingSlot, Definite::ReplicationUnavailable.into()),
            ("42501", Doing::StartingStream, Definite::ReplicationUnavailable.into()),
            ("42710", Doing::CreatingSlot, Transient::SlotInUse.into()),
            ("55006", Doing::StartingStream, Transient::SlotInUse.into()),
            ("42704", Doing::StartingStream, Definite::SlotMissing.into()),
            ("42704", Doing::Streaming, Definite::PublicationMissing.into()),
            ("55000", Doing::StartingStream, Definite::SlotLost.into()),
            ("58P01", Doing::Streaming, Definite::SlotLost.into()),
            ("53300", Doing::Streaming, Transient::TooManyConnections.into()),
            ("55006", Doing::Reading, Transient::LockTimeout.into()),
            ("53100", Doing::Reading, Transient::SourceExhausted.into()),
            ("53200", Doing::Reading, Transient::SourceExhausted.into()),
            ("XX001", Doing::Reading, Definite::SourceDamaged.into()),
            ("08006", Doing::Reading, Transient::ConnectionLost.into()),
            ("08P01", Doing::Reading, Definite::ProtocolViolated.into()),
            // A class that no PostgreSQL has, and no code at all: a person must look.
            ("ZZ123", Doing::Reading, Definite::SourceRefused.into()),
            ("", Doing::Reading, Definite::SourceRefused.into()),
            ("é", Doing::Reading, Definite::SourceRefused.into()),
        ];
        for (code, doing, expected) in cases {
            assert_eq!(failure(code, *doing), *expected, "{code} while {doing:?}");
        }
    }
}
