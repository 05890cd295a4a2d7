//! Text of the log to UTF-8, as the server itself would.
//!
//! The log has text as the table stores it, each column in its own character set. What a character is in Unicode differs
//! from library to library (MySQL's `latin1` is Windows-1252 with its five gaps filled, `gbk` has a Euro sign or not), so the
//! server is asked, once a set: what it answers is what a copy of the table shows. A set of one byte a character is a table of
//! 256 answers; one of two bytes a table of all pairs. The two of three bytes (`ujis`, `eucjpms`) have those behind one lead byte,
//! 0x8F, which the standard calls SS3 (EUC-JP, code set 3). Sets of Unicode are their own table.
//!
//! `gb18030` has four bytes where the second is a digit. The 39,420 of them that are left for Unicode's basic plane are asked for;
//! from 90308130 on the standard counts the other planes through (GB 18030-2022, 7.2).

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::super::error::SourceError;
use super::super::session::Session;
use super::super::types::quote;

/// How text becomes UTF-8.
#[derive(Debug, Clone)]
pub enum Charset {
    /// It is.
    Utf8,
    /// Two bytes, the higher first, and four for a character beyond them.
    Utf16,
    /// The same with the lower byte first.
    Utf16Le,
    /// Four bytes, the highest first.
    Utf32,
    /// By what the server answers.
    Table(Arc<Table>),
}

/// What the server answers for one byte, for two, for two behind the byte that begins three, and for four.
#[derive(Debug, Default)]
pub struct Table {
    single: HashMap<u8, String>,
    pairs: HashMap<[u8; 2], String>,
    triples: HashMap<[u8; 2], String>,
    quadruples: HashMap<[u8; 4], String>,
}

/// What a character of three bytes begins with.
const THREE: u8 = 0x8F;

/// The character sets that the tables of a unit need.
#[derive(Debug, Clone, Default)]
pub struct Charsets(HashMap<String, Charset>);

impl Charsets {
    /// Learns the sets of this list that are not known yet.
    ///
    /// # Errors
    /// The server's.
    pub fn learn<'a>(
        &mut self,
        session: &mut Session,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), SourceError> {
        for name in names {
            if self.0.contains_key(name) {
                continue;
            }
            let charset = match name {
                "utf8" | "utf8mb3" | "utf8mb4" => Charset::Utf8,
                "utf16" | "ucs2" => Charset::Utf16,
                "utf16le" => Charset::Utf16Le,
                "utf32" => Charset::Utf32,
                _ => match table(session, name)? {
                    Some(table) => Charset::Table(Arc::new(table)),
                    None => continue,
                },
            };
            self.0.insert(name.to_owned(), charset);
        }
        Ok(())
    }

    /// A set that was learned; `None` for one whose text cannot be read.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Charset> {
        self.0.get(name)
    }
}

