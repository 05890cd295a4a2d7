//! Loading a binary's settings.

use std::path::Path;

use serde::de::DeserializeOwned;
use toml::Value;

use super::layer::{Layers, Origin};
use super::{ConfigurationError, Variables};
use crate::error::Error;
use crate::fs;

/// The settings of a binary: embedded `defaults` < the file at `path` < the process's
/// `OL_<SECTION>__<KEY>` variables.
///
/// `T` and its sections carry `#[serde(deny_unknown_fields)]`; every key should stand in `defaults`
/// with its comment, commented out when it has no default. Sections of the other binaries
/// (`[webhook]` in a file read by `ol-ingest`) are left alone, so that one file can serve all.
///
/// # Errors
/// Configuration, naming the file and line or the variable, and the key: not TOML, a key nobody
/// knows, a value of the wrong type, a missing key. A file that cannot be read keeps the kind of
/// [`fs::read_text`]. Values are never shown.
pub fn load<T: DeserializeOwned>(
    defaults: &'static str,
    path: Option<&Path>,
) -> Result<T, ConfigurationError> {
    load_with(defaults, path, &Variables::process())
}

/// [`load`] with the variables given.
///
/// # Errors
/// As [`load`].
pub fn load_with<T: DeserializeOwned>(
    defaults: &'static str,
    path: Option<&Path>,
    variables: &Variables,
) -> Result<T, ConfigurationError> {
    let mut layers = Layers::new(defaults)?;
    if let Some(path) = path {
        let content = fs::read_text(path)
            .map_err(|error| error.advise("Point --config or OL_CONFIG to a readable TOML file"))?;
        layers.add_file(path, &content)?;
    }
    layers.add_variables(variables)?;
    serde_path_to_error::deserialize(Value::Table(layers.table.clone())).map_err(
        |error: serde_path_to_error::Error<toml::de::Error>| {
            let key = error.path().to_string();
            refuse(&layers, key.trim_start_matches('.'), error.inner().message())
        },
    )
}

fn refuse(layers: &Layers, key: &str, reason: &str) -> Error {
    if let Some(rest) = reason.strip_prefix("unknown field `") {
        let (field, known) = rest.split_once('`').unwrap_or((rest, ""));
        let key = match key.rsplit_once('.') {
            _ if key == "." || key.is_empty() => field.to_owned(),
            _ if key == field || key.ends_with(&format!(".{field}")) => key.to_owned(),
            _ => format!("{key}.{field}"),
        };
        let origin = layers.origin(&key);
        let known = known.trim_start_matches(", expected").trim().trim_start_matches("one of ");
        let advice = if known.is_empty() || known.starts_with("there are no") {
            "Remove it; this section has no keys".to_owned()
        } else {
            format!("Remove it, or write one of {known}")
        };
        return written_by(
            Error::configuration("The configuration has a key nobody reads"),
            origin,
            &key,
        )
        .advise(advice);
    }
    if let Some(rest) = reason.strip_prefix("missing field `") {
        let field = rest.trim_end_matches('`');
        let key =
            if key.is_empty() || key == "." { field.to_owned() } else { format!("{key}.{field}") };
        let variable = format!("OL_{}", key.to_ascii_uppercase().replace('.', "__"));
        return Error::configuration("The configuration lacks a key that has no default")
            .with("key", &key)
            .advise(format!("Set {key} in the file of --config, or the variable {variable}"));
    }
    let error = Error::configuration("The configuration has a value that does not fit its key");
    // serde's reasons quote the value ("invalid type: string "…", expected u16"): only what was
    // expected is told.
    let expected = match reason.rsplit_once(", expected ") {
        Some((_, expected)) => expected,
        None if reason.starts_with("invalid ") => "another value",
        None => reason,
    };
    written_by(error, layers.origin(key), key)
        .with("expected", expected)
        .advise("Correct the value; the embedded defaults show the form of every key")
}

