//! Finds the two bootstrap parameters, and what they say about where to read and write.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};
use crate::message::Stream;

/// The environment variable whose presence says that Dagster started the process.
pub const CONTEXT_VARIABLE: &str = "DAGSTER_PIPES_CONTEXT";
/// The environment variable that says where messages go.
pub const MESSAGES_VARIABLE: &str = "DAGSTER_PIPES_MESSAGES";
/// The argument that stands for [`CONTEXT_VARIABLE`] where variables cannot be set.
pub const CONTEXT_ARGUMENT: &str = "--dagster-pipes-context";
/// The argument that stands for [`MESSAGES_VARIABLE`] where variables cannot be set.
pub const MESSAGES_ARGUMENT: &str = "--dagster-pipes-messages";

/// Where the context is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ContextPlace {
    File { path: String },
    Inline { data: Map<String, Value> },
    Object { bucket: String, key: String },
}

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MessagesPlace {
    File { path: String },
    Stdio { stream: Stream },
    BufferedStdio { stream: Stream },
    Object { bucket: String, key_prefix: Option<String> },
}

/// Both parameters, decoded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bootstrap {
    pub(crate) context: ContextPlace,
    pub(crate) messages: MessagesPlace,
    /// The reader asks for the output of the process as messages too.
    pub(crate) include_stdio_in_messages: bool,
}

/// Looks for the parameters in the variables, then in the arguments.
///
/// `None` when there is no context parameter: Dagster did not start the process.
pub(crate) fn find(
    variables: &BTreeMap<OsString, OsString>,
    arguments: &[String],
) -> Result<Option<Bootstrap>> {
    let lookup = |variable: &'static str, argument: &'static str| -> Result<Option<String>> {
        match variables.get(&OsString::from(variable)) {
            None => Ok(argument_value(arguments, argument)),
            Some(value) => match value.to_str() {
                Some(value) => Ok(Some(value.to_owned())),
                None => Err(Error::new(ErrorKind::Parameter)
                    .about("parameter", variable)
                    .about("reason", "it is not text")),
            },
        }
    };
    let Some(context) = lookup(CONTEXT_VARIABLE, CONTEXT_ARGUMENT)? else { return Ok(None) };
    let messages = lookup(MESSAGES_VARIABLE, MESSAGES_ARGUMENT)?.ok_or_else(|| {
        Error::new(ErrorKind::Parameter)
            .about("parameter", MESSAGES_VARIABLE)
            .about("reason", "it is missing though the context parameter is there")
    })?;
    let messages = decode(MESSAGES_VARIABLE, &messages)?;
    Ok(Some(Bootstrap {
        context: context_place(&decode(CONTEXT_VARIABLE, &context)?)?,
        include_stdio_in_messages: messages.get("include_stdio_in_messages")
            == Some(&Value::Bool(true)),
        messages: messages_place(&messages)?,
    }))
}

/// The arguments without those of Dagster Pipes, for the program's own parser.
#[must_use]
pub fn other_arguments(arguments: &[String]) -> Vec<String> {
    let mut others = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let (name, has_value) = match argument.split_once('=') {
            Some((name, _)) => (name, true),
            None => (argument.as_str(), false),
        };
        if name != CONTEXT_ARGUMENT && name != MESSAGES_ARGUMENT {
            others.push(argument.clone());
        } else if !has_value {
            rest.next();
        }
    }
    others
}

fn argument_value(arguments: &[String], name: &str) -> Option<String> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == name {
            return rest.next().cloned();
        }
        if let Some((left, value)) = argument.split_once('=')
            && left == name
        {
            return Some(value.to_owned());
        }
    }
    None
}

/// base64(zlib(JSON object)); the errors name the step that failed and never the value.
fn decode(parameter: &'static str, value: &str) -> Result<Map<String, Value>> {
    let error = |reason: &str| {
        Error::new(ErrorKind::Parameter).about("parameter", parameter).about("reason", reason)
    };
    let compressed = STANDARD
        .decode(value.trim())
        .map_err(|source| error("it is not base64").caused_by(source))?;
    let mut json = Vec::new();
    flate2::read::ZlibDecoder::new(compressed.as_slice())
        .read_to_end(&mut json)
        .map_err(|source| error("it is not zlib data").caused_by(source))?;
    // The cause would quote the document, so only its position is kept.
    let document: Value = serde_json::from_slice(&json)
        .map_err(|source| error("it is not JSON").about("column", source.column().to_string()))?;
    match document {
        Value::Object(fields) => Ok(fields),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(error("it is not a JSON object"))
        }
    }
}

