//! Decoders, on values that fit, on values that do not, and on bytes that are none.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
use arrow_array::Array as _;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, TimestampMicrosecondType};
use arrow_schema::{Field, TimeUnit};
use proptest::prelude::*;

use super::*;

/// The binary form of a one-dimensional array.
fn array(elements: &[Option<&[u8]>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in [1, 0, 23, i32::try_from(elements.len()).unwrap(), 1] {
        bytes.extend(number.to_be_bytes());
    }
    for element in elements {
        match element {
            None => bytes.extend((-1i32).to_be_bytes()),
            Some(value) => {
                bytes.extend(i32::try_from(value.len()).unwrap().to_be_bytes());
                bytes.extend(*value);
            }
        }
    }
    bytes
}

fn list(element: Wire, lake: DataType) -> Decoder {
    let field = Arc::new(Field::new("element", lake, true));
    Decoder::new(&Wire::List(Box::new(element)), &DataType::List(field)).unwrap()
}

#[test]
fn an_array_with_an_element_that_does_not_fit_is_odd_as_a_whole() {
    let mut decoder = list(Wire::Timestamp, DataType::Timestamp(TimeUnit::Microsecond, None));
    let (epoch, infinity) = (0i64.to_be_bytes(), i64::MAX.to_be_bytes());
    let fits = array(&[Some(&epoch), None]);
    let odd = array(&[Some(&epoch), None, Some(&infinity)]);
    assert_eq!(decoder.append(&fits), Ok(Appended::Stored));
    let text = "{\"2000-01-01 00:00:00\",NULL,infinity}";
    assert_eq!(decoder.append(&odd), Ok(Appended::Odd(text.to_owned())));
    decoder.append_null();
    assert_eq!(decoder.append(&fits), Ok(Appended::Stored));
    let array = decoder.finish().unwrap();
    let lists = array.as_list::<i32>();
    assert_eq!((lists.len(), lists.is_null(1)), (3, true));
    for row in [0, 2] {
        let values = lists.value(row);
        let values = values.as_primitive::<TimestampMicrosecondType>();
        assert_eq!(
            (values.len(), values.value(0), values.is_null(1)),
            (2, 946_684_800_000_000, true)
        );
    }
}

#[test]
fn a_decoder_begins_anew_after_a_batch() {
    let mut decoder = list(Wire::Int4, DataType::Int32);
    let value = 7i32.to_be_bytes();
    for _ in 0..2 {
        assert_eq!(decoder.append(&array(&[Some(&value)])), Ok(Appended::Stored));
        let array = decoder.finish().unwrap();
        assert_eq!(array.as_list::<i32>().value(0).as_primitive::<Int32Type>().values(), &[7]);
    }
}

/// Every pair of wire form and lake type that a contract makes.
fn decoders() -> Vec<Decoder> {
    let pairs = [
        (Wire::Boolean, DataType::Boolean),
        (Wire::Int2, DataType::Int32),
        (Wire::Int4, DataType::Int64),
        (Wire::Unsigned4, DataType::Int64),
        (Wire::Float8, DataType::Float64),
        (Wire::Numeric, DataType::Decimal128(12, 2)),
        (Wire::Numeric, DataType::Utf8),
        (Wire::Text, DataType::Utf8),
        (Wire::Jsonb, DataType::Utf8),
        (Wire::Uuid, DataType::FixedSizeBinary(16)),
        (Wire::Date, DataType::Date32),
        (Wire::Time, DataType::Time64(TimeUnit::Microsecond)),
        (Wire::Instant, DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))),
    ];
    let mut decoders: Vec<Decoder> =
        pairs.iter().map(|(wire, lake)| Decoder::new(wire, lake).unwrap()).collect();
    decoders.extend(pairs.map(|(wire, lake)| list(wire, lake)));
    decoders
}

proptest! {
    /// Whatever bytes arrive: a value, an odd text or a refusal, and a batch with as many rows.
    #[test]
    fn foreign_bytes_never_break_a_decoder(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8)) {
        for mut decoder in decoders() {
            let mut rows = 0;
            for value in &values {
                match decoder.append(value) {
                    Ok(Appended::Stored) => rows += 1,
                    Ok(Appended::Odd(_)) => {
                        decoder.append_null();
                        rows += 1;
                    }
                    // The table stops here; nothing that was appended is used.
                    Err(Undecodable) => break,
                }
                prop_assert_eq!(decoder.len(), rows);
            }
        }
    }
}
