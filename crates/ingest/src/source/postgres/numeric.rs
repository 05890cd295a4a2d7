//! The binary form of `numeric`, to a decimal of fixed scale or to the server's text.
//!
//! The form (PostgreSQL source, `numeric_send` in `src/backend/utils/adt/numeric.c`): four 16-bit fields, the
//! number of digits `n`, the weight `w` of the first, the sign and the display scale `d`; then `n` digits in base
//! 10000. The value is ± Σ digitᵢ · 10000^(w − i), and the server prints exactly `d` places after the point.

/// The sign field of a value that is not a number, or is infinite.
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;
const NEGATIVE: u16 = 0x4000;

/// A `numeric` as it arrives: a view on its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numeric<'a> {
    weight: i32,
    sign: u16,
    display_scale: usize,
    /// Two bytes a digit, none more than the header announced.
    digits: &'a [[u8; 2]],
}

/// Powers of ten that an `i128` holds.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which checks the bounds")]
const POWERS: [i128; 39] = {
    let mut powers = [1i128; 39];
    let mut index = 1;
    while index < 39 {
        powers[index] = powers[index - 1] * 10;
        index += 1;
    }
    powers
};

impl<'a> Numeric<'a> {
    /// Reads the header. `None` when the bytes are not a `numeric`.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, digits) = bytes.split_first_chunk::<8>()?;
        let [n0, n1, w0, w1, s0, s1, d0, d1] = *header;
        let (digits, rest) = digits.as_chunks::<2>();
        let count = usize::from(u16::from_be_bytes([n0, n1]));
        (digits.len() == count && rest.is_empty()).then_some(Self {
            weight: i32::from(i16::from_be_bytes([w0, w1])),
            sign: u16::from_be_bytes([s0, s1]),
            display_scale: usize::from(u16::from_be_bytes([d0, d1])),
            digits,
        })
    }

    fn digit(pair: [u8; 2]) -> u16 {
        u16::from_be_bytes(pair)
    }

    /// The value times 10^`scale`, if it is a number of at most `precision` digits with none beyond that scale.
    ///
    /// Let `e = 4·(w − n + 1) + scale`, the power of ten that the last digit's unit has after scaling. All
    /// digits but the last are summed exactly; the last one is shifted by `e`, which for `e < 0` must leave no
    /// remainder. The server strips trailing zero digits, so `e ≤ −4` with a digit left cannot be exact.
    pub(super) fn decimal(self, precision: u8, scale: u8) -> Option<i128> {
        if !matches!(self.sign, 0 | NEGATIVE) {
            return None;
        }
        let Some((last, head)) = self.digits.split_last() else {
            return Some(0);
        };
        let count = i32::try_from(self.digits.len()).ok()?;
        let exponent = 4 * (self.weight - count + 1) + i32::from(scale);
        let last = Self::digit(*last);
        let magnitude = if head.len() < 4 {
            // At most 16 digits: 64-bit arithmetic, which is several times faster.
            let sum =
                head.iter().fold(0u64, |sum, pair| sum * 10_000 + u64::from(Self::digit(*pair)));
            shift(i128::from(sum), last, exponent)?
        } else {
            let mut sum = 0i128;
            for pair in head {
                sum = sum.checked_mul(10_000)?.checked_add(i128::from(Self::digit(*pair)))?;
            }
            shift(sum, last, exponent)?
        };
        if magnitude >= *POWERS.get(usize::from(precision))? {
            return None;
        }
        Some(if self.sign == NEGATIVE { -magnitude } else { magnitude })
    }

    /// The text that the server prints.
    pub(super) fn text(self, out: &mut String) {
        match self.sign {
            NAN => return out.push_str("NaN"),
            INFINITY => return out.push_str("Infinity"),
            NEGATIVE_INFINITY => return out.push_str("-Infinity"),
            NEGATIVE => out.push('-'),
            _ => {}
        }
        let group = |place: i32| {
            usize::try_from(self.weight - place)
                .ok()
                .and_then(|index| self.digits.get(index))
                .map_or(0, |pair| Self::digit(*pair))
        };
        if self.weight < 0 {
            out.push('0');
        } else {
            push_number(out, group(self.weight));
            for place in (0..self.weight).rev() {
                push_group(out, group(place), 4);
            }
        }
        if self.display_scale > 0 {
            out.push('.');
            let mut left = self.display_scale;
            let mut place = -1;
            while left > 0 {
                let places = left.min(4);
                push_group(out, group(place), places);
                left -= places;
                place -= 1;
            }
        }
    }
}

