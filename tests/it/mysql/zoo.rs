//! The zoo of MySQL: 52 relations with adversarial values. Each lands exactly, or is named by `discover` as left out, and
//! does so whatever the server's own settings are.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use ol_testkit::{MysqlDatabase, MysqlServer, shared_data};

use super::MysqlCase;
use crate::common::text;

/// The zoo on the server of the test binary; `None` where the shared data is absent.
fn zoo() -> Option<MysqlDatabase<'static>> {
    static FILLED: OnceLock<bool> = OnceLock::new();
    let server = MysqlServer::shared();
    let is_filled = FILLED.get_or_init(|| {
        let script = shared_data("mysql_zoo.sql");
        script.map(|script| server.database("mysql").file(&script)).is_some()
    });
    is_filled.then(|| server.database("mysql_zoo"))
}

/// Relation → rows, as the zoo's author counted them.
fn counted() -> BTreeMap<String, u64> {
    let counts = shared_data("mysql_zoo.counts.tsv").expect("the counts lie beside the zoo");
    std::fs::read_to_string(counts)
        .unwrap()
        .lines()
        .map(|line| line.split_once('\t').unwrap())
        .map(|(relation, rows)| (relation.to_owned(), rows.parse().unwrap()))
        .collect()
}

/// Every relation of the zoo lands exactly, or is named.
#[track_caller]
fn expect_whole(case: &MysqlCase) {
    let (unit, draft) = case.discover();
    let plan = case.finish(case.command("plan")).expect_code(0).json();
    let document = case.run(0);
    let comparison = case.compare(&unit, &document);
    comparison.expect_equal();
    let equal = comparison.tables("equal");
    let left_out = draft.split_once("# Found and left out:").map_or("", |(_, rest)| rest);
    let counted = counted();
    assert_eq!(counted.len(), 52);
    for (relation, rows) in &counted {
        let source = format!("public.{relation}");
        if equal.contains(&source) {
            assert_eq!(comparison.rows(&source), Some(*rows), "rows of {relation}");
            continue;
        }
        let named = left_out.lines().any(|line| {
            line.strip_prefix(&format!("# - mysql_zoo.{relation}: "))
                .is_some_and(|reason| reason.len() > 10)
        });
        assert!(named, "nothing is said of {relation}");
    }
    assert_eq!(equal.len(), 49, "views and the sequence are left out, nothing else");
    let planned = plan["tables"].as_array().unwrap();
    assert_eq!(planned.len(), 49);
    assert!(planned.iter().all(|table| text(table, "outcome") == "done"), "{plan:#}");
}

#[test]
fn every_relation_lands_exactly_or_is_named() {
    let Some(database) = zoo() else { return };
    let case = MysqlCase::of("mysqlzoo", database);
    expect_whole(&case);
    let unchanged = case.run(0);
    let tables = unchanged["tables"].as_array().unwrap();
    assert!(tables.iter().all(|table| table["files"] == 0 && table["rows"] == 0), "{unchanged:#}");
    let verified = case.finish(case.command("verify")).expect_code(0).json();
    assert_eq!(verified["tables"].as_array().unwrap().len(), 49);
}

#[test]
fn what_a_server_is_set_to_changes_no_value() {
    static SERVER: OnceLock<MysqlServer> = OnceLock::new();
    let Some(script) = shared_data("mysql_zoo.sql") else { return };
    let server = SERVER.get_or_init(|| {
        MysqlServer::start_with(&[
            "default-time-zone=-09:30",
            "sql-mode=ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,NO_ZERO_DATE,STRICT_ALL_TABLES,PIPES_AS_CONCAT",
            "character-set-server=latin1",
            "collation-server=latin1_swedish_ci",
            "transaction-isolation=READ-UNCOMMITTED",
        ])
    });
    let system = server.database("mysql");
    system.file(&script);
    // What a session begins with from here on: three rows an answer, and a tenth of a second for each.
    system.sql("SET GLOBAL sql_select_limit = 3; SET GLOBAL max_statement_time = 0.1");
    let case = MysqlCase::of("mysqlsettings", server.database("mysql_zoo"));
    expect_whole(&case);
}
