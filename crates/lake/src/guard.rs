//! A replace never shrinks a table silently: half a source looks exactly like a source that lost half its rows.

use crate::error::{Error, ErrorKind, Result};

/// When a replace is refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ReplaceGuard {
    /// Never.
    Off,
    /// When the table would keep fewer than `keep_ratio` of its rows.
    Threshold {
        /// Share of the rows that must remain, 0 to 1.
        keep_ratio: f64,
        /// Lets the replace through all the same; set by a person who has looked.
        allow: bool,
    },
}

impl ReplaceGuard {
    /// Refuses a replace of `before` rows by `after` rows when the guard says so.
    pub fn check(self, before: u64, after: u64) -> Result<()> {
        match self {
            Self::Off | Self::Threshold { allow: true, .. } => Ok(()),
            Self::Threshold { keep_ratio, allow: false } => {
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "a table of more than 2^53 rows may be off by one row in 2^53"
                )]
                let is_enough = after as f64 >= before as f64 * keep_ratio;
                if is_enough {
                    return Ok(());
                }
                Err(Error::new(ErrorKind::ReplaceShrinks { before, after })
                    .with("share to keep", keep_ratio))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_is_the_least_that_passes() {
        let guard = ReplaceGuard::Threshold { keep_ratio: 0.5, allow: false };
        assert!(guard.check(100, 50).is_ok());
        assert!(guard.check(0, 0).is_ok());
        assert!(guard.check(100, 1000).is_ok());
        let refused = guard.check(100, 49);
        assert_eq!(
            refused.err().map(|error| error.kind().clone()),
            Some(ErrorKind::ReplaceShrinks { before: 100, after: 49 })
        );
    }

    #[test]
    fn a_person_or_a_switch_lets_it_through() {
        assert!(ReplaceGuard::Threshold { keep_ratio: 0.5, allow: true }.check(100, 0).is_ok());
        assert!(ReplaceGuard::Off.check(100, 0).is_ok());
    }
}
