//! Trino rewrites tables and expires every snapshot that it may: what ours say of a table's position outlives that.

use ol_testkit::{Inventory, Lake, Readers, TrinoServer, Unit};

use super::{add_to, server};
use crate::common::{Case, entry};

#[test]
fn tables_go_on_where_they_were_after_trino_has_expired_what_it_can() {
    let mut case = Case::of("outlived", server().create_database("outlived"));
    let catalog = server().create_database("catalog");
    case.lake = Lake::with_catalog(&catalog.url());
    case.database.psql(
        "CREATE TABLE merged (id int PRIMARY KEY, note text);
         INSERT INTO merged SELECT n, 'n' || n FROM generate_series(1, 100) n;
         CREATE TABLE logged (LIKE merged INCLUDING ALL); INSERT INTO logged SELECT * FROM merged;",
    );
    let merged =
        Unit::new("outlived").method("cdc").table("public", "merged", "incremental_update");
    let judged = Inventory::new();
    let judged_unit = judged.unit(&merged.clone().with("primary_key: [id]"));
    let both = merged.with("primary_key: [id]").table("public", "logged", "incremental_append");
    case.inventory.unit(&both.with("primary_key: [id]"));
    case.run(0);
    case.database.psql("UPDATE merged SET note = 'u' WHERE id < 10; UPDATE logged SET note = 'u'");
    case.run(0);
    let trino = TrinoServer::shared();
    add_to(trino, "outlived", &catalog, &case.lake);
    let namespace = case.lake.namespace();
    for raw_table in [case.raw_table("merged"), case.raw_table("logged")] {
        let table = format!("outlived.{namespace}.{raw_table}");
        trino.query(&format!("INSERT INTO {table} SELECT * FROM {table} WHERE false"));
        trino.query(&format!("ALTER TABLE {table} EXECUTE optimize"));
        trino.query(&format!("ALTER TABLE {table} EXECUTE optimize_manifests"));
        trino.query(&format!(
            "ALTER TABLE {table} EXECUTE expire_snapshots(retention_threshold => '0s')"
        ));
        // Ours is tagged; all between it and the newest are gone.
        let snapshots =
            format!("SELECT count(*) FROM outlived.{namespace}.\"{raw_table}$snapshots\"");
        assert_eq!(trino.query(&snapshots).rows, [serde_json::json!([2])]);
    }
    case.database.psql("UPDATE logged SET note = 'v' WHERE id < 5");
    case.database
        .psql("UPDATE merged SET note = 'v' WHERE id < 5; DELETE FROM merged WHERE id > 90");
    let document = case.run(0);
    Readers::compare(&case.database.url(), &case.lake, &judged_unit, Some(&document))
        .expect_equal();
    // They went on where they were, and were not copied again.
    for (table, rows) in [("merged", 4), ("logged", 4)] {
        assert_eq!(entry(&document, &case.raw_table(table))["rows"], serde_json::json!(rows));
    }
}
