//! What change capture decides, without doing any of it: no socket, no file, no clock.
//!
//! One replication slot serves all tables of a unit, and each table keeps its own position in the lake. Three numbers
//! say where things are: `confirmed`, below which the server has thrown the log away on our word; for each table
//! `position`, up to which the lake holds it; and `recorded`, the greatest place that any table of the unit has
//! written into the lake. What must hold at every moment, also after a crash between any two steps:
//!
//! ```text
//!   (A) confirmed ≤ c   for every change at commit record c that some table still lacks      nothing is lost
//!   (B) a change at p goes into table T only if p > position(T), and moves position(T)       nothing is doubled
//!   (C) confirmed ≤ recorded                                                                a moved slot is noticed
//! ```
//!
//! **(A)** A table without changes in a stretch of the log writes nothing for it, and its position stays behind
//! `confirmed`. That is no gap, *because* of (A): whoever acknowledged the stretch had seen that the table has no
//! change in it. So a table behind the slot goes on from the slot, and only three things may hold the
//! acknowledgement back: rows handed over and not yet durable, a table that is being copied (it will need everything
//! from its snapshot on), and a table that failed (see *gaps*).
//!
//! **(B)** Rows and position are one snapshot (I1), and a commit is refused unless the table still is where this
//! process left it. The server sends again from `confirmed` after every restart; what a table has already is skipped
//! by its position, change by change.
//!
//! **(C)** If a slot is dropped and made again under its name, or advanced by hand, the new slot begins at a place
//! that none of our tables knows. So before we acknowledge a place, some table records it (rows do that by the way;
//! on an idle database one property of one table does), and a slot that is ahead of everything recorded has been moved by
//! somebody else: definite, never a silent gap. This is why (A) may trust a slot at all.
//!
//! **Incarnations.** A slot that is made anew after its tables were reset begins at another consistent point. Every
//! table remembers the name and the consistent point of the slot it follows; the latest is the slot's, and a table
//! that remembers an earlier one missed the time in between: it is copied again.
//!
//! **Gaps.** A table that fails for good does not hold the others back, nor the log for ever. The place of the first
//! change it lacks is written into the table before anything above it is acknowledged. As long as the slot has not
//! passed that place, the table goes on as if nothing had happened; afterwards it must be copied again. What was taken for
//! it behind the failure is thrown away: committed, it would move the position over the place that failed. A table that
//! was not followed for a while (not in the publication) has such a gap from the start.
//!
//! **Copies in chunks.** The chunks of one copy may be read under several snapshots, the later ones by later processes. The
//! table needs every change since the first of these snapshots (`since`), so it holds the acknowledgement there until it is
//! whole, and takes up the copy only if the slot has not passed that place. It is then *replayed*: a change between
//! `since` and the snapshot of its chunk is already in the row, and taking it again does no harm, because the change
//! after it, and at last the latest one, is taken again, too. What a change leaves unsaid (unchanged TOAST) may be
//! missing then only where the row was deleted before its chunk was read; such a change is passed over, and the
//! deletion follows. The latest of these snapshots is the end of the replay.
//!
//! [`assess`] decides where each table begins, [`Progress`] what may be acknowledged; `simulation.rs` drives both
//! through crashes.

mod assess;
mod progress;
#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test fails by panicking")]
mod simulation;

pub use assess::{Assessment, Incarnation, SlotState, Start, TableState, Trouble, assess};
pub use progress::Progress;
