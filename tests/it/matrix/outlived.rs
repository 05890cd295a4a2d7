//! Trino rewrites a table and expires every snapshot of ours, and with them what they say of the table's position.

use ol_testkit::{Lake, Readers, TrinoServer, Unit};

use super::{add_to, server};
use crate::common::Case;

#[test]
fn a_merged_table_is_right_again_after_trino_has_expired_every_snapshot_of_ours() {
    let mut case = Case::of("outlived", server().create_database("outlived"));
    let catalog = server().create_database("catalog");
    case.lake = Lake::with_catalog(&catalog.url());
    case.database.psql(
        "CREATE TABLE merged (id int PRIMARY KEY, note text);
         INSERT INTO merged SELECT n, 'n' || n FROM generate_series(1, 100) n;",
    );
    let merged =
        Unit::new("outlived").method("cdc").table("public", "merged", "incremental_update");
    let unit = case.inventory.unit(&merged.with("primary_key: [id]"));
    case.run(0);
    case.database.psql("UPDATE merged SET note = 'u' WHERE id < 10");
    case.run(0);
    let trino = TrinoServer::shared();
    add_to(trino, "outlived", &catalog, &case.lake);
    let (namespace, raw_table) = (case.lake.namespace(), case.raw_table("merged"));
    let table = format!("outlived.{namespace}.{raw_table}");
    trino.query(&format!("ALTER TABLE {table} EXECUTE optimize"));
    trino.query(&format!(
        "ALTER TABLE {table} EXECUTE expire_snapshots(retention_threshold => '0s')"
    ));
    let snapshots = format!("SELECT operation FROM outlived.{namespace}.\"{raw_table}$snapshots\"");
    assert_eq!(trino.query(&snapshots).rows, [serde_json::json!(["replace"])]);
    case.database
        .psql("UPDATE merged SET note = 'v' WHERE id < 5; DELETE FROM merged WHERE id > 90");
    let document = case.run(0);
    Readers::compare(&case.database.url(), &case.lake, &unit, Some(&document)).expect_equal();
    assert_eq!(
        trino.query(&format!("SELECT count(*) FROM {table}")).rows,
        [serde_json::json!([90])]
    );
}
