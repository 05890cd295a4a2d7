//! A unit in shadow beside the tables of another loader: equal where the values are, and told apart where they are not.

use ol_testkit::Readers;
use serde_json::{Value, json};

use crate::common::{Case, entry, expect_told, text};

const DONE: i32 = 0;
const DEFINITE: i32 = 2;
const CONFIGURATION: i32 = 3;
/// Where the other loader's tables are.
const THEIRS: &str = "ol_warehouse_production_raw";

/// The source: one column a kind of type, 40 rows.
const SOURCE: &str = "
CREATE TABLE t (
    id bigint PRIMARY KEY, amount numeric(12,2), born timestamptz, day date, doc jsonb, tags text[], token uuid,
    data bytea, flag boolean, ratio real, note text, updated_on timestamp, secret text, email text);
INSERT INTO t SELECT n, n * 1.25, timestamptz '2026-01-01 00:00+00' + n * interval '1 hour', date '2026-01-01' + n,
    jsonb_build_object('n', n, 'a', 'x'), ARRAY['one', n::text, NULL],
    ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, decode(lpad(to_hex(n), 4, '0'), 'hex'), n % 2 = 0,
    n / 10.0, CASE WHEN n % 5 = 0 THEN NULL ELSE 'note ' || n END, timestamp '2026-01-01' + n * interval '1 minute',
    'hidden ' || n, 'person' || n || '@example.org' FROM generate_series(1, 40) n;
CREATE TABLE plain (a int, b text);
INSERT INTO plain SELECT n % 3, 'x' FROM generate_series(1, 30) n;";

/// What Airbyte's S3 Data Lake destination would have of it: other types, metadata columns, several versions of a key,
/// a row that was deleted since. `change` alters the list `rows`, `more` adds columns.
const THEIR_TABLE: &str = "
import sys, datetime, json, base64, uuid
import pyarrow
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import *
catalog = SqlCatalog('ol', uri='sqlite:///' + sys.argv[1], warehouse='file://' + sys.argv[2])
namespace, prefix = sys.argv[3], sys.argv[4]
catalog.create_namespace_if_not_exists(namespace)
utc = datetime.timezone.utc
def at(minutes): return datetime.datetime(2026, 1, 1, tzinfo=utc) + datetime.timedelta(minutes=minutes)
def row(n):
    return {'id': n, 'amount': n * 1.25, 'born': at(60 * n).isoformat().replace('+00:00', 'Z'),
            'day': datetime.date(2026, 1, 1) + datetime.timedelta(days=n), 'doc': json.dumps({'a': 'x', 'n': n}, indent=1),
            'tags': json.dumps(['one', str(n), None]), 'token': str(uuid.UUID(int=int(str(n), 16))),
            'data': base64.b64encode(n.to_bytes(2)).decode(), 'flag': n % 2 == 0, 'ratio': n / 10,
            'note': None if n % 5 == 0 else f'note {n}', 'updated_on': at(n), 'secret': 'hidden', 'email': 'shown',
            '_airbyte_raw_id': str(uuid.uuid4()), '_airbyte_extracted_at': at(1000), '_ab_cdc_deleted_at': None}
rows = [row(n) for n in range(1, 41)]
# Versions of before, and a key that is gone.
rows += [{**row(7), 'note': 'old', '_airbyte_extracted_at': at(10)}, {**row(8), 'amount': 0.0, '_airbyte_extracted_at': at(20)}]
rows += [{**row(99), '_airbyte_extracted_at': at(10)},
         {**row(99), '_airbyte_extracted_at': at(11), '_ab_cdc_deleted_at': '2026-01-02T00:00:00Z'}]
more = []
exec(sys.argv[5])
kinds = [('id', LongType()), ('amount', DoubleType()), ('born', StringType()), ('day', DateType()), ('doc', StringType()),
         ('tags', StringType()), ('token', StringType()), ('data', StringType()), ('flag', BooleanType()),
         ('ratio', DoubleType()), ('note', StringType()), ('updated_on', TimestamptzType()), ('secret', StringType()),
         ('email', StringType()), ('_airbyte_raw_id', StringType()), ('_airbyte_extracted_at', TimestamptzType()),
         ('_ab_cdc_deleted_at', StringType()), *more]
