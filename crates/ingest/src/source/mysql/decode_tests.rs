#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_schema::TimeUnit;
use proptest::prelude::*;

use super::*;

const SIGNED: Wire = Wire::Integer { unsigned: false };
const UNSIGNED: Wire = Wire::Integer { unsigned: true };

/// The array of one value, or its odd text.
fn decoded(wire: &Wire, lake: &DataType, bytes: &[u8]) -> Result<ArrayRef, String> {
    let mut decoder = Decoder::new(wire, lake).unwrap();
    match decoder.append(bytes).unwrap() {
        Appended::Stored => Ok(decoder.finish().unwrap()),
        Appended::Odd(text) => Err(text),
    }
}

fn decimal_of(text: &str, precision: u8, scale: u8) -> Option<i128> {
    decimal(text.as_bytes(), precision, scale).unwrap()
}

proptest! {
    #[test]
    fn integers_read_back(value: i32, long: i64, natural: u64) {
        let read = decoded(&SIGNED, &DataType::Int32, &value.to_le_bytes()).unwrap();
        prop_assert_eq!(read.as_primitive::<Int32Type>().value(0), value);
        let read = decoded(&SIGNED, &DataType::Int64, &long.to_le_bytes()).unwrap();
        prop_assert_eq!(read.as_primitive::<Int64Type>().value(0), long);
        let whole = DataType::Decimal128(20, 0);
        let read = decoded(&UNSIGNED, &whole, &natural.to_le_bytes()).unwrap();
        prop_assert_eq!(read.as_primitive::<Decimal128Type>().value(0), i128::from(natural));
        let read = decoded(&Wire::Bits, &whole, &natural.to_be_bytes()).unwrap();
        prop_assert_eq!(read.as_primitive::<Decimal128Type>().value(0), i128::from(natural));
    }

    #[test]
    fn decimals_read_back(value in -10i128.pow(30)..10i128.pow(30), scale in 0u8..20) {
        let power = 10i128.pow(u32::from(scale));
        let sign = if value < 0 { "-" } else { "" };
        let (whole, part) = (value.abs() / power, value.abs() % power);
        let text = match scale {
            0 => format!("{sign}{whole}"),
            _ => format!("{sign}{whole}.{part:0width$}", width = usize::from(scale)),
        };
        prop_assert_eq!(decimal_of(&text, 38, scale), Some(value));
    }

    #[test]
    fn no_bytes_are_too_odd_to_refuse(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
        let pairs = [
            (SIGNED, DataType::Boolean), (SIGNED, DataType::Int32), (UNSIGNED, DataType::Int64),
            (Wire::Bits, DataType::Int64), (Wire::Float, DataType::Float32), (Wire::Double, DataType::Float64),
            (Wire::Decimal, DataType::Decimal128(10, 2)), (Wire::Text, DataType::Utf8),
            (Wire::Geometry, DataType::LargeBinary), (Wire::Uuid, DataType::FixedSizeBinary(16)),
            (Wire::Date, DataType::Date32), (Wire::DateTime { fraction: 6 }, utc),
            (Wire::Time { fraction: 6 }, DataType::Utf8),
        ];
        for (wire, lake) in pairs {
            let mut decoder = Decoder::new(&wire, &lake).unwrap();
            match decoder.append(&bytes) {
                Ok(Appended::Odd(_)) | Err(Undecodable) => decoder.append_null(),
                Ok(Appended::Stored) => {}
            }
            prop_assert_eq!(decoder.finish().unwrap().len(), 1);
        }
    }
}

#[test]
fn a_decimal_that_does_not_fit_is_odd_and_one_that_is_none_is_refused() {
    assert_eq!(decimal_of("1.230", 10, 2), Some(123));
    assert_eq!(decimal_of("1.234", 10, 2), None);
    assert_eq!(decimal_of("99999999.99", 10, 2), Some(9_999_999_999));
    assert_eq!(decimal_of("100000000.00", 10, 2), None);
    assert_eq!(decimal_of(&"9".repeat(65), 38, 0), None);
    for text in ["", "-", "1e5", "1.2.3", "NaN"] {
        let read = decimal(text.as_bytes(), 10, 2);
        assert!(read != Ok(Some(0)) || text == "-", "{text}");
    }
    assert!(decimal(b"1e5", 10, 2).is_err() && decimal(b"", 10, 2).is_err());
}

#[test]
fn what_does_not_fit_is_told_exactly() {
    let odd = |wire: &Wire, lake: &DataType, bytes: &[u8]| decoded(wire, lake, bytes).unwrap_err();
    assert_eq!(odd(&SIGNED, &DataType::Boolean, &[0x80]), "-128");
    assert_eq!(odd(&UNSIGNED, &DataType::Int64, &u64::MAX.to_le_bytes()), "18446744073709551615");
    assert_eq!(odd(&Wire::Date, &DataType::Date32, &[]), "0000-00-00");
    assert_eq!(odd(&Wire::Date, &DataType::Date32, &[0xe4, 7, 1, 0]), "2020-01-00");
    let zoneless = DataType::Timestamp(TimeUnit::Microsecond, None);
    assert_eq!(odd(&Wire::DateTime { fraction: 3 }, &zoneless, &[]), "0000-00-00 00:00:00.000");
    assert_eq!(odd(&Wire::Text, &DataType::Utf8, &[b'a', 0xff]), "0x61ff");
    let time = DataType::Time64(TimeUnit::Microsecond);
    let bytes = [1, 34, 0, 0, 0, 22, 59, 59];
    assert_eq!(odd(&Wire::Time { fraction: 0 }, &time, &bytes), "-838:59:59");
}

#[test]
fn moments_are_counted_from_1970() {
    let zoneless = DataType::Timestamp(TimeUnit::Microsecond, None);
    let bytes = [0xb2, 7, 1, 2, 0, 0, 1, 0x40, 0xe2, 1, 0];
    let read = decoded(&Wire::DateTime { fraction: 6 }, &zoneless, &bytes).unwrap();
    let value = read.as_primitive::<TimestampMicrosecondType>().value(0);
    assert_eq!(value, 86_401_123_456);
}

#[test]
fn a_geometry_keeps_its_reference_system() {
    let point = [1, 1, 0, 0, 0, 9, 9, 9];
    let mut out = Vec::new();
    geometry(&[&[0, 0, 0, 0], &point[..]].concat(), &mut out).unwrap();
    assert_eq!(out, point);
    geometry(&[&[0xe6, 0x10, 0, 0], &point[..]].concat(), &mut out).unwrap();
    assert_eq!(out, [1, 1, 0, 0, 0x20, 0xe6, 0x10, 0, 0, 9, 9, 9]);
    assert_eq!(geometry(&[0; 4], &mut out), None);
}
