//! From what the lake and the server say to where each table begins, or why nothing may begin.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::position::{Position, PositionError};

/// A slot, told apart from an earlier one of the same name by where it began.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Incarnation {
    /// Where the slot began: its consistent point.
    pub began: u64,
    /// Its name.
    pub slot: String,
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{:016X}", self.slot, self.began)
    }
}

impl From<Incarnation> for String {
    fn from(incarnation: Incarnation) -> Self {
        incarnation.to_string()
    }
}

impl TryFrom<String> for Incarnation {
    type Error = PositionError;

    fn try_from(text: String) -> Result<Self, PositionError> {
        text.parse()
    }
}

impl FromStr for Incarnation {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let (slot, began) = text.rsplit_once('@').ok_or(PositionError)?;
        Ok(Self { slot: slot.to_owned(), began: began.parse::<Position>()?.lsn() })
    }
}

/// What the lake knows of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableState {
    /// Up to where the lake holds the table; `None` when it was never copied, or was reset.
    pub position: Option<Position>,
    /// The slot it follows.
    pub incarnation: Option<Incarnation>,
    /// The greatest place it recorded for the unit as a whole, and of which slot; it outlives a reset.
    pub recorded: Option<(Incarnation, u64)>,
    /// The commit record of the first change it may lack.
    pub gap: Option<u64>,
    /// A copy of it that is not complete: the slot it is for, and the place from which changes are needed.
    pub copy: Option<(Incarnation, u64)>,
    /// Whether the server publishes its changes, and has done so without a break.
    pub is_published: bool,
}

/// The slot, as the server shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotState {
    /// Below which the server sends nothing again.
    pub confirmed: u64,
    /// Whether the log behind it was removed.
    pub is_lost: bool,
}

/// Where a table begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// It is copied under a new snapshot first.
    Copy,
    /// Part of a copy is in the lake; the rest is copied under a new snapshot.
    Resume {
        /// The place from which it needs changes.
        since: u64,
    },
    /// It takes changes behind this position.
    Follow(Position),
    /// It lacks changes that the server no longer has.
    Gap {
        /// The first of them.
        since: u64,
    },
}

/// Why no table of the unit may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The slot is gone.
    Missing,
    /// The server has removed the log behind the slot.
    Lost,
    /// The slot is ahead of everything that was recorded.
    Moved {
        /// Where the slot is.
        confirmed: u64,
        /// The greatest place recorded.
        recorded: u64,
    },
}

/// What to do with a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assessment {
    /// No table follows a slot: make one, after dropping one of its name, and copy every table under its snapshot.
    Begin,
    /// The slot goes on.
    GoOn {
        /// The slot's incarnation.
        incarnation: Incarnation,
        /// The greatest place recorded.
        recorded: u64,
        /// Where each table begins, in the order given.
        starts: Vec<Start>,
    },
    /// A person must act.
    Stop(Trouble),
}

