//! Dates and times as the binary protocol has them, as the lake has them, and as the server prints them.
//!
//! A date is year, month and day, each on its own, and may be no day of any calendar: `0000-00-00`, `2020-01-00`, and with
//! `ALLOW_INVALID_DATES` also `2021-02-31`. A lake that every engine reads holds the days of the years 1 to 9999.

use std::fmt::Write as _;

const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

/// A date and time of day; parts that were not sent are zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct DateTime {
    year: u16,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
    microsecond: u32,
}

/// A span of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    is_negative: bool,
    microseconds: i64,
}

impl DateTime {
    /// A moment of these parts, the time of day in seconds; `None` when one is out of its range.
    pub(super) fn of(
        year: u32,
        month: u32,
        day: u32,
        second: u32,
        microsecond: u32,
    ) -> Option<Self> {
        let byte = |number: u32| u8::try_from(number).ok();
        let read = Self {
            year: u16::try_from(year).ok()?,
            month: byte(month)?,
            day: byte(day)?,
            hour: byte(second / 3600)?,
            minute: byte(second / 60 % 60)?,
            second: byte(second % 60)?,
            microsecond,
        };
        (read.hour < 24 && microsecond < 1_000_000).then_some(read)
    }

    /// The moment so long after 1970-01-01 00:00 UTC; the first of all stands for the zero timestamp.
    ///
    /// The year from the number of days is the inverse of [`Self::days`]: years are counted from March, 400 of them are
    /// 146,097 days.
    pub(super) fn of_timestamp(second: u32, microsecond: u32) -> Option<Self> {
        if second == 0 && microsecond == 0 {
            return Some(Self::default());
        }
        let day = second / 86_400 + 719_468;
        let (era, day) = (day / 146_097, day % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let year = era * 400 + year + month / 10;
        Self::of(year, (month + 2) % 12 + 1, day, second % 86_400, microsecond)
    }

    /// Its date, as four bytes that [`Self::parse`] reads.
    pub(super) fn push_date(self, out: &mut Vec<u8>) {
        out.extend(self.year.to_le_bytes());
        out.extend([self.month, self.day]);
    }

    /// Its eleven bytes.
    pub(super) fn push(self, out: &mut Vec<u8>) {
        self.push_date(out);
        out.extend([self.hour, self.minute, self.second]);
        out.extend(self.microsecond.to_le_bytes());
    }

    /// Reads 0, 4, 7 or 11 bytes ("ProtocolBinary::MYSQL_TYPE_DATETIME").
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut read = Self::default();
        match *bytes {
            [] => return Some(read),
            [low, high, month, day, ref time @ ..] => {
                read.year = u16::from_le_bytes([low, high]);
                (read.month, read.day) = (month, day);
                match *time {
                    [] => return Some(read),
                    [hour, minute, second, ref fraction @ ..] => {
                        (read.hour, read.minute, read.second) = (hour, minute, second);
                        read.microsecond = match fraction {
                            [] => 0,
                            _ => u32::from_le_bytes(fraction.try_into().ok()?),
                        };
                    }
                    _ => return None,
                }
            }
            _ => return None,
        }
        let fits = read.hour < 24 && read.minute < 60 && read.second < 60;
        (fits && read.microsecond < 1_000_000).then_some(read)
    }