/// `head · 10^(4 + e) + last · 10^e`, exactly.
fn shift(head: i128, last: u16, exponent: i32) -> Option<i128> {
    let last = i128::from(last);
    if exponent >= 0 {
        let power = *POWERS.get(usize::try_from(exponent).ok()?)?;
        head.checked_mul(10_000)?.checked_add(last)?.checked_mul(power)
    } else {
        let divisor = *POWERS.get(usize::try_from(-exponent).ok()?).filter(|_| exponent >= -3)?;
        if last % divisor != 0 {
            return None;
        }
        head.checked_mul(10_000 / divisor)?.checked_add(last / divisor)
    }
}

fn push_number(out: &mut String, group: u16) {
    use std::fmt::Write as _;
    write!(out, "{group}").expect("writing to a string does not fail");
}

/// The first `places` of the four decimal places of a group.
fn push_group(out: &mut String, group: u16, places: usize) {
    let divisors: [u16; 4] = [1000, 100, 10, 1];
    for divisor in divisors.iter().take(places) {
        let digit = u8::try_from(group / divisor % 10).expect("a decimal digit is below ten");
        out.push(char::from(b'0' + digit));
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
    use super::*;

    /// The binary form of a value given as weight, sign, display scale and digits.
    fn bytes(weight: i16, sign: u16, scale: u16, digits: &[u16]) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(u16::try_from(digits.len()).unwrap().to_be_bytes());
        out.extend(weight.to_be_bytes());
        out.extend(sign.to_be_bytes());
        out.extend(scale.to_be_bytes());
        digits.iter().for_each(|digit| out.extend(digit.to_be_bytes()));
        out
    }

    fn text(bytes: &[u8]) -> String {
        let mut out = String::new();
        Numeric::parse(bytes).unwrap().text(&mut out);
        out
    }

    #[test]
    fn ordinary_values() {
        let value = bytes(1, 0, 2, &[1, 2345, 6700]);
        assert_eq!(text(&value), "12345.67");
        assert_eq!(Numeric::parse(&value).unwrap().decimal(9, 2), Some(1_234_567));
        assert_eq!(Numeric::parse(&value).unwrap().decimal(9, 4), Some(123_456_700));
        assert_eq!(Numeric::parse(&value).unwrap().decimal(9, 1), None, "a digit beyond the scale");
        assert_eq!(Numeric::parse(&value).unwrap().decimal(6, 2), None, "too many digits");
        let negative = bytes(-1, NEGATIVE, 5, &[1, 2000]);
        assert_eq!(text(&negative), "-0.00012");
        assert_eq!(Numeric::parse(&negative).unwrap().decimal(5, 5), Some(-12));
    }

    #[test]
    fn zero_keeps_its_scale_and_whole_thousands_their_zeros() {
        assert_eq!(text(&bytes(0, 0, 3, &[])), "0.000");
        assert_eq!(Numeric::parse(&bytes(0, 0, 3, &[])).unwrap().decimal(5, 3), Some(0));
        let million = bytes(1, 0, 0, &[100]);
        assert_eq!(text(&million), "1000000");
        assert_eq!(Numeric::parse(&million).unwrap().decimal(7, 0), Some(1_000_000));
    }

    #[test]
    fn thirty_eight_nines_after_the_point() {
        let mut digits = vec![9999; 9];
        digits.push(9900);
        let value = bytes(-1, 0, 38, &digits);
        assert_eq!(text(&value), format!("0.{}", "9".repeat(38)));
        assert_eq!(Numeric::parse(&value).unwrap().decimal(38, 38), Some(POWERS[38] - 1));
    }

    #[test]
    fn not_a_number_has_text_and_no_decimal() {
        for (sign, expected) in
            [(NAN, "NaN"), (INFINITY, "Infinity"), (NEGATIVE_INFINITY, "-Infinity")]
        {
            let value = bytes(0, sign, 0, &[]);
            assert_eq!(text(&value), expected);
            assert_eq!(Numeric::parse(&value).unwrap().decimal(38, 0), None);
        }
    }

    #[test]
    fn truncated_bytes_are_refused() {
        let value = bytes(1, 0, 2, &[1, 2345, 6700]);
        for length in 0..value.len() {
            assert!(Numeric::parse(&value[..length]).is_none(), "{length} bytes");
        }
    }
}
