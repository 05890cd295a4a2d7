//! Dates and times: from Postgres' epoch to the lake's, and to the server's text when the lake has no such day.
//!
//! Postgres counts from 2000-01-01, Iceberg from 1970-01-01. Postgres knows the days from 4714 BC to
//! AD 5874897 (timestamps to AD 294276) and both infinities; a lake that every engine reads holds the years
//! 1 to 9999. A value outside is printed as the server prints it under `DateStyle = ISO` and `TimeZone = UTC`.

use std::fmt::Write as _;

/// Days from 1970-01-01 to 2000-01-01.
const EPOCH_DAYS: i32 = 10_957;
const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;
/// Microseconds from 1970-01-01 to 2000-01-01.
const EPOCH_MICROSECONDS: i64 = EPOCH_DAYS as i64 * MICROSECONDS_PER_DAY;
/// 0001-01-01 in days since 1970-01-01.
const FIRST_DAY: i32 = -719_162;
/// 9999-12-31 in days since 1970-01-01.
const LAST_DAY: i32 = 2_932_896;

/// The lake's day for a Postgres day, if its year is 1 to 9999.
pub(super) fn lake_date(days: i32) -> Option<i32> {
    let day = days.checked_add(EPOCH_DAYS)?;
    (FIRST_DAY..=LAST_DAY).contains(&day).then_some(day)
}

/// The lake's microsecond for a Postgres microsecond, if its year is 1 to 9999.
pub(super) fn lake_timestamp(microseconds: i64) -> Option<i64> {
    const FIRST: i64 = FIRST_DAY as i64 * MICROSECONDS_PER_DAY;
    const END: i64 = (LAST_DAY as i64 + 1) * MICROSECONDS_PER_DAY;
    let value = microseconds.checked_add(EPOCH_MICROSECONDS)?;
    (FIRST..END).contains(&value).then_some(value)
}

/// The Postgres microsecond for one since 1970-01-01.
pub(crate) fn from_unix(microseconds: i64) -> i64 {
    microseconds.saturating_sub(EPOCH_MICROSECONDS)
}

/// The lake's time of day, which ends before midnight; Postgres' may be 24:00:00.
pub(super) fn lake_time(microseconds: i64) -> Option<i64> {
    (0..MICROSECONDS_PER_DAY).contains(&microseconds).then_some(microseconds)
}

/// A date as the server prints it.
pub(super) fn date_text(days: i32, out: &mut String) {
    match days {
        i32::MAX => out.push_str("infinity"),
        i32::MIN => out.push_str("-infinity"),
        _ => {
            let before_christ = push_day(i64::from(days), out);
            out.push_str(before_christ);
        }
    }
}

/// A timestamp as the server prints it; `offset` is `+00` for one with a time zone, else empty.
pub(crate) fn timestamp_text(microseconds: i64, offset: &str, out: &mut String) {
    match microseconds {
        i64::MAX => out.push_str("infinity"),
        i64::MIN => out.push_str("-infinity"),
        _ => {
            let before_christ = push_day(microseconds.div_euclid(MICROSECONDS_PER_DAY), out);
            out.push(' ');
            time_text(microseconds.rem_euclid(MICROSECONDS_PER_DAY), out);
            out.push_str(offset);
            out.push_str(before_christ);
        }
    }
}

/// A time of day as the server prints it: as many places of a second as it has.
pub(super) fn time_text(microseconds: i64, out: &mut String) {
    let seconds = microseconds / 1_000_000;
    let fraction = microseconds % 1_000_000;
    write!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
        .expect("writing to a string does not fail");
    if fraction != 0 {
        let places = format!("{fraction:06}");
        out.push('.');
        out.push_str(places.trim_end_matches('0'));
    }
}

/// Pushes `year-month-day` for a day since 2000-01-01, and returns the suffix of its era.
///
/// The count is turned into years of 365.2425 days that begin on 1 March, so that the leap day is the last day
/// of its year: with `d` days since 0000-03-01 and an era of 146097 days (400 years), the year of the era is
/// `(d − d/1460 + d/36524 − d/146096) / 365`, and month and day follow from `153·m + 2 = 5·day of year`.
fn push_day(days: i64, out: &mut String) -> &'static str {
    /// Days from 0000-03-01 to 2000-01-01.
    const SHIFT: i64 = 730_425;
    let day = days + SHIFT;
    let era = day.div_euclid(146_097);
    let day_of_era = day.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    // There is no year 0: the year before AD 1 is 1 BC.
    let (shown, suffix) = if year > 0 { (year, "") } else { (1 - year, " BC") };
    write!(out, "{shown:04}-{month:02}-{day_of_month:02}")
        .expect("writing to a string does not fail");
    suffix
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timestamp(microseconds: i64) -> String {
        let mut out = String::new();
        timestamp_text(microseconds, "+00", &mut out);
        out
    }

    fn date(days: i32) -> String {
        let mut out = String::new();
        date_text(days, &mut out);
        out
    }

    #[test]
    fn the_ends_of_the_ranges() {
        // Julian day 2451545 is 2000-01-01; Postgres' first day is Julian day 0 and its last 2147483493
        // (PostgreSQL source, src/include/datatype/timestamp.h).
        assert_eq!(date(-2_451_545), "4714-11-24 BC");
        assert_eq!(date(2_145_031_948), "5874897-12-31");
        assert_eq!(timestamp(9_223_371_331_199_999_999), "294276-12-31 23:59:59.999999+00");
        assert_eq!(timestamp(i64::MAX), "infinity");
        assert_eq!(date(i32::MIN), "-infinity");
    }

    #[test]
    fn eras_and_leap_days() {
        assert_eq!(date(0), "2000-01-01");
        assert_eq!(date(59), "2000-02-29");
        assert_eq!(date(FIRST_DAY - EPOCH_DAYS), "0001-01-01");
        assert_eq!(date(FIRST_DAY - EPOCH_DAYS - 1), "0001-12-31 BC");
        assert_eq!(date(LAST_DAY - EPOCH_DAYS + 1), "10000-01-01");
        assert_eq!(timestamp(-1), "1999-12-31 23:59:59.999999+00");
    }

    #[test]
    fn the_lake_holds_years_one_to_9999() {
        assert_eq!(lake_date(FIRST_DAY - EPOCH_DAYS), Some(FIRST_DAY));
        assert_eq!(lake_date(FIRST_DAY - EPOCH_DAYS - 1), None);
        assert_eq!(lake_date(LAST_DAY - EPOCH_DAYS + 1), None);
        assert_eq!(lake_date(i32::MAX), None);
        assert_eq!(lake_timestamp(i64::MIN), None);
        assert_eq!(lake_timestamp(0), Some(EPOCH_MICROSECONDS));
        assert_eq!(lake_time(MICROSECONDS_PER_DAY), None);
    }
}
