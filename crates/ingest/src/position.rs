//! Where in a source something was read: comparable, and written as text that sorts the same way.
//!
//! A transaction is in Postgres' log twice over: its changes as they happened, and the record of its commit. Change
//! capture hands transactions over in the order of their commit records, so a change is placed by the start of that
//! record and by its number within the transaction. Between transactions a place is a byte of the log alone. Both
//! are one order: for a transaction that commits at `c` and whose record ends at `e`, with `s` changes,
//!
//! ```text
//!   any byte up to c  <  (c, 0) < (c, 1) < … < (c, s − 1)  <  e  <=  the commit record of the next
//! ```
//!
//! so a table whose rows reach byte `p` holds exactly the transactions with `c < p`, and one that was cut within a
//! transaction, at `(c, n)`, goes on at `(c, n + 1)`.
//!
//! A binary log has its transactions one after the other, whole, in the order of their commits. There a transaction is
//! placed by the byte at which it begins, and a change by the event and the row in it.
//!
//! A change stream of MongoDB tells changes in one order, each with a time of the cluster, which several changes of one
//! transaction share. There a place is a time and how many changes of that time are before it.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A position in a source. Positions of one table are of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Position {
    /// A place in the write-ahead log of a Postgres server, in bytes since its beginning.
    Lsn(u64),
    /// A change of a transaction.
    Change {
        /// Where the transaction's commit record begins.
        lsn: u64,
        /// The number of the change within the transaction, from 0.
        ordinal: u32,
    },
    /// A place in the binary log of a MySQL or MariaDB server, between two transactions.
    Binlog(LogPlace),
    /// A change of a transaction of such a log.
    BinlogChange {
        /// Where the transaction begins.
        begins: LogPlace,
        /// The number of the event with rows within the transaction, from 0.
        event: u32,
        /// The number of the row within the event, from 0; an update is two.
        row: u32,
    },
    /// A place in the change stream of a MongoDB.
    Cluster {
        /// The time of the cluster.
        time: ClusterTime,
        /// How many changes of that time are before the place; a change is placed behind itself.
        changes: u32,
    },
    /// A time on our clock, in microseconds since 1970-01-01 UTC, for a source that tells no place in a log.
    Moment(u64),
}

/// A time of a MongoDB cluster: a second, and a number within it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClusterTime {
    /// Seconds since 1970-01-01 UTC.
    pub seconds: u32,
    /// The number within the second, from 1.
    pub increment: u32,
}

/// A place in a binary log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPlace {
    /// How many servers were followed before this one: the files of each are counted anew.
    pub epoch: u16,
    /// The number of the log file.
    pub file: u32,
    /// The byte in it.
    pub offset: u64,
}

impl fmt::Display for LogPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, file, offset } = self;
        if *epoch > 0 {
            // A letter sorts behind every digit, as do the places of the server that came later.
            write!(f, "E{epoch:05}:")?;
        }
        write!(f, "{file:010}:{offset:020}")
    }
}

impl Position {
    /// The place of the second row that one change makes.
    #[must_use]
    pub fn second(self) -> Self {
        match self {
            Self::Change { lsn, ordinal } => Self::Change { lsn, ordinal: ordinal + 1 },
            Self::BinlogChange { begins, event, row } => {
                Self::BinlogChange { begins, event, row: row + 1 }
            }
            Self::Lsn(_) | Self::Binlog(_) | Self::Cluster { .. } | Self::Moment(_) => self,
        }
    }

    /// The place in a binary log, without the change in it.
    #[must_use]
    pub fn log_place(self) -> Option<LogPlace> {
        match self {
            Self::Binlog(place) | Self::BinlogChange { begins: place, .. } => Some(place),
            Self::Lsn(_) | Self::Change { .. } | Self::Cluster { .. } | Self::Moment(_) => None,
        }
    }

    /// The time of a MongoDB cluster.
    #[must_use]
    pub fn cluster_time(self) -> Option<ClusterTime> {
        match self {
            Self::Cluster { time, .. } => Some(time),
            Self::Lsn(_)
            | Self::Change { .. }
            | Self::Binlog(_)
            | Self::BinlogChange { .. }
            | Self::Moment(_) => None,
        }
    }

