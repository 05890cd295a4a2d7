//! The zoo of MySQL by the log: the row of a log is the row that a copy reads, for every type.

use ol_testkit::{MysqlServer, Software};
use serde_json::Value;

use super::Follow;
use crate::common::{entry, text};
use crate::mysql::zoo;

/// Every column of a table that takes a value, quoted.
const COLUMNS: &str = "SELECT GROUP_CONCAT(CONCAT('`', REPLACE(COLUMN_NAME, '`', '``'), '`') ORDER BY ORDINAL_POSITION) \
                       FROM information_schema.COLUMNS WHERE COALESCE(GENERATION_EXPRESSION, '') = '' AND";

/// Has the whole zoo come in by the log of a server of its own, which has these settings; `None` where the shared data is
/// absent. The run must end with `code`.
fn followed(
    deployment: &'static str,
    software: Software,
    settings: &[&str],
    code: i32,
) -> Option<(Follow, Value)> {
    let script = zoo::script(software)?;
    let settings: Vec<&str> = settings.iter().copied().chain(["group-concat-max-len=1M"]).collect();
    let server = Box::leak(Box::new(MysqlServer::start(software, &settings)));
    server.database("mysql").script(&script);
    let database = server.database("mysql_zoo");
    let tables = database.sql(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'mysql_zoo' AND TABLE_TYPE IN \
         ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY 1",
    );
    // What each holds is put aside, so that it comes in by the log alone.
    let session =
        "SET foreign_key_checks = 0, sql_mode = 'NO_AUTO_VALUE_ON_ZERO', time_zone = '+05:30';";
    let mut aside = format!("CREATE DATABASE aside; {session}");
    let mut back = session.to_owned();
    for table in tables.lines() {
        let quoted = format!("`{}`", table.replace('`', "``"));
        let of = table.replace('\'', "''");
        let columns =
            database.sql(&format!("{COLUMNS} TABLE_SCHEMA = 'mysql_zoo' AND TABLE_NAME = '{of}'"));
        let copy = |to: &str, from: &str| {
            format!("INSERT INTO {to}{quoted} ({columns}) SELECT {columns} FROM {from}{quoted};")
        };
        aside.push_str(&format!(
            "CREATE TABLE aside.{quoted} LIKE {quoted}; {} DELETE FROM {quoted};",
            copy("aside.", "")
        ));
        back.push_str(&copy("", "aside."));
    }
    database.sql(&aside);
    let follow = Follow::over(deployment, database, &[]);
    let (_, draft) = follow.case.discover();
    let draft = draft.replace("full_refresh_overwrite", "incremental_append");
    let draft = draft.replace("replication_method: full", "replication_method: cdc");
    follow.case.inventory.write(deployment, &draft);
    follow.tick(0);
    follow.case.database.sql(&back);
    let document = follow.tick(code).json();
    Some((follow, document))
}

#[test]
fn rows_of_the_log_are_rows_of_a_copy() {
    let Some((follow, document)) = followed("mysqlzoolog", Software::MariaDb, &[], 0) else {
        return;
    };
    let comparison = follow.case.compare(&follow.unit, &document);
    comparison.expect_equal();
    assert_eq!(comparison.tables("equal").len(), 49);
}

/// The catalog then says what the columns are called. It shows a label with a character of four bytes as `?`, so that table is
/// refused by name.
#[test]
fn rows_without_the_names_of_their_columns_are_the_same() {
    let settings =
        &["binlog-row-metadata=NO_LOG", "character-set-server=latin1", "log-bin-compress=ON"];
    let Some((follow, document)) = followed("mysqlzoonames", Software::MariaDb, settings, 2) else {
        return;
    };
    let refused = entry(&document, &follow.case.raw_table("t_enum"));
    assert_eq!(text(refused, "outcome"), "refused", "{refused}");
    assert!(text(refused, "advice").contains("Exclude the column"), "{refused}");
    let comparison = follow.case.compare(&follow.unit, &document);
    assert_eq!(comparison.tables("equal").len(), 48);
}

#[test]
fn rows_of_the_log_of_mysql_are_rows_of_a_copy() {
    let settings = &["binlog-row-value-options=PARTIAL_JSON", "binlog-transaction-compression=ON"];
    let Some((follow, document)) = followed("mysqlninezoolog", Software::MySql, settings, 0) else {
        return;
    };
    let comparison = follow.case.compare(&follow.unit, &document);
    comparison.expect_equal();
    assert_eq!(comparison.tables("equal").len(), 54);
}
