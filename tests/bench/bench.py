"""The measurements of `make bench`: ours beside the floor of the same server and beside a peer, interleaved.

The floor is what the server needs to hand the rows over at all: `psql -c "COPY … (FORMAT binary)"`, or `mariadb --quick` with
a SELECT, thrown away. A
machine's speed drifts by tens of percent within minutes, so every figure of ours is divided by the floor measured just
before it, and the median of those ratios is what is quoted. Every run of ours starts with an empty lake, and its row
count must be the server's.

The cases of change capture are in changes.py, merge.py and latency.py; those of `ol-ingest maintain` (maintain.py) and of
`ol-webhook` (webhook.py) need no Postgres.

Writes tests/bench/runs/latest.json and prints the same as a table; entries of cases that were not asked for stay. Reads
the servers' addresses from libpq's variables and those of deploy/scripts/mariadb.sh.
"""

import argparse
import json
import os
import pathlib
import shutil
import sys

import changes
import figures
import latency
import maintain
import measure
import merge
import mysql
import mysql_changes
import webhook
from figures import database_url, document, postgres_answer
from measure import Measured

FOLDER = pathlib.Path(os.environ["OL_BENCH_FOLDER"])
LAKE = FOLDER / "lake"
UNIT = """version: 1
deployment: bench
layer: app_postgres
scope: all
loader: ol_ingest
table_prefix: raw__bench__app__postgres__
ol_ingest:
  source_kind: postgres
  replication_method: full
  metadata_columns: native
tables:
"""
TABLE = """  - name: {name}
    namespace: {schema}
    raw_table: raw__bench__app__postgres__{name}
    sync_mode: full_refresh_overwrite
"""


class Ours:
    """`ol-ingest run` of some tables of one database into a lake."""

    def __init__(self, program: pathlib.Path, database: str, tables, lake: pathlib.Path = LAKE):
        self.program = program
        self.lake = lake
        self.database = database
        self.tables = tables
        self.inventory = FOLDER / "inventory" / f"{database}-{tables[0][1]}"
        units = self.inventory / "units"
        units.mkdir(parents=True, exist_ok=True)
        (units / "bench.yml").write_text(self.unit())
        self.rows = self.count()

    def unit(self) -> str:
        """The unit file."""
        return UNIT + "".join(TABLE.format(schema=schema, name=name) for schema, name in self.tables)

    def count(self) -> int:
        """The rows of the tables, by the server."""
        counted = " + ".join(f'(SELECT count(*) FROM {schema}."{name}")' for schema, name in self.tables)
        return int(postgres_answer(self.database, f"SELECT {counted}"))

    def source(self) -> dict:
        """The variable that says where the source is."""
        return {"OL_SOURCE_BENCH_APP_POSTGRES_URL": database_url(self.database)}

    def floor(self) -> Measured:
        """The first table, thrown away."""
        return floor(self.database, *self.tables[0])

    def peer(self) -> Measured:
        """The first table, loaded by dlt."""
        return dlt(database_url(self.database).replace("postgres://", "postgresql+psycopg2://"), self.tables[0][1])

    def run(self, fresh: bool = True) -> Measured:
        """One run; `fresh` empties the lake before it. Raises when a row is missing.

        Over the lake of an earlier run, tables that have not changed since are left as they are: no row is written.
        """
        if fresh:
            shutil.rmtree(self.lake, ignore_errors=True)
            self.lake.mkdir(parents=True)
        report = FOLDER / "run.json"
        environment = {
            "OL_ENV": "ci",
            "OL_CATALOG": f"sqlite:{self.lake}/catalog.db",
            "OL_WAREHOUSE": str(self.lake / "warehouse"),
            **self.source(),
        }
        command = [str(self.program), "--output", "json", "run", "--inventory", str(self.inventory)]
        measured = measure.measure(command, environment, output=report)
        told = json.loads(report.read_text())
        measured.rows = sum(table["rows"] for table in told["tables"])
        measured.output_bytes = measure.folder_bytes(str(self.lake), ".parquet")
        wanted = self.rows if fresh else 0
        if told["outcome"] != "done" or measured.rows != wanted:
            raise measure.Failed(f"{measured.rows} of {wanted} rows were written, outcome {told['outcome']}")
        return measured


