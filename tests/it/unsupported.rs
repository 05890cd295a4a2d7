//! What the inventory can ask and this build cannot do blocks its table by name: never left undone in silence.

use ol_testkit::Unit;

use crate::common::{Case, entry, rows, text};

/// Runs a unit of one table, changed by `change`; the table must be blocked, with `wanted` in the advice.
#[track_caller]
fn expect_blocked(
    deployment: &'static str,
    sync_mode: &str,
    change: impl Fn(String) -> String,
    wanted: &[&str],
) {
    let case = Case::new(deployment);
    case.database.psql(
        "CREATE TABLE people (id int PRIMARY KEY, email text, at timestamptz);
         INSERT INTO people VALUES (1, 'somebody@example.org', now());",
    );
    let unit = Unit::new(deployment)
        .table("public", "people", sync_mode)
        .with("primary_key: [id]\ncursor_field: at");
    case.inventory.write(deployment, &change(unit.yaml()));
    let done = case.finish(case.command("run")).expect_code(2);
    let document = done.json();
    let table = entry(&document, &case.raw_table("people"));
    assert_eq!(text(table, "outcome"), "blocked", "{document:#}");
    for words in wanted {
        assert!(text(table, "advice").contains(words), "nothing says {words}: {table:#}");
    }
    assert_eq!(
        rows(&case.state(), &case.raw_table("people")),
        None,
        "the table was written all the same"
    );
}

#[test]
fn an_incremental_mode_blocks_and_is_not_read_as_a_full_one() {
    expect_blocked("incremental", "incremental_append", |yaml| yaml, &["incremental_append"]);
}

#[test]
fn a_declared_type_holds_what_fits_and_keeps_the_rest_beside_it() {
    let case = Case::new("declared");
    case.database.psql(
        "CREATE TABLE prices (id int PRIMARY KEY, price numeric, day date);
         INSERT INTO prices VALUES (1, 12.345, '2020-01-01'), (2, 1e30, 'infinity'), (3, 'NaN', NULL), (4, 1.0000001, NULL);",
    );
    let unit =
        Unit::new(case.deployment).table("public", "prices", "full_refresh_overwrite").yaml();
    let overrides = "metadata_columns: native\n  overrides:\n    prices:\n      columns: {price: \"decimal(10,3)\", day: string}";
    let unit =
        case.inventory.write(case.deployment, &unit.replace("metadata_columns: native", overrides));
    let document = case.run(0);
    // 12.345 has the declared scale; every other value is NULL with its exact text beside it.
    case.compare(&unit, &document).expect_equal();
}
