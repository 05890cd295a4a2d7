//! `metadata_columns`: tables have the columns that Airbyte or dlt writes, and the platform's macro finds the latest row.

use crate::incremental::Followed;

/// What the platform's dbt macro `deduplicate_raw_table` makes of a raw table, with its defaults.
const DEDUPLICATED: &str = "WITH source AS (SELECT * FROM lake)
   , source_sorted AS (
        SELECT *, row_number() OVER (PARTITION BY id ORDER BY _airbyte_extracted_at DESC) AS row_num FROM source
    )
    , most_recent_source AS (SELECT * FROM source_sorted WHERE row_num = 1)
    SELECT id, note FROM most_recent_source ORDER BY id";

fn table(deployment: &'static str, words: &'static str, sync_mode: &'static str) -> Followed {
    let method = if sync_mode.starts_with("full") { "full" } else { "xmin" };
    let script = "CREATE TABLE t (id int PRIMARY KEY, note text);
         INSERT INTO t SELECT n, 'first' FROM generate_series(1, 50) n;";
    Followed::new(deployment, method, sync_mode, script).metadata(words)
}

#[test]
fn the_macro_of_the_platform_keeps_the_latest_row_of_each_key() {
    let table = table("likeairbyte", "airbyte", "incremental_append");
    table.run();
    for round in 0..4 {
        table.sql(&format!("UPDATE t SET note = 'round {round}' WHERE id % 4 <= {round}"));
        table.run();
    }
    assert_eq!(table.lines(DEDUPLICATED), table.sql("SELECT id, note FROM t ORDER BY id"));
    // Types as the platform's tables have them.
    let types = "SELECT DISTINCT typeof(_airbyte_raw_id), typeof(_airbyte_extracted_at), typeof(_airbyte_meta),
        typeof(_airbyte_generation_id) FROM lake";
    assert_eq!(
        table.lines(types),
        "VARCHAR\tBIGINT\tSTRUCT(sync_id BIGINT, changes STRUCT(field VARCHAR, change VARCHAR, reason VARCHAR)[])\tBIGINT"
    );
    let unique = "SELECT count(*) = count(DISTINCT _airbyte_raw_id), min(len(_airbyte_meta.changes)), max(_airbyte_generation_id),
        bool_and(epoch_ms(_airbyte_extracted_at) = date_trunc('millisecond', _ol_extracted_at AT TIME ZONE 'UTC')) FROM lake";
    assert_eq!(table.lines(unique), "True\t0\t0\tTrue");
}

#[test]
fn a_full_refresh_has_them_too_and_notices_that_nothing_has_changed() {
    let table = table("likeairbytefull", "airbyte", "full_refresh_overwrite");
    assert_eq!(table.run(), 50);
    assert_eq!(table.run(), 0);
    assert_eq!(table.lines("SELECT count(DISTINCT _airbyte_raw_id) FROM lake"), "50");
    table.case.finish(table.command("verify")).expect_code(0);
}

#[test]
fn loads_of_dlt_sort_as_they_were_made() {
    let table = table("likedlt", "dlt", "incremental_append");
    table.run();
    table.sql("UPDATE t SET note = 'second' WHERE id = 7");
    table.run();
    let latest = "SELECT note FROM lake WHERE id = 7 ORDER BY _dlt_load_id DESC LIMIT 1";
    assert_eq!(table.lines(latest), "second");
    assert_eq!(
        table.lines("SELECT count(DISTINCT _dlt_id), count(DISTINCT _dlt_load_id) FROM lake"),
        "51\t2"
    );
    let seconds = "SELECT bool_and(abs(CAST(_dlt_load_id AS DOUBLE) - epoch(_ol_extracted_at)) < 0.001) FROM lake";
    assert_eq!(table.lines(seconds), "True");
}

#[test]
fn a_source_column_of_such_a_name_is_refused() {
    let script = "CREATE TABLE t (id int PRIMARY KEY, _dlt_id text)";
    let table =
        Followed::new("likedltclash", "full", "full_refresh_overwrite", script).metadata("dlt");
    let refused = table.run_with(&[], 2);
    assert!(refused["advice"].as_str().unwrap().contains("_dlt_id"), "{refused:#}");
}
