//! JSON in the binary form of MySQL, and the text that the server prints of it.
//!
//! A value is a byte with its type and its bytes. An object or an array begins with the number of its elements and its size,
//! then where each key and each value lies, counted from there; numbers of at most two (small) or four (large) bytes and the
//! three words lie where their place would be told. Keys are in the order of their length first, and are printed so, as the
//! server does.
//!
//! Source: `sql-common/json_binary.h` of MySQL 8.0 (the grammar in its head), `sql-common/json_dom.cc`
//! (`wrapper_to_string`).

use std::io::Write as _;

use super::image;
use crate::source::mysql::number;

/// As deep as a document may be (`JSON_DOCUMENT_MAX_DEPTH`).
const DEEPEST: usize = 100;

/// Appends the text of a document; `None` when the bytes are no document.
pub(super) fn print(bytes: &[u8], text: &mut Vec<u8>) -> Option<()> {
    // A document of no bytes is what a NULL of a NOT NULL column becomes.
    let Some((kind, body)) = bytes.split_first() else {
        text.extend_from_slice(b"null");
        return Some(());
    };
    value(*kind, body, text, DEEPEST)
}

fn value(kind: u8, body: &[u8], text: &mut Vec<u8>, depth: usize) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    match kind {
        0 => object(body, 2, text, depth)?,
        1 => object(body, 4, text, depth)?,
        2 => array(body, 2, text, depth)?,
        3 => array(body, 4, text, depth)?,
        4 => text.extend_from_slice(match body.first()? {
            0 => b"null",
            1 => b"true",
            2 => b"false",
            _ => return None,
        }),
        5 => write!(text, "{}", i16::from_le_bytes(fixed(body)?)).ok()?,
        6 => write!(text, "{}", u16::from_le_bytes(fixed(body)?)).ok()?,
        7 => write!(text, "{}", i32::from_le_bytes(fixed(body)?)).ok()?,
        8 => write!(text, "{}", u32::from_le_bytes(fixed(body)?)).ok()?,
        9 => write!(text, "{}", i64::from_le_bytes(fixed(body)?)).ok()?,
        10 => write!(text, "{}", u64::from_le_bytes(fixed(body)?)).ok()?,
        11 => {
            let before = text.len();
            number::print(f64::from_le_bytes(fixed(body)?), text);
            // So that it is not read as a whole number (`Json_double`).
            let printed = text.get(before..)?;
            if !printed.iter().any(|byte| matches!(byte, b'.' | b'e')) {
                text.extend_from_slice(b".0");
            }
        }
        12 => quoted(counted(body)?, text)?,
        15 => {
            let (kind, rest) = body.split_first()?;
            opaque(*kind, counted(rest)?, text)?;
        }
        _ => return None,
    }
    Some(())
}

/// The elements of an object: where keys lie, how long they are, and the values.
fn object(body: &[u8], width: usize, text: &mut Vec<u8>, depth: usize) -> Option<()> {
    let count = number_at(body, 0, width)?;
    let keys = 2 * width;
    let values = keys + count.checked_mul(width + 2)?;
    text.push(b'{');
    for element in 0..count {
        if element > 0 {
            text.extend_from_slice(b", ");
        }
        let at = keys + element * (width + 2);
        let (start, length) = (number_at(body, at, width)?, number_at(body, at + width, 2)?);
        quoted(body.get(start..start.checked_add(length)?)?, text)?;
        text.extend_from_slice(b": ");
        element_value(body, values + element * (width + 1), width, text, depth)?;
    }
    text.push(b'}');
    Some(())
}

fn array(body: &[u8], width: usize, text: &mut Vec<u8>, depth: usize) -> Option<()> {
    let count = number_at(body, 0, width)?;
    text.push(b'[');
    for element in 0..count {
        if element > 0 {
            text.extend_from_slice(b", ");
        }
        element_value(body, 2 * width + element * (width + 1), width, text, depth)?;
    }
    text.push(b']');
    Some(())
}

/// A value of an object or an array: its type, and its place or itself.
fn element_value(
    body: &[u8],
    at: usize,
    width: usize,
    text: &mut Vec<u8>,
    depth: usize,
) -> Option<()> {
    let kind = *body.get(at)?;
    let is_here = match kind {
        4..=6 => true,
        7 | 8 => width == 4,
        _ => false,
    };
    let start = if is_here { at + 1 } else { number_at(body, at + 1, width)? };
    value(kind, body.get(start..)?, text, depth)
}

fn number_at(body: &[u8], at: usize, width: usize) -> Option<usize> {
    let bytes = body.get(at..at.checked_add(width)?)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
}

/// Bytes behind their length: seven bits a byte, the lowest first, the highest bit set where more follow.
fn counted(body: &[u8]) -> Option<&[u8]> {
    let mut length = 0usize;
    for place in 0..5 {
        let byte = *body.get(place)?;
        length |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return body.get(place + 1..)?.get(..length);
        }
    }
    None
}

fn fixed<const N: usize>(body: &[u8]) -> Option<[u8; N]> {
    body.get(..N)?.try_into().ok()
}