fn written_by(error: Error, origin: Origin, key: &str) -> Error {
    let error = error.with("key", key);
    match origin {
        Origin::Defaults => error.with("in", "the embedded defaults"),
        Origin::File(path, line) => error.with("file", path.display()).with("line", line),
        Origin::Variable(name) => error.with("variable", name),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use std::path::PathBuf;

    use serde::Deserialize;

    use super::*;
    use crate::error::{ErrorKind, chain};

    const DEFAULTS: &str = r#"
        # How much a writer holds.
        [lake]
        target_file_bytes = 536870912
        compress = true
        codecs = ["zstd"]
        # prefix = "raw"

        [lake.retry]
        factor = 1.5
    "#;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        lake: Lake,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Lake {
        target_file_bytes: u64,
        compress: bool,
        codecs: Vec<String>,
        prefix: Option<String>,
        retry: Retry,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Retry {
        factor: f64,
    }

    fn file(content: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flows.toml");
        fs::write(&path, content).unwrap();
        (folder, path)
    }

    fn refusal(content: &str, variables: &[(&str, &str)]) -> Error {
        let (_folder, path) = file(content);
        let variables = variables.iter().copied().collect();
        let error = load_with::<Settings>(DEFAULTS, Some(&path), &variables).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        error
    }

    #[test]
    fn each_layer_overrides_the_one_below_key_by_key() {
        let (_folder, path) = file("[lake]\ntarget_file_bytes = 1000\ncompress = false\n");
        let variables: Variables = [
            ("OL_LAKE__TARGET_FILE_BYTES", "2_000"),
            ("OL_LAKE__RETRY__FACTOR", "2"),
            ("OL_LAKE__CODECS", "snappy, none"),
            ("OL_LAKE__PREFIX", "\"007\""),
            ("OL_ENV", "qa"),
            ("OL_SOURCE_A__B_URL", "postgres://host/x"),
            ("OL_WEBHOOK__ATTEMPTS", "3"),
            ("OL_LAKE__COMPRESS", ""),
        ]
        .into_iter()
        .collect();
        let settings: Settings = load_with(DEFAULTS, Some(&path), &variables).unwrap();
        let expected = Lake {
            target_file_bytes: 2000,
            compress: false,
            codecs: vec!["snappy".to_owned(), "none".to_owned()],
            prefix: Some("007".to_owned()),
            retry: Retry { factor: 2.0 },
        };
        assert_eq!(settings, Settings { lake: expected });
    }

    #[test]
    fn the_defaults_alone_are_enough() {
        let settings: Settings = load_with(DEFAULTS, None, &Variables::default()).unwrap();
        assert_eq!(settings.lake.target_file_bytes, 536_870_912);
        assert_eq!(settings.lake.prefix, None);
    }

    #[test]
    fn an_unknown_key_names_file_line_and_path() {
        let error = refusal("\n[lake.retry]\nfactr = 2.0\n", &[]);
        let text = error.to_string();
        assert!(text.contains("key: lake.retry.factr"), "{text}");
        assert!(text.contains("flows.toml") && text.contains("line: 3"), "{text}");
        assert!(error.advice().unwrap().contains("`factor`"), "{error:?}");

        let text = refusal("[laek]\nx = 1\n", &[]).to_string();
        assert!(text.contains("key: laek") && text.contains("line: 1"), "{text}");

        let text = refusal("", &[("OL_LAKE__TARGET_FILE_BITES", "1")]).to_string();
        assert!(text.contains("key: lake.target_file_bites"), "{text}");
        assert!(text.contains("variable: OL_LAKE__TARGET_FILE_BITES"), "{text}");
    }

    #[test]
    fn the_sections_of_other_binaries_are_left_alone() {
        let (_folder, path) = file("[webhook]\nattempts = 3\n");
        load_with::<Settings>(DEFAULTS, Some(&path), &Variables::default()).unwrap();
    }

    #[test]
    fn a_value_that_does_not_fit_is_refused_without_being_shown() {
        let error = refusal("[lake]\ntarget_file_bytes = \"hunter2\"\n", &[]);
        let text = chain(&error);
        assert!(text.contains("key: lake.target_file_bytes") && text.contains("u64"), "{text}");
        assert!(text.contains("line: 2") && !text.contains("hunter2"), "{text}");

        let error = refusal("", &[("OL_LAKE__COMPRESS", "hunter2")]);
        let text = format!("{error:?}");
        assert!(text.contains("OL_LAKE__COMPRESS") && text.contains("true or false"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn a_syntax_error_names_the_line_and_does_not_quote_it() {
        let error = refusal("[lake]\ncompress = hunter2\n", &[]);
        let text = format!("{error:?}");
        assert!(text.contains("\"2\""), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn a_missing_key_says_where_to_set_it() {
        let error = load_with::<Settings>("[lake]\n", None, &Variables::default()).unwrap_err();
        assert!(error.to_string().contains("key: lake.target_file_bytes"), "{error}");
        assert!(error.advice().unwrap().contains("OL_LAKE__TARGET_FILE_BYTES"), "{error:?}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let path = Path::new("does/not/exist.toml");
        let error = load_with::<Settings>(DEFAULTS, Some(path), &Variables::default()).unwrap_err();
        assert!(error.to_string().contains("does/not/exist.toml"), "{error}");
        assert!(error.advice().unwrap().contains("OL_CONFIG"));
    }
}