fn context_place(fields: &Map<String, Value>) -> Result<ContextPlace> {
    if fields.contains_key("path") {
        return Ok(ContextPlace::File { path: text(fields, CONTEXT_VARIABLE, "path")? });
    }
    match fields.get("data") {
        Some(Value::Object(data)) => return Ok(ContextPlace::Inline { data: data.clone() }),
        Some(_) => return Err(wrong_type(CONTEXT_VARIABLE, "data", "an object")),
        None => {}
    }
    if fields.contains_key("bucket") {
        return Ok(ContextPlace::Object {
            bucket: text(fields, CONTEXT_VARIABLE, "bucket")?,
            key: text(fields, CONTEXT_VARIABLE, "key")?,
        });
    }
    Err(Error::new(ErrorKind::Parameter)
        .about("parameter", CONTEXT_VARIABLE)
        .about("expected", "path, data, or bucket and key")
        .about("found", names(fields)))
}

fn messages_place(fields: &Map<String, Value>) -> Result<MessagesPlace> {
    if fields.contains_key("path") {
        return Ok(MessagesPlace::File { path: text(fields, MESSAGES_VARIABLE, "path")? });
    }
    if fields.contains_key("stdio") {
        return Ok(MessagesPlace::Stdio { stream: stream(fields, "stdio")? });
    }
    if fields.contains_key("buffered_stdio") {
        return Ok(MessagesPlace::BufferedStdio { stream: stream(fields, "buffered_stdio")? });
    }
    if fields.contains_key("bucket") {
        return Ok(MessagesPlace::Object {
            bucket: text(fields, MESSAGES_VARIABLE, "bucket")?,
            key_prefix: match fields.get("key_prefix") {
                None | Some(Value::Null) => None,
                Some(_) => Some(text(fields, MESSAGES_VARIABLE, "key_prefix")?),
            },
        });
    }
    Err(Error::new(ErrorKind::ChannelUnknown)
        .about("parameter", MESSAGES_VARIABLE)
        .about("expected", "path, stdio, buffered_stdio, or bucket and key_prefix")
        .about("found", names(fields)))
}

fn stream(fields: &Map<String, Value>, name: &'static str) -> Result<Stream> {
    match text(fields, MESSAGES_VARIABLE, name)?.as_str() {
        "stdout" => Ok(Stream::Stdout),
        "stderr" => Ok(Stream::Stderr),
        _ => Err(wrong_type(MESSAGES_VARIABLE, name, "stdout or stderr")),
    }
}

fn text(
    fields: &Map<String, Value>,
    parameter: &'static str,
    name: &'static str,
) -> Result<String> {
    match fields.get(name) {
        Some(Value::String(value)) => Ok(value.clone()),
        _ => Err(wrong_type(parameter, name, "text")),
    }
}

fn wrong_type(parameter: &'static str, name: &'static str, expected: &'static str) -> Error {
    Error::new(ErrorKind::Parameter)
        .about("parameter", parameter)
        .about("field", name)
        .about("expected", expected)
}

