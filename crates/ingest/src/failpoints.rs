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

/// The slot exists; no table is copied.
pub const SLOT_CREATED: &str = "capture.slot-created";
/// A change was handed to its table's writer.
pub const CHANGE_TAKEN: &str = "capture.change-taken";
/// A batch is due; no file of it is complete.
pub const BATCH_DUE: &str = "capture.batch-due";
/// The files of a table's batch are complete; nothing is committed.
pub const TABLE_SEALED: &str = "capture.table-sealed";
/// One table of a batch is committed.
pub const TABLE_COMMITTED: &str = "capture.table-committed";
/// Every table of a batch is committed; nothing is acknowledged.
pub const BATCH_COMMITTED: &str = "capture.batch-committed";
/// The place of an idle source is recorded; it is not acknowledged.
pub const RECORDED: &str = "capture.recorded";
/// The source is about to be told.
pub const BEFORE_ACKNOWLEDGE: &str = "capture.before-acknowledge";
/// The source was told.
pub const ACKNOWLEDGED: &str = "capture.acknowledged";
/// The lake's columns were changed; no row has them.
pub const SCHEMA_CHANGED: &str = "capture.schema-changed";
/// A failed table says from where it lacks changes; it no longer holds the others.
pub const GAP_RECORDED: &str = "capture.gap-recorded";

/// The files of a chunk are complete; it is not committed.
pub const CHUNK_COMPLETE: &str = "copy.chunk-complete";
/// A chunk is on its branch.
pub const CHUNK_COMMITTED: &str = "copy.chunk-committed";
/// All chunks are on the branch; nobody sees them.
pub const COPY_GATHERED: &str = "copy.gathered";

/// The names that only a copy in chunks comes to.
pub const CHUNKS: &[&str] = &[CHUNK_COMPLETE, CHUNK_COMMITTED, COPY_GATHERED];

/// Every name of change capture.
pub const CAPTURE: &[&str] = &[
    SLOT_CREATED,
    CHANGE_TAKEN,
    BATCH_DUE,
    TABLE_SEALED,
    TABLE_COMMITTED,
    BATCH_COMMITTED,
    RECORDED,
    BEFORE_ACKNOWLEDGE,
    ACKNOWLEDGED,
    SCHEMA_CHANGED,
    GAP_RECORDED,
];

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
