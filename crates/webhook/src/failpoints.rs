//! Places where a crash matters, by name, in the order a message passes them.
//!
//! How a test arms them: `ol_chassis::failpoint`.

pub use ol_chassis::failpoint::hit;

/// The input was read and checked; nothing is in the outbox.
pub const INPUT_READ: &str = "send.input-read";
/// The messages are in the outbox; nobody has been told.
pub const ENQUEUED: &str = "send.enqueued";
/// What vanished from a complete snapshot is known; no tombstone is in the outbox.
pub const VANISHED_KNOWN: &str = "send.vanished-known";
/// Messages are leased; nothing was sent.
pub const CLAIMED: &str = "deliver.claimed";
/// The request is signed and about to be sent.
pub const SIGNED: &str = "deliver.signed";
/// The receiver has answered; nothing is recorded.
pub const ANSWERED: &str = "deliver.answered";
/// Results are about to be recorded.
pub const RECORDING: &str = "deliver.recording";
/// Results are recorded; nobody has been told.
pub const RECORDED: &str = "deliver.recorded";
/// The run is complete; its report is not written.
pub const REPORT: &str = "deliver.report";
/// A dead letter is queued again; nobody has been told.
pub const REPLAYED: &str = "replay.replayed";

/// Every name, for the tests that go through them.
pub const ALL: &[&str] = &[
    INPUT_READ,
    ENQUEUED,
    VANISHED_KNOWN,
    CLAIMED,
    SIGNED,
    ANSWERED,
    RECORDING,
    RECORDED,
    REPORT,
    REPLAYED,
];