    /// The place right before one that is between two transactions: no transaction is there.
    #[must_use]
    pub fn before(self) -> Self {
        match self {
            Self::Lsn(lsn) => Self::Lsn(lsn.saturating_sub(1)),
            Self::Binlog(place) => {
                Self::Binlog(LogPlace { offset: place.offset.saturating_sub(1), ..place })
            }
            Self::Moment(microseconds) => Self::Moment(microseconds.saturating_sub(1)),
            Self::Change { .. } | Self::BinlogChange { .. } | Self::Cluster { .. } => self,
        }
    }

    /// The byte of a Postgres server's log, without the change in it. Of a place that is in no such log nothing is known,
    /// which is its beginning.
    #[must_use]
    pub fn lsn(self) -> u64 {
        match self {
            Self::Lsn(lsn) | Self::Change { lsn, .. } => lsn,
            Self::Binlog(_)
            | Self::BinlogChange { .. }
            | Self::Cluster { .. }
            | Self::Moment(_) => 0,
        }
    }

    /// The kind, and what orders positions of it.
    fn key(self) -> (u8, LogPlace, u64, u64) {
        let nowhere = LogPlace::default();
        match self {
            Self::Lsn(lsn) => (0, nowhere, lsn, 0),
            Self::Change { lsn, ordinal } => (0, nowhere, lsn, u64::from(ordinal) + 1),
            Self::Binlog(place) => (1, place, 0, 0),
            Self::BinlogChange { begins, event, row } => {
                (1, begins, u64::from(event) + 1, u64::from(row))
            }
            Self::Cluster { time: ClusterTime { seconds, increment }, changes } => {
                (2, nowhere, u64::from(seconds) << 32 | u64::from(increment), u64::from(changes))
            }
            Self::Moment(microseconds) => (3, nowhere, microseconds, 0),
        }
    }
}

impl Ord for Position {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Position {
    /// Sixteen hexadecimal digits, and eight more behind a dot for a change: unlike the server's `X/Y` form, it
    /// sorts as text. The file and the byte of a binary log are decimal, with a colon between, and behind dots the
    /// event and the row of a change; a time of a cluster, its number and the count of changes are behind an `M`, a time of our
    /// own clock is behind a `T`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lsn(lsn) => write!(f, "{lsn:016X}"),
            Self::Change { lsn, ordinal } => write!(f, "{lsn:016X}.{ordinal:08X}"),
            Self::Binlog(place) => place.fmt(f),
            Self::BinlogChange { begins, event, row } => {
                write!(f, "{begins}.{event:010}.{row:010}")
            }
            Self::Cluster { time: ClusterTime { seconds, increment }, changes } => {
                write!(f, "M{seconds:010}.{increment:010}.{changes:010}")
            }
            Self::Moment(microseconds) => write!(f, "T{microseconds:020}"),
        }
    }
}

/// The text is not a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text is not a position")]
pub struct PositionError;

impl From<Position> for String {
    fn from(position: Position) -> Self {
        position.to_string()
    }
}

impl TryFrom<String> for Position {
    type Error = PositionError;

    fn try_from(text: String) -> Result<Self, PositionError> {
        text.parse()
    }
}

impl FromStr for Position {
    type Err = PositionError;

