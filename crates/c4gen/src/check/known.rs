//! B1: what is worth a look is cured or known. `architecture.known.toml` names the known findings
//! with a reason; a finding that is not in it fails, and so does an entry whose finding is gone, so
//! the list can only be changed knowingly.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use super::Finding;
use crate::error::Error;
use crate::workspace::{self, KNOWN_FILE};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    #[serde(default)]
    known: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    check: String,
    reason: String,
    subjects: Vec<String>,
}

/// What is found and not known, and what is known and no longer found.
pub(super) fn compare(root: &Path, found: Vec<Finding>) -> Result<Vec<Finding>, Error> {
    let path = root.join(KNOWN_FILE);
    let text = if path.exists() { workspace::read(&path)? } else { String::new() };
    let known: Known =
        toml::from_str(&text).map_err(|source| Error::Known { path, source: Box::new(source) })?;
    Ok(differences(found, &known))
}

fn differences(found: Vec<Finding>, known: &Known) -> Vec<Finding> {
    let mut left: BTreeSet<(String, String)> = BTreeSet::new();
    let mut findings = Vec::new();
    for entry in &known.known {
        if entry.reason.trim().is_empty() {
            let message = format!("{} of {KNOWN_FILE} gives no reason", entry.check);
            findings.push(Finding::new("B1", &entry.check, message));
        }
        for subject in &entry.subjects {
            left.insert((entry.check.clone(), subject.clone()));
        }
    }
    for finding in found {
        if !left.remove(&(finding.check.to_owned(), finding.subject.clone())) {
            findings.push(finding);
        }
    }
    findings.extend(left.into_iter().map(|(check, subject)| {
        let message = format!("{check} no longer finds it; remove it from {KNOWN_FILE}");
        Finding::new("B1", &subject, message)
    }));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_finding_and_a_stale_entry_both_fail() {
        let known: Known = toml::from_str(
            "[[known]]\ncheck = \"F1\"\nreason = \"theirs\"\nsubjects = [\"old\", \"gone\"]\n",
        )
        .unwrap_or_else(|error| panic!("{error}"));
        let found = ["old", "new"].map(|id| Finding::new("F1", id, "states no retry".to_owned()));
        let subjects: Vec<_> = differences(found.to_vec(), &known)
            .into_iter()
            .map(|finding| (finding.check, finding.subject))
            .collect();
        assert_eq!(subjects, [("F1", "new".to_owned()), ("B1", "gone".to_owned())]);
    }
}
