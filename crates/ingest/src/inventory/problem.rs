//! What can be wrong with an inventory: one problem, and all the problems of one reading.
//!
//! A person who fixes an inventory wants the whole list at once, each entry with the file, the
//! place in it, the rule it breaks and the cure. So nothing here stops at the first problem.

use std::fmt;

/// The rule a problem breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// A file or folder must be readable and hold units.
    File,
    /// A file must be YAML, and no larger than a unit can be.
    Yaml,
    /// The schema version must be one this build knows.
    Version,
    /// A field must be one the schema knows.
    UnknownField,
    /// A field the schema asks for must be there.
    MissingField,
    /// A field must hold what the schema says: a text, a list, one of the known words.
    Value,
    /// A declared lake type must parse.
    DeclaredType,
    /// Two units must not have the same deployment and layer.
    UniqueUnit,
    /// Two tables of a unit must not have the same namespace and name.
    UniqueTable,
    /// Two tables of the whole inventory must not have the same raw table.
    UniqueRawTable,
    /// The prefixes of two units must not be one the start of the other.
    DisjointPrefix,
    /// A raw table must be named by the platform's pattern and start with its unit's prefix.
    RawTableName,
    /// An incremental sync mode must have a way to know what is new.
    Incremental,
    /// A sync mode that matches rows must have a primary key.
    PrimaryKey,
    /// A column must not be excluded and needed at the same time.
    ExcludedColumn,
    /// An override must be about one listed table.
    Override,
    /// A renamed table must name its old name.
    Rename,
    /// A filter of the command line must select something.
    Filter,
}

impl Rule {
    /// The rule's name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Yaml => "yaml",
            Self::Version => "version",
            Self::UnknownField => "unknown-field",
            Self::MissingField => "missing-field",
            Self::Value => "value",
            Self::DeclaredType => "declared-type",
            Self::UniqueUnit => "unique-unit",
            Self::UniqueTable => "unique-table",
            Self::UniqueRawTable => "unique-raw-table",
            Self::DisjointPrefix => "disjoint-prefix",
            Self::RawTableName => "raw-table-name",
            Self::Incremental => "incremental",
            Self::PrimaryKey => "primary-key",
            Self::ExcludedColumn => "excluded-column",
            Self::Override => "override",
            Self::Rename => "rename",
            Self::Filter => "filter",
        }
    }
}

/// One thing that is wrong, with its place and its cure.
///
/// Printed as `units/mitxonline.yml: tables[3].sync_mode (line 42): "x" is not … [rule]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, relative to the inventory's folder; the option for a problem of a filter.
    pub file: String,
    /// Where in the file, for example `tables[3].sync_mode`; empty for the file as a whole.
    pub yaml_path: String,
    /// The line, counted from 1, when it is known.
    pub line: Option<u64>,
    /// The rule that is broken.
    pub rule: Rule,
    /// What is wrong, and what to do about it.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:", self.file)?;
        if !self.yaml_path.is_empty() {
            write!(formatter, " {}", self.yaml_path)?;
        }
        if let Some(line) = self.line {
            write!(formatter, " (line {line})")?;
        }
        let colon = if self.yaml_path.is_empty() && self.line.is_none() { "" } else { ":" };
        write!(formatter, "{colon} {} [{}]", self.message, self.rule.name())
    }
}

/// Every problem of one reading of an inventory, never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventoryError {
    /// The problems, in the order of files and of places in them.
    pub problems: Vec<Problem>,
}

impl InventoryError {
    /// An error of one problem.
    pub(crate) fn one(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl fmt::Display for InventoryError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [only] => write!(formatter, "{only}"),
            many => {
                write!(formatter, "{} problems:", many.len())?;
                many.iter().try_for_each(|problem| write!(formatter, "\n  {problem}"))
            }
        }
    }
}

impl std::error::Error for InventoryError {}
