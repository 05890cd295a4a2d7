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

use super::super::number;
use super::super::wire::Cursor;
use super::image;

/// As deep as a document may be (`JSON_DOCUMENT_MAX_DEPTH`).
const DEEPEST: usize = 100;

/// A document, taken apart. What is neither object nor array is its text.
enum Node {
    /// By key, in the order of the server.
    Object(Vec<(Vec<u8>, Node)>),
    Array(Vec<Node>),
    Text(Vec<u8>),
}

/// Appends the text of a document; `None` when the bytes are no document.
pub(super) fn print(bytes: &[u8], text: &mut Vec<u8>) -> Option<()> {
    document(bytes)?.write(text)
}

/// Appends the text of a document after a part of it was changed: what an update of `binlog_row_value_options=PARTIAL_JSON`
/// has of its new value (`Json_diff_vector::write_binary`). Each change is a byte that says which, a path, and, but for a
/// removal, a document.
pub(super) fn patch(bytes: &[u8], changes: &[u8], text: &mut Vec<u8>) -> Option<()> {
    const REPLACE: u8 = 0;
    const INSERT: u8 = 1;
    const REMOVE: u8 = 2;
    let mut whole = document(bytes)?;
    let mut cursor = Cursor::new(changes);
    while !cursor.rest().is_empty() {
        let operation = cursor.byte().ok()?;
        let path = path(cursor.counted_bytes().ok()?)?;
        let value = match operation {
            REPLACE | INSERT => Some(document(cursor.counted_bytes().ok()?)?),
            REMOVE => None,
            _ => return None,
        };
        let Some((last, way)) = path.split_last() else {
            // The whole document; it can be nothing but replaced.
            whole = value.filter(|_| operation == REPLACE)?;
            continue;
        };
        let place = way.iter().try_fold(&mut whole, |node, leg| node.at(leg))?;
        match (value, operation) {
            (Some(value), INSERT) => place.insert(last, value)?,
            (Some(value), _) => *place.at(last)? = value,
            (None, _) => place.remove(last)?,
        }
    }
    whole.write(text)
}

/// A step of a path.
enum Leg {
    Key(Vec<u8>),
    Place(usize),
}

/// `$.key."another key"[3]`
fn path(text: &[u8]) -> Option<Vec<Leg>> {
    let mut rest = text.strip_prefix(b"$")?;
    let mut legs = Vec::new();
    while let Some((first, behind)) = rest.split_first() {
        match (first, behind.first()) {
            (b'.', Some(b'"')) => {
                let mut end = 1;
                while *behind.get(end)? != b'"' {
                    end += if *behind.get(end)? == b'\\' { 2 } else { 1 };
                }
                let key: String = serde_json::from_slice(behind.get(..=end)?).ok()?;
                legs.push(Leg::Key(key.into_bytes()));
                rest = behind.get(end + 1..)?;
            }
            (b'.', Some(_)) => {
                let end = behind.iter().position(|byte| matches!(byte, b'.' | b'['));
                let (key, left) = behind.split_at(end.unwrap_or(behind.len()));
                legs.push(Leg::Key(key.to_vec()));
                rest = left;
            }
            (b'[', Some(_)) => {
                let end = behind.iter().position(|byte| *byte == b']')?;
                let place = std::str::from_utf8(behind.get(..end)?).ok()?.trim();
                legs.push(Leg::Place(place.parse().ok()?));
                rest = behind.get(end + 1..)?;
            }
            _ => return None,
        }
    }
    Some(legs)
}

impl Node {
    /// What is at a step of a path.
    fn at(&mut self, leg: &Leg) -> Option<&mut Self> {
        match (self, leg) {
            (Self::Object(members), Leg::Key(key)) => {
                members.iter_mut().find(|(its, _)| its == key).map(|(_, node)| node)
            }
            (Self::Array(elements), Leg::Place(place)) => elements.get_mut(*place),
            (Self::Object(_) | Self::Array(_) | Self::Text(_), _) => None,
        }
    }

    fn insert(&mut self, leg: &Leg, node: Self) -> Option<()> {
        match (self, leg) {
            (Self::Object(members), Leg::Key(key)) => {
                let order = |its: &[u8]| (its.len(), its.to_vec());
                let place = members.partition_point(|(its, _)| order(its) < order(key));
                if members.get(place).is_some_and(|(its, _)| its == key) {
                    return None;
                }
                members.insert(place, (key.clone(), node));
            }
            (Self::Array(elements), Leg::Place(place)) => {
                elements.insert((*place).min(elements.len()), node);
            }
            (Self::Object(_) | Self::Array(_) | Self::Text(_), _) => return None,
        }
        Some(())
    }

    fn remove(&mut self, leg: &Leg) -> Option<()> {
        match (self, leg) {
            (Self::Object(members), Leg::Key(key)) => {
                let place = members.iter().position(|(its, _)| its == key)?;
                members.remove(place);
            }
            (Self::Array(elements), Leg::Place(place)) if *place < elements.len() => {
                elements.remove(*place);
            }
            (Self::Object(_) | Self::Array(_) | Self::Text(_), _) => return None,
        }
        Some(())
    }

    fn write(&self, text: &mut Vec<u8>) -> Option<()> {
        let separator = |place: usize| if place > 0 { &b", "[..] } else { b"" };
        match self {
            Self::Object(members) => {
                text.push(b'{');
                for (place, (key, node)) in members.iter().enumerate() {
                    text.extend_from_slice(separator(place));
                    quoted(key, text)?;
                    text.extend_from_slice(b": ");
                    node.write(text)?;
                }
                text.push(b'}');
            }
            Self::Array(elements) => {
                text.push(b'[');
                for (place, node) in elements.iter().enumerate() {
                    text.extend_from_slice(separator(place));
                    node.write(text)?;
                }
                text.push(b']');
            }
            Self::Text(printed) => text.extend_from_slice(printed),
        }
        Some(())
    }
}