    /// Reads our own forms, or the server's `X/Y` (PostgreSQL documentation, `pg_lsn` type).
    fn from_str(text: &str) -> Result<Self, PositionError> {
        let is_hexadecimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = |text: &str| {
            if !is_hexadecimal(text) {
                return Err(PositionError);
            }
            u64::from_str_radix(text, 16).map_err(|_| PositionError)
        };
        let decimal = |text: &str, digits: usize| {
            let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse().ok().filter(|_| is_decimal && text.len() == digits);
            number.ok_or(PositionError)
        };
        if let Some(microseconds) = text.strip_prefix('T') {
            return Ok(Self::Moment(decimal(microseconds, 20)?));
        }
        let small = |number: u64| u32::try_from(number).map_err(|_| PositionError);
        if let Some(place) = text.strip_prefix('M') {
            let mut numbers = place.split('.').map(|text| small(decimal(text, 10)?));
            let mut next = || numbers.next().unwrap_or(Err(PositionError));
            let time = ClusterTime { seconds: next()?, increment: next()? };
            let place = Self::Cluster { time, changes: next()? };
            return numbers.next().map_or(Ok(place), |_| Err(PositionError));
        }
        if text.contains(':') {
            let (text, change) = match text.split_once('.') {
                Some((place, change)) => {
                    (place, Some(change.split_once('.').ok_or(PositionError)?))
                }
                None => (text, None),
            };
            let (epoch, text) = match text.strip_prefix('E').and_then(|text| text.split_once(':')) {
                Some((epoch, text)) => (decimal(epoch, 5)?, text),
                None => (0, text),
            };
            let (file, offset) = text.split_once(':').ok_or(PositionError)?;
            let place = LogPlace {
                epoch: u16::try_from(epoch).map_err(|_| PositionError)?,
                file: small(decimal(file, 10)?)?,
                offset: decimal(offset, 20)?,
            };
            return Ok(match change {
                None => Self::Binlog(place),
                Some((event, row)) => Self::BinlogChange {
                    begins: place,
                    event: small(decimal(event, 10)?)?,
                    row: small(decimal(row, 10)?)?,
                },
            });
        }
        if let Some((lsn, ordinal)) = text.split_once('.') {
            if lsn.len() != 16 || ordinal.len() != 8 || !is_hexadecimal(ordinal) {
                return Err(PositionError);
            }
            let ordinal = u32::from_str_radix(ordinal, 16).map_err(|_| PositionError)?;
            return Ok(Self::Change { lsn: number(lsn)?, ordinal });
        }
        match text.split_once('/') {
            Some((high, low)) if high.len() <= 8 && low.len() <= 8 => {
                Ok(Self::Lsn(number(high)? << 32 | number(low)?))
            }
            None if text.len() == 16 => Ok(Self::Lsn(number(text)?)),
            _ => Err(PositionError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn position() -> impl Strategy<Value = Position> {
        // Few different bytes, so that the same one meets itself with and without a change.
        (prop_oneof![any::<u64>(), 0..4u64], any::<Option<u32>>()).prop_map(|(lsn, ordinal)| {
            match ordinal {
                None => Position::Lsn(lsn),
                Some(ordinal) => Position::Change { lsn, ordinal },
            }
        })
    }

    fn place() -> impl Strategy<Value = (LogPlace, Option<(u32, u32)>)> {
        let offset = prop_oneof![any::<u64>(), 0..4u64];
        (0..3u16, prop_oneof![any::<u32>(), 0..3u32], offset, any::<Option<(u32, u32)>>())
            .prop_map(|(epoch, file, offset, change)| (LogPlace { epoch, file, offset }, change))
    }

    proptest! {
        #[test]
        fn places_of_binary_logs_and_times_sort_as_text(a in place(), b in place()) {
            let binlog = |(begins, change): (LogPlace, Option<(u32, u32)>)| match change {
                None => Position::Binlog(begins),
                Some((event, row)) => Position::BinlogChange { begins, event, row },
            };
            let moment = |(place, _): (LogPlace, _)| Position::Moment(place.offset);
            let cluster = |(place, change): (LogPlace, Option<(u32, u32)>)| {
                let time = ClusterTime { seconds: place.epoch.into(), increment: place.file };
                Position::Cluster { time, changes: change.map_or(0, |(event, _)| event) }
            };
            let pairs =
                [(binlog(a), binlog(b)), (cluster(a), cluster(b)), (moment(a), moment(b))];
            for (a, b) in pairs {
                prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
                prop_assert_eq!(a.to_string().parse(), Ok(a));
            }
        }

        #[test]
        fn text_sorts_as_positions_do(a in position(), b in position()) {
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
            prop_assert_eq!(a.to_string().parse(), Ok(a));
        }

        #[test]
        fn the_servers_form_is_the_same_place(high: u32, low: u32) {
            let text = format!("{high:X}/{low:X}");
            prop_assert_eq!(text.parse(), Ok(Position::Lsn(u64::from(high) << 32 | u64::from(low))));
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "1",
            "0/",
            "g/0",
            "000000000/0",
            "0123456789abcdefg",
            "+123456789abcdef",
            "0123456789ABCDEF.1",
            "0123456789ABCDEF.+0000001",
            "1.00000001",
            "0000000001:4",
            "+000000001:00000000000000000004",
            "9999999999:00000000000000000004",
            "T1",
            "M1.1.1",
            "M0000000001.0000000001",
            "M0000000001.0000000001.0000000001.0000000001",
            "M9999999999.0000000001.0000000001",
            "E1:0000000001:00000000000000000004",
            "0000000001:00000000000000000004.0000000001",
        ] {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
    }
}
