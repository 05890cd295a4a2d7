//! Moments as people write and read them.

use std::time::{Duration, SystemTime};

use crate::error::{Definite, Error, Result};

/// Milliseconds since 1970 for `2026-11-24`, `2026-11-24T06:00:00Z` or an age such as `90m`, `12h`, `3d`.
pub(super) fn parse(text: &str, now_ms: i64) -> Result<i64> {
    let wrong = || {
        Error::new(Definite::Configuration)
            .with("flag", "--since")
            .advise("Write 2026-11-24, 2026-11-24T06:00:00Z, or an age such as 90m, 12h or 3d.")
    };
    if let Some(age_ms) = age_ms(text) {
        return Ok(now_ms.saturating_sub(age_ms));
    }
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00:00"));
    let mut parts = date.splitn(3, '-').map(str::parse::<i64>);
    let (Some(Ok(year)), Some(Ok(month)), Some(Ok(day))) =
        (parts.next(), parts.next(), parts.next())
    else {
        return Err(wrong());
    };
    let time = time.trim_end_matches('Z');
    let mut fields = time.splitn(3, ':').map(str::parse::<f64>);
    let (Some(Ok(hours)), Some(Ok(minutes))) = (fields.next(), fields.next()) else {
        return Err(wrong());
    };
    let seconds = fields.next().unwrap_or(Ok(0.0)).map_err(|_| wrong())?;
    let fits = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && day <= days(year, month + 1, 1) - days(year, month, 1)
        && (0.0..24.0).contains(&hours)
        && (0.0..60.0).contains(&minutes)
        && (0.0..61.0).contains(&seconds);
    if !fits {
        return Err(wrong());
    }
    let of_day = Duration::from_secs_f64(hours * 3600.0 + minutes * 60.0 + seconds).as_millis();
    Ok(days(year, month, day) * 86_400_000 + i64::try_from(of_day).unwrap_or_default())
}

fn age_ms(text: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    let factor = match unit {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _other => return None,
    };
    let number: i64 = text.get(..text.len() - 1)?.parse().ok()?;
    (number >= 0).then(|| number.saturating_mul(factor))
}

/// Days since 1970-01-01 of a date of the Gregorian calendar (the months counted from March, so that the leap day is
/// the last one).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 12 { (year + 1, month - 12) } else { (year, month) };
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Milliseconds since 1970 as `2026-11-24T06:00:00Z`.
pub(super) fn show(milliseconds: i64) -> String {
    let since = Duration::from_millis(milliseconds.try_into().unwrap_or_default());
    let date = httpdate::HttpDate::from(SystemTime::UNIX_EPOCH + since).to_string();
    // `Tue, 24 Nov 2026 06:00:00 GMT`
    let mut words = date.split_whitespace().skip(1);
    let (Some(day), Some(month), Some(year), Some(time)) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return date;
    };
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = MONTHS.find(month).map_or(0, |at| at / 3 + 1);
    format!("{year}-{month:02}-{day}T{time}Z")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn moments_are_read_and_shown() {
        let now = 1_764_000_000_000;
        assert_eq!(parse("2026-11-24", now).unwrap(), 1_795_478_400_000);
        assert_eq!(parse("2026-11-24T06:00:00Z", now).unwrap(), 1_795_500_000_000);
        assert_eq!(parse("2024-02-29T00:00", now).unwrap(), 1_709_164_800_000);
        assert_eq!(parse("90m", now).unwrap(), now - 5_400_000);
        assert_eq!(parse("3d", now).unwrap(), now - 259_200_000);
        assert_eq!(show(1_795_500_000_000), "2026-11-24T06:00:00Z");
        for wrong in
            ["", "yesterday", "2026-13-01", "2026-02-30", "2026-11-24T25:00:00Z", "-3d", "3w"]
        {
            assert!(parse(wrong, now).is_err(), "{wrong}");
        }
    }
}
