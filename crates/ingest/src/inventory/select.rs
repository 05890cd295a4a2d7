//! The filters of the command line: `--unit D/L` and `--table GLOB`.
//!
//! A filter selects; one that selects nothing is refused with a list of what there is, because a
//! run that silently does nothing looks like a run that succeeded.

use globset::{Glob, GlobMatcher};

use super::problem::{InventoryError, Problem, Rule};
use super::suggest;
use super::unit::{Inventory, Table, Unit};

/// How many names a refusal lists before it only counts.
const LISTED_NAMES: usize = 20;

impl Inventory {
    /// The part of the inventory that the filters select; everything when there are none.
    ///
    /// `units` are `deployment/layer`. `tables` are globs (`*`, `?`, `[ab]`, `{a,b}`), matched
    /// against a table's raw table, its `namespace.name` and its name; one match suffices. Units
    /// of which no table is selected are left out.
    ///
    /// # Errors
    /// When a filter cannot be read or selects nothing; all such filters are reported together.
    pub fn select(&self, units: &[String], tables: &[String]) -> Result<Self, InventoryError> {
        let mut problems = Vec::new();
        for wanted in units {
            if !self.units.iter().any(|unit| unit.id.to_string() == *wanted) {
                problems.push(refuse("--unit", self.unknown_unit(wanted)));
            }
        }
        let mut selected: Vec<Unit> = self
            .units
            .iter()
            .filter(|unit| units.is_empty() || units.contains(&unit.id.to_string()))
            .cloned()
            .collect();
        let mut matchers = Vec::new();
        for wanted in tables {
            match Glob::new(wanted) {
                Ok(glob) => {
                    let matcher = glob.compile_matcher();
                    let found = all_tables(&selected).any(|table| matches(&matcher, table));
                    // A unit that is not there is said already; its tables need no second line.
                    if !found && problems.is_empty() {
                        problems.push(refuse("--table", unknown_table(wanted, &selected)));
                    }
                    matchers.push(matcher);
                }
                Err(error) => {
                    let message = format!("\"{wanted}\" is not a pattern: {}", error.kind());
                    problems.push(refuse("--table", message));
                }
            }
        }
        if !problems.is_empty() {
            return Err(InventoryError { problems });
        }
        if !matchers.is_empty() {
            for unit in &mut selected {
                unit.tables.retain(|table| matchers.iter().any(|m| matches(m, table)));
            }
            selected.retain(|unit| !unit.tables.is_empty());
        }
        Ok(Self { units: selected, skipped: self.skipped.clone() })
    }

    fn unknown_unit(&self, wanted: &str) -> String {
        if let Some(unit) = self.skipped.iter().find(|unit| unit.id.to_string() == wanted) {
            return format!(
                "the unit {wanted} is carried out by the loader {} ({}); nothing to do here",
                unit.loader, unit.file
            );
        }
        let names: Vec<String> = self.units.iter().map(|unit| unit.id.to_string()).collect();
        format!("the inventory has no unit \"{wanted}\"; {}", what_there_is(wanted, &names))
    }
}

fn refuse(option: &str, message: String) -> Problem {
    let (file, yaml_path) = (option.to_owned(), String::new());
    Problem { file, yaml_path, line: None, rule: Rule::Filter, message }
}

fn all_tables(units: &[Unit]) -> impl Iterator<Item = &Table> {
    units.iter().flat_map(|unit| &unit.tables)
}

fn matches(matcher: &GlobMatcher, table: &Table) -> bool {
    matcher.is_match(&table.raw_table)
        || matcher.is_match(table.qualified_name())
        || matcher.is_match(&table.name)
}

fn unknown_table(wanted: &str, units: &[Unit]) -> String {
    let names: Vec<String> = all_tables(units).map(Table::qualified_name).collect();
    let plain: Vec<&str> = all_tables(units).map(|table| table.name.as_str()).collect();
    let cure = match suggest::nearest(wanted, &plain) {
        Some(name) => format!("did you mean \"{name}\"?"),
        None => what_there_is(wanted, &names),
    };
    format!("no table matches \"{wanted}\"; {cure}")
}

fn what_there_is(wanted: &str, names: &[String]) -> String {
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    if let Some(name) = suggest::nearest(wanted, &known) {
        return format!("did you mean \"{name}\"? There is {}", list(&known));
    }
    if known.is_empty() { "there is none".to_owned() } else { format!("there is {}", list(&known)) }
}

fn list(names: &[&str]) -> String {
    let shown = names.iter().take(LISTED_NAMES).copied().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(LISTED_NAMES) {
        Some(more @ 1..) => format!("{shown} and {more} more"),
        _ => shown,
    }
}
