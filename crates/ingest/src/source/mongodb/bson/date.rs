//! Dates: milliseconds since 1970, of any year.

use std::fmt::Write as _;

const MILLISECONDS_PER_DAY: i64 = 86_400_000;
/// 0001-01-01T00:00:00.000Z.
const FIRST: i64 = -62_135_596_800_000;
/// 9999-12-31T23:59:59.999Z.
const LAST: i64 = 253_402_300_799_999;

/// Microseconds since 1970-01-01 UTC, of a moment in the years 1 to 9999, which every reader of the lake can show.
pub(crate) fn microseconds(milliseconds: i64) -> Option<i64> {
    (FIRST..=LAST).contains(&milliseconds).then_some(milliseconds)?.checked_mul(1000)
}

/// Appends `2020-01-31T23:59:59.123Z`, for a moment in the years 1 to 9999; says whether it is one.
pub(super) fn push_iso(milliseconds: i64, out: &mut String) -> bool {
    if microseconds(milliseconds).is_none() {
        return false;
    }
    let (day, rest) = (
        milliseconds.div_euclid(MILLISECONDS_PER_DAY),
        milliseconds.rem_euclid(MILLISECONDS_PER_DAY),
    );
    let (year, month, day) = civil(day);
    let (seconds, fraction) = (rest / 1000, rest % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let _infallible = write!(
        out,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:03}Z"
    );
    true
}

/// Year, month and day of a day since 1970-01-01, in the proleptic Gregorian calendar (H. Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms": years begin in March, eras have 400 of them).
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_all_years_that_readers_show() {
        for (milliseconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_001, "2000-02-29T00:00:00.001Z"),
            (FIRST, "0001-01-01T00:00:00.000Z"),
            (LAST, "9999-12-31T23:59:59.999Z"),
        ] {
            let mut text = String::new();
            assert!(push_iso(milliseconds, &mut text));
            assert_eq!(text, expected);
        }
        for outside in [i64::MIN, FIRST - 1, LAST + 1, i64::MAX] {
            assert!(!push_iso(outside, &mut String::new()));
        }
    }
}
