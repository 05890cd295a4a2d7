//! N1: a network client is made only where the model says whom it talks to. A new place is a finding
//! until it stands here with its element, and a place that is gone is one until its line goes, too.

use std::path::{Path, PathBuf};

use c4model::Model;

use super::Finding;
use crate::error::Error;
use crate::workspace::{self, Package};

/// What makes a client: of HTTP, of object stores, of AWS, of databases, of plain sockets.
const MAKERS: &[&str] = &[
    "Client::builder()",
    "Client::from_conf(",
    "Client::new(",
    "Connector::default()",
    "S3Builder::new()",
    "Stream::connect",
    ".connect_with(",
    "::connect_with(",
    "connect_lazy",
];

/// Where clients are made, and the elements they talk to.
const PLACES: &[(&str, &[&str])] = &[
    ("crates/chassis/src/secret/vault.rs", &["vault"]),
    ("crates/chassis/src/telemetry.rs", &["observability"]),
    ("crates/ingest/src/source/mysql/wire/login.rs", &["open_edx_mysql"]),
    ("crates/ingest/src/source/postgres/snapshot.rs", &["application_postgres"]),
    ("crates/ingest/src/source/postgres/wire/transport.rs", &["application_postgres"]),
    ("crates/ingest/src/source/socket.rs", &["application_postgres", "forum", "open_edx_mysql"]),
    ("crates/lake/src/catalog/glue/mod.rs", &["glue_catalog"]),
    // Stand-ins for Glue where there is none: a table's pointer in a database or behind REST.
    ("crates/lake/src/catalog/rest/client.rs", &["glue_catalog"]),
    ("crates/lake/src/catalog/sql.rs", &["glue_catalog"]),
    ("crates/lake/src/storage/answer.rs", &["raw_lake"]),
    ("crates/lake/src/storage/s3.rs", &["raw_lake"]),
    // Dagster's messages may travel through a bucket.
    ("crates/pipes/src/object.rs", &["code_locations"]),
    ("crates/webhook/src/outbox/postgres.rs", &["webhook_outbox"]),
    ("crates/webhook/src/outbox/sqlite.rs", &["webhook_outbox"]),
    ("crates/webhook/src/transport.rs", &["mit_learn_receiver"]),
];

/// Packages that talk to servers of tests only.
const FOR_TESTS: &[&str] = &["acceptance", "ol-testkit"];

pub(super) fn findings(
    root: &Path,
    packages: &[Package],
    model: &Model,
) -> Result<Vec<Finding>, Error> {
    let mut found: Vec<(String, String)> = Vec::new();
    for package in packages.iter().filter(|one| !FOR_TESTS.contains(&one.name.as_str())) {
        let Some(folder) = package.manifest_path.parent() else { continue };
        for path in workspace::rust_files(&folder.join("src")) {
            let is_test = path.components().any(|part| part.as_os_str() == "tests");
            if let Some(line) = maker(&workspace::read(&path)?).filter(|_| !is_test) {
                found.push((relative(root, &path), line));
            }
        }
    }
    Ok(compare(&found, PLACES, model))
}

fn compare(found: &[(String, String)], places: &[(&str, &[&str])], model: &Model) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, line) in found {
        if !places.iter().any(|(place, _)| place == file) {
            let message = format!(
                "makes a network client (`{line}`) and is not in the list; name the element it talks to in check/network.rs"
            );
            findings.push(Finding::new("N1", file, message));
        }
    }
    for (place, elements) in places {
        if !found.iter().any(|(file, _)| file == place) {
            let message = "is in the list of network clients and makes none; remove its line";
            findings.push(Finding::new("N1", place, message.to_owned()));
        }
        for id in *elements {
            if model.element(id).is_none() {
                let message = format!("talks to `{id}`, which is not declared");
                findings.push(Finding::new("N1", place, message));
            }
        }
    }
    findings
}

/// The first line outside tests, comments and text that makes a client.
fn maker(source: &str) -> Option<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines()
        .map(str::trim)
        .find(|line| {
            // A place in quotes is a text about a client, as in the list above.
            !line.starts_with("//")
                && MAKERS.iter().any(|maker| {
                    line.find(maker).is_some_and(|at| {
                        line.get(..at).is_some_and(|before| before.matches('"').count() % 2 == 0)
                    })
                })
        })
        .map(str::to_owned)
}

fn relative(root: &Path, path: &Path) -> String {
    let root = root.canonicalize().unwrap_or_else(|_| PathBuf::from(root));
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_seen_in_code_only() {
        assert_eq!(
            maker("fn a() {\n    let x = reqwest::Client::new();\n}").as_deref(),
            Some("let x = reqwest::Client::new();")
        );
        assert_eq!(maker("// Client::new()\nlet text = \"Client::new()\";\n"), None);
        assert_eq!(maker("fn a() {}\n#[cfg(test)]\nmod tests { TcpStream::connect(x) }"), None);
    }

    #[test]
    fn a_new_place_a_stale_place_and_an_unknown_element_are_found() {
        let model = Model { format: 1, elements: vec![], flows: vec![], scenarios: vec![] };
        let found = [("new.rs".to_owned(), "Client::new()".to_owned())];
        let subjects: Vec<_> = compare(&found, &[("stale.rs", &["nobody"])], &model)
            .into_iter()
            .map(|finding| (finding.subject, finding.message.contains("nobody")))
            .collect();
        assert_eq!(
            subjects,
            [
                ("new.rs".to_owned(), false),
                ("stale.rs".to_owned(), false),
                ("stale.rs".to_owned(), true)
            ]
        );
    }
}
