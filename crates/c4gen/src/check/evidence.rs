//! Whether what a live flow names as evidence is there.

use std::path::Path;

use c4model::{EvidenceRecord, FlowRecord, Model, Status};

use super::Finding;
use crate::error::Error;
use crate::workspace;

/// T1: every live flow has evidence, and the evidence resolves.
pub(super) fn findings(root: &Path, model: &Model) -> Vec<Finding> {
    let mut findings = Vec::new();
    for flow in &model.flows {
        if flow.status != Status::Target && flow.evidence.is_empty() {
            let message = "is live and has no evidence".to_owned();
            findings.push(Finding::new("T1", &flow.id, message));
        }
        for evidence in &flow.evidence {
            if let Some(message) = unresolved(root, evidence) {
                findings.push(Finding::new("T1", &flow.id, message));
            }
        }
    }
    findings
}

fn unresolved(root: &Path, evidence: &EvidenceRecord) -> Option<String> {
    match evidence {
        EvidenceRecord::Code { function, file, .. } => {
            let name = function.rsplit("::").next().unwrap_or(function);
            let found = std::fs::read_to_string(root.join(file)).is_ok_and(|text| {
                text.contains(&format!("fn {name}(")) || text.contains(&format!("fn {name}<"))
            });
            (!found).then(|| format!("names `{function}`, but {file} has no such function"))
        }
        EvidenceRecord::File { path, contains } => {
            let found = std::fs::read_to_string(root.join(path))
                .is_ok_and(|text| text.contains(contains.as_str()));
            (!found).then(|| format!("names {path}, which does not say `{contains}`"))
        }
        // Nothing to open: what somebody said is drawn as not verified and counted on the first page;
        // what was imported was opened when it was imported.
        EvidenceRecord::Said { .. } | EvidenceRecord::Imported { .. } => None,
    }
}

/// Whether this function of this package is the flow's evidence.
pub(super) fn is_carried_by(flow: &FlowRecord, package: &str, function: &str) -> bool {
    flow.id == function
        && flow.evidence.iter().any(|evidence| {
            matches!(evidence, EvidenceRecord::Code { package: its, .. } if its == package)
        })
}

/// Names in the `flow!` declarations of every Rust file below a folder.
pub(super) fn flows_in_sources(folder: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for path in workspace::rust_files(folder) {
        names.extend(flows_in(&workspace::read(&path)?));
    }
    names.sort();
    Ok(names)
}

fn flows_in(source: &str) -> Vec<String> {
    // What a unit test declares is linked into the test only.
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let code: Vec<&str> =
        source.lines().map(str::trim_start).filter(|line| !line.starts_with("//")).collect();
    let code = code.join("\n");
    let starts = |line: &str| {
        line.trim_start()
            .strip_prefix("c4model::")
            .unwrap_or(line.trim_start())
            .starts_with("flow! {")
    };
    code.lines()
        .enumerate()
        .filter(|(_, line)| starts(line))
        .filter_map(|(number, _)| {
            // The name may stand on the line after the brace.
            let rest: String = code.lines().skip(number).take(2).collect::<Vec<_>>().join(" ");
            let after = rest.split_once("flow! {")?.1.trim_start();
            let end =
                after.find(|character: char| !character.is_alphanumeric() && character != '_')?;
            after.get(..end).map(str::to_owned)
        })
        .filter(|name| !name.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_are_found_in_sources_and_not_in_comments() {
        let source = "// flow! { no { } }\n\nc4model::flow! { one { moves: 1 } }\n  flow! {\n    two { }\n}\n/// flow! { three {} }\n#[cfg(test)]\nmod tests {\n    flow! { four { } }\n}\n";
        assert_eq!(flows_in(source), ["one", "two"]);
    }

    #[test]
    fn evidence_that_is_not_there_is_found() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let code = |function: &str| EvidenceRecord::Code {
            function: function.to_owned(),
            file: "src/check/evidence.rs".to_owned(),
            line: 1,
            package: "c4gen".to_owned(),
        };
        assert_eq!(unresolved(root, &code("c4gen::check::evidence::unresolved")), None);
        assert!(unresolved(root, &code("c4gen::check::evidence::gone_since")).is_some());
        let file = |contains: &str| EvidenceRecord::File {
            path: "Cargo.toml".to_owned(),
            contains: contains.to_owned(),
        };
        assert_eq!(unresolved(root, &file("name = \"c4gen\"")), None);
        assert!(unresolved(root, &file("name = \"other\"")).is_some());
    }
}
