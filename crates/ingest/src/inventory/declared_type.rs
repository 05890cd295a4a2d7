//! The type texts an override may declare, for example `decimal(38,9)` or `list<string>`.
//!
//! Only the grammar is checked here: whether a source type can be stored in the declared type is
//! the type contract's question, and this module knows nothing of either side.
//!
//! ```text
//! type    = "boolean" | "int" | "long" | "float" | "double" | "date" | "time" | "timestamp"
//!         | "timestamptz" | "string" | "uuid" | "binary"
//!         | "decimal" "(" precision "," scale ")"      1 ≤ precision ≤ 38, 0 ≤ scale ≤ precision
//!         | "fixed" "(" length_bytes ")"                1 ≤ length_bytes
//!         | "list" "<" type ">"
//!         | "map" "<" type "," type ">"
//! ```

use std::fmt;

use super::suggest;

/// The type words without parameters (the primitive types of Iceberg's format version 2).
pub const SIMPLE_TYPES: &[&str] = &[
    "boolean",
    "int",
    "long",
    "float",
    "double",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "string",
    "uuid",
    "binary",
];

const PARAMETRIC_TYPES: &[&str] = &["decimal", "fixed", "list", "map"];

/// How deep `list<…>` and `map<…>` may nest.
const MAXIMUM_DEPTH: usize = 8;

/// A lake type as a unit declares it: checked text in its one canonical spelling
/// (lower case, no blanks).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeclaredType {
    text: String,
}

impl DeclaredType {
    /// Reads a type text; blanks and letter case do not matter.
    ///
    /// # Errors
    /// A sentence that says what is wrong and, where one is near, which word was probably meant.
    pub fn parse(text: &str) -> Result<Self, String> {
        let compact: String =
            text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect();
        let rest = parse_type(&compact, 0)?;
        if rest.is_empty() {
            Ok(Self { text: compact })
        } else {
            Err(format!("the type ends before \"{rest}\""))
        }
    }

    /// The canonical text, for example `decimal(38,9)`.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for DeclaredType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// Reads one type from the start of `text` and returns what follows it.
fn parse_type(text: &str, depth: usize) -> Result<&str, String> {
    if depth > MAXIMUM_DEPTH {
        return Err(format!("the type nests deeper than {MAXIMUM_DEPTH} levels"));
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    match word {
        "decimal" => {
            let rest = expect(rest, "(", "decimal needs a precision and a scale, decimal(p,s)")?;
            let (precision, rest) = number(rest)?;
            let rest = expect(rest, ",", "decimal needs a precision and a scale, decimal(p,s)")?;
            let (scale, rest) = number(rest)?;
            if !(1..=38).contains(&precision) {
                return Err(format!("a decimal has a precision of 1 to 38, not {precision}"));
            }
            if scale > precision {
                return Err(format!("the scale {scale} is larger than the precision {precision}"));
            }
            expect(rest, ")", "the bracket after decimal is not closed")
        }
        "fixed" => {
            let rest = expect(rest, "(", "fixed needs a length in bytes, fixed(n)")?;
            let (length_bytes, rest) = number(rest)?;
            if length_bytes == 0 {
                return Err("fixed needs a length of at least one byte".to_owned());
            }
            expect(rest, ")", "the bracket after fixed is not closed")
        }
        "list" => {
            let rest = expect(rest, "<", "list needs an element type, list<string>")?;
            let rest = parse_type(rest, depth + 1)?;
            expect(rest, ">", "the bracket after list is not closed")
        }
        "map" => {
            let rest = expect(rest, "<", "map needs two types, map<string,string>")?;
            let rest = parse_type(rest, depth + 1)?;
            let rest = expect(rest, ",", "map needs two types, map<string,string>")?;
            let rest = parse_type(rest, depth + 1)?;
            expect(rest, ">", "the bracket after map is not closed")
        }
        _ if SIMPLE_TYPES.contains(&word) => Ok(rest),
        _ => {
            let known: Vec<&str> = SIMPLE_TYPES.iter().chain(PARAMETRIC_TYPES).copied().collect();
            let shown = if word.is_empty() { text } else { word };
            Err(format!("\"{shown}\" is not a lake type; {}", suggest::cure(shown, &known)))
        }
    }
}

fn expect<'a>(text: &'a str, symbol: &str, otherwise: &str) -> Result<&'a str, String> {
    text.strip_prefix(symbol).ok_or_else(|| otherwise.to_owned())
}

fn number(text: &str) -> Result<(u32, &str), String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let number = digits.parse().map_err(|_| {
        if digits.is_empty() {
            "a number is missing".to_owned()
        } else {
            format!("the number {digits} is too large")
        }
    })?;
    Ok((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_every_simple_type_and_the_parametric_ones() {
        for text in SIMPLE_TYPES.iter().copied().chain([
            "decimal(38,9)",
            "decimal(1,0)",
            "fixed(16)",
            "list<string>",
            "map<string,list<decimal(10,2)>>",
        ]) {
            assert_eq!(DeclaredType::parse(text).map(|t| t.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn has_one_spelling() {
        let loose = DeclaredType::parse(" List< Decimal( 38 , 9 ) > ");
        assert_eq!(loose.map(|t| t.to_string()), Ok("list<decimal(38,9)>".to_owned()));
    }

    #[test]
    fn says_what_is_wrong() {
        let cases = [
            ("strng", "\"strng\" is not a lake type; did you mean \"string\"?"),
            ("decimal", "decimal needs a precision and a scale, decimal(p,s)"),
            ("decimal(39,2)", "a decimal has a precision of 1 to 38, not 39"),
            ("decimal(5,6)", "the scale 6 is larger than the precision 5"),
            ("decimal(5,)", "a number is missing"),
            ("decimal(99999999999,1)", "the number 99999999999 is too large"),
            ("decimal(5,2", "the bracket after decimal is not closed"),
            ("list<string", "the bracket after list is not closed"),
            ("map<string>", "map needs two types, map<string,string>"),
            ("fixed(0)", "fixed needs a length of at least one byte"),
            ("long long", "\"longlong\" is not a lake type; did you mean \"long\"?"),
            ("string>", "the type ends before \">\""),
        ];
        for (text, message) in cases {
            assert_eq!(DeclaredType::parse(text), Err(message.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_deep_nest_is_refused_and_not_recursed_into() {
        let text = format!("{}string{}", "list<".repeat(100_000), ">".repeat(100_000));
        let message = "the type nests deeper than 8 levels".to_owned();
        assert_eq!(DeclaredType::parse(&text), Err(message));
    }
}
