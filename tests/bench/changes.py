"""Change capture, measured beside the floor of the same log: `pg_recvlogical` from a slot of its own, thrown away.

One table like Open edX's courseware_studentmodule (a JSON text of 100 to 2,000 bytes) is copied into the lake; then
every row of it is updated once, a hundred rows a transaction, and the same stretch of log is read by both. The merged
table must equal the source afterwards, by `ol-ingest verify`, whose cost is a figure of its own.
"""

import json
import os
import pathlib
import shutil
import subprocess

import measure
from figures import database_url, document, postgres_answer
from measure import Measured

FOLDER = pathlib.Path(os.environ["OL_BENCH_FOLDER"])
LAKE = FOLDER / "lake"
DATABASE = "bench_changes"
TABLE = "courseware_studentmodule"
UNIT = """version: 1
deployment: bench
layer: app_postgres
scope: all
loader: ol_ingest
table_prefix: raw__bench__app__postgres__
ol_ingest:
  source_kind: postgres
  replication_method: cdc
  metadata_columns: native
tables:
  - name: {table}
    raw_table: raw__bench__app__postgres__{table}
    sync_mode: {mode}
    primary_key: [{key}]
"""
UPDATES = """DO $$ DECLARE low bigint; high bigint; top bigint; BEGIN
  SELECT min(id), max(id) INTO low, top FROM {table};
  WHILE low <= top LOOP
    high := low + 99;
    UPDATE {table} SET grade = coalesce(grade, 0) + 1, modified = now() WHERE id BETWEEN low AND high;
    COMMIT;
    low := high + 1;
  END LOOP;
END $$"""


def psql(statement: str, database: str = DATABASE) -> None:
    """Runs a statement."""
    command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statement]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


class Followed:
    """`ol-ingest stream` of a table into a lake, in one of the two forms."""

    def __init__(self, program: pathlib.Path, mode: str, database: str = DATABASE, table: str = TABLE, key: str = "id"):
        self.program = program
        self.database = database
        self.table = table
        self.inventory = FOLDER / "inventory" / f"{database}-{mode}"
        units = self.inventory / "units"
        units.mkdir(parents=True, exist_ok=True)
        (units / "bench.yml").write_text(UNIT.format(table=table, mode=mode, key=key))
        self.environment = {
            "OL_ENV": "ci",
            "OL_CATALOG": f"sqlite:{LAKE}/catalog.db",
            "OL_WAREHOUSE": str(LAKE / "warehouse"),
            "OL_SOURCE_BENCH_APP_POSTGRES_URL": database_url(database),
        }

    def begin(self) -> None:
        """An empty lake, no slot; then the table is copied and followed."""
        shutil.rmtree(LAKE, ignore_errors=True)
        LAKE.mkdir(parents=True)
        # Those of other cases hold back the log, and one of our name would be taken for ours.
        slots = postgres_answer("postgres", "SELECT slot_name, database FROM pg_replication_slots")
        for slot, database in (line.split("|") for line in slots.splitlines()):
            psql(f"SELECT pg_drop_replication_slot('{slot}')", database)
        self.stream()

    def command(self, *arguments: str) -> list:
        """`ol-ingest stream` of the unit."""
        where = ["--inventory", str(self.inventory), "--unit", "bench/app_postgres"]
        return [str(self.program), "--output", "json", "stream", *where, *arguments]

    def stream(self) -> Measured:
        """One tick, to the end of the log."""
        report = FOLDER / "stream.json"
        measured = measure.measure(self.command("--until-caught-up"), self.environment, output=report)
        told = json.loads(report.read_text())
        measured.rows = sum(table["rows"] for table in told["tables"])
        measured.output_bytes = sum(table["bytes"] for table in told["tables"])
        return measured

    def verify(self) -> Measured:
        """Source against lake."""
        return measure.measure([str(self.program), "verify", "--inventory", str(self.inventory)], self.environment)


def floor(database: str, change) -> Measured:
    """The same log from a slot of its own, thrown away: what the server needs to hand over what `change()` did."""
    slot, options = "bench_floor", ["-o", "proto_version=1", "-o", "publication_names=ol_bench_app_postgres"]
    psql(f"SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')", database)
    change()
    end = postgres_answer(database, "SELECT pg_current_wal_lsn()")
    received = measure.measure(
        ["pg_recvlogical", "-d", database, "--slot", slot, "--start", "--endpos", end, "--no-loop", "-f", "-", *options]
    )
    psql(f"SELECT pg_drop_replication_slot('{slot}')", database)
    return received


def case(name: str, followed: Followed, repetitions: int, verified: bool) -> list:
    """Floor and ours in turn over the same stretch of log, and what verifying the result costs."""
    wanted = int(postgres_answer(DATABASE, f"SELECT count(*) FROM {TABLE}"))
    followed.begin()
    floors, runs, verifications = [], [], []
    for repetition in range(repetitions):
        floors.append(floor(DATABASE, lambda: psql(UPDATES.format(table=TABLE))))
        runs.append(followed.stream())
        if runs[-1].rows != wanted:
            raise measure.Failed(f"{runs[-1].rows} of {wanted} changes arrived")
        if verified:
            verifications.append(followed.verify())
        print(
            f"  {name} {repetition + 1}/{repetitions}: floor {floors[-1].wall_seconds:.2f} s, ours"
            f" {runs[-1].wall_seconds:.2f} s ({runs[-1].wall_seconds / floors[-1].wall_seconds:.2f} ×),"
            f" {runs[-1].cpu_seconds:.2f} CPU s, {runs[-1].peak_bytes >> 20} MiB",
            flush=True,
        )
    ratios = measure.median_ratios(runs, floors)
    entries = [document(name, measure.median(runs), measure.median(floors), ratios, repetitions=repetitions)]
    if verified:
        verify = measure.median(verifications)
        verify.rows = wanted
        entries.append(document("postgres_verify", verify, repetitions=repetitions))
    return entries


def cases(program: pathlib.Path, repetitions: int) -> dict:
    """Name and measurement of each case of catching up."""
    forms = {"postgres_cdc_append": "incremental_append", "postgres_cdc_merge": "incremental_update"}

    def measured(name: str, mode: str):
        return lambda: case(name, Followed(program, mode), repetitions, mode != "incremental_append")

    return {name: measured(name, mode) for name, mode in forms.items()}
