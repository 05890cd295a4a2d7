//! The zoo of BSON (`tests/mongodb/zoo.py`): every type, with values that somebody gets wrong. Each document is told exactly,
//! each column is exact or says that it is not, as PyMongo, PyIceberg and DuckDB see it.

use ol_testkit::{MongoStandIn, Readers};

use super::{MongoCase, outcome};
use crate::common::{entry, text};

#[test]
fn every_document_is_told_exactly_and_every_column_holds_its_value_or_says_so() {
    let server = MongoStandIn::start(&["--zoo", "--batch", "7"]);
    let case = MongoCase::of("mongozoo", server.url());
    let (_, draft) = case.discover();
    for left_out in ["zoo.seen: a view", "zoo.measured: a time series"] {
        assert!(draft.contains(left_out), "{draft}");
    }
    let document = case.run(0);
    let raw_table = case.raw_table("zoo");
    assert_eq!(outcome(&document, &raw_table), "done", "{document:#}");
    let compared = Readers::compare_documents(&["--zoo"], &case.lake, &raw_table);
    let count = compared["documents"].as_u64().unwrap();
    assert_eq!(entry(&document, &raw_table)["rows"].as_u64(), Some(count));
    for reader in ["pyiceberg", "duckdb"] {
        assert_eq!(compared[reader]["documents"].as_u64(), Some(count), "{compared:#}");
        // Four dates of years that readers do not know, a number between two doubles, a name that occurs twice, a text that is
        // not UTF-8.
        assert_eq!(compared[reader]["odd"].as_u64(), Some(7), "{compared:#}");
    }
    let again = case.run(0);
    assert_eq!(entry(&again, &raw_table)["files"], 0, "{again:#}");
    let verified = case.finish(case.command("verify")).expect_code(0).json();
    assert_eq!(outcome(&verified, &raw_table), "done");
    let plan = case.finish(case.command("plan")).expect_code(0).json();
    let columns = entry(&plan, &raw_table)["columns"].as_array().unwrap().clone();
    let column = |name: &str| {
        let found = columns.iter().find(|column| column["column"] == name);
        found.unwrap_or_else(|| panic!("no column {name} in {plan:#}")).clone()
    };
    for (name, lake_type) in [
        ("_id", "string"),
        ("long", "long"),
        ("int", "string"), // one document has it twice, as a number and as a text
        ("number", "double"),
        ("date", "timestamptz"),
        ("blob", "binary"),
        ("flag", "boolean"),
        ("decimal", "string"),
        ("mixed", "string"),
        ("_ol_document", "string"),
    ] {
        assert_eq!(column(name)["lake_type"], lake_type, "{name}");
    }
    for name in ["Case", "case", "_ol_position", "wide_599"] {
        assert!(
            column(name)["lake_type"].is_null() && text(&column(name), "note").len() > 20,
            "{name}"
        );
    }
}
