//! A double as the server prints it, for columns that are declared as text.
//!
//! `my_gcvt` (`strings/dtoa.c` of both servers): the fewest digits that read back as the same number, as a plain decimal where the
//! point is at most fifteen places from the first digit, and else with an exponent, without a plus and without zeros.

use std::io::Write as _;

/// The farthest that the point may be from the first digit (`MAX_DECPT_FOR_F_FORMAT`).
const FARTHEST: i32 = 15;

/// Appends the text of a number.
pub(super) fn print(number: f64, text: &mut Vec<u8>) {
    if number == 0.0 {
        // The server has no negative zero in its text.
        text.push(b'0');
        return;
    }
    // `d.ddde-xx` with the fewest digits.
    let shown = format!("{number:e}");
    let (mantissa, exponent) = shown.split_once('e').unwrap_or((&shown, "0"));
    let point = exponent.parse::<i32>().unwrap_or(0) + 1;
    if (-FARTHEST + 1..=FARTHEST).contains(&point) {
        write!(text, "{number}").expect("writing to a vector does not fail");
    } else {
        write!(text, "{mantissa}e{exponent}").expect("writing to a vector does not fail");
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn numbers_are_printed_as_mariadb_prints_them() {
        for (number, expected) in [
            (1e14, "100000000000000"),
            (1e15, "1e15"),
            (123_456_789_012_345_680.0, "1.2345678901234568e17"),
            (1e-14, "0.00000000000001"),
            (1e-15, "0.000000000000001"),
            (1.5e-16, "1.5e-16"),
            (-2.5, "-2.5"),
            (f64::from(0.1f32), "0.10000000149011612"),
            (1.797_693_134_862_315_7e308, "1.7976931348623157e308"),
            (5e-324, "5e-324"),
        ] {
            let mut text = Vec::new();
            print(number, &mut text);
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        }
    }
}
