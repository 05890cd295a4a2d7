//! Raw tables of other loaders, taken over where they stand.

use ol_testkit::{Lake, Readers};
use serde_json::{Value, json};

use crate::common::{Case, entry, expect_told, rows, text};

const DONE: i32 = 0;
const DEFINITE: i32 = 2;

/// A table as Airbyte's S3 Data Lake destination leaves it: its metadata columns required, all others optional, integers
/// as long; made by a script that adds `columns` to those.
pub(crate) fn airbyte(
    lake: &Lake,
    raw_table: &str,
    columns: &str,
    rows: &str,
    more: &str,
) -> String {
    let script = format!(
        "import sys, datetime
import pyarrow
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import *
catalog = SqlCatalog('ol', uri='sqlite:///' + sys.argv[1], warehouse='file://' + sys.argv[2])
namespace, name = sys.argv[3], sys.argv[4]
catalog.create_namespace_if_not_exists(namespace)
meta = StructType(NestedField(6, 'sync_id', LongType(), required=False))
schema = Schema(
    NestedField(1, '_airbyte_raw_id', StringType(), required=True),
    NestedField(2, '_airbyte_extracted_at', TimestamptzType(), required=True),
    NestedField(3, '_airbyte_generation_id', LongType(), required=False),
    {columns}
)
table = catalog.create_table((namespace, name), schema=schema, location='file://' + sys.argv[2] + '/airbyte/' + name,
                             properties={{'format-version': sys.argv[5]}})
now = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
rows = [{{'_airbyte_raw_id': str(i), '_airbyte_extracted_at': now, '_airbyte_generation_id': 0, **row}}
        for i, row in enumerate({rows})]
table.append(pyarrow.Table.from_pylist(rows, schema=table.schema().as_arrow()))
{more}
table = catalog.load_table((namespace, name))
print(table.location(), table.current_snapshot().snapshot_id)"
    );
    let question = Readers::script(&script).arg(lake.catalog_file()).arg(lake.warehouse()).args([
        lake.namespace(),
        raw_table,
        "1",
    ]);
    question.run().expect_code(0).stdout.trim().to_owned()
}

fn prepared(deployment: &'static str) -> (Case, std::path::PathBuf) {
    let case = Case::new(deployment);
    case.database.psql(
        "CREATE TABLE t (id bigint PRIMARY KEY, note text, born timestamptz);
         INSERT INTO t SELECT n, 'note ' || n, '2026-01-01 00:00+00' FROM generate_series(1, 20) n",
    );
    // The catalog must be there before another engine can use it.
    case.finish(case.ingest().args(["maintain", "--namespace", case.lake.namespace()]))
        .expect_code(DONE);
    let (unit, _draft) = case.discover();
    (case, unit)
}

pub(crate) const COLUMNS: &str = "NestedField(4, 'id', LongType(), required=False),
    NestedField(5, 'note', StringType(), required=False),
    NestedField(6, 'gone', StringType(), required=True),";
pub(crate) const ROWS: &str = "[{'id': n, 'note': f'note {n}', 'gone': 'x'} for n in range(1, 11)]";

fn adopted<'a>(document: &'a Value, case: &Case) -> &'a Value {
    entry(document, &case.raw_table("t"))
}

#[test]
fn a_table_of_airbyte_becomes_ours_where_it_stands() {
    let (case, unit) = prepared("adoptair");
    let before = airbyte(&case.lake, &case.raw_table("t"), COLUMNS, ROWS, "");
    let (location, _snapshot) = before.split_once(' ').unwrap();
    let shown = case.finish(case.command("adopt").arg("--dry-run")).expect_code(DONE).json();
    let table = adopted(&shown, &case);
    assert_eq!((text(table, "outcome"), text(table, "written_by")), ("done", "airbyte"));
    assert_eq!((&table["adopted"], &table["rows"]), (&json!(false), &json!(10)));
    let steps = table["steps"].to_string();
    for step in ["Add column born", "Make column gone optional", "from 1 to 2"] {
        assert!(steps.contains(step), "{steps}");
    }
    let again = case.finish(case.command("adopt").arg("--dry-run")).expect_code(DONE).json();
    assert_eq!(shown, again, "a look changes nothing");
    let done = case.finish(case.command("adopt")).expect_code(DONE).json();
    let table = adopted(&done, &case);
    assert_eq!((&table["adopted"], text(table, "location")), (&json!(true), location));
    let state = case.state();
    assert_eq!(rows(&state, &case.raw_table("t")), Some(10), "its rows are there");
    // Nothing is left to do, and a run takes it from there: same name, same folder.
    let last = case.finish(case.command("adopt")).expect_code(DONE).json();
    assert_eq!(adopted(&last, &case)["steps"], json!([]), "{last:#}");
    let document = case.run(DONE);
    case.compare(&unit, &document).expect_equal();
    let last = case.finish(case.command("adopt").arg("--dry-run")).expect_code(DONE).json();
    assert_eq!(text(adopted(&last, &case), "location"), location);
    assert_eq!(text(adopted(&last, &case), "written_by"), "ol-ingest");
}

#[test]
fn what_cannot_be_taken_over_is_refused_with_what_would_help() {
    let (case, _unit) = prepared("adoptnot");
    let missing = case.finish(case.command("adopt")).expect_code(DEFINITE);
    expect_told(&missing, &["nothing to adopt"]);
    // A column of another kind: the declaration that keeps it is told.
    let columns = COLUMNS.replace("'id', LongType()", "'id', StringType()");
    let rows = ROWS.replace("'id': n", "'id': str(n)");
    airbyte(&case.lake, &case.raw_table("t"), &columns, &rows, "");
    let refused = case.finish(case.command("adopt")).expect_code(DEFINITE).json();
    let table = adopted(&refused, &case);
    assert_eq!((text(table, "outcome"), &table["adopted"]), ("refused", &json!(false)));
    assert!(text(table, "advice").contains("column: id"), "{table:#}");
    assert_eq!(table["overrides"], json!({"id": "string"}), "{table:#}");
}
