//! From the server's text of a scalar to the binary form that its send function would have written.
//!
//! Why by way of the binary form: [`Decoder`](super::super::decode::Decoder) then makes the same Arrow value of it, and
//! the same text in `_ol_odd` of a value that does not fit, as in a full load. There is one decision about each value, not
//! two that must agree. The text is that under the settings of our session: ISO dates in UTC, shortest floats,
//! hexadecimal bytes.

use super::super::decode::Undecodable;
use super::super::types::Wire;

/// Days from 1970-01-01 to 2000-01-01.
const EPOCH_DAYS: i64 = 10_957;
const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

/// Appends the binary form of `text`.
///
/// # Errors
/// The text is not what the type's output function writes; or the form is a list, whose elements come one by one.
pub(super) fn encode(wire: &Wire, text: &[u8], out: &mut Vec<u8>) -> Result<(), Undecodable> {
    match wire {
        Wire::Boolean => out.push(match text {
            b"t" => 1,
            b"f" => 0,
            _ => return Err(Undecodable),
        }),
        Wire::Int2 => out.extend(number::<i16>(text)?.to_be_bytes()),
        Wire::Int4 => out.extend(number::<i32>(text)?.to_be_bytes()),
        Wire::Int8 => out.extend(number::<i64>(text)?.to_be_bytes()),
        Wire::Unsigned4 => out.extend(number::<u32>(text)?.to_be_bytes()),
        Wire::Float4 => out.extend(number::<f32>(text)?.to_be_bytes()),
        Wire::Float8 => out.extend(number::<f64>(text)?.to_be_bytes()),
        Wire::Numeric => numeric(text, out)?,
        Wire::Text | Wire::Hashed(_) | Wire::Nulled => out.extend(text),
        Wire::Jsonb => {
            out.push(1);
            out.extend(text);
        }
        Wire::Bytes => hexadecimal(text.strip_prefix(b"\\x").ok_or(Undecodable)?, out)?,
        Wire::Uuid => uuid(text, out)?,
        Wire::Date => {
            let days = match text {
                b"infinity" => i32::MAX,
                b"-infinity" => i32::MIN,
                _ => {
                    let (text, before_christ) = era(text);
                    i32::try_from(day(text, before_christ)?).map_err(|_| Undecodable)?
                }
            };
            out.extend(days.to_be_bytes());
        }
        Wire::Time => out.extend(time(text)?.to_be_bytes()),
        Wire::Timestamp => out.extend(timestamp(text, b"")?.to_be_bytes()),
        Wire::Instant => out.extend(timestamp(text, b"+00")?.to_be_bytes()),
        Wire::List(_) => return Err(Undecodable),
    }
    Ok(())
}

/// A number as Rust reads it, which is as the server writes it; but the server writes no plus sign.
fn number<T: std::str::FromStr>(text: &[u8]) -> Result<T, Undecodable> {
    let text = std::str::from_utf8(text).map_err(|_| Undecodable)?;
    if text.starts_with('+') {
        return Err(Undecodable);
    }
    text.parse().map_err(|_| Undecodable)
}

/// The form is described in `numeric.rs`: groups of four digits with a weight, without zero groups at either end.
fn numeric(text: &[u8], out: &mut Vec<u8>) -> Result<(), Undecodable> {
    const NAN: u16 = 0xC000;
    const INFINITY: u16 = 0xD000;
    const NEGATIVE_INFINITY: u16 = 0xF000;
    const NEGATIVE: u16 = 0x4000;
    let special = match text {
        b"NaN" => Some(NAN),
        b"Infinity" => Some(INFINITY),
        b"-Infinity" => Some(NEGATIVE_INFINITY),
        _ => None,
    };
    if let Some(sign) = special {
        out.extend([0; 4]);
        out.extend(sign.to_be_bytes());
        out.extend([0; 2]);
        return Ok(());
    }
    let (sign, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (NEGATIVE, digits),
        None => (0, text),
    };
    let point = digits.iter().position(|byte| *byte == b'.').unwrap_or(digits.len());
    let (whole, fraction) = digits.split_at_checked(point).ok_or(Undecodable)?;
    let fraction = match fraction.split_first() {
        None => fraction,
        Some((_, [])) => return Err(Undecodable),
        Some((_, fraction)) => fraction,
    };
    if whole.is_empty() || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return Err(Undecodable);
    }
    let header = out.len();
    out.extend([0; 8]);
    // Leading zeros make the first group whole, trailing ones the last.
    let lead = (4 - whole.len() % 4) % 4;
    let mut weight = i32::try_from(whole.len().div_ceil(4)).map_err(|_| Undecodable)? - 1;
    let mut groups = 0usize;
    let mut zeros = 0usize;
    let mut group = 0u16;
    let mut filled = lead;
    let tail = (4 - fraction.len() % 4) % 4;
    let all = whole.iter().chain(fraction).copied().chain(std::iter::repeat_n(b'0', tail));
    for digit in all {
        group = group * 10 + u16::from(digit - b'0');
        filled += 1;
        if filled < 4 {
            continue;
        }
        if group == 0 && groups == 0 {
            weight -= 1;
        } else if group == 0 {
            zeros += 1;
        } else {
            out.extend(std::iter::repeat_n([0u8; 2], zeros).flatten());
            out.extend(group.to_be_bytes());
            groups += zeros + 1;
            zeros = 0;
        }
        (group, filled) = (0, 0);
    }
    let (weight, sign) = if groups == 0 { (0, 0) } else { (weight, sign) };
    let groups = u16::try_from(groups).map_err(|_| Undecodable)?;
    let weight = i16::try_from(weight).map_err(|_| Undecodable)?;
    let scale = u16::try_from(fraction.len()).map_err(|_| Undecodable)?;
    let [n0, n1] = groups.to_be_bytes();
    let [w0, w1] = weight.to_be_bytes();
    let [s0, s1] = sign.to_be_bytes();
    let [d0, d1] = scale.to_be_bytes();
    let place = out.get_mut(header..header + 8).ok_or(Undecodable)?;
    place.copy_from_slice(&[n0, n1, w0, w1, s0, s1, d0, d1]);
    Ok(())
}

