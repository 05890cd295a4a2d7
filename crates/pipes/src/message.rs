//! The seven messages, and the one line of text each becomes.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize as _;
use serde_json::{Map, Value, json};

use crate::asset_key::AssetKey;
use crate::exception::Exception;
use crate::metadata::Metadata;

const VERSION: &str = "0.1";

/// An asset that now holds new data.
#[derive(Debug, Clone, PartialEq)]
pub struct Materialization {
    /// The asset; must be one the step targets.
    pub asset_key: AssetKey,
    /// What is worth knowing about it, by name.
    pub metadata: BTreeMap<String, Metadata>,
    /// The version of the data, for Dagster's staleness rules; `None` lets Dagster make one.
    pub data_version: Option<String>,
}

impl Materialization {
    /// A materialization without metadata.
    #[must_use]
    pub fn of(asset_key: AssetKey) -> Self {
        Self { asset_key, metadata: BTreeMap::new(), data_version: None }
    }
}

/// The outcome of an asset check; the check must be declared on the asset in Dagster.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// The asset; must be one the step targets.
    pub asset_key: AssetKey,
    /// The name under which the check is declared.
    pub name: String,
    /// Whether the rule holds.
    pub passed: bool,
    /// How bad it is when it does not hold.
    pub severity: Severity,
    /// What is worth knowing about it, by name.
    pub metadata: BTreeMap<String, Metadata>,
}

/// How bad a failed check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Worth a look.
    Warn,
    /// The asset must not be used.
    Error,
}

/// The level of a log message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For those who look for a fault.
    Debug,
    /// What happens.
    Info,
    /// What may become a problem.
    Warning,
    /// What failed.
    Error,
    /// What stops everything.
    Critical,
}

/// A stream of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Severity {
    fn name(self) -> &'static str {
        match self {
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
            Self::Critical => "CRITICAL",
        }
    }
}

