//! Places where a crash matters, by name. Without the feature `failpoints` they are nothing at all.
//!
//! How a test arms them: `ol_chassis::failpoint`.

/// A reader has entered the shared snapshot.
pub const SNAPSHOT_ENTERED: &str = "read.snapshot-entered";
/// A table was locked and found unchanged; its COPY is about to begin.
pub const COPY_BEGINS: &str = "read.copy-begins";
/// The first batch of a part went to its encoder.
pub const FIRST_BATCH_WRITTEN: &str = "load.first-batch-written";
/// All parts of a table have been read.
pub const TABLE_READ: &str = "load.table-read";
/// All files of a table are complete; none is committed.
pub const FILES_COMPLETE: &str = "load.files-complete";
/// The snapshot is committed; nobody has been told.
pub const COMMITTED: &str = "load.committed";
/// The run is complete; its report is not written.
pub const REPORT: &str = "run.report";

/// The keys of source and lake were compared; nothing of the difference is written.
pub const KEYS_COMPARED: &str = "sweep.keys-compared";

/// The names that only a table followed by queries comes to.
pub const INCREMENTAL: &[&str] = &[KEYS_COMPARED];

/// Every name that any run comes to, for the tests that go through them.
pub const ALL: &[&str] = &[
    SNAPSHOT_ENTERED,
    COPY_BEGINS,
    FIRST_BATCH_WRITTEN,
    TABLE_READ,
    FILES_COMPLETE,
    COMMITTED,
    REPORT,
];

pub use ol_chassis::failpoint::hit;