def floor(database: str, schema: str, name: str) -> Measured:
    """The server's binary COPY of a table, thrown away."""
    return measure.measure(["psql", "-X", "-d", database, "-c", f"COPY {schema}.{name} TO STDOUT (FORMAT binary)"])


class OursOfMysql(Ours):
    """The same of the MariaDB of run.sh."""

    def unit(self) -> str:
        of_postgres = UNIT.replace("app__postgres", "openedx__mysql").replace("app_postgres", "openedx_mysql")
        tables = [mysql.TABLE.format(name=name) for _, name in self.tables]
        return of_postgres.replace("source_kind: postgres", "source_kind: mysql") + "".join(tables)

    def count(self) -> int:
        counted = " + ".join(f"(SELECT COUNT(*) FROM {name})" for _, name in self.tables)
        return int(mysql.answer(self.database, f"SELECT {counted}"))

    def source(self) -> dict:
        return {"OL_SOURCE_BENCH_OPENEDX_MYSQL_URL": mysql.url(self.database)}

    def floor(self) -> Measured:
        return mysql.floor(self.database, self.tables[0][1])

    def peer(self) -> Measured:
        return dlt(mysql.url(self.database).replace("mysql://", "mysql+pymysql://"), self.tables[0][1])


def dlt(url: str, name: str, key: str = "", fresh: bool = True) -> Measured:
    """dlt's load of a table into a fresh lake, or, by its key, what changed since the last load into that one.

    Raises Failed when it has not ended within the seconds of OL_BENCH_PEER_SECONDS.
    """
    place = FOLDER / "peer"
    if fresh:
        shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True, exist_ok=True)
    python = pathlib.Path(os.environ["OL_CACHE"]) / "venv-bench" / "bin" / "python"
    quiet = {"RUNTIME__DLTHUB_TELEMETRY": "false", "DLT_PROJECT_DIR": str(place), "HOME": str(place)}
    program = str(figures.ROOT / "tests" / "bench" / "peer_dlt.py")
    counted = place / "rows.txt"
    command = ["timeout", merge.PEER_SECONDS, str(python), program, url, name, str(place), *([key] if key else [])]
    measured = measure.measure(command, quiet, output=counted)
    measured.rows = int(counted.read_text().split()[-1])
    measured.output_bytes = measure.folder_bytes(str(place / "lake"), ".parquet")
    return measured


def load_case(name: str, ours: Ours, repetitions: int, with_dlt: bool) -> dict:
    """Floor and ours in turn, then the peer once with a floor of its own before it."""
    floors, runs = [], []
    for repetition in range(repetitions):
        floors.append(ours.floor())
        runs.append(ours.run())
        ratio = runs[-1].wall_seconds / floors[-1].wall_seconds
        print(
            f"  {name} {repetition + 1}/{repetitions}: floor {floors[-1].wall_seconds:.2f} s,"
            f" ours {runs[-1].wall_seconds:.2f} s ({ratio:.2f} ×), {runs[-1].cpu_seconds:.2f} CPU s",
            flush=True,
        )
    peers = {}
    if with_dlt:
        before = ours.floor()
        try:
            measured = ours.peer()
            ratio = round(measured.wall_seconds / before.wall_seconds, 3)
            peers["dlt"] = {**measured.document(), "ratio_wall_to_floor": ratio}
            print(f"  {name}: dlt {measured.wall_seconds:.2f} s ({ratio:.2f} ×)", flush=True)
        except measure.Failed as failure:
            peers["dlt"] = merge.given_up(name, failure)
    ratios = measure.median_ratios(runs, floors)
    return document(name, measure.median(runs), measure.median(floors), ratios, peers, repetitions)


def noop_case(ours: Ours, repetitions: int) -> dict:
    """A second run over a hundred small tables that have not changed since the first."""
    ours.run()
    runs = [ours.run(fresh=False) for _ in range(repetitions)]
    return document("noop_100_tables", measure.median(runs), repetitions=repetitions)


def plain_case(name: str, command, repetitions: int) -> dict:
    """A command that touches no server."""
    runs = [measure.measure(command) for _ in range(repetitions)]
    return document(name, measure.median(runs), repetitions=repetitions)