fn nibble(byte: u8) -> Result<u8, Undecodable> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).ok_or(Undecodable)
}

fn hexadecimal(text: &[u8], out: &mut Vec<u8>) -> Result<(), Undecodable> {
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Undecodable);
    }
    out.reserve(pairs.len());
    for [high, low] in pairs {
        out.push(nibble(*high)? << 4 | nibble(*low)?);
    }
    Ok(())
}

fn uuid(text: &[u8], out: &mut Vec<u8>) -> Result<(), Undecodable> {
    let mut parts = text.split(|byte| *byte == b'-');
    for length in [8, 4, 4, 4, 12] {
        let part = parts.next().filter(|part| part.len() == length).ok_or(Undecodable)?;
        hexadecimal(part, out)?;
    }
    if parts.next().is_some() { Err(Undecodable) } else { Ok(()) }
}

/// The text without the mark of an era, and whether it is the one before Christ.
fn era(text: &[u8]) -> (&[u8], bool) {
    match text.strip_suffix(b" BC") {
        Some(text) => (text, true),
        None => (text, false),
    }
}

/// A number of exactly `length` digits.
fn digits(text: &[u8], length: usize) -> Result<i64, Undecodable> {
    if text.len() != length || !text.iter().all(u8::is_ascii_digit) {
        return Err(Undecodable);
    }
    Ok(text.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
}

/// Days since 2000-01-01 of a `year-month-day`: the inverse of `push_day` in `moment.rs`, with years that begin on 1 March.
fn day(text: &[u8], before_christ: bool) -> Result<i64, Undecodable> {
    let mut parts = text.split(|byte| *byte == b'-');
    let (Some(year), Some(month), Some(day), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Undecodable);
    };
    if !(4..=7).contains(&year.len()) {
        return Err(Undecodable);
    }
    let (shown, month, day) = (digits(year, year.len())?, digits(month, 2)?, digits(day, 2)?);
    if shown < 1 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return Err(Undecodable);
    }
    let year = if before_christ { 1 - shown } else { shown };
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    // 719468 days from 0000-03-01 to 1970-01-01.
    Ok(era * 146_097 + day_of_era - 719_468 - EPOCH_DAYS)
}

/// Microseconds since midnight of an `hour:minute:second[.fraction]`.
fn time(text: &[u8]) -> Result<i64, Undecodable> {
    let (clock, fraction) = match text.split_at_checked(8) {
        Some((clock, [])) => (clock, None),
        Some((clock, [b'.', fraction @ ..])) => (clock, Some(fraction)),
        _ => return Err(Undecodable),
    };
    let mut parts = clock.split(|byte| *byte == b':');
    let mut part = || digits(parts.next().unwrap_or_default(), 2);
    let (hours, minutes, seconds) = (part()?, part()?, part()?);
    if hours > 24 || minutes > 59 || seconds > 60 || parts.next().is_some() {
        return Err(Undecodable);
    }
    let microseconds = match fraction {
        None => 0,
        Some(fraction) if (1..=6).contains(&fraction.len()) => {
            let missing = u32::try_from(6 - fraction.len()).map_err(|_| Undecodable)?;
            digits(fraction, fraction.len())? * 10i64.pow(missing)
        }
        Some(_) => return Err(Undecodable),
    };
    Ok((hours * 3600 + minutes * 60 + seconds) * 1_000_000 + microseconds)
}

/// Microseconds since 2000-01-01 of a `date time`, with `offset` after it.
fn timestamp(text: &[u8], offset: &[u8]) -> Result<i64, Undecodable> {
    match text {
        b"infinity" => return Ok(i64::MAX),
        b"-infinity" => return Ok(i64::MIN),
        _ => {}
    }
    let (text, before_christ) = era(text);
    let text = text.strip_suffix(offset).ok_or(Undecodable)?;
    let place = text.iter().position(|byte| *byte == b' ').ok_or(Undecodable)?;
    let (date, clock) = text.split_at_checked(place).ok_or(Undecodable)?;
    let clock = time(clock.get(1..).unwrap_or_default())?;
    day(date, before_christ)?
        .checked_mul(MICROSECONDS_PER_DAY)
        .and_then(|day| day.checked_add(clock))
        .ok_or(Undecodable)
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
