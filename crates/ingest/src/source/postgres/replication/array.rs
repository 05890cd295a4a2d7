//! The server's text of an array, in tokens.
//!
//! Form (PostgreSQL source, `array_out`): braces, nested by dimension, with the element type's delimiter between elements;
//! an element with anything special in it is in double quotes, with backslashes before quotes and backslashes; a bare
//! NULL is NULL. The bounds come before it, as `[0:1]={…}`, exactly when one of them does not begin at 1.

use super::super::decode::Undecodable;

/// A piece of the text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// An opening brace.
    Open,
    /// A closing brace.
    Close,
    /// What stands between elements.
    Delimiter,
    /// An element that is NULL.
    Null,
    /// Another element, without its quotes.
    Element(&'a [u8]),
}

/// Whether the text begins with bounds, which is when one of them is not 1.
pub(super) fn has_bounds(text: &[u8]) -> bool {
    text.first() == Some(&b'[')
}

/// Walks over the text of an array without bounds.
pub(super) struct Tokens<'a> {
    rest: &'a [u8],
    delimiter: u8,
    depth: usize,
    /// Whether an element or an opening brace must come next, may come next, or must not.
    element: Expected,
    begun: bool,
    /// The element that was unquoted last.
    scratch: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Must,
    May,
    MustNot,
}

impl<'a> Tokens<'a> {
    /// The tokens of `text`, using `scratch` for elements that have to be unquoted.
    pub(super) fn new(text: &'a [u8], delimiter: u8, scratch: Vec<u8>) -> Self {
        Self { rest: text, delimiter, depth: 0, element: Expected::Must, begun: false, scratch }
    }

    /// Gives the scratch back.
    pub(super) fn into_scratch(self) -> Vec<u8> {
        self.scratch
    }

    /// The next token; `None` after the brace that closes the array.
    ///
    /// # Errors
    /// The text is not an array's.
    pub(super) fn next(&mut self) -> Result<Option<Token<'_>>, Undecodable> {
        let Some((first, after)) = self.rest.split_first() else {
            return if self.begun && self.depth == 0 { Ok(None) } else { Err(Undecodable) };
        };
        if self.begun && self.depth == 0 {
            return Err(Undecodable);
        }
        match first {
            b'{' if self.element != Expected::MustNot => {
                self.rest = after;
                self.depth += 1;
                self.begun = true;
                self.element = Expected::May;
                Ok(Some(Token::Open))
            }
            b'}' if self.depth > 0 && self.element != Expected::Must => {
                self.rest = after;
                self.depth -= 1;
                self.element = Expected::MustNot;
                Ok(Some(Token::Close))
            }
            byte if *byte == self.delimiter && self.element == Expected::MustNot => {
                self.rest = after;
                self.element = Expected::Must;
                Ok(Some(Token::Delimiter))
            }
            _ if self.depth == 0 || self.element == Expected::MustNot => Err(Undecodable),
            b'"' => {
                self.rest = after;
                self.element = Expected::MustNot;
                self.quoted()?;
                Ok(Some(Token::Element(&self.scratch)))
            }
            _ => {
                self.element = Expected::MustNot;
                let delimiter = self.delimiter;
                let end =
                    |byte: &u8| matches!(byte, b'{' | b'}' | b'"' | b'\\') || *byte == delimiter;
                let length = self.rest.iter().position(end).ok_or(Undecodable)?;
                let (element, rest) = self.rest.split_at_checked(length).ok_or(Undecodable)?;
                self.rest = rest;
                match element {
                    [] => Err(Undecodable),
                    b"NULL" => Ok(Some(Token::Null)),
                    element => Ok(Some(Token::Element(element))),
                }
            }
        }
    }

    fn quoted(&mut self) -> Result<(), Undecodable> {
        self.scratch.clear();
        loop {
            let special = |byte: &u8| matches!(byte, b'"' | b'\\');
            let length = self.rest.iter().position(special).ok_or(Undecodable)?;
            let (plain, rest) = self.rest.split_at_checked(length).ok_or(Undecodable)?;
            self.scratch.extend(plain);
            match rest {
                [b'"', rest @ ..] => {
                    self.rest = rest;
                    return Ok(());
                }
                [b'\\', escaped, rest @ ..] => {
                    self.scratch.push(*escaped);
                    self.rest = rest;
                }
                _ => return Err(Undecodable),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn shown(text: &str, delimiter: u8) -> Result<String, Undecodable> {
        let mut tokens = Tokens::new(text.as_bytes(), delimiter, Vec::new());
        let mut out = String::new();
        while let Some(token) = tokens.next()? {
            match token {
                Token::Open => out.push('<'),
                Token::Close => out.push('>'),
                Token::Delimiter => out.push('|'),
                Token::Null => out.push('0'),
                Token::Element(element) => out.push_str(std::str::from_utf8(element).unwrap()),
            }
        }
        Ok(out)
    }

    #[test]
    fn arrays_as_the_server_prints_them() {
        let cases = [
            ("{}", "<>"),
            ("{1,NULL,-3}", "<1|0|-3>"),
            (r#"{"NULL",null,""}"#, "<NULL|null|>"),
            (r#"{"a\"b\\c","d,e","{f}"}"#, r#"<a"b\c|d,e|{f}>"#),
            ("{{1,2},{3,NULL}}", "<<1|2>|<3|0>>"),
            ("{ä,\" \"}", "<ä| >"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text, b',').as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(
            shown("{(1,1),(0,0);(2,2),(1,1)}", b';').as_deref(),
            Ok("<(1,1),(0,0)|(2,2),(1,1)>")
        );
    }

    #[test]
    fn anything_else_is_refused() {
        let refused = [
            "", "{", "}", "1", "{1", "{1,}", "{,1}", "{1,,2}", "{1}2", "{1}{2}", "{\"a}",
            "{\"a\"b}", "{a\"b\"}", "{a\\,b}", "{{1}", "{{1}2}", "{1{2}}", "{\"a\\",
        ];
        for text in refused {
            assert_eq!(shown(text, b','), Err(Undecodable), "{text}");
        }
        assert!(has_bounds(b"[0:1]={1,2}") && !has_bounds(b"{1}"));
    }
}
