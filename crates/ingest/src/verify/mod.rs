//! Source against lake: what `ol-ingest verify` may say, and why it is true.
//!
//! ```text
//!   moment.rs  a snapshot of the source with its exact place L in the log; whether the lake has come to L
//!   lake.rs    the lake's rows as of L: of a merged table, or of a log that is reduced to its latest rows
//!   tally.rs   sums a range, and rows a key where the sums of a range differ (no I/O)
//!   table.rs   one look at one table: both sides, what is settled, what has to be looked at again
//! ```
//!
//! **At a position.** A temporary slot gives a snapshot and its place `L`: commits before `L` are in it, commits at or
//! after `L` are not. The lake is read once everything before `L` is in it: the table's own position has come to `L`, or
//! the unit's slot has been acknowledged to `L` (invariant I3), or, where nobody streams, the slot shows that it holds
//! no change of the table before `L`. From then on, each row of the lake says by its `_ol_position` what it can be held
//! against:
//!
//! - at or below `L`: its key was not changed between that position and the lake's, so at `L` the source must have
//!   had exactly this row. Another row there, or none, is a difference.
//! - above `L`: the key has moved on. It is left out on both sides and looked at again under a later `L`.
//! - no row, though the source had one at `L`: it is lost, or was deleted since. Where the lake's table ends at or
//!   below `L`, or keeps what is deleted (a log, a soft delete), it is lost. Otherwise it is looked at again, and lost if
//!   the same version of the row (its `xmin`) is still there: then it was there all the while in between, in which
//!   the lake was read without it.
//!
//! A log needs no second look: its rows at or below `L`, reduced to the latest of each key, are the table at `L`.
//! A log of a table without a key is reduced by counting: a row that was deleted takes back an equal one.
//!
//! **Where a source shows no row as it was.** MongoDB is read without a snapshot, so its documents are of later than `L`, which
//! is the time of the cluster that it had come to before. What differs then may have changed in between, and is looked at
//! again, under an `L` of after the first look. It differs if it differs again, the source's row, or that it has none, is the
//! same as before, and the lake's has not moved on; so a difference is told by the second look. (A document that was changed
//! between two looks, and changed back, may be told to differ: by the time it is looked at by a person it does not.)
//!
//! A key that moved on at every look is *not judged*, which is a reason to come again, not a difference. A lake that does
//! not come to `L` is still compared: equal is equal, but what is not equal is then no difference either.
//! Without a slot (the role or the server does not allow one) there is no `L`, and rows that the source changed after
//! the last run show as differences, as they do for tables that are not followed by their changes.
//!
//! **By ranges of hashed keys**, not of keys: a range of keys needs the server's order of them, which for texts is its
//! collation's, and a condition that is true of the same rows on both sides. The hash of a key's decoded value is ours on
//! both sides, for every type and for composite keys, and cuts any table evenly. The price is that a range cannot be
//! read from the source by itself: ranges that differ cost one more read of the whole table (for each 1.8 million rows
//! in them). Memory grows neither with the table nor with its rows: sums for each range, and for the rows of ranges that
//! differ 48 bytes a key in a hash table, for at most 1.8 million keys at a time; the same for the keys of a log, which is
//! therefore read once for each 1.8 million of its rows.
//!
//! Not seen: a row that the lake has right although the source's log and its table disagree, and a cell whose
//! value both decoders get wrong in the same way; independent readers are asked for that by the tests.

pub mod lake;
pub mod moment;
pub mod table;
pub mod tally;

/// Keys that are held in memory at the same time.
pub const MOST_KEYS: usize = 1_800_000;
/// Differing keys that are named a table.
pub const MOST_NAMED: usize = 10;
/// Differing rows of which more than the hash is kept, for naming their keys and columns.
pub const MOST_SAMPLES: usize = 1000;