impl Stream {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A message of the protocol.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Message<'a> {
    Opened,
    Closed { exception: Option<&'a Exception> },
    Log { level: Level, text: &'a str },
    Materialization(&'a Materialization),
    Check(&'a Check),
    Custom(&'a Value),
    ExternalStream { stream: Stream, text: &'a str, extras: &'a Map<String, Value> },
}

impl Message<'_> {
    /// The message as one line with its line feed, in ASCII.
    pub(crate) fn to_line(self) -> String {
        let (method, params) = self.method_and_params();
        let mut line = to_ascii_json(
            &json!({ "__dagster_pipes_version": VERSION, "method": method, "params": params }),
        );
        line.push('\n');
        line
    }

    /// The message as lines of at most `limit_bytes` where it can be split without changing its
    /// meaning, which is true of the messages that carry free text.
    pub(crate) fn to_lines(self, limit_bytes: usize) -> Vec<String> {
        let line = self.to_line();
        if line.len() <= limit_bytes {
            return vec![line];
        }
        let split = |text, envelope: Self| {
            split_text(text, limit_bytes.saturating_sub(envelope.to_line().len()))
        };
        match self {
            Self::Log { level, text } => split(text, Self::Log { level, text: "" })
                .into_iter()
                .map(|text| Message::Log { level, text }.to_line())
                .collect(),
            Self::ExternalStream { stream, text, extras } => {
                split(text, Self::ExternalStream { stream, text: "", extras })
                    .into_iter()
                    .map(|text| Message::ExternalStream { stream, text, extras }.to_line())
                    .collect()
            }
            Self::Opened
            | Self::Closed { .. }
            | Self::Materialization(_)
            | Self::Check(_)
            | Self::Custom(_) => vec![line],
        }
    }

    /// Whether the message may be dropped when the receiver cannot keep up.
    pub(crate) fn is_droppable(self) -> bool {
        match self {
            Self::Log { .. } | Self::ExternalStream { .. } => true,
            Self::Opened
            | Self::Closed { .. }
            | Self::Materialization(_)
            | Self::Check(_)
            | Self::Custom(_) => false,
        }
    }

    fn method_and_params(self) -> (&'static str, Value) {
        match self {
            Self::Opened => ("opened", json!({ "extras": {} })),
            Self::Closed { exception: None } => ("closed", json!({})),
            Self::Closed { exception: Some(exception) } => {
                ("closed", json!({ "exception": exception.to_json() }))
            }
            Self::Log { level, text } => ("log", json!({ "message": text, "level": level.name() })),
            Self::Materialization(materialization) => (
                "report_asset_materialization",
                json!({
                    "asset_key": materialization.asset_key,
                    "data_version": materialization.data_version,
                    "metadata": metadata_to_json(&materialization.metadata),
                }),
            ),
            Self::Check(check) => (
                "report_asset_check",
                json!({
                    "asset_key": check.asset_key,
                    "check_name": check.name,
                    "passed": check.passed,
                    "severity": check.severity.name(),
                    "metadata": metadata_to_json(&check.metadata),
                }),
            ),
            Self::Custom(payload) => ("report_custom_message", json!({ "payload": payload })),
            Self::ExternalStream { stream, text, extras } => (
                "log_external_stream",
                json!({ "stream": stream.name(), "text": text, "extras": extras }),
            ),
        }
    }
}

fn metadata_to_json(metadata: &BTreeMap<String, Metadata>) -> Map<String, Value> {
    metadata.iter().map(|(name, value)| (name.clone(), value.to_json())).collect()
}

/// Splits at boundaries of characters so that the escaped form of each piece fits the limit.
fn split_text(text: &str, limit_bytes: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut size_bytes) = (0, 0);
    for (index, character) in text.char_indices() {
        let escaped_bytes = escaped_length(character);
        if size_bytes + escaped_bytes > limit_bytes && index > start {
            pieces.push(text.get(start..index).expect("both ends are character boundaries"));
            (start, size_bytes) = (index, 0);
        }
        size_bytes += escaped_bytes;
    }
    pieces.push(text.get(start..).expect("the start is a character boundary"));
    pieces
}

/// At most how many bytes a character takes in ASCII JSON.
fn escaped_length(character: char) -> usize {
    match character {
        '"' | '\\' => 2,
        ' '..='~' => 1,
        _ => 6 * character.len_utf16(),
    }
}

/// JSON in ASCII, as Python's `json.dumps` writes it: a log collector that cuts a line between the
/// bytes of a character then cannot damage it.
fn to_ascii_json(value: &Value) -> String {
    let mut bytes = Vec::new();
    value
        .serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Ascii))
        .expect("a JSON value has text keys, and writing to memory cannot fail");
    String::from_utf8(bytes).expect("the formatter writes ASCII")
}

struct Ascii;

impl serde_json::ser::Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for character in fragment.chars() {
            if matches!(character, ' '..='~') {
                writer.write_all(character.encode_utf8(&mut [0; 4]).as_bytes())?;
            } else {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    fn key() -> AssetKey {
        AssetKey::new(["raw", "a/b"]).unwrap()
    }

    fn metadata() -> BTreeMap<String, Metadata> {
        BTreeMap::from([("rows".to_owned(), Metadata::from(3_u64))])
    }

    #[test]
    fn each_message_is_the_golden_line() {
        let exception = Exception {
            message: "outer".to_owned(),
            stack: vec!["frame".to_owned()],
            name: Some("Outer".to_owned()),
            cause: Some(Box::new(Exception::of("inner"))),
            context: None,
        };
        let materialization = Materialization {
            asset_key: key(),
            metadata: metadata(),
            data_version: Some("v1".to_owned()),
        };
        let check = Check {
            asset_key: key(),
            name: "guard".to_owned(),
            passed: false,
            severity: Severity::Warn,
            metadata: BTreeMap::new(),
        };
        let payload = json!([1, {"a": null}]);
        let extras = Map::new();
        let lines: String = [
            Message::Opened,
            Message::Log { level: Level::Warning, text: "naïve 🦀 \"q\"\n" },
            Message::Materialization(&materialization),
            Message::Materialization(&Materialization::of(key())),
            Message::Check(&check),
            Message::Custom(&payload),
            Message::ExternalStream { stream: Stream::Stdout, text: "out\n", extras: &extras },
            Message::Closed { exception: None },
            Message::Closed { exception: Some(&exception) },
        ]
        .map(Message::to_line)
        .concat();
        assert_eq!(lines, include_str!("../tests/golden/messages.jsonl"));
    }

    #[test]
    fn long_free_text_is_split_and_nothing_else_is() {
        let text = "é".repeat(10_000);
        let lines = Message::Log { level: Level::Info, text: &text }.to_lines(4_096);
        assert!(lines.len() > 1);
        assert!(lines.iter().all(|line| line.len() <= 4_096));
        let payload = json!("x".repeat(10_000));
        assert_eq!(Message::Custom(&payload).to_lines(4_096).len(), 1);
    }

    proptest! {
        #[test]
        fn the_pieces_of_a_text_are_the_text(text in r"(?s).{0,300}", limit_bytes in 1_usize..200) {
            let pieces = split_text(&text, limit_bytes);
            prop_assert_eq!(pieces.concat(), text.as_str());
            for piece in pieces {
                let escaped = to_ascii_json(&json!(piece)).len() - 2;
                prop_assert!(escaped <= limit_bytes.max(12), "{} of {}", escaped, limit_bytes);
            }
        }

        #[test]
        fn a_line_is_ascii_without_inner_line_feeds_and_reads_back(text in r"(?s).{0,100}") {
            let line = Message::Custom(&json!(text)).to_line();
            prop_assert!(line.is_ascii());
            prop_assert_eq!(line.matches('\n').count(), 1);
            let read: Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(read.pointer("/params/payload"), Some(&json!(text)));
        }
    }
}
