//! A strict reader of JSON (RFC 8259) that ends where CPython's `json.loads` ends, or refuses.
//!
//! `json.loads` takes more than JSON: `NaN`, `Infinity`, a float that overflows, half a surrogate pair. Each of those
//! would come out of the encoder as something that is not JSON, or not what went in, so each is refused here. What
//! this reader accepts, `json.loads` reads as the same value; a test against CPython holds it to that.
//!
//! Reasons never quote the input: it may hold what must not reach a log.

use super::json::{Value, unique};

/// How many arrays and objects may enclose a value.
pub const MAXIMUM_DEPTH: usize = 100;

/// How many digits an integer may have: CPython's limit on turning text into `int`.
pub const MAXIMUM_INTEGER_DIGITS: usize = 4300;

/// Why bytes are not a document, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} (line {line}, byte {offset_bytes})")]
pub struct ParseError {
    /// Bytes before the place that was not understood.
    pub offset_bytes: usize,
    /// The line of that place, counted from 1.
    pub line: usize,
    /// The rule that is broken, without the text that breaks it.
    pub reason: &'static str,
}

/// Reads one document.
///
/// Of a repeated key the last value stands at the first place, as in a Python `dict`.
///
/// # Errors
/// [`ParseError`] when the bytes are not UTF-8, begin with a byte order mark, are not one JSON document with nothing
/// behind it, are nested deeper than [`MAXIMUM_DEPTH`], hold an integer of more than [`MAXIMUM_INTEGER_DIGITS`], a
/// number that is not finite, or half a surrogate pair.
pub fn parse(bytes: &[u8]) -> Result<Value, ParseError> {
    let fail = |offset_bytes: usize, reason| {
        let before = bytes.get(..offset_bytes).unwrap_or(bytes);
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        ParseError { offset_bytes, line, reason }
    };
    let text =
        std::str::from_utf8(bytes).map_err(|error| fail(error.valid_up_to(), "Not UTF-8"))?;
    if text.starts_with('\u{feff}') {
        return Err(fail(0, "Begins with a byte order mark"));
    }
    let mut reader = Reader { text, bytes, at: 0 };
    let outcome = reader.document();
    outcome.map_err(|reason| fail(reader.at, reason))
}

type Outcome<T> = Result<T, &'static str>;