schema = Schema(*[NestedField(i + 1, name, kind, required=False) for i, (name, kind) in enumerate(kinds)])
def replace(name, schema, rows):
    name = (namespace, prefix + name)
    if catalog.table_exists(name): catalog.drop_table(name)
    catalog.create_table(name, schema=schema).append(pyarrow.Table.from_pylist(rows, schema=schema.as_arrow()))
replace('t', schema, rows)
plain = Schema(NestedField(1, 'a', LongType(), required=False), NestedField(2, 'b', StringType(), required=False),
               NestedField(3, '_airbyte_raw_id', StringType(), required=False))
plain_rows = [{'a': n % 3, 'b': 'x', '_airbyte_raw_id': str(n)} for n in range(1, 31)]
exec(sys.argv[6])
replace('plain', plain, plain_rows)";

fn prepared(deployment: &'static str) -> Case {
    let case = Case::new(deployment);
    case.database.psql(SOURCE);
    // The catalog must be there before another engine can use it.
    case.finish(case.ingest().args(["maintain", "--namespace", case.lake.namespace()]))
        .expect_code(DONE);
    let unit = ol_testkit::Unit::new(deployment)
        .table("public", "t", "incremental_deduped_history")
        .with("primary_key: [id]\ncursor_field: updated_on\nexcluded_columns: [secret]")
        .table("public", "plain", "full_refresh_overwrite")
        .method("cdc")
        .overriding("t: {masked_columns: {email: nulled}}");
    case.inventory.unit(&unit);
    case
}

/// Makes the other loader's tables.
fn theirs(case: &Case, change: &str, change_of_plain: &str) {
    let question = Readers::script(THEIR_TABLE)
        .arg(case.lake.catalog_file())
        .arg(case.lake.warehouse())
        .args([THEIRS, &case.raw_table(""), change, change_of_plain]);
    question.run().expect_code(0);
}

fn compared(case: &Case, arguments: &[&str], code: i32) -> Value {
    let step = case.command("compare").args(["--against", THEIRS]).args(arguments);
    case.finish(step).expect_code(code).json()
}

fn differing(table: &Value) -> Vec<(&str, u64)> {
    let columns = table["columns"].as_array().unwrap().iter();
    let counts =
        columns.map(|column| (text(column, "name"), column["rows_differing"].as_u64().unwrap()));
    counts.filter(|(_, rows)| *rows > 0).collect()
}

#[test]
fn a_table_of_other_types_and_older_versions_is_equal() {
    let case = prepared("compareequal");
    theirs(&case, "", "");
    let document = compared(&case, &[], DONE);
    let (ours, other) = (text(&document, "ours"), text(&document, "theirs"));
    assert_eq!((ours, other), ("ol_warehouse_production_raw_shadow", THEIRS));
    let table = entry(&document, &case.raw_table("t"));
    assert_eq!((&table["our_rows"], &table["their_rows"]), (&json!(40), &json!(40)), "{table:#}");
    assert_eq!((text(table, "outcome"), &table["rows_equal"]), ("done", &json!(40)));
    assert_eq!(table["columns"].as_array().unwrap().len(), 12, "{table:#}");
    let aside = table["columns_aside"].to_string();
    assert!(
        aside.contains("the inventory masks it") && aside.contains("the inventory excludes it")
    );
    let plain = entry(&document, &case.raw_table("plain"));
    assert_eq!((&plain["key"], &plain["rows_equal"]), (&json!([]), &json!(30)));
    // Neither the real namespace nor the source has more than before.
    let real = case.finish(case.command("status")).expect_code(DONE).json().to_string();
    assert!(!real.contains("snapshot_id\":1"), "{real}");
    assert_eq!(
        case.database
            .psql("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()")
            .trim(),
        "0"
    );
    // Once more without the source, which no longer answers.
    case.database.psql("ALTER TABLE t RENAME TO u");
    let shadow = "ol_warehouse_production_raw_shadow";
    let again = compared(&case, &["--shadow", shadow, "--no-load"], DONE);
    assert_eq!(entry(&again, &case.raw_table("t"))["rows_equal"], json!(40));
}