fn document(bytes: &[u8]) -> Option<Node> {
    // A document of no bytes is what a NULL of a NOT NULL column becomes.
    let Some((kind, body)) = bytes.split_first() else { return Some(Node::Text(b"null".to_vec())) };
    node(*kind, body, DEEPEST)
}

fn node(kind: u8, body: &[u8], depth: usize) -> Option<Node> {
    let depth = depth.checked_sub(1)?;
    let mut text = Vec::new();
    match kind {
        0 => return object(body, 2, depth),
        1 => return object(body, 4, depth),
        2 => return array(body, 2, depth),
        3 => return array(body, 4, depth),
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
            number::print(f64::from_le_bytes(fixed(body)?), &mut text);
            // So that it is not read as a whole number (`Json_double`).
            if !text.iter().any(|byte| matches!(byte, b'.' | b'e')) {
                text.extend_from_slice(b".0");
            }
        }
        12 => quoted(counted(body)?, &mut text)?,
        15 => {
            let (kind, rest) = body.split_first()?;
            opaque(*kind, counted(rest)?, &mut text)?;
        }
        _ => return None,
    }
    Some(Node::Text(text))
}

/// The elements of an object: where keys lie, how long they are, and the values.
fn object(body: &[u8], width: usize, depth: usize) -> Option<Node> {
    let count = number_at(body, 0, width)?;
    let keys = 2 * width;
    let values = keys.checked_add(count.checked_mul(width + 2)?)?;
    let mut members = Vec::new();
    for element in 0..count {
        let at = keys + element * (width + 2);
        let (start, length) = (number_at(body, at, width)?, number_at(body, at + width, 2)?);
        let key = body.get(start..start.checked_add(length)?)?;
        members.push((
            key.to_vec(),
            element_node(body, values + element * (width + 1), width, depth)?,
        ));
    }
    Some(Node::Object(members))
}

fn array(body: &[u8], width: usize, depth: usize) -> Option<Node> {
    let count = number_at(body, 0, width)?;
    let elements =
        (0..count).map(|place| element_node(body, 2 * width + place * (width + 1), width, depth));
    elements.collect::<Option<_>>().map(Node::Array)
}

/// A value of an object or an array: its type, and its place or itself.
fn element_node(body: &[u8], at: usize, width: usize, depth: usize) -> Option<Node> {
    let kind = *body.get(at)?;
    let is_here = match kind {
        4..=6 => true,
        7 | 8 => width == 4,
        _ => false,
    };
    let start = if is_here { at + 1 } else { number_at(body, at + 1, width)? };
    node(kind, body.get(start..)?, depth)
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

    /// Changes of a document, as an update of a part of it has them.
    fn patched(bytes: &[u8], changes: &[(u8, &str, &[u8])]) -> Option<String> {
        let mut packed = Vec::new();
        for (operation, path, value) in changes {
            packed.extend([*operation, u8::try_from(path.len()).unwrap()]);
            packed.extend_from_slice(path.as_bytes());
            if *operation != 2 {
                packed.push(u8::try_from(value.len()).unwrap());
                packed.extend_from_slice(value);
            }
        }
        let mut text = Vec::new();
        patch(bytes, &packed, &mut text)?;
        Some(String::from_utf8(text).unwrap())
    }

    #[test]
    fn parts_of_a_document_are_changed() {
        // {"a": 1, "bc": [true, "x"]}, as below.
        let mut bytes = vec![0, 2, 0, 33, 0, 18, 0, 1, 0, 19, 0, 2, 0, 5, 1, 0, 2, 21, 0];
        bytes.extend_from_slice(b"abc");
        bytes.extend_from_slice(&[2, 0, 12, 0, 4, 1, 0, 12, 10, 0, 1, b'x']);
        let (seven, null): (&[u8], &[u8]) = (&[5, 7, 0], &[4, 0]);
        for (changes, expected) in [
            (&[(0, "$.a", seven)][..], r#"{"a": 7, "bc": [true, "x"]}"#),
            (&[(2, "$.a", &[])], r#"{"bc": [true, "x"]}"#),
            (
                &[(1, "$.b", null), (1, "$.bc[1]", seven)],
                r#"{"a": 1, "b": null, "bc": [true, 7, "x"]}"#,
            ),
            (&[(2, "$.bc[0]", &[]), (0, "$.bc[0]", seven)], r#"{"a": 1, "bc": [7]}"#),
            (&[(1, r#"$."b \" c""#, seven)], r#"{"a": 1, "bc": [true, "x"], "b \" c": 7}"#),
            (&[(1, "$.bc[9]", seven)], r#"{"a": 1, "bc": [true, "x", 7]}"#),
            (&[(0, "$", seven)], "7"),
        ] {
            assert_eq!(patched(&bytes, changes).unwrap(), expected);
        }
        for changes in [
            &[(0, "$.c", seven)][..],
            &[(1, "$.a", seven)],
            &[(2, "$.bc[2]", &[])],
            &[(0, "$.a.b", seven)],
            &[(3, "$.a", seven)],
            &[(0, "a", seven)],
        ] {
            assert_eq!(patched(&bytes, changes), None);
        }
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
