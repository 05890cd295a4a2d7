//! What is wrong with a payload: the field and the rule it breaks, never the value.
//!
//! A person who fixes a query wants the whole list at once, so nothing in this room stops at the first problem. Values
//! stay out because problems are printed and logged, and a payload may hold what must not be.

use std::fmt;

/// The longest field name a problem repeats. Names of unknown fields come from the input.
const LONGEST_NAME_CHARACTERS: usize = 100;

/// Whether a payload can be sent in spite of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It can, and a person should know.
    Warning,
    /// It cannot: the receiver would refuse it, drop it or do damage with it.
    Refusal,
}

/// One thing that is wrong with a payload.
///
/// Printed as `content_path: Must not begin with a slash`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// Whether the payload can be sent all the same.
    pub severity: Severity,
    /// The field, for example `sources[2].src`; `payload` for the whole.
    pub field: String,
    /// The rule that is broken, as a sentence without the value that breaks it.
    pub rule: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Warning => " [warning]",
            Severity::Refusal => "",
        };
        write!(formatter, "{}: {}{word}", self.field, self.rule)
    }
}

/// The problems found so far, in the order of finding.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn refuse(&mut self, field: &str, rule: impl Into<String>) {
        self.add(Severity::Refusal, field, rule.into());
    }

    pub(super) fn warn(&mut self, field: &str, rule: impl Into<String>) {
        self.add(Severity::Warning, field, rule.into());
    }

    fn add(&mut self, severity: Severity, field: &str, rule: String) {
        self.0.push(Problem { severity, field: printable(field), rule });
    }

    pub(super) fn append(&mut self, others: Vec<Problem>) {
        self.0.extend(others);
    }

    /// The warnings, when there is nothing worse; otherwise everything.
    pub(super) fn verdict(self) -> Result<Vec<Problem>, Vec<Problem>> {
        let is_refused = self.0.iter().any(|problem| problem.severity == Severity::Refusal);
        if is_refused { Err(self.0) } else { Ok(self.0) }
    }

    /// One refusal, as the outcome of a function that found nothing to check further.
    pub(super) fn only(field: &str, rule: impl Into<String>) -> Vec<Problem> {
        let mut problems = Self::default();
        problems.refuse(field, rule);
        problems.0
    }
}

/// A field name that can stand in one line of a log.
fn printable(name: &str) -> String {
    let mut characters = name.chars();
    let kept: String = characters
        .by_ref()
        .take(LONGEST_NAME_CHARACTERS)
        .map(|character| if character.is_control() { '\u{fffd}' } else { character })
        .collect();
    if characters.next().is_some() { format!("{kept}…") } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_line() {
        let mut problems = Problems::default();
        problems.refuse("a\nb", "Must not be there");
        problems.warn(&"x".repeat(200), "Is long");
        let lines: Vec<String> =
            problems.verdict().unwrap_or_else(|all| all).iter().map(Problem::to_string).collect();
        assert_eq!(
            lines,
            [
                "a\u{fffd}b: Must not be there".to_owned(),
                format!("{}…: Is long [warning]", "x".repeat(100)),
            ]
        );
    }

    #[test]
    fn warnings_alone_are_no_refusal() {
        let mut problems = Problems::default();
        problems.warn("a", "Is odd");
        assert!(problems.verdict().is_ok_and(|warnings| warnings.len() == 1));
    }
}