fn names(fields: &Map<String, Value>) -> String {
    if fields.is_empty() {
        return "nothing".to_owned();
    }
    fields.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::collections::BTreeMap;
    use std::ffi::OsString;
    use std::io::Write as _;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const PATH_VECTOR: &str = "eJyrVipILMlQslJQ0i/JLdBPLqlQqgUAQwcGhg==";
    const STDIO_VECTOR: &str = "eJyrViouScnMV7JSADFSi4qUagFBNAaS";

    fn encode(value: &Value, level: u32) -> String {
        let mut encoder =
            flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(level));
        encoder.write_all(value.to_string().as_bytes()).unwrap();
        STANDARD.encode(encoder.finish().unwrap())
    }

    fn variables(pairs: &[(&str, &str)]) -> BTreeMap<OsString, OsString> {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    fn expected() -> Bootstrap {
        Bootstrap {
            context: ContextPlace::File { path: "/tmp/ctx".to_owned() },
            messages: MessagesPlace::Stdio { stream: Stream::Stderr },
            include_stdio_in_messages: false,
        }
    }

    #[test]
    fn what_python_wrote_is_read_from_variables() {
        let found = find(
            &variables(&[(CONTEXT_VARIABLE, PATH_VECTOR), (MESSAGES_VARIABLE, STDIO_VECTOR)]),
            &[],
        );
        assert_eq!(found.unwrap(), Some(expected()));
    }

    #[test]
    fn arguments_are_read_in_both_spellings_and_variables_win() {
        let arguments = [
            "run".to_owned(),
            CONTEXT_ARGUMENT.to_owned(),
            PATH_VECTOR.to_owned(),
            format!("{MESSAGES_ARGUMENT}={STDIO_VECTOR}"),
            "--table=x".to_owned(),
        ];
        assert_eq!(find(&BTreeMap::new(), &arguments).unwrap(), Some(expected()));
        assert_eq!(other_arguments(&arguments), ["run", "--table=x"]);
        let other = encode(&json!({"path": "/other"}), 6);
        let found = find(&variables(&[(CONTEXT_VARIABLE, &other)]), &arguments).unwrap().unwrap();
        assert_eq!(found.context, ContextPlace::File { path: "/other".to_owned() });
    }

    #[test]
    fn only_the_context_parameter_says_that_dagster_started_the_process() {
        assert_eq!(find(&variables(&[(MESSAGES_VARIABLE, STDIO_VECTOR)]), &[]).unwrap(), None);
        let error = find(&variables(&[(CONTEXT_VARIABLE, PATH_VECTOR)]), &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Parameter);
        assert!(error.to_string().contains(MESSAGES_VARIABLE), "{error}");
    }

    #[test]
    fn every_place_is_understood_and_a_path_wins() {
        let context = |value: Value| context_place(value.as_object().unwrap());
        assert_eq!(
            context(json!({"path": "/p", "data": {"run_id": "r"}})).unwrap(),
            ContextPlace::File { path: "/p".to_owned() }
        );
        assert!(matches!(
            context(json!({"data": {"run_id": "r"}})).unwrap(),
            ContextPlace::Inline { .. }
        ));
        assert_eq!(
            context(json!({"bucket": "b", "key": "k"})).unwrap(),
            ContextPlace::Object { bucket: "b".to_owned(), key: "k".to_owned() }
        );
        for wrong in [json!({}), json!({"path": 1}), json!({"data": "x"}), json!({"bucket": "b"})] {
            assert_eq!(context(wrong).unwrap_err().kind(), ErrorKind::Parameter);
        }
        let messages = |value: Value| messages_place(value.as_object().unwrap());
        assert_eq!(
            messages(json!({"buffered_stdio": "stdout"})).unwrap(),
            MessagesPlace::BufferedStdio { stream: Stream::Stdout }
        );
        assert_eq!(
            messages(json!({"bucket": "b", "key_prefix": null})).unwrap(),
            MessagesPlace::Object { bucket: "b".to_owned(), key_prefix: None }
        );
        assert!(messages(json!({"stdio": "elsewhere"})).is_err());
        let error = messages(json!({"secret": "hush"})).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ChannelUnknown);
        assert!(!error.to_string().contains("hush"), "{error}");
    }

    proptest! {
        #[test]
        fn any_level_of_compression_is_read(level in 0_u32..=9, path in r"(?s).{0,200}") {
            let fields = decode(CONTEXT_VARIABLE, &encode(&json!({"path": path}), level)).unwrap();
            prop_assert_eq!(fields.get("path"), Some(&Value::String(path)));
        }

        #[test]
        fn damage_is_an_error_and_never_a_panic(text in "[A-Za-z0-9+/=]{0,60}") {
            prop_assert!(decode(CONTEXT_VARIABLE, &text).is_err());
        }
    }
}
