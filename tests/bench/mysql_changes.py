"""Change capture from MariaDB, measured beside the floor of the same log: `mariadb-binlog` from the server, thrown away.

The table is the wide one of tables_mysql.sql. It is copied into the lake; then every row of it is updated once, a hundred rows
a transaction, and the same files of the log are read by both.
"""

import json
import os
import pathlib
import shutil
import subprocess

import measure
import mysql
from figures import document
from measure import Measured

FOLDER = pathlib.Path(os.environ["OL_BENCH_FOLDER"])
LAKE = FOLDER / "lake"
TABLE = "courseware_studentmodule"
UNIT = """version: 1
deployment: bench
layer: openedx_mysql
scope: all
loader: ol_ingest
table_prefix: raw__bench__openedx__mysql__
ol_ingest:
  source_kind: mysql
  replication_method: cdc
  metadata_columns: native
tables:
  - name: {table}
    raw_table: raw__bench__openedx__mysql__{table}
    sync_mode: {mode}
    primary_key: [id]
"""
UPDATES = """BEGIN NOT ATOMIC
  DECLARE low bigint DEFAULT 1;
  DECLARE top bigint DEFAULT (SELECT max(id) FROM {table});
  WHILE low <= top DO
    UPDATE {table} SET grade = coalesce(grade, 0) + 1, modified = now(6) WHERE id BETWEEN low AND low + 99;
    SET low = low + 100;
  END WHILE;
END"""


def update() -> str:
    """Updates every row; the first file of the log that has it. Of the log before, only the file in which the table is stays."""
    present = mysql.answer(mysql.DATABASE, "SHOW MASTER STATUS").split("\t")[0]
    mysql.answer(mysql.DATABASE, f"PURGE BINARY LOGS TO '{present}'")
    mysql.answer(mysql.DATABASE, "FLUSH BINARY LOGS")
    first = mysql.answer(mysql.DATABASE, "SHOW MASTER STATUS").split("\t")[0]
    command = [*mysql.client(mysql.DATABASE, UPDATES.format(table=TABLE)), "--delimiter=//"]
    subprocess.run(command, check=True, env={**os.environ, **mysql.login()})
    return first


def floor(first: str) -> Measured:
    """The log from a file on, as the server's own client reads it."""
    address = ["--host=127.0.0.1", f"--port={os.environ['MARIADB_PORT']}", f"--user={os.environ['MARIADB_USER']}"]
    command = ["mariadb-binlog", "--no-defaults", *address, "--read-from-remote-server", "--to-last-log", first]
    return measure.measure(command, mysql.login())


class Followed:
    """`ol-ingest stream` of the table into a lake, in one of the two forms."""

    def __init__(self, program: pathlib.Path, mode: str):
        self.program = program
        self.inventory = FOLDER / "inventory" / f"mysql-{mode}"
        units = self.inventory / "units"
        units.mkdir(parents=True, exist_ok=True)
        (units / "bench.yml").write_text(UNIT.format(table=TABLE, mode=mode))
        self.environment = {
            "OL_ENV": "ci",
            "OL_CATALOG": f"sqlite:{LAKE}/catalog.db",
            "OL_WAREHOUSE": str(LAKE / "warehouse"),
            "OL_SOURCE_BENCH_OPENEDX_MYSQL_URL": mysql.url(mysql.DATABASE),
        }

    def begin(self) -> None:
        """An empty lake; then the table is copied."""
        shutil.rmtree(LAKE, ignore_errors=True)
        LAKE.mkdir(parents=True)
        self.stream()

    def stream(self) -> Measured:
        """One tick, to the end of the log."""
        where = ["--inventory", str(self.inventory), "--unit", "bench/openedx_mysql"]
        command = [str(self.program), "--output", "json", "stream", *where, "--until-caught-up"]
        report = FOLDER / "stream.json"
        measured = measure.measure(command, self.environment, output=report)
        told = json.loads(report.read_text())
        measured.rows = sum(table["rows"] for table in told["tables"])
        measured.output_bytes = sum(table["bytes"] for table in told["tables"])
        return measured


def case(name: str, followed: Followed, repetitions: int) -> dict:
    """Floor and ours in turn over the same files of the log."""
    wanted = int(mysql.answer(mysql.DATABASE, f"SELECT count(*) FROM {TABLE}"))
    followed.begin()
    floors, runs = [], []
    for repetition in range(repetitions):
        floors.append(floor(update()))
        runs.append(followed.stream())
        if runs[-1].rows != wanted:
            raise measure.Failed(f"{runs[-1].rows} of {wanted} changes arrived")
        print(
            f"  {name} {repetition + 1}/{repetitions}: floor {floors[-1].wall_seconds:.2f} s, ours"
            f" {runs[-1].wall_seconds:.2f} s ({runs[-1].wall_seconds / floors[-1].wall_seconds:.2f} ×),"
            f" {runs[-1].cpu_seconds:.2f} CPU s, {runs[-1].peak_bytes >> 20} MiB",
            flush=True,
        )
    ratios = measure.median_ratios(runs, floors)
    return document(name, measure.median(runs), measure.median(floors), ratios, repetitions=repetitions)


def cases(program: pathlib.Path, repetitions: int) -> dict:
    """Name and measurement of each case of catching up."""
    forms = {"mysql_cdc_append": "incremental_append", "mysql_cdc_merge": "incremental_update"}

    def measured(name: str, mode: str):
        return lambda: case(name, Followed(program, mode), repetitions)

    return {name: measured(name, mode) for name, mode in forms.items()}