/// Decides. See the module above for why.
#[must_use]
pub fn assess(tables: &[TableState], slot: Option<SlotState>) -> Assessment {
    let following = tables.iter().filter(|table| table.position.is_some());
    let followed = following.filter_map(|table| table.incarnation.as_ref()).max();
    // Before any table is followed, copies are worth their slot for as long as it has what they need.
    let resumable = |table: &TableState, slot: SlotState| {
        let copy = table.copy.as_ref().filter(|_| table.position.is_none() && table.is_published);
        copy.filter(|(_, since)| !slot.is_lost && slot.confirmed <= *since).cloned()
    };
    let copied = || tables.iter().filter_map(|table| resumable(table, slot?)).max();
    let Some(incarnation) = followed.cloned().or_else(|| copied().map(|(slot, _)| slot)) else {
        return Assessment::Begin;
    };
    let own = |table: &TableState| {
        let position = table.position.map(Position::lsn);
        position.filter(|_| table.incarnation.as_ref() == Some(&incarnation))
    };
    let of_unit = |table: &TableState| {
        table.recorded.as_ref().filter(|(slot, _)| *slot == incarnation).map(|(_, lsn)| *lsn)
    };
    let recorded = tables.iter().flat_map(|table| [own(table), of_unit(table)]).flatten().max();
    let recorded = recorded.unwrap_or(incarnation.began);
    let Some(slot) = slot else { return Assessment::Stop(Trouble::Missing) };
    if slot.is_lost {
        return Assessment::Stop(Trouble::Lost);
    }
    if slot.confirmed > recorded {
        return Assessment::Stop(Trouble::Moved { confirmed: slot.confirmed, recorded });
    }
    let start = |table: &TableState| {
        let Some(position) = table.position else {
            return match resumable(table, slot) {
                Some((of, since)) if of == incarnation => Start::Resume { since },
                Some(_) | None => Start::Copy,
            };
        };
        if table.incarnation.as_ref() != Some(&incarnation) || !table.is_published {
            return Start::Copy;
        }
        match table.gap {
            Some(since) if since < slot.confirmed => Start::Gap { since },
            Some(_) | None => Start::Follow(position),
        }
    };
    Assessment::GoOn { starts: tables.iter().map(start).collect(), incarnation, recorded }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
    use super::*;

    fn slot(began: u64) -> Incarnation {
        Incarnation { slot: "s".into(), began }
    }

    fn table(position: u64) -> TableState {
        TableState {
            position: Some(Position::Lsn(position)),
            incarnation: Some(slot(10)),
            recorded: None,
            gap: None,
            copy: None,
            is_published: true,
        }
    }

    fn copying(since: u64) -> TableState {
        let copy = Some((slot(10), since));
        TableState { position: None, incarnation: None, copy, ..table(0) }
    }

    fn at(confirmed: u64) -> Option<SlotState> {
        Some(SlotState { confirmed, is_lost: false })
    }

    fn starts(tables: &[TableState], confirmed: u64) -> Vec<Start> {
        match assess(tables, at(confirmed)) {
            Assessment::GoOn { starts, .. } => starts,
            other @ (Assessment::Begin | Assessment::Stop(_)) => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_a_followed_table_it_begins() {
        let reset = TableState { position: None, ..table(0) };
        assert_eq!(assess(&[], at(5)), Assessment::Begin);
        assert_eq!(assess(&[reset], at(5)), Assessment::Begin);
    }

    #[test]
    fn a_slot_that_is_gone_lost_or_moved_stops_everything() {
        let tables = [table(20), table(90)];
        assert_eq!(assess(&tables, None), Assessment::Stop(Trouble::Missing));
        let lost = Some(SlotState { confirmed: 50, is_lost: true });
        assert_eq!(assess(&tables, lost), Assessment::Stop(Trouble::Lost));
        let moved = Trouble::Moved { confirmed: 91, recorded: 90 };
        assert_eq!(assess(&tables, at(91)), Assessment::Stop(moved));
        let anchored = [table(20), TableState { recorded: Some((slot(10), 91)), ..table(90) }];
        assert!(matches!(assess(&anchored, at(91)), Assessment::GoOn { recorded: 91, .. }));
    }

    #[test]
    fn what_a_table_recorded_outlives_its_reset() {
        let reset = TableState { position: None, recorded: Some((slot(10), 90)), ..table(0) };
        let go_on = assess(&[table(20), reset], at(90));
        assert!(matches!(go_on, Assessment::GoOn { recorded: 90, .. }), "{go_on:?}");
    }

    #[test]
    fn a_table_behind_the_slot_goes_on_unless_it_has_a_gap() {
        let quiet = table(20);
        let gap = TableState { gap: Some(30), ..table(25) };
        let follow = |position| Start::Follow(Position::Lsn(position));
        let tables = [quiet.clone(), gap, table(90)];
        assert_eq!(starts(&tables, 80), [follow(20), Start::Gap { since: 30 }, follow(90)]);
        assert_eq!(starts(&tables, 30), [follow(20), follow(25), follow(90)]);
    }

    #[test]
    fn a_table_of_an_earlier_slot_or_outside_of_the_publication_is_copied() {
        let earlier = TableState { incarnation: Some(slot(5)), ..table(90) };
        let unpublished = TableState { is_published: false, ..table(20) };
        let new = TableState { position: None, incarnation: None, ..table(0) };
        let tables = [earlier.clone(), unpublished, new, table(40)];
        let follow = Start::Follow(Position::Lsn(40));
        assert_eq!(starts(&tables, 40), [Start::Copy, Start::Copy, Start::Copy, follow]);
        // What a table of an earlier slot recorded says nothing about this one.
        let moved = Trouble::Moved { confirmed: 60, recorded: 40 };
        assert_eq!(assess(&tables, at(60)), Assessment::Stop(moved));
    }

    #[test]
    fn a_copy_goes_on_while_the_slot_has_what_it_needs() {
        let resume = |since| Start::Resume { since };
        // Nothing is followed yet: the slot of a first copy.
        assert_eq!(starts(&[copying(10), copying(10)], 10), [resume(10), resume(10)]);
        assert_eq!(assess(&[copying(10)], at(11)), Assessment::Begin);
        assert_eq!(assess(&[copying(10)], None), Assessment::Begin);
        let lost = Some(SlotState { confirmed: 10, is_lost: true });
        assert_eq!(assess(&[copying(10)], lost), Assessment::Begin);
        let unpublished = TableState { is_published: false, ..copying(10) };
        assert_eq!(assess(std::slice::from_ref(&unpublished), at(10)), Assessment::Begin);
        // Beside tables that are followed.
        let follow = Start::Follow(Position::Lsn(40));
        let tables = [table(40), copying(30), copying(20), unpublished];
        let wanted = [follow, resume(30), Start::Copy, Start::Copy];
        assert_eq!(starts(&tables, 25), wanted);
        let earlier = TableState { copy: Some((slot(5), 30)), ..copying(30) };
        assert_eq!(starts(&[table(40), earlier], 20)[1], Start::Copy);
    }

    #[test]
    fn an_incarnation_reads_back() {
        let incarnation = Incarnation { slot: "ol_a@b".into(), began: 77 };
        assert_eq!(incarnation.to_string().parse::<Incarnation>().unwrap(), incarnation);
        assert!("ol_a".parse::<Incarnation>().is_err());
    }
}