def postgres_cases(release: pathlib.Path, repetitions: int):
    """Name and measurement of each case that loads from the Postgres of run.sh."""
    program = release / "ol-ingest"
    with_peers = os.environ.get("OL_BENCH_PEERS", "1") != "0"
    lineitem = [("public", "lineitem")]
    wide = [("public", "courseware_studentmodule")]
    small = [("small", f"small_{number}") for number in range(1, 101)]
    return {
        "postgres_lineitem": lambda: load_case(
            "postgres_lineitem", Ours(program, "bench", lineitem), repetitions, with_peers
        ),
        "postgres_wide": lambda: load_case("postgres_wide", Ours(program, "bench", wide), repetitions, False),
        "noop_100_tables": lambda: noop_case(Ours(program, "bench", small), repetitions),
    }


def mysql_cases(release: pathlib.Path, repetitions: int):
    """Name and measurement of each case that loads from the MariaDB of run.sh."""
    with_peers = os.environ.get("OL_BENCH_PEERS", "1") != "0"

    def case(name: str, table: str, with_dlt: bool):
        ours = OursOfMysql(release / "ol-ingest", mysql.DATABASE, [(mysql.DATABASE, table)])
        return load_case(name, ours, repetitions, with_dlt)

    return {
        "mysql_lineitem": lambda: case("mysql_lineitem", "lineitem", with_peers),
        "mysql_wide": lambda: case("mysql_wide", "courseware_studentmodule", False),
    }


def merge_cases(program: pathlib.Path, repetitions: int) -> dict:
    """Changed shares of a table merged, beside a full reload of it and dlt's merge."""
    with_peers = os.environ.get("OL_BENCH_PEERS", "1") != "0"

    def reload():
        return Ours(program, merge.DATABASE, [("public", merge.TABLE)], FOLDER / "reload").run()

    def peer(fresh: bool):
        url = database_url(merge.DATABASE).replace("postgres://", "postgresql+psycopg2://")
        return dlt(url, merge.TABLE, merge.KEY, fresh)

    return merge.cases(program, repetitions, reload, peer if with_peers else None)


def large_case(release: pathlib.Path, entries) -> dict:
    """Ten times the rows, to see that memory stays flat."""
    large = Ours(release / "ol-ingest", "bench_large", [("public", "lineitem")])
    entry = load_case("postgres_lineitem_large", large, 1, False)
    growth = entry["ours"]["peak_bytes"] / entries[0]["ours"]["peak_bytes"]
    print(f"  Peak memory at ten times the rows: {growth:.2f} ×", flush=True)
    return entry


def main() -> None:
    """Measures every case that was asked for."""
    parser = argparse.ArgumentParser(description="Measure ol-ingest and ol-webhook; see tests/bench/run.sh")
    parser.add_argument("--release", type=pathlib.Path, required=True, help="folder of the release binaries")
    parser.add_argument("--webhook", type=pathlib.Path, required=True, help="the program ol-webhook")
    parser.add_argument("--examples", type=pathlib.Path, required=True, help="folder of the examples of ol-lake")
    options = parser.parse_args()
    release = options.release
    repetitions = max(3, int(os.environ.get("OL_BENCH_REPETITIONS", "3")))
    only = os.environ.get("OL_BENCH_ONLY", "")

    cases = {
        **postgres_cases(release, repetitions),
        **mysql_cases(release, repetitions),
        **mysql_changes.cases(release / "ol-ingest", repetitions),
        **changes.cases(release / "ol-ingest", repetitions),
        **latency.cases(release / "ol-ingest"),
        **merge_cases(release / "ol-ingest", repetitions),
        "cold_start": lambda: plain_case("cold_start", [str(release / "ol-ingest"), "--version"], 20),
        **maintain.cases(release / "ol-ingest", options.examples, repetitions),
        **webhook.cases(options.webhook, repetitions),
    }
    chosen = [case for name, case in cases.items() if name.startswith(only)]
    if not chosen:
        raise measure.Failed(f"no case is called {only}…; there are {', '.join(cases)}")
    entries = []
    for case in chosen:
        told = case()
        entries += told if isinstance(told, list) else [told]
    if os.environ.get("OL_BENCH_FLAT", "0") == "1" and "postgres_lineitem".startswith(only):
        entries.append(large_case(release, entries))
    figures.write(entries)
    figures.print_table(entries)


if __name__ == "__main__":
    try:
        main()
    except measure.Failed as failure:
        sys.exit(f"bench: {failure}")