#[test]
fn what_differs_is_named_row_by_row_and_column_by_column() {
    let case = prepared("comparediffers");
    // One value, one nothing, a row too few, a row too many, a row that was read before its update.
    let change = "rows[2]['note'] = 'other'; rows[3]['amount'] = None; rows[11]['note'] = 'not shown'; \
                  rows[11]['updated_on'] = at(-5); \
                  rows = [r for r in rows if r['id'] != 20] + [row(50)]; more = [('gone', StringType())]";
    theirs(&case, change, "plain_rows = plain_rows[:-2] + [{'a': 9, 'b': None}]");
    let document = compared(&case, &[], DEFINITE);
    assert!(
        !document.to_string().contains("not shown"),
        "values are shown when they are asked for"
    );
    let document_of_values = compared(&case, &["--show-values", "--rows", "2"], DEFINITE);
    let table = entry(&document, &case.raw_table("t"));
    assert_eq!(text(table, "outcome"), "blocked");
    let counts = [
        "our_rows",
        "their_rows",
        "rows_equal",
        "rows_only_ours",
        "rows_only_theirs",
        "rows_differing",
    ];
    assert_eq!(
        counts.map(|name| table[name].as_u64().unwrap()),
        [40, 40, 36, 1, 1, 3],
        "{table:#}"
    );
    assert_eq!(
        (&table["rows_newer_in_ours"], &table["rows_newer_in_theirs"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(differing(table), [("amount", 1), ("note", 2), ("updated_on", 1)]);
    assert_eq!(
        (&table["columns_only_theirs"], &table["columns_only_ours"]),
        (&json!(["gone"]), &json!([]))
    );
    let rows: Vec<(&str, &Value, &Value)> = table["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (text(row, "on"), &row["key"]["id"], &row["columns"]))
        .collect();
    let none = json!([]);
    assert_eq!(
        rows,
        [
            ("ours", &json!("20"), &none),
            ("theirs", &json!("50"), &none),
            ("both", &json!("12"), &json!(["note", "updated_on"])),
            ("both", &json!("3"), &json!(["note"])),
            ("both", &json!("4"), &json!(["amount"])),
        ]
    );
    let table = entry(&document_of_values, &case.raw_table("t"));
    assert_eq!(table["rows"].as_array().unwrap().len(), 4, "two of each kind at most: {table:#}");
    let plain = entry(&document, &case.raw_table("plain"));
    let counts = ["our_rows", "their_rows", "rows_equal", "rows_only_ours", "rows_only_theirs"];
    assert_eq!(counts.map(|name| plain[name].as_u64().unwrap()), [30, 29, 28, 2, 1], "{plain:#}");
    let shown = case
        .finish(case.ingest().args(["compare", "--inventory"]).arg(case.inventory.path()).args([
            "--against",
            THEIRS,
            "--show-values",
        ]))
        .expect_code(DEFINITE);
    expect_told(
        &shown,
        &[
            "only theirs has gone",
            "id = 3 differs in note: note 3 | other",
            "newer in ours",
            "runbook",
        ],
    );
}

#[test]
fn every_value_of_a_column_may_differ() {
    let case = prepared("compareall");
    theirs(&case, "rows = [{**r, 'born': None, 'flag': not r['flag']} for r in rows]", "");
    let document = compared(&case, &["--rows", "0"], DEFINITE);
    let table = entry(&document, &case.raw_table("t"));
    assert_eq!(differing(table), [("born", 40), ("flag", 40)]);
    assert_eq!((&table["rows_looked_at"], &table["rows"]), (&json!(40), &json!([])));
}

#[test]
fn a_namespace_that_would_be_overwritten_or_is_not_there_is_refused() {
    let case = prepared("comparerefused");
    for (arguments, words) in [
        (vec!["--against", THEIRS], "--against"),
        (vec!["--against", case.lake.namespace(), "--shadow", case.lake.namespace()], "--shadow"),
        (vec!["--against", THEIRS, "--shadow", case.lake.namespace()], "--shadow"),
    ] {
        let refused =
            case.finish(case.command("compare").args(arguments)).expect_code(CONFIGURATION);
        expect_told(&refused, &[words]);
    }
    // A table that only one side has is an outcome of its own.
    theirs(&case, "", "");
    case.database.psql("CREATE TABLE extra (a int)");
    let unit =
        ol_testkit::Unit::new("comparerefused").table("public", "extra", "full_refresh_overwrite");
    case.inventory.unit(&unit);
    let document = compared(&case, &[], DEFINITE);
    let told = text(entry(&document, &case.raw_table("extra")), "advice").to_owned();
    assert!(told.contains(THEIRS), "{told}");
}