const UNFINISHED: &str = "The document ends in the middle of a value";

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Outcome<Value> {
        self.skip_whitespace();
        let value = self.value(0)?;
        self.skip_whitespace();
        if self.at < self.bytes.len() { Err("Something follows the document") } else { Ok(value) }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Steps over `byte` if it is next.
    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn skip_whitespace(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Outcome<Value> {
        match self.peek() {
            None => Err(UNFINISHED),
            Some(b'{' | b'[') if depth == MAXIMUM_DEPTH => Err("Nested deeper than 100 levels"),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'n') => self.word("null", Value::Null),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'N' | b'I') => Err("NaN and Infinity are not JSON"),
            Some(_) => Err("Expected a value"),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Outcome<Value> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err("Expected a value");
        }
        self.at += word.len();
        Ok(value)
    }

    fn array(&mut self, depth: usize) -> Outcome<Value> {
        self.at += 1;
        self.skip_whitespace();
        let mut items = Vec::new();
        if self.take(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            self.skip_whitespace();
            items.push(self.value(depth)?);
            self.skip_whitespace();
            if self.take(b']') {
                return Ok(Value::Array(items));
            }
            self.separator(b',', "Expected a comma or the end of the list")?;
        }
    }

    fn object(&mut self, depth: usize) -> Outcome<Value> {
        self.at += 1;
        self.skip_whitespace();
        let mut pairs = Vec::new();
        if self.take(b'}') {
            return Ok(Value::Object(pairs));
        }
        loop {
            self.skip_whitespace();
            match self.peek() {
                Some(b'"') => {}
                Some(_) => return Err("Expected a key in double quotes"),
                None => return Err(UNFINISHED),
            }
            let key = self.string()?;
            self.skip_whitespace();
            self.separator(b':', "Expected a colon after a key")?;
            self.skip_whitespace();
            pairs.push((key, self.value(depth)?));
            self.skip_whitespace();
            if self.take(b'}') {
                return Ok(Value::Object(unique(pairs)));
            }
            self.separator(b',', "Expected a comma or the end of the object")?;
        }
    }

    fn separator(&mut self, byte: u8, otherwise: &'static str) -> Outcome<()> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(if self.peek().is_none() { UNFINISHED } else { otherwise })
        }
    }

    fn string(&mut self) -> Outcome<String> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let start = self.at;
            while self.peek().is_some_and(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
                self.at += 1;
            }
            // The bytes that end a run are ASCII, so a run begins and ends between characters.
            text.push_str(self.text.get(start..self.at).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => text.push(self.escape()?),
                Some(_) => return Err("A control character in a text must be escaped"),
                None => return Err(UNFINISHED),
            }
        }
    }

    fn escape(&mut self) -> Outcome<char> {
        self.at += 1;
        let byte = self.peek().ok_or(UNFINISHED)?;
        let plain = match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => return Err("An escape that JSON does not know"),
        };
        self.at += 1;
        Ok(plain)
    }

    /// `uXXXX`, with its second half when it is the first of a surrogate pair.
    fn unicode_escape(&mut self) -> Outcome<char> {
        const LONE: &str = "Half a surrogate pair is not a character";
        let unit = self.code_unit()?;
        if !(0xD800..0xDC00).contains(&unit) {
            return char::from_u32(unit).ok_or(LONE);
        }
        if !self.take(b'\\') || self.peek() != Some(b'u') {
            return Err(LONE);
        }
        let low = self.code_unit()?;
        if !(0xDC00..0xE000).contains(&low) {
            return Err(LONE);
        }
        char::from_u32(0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00)).ok_or(LONE)
    }

    /// The four hexadecimal digits after the `u` that is next.
    fn code_unit(&mut self) -> Outcome<u32> {
        self.at += 1;
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().ok_or(UNFINISHED)?;
            let digit = char::from(digit).to_digit(16).ok_or("An escape needs four digits")?;
            unit = unit * 16 + digit;
            self.at += 1;
        }
        Ok(unit)
    }

    fn number(&mut self) -> Outcome<Value> {
        let start = self.at;
        self.take(b'-');
        if self.peek() == Some(b'I') {
            return Err("NaN and Infinity are not JSON");
        }
        let digits = if self.take(b'0') {
            if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                return Err("A number must not begin with a zero");
            }
            1
        } else {
            self.digits()?
        };
        let mut is_float = false;
        if self.take(b'.') {
            is_float = true;
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            is_float = true;
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        let written = self.text.get(start..self.at).unwrap_or_default();
        if is_float {
            let number = written.parse::<f64>().ok().and_then(Value::float);
            return number.ok_or("A number beyond the range of a float");
        }
        if digits > MAXIMUM_INTEGER_DIGITS {
            return Err("An integer of more than 4300 digits");
        }
        Value::integer_of_digits(written).ok_or("Expected a digit")
    }

    /// Steps over one or more digits and counts them.
    fn digits(&mut self) -> Outcome<usize> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        match self.at - start {
            0 if self.peek().is_none() => Err(UNFINISHED),
            0 => Err("Expected a digit"),
            count => Ok(count),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn reason(document: &str) -> &'static str {
        parse(document.as_bytes()).unwrap_err().reason
    }

    #[test]
    fn every_kind_of_value() {
        let value =
            parse(b" {\"a\" : [ null,true , false,-0, 1e2, \"\\u00e9\\/\" ] , \"b\":{}}\r\n")
                .unwrap();
        let expected = Value::object([
            (
                "a",
                Value::Array(vec![
                    Value::Null,
                    Value::Bool(true),
                    Value::Bool(false),
                    Value::Integer("0".to_owned()),
                    Value::Float(100.0),
                    Value::from("é/"),
                ]),
            ),
            ("b", Value::Object(Vec::new())),
        ]);
        assert_eq!(value, expected);
    }

    #[test]
    fn integers_keep_their_digits_and_floats_their_sign() {
        let digits = "9".repeat(MAXIMUM_INTEGER_DIGITS);
        assert_eq!(parse(digits.as_bytes()).unwrap(), Value::Integer(digits.clone()));
        assert_eq!(reason(&format!("{digits}9")), "An integer of more than 4300 digits");
        let Value::Float(zero) = parse(b"-0.0").unwrap() else { panic!("a float") };
        assert!(zero.is_sign_negative());
        assert_eq!(parse(b"1E+2").unwrap(), Value::Float(100.0));
        assert_eq!(parse(b"5e-400").unwrap(), Value::Float(0.0), "too small is zero, as in Python");
    }

    #[test]
    fn numbers_that_are_not_json_are_refused() {
        for document in ["1e400", "-1e400"] {
            assert_eq!(reason(document), "A number beyond the range of a float", "{document}");
        }
        for document in ["NaN", "Infinity", "-Infinity", "[NaN]"] {
            assert_eq!(reason(document), "NaN and Infinity are not JSON", "{document}");
        }
        for document in ["01", "-01", "1.", "1.e5", ".5", "+1", "1e", "1e+", "-", "--1", "0x1"] {
            assert!(parse(document.as_bytes()).is_err(), "{document}");
        }
    }

    #[test]
    fn surrogates_come_in_pairs() {
        assert_eq!(parse(br#""\ud83d\uDE00""#).unwrap(), Value::from("😀"));
        for document in [
            r#""\ud83d""#,
            r#""\ud83dx""#,
            r#""\ud83d\n""#,
            r#""\ude00\ud83d""#,
            r#""\ud83d\u0041""#,
        ] {
            assert_eq!(reason(document), "Half a surrogate pair is not a character", "{document}");
        }
        for document in [r#""\u12""#, r#""\u12g4""#, r#""\u+123""#, r#""\x""#] {
            assert!(parse(document.as_bytes()).is_err(), "{document}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_where_they_stand() {
        let error = parse(b"[\n\"ok\",\n\"\xff\"]").unwrap_err();
        assert_eq!((error.offset_bytes, error.line, error.reason), (9, 3, "Not UTF-8"));
        assert_eq!(parse(b"\"\xed\xa0\x80\"").unwrap_err().reason, "Not UTF-8", "a raw surrogate");
        assert_eq!(reason("\u{feff}{}"), "Begins with a byte order mark");
        assert_eq!(reason("\"a\tb\""), "A control character in a text must be escaped");
        assert_eq!(parse("\"\u{7f}\"".as_bytes()).unwrap(), Value::from("\u{7f}"));
    }

    #[test]
    fn what_follows_or_is_missing_is_refused() {
        assert_eq!(reason("1 2"), "Something follows the document");
        assert_eq!(reason("{}]"), "Something follows the document");
        for document in
            ["", " ", "[", "[1", "[1,", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "\"a", "\"\\", "-"]
        {
            assert_eq!(reason(document), UNFINISHED, "{document:?}");
        }
        for document in ["[1,]", "{\"a\":1,}", "{a:1}", "{'a':1}", "[1 2]", "nul", "tru", "\x0c1"] {
            assert!(parse(document.as_bytes()).is_err(), "{document:?}");
        }
    }

    #[test]
    fn a_hundred_levels_and_no_more() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(nested(MAXIMUM_DEPTH).as_bytes()).is_ok());
        assert_eq!(reason(&nested(MAXIMUM_DEPTH + 1)), "Nested deeper than 100 levels");
        assert_eq!(reason(&"[".repeat(1_000_000)), "Nested deeper than 100 levels");
    }

    #[test]
    fn a_message_names_the_place_and_not_the_text() {
        let error = parse(b"{\"password\":\n\"secret\\q\"}").unwrap_err();
        assert_eq!(error.to_string(), "An escape that JSON does not know (line 2, byte 21)");
    }
}
