//! Where in a source something was read: comparable, and written as text that sorts the same way.

use std::fmt;
use std::str::FromStr;

/// A position in a source. Positions of one table are of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Position {
    /// A place in the write-ahead log of a Postgres server, in bytes since its beginning.
    Lsn(u64),
}

impl fmt::Display for Position {
    /// Sixteen hexadecimal digits: unlike the server's `X/Y` form, it sorts as text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lsn(lsn) => write!(f, "{lsn:016X}"),
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
        let number = |text: &str| u64::from_str_radix(text, 16).map_err(|_| PositionError);
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

    proptest! {
        #[test]
        fn text_sorts_as_positions_do(a: u64, b: u64) {
            let (a, b) = (Position::Lsn(a), Position::Lsn(b));
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
        for text in ["", "1", "0/", "g/0", "000000000/0", "0123456789abcdefg"] {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
    }
}