impl Charset {
    /// The text in UTF-8, in `out`; `None` when the bytes are not text of the set.
    pub fn decode(&self, bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
        out.clear();
        match self {
            Self::Utf8 => out.extend_from_slice(bytes),
            Self::Utf16 => utf16(bytes, u16::from_be_bytes, out)?,
            Self::Utf16Le => utf16(bytes, u16::from_le_bytes, out)?,
            Self::Utf32 => {
                for four in bytes.chunks(4) {
                    let character = char::from_u32(u32::from_be_bytes(four.try_into().ok()?))?;
                    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
            Self::Table(table) => {
                let mut rest = bytes;
                while let Some((first, behind)) = rest.split_first() {
                    if let Some(text) = table.single.get(first) {
                        out.extend_from_slice(text.as_bytes());
                        rest = behind;
                        continue;
                    }
                    if let Some((text, behind)) = table.of_four(rest) {
                        out.extend_from_slice(text?.as_bytes());
                        rest = behind;
                        continue;
                    }
                    let (text, behind) = match behind {
                        [second, third, behind @ ..]
                            if *first == THREE && !table.triples.is_empty() =>
                        {
                            (table.triples.get(&[*second, *third])?, behind)
                        }
                        [second, behind @ ..] => (table.pairs.get(&[*first, *second])?, behind),
                        [] => return None,
                    };
                    out.extend_from_slice(text.as_bytes());
                    rest = behind;
                }
            }
        }
        Some(())
    }
}

impl Table {
    /// Where a character of four bytes begins: its text, if it is one, and what is behind it.
    fn of_four<'a>(&self, bytes: &'a [u8]) -> Option<(Option<Cow<'_, str>>, &'a [u8])> {
        let (four, behind) = bytes.split_first_chunk::<4>()?;
        if self.quadruples.is_empty() || !four[1].is_ascii_digit() {
            return None;
        }
        let known = self.quadruples.get(four).map(|text| Cow::Borrowed(text.as_str()));
        Some((known.or_else(|| of_other_planes(*four).map(Cow::Owned)), behind))
    }
}

/// A character of GB 18030 beyond Unicode's basic plane.
fn of_other_planes([first, second, third, fourth]: [u8; 4]) -> Option<String> {
    let of = |byte: u8, from: u8, count: u32| {
        let digit = u32::from(byte.checked_sub(from)?);
        (digit < count).then_some(digit)
    };
    let lead = of(first, 0x90, 0x54)? * 10 + of(second, b'0', 10)?;
    let number = (lead * 126 + of(third, 0x81, 126)?) * 10 + of(fourth, b'0', 10)?;
    char::from_u32(0x1_0000 + number).map(String::from)
}

fn utf16(bytes: &[u8], unit: impl Fn([u8; 2]) -> u16, out: &mut Vec<u8>) -> Option<()> {
    let units: Option<Vec<u16>> =
        bytes.chunks(2).map(|two| two.try_into().ok().map(&unit)).collect();
    for character in char::decode_utf16(units?) {
        out.extend_from_slice(character.ok()?.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Some(())
}

/// Asks for a set's characters; `None` for one whose characters have more than four bytes.
fn table(session: &mut Session, name: &str) -> Result<Option<Table>, SourceError> {
    let longest = format!(
        "SELECT MAXLEN FROM information_schema.CHARACTER_SETS WHERE CHARACTER_SET_NAME = {}",
        super::super::catalog::literal(name)
    );
    let longest = session.scalar(&longest)?.and_then(|text| text.parse::<u8>().ok());
    let Some(longest @ 1..=4) = longest else { return Ok(None) };
    let mut table = Table::default();
    let singles: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
    for (bytes, text) in ask(session, name, &singles)? {
        if let (&[byte], Some(text)) = (bytes.as_slice(), text) {
            // MySQL says of a byte that only begins a character of `eucjpms` or `gb18030` that it is one, `?`.
            if longest == 1 || byte.is_ascii() || text != "?" {
                table.single.insert(byte, text);
            }
        }
    }
    if longest > 1 {
        for first in (0x80..=u8::MAX).filter(|byte| !table.single.contains_key(byte)) {
            let pairs: Vec<Vec<u8>> = (0..=u8::MAX).map(|second| vec![first, second]).collect();
            for (bytes, text) in ask(session, name, &pairs)? {
                if let (&[first, second], Some(text)) = (bytes.as_slice(), text) {
                    table.pairs.insert([first, second], text);
                }
            }
        }
    }
    if longest == 4 {
        quadruples(session, name, &mut table)?;
    }
    if longest == 3 {
        for second in 0xA1..=0xFE {
            let triples: Vec<Vec<u8>> =
                (0xA1..=0xFE).map(|third| vec![THREE, second, third]).collect();
            for (bytes, text) in ask(session, name, &triples)? {
                if let (&[_, second, third], Some(text)) = (bytes.as_slice(), text) {
                    table.triples.insert([second, third], text);
                }
            }
        }
    }
    Ok(Some(table))
}

/// Those of four bytes that are of Unicode's basic plane: 81308130 to 8431A439.
fn quadruples(session: &mut Session, name: &str, table: &mut Table) -> Result<(), SourceError> {
    for first in 0x81..=0x84 {
        for second in b'0'..=b'9' {
            let behind =
                |third| (b'0'..=b'9').map(move |fourth| vec![first, second, third, fourth]);
            let fours: Vec<Vec<u8>> = (0x81..=0xFE).flat_map(behind).collect();
            for (bytes, text) in ask(session, name, &fours)? {
                if let (Ok(four), Some(text)) = (<[u8; 4]>::try_from(bytes), text) {
                    table.quadruples.insert(four, text);
                }
            }
        }
    }
    Ok(())
}

/// Bytes, and what they are as text.
type Answer = (Vec<u8>, Option<String>);

/// What each of these is as text; `None` where it is no single character of the set. Bytes that are none of the set come out of
/// a conversion as other bytes than went in, or as nothing.
fn ask(session: &mut Session, name: &str, bytes: &[Vec<u8>]) -> Result<Vec<Answer>, SourceError> {
    let set = quote(name);
    let each: Vec<String> = bytes
        .iter()
        .map(|bytes| {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
            let text = format!("CONVERT(CAST(X'{digits}' AS BINARY) USING {set})");
            format!(
                "SELECT CHAR_LENGTH({text}) = 1 AND HEX({text}) = '{digits}', HEX(CONVERT({text} USING utf8mb4))"
            )
        })
        .collect();
    let rows = session.rows(&each.join(" UNION ALL "))?;
    if rows.len() != bytes.len() {
        return Err(SourceError::Protocol("an answer for each character"));
    }
    let text = |row: Vec<Option<String>>| {
        let mut fields = row.into_iter().flatten();
        let is_character = fields.next().as_deref() == Some("1");
        let digits = fields.next().filter(|_| is_character)?;
        let place = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
        let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(place).collect();
        String::from_utf8(bytes?).ok().filter(|text| !text.is_empty())
    };
    Ok(bytes.iter().cloned().zip(rows.into_iter().map(text)).collect())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn decoded(charset: &Charset, bytes: &[u8]) -> Option<String> {
        let mut out = vec![1];
        charset.decode(bytes, &mut out)?;
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_sets_of_unicode() {
        assert_eq!(decoded(&Charset::Utf16, b"\x6f\x22\xd8\x3d\xde\x00").unwrap(), "漢😀");
        assert_eq!(decoded(&Charset::Utf16Le, b"\x22\x6f").unwrap(), "漢");
        assert_eq!(decoded(&Charset::Utf32, b"\0\x01\xf6\0").unwrap(), "😀");
        assert_eq!(decoded(&Charset::Utf16, b"\x6f"), None);
        assert_eq!(decoded(&Charset::Utf16, b"\xd8\x3d"), None);
        assert_eq!(decoded(&Charset::Utf32, b"\0\x11\0\0"), None);
    }

    #[test]
    fn a_byte_that_is_no_character_begins_one() {
        let mut table = Table::default();
        table.single.insert(b'a', "a".to_owned());
        table.pairs.insert([0x83, b'a'], "ア".to_owned());
        let charset = Charset::Table(Arc::new(table));
        assert_eq!(decoded(&charset, b"a\x83aa").unwrap(), "aアa");
        assert_eq!(decoded(&charset, b"\x83"), None);
        assert_eq!(decoded(&charset, b"b"), None);
    }

    #[test]
    fn four_bytes_where_the_second_is_a_digit() {
        let mut table = Table::default();
        table.single.insert(b'1', "1".to_owned());
        table.pairs.insert([0x81, 0x40], "丂".to_owned());
        table.quadruples.insert([0x81, 0x30, 0x86, 0x30], "¶".to_owned());
        let charset = Charset::Table(Arc::new(table));
        assert_eq!(decoded(&charset, b"\x81\x30\x86\x301\x81\x40").unwrap(), "¶1丂");
        // The first and the last of the other planes, and what is behind it.
        assert_eq!(
            decoded(&charset, b"\x90\x30\x81\x30\xe3\x32\x9a\x35").unwrap(),
            "\u{10000}\u{10FFFF}"
        );
        assert_eq!(decoded(&charset, b"\xe3\x32\x9a\x36"), None);
        assert_eq!(decoded(&charset, b"\x81\x30\x86"), None);
    }

    #[test]
    fn one_lead_byte_has_two_behind_it() {
        let mut table = Table::default();
        table.single.insert(b'a', "a".to_owned());
        table.pairs.insert([0xA4, 0xA2], "あ".to_owned());
        table.triples.insert([0xB0, 0xA1], "丂".to_owned());
        let charset = Charset::Table(Arc::new(table));
        assert_eq!(decoded(&charset, b"\x8f\xb0\xa1a\xa4\xa2").unwrap(), "丂aあ");
        assert_eq!(decoded(&charset, b"\x8f\xb0"), None);
        assert_eq!(decoded(&charset, b"\x8f\xb0\xfe"), None);
    }
}
