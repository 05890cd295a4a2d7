//! The zoo of MySQL: 52 relations with adversarial values, and what MySQL alone has. Each lands exactly, or is named by
//! `discover` as left out, and does so whatever the server's own settings are.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use ol_testkit::{MysqlDatabase, MysqlServer, Software, shared_data};
use serde_json::Value;

use super::MysqlCase;
use crate::common::text;

/// The script that makes the zoo, as each software reads it; `None` where the shared data is absent.
pub(super) fn script(software: Software) -> Option<String> {
    let text = std::fs::read_to_string(shared_data("mysql_zoo.sql")?).unwrap();
    Some(match software {
        Software::MariaDb => text,
        // Bytes are no JSON there, and MD5 is an addition by now.
        Software::MySql => {
            let text = text.replace("CHAR(10)", "CHAR(10 USING utf8mb4)");
            let text = text.replace("CHAR(13,10)", "CHAR(13,10 USING utf8mb4)");
            text.replace("MD5(n)", "LEFT(SHA2(n, 256), 32)") + OF_MYSQL
        }
    })
}

/// What only MySQL has.
const OF_MYSQL: &str = include_str!("zoo_of_mysql.sql");

/// The zoo on the server of the test binary.
fn zoo(software: Software) -> Option<MysqlDatabase<'static>> {
    static FILLED: [OnceLock<bool>; 2] = [OnceLock::new(), OnceLock::new()];
    let server = MysqlServer::shared_of(software);
    let filled = &FILLED[usize::from(software == Software::MySql)];
    let is_filled = filled.get_or_init(|| {
        let script = script(software);
        script.map(|script| server.database("mysql").script(&script)).is_some()
    });
    is_filled.then(|| server.database("mysql_zoo"))
}

/// Relation → rows, as the zoo's author counted them; of MySQL without what it has not, and with what it alone has.
fn counted(software: Software) -> BTreeMap<String, u64> {
    let counts = shared_data("mysql_zoo.counts.tsv").expect("the counts lie beside the zoo");
    let counts = std::fs::read_to_string(counts).unwrap();
    let lines = counts.lines().map(|line| line.split_once('\t').unwrap());
    let all = lines.map(|(relation, rows)| (relation.to_owned(), rows.parse().unwrap()));
    let mut counted: BTreeMap<String, u64> = all.collect();
    assert_eq!(counted.len(), 52);
    if software == Software::MySql {
        for absent in ["t_mariadb", "t_versioned", "t_compressed", "seq1"] {
            counted.remove(absent).unwrap();
        }
        let own = OF_MYSQL.lines().filter_map(|line| line.strip_prefix("-- rows of "));
        counted.extend(
            own.map(|line| line.split_once(": ").unwrap())
                .map(|(relation, rows)| (relation.to_owned(), rows.parse().unwrap())),
        );
    }
    counted
}

/// Every relation of the zoo lands exactly, or is named.
#[track_caller]
fn expect_whole(case: &MysqlCase) -> usize {
    let (unit, draft) = case.discover();
    let plan = case.finish(case.command("plan")).expect_code(0).json();
    let document = case.run(0);
    let comparison = case.compare(&unit, &document);
    comparison.expect_equal();
    let equal = comparison.tables("equal");
    let left_out = draft.split_once("# Found and left out:").map_or("", |(_, rest)| rest);
    let counted = counted(case.database.server().software());
    let tables = counted.len()
        - counted.keys().filter(|name| name.starts_with("v_") || *name == "seq1").count();
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
    assert_eq!(equal.len(), tables, "views and the sequence are left out, nothing else");
    let planned = plan["tables"].as_array().unwrap();
    assert_eq!(planned.len(), tables);
    assert!(planned.iter().all(|table| text(table, "outcome") == "done"), "{plan:#}");
    tables
}

#[track_caller]
fn expect_every_relation(deployment: &'static str, software: Software) {
    let Some(database) = zoo(software) else { return };
    let case = MysqlCase::of(deployment, database);
    let tables = expect_whole(&case);
    let unchanged = case.run(0);
    let unchanged = unchanged["tables"].as_array().unwrap();
    let is_same = |table: &Value| table["files"] == 0 && table["rows"] == 0;
    assert!(unchanged.iter().all(is_same), "{unchanged:#?}");
    let verified = case.finish(case.command("verify")).expect_code(0).json();
    assert_eq!(verified["tables"].as_array().unwrap().len(), tables);
}

#[test]
fn every_relation_lands_exactly_or_is_named() {
    expect_every_relation("mysqlzoo", Software::MariaDb);
}

#[test]
fn every_relation_of_mysql_lands_exactly_or_is_named() {
    expect_every_relation("mysqlninezoo", Software::MySql);
}

/// A server that is set to what other servers are not.
#[track_caller]
fn expect_settings(deployment: &'static str, software: Software, limit: &str) {
    let Some(script) = script(software) else { return };
    let server = Box::leak(Box::new(MysqlServer::start(
        software,
        &[
            "default-time-zone=-09:30",
            "sql-mode=ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,NO_ZERO_DATE,STRICT_ALL_TABLES,PIPES_AS_CONCAT",
            "character-set-server=latin1",
            "collation-server=latin1_swedish_ci",
            "transaction-isolation=READ-UNCOMMITTED",
        ],
    )));
    let system = server.database("mysql");
    system.script(&script);
    // What a session begins with from here on: three rows an answer, and a tenth of a second for each.
    system.sql(&format!("SET GLOBAL sql_select_limit = 3; SET GLOBAL {limit}"));
    expect_whole(&MysqlCase::of(deployment, server.database("mysql_zoo")));
}

#[test]
fn what_a_server_is_set_to_changes_no_value() {
    expect_settings("mysqlsettings", Software::MariaDb, "max_statement_time = 0.1");
}

#[test]
fn what_a_mysql_server_is_set_to_changes_no_value() {
    expect_settings("mysqlninesettings", Software::MySql, "max_execution_time = 100");
}
