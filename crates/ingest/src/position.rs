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
}

impl Position {
    /// The place of the second row that one change makes.
    #[must_use]
    pub fn second(self) -> Self {
        match self {
            Self::Change { lsn, ordinal } => Self::Change { lsn, ordinal: ordinal + 1 },
            Self::Lsn(_) => self,
        }
    }

    /// The byte of the log, without the change in it.
    #[must_use]
    pub fn lsn(self) -> u64 {
        match self {
            Self::Lsn(lsn) | Self::Change { lsn, .. } => lsn,
        }
    }

    fn key(self) -> (u64, Option<u32>) {
        match self {
            Self::Lsn(lsn) => (lsn, None),
            Self::Change { lsn, ordinal } => (lsn, Some(ordinal)),
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
    /// sorts as text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lsn(lsn) => write!(f, "{lsn:016X}"),
            Self::Change { lsn, ordinal } => write!(f, "{lsn:016X}.{ordinal:08X}"),
        }
    }
}

/// The text is not a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text is not a position")]
pub struct PositionError;

impl FromStr for Position {
    type Err = PositionError;

    /// Reads our own form, or the server's `X/Y` (PostgreSQL documentation, `pg_lsn` type).
    fn from_str(text: &str) -> Result<Self, PositionError> {
        let is_hexadecimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = |text: &str| {
            if !is_hexadecimal(text) {
                return Err(PositionError);
            }
            u64::from_str_radix(text, 16).map_err(|_| PositionError)
        };
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
        ] {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
    }
}