    /// Days since 1970-01-01, if it is a day of the years 1 to 9999.
    ///
    /// Years are counted from March, so that the leap day is the last of one: with `y` years since 0000-03-01,
    /// `365·y + y/4 − y/100 + y/400` days are in whole years, `(153·m + 2)/5` in whole months.
    pub(super) fn days(self) -> Option<i32> {
        /// Days from 0000-03-01 to 1970-01-01.
        const SHIFT: i32 = 719_468;
        let every = |years| self.year.is_multiple_of(years);
        let leap = every(4) && (!every(100) || every(400));
        let last = match self.month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 => 28 + u8::from(leap),
            _ => return None,
        };
        if !(1..=9999).contains(&self.year) || !(1..=last).contains(&self.day) {
            return None;
        }
        let year = i32::from(self.year) - i32::from(self.month <= 2);
        let month = (i32::from(self.month) + 9) % 12;
        let whole = 365 * year + year / 4 - year / 100 + year / 400;
        Some(whole + (153 * month + 2) / 5 + i32::from(self.day) - 1 - SHIFT)
    }

    /// Microseconds since 1970-01-01 00:00, if it is a day of the years 1 to 9999.
    pub(super) fn microseconds(self) -> Option<i64> {
        let of_day =
            (i64::from(self.hour) * 60 + i64::from(self.minute)) * 60 + i64::from(self.second);
        let of_day = of_day * 1_000_000 + i64::from(self.microsecond);
        Some(i64::from(self.days()?) * MICROSECONDS_PER_DAY + of_day)
    }

    /// The date as the server prints it.
    pub(super) fn date_text(self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }

    /// Date and time as the server prints them, with `fraction` digits of a second.
    pub(super) fn text(self, fraction: u8) -> String {
        let mut text = self.date_text();
        write!(text, " {:02}:{:02}:{:02}", self.hour, self.minute, self.second)
            .expect("writing to a string does not fail");
        push_fraction(self.microsecond, fraction, &mut text);
        text
    }
}

impl Span {
    /// A span of so many microseconds; `None` when it is longer than one can be.
    pub(super) fn of(is_negative: bool, microseconds: i64) -> Option<Self> {
        let days = microseconds / MICROSECONDS_PER_DAY;
        (0..=34).contains(&days).then_some(Self { is_negative, microseconds })
    }

    /// Its twelve bytes.
    pub(super) fn push(self, out: &mut Vec<u8>) {
        let parts = [MICROSECONDS_PER_DAY, 3_600_000_000, 60_000_000, 1_000_000];
        let [days, hour, minute, second] = parts.map(|unit| self.microseconds / unit);
        let low = |number: i64| number.to_le_bytes();
        out.push(u8::from(self.is_negative));
        out.extend(low(days).iter().take(4));
        for part in [hour % 24, minute % 60, second % 60] {
            out.extend(low(part).iter().take(1));
        }
        out.extend(low(self.microseconds % 1_000_000).iter().take(4));
    }

    /// Reads 0, 8 or 12 bytes ("ProtocolBinary::MYSQL_TYPE_TIME").
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let [sign, day0, day1, day2, day3, hour, minute, second, fraction @ ..] = bytes else {
            return bytes.is_empty().then(Self::default);
        };
        let days = u32::from_le_bytes([*day0, *day1, *day2, *day3]);
        let microsecond = match fraction {
            [] => 0,
            _ => u32::from_le_bytes(fraction.try_into().ok()?),
        };
        let fits = *sign < 2 && *hour < 24 && *minute < 60 && *second < 60;
        if !fits || microsecond >= 1_000_000 || days > 34 {
            return None;
        }
        let minutes = (i64::from(days) * 24 + i64::from(*hour)) * 60 + i64::from(*minute);
        let microseconds = (minutes * 60 + i64::from(*second)) * 1_000_000 + i64::from(microsecond);
        Some(Self { is_negative: *sign == 1, microseconds })
    }

    /// Microseconds since midnight, if it is a time of day.
    pub(super) fn time_of_day(self) -> Option<i64> {
        let is_of_day = self.microseconds < MICROSECONDS_PER_DAY;
        (is_of_day && !self.is_negative).then_some(self.microseconds)
    }

    /// The span as the server prints it, with `fraction` digits of a second.
    pub(super) fn push_text(self, fraction: u8, text: &mut String) {
        let seconds = self.microseconds / 1_000_000;
        let sign = if self.is_negative { "-" } else { "" };
        write!(text, "{sign}{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
            .expect("writing to a string does not fail");
        push_fraction(u32::try_from(self.microseconds % 1_000_000).unwrap_or(0), fraction, text);
    }
}

