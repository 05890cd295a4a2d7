//! The JSON text that `array_to_json` makes of an array, from the array's text.
//!
//! Form (PostgreSQL source, `array_dim_to_json`, `datum_to_json`, `escape_json`): brackets by dimension, commas, no blanks;
//! a number is bare when JSON has it and else a string; dates and times are XSD's. Which form an element's type
//! has is decided in `types.rs`, where a type whose text does not say enough is refused.

use super::super::decode::Undecodable;
use super::super::types::JsonElement;
use super::array::{Token, Tokens};

/// Appends the JSON of an array.
///
/// # Errors
/// The text is not an array's, or an element is not what its type prints.
pub(super) fn array(
    tokens: &mut Tokens<'_>,
    element: JsonElement,
    out: &mut Vec<u8>,
) -> Result<(), Undecodable> {
    while let Some(token) = tokens.next()? {
        match token {
            Token::Open => out.push(b'['),
            Token::Close => out.push(b']'),
            Token::Delimiter => out.push(b','),
            Token::Null => out.extend(b"null"),
            Token::Element(text) => scalar(text, element, out)?,
        }
    }
    Ok(())
}

fn scalar(text: &[u8], element: JsonElement, out: &mut Vec<u8>) -> Result<(), Undecodable> {
    match element {
        JsonElement::Number if is_number(text) => out.extend(text),
        JsonElement::Number | JsonElement::Text => string(text, out),
        JsonElement::Boolean => out.extend::<&[u8]>(match text {
            b"t" => b"true",
            b"f" => b"false",
            _ => return Err(Undecodable),
        }),
        JsonElement::Json => out.extend(text),
        JsonElement::Moment => string(&moment(text), out),
    }
    Ok(())
}

/// Whether JSON has such a number: the server's floats do not begin with a point or end in one.
fn is_number(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    digits.first().is_some_and(u8::is_ascii_digit)
}

/// ISO to XSD: `2000-01-01 00:00:00+00 BC` to `2000-01-01T00:00:00+00:00 BC`; a date and an infinity stay.
fn moment(text: &[u8]) -> Vec<u8> {
    let (text, era) = match text.strip_suffix(b" BC") {
        Some(text) => (text, &b" BC"[..]),
        None => (text, &b""[..]),
    };
    let (text, zone) = match text.strip_suffix(b"+00") {
        Some(text) => (text, &b"+00:00"[..]),
        None => (text, &b""[..]),
    };
    let clock = text.iter().map(|byte| if *byte == b' ' { b'T' } else { *byte });
    clock.chain(zone.iter().copied()).chain(era.iter().copied()).collect()
}

fn string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' => out.extend(b"\\\""),
            b'\\' => out.extend(b"\\\\"),
            0x08 => out.extend(b"\\b"),
            0x0c => out.extend(b"\\f"),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0..=0x1f => out.extend(format!("\\u{byte:04x}").bytes()),
            byte => out.push(*byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn json(text: &str, element: JsonElement) -> String {
        let mut out = Vec::new();
        array(&mut Tokens::new(text.as_bytes(), b',', Vec::new()), element, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn elements_are_printed_by_their_category() {
        let cases = [
            ("{{1,NULL},{-2.50,1e+20}}", JsonElement::Number, "[[1,null],[-2.50,1e+20]]"),
            ("{NaN,-Infinity}", JsonElement::Number, r#"["NaN","-Infinity"]"#),
            ("{{t,f}}", JsonElement::Boolean, "[[true,false]]"),
            (r#"{"{\"a\": 1}",1}"#, JsonElement::Json, r#"[{"a": 1},1]"#),
            ("{}", JsonElement::Text, "[]"),
            ("{\"a\\\"\n\u{1}ä\"}", JsonElement::Text, r#"["a\"\n\u0001ä"]"#),
            (
                r#"{"0044-03-15 12:00:00.5+00 BC",infinity}"#,
                JsonElement::Moment,
                r#"["0044-03-15T12:00:00.5+00:00 BC","infinity"]"#,
            ),
            (
                "{2000-01-01,\"0001-01-01 BC\"}",
                JsonElement::Moment,
                r#"["2000-01-01","0001-01-01 BC"]"#,
            ),
        ];
        for (text, element, expected) in cases {
            assert_eq!(json(text, element), expected);
        }
    }
}
