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

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A position in a source. Positions of one table are of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// A place in the binary log of a MySQL or MariaDB server.
    Binlog {
        /// The number of the log file.
        file: u32,
        /// The byte in it.
        offset: u64,
    },
    /// A time on our clock, in microseconds since 1970-01-01 UTC, for a source that tells no place in a log.
    Moment(u64),
}

impl Position {
    /// The place of the second row that one change makes.
    #[must_use]
    pub fn second(self) -> Self {
        match self {
            Self::Change { lsn, ordinal } => Self::Change { lsn, ordinal: ordinal + 1 },
            Self::Lsn(_) | Self::Binlog { .. } | Self::Moment(_) => self,
        }
    }

    /// The byte of a Postgres server's log, without the change in it. Of a place that is in no such log nothing is known,
    /// which is its beginning.
    #[must_use]
    pub fn lsn(self) -> u64 {
        match self {
            Self::Lsn(lsn) | Self::Change { lsn, .. } => lsn,
            Self::Binlog { .. } | Self::Moment(_) => 0,
        }
    }

    /// The kind, and what orders positions of it.
    fn key(self) -> (u8, u64, u64) {
        match self {
            Self::Lsn(lsn) => (0, lsn, 0),
            Self::Change { lsn, ordinal } => (0, lsn, u64::from(ordinal) + 1),
            Self::Binlog { file, offset } => (1, u64::from(file), offset),
            Self::Moment(microseconds) => (2, microseconds, 0),
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
    /// sorts as text. The file and the byte of a binary log are decimal, with a colon between; a time is behind a `T`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lsn(lsn) => write!(f, "{lsn:016X}"),
            Self::Change { lsn, ordinal } => write!(f, "{lsn:016X}.{ordinal:08X}"),
            Self::Binlog { file, offset } => write!(f, "{file:010}:{offset:020}"),
            Self::Moment(microseconds) => write!(f, "T{microseconds:020}"),
        }
    }
}

/// The text is not a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text is not a position")]
pub struct PositionError;

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
        if let Some((file, offset)) = text.split_once(':') {
            let file = u32::try_from(decimal(file, 10)?).map_err(|_| PositionError)?;
            return Ok(Self::Binlog { file, offset: decimal(offset, 20)? });
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

    proptest! {
        #[test]
        fn places_of_binary_logs_and_times_sort_as_text(a: (u32, u64), b: (u32, u64)) {
            let binlog = |(file, offset)| Position::Binlog { file, offset };
            let moment = |(_, microseconds)| Position::Moment(microseconds);
            for (a, b) in [(binlog(a), binlog(b)), (moment(a), moment(b))] {
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
        ] {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
    }
}