fn push_fraction(microsecond: u32, digits: u8, text: &mut String) {
    if digits > 0 {
        let all = format!("{microsecond:06}");
        text.push('.');
        text.push_str(all.get(..usize::from(digits).min(6)).unwrap_or(&all));
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use proptest::prelude::*;

    use super::*;

    fn date(year: u16, month: u8, day: u8) -> DateTime {
        DateTime { year, month, day, ..DateTime::default() }
    }

    #[test]
    fn days_that_are_none_have_no_number() {
        for (year, month, day) in [
            (0, 0, 0),
            (2020, 1, 0),
            (2020, 0, 1),
            (2021, 2, 29),
            (1900, 2, 29),
            (0, 1, 1),
            (2021, 4, 31),
        ] {
            assert_eq!(date(year, month, day).days(), None, "{year}-{month}-{day}");
        }
        assert_eq!(date(1970, 1, 1).days(), Some(0));
        assert_eq!(date(2000, 2, 29).days(), Some(11_016));
        assert_eq!(date(1, 1, 1).days(), Some(-719_162));
        assert_eq!(date(9999, 12, 31).days(), Some(2_932_896));
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut expected = -719_162;
        for year in 1..=9999 {
            for month in 1..=12 {
                for day in 1..=31 {
                    if let Some(found) = date(year, month, day).days() {
                        assert_eq!(found, expected, "{year}-{month}-{day}");
                        expected += 1;
                    }
                }
            }
        }
        assert_eq!(expected, 2_932_897);
    }

    #[test]
    fn texts_have_the_declared_digits() {
        let bytes = [0xe8, 7, 2, 29, 23, 59, 58, 0x40, 0xe2, 1, 0];
        let read = DateTime::parse(&bytes).unwrap();
        assert_eq!(read.text(6), "2024-02-29 23:59:58.123456");
        assert_eq!(
            (read.text(3), read.text(0)),
            ("2024-02-29 23:59:58.123".into(), "2024-02-29 23:59:58".into())
        );
        assert_eq!(DateTime::parse(&[]).unwrap().text(1), "0000-00-00 00:00:00.0");
        let mut text = String::new();
        Span::parse(&[1, 34, 0, 0, 0, 22, 59, 59]).unwrap().push_text(3, &mut text);
        assert_eq!(text, "-838:59:59.000");
        assert_eq!(Span::parse(&[]).unwrap().time_of_day(), Some(0));
        assert_eq!(Span::parse(&[0, 1, 0, 0, 0, 0, 0, 0]).unwrap().time_of_day(), None);
        assert_eq!(Span::parse(&[1, 0, 0, 0, 0, 0, 0, 1]).unwrap().time_of_day(), None);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(second: u32, microsecond in 0u32..1_000_000, negative: bool) {
            let moment = DateTime::of_timestamp(second, microsecond).unwrap();
            let mut bytes = Vec::new();
            moment.push(&mut bytes);
            prop_assert_eq!(DateTime::parse(&bytes), Some(moment));
            let expected = i64::from(second) * 1_000_000 + i64::from(microsecond);
            prop_assert!(expected == 0 || moment.microseconds() == Some(expected));
            let length = i64::from(second) % (839 * 3600) * 1_000_000 + i64::from(microsecond);
            let span = Span::of(negative, length).unwrap();
            bytes.clear();
            span.push(&mut bytes);
            prop_assert_eq!(Span::parse(&bytes), Some(span));
        }

        #[test]
        fn no_bytes_are_too_odd_to_refuse(bytes in prop::collection::vec(any::<u8>(), 0..14)) {
            if let Some(read) = DateTime::parse(&bytes) {
                prop_assert!(read.text(6).len() >= 26);
                prop_assert_eq!(read.days().is_some(), read.microseconds().is_some());
            }
            if let Some(span) = Span::parse(&bytes) {
                let mut text = String::new();
                span.push_text(6, &mut text);
                prop_assert!(text.len() >= 15);
            }
        }
    }
}
