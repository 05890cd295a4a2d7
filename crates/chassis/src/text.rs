//! Plain-text tables and numbers for people.

use std::fmt::Write as _;

/// How a column's cells are aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// To the left: names.
    Left,
    /// To the right: numbers.
    Right,
}

/// Rows under a heading, in aligned columns two blanks apart, every line ended and none trailing
/// blanks.
pub fn table(columns: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let width_of = |index: usize, heading: &str| {
        rows.iter()
            .filter_map(|row| row.get(index))
            .map(|cell| cell.chars().count())
            .chain([heading.chars().count()])
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> =
        columns.iter().enumerate().map(|(index, (heading, _))| width_of(index, heading)).collect();
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for ((cell, width), (_, align)) in cells.zip(&widths).zip(columns) {
            let gap = if line.is_empty() { "" } else { "  " };
            let written = match align {
                Align::Left => write!(line, "{gap}{cell:<width$}"),
                Align::Right => write!(line, "{gap}{cell:>width$}"),
            };
            written.expect("a String takes all that is written to it");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    line(&mut columns.iter().map(|(heading, _)| *heading));
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
    text
}

/// A number with a comma every three digits.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes in the largest unit that leaves a digit before the point: `12 B`, `1.5 MiB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: &[&str] = &["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Tenths of the next larger unit, in integers, rounded down: a size is never overstated.
    let (mut tenths, mut unit) = (u128::from(bytes) * 10 / 1024, 0);
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        (tenths, unit) = (tenths / 1024, unit + 1);
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// A duration as a person would say it: `0.42 s`, `12.0 s`, `3 min 20 s`, `2 h 05 min`.
pub fn duration(seconds: f64) -> String {
    let whole = whole(seconds);
    match whole {
        0..10 => format!("{seconds:.2} s"),
        10..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Rows a second, or a dash when the time is too short to tell.
pub fn rate(rows: u64, seconds: f64) -> String {
    if seconds < 0.001 {
        return "-".to_owned();
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits of a rate are read")]
    let rows = rows as f64;
    count(whole(rows / seconds))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "negative and absent times become 0, and a float cast saturates"
)]
fn whole(number: f64) -> u64 {
    number.max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [count(0), count(999), count(1000), count(6_001_215)],
            ["0", "999", "1,000", "6,001,215"]
        );
        assert_eq!(
            [bytes(0), bytes(1023), bytes(1024), bytes(1536), bytes(1 << 20)],
            ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB"]
        );
        assert_eq!([bytes((1 << 20) - 1), bytes(u64::MAX)], ["1023.9 KiB", "15.9 EiB"]);
        assert_eq!(
            [duration(0.4242), duration(12.0), duration(200.0), duration(7500.0)],
            ["0.42 s", "12.0 s", "3 min 20 s", "2 h 05 min"]
        );
        assert_eq!([rate(10, 0.0), rate(1_000_000, 0.5), rate(0, 3.0)], ["-", "2,000,000", "0"]);
    }

    #[test]
    fn columns_are_aligned_by_characters() {
        let rows = [vec!["é".to_owned(), "1".to_owned()], vec!["abc".to_owned(), "23".to_owned()]];
        let text = table(&[("name", Align::Left), ("rows", Align::Right)], &rows);
        assert_eq!(text, "name  rows\né        1\nabc     23\n");
    }
}
