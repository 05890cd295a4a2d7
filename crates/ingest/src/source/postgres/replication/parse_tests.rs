//! Each scalar's text, against the functions that print the binary form.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
use proptest::prelude::*;

use super::super::super::moment;
use super::super::super::numeric::Numeric;
use super::*;

fn encoded(wire: &Wire, text: &str) -> Result<Vec<u8>, Undecodable> {
    let mut out = Vec::new();
    encode(wire, text.as_bytes(), &mut out).map(|()| out)
}

fn printed(render: impl FnOnce(&mut String)) -> String {
    let mut text = String::new();
    render(&mut text);
    text
}

#[test]
fn numerics_have_no_zero_groups_at_either_end() {
    let groups = |text: &str| {
        let bytes = encoded(&Wire::Numeric, text).unwrap();
        let numbers: Vec<i16> =
            bytes.as_chunks::<2>().0.iter().map(|pair| i16::from_be_bytes(*pair)).collect();
        numbers
    };
    // Count, weight, sign, scale, groups.
    assert_eq!(groups("12345.67"), [3, 1, 0, 2, 1, 2345, 6700]);
    assert_eq!(groups("-0.00012"), [2, -1, 0x4000, 5, 1, 2000]);
    assert_eq!(groups("100000000"), [1, 2, 0, 0, 1]);
    assert_eq!(groups("0.000"), [0, 0, 0, 3]);
    assert_eq!(groups("0.00000001"), [1, -2, 0, 8, 1]);
    assert_eq!(groups("10000.0001"), [3, 1, 0, 4, 1, 0, 1]);
}

#[test]
fn text_that_no_output_function_writes_is_refused() {
    let refused = [
        (Wire::Boolean, vec!["", "true", "1"]),
        (Wire::Int2, vec!["", "32768", "+1", " 1", "1.0"]),
        (Wire::Unsigned4, vec!["-1", "4294967296"]),
        (Wire::Numeric, vec!["", ".", "-", "1.", ".5", "1e3", "1,0", "--1", "nan"]),
        (Wire::Bytes, vec!["", "abc", "\\x0", "\\xgg", "x00"]),
        (
            Wire::Uuid,
            vec!["", "00000000-0000-0000-0000-00000000000", "0000000000000000000000000000000000-0"],
        ),
        (
            Wire::Date,
            vec![
                "",
                "2000-1-01",
                "2000-13-01",
                "0000-01-01",
                "2000-01-01 AD",
                "99-01-01",
                "01-02-2003",
            ],
        ),
        (
            Wire::Time,
            vec![
                "",
                "1:00:00",
                "25:00:00",
                "10:00",
                "10:00:00.",
                "10:00:00.1234567",
                "10:00:00+00",
            ],
        ),
        (Wire::Timestamp, vec!["2000-01-01", "2000-01-01T00:00:00", "2000-01-01 00:00:00+00"]),
        (
            Wire::Instant,
            vec!["2000-01-01 00:00:00", "2000-01-01 00:00:00+01", "2000-01-01 00:00:00 BC+00"],
        ),
    ];
    for (wire, texts) in refused {
        for text in texts {
            assert_eq!(encoded(&wire, text), Err(Undecodable), "{wire:?} {text:?}");
        }
    }
}

#[test]
fn floats_keep_their_sign_of_zero_and_their_infinities() {
    let bits =
        |text: &str| u64::from_be_bytes(encoded(&Wire::Float8, text).unwrap().try_into().unwrap());
    assert_eq!(bits("-0"), (-0.0f64).to_bits());
    assert_eq!(bits("Infinity"), f64::INFINITY.to_bits());
    assert_eq!(bits("-Infinity"), f64::NEG_INFINITY.to_bits());
    assert_eq!(bits("NaN"), f64::NAN.to_bits());
    assert_eq!(bits("4.9406564584124654e-324"), 1);
}

proptest! {
    #[test]
    fn dates_are_read_as_they_are_printed(days in prop_oneof![-2_451_545..2_145_031_949i32, -800_000..3_000_000i32, Just(i32::MAX), Just(i32::MIN)]) {
        let text = printed(|out| moment::date_text(days, out));
        prop_assert_eq!(encoded(&Wire::Date, &text), Ok(days.to_be_bytes().to_vec()), "{}", text);
    }

    #[test]
    fn timestamps_are_read_as_they_are_printed(microseconds in prop_oneof![-211_813_488_000_000_000..9_223_371_331_200_000_000i64, Just(i64::MAX), Just(i64::MIN)]) {
        for (wire, offset) in [(Wire::Timestamp, ""), (Wire::Instant, "+00")] {
            let text = printed(|out| moment::timestamp_text(microseconds, offset, out));
            prop_assert_eq!(encoded(&wire, &text), Ok(microseconds.to_be_bytes().to_vec()), "{}", text);
        }
    }

    #[test]
    fn times_are_read_as_they_are_printed(microseconds in 0..=86_400_000_000i64) {
        let text = printed(|out| moment::time_text(microseconds, out));
        prop_assert_eq!(encoded(&Wire::Time, &text), Ok(microseconds.to_be_bytes().to_vec()), "{}", text);
    }

    #[test]
    fn numerics_are_read_as_they_are_printed(sign in "-?", whole in "0|[1-9][0-9]{0,45}", fraction in "(\\.[0-9]{1,40})?") {
        let digits = format!("{whole}{fraction}");
        let zero = digits.bytes().all(|byte| matches!(byte, b'0' | b'.'));
        let text = if zero { digits } else { format!("{sign}{digits}") };
        let bytes = encoded(&Wire::Numeric, &text).unwrap();
        let numeric = Numeric::parse(&bytes).unwrap();
        prop_assert_eq!(printed(|out| numeric.text(out)), text);
    }

    #[test]
    fn shortest_floats_are_read_to_the_bit(bits: u64, small: u32) {
        let (double, single) = (f64::from_bits(bits), f32::from_bits(small));
        prop_assume!(!double.is_nan() && !single.is_nan());
        let spelled = |text: String| text.replace("inf", "Infinity");
        prop_assert_eq!(encoded(&Wire::Float8, &spelled(format!("{double:?}"))), Ok(bits.to_be_bytes().to_vec()));
        prop_assert_eq!(encoded(&Wire::Float4, &spelled(format!("{single:?}"))), Ok(small.to_be_bytes().to_vec()));
    }

    #[test]
    fn foreign_text_is_read_or_refused(text in prop::collection::vec(any::<u8>(), 0..30)) {
        let wires = [
            Wire::Boolean, Wire::Int2, Wire::Int4, Wire::Int8, Wire::Unsigned4, Wire::Float4, Wire::Float8, Wire::Numeric,
            Wire::Bytes, Wire::Uuid, Wire::Date, Wire::Time, Wire::Timestamp, Wire::Instant,
        ];
        for wire in wires {
            let mut out = Vec::new();
            let read = encode(&wire, &text, &mut out);
            prop_assert!(read.is_err() || out.len() <= text.len() + 16);
        }
    }
}
