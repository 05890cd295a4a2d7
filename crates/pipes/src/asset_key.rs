//! Asset keys, and the escaped text that stands for them on the wire.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::{Error, ErrorKind, Result};

/// The key of a Dagster asset: a path of one part or more.
///
/// On the wire the parts are joined by `/`; a `/` or `\` inside a part is preceded by `\`.
/// `Display` and [`FromStr`] are that form and each other's inverse.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssetKey {
    parts: Vec<String>,
}

impl AssetKey {
    /// Makes a key of its parts.
    ///
    /// # Errors
    /// [`ErrorKind::AssetKey`] when there is no part, or the last part is empty: Dagster's reader
    /// drops an empty last part, so such a key would arrive as another one.
    pub fn new<Part: Into<String>>(parts: impl IntoIterator<Item = Part>) -> Result<Self> {
        let parts: Vec<String> = parts.into_iter().map(Into::into).collect();
        match parts.last() {
            None => Err(Error::new(ErrorKind::AssetKey).about("reason", "it has no part")),
            Some(last) if last.is_empty() => {
                Err(Error::new(ErrorKind::AssetKey).about("reason", "its last part is empty"))
            }
            Some(_) => Ok(Self { parts }),
        }
    }

    /// The parts, unescaped.
    #[must_use]
    pub fn parts(&self) -> &[String] {
        &self.parts
    }
}

impl fmt::Display for AssetKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        for (index, part) in self.parts.iter().enumerate() {
            if index > 0 {
                formatter.write_char('/')?;
            }
            for character in part.chars() {
                if matches!(character, '/' | '\\') {
                    formatter.write_char('\\')?;
                }
                formatter.write_char(character)?;
            }
        }
        Ok(())
    }
}

impl FromStr for AssetKey {
    type Err = Error;

    /// Reads the escaped form as Dagster's own `to_asset_key_path` does.
    ///
    /// # Errors
    /// [`ErrorKind::AssetKey`] when the text ends in a lone `\`, has no part, or its last part is
    /// empty; `to_escaped_user_string` of Dagster writes none of these for a key it can read back.
    fn from_str(escaped: &str) -> Result<Self> {
        let mut parts = Vec::new();
        let mut part = String::new();
        let mut characters = escaped.chars();
        while let Some(character) = characters.next() {
            match character {
                '\\' => part.push(characters.next().ok_or_else(|| {
                    Error::new(ErrorKind::AssetKey)
                        .about("asset_key", escaped)
                        .about("reason", "it ends within an escape")
                })?),
                '/' => parts.push(std::mem::take(&mut part)),
                other => part.push(other),
            }
        }
        parts.push(part);
        Self::new(parts)
    }
}

impl Serialize for AssetKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AssetKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::AssetKey;

    #[test]
    fn slashes_and_backslashes_inside_a_part_are_escaped() {
        let key = AssetKey::new(["raw/x", r"a\b", "plain"]).unwrap();
        assert_eq!(key.to_string(), r"raw\/x/a\\b/plain");
    }

    #[test]
    fn text_that_dagster_would_read_as_another_key_is_refused() {
        for text in ["", "raw/", r"raw\", "/"] {
            assert!(text.parse::<AssetKey>().is_err(), "{text:?}");
        }
        assert!(AssetKey::new(Vec::<String>::new()).is_err());
    }

    proptest! {
        #[test]
        fn every_key_survives_the_wire(
            parts in prop::collection::vec(r"[a-z/\\é🦀 .]{0,6}", 0..4),
            last in r"[a-z/\\é🦀 .]{1,6}",
        ) {
            let all: Vec<String> = parts.into_iter().chain([last]).collect();
            let key = AssetKey::new(all.clone()).unwrap();
            let read: AssetKey = key.to_string().parse().unwrap();
            prop_assert_eq!(read.parts(), all.as_slice());
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in r"(?s).{0,40}") {
            if let Ok(key) = text.parse::<AssetKey>() {
                let again: AssetKey = key.to_string().parse().unwrap();
                prop_assert_eq!(again, key);
            }
        }
    }
}
