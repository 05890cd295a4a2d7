//! The zoo of MySQL by the log: the row of a log is the row that a copy reads, for every type.

use ol_testkit::{MysqlServer, shared_data};

use super::Follow;

/// Every column of a table that takes a value, quoted.
const COLUMNS: &str = "SELECT GROUP_CONCAT(CONCAT('`', REPLACE(COLUMN_NAME, '`', '``'), '`') ORDER BY ORDINAL_POSITION) \
                       FROM information_schema.COLUMNS WHERE GENERATION_EXPRESSION IS NULL AND";

#[test]
fn rows_of_the_log_are_rows_of_a_copy() {
    let Some(script) = shared_data("mysql_zoo.sql") else { return };
    let server = Box::leak(Box::new(MysqlServer::start_with(&["group-concat-max-len=1M"])));
    server.database("mysql").file(&script);
    let database = server.database("mysql_zoo");
    let tables = database.sql(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'mysql_zoo' AND TABLE_TYPE IN \
         ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY 1",
    );
    let tables: Vec<&str> = tables.lines().collect();
    assert_eq!(tables.len(), 49);
    // What each holds is put aside, so that it comes in by the log alone.
    let mut aside =
        "CREATE DATABASE aside; SET foreign_key_checks = 0, sql_mode = 'NO_AUTO_VALUE_ON_ZERO';"
            .to_owned();
    let mut back =
        "SET foreign_key_checks = 0, sql_mode = 'NO_AUTO_VALUE_ON_ZERO', time_zone = '+05:30';"
            .to_owned();
    for table in &tables {
        let quoted = format!("`{}`", table.replace('`', "``"));
        let of = table.replace('\'', "''");
        let columns =
            database.sql(&format!("{COLUMNS} TABLE_SCHEMA = 'mysql_zoo' AND TABLE_NAME = '{of}'"));
        aside.push_str(&format!(
            "CREATE TABLE aside.{quoted} LIKE {quoted}; INSERT INTO aside.{quoted} ({columns}) SELECT {columns} FROM {quoted}; \
             DELETE FROM {quoted};"
        ));
    }
    database.sql(&aside);
    let follow = Follow::over("mysqlzoolog", database, &[]);
    let (_, draft) = follow.case.discover();
    let draft = draft.replace("full_refresh_overwrite", "incremental_append");
    follow.case.inventory.write(
        "mysqlzoolog",
        &draft.replace("replication_method: full", "replication_method: cdc"),
    );
    follow.tick(0);
    for table in &tables {
        let quoted = format!("`{}`", table.replace('`', "``"));
        let of = table.replace('\'', "''");
        let columns = follow
            .case
            .database
            .sql(&format!("{COLUMNS} TABLE_SCHEMA = 'mysql_zoo' AND TABLE_NAME = '{of}'"));
        back.push_str(&format!(
            "INSERT INTO {quoted} ({columns}) SELECT {columns} FROM aside.{quoted};"
        ));
    }
    follow.case.database.sql(&back);
    let document = follow.tick(0).json();
    let comparison = follow.case.compare(&follow.unit, &document);
    comparison.expect_equal();
    assert_eq!(comparison.tables("equal").len(), 49);
}
