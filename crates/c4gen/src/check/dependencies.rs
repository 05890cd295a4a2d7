//! Which crate may depend on which.

use super::Finding;
use crate::workspace::Package;

/// What each package of the workspace may depend on among the others. A package that is not listed
/// is a finding, so that the rule is decided when the package is made.
const ALLOWED: &[(&str, &[&str])] = &[
    (
        "acceptance",
        &[
            "c4gen",
            "c4model",
            "ol-chassis",
            "ol-ingest",
            "ol-lake",
            "ol-pipes",
            "ol-testkit",
            "ol-transform",
            "ol-webhook",
            "trino-sql",
        ],
    ),
    (
        "c4gen",
        &[
            "c4model",
            "ol-chassis",
            "ol-ingest",
            "ol-lake",
            "ol-pipes",
            "ol-transform",
            "ol-webhook",
            "trino-sql",
        ],
    ),
    ("c4model", &[]),
    ("ol-chassis", &["c4model"]),
    ("ol-ingest", &["c4model", "ol-chassis", "ol-lake", "ol-pipes"]),
    ("ol-lake", &["ol-chassis"]),
    ("ol-pipes", &["ol-chassis"]),
    ("ol-testkit", &["ol-chassis"]),
    ("ol-transform", &["c4model", "ol-chassis", "ol-lake", "ol-pipes", "trino-sql"]),
    ("ol-webhook", &["c4model", "ol-chassis", "ol-lake", "ol-pipes"]),
    ("trino-sql", &[]),
];

/// Packages that tests, and only tests, may use everywhere.
const FOR_TESTS: &[&str] = &["ol-testkit"];

/// D1: the packages depend on each other as agreed.
pub(super) fn rule(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == package.name) else {
            let message = "is not in the dependency rule; decide what it may depend on".to_owned();
            findings.push(Finding::new("D1", &package.name, message));
            continue;
        };
        let ours = package
            .dependencies
            .iter()
            .filter(|dependency| packages.iter().any(|other| other.name == dependency.name));
        for dependency in ours {
            let is_for_tests = dependency.kind.as_deref() == Some("dev")
                && FOR_TESTS.contains(&dependency.name.as_str());
            if !is_for_tests && !allowed.contains(&dependency.name.as_str()) {
                let message = format!("must not depend on `{}`", dependency.name);
                findings.push(Finding::new("D1", &package.name, message));
            }
        }
    }
    findings
}

/// D2: every crate that can declare something is linked into this program.
pub(super) fn linked(packages: &[Package], linked: &[&str]) -> Vec<Finding> {
    packages
        .iter()
        .filter(|package| {
            package.name != "acceptance"
                && package
                    .dependencies
                    .iter()
                    .any(|dependency| dependency.name == "c4model" && dependency.kind.is_none())
                && !linked.contains(&package.name.as_str())
        })
        .map(|package| {
            let message = "depends on c4model but is not linked into c4gen; name it in collect.rs";
            Finding::new("D2", &package.name, message.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::workspace::Dependency;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        Package {
            name: name.to_owned(),
            manifest_path: PathBuf::new(),
            dependencies: dependencies
                .iter()
                .map(|(name, kind)| Dependency {
                    name: (*name).to_owned(),
                    kind: kind.map(str::to_owned),
                })
                .collect(),
        }
    }

    #[test]
    fn a_forbidden_dependency_and_an_unknown_package_are_found() {
        let packages = [
            package("ol-chassis", &[]),
            package("ol-testkit", &[]),
            package(
                "ol-ingest",
                &[("ol-chassis", None), ("tokio", None), ("ol-testkit", Some("dev"))],
            ),
            package("ol-lake", &[("ol-ingest", None), ("ol-chassis", None), ("ol-testkit", None)]),
            package("novelty", &[]),
        ];
        let found: Vec<_> =
            rule(&packages).into_iter().map(|finding| (finding.subject, finding.message)).collect();
        assert_eq!(
            found,
            [
                ("ol-lake".to_owned(), "must not depend on `ol-ingest`".to_owned()),
                ("ol-lake".to_owned(), "must not depend on `ol-testkit`".to_owned()),
                (
                    "novelty".to_owned(),
                    "is not in the dependency rule; decide what it may depend on".to_owned()
                ),
            ]
        );
    }

    #[test]
    fn a_declaring_crate_that_is_not_linked_is_found() {
        let packages = [
            package("c4gen", &[("c4model", None)]),
            package("ol-webhook", &[("c4model", None)]),
            package("ol-lake", &[("c4model", Some("dev"))]),
        ];
        let found: Vec<_> =
            linked(&packages, &["c4gen"]).into_iter().map(|finding| finding.subject).collect();
        assert_eq!(found, ["ol-webhook"]);
    }
}
