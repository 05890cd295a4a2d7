#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use arrow_array::{
    BinaryArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float32Array, Float64Array,
    Int32Array, Int64Array, ListArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use proptest::prelude::*;

use super::*;

/// Whether two columns of one value are equal in the form they have in common.
fn equal(ours: ArrayRef, theirs: ArrayRef) -> (Form, bool) {
    let form = Form::of(ours.data_type(), theirs.data_type());
    let (ours, theirs) = (form.texts(&ours).unwrap(), form.texts(&theirs).unwrap());
    (form, ours.to_data() == theirs.to_data())
}

fn text(text: &str) -> ArrayRef {
    Arc::new(StringArray::from(vec![text]))
}

fn decimal(value: i128, scale: i8) -> ArrayRef {
    Arc::new(Decimal128Array::from(vec![value]).with_precision_and_scale(38, scale).unwrap())
}

fn moment(microseconds: i64, zone: Option<&str>) -> ArrayRef {
    let array = TimestampMicrosecondArray::from(vec![microseconds]);
    Arc::new(array.with_timezone_opt(zone.map(str::to_owned)))
}

#[test]
fn the_same_value_in_another_type_is_equal() {
    let int = |value: i32| -> ArrayRef { Arc::new(Int32Array::from(vec![value])) };
    let long = |value: i64| -> ArrayRef { Arc::new(Int64Array::from(vec![value])) };
    let double = |value: f64| -> ArrayRef { Arc::new(Float64Array::from(vec![value])) };
    let single = |value: f32| -> ArrayRef { Arc::new(Float32Array::from(vec![value])) };
    let uuid = uuid::Uuid::from_u128(7);
    let uuids =
        FixedSizeBinaryArray::try_from_iter([uuid.as_bytes().to_vec()].into_iter()).unwrap();
    let uuids: ArrayRef = Arc::new(uuids);
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![b"\x00\xff".as_slice()]));
    let list: ArrayRef =
        Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(1), None])]));
    let time: ArrayRef = Arc::new(Time64MicrosecondArray::from(vec![3_723_000_001]));
    let day: ArrayRef = Arc::new(Date32Array::from(vec![1]));
    let cases = [
        (int(7), long(7), Form::Number),
        (decimal(1250, 2), decimal(125, 1), Form::Number),
        (decimal(-1250, 2), text("-12.5"), Form::Number),
        (long(1000), text("1E+3"), Form::Number),
        (decimal(1, 1), double(0.1), Form::Double),
        (double(-0.0), double(0.0), Form::Same),
        (double(0.1), text("1e-1"), Form::Double),
        (single(0.1), double(0.1), Form::Single),
        (moment(0, Some("+00:00")), moment(0, None), Form::Instant),
        (moment(86_400_000_000, None), Arc::clone(&day), Form::Instant),
        (moment(1_500_000, Some("+00:00")), text("1970-01-01T00:00:01.500000Z"), Form::Instant),
        (moment(1_500_000, Some("+00:00")), text("1970-01-01 02:00:01.5+02"), Form::Instant),
        (moment(1_500_000, None), text("1970-01-01 00:00:01.5"), Form::Instant),
        (day, text("1970-01-02"), Form::Day),
        (time, text("01:02:03.000001"), Form::Clock),
        (Arc::clone(&uuids), text(&uuid.to_string().to_uppercase()), Form::Uuid),
        (Arc::clone(&bytes), text("AP8="), Form::Bytes),
        (bytes, text("\\x00FF"), Form::Bytes),
        (list, text("[1, null]"), Form::Json),
        (text(r#"{"b": 1.0, "a": [1]}"#), text(r#"{"a":[1],"b":1}"#), Form::Text),
        (Arc::new(arrow_array::BooleanArray::from(vec![true])), text("true"), Form::Boolean),
    ];
    for (ours, theirs, form) in cases {
        // Zeros of both signs are one number to everybody but the bits.
        let expected = form != Form::Same;
        assert_eq!(
            equal(Arc::clone(&ours), Arc::clone(&theirs)),
            (form, expected),
            "{ours:?} {theirs:?}"
        );
        assert_eq!(equal(theirs, ours), (form, expected));
    }
}

#[test]
fn what_differs_differs() {
    let cases = [
        (decimal(1251, 2), text("12.5")),
        (decimal(0, 2), text("")),
        (decimal(1_000_000_000_000_000_001, 0), text("1000000000000000000")),
        (moment(1, None), text("1970-01-01")),
        (moment(0, None), text("infinity")),
        (text(r#"{"a": 1}"#), text(r#"{"a": 2}"#)),
        (text("a"), text("A")),
        (text("json {}"), text("{ }")),
    ];
    for (ours, theirs) in cases {
        assert!(!equal(Arc::clone(&ours), Arc::clone(&theirs)).1, "{ours:?} {theirs:?}");
    }
}

#[test]
fn nothing_is_equal_to_nothing_alone() {
    let none: ArrayRef = Arc::new(Int64Array::from(vec![None::<i64>]));
    let no_text: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>]));
    assert!(equal(Arc::clone(&none), no_text).1);
    assert!(!equal(none, text("")).1);
}

proptest! {
    #[test]
    fn a_number_has_one_text_however_it_is_spelled(digits in any::<i64>(), zeros in 0usize..5, shift in 0u32..12) {
        let plain = number(&digits.to_string()).unwrap();
        let longer = format!("{digits}.{}", "0".repeat(zeros));
        prop_assert_eq!(number(&longer).unwrap(), plain.clone());
        prop_assert_eq!(number(&format!("{digits}{}e-{shift}", "0".repeat(shift as usize))).unwrap(), plain.clone());
        prop_assert_ne!(number(&format!("{digits}.5")).unwrap(), plain);
    }

    #[test]
    fn a_double_keeps_its_bits(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite() && value != 0.0);
        let shown = double(value);
        prop_assert_eq!(shown.parse::<f64>().unwrap().to_bits(), bits);
        prop_assert_eq!(Form::Double.read(&format!("{value:e}")), shown);
    }
}