/// A text in quotes, as `double_quote` prints it.
fn quoted(string: &[u8], text: &mut Vec<u8>) -> Option<()> {
    text.push(b'"');
    for byte in string {
        match byte {
            b'"' | b'\\' => text.extend_from_slice(&[b'\\', *byte]),
            0x08 => text.extend_from_slice(b"\\b"),
            0x09 => text.extend_from_slice(b"\\t"),
            0x0a => text.extend_from_slice(b"\\n"),
            0x0c => text.extend_from_slice(b"\\f"),
            0x0d => text.extend_from_slice(b"\\r"),
            0..=0x1f => write!(text, "\\u{byte:04x}").ok()?,
            _ => text.push(*byte),
        }
    }
    text.push(b'"');
    Some(())
}

/// A value of another type of the server: a decimal, a moment, or bytes.
fn opaque(kind: u8, body: &[u8], text: &mut Vec<u8>) -> Option<()> {
    use base64::Engine as _;
    match kind {
        // Digits, those behind the point, and the form of the table.
        246 => {
            let (digits, packed) = body.split_at_checked(2)?;
            let &[precision, scale] = digits else { return None };
            let mut printed = Vec::new();
            image::decimal_text(packed, precision, scale, &mut printed)?;
            text.extend_from_slice(&printed);
        }
        7 | 10 | 11 | 12 => {
            let packed = i64::from_le_bytes(fixed(body)?);
            let (sign, whole) =
                if packed < 0 { ("-", packed.checked_neg()?) } else { ("", packed) };
            let (moment, microsecond) = (whole >> 24, whole & 0xff_ffff);
            let (day, time) = (moment >> 17, moment & 0x1_ffff);
            let (month, day) = (day >> 5, day & 31);
            let (year, month) = (month / 13, month % 13);
            let (hour, minute, second) = (time >> 12, time >> 6 & 63, time & 63);
            match kind {
                10 => write!(text, "\"{year:04}-{month:02}-{day:02}\"").ok()?,
                11 => {
                    let hour = moment >> 12 & 1023;
                    write!(text, "\"{sign}{hour:02}:{minute:02}:{second:02}.{microsecond:06}\"").ok()?;
                }
                _ => write!(
                    text,
                    "\"{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{microsecond:06}\""
                )
                .ok()?,
            }
        }
        _ => {
            let encoded = base64::engine::general_purpose::STANDARD.encode(body);
            write!(text, "\"base64:type{kind}:{encoded}\"").ok()?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use proptest::prelude::*;

    use super::*;

    fn printed(bytes: &[u8]) -> Option<String> {
        let mut text = Vec::new();
        print(bytes, &mut text)?;
        Some(String::from_utf8(text).unwrap())
    }

    #[test]
    fn scalars() {
        for (bytes, expected) in [
            (&[4, 0][..], "null"),
            (&[4, 1], "true"),
            (&[5, 0xfe, 0xff], "-2"),
            (&[10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "18446744073709551615"),
            (&[11, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f], "1.0"),
            (&[12, 4, b'a', b'"', 0x0a, 0x01], "\"a\\\"\\n\\u0001\""),
            // CAST(1234567890.1234 AS DECIMAL(14,4)), as in `decimal.cc`.
            (&[15, 246, 9, 14, 4, 0x81, 0x0d, 0xfb, 0x38, 0xd2, 0x04, 0xd2], "1234567890.1234"),
            (&[15, 252, 2, 0xff, 0], "\"base64:type252:/wA=\""),
        ] {
            assert_eq!(printed(bytes).unwrap(), expected);
        }
        // 2015-01-15 23:24:25.000012
        let whole = (((2015i64 * 13 + 1) << 5 | 15) << 17 | 23 << 12 | 24 << 6 | 25) << 24 | 12;
        let mut bytes = vec![15, 12, 8];
        bytes.extend(whole.to_le_bytes());
        assert_eq!(printed(&bytes).unwrap(), "\"2015-01-15 23:24:25.000012\"");
    }

    #[test]
    fn the_small_forms_of_objects_and_arrays() {
        // {"a": 1, "bc": [true, "x"]}: two elements, 34 bytes, two keys, two values.
        let array = [2, 0, 12, 0, 4, 1, 0, 12, 10, 0, 1, b'x'];
        let mut object = vec![2, 0, 33, 0, 18, 0, 1, 0, 19, 0, 2, 0, 5, 1, 0, 2, 21, 0];
        object.extend_from_slice(b"abc");
        object.extend_from_slice(&array);
        let mut bytes = vec![0];
        bytes.extend(object);
        assert_eq!(printed(&bytes).unwrap(), r#"{"a": 1, "bc": [true, "x"]}"#);
        assert_eq!(printed(&[2, 0, 0, 4, 0]).unwrap(), "[]");
        assert_eq!(printed(&[]).unwrap(), "null");
    }

    #[test]
    fn what_leads_out_of_the_document_is_refused() {
        // An array that is its own element.
        assert_eq!(printed(&[2, 1, 0, 7, 0, 2, 0, 0]), None);
        assert_eq!(printed(&[12, 9, b'a']), None);
        assert_eq!(printed(&[13]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd_to_refuse(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut text = Vec::new();
            let _ = print(&bytes, &mut text);
        }
    }
}
