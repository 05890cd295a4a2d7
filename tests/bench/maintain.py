"""The lake kept small: many tables, one table of many files, and what a scan gains by it.

`maintain_1300_tables`: 1,300 small tables of 20 snapshots on an S3 server, every one with two files that nothing refers to;
`ol-ingest maintain` expires all snapshots but the last and sweeps, and a PyIceberg script does the same (see
peer_maintain.py). Both begin with a copy of one lake and end with as many objects. The server counts the requests.

`maintain_compact`: one table of 200 files; its compaction, beside PyIceberg reading and overwriting it; and a sum by DuckDB
over all rows before and after. `rows` and `output_bytes` are those of the table.

`maintain_commit_latency`: one commit of ten rows in SQLite, Postgres, Iceberg's REST server over Postgres, and moto for Glue.

The S3 server is a debug build within one process, which slows both alike; its processor time is not in the figures.
"""

import json
import os
import pathlib
import shutil
import sqlite3
import subprocess

import measure
from figures import ROOT, document
from measure import Measured

FOLDER = pathlib.Path(os.environ["OL_BENCH_FOLDER"]) / "maintain"
NAMESPACE = "ol_warehouse_ci_raw"
TABLES = int(os.environ.get("OL_BENCH_TABLES", "1300"))
SNAPSHOTS = 20
COMPACT_FILES = 200
COMPACT_ROWS = 50_000
COMMITS = 200
PEER = ROOT / "tests" / "bench" / "peer_maintain.py"


def python() -> str:
    """The Python that has PyIceberg and DuckDB."""
    return str(pathlib.Path(os.environ["OL_CACHE"]) / "venv" / "bin" / "python")


class Served:
    """A copy of a lake of examples/many_tables.rs, behind its S3 server."""

    def __init__(self, program: pathlib.Path, name: str, tables: int, snapshots: int, rows: int):
        self.program = program
        self.made = FOLDER / f"{name}-{tables}-{snapshots}-{rows}"
        self.used = FOLDER / "used"
        if not (self.made / "done").exists():
            shutil.rmtree(self.made, ignore_errors=True)
            self.made.mkdir(parents=True)
            print(f"  making {tables} tables of {snapshots} snapshots", flush=True)
            command = [str(program), "make", str(self.made), str(tables), str(snapshots), str(rows)]
            subprocess.run(command, check=True)
            (self.made / "done").touch()

    def __enter__(self):
        shutil.rmtree(self.used, ignore_errors=True)
        subprocess.run(["cp", "-a", str(self.made), str(self.used)], check=True)
        self.process = subprocess.Popen(
            [str(self.program), "serve", str(self.used)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.environment = {
            **json.loads(self.process.stdout.readline()),
            "OL_ENV": "ci",
            "OL_CATALOG": f"sqlite:{self.used}/catalog.db",
            "OL_WAREHOUSE": "s3://lake/raw",
        }
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        shutil.rmtree(self.used, ignore_errors=True)

    def requests(self) -> dict:
        """The requests by method since the last call."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def objects(self) -> int:
        """How many objects the bucket holds."""
        return sum(len(names) for _, _, names in os.walk(self.used / "s3" / "lake"))

    def metadata(self, table: str) -> str:
        """Where the catalog points for a table."""
        with sqlite3.connect(self.used / "catalog.db") as catalog:
            query = "SELECT metadata_location FROM iceberg_tables WHERE table_name = ?"
            return catalog.execute(query, (table,)).fetchone()[0]


def ours(program: pathlib.Path, served: Served, *wishes: str) -> Measured:
    """One `ol-ingest maintain`; the requests are left at the server."""
    report = FOLDER / "maintain.json"
    command = [str(program), "--output", "json", "maintain", "--namespace", NAMESPACE, *wishes]
    unhurried = {"OL_MAINTAIN__TABLES_PER_SECOND": "10000"}
    measured = measure.measure(command, {**served.environment, **unhurried}, output=report)
    if json.loads(report.read_text())["outcome"] != "done":
        raise measure.Failed(report.read_text()[-3000:])
    return measured


def peer(served: Served, what: str) -> Measured:
    """The same by PyIceberg."""
    return measure.measure([python(), str(PEER), what, str(served.used / "catalog.db"), NAMESPACE], served.environment)


def many_tables(program: pathlib.Path, example: pathlib.Path, repetitions: int) -> dict:
    """Expiry and sweep of many small tables."""
    served = Served(example, "many", TABLES, SNAPSHOTS, 10)
    runs, requests, left = [], {}, set()
    for repetition in range(repetitions):
        with served:
            before = served.objects()
            runs.append(ours(program, served, "--expire-days", "0", "--orphan-days", "7"))
            requests, after = served.requests(), served.objects()
            left.add(after)
            print(
                f"  maintain_1300_tables {repetition + 1}/{repetitions}: {runs[-1].wall_seconds:.1f} s,"
                f" {runs[-1].cpu_seconds:.1f} CPU s, {before} objects to {after}, requests {requests}",
                flush=True,
            )
    entry = document("maintain_1300_tables", measure.median(runs), repetitions=repetitions)
    entry["tables"], entry["requests"], entry["objects_left"] = TABLES, requests, sorted(left)
    if os.environ.get("OL_BENCH_PEERS", "1") != "0":
        with served:
            measured = peer(served, "expire")
            entry["peers"]["pyiceberg"] = measured.document()
            entry["peers"]["pyiceberg"]["requests"] = served.requests()
            entry["peers"]["pyiceberg"]["objects_left"] = served.objects()
            print(f"  maintain_1300_tables: PyIceberg {entry['peers']['pyiceberg']}", flush=True)
    return entry


def scan_seconds(served: Served) -> float:
    """A sum by DuckDB over all rows of the one table, the best of three."""
    script = (
        "import duckdb, os, sys, time\n"
        "db = duckdb.connect(config={'threads': 2})\n"
        "for name in ('httpfs', 'iceberg', 'avro'): db.execute(f'INSTALL {name}; LOAD {name}')\n"
        "host = os.environ['AWS_ENDPOINT_URL_S3'].removeprefix('http://')\n"
        "db.execute(f\"CREATE SECRET (TYPE s3, KEY_ID '{os.environ['AWS_ACCESS_KEY_ID']}', \"\n"
        "           f\"SECRET '{os.environ['AWS_SECRET_ACCESS_KEY']}', ENDPOINT '{host}', URL_STYLE 'path', USE_SSL false)\")\n"
        "best = 1e9\n"
        "for _ in range(3):\n"
        "    began = time.monotonic()\n"
        "    db.execute(f\"SELECT count(*), sum(amount), max(note) FROM iceberg_scan('{sys.argv[1]}')\").fetchall()\n"
        "    best = min(best, time.monotonic() - began)\n"
        "print(best)\n"
    )
    where = served.metadata("raw__bench__t00000")
    command = [python(), "-c", script, where]
    told = subprocess.run(command, env={**os.environ, **served.environment}, capture_output=True, text=True)
    if told.returncode != 0:
        raise measure.Failed(told.stderr[-2000:])
    return float(told.stdout.split()[-1])


def compaction(program: pathlib.Path, example: pathlib.Path, repetitions: int) -> dict:
    """One table of many files."""
    served = Served(example, "compact", 1, COMPACT_FILES, COMPACT_ROWS)
    runs, scans = [], []
    for repetition in range(repetitions):
        with served:
            before = scan_seconds(served)
            bytes_before = measure.folder_bytes(str(served.used / "s3"), ".parquet")
            measured = ours(program, served, "--compact")
            scans.append((before, scan_seconds(served)))
            measured.rows, measured.output_bytes = COMPACT_FILES * COMPACT_ROWS, bytes_before
            runs.append(measured)
            print(
                f"  maintain_compact {repetition + 1}/{repetitions}: {measured.wall_seconds:.2f} s,"
                f" {bytes_before / 1e6 / measured.wall_seconds:.0f} MB/s, DuckDB {before:.2f} s before,"
                f" {scans[-1][1]:.2f} s after",
                flush=True,
            )
    entry = document("maintain_compact", measure.median(runs), repetitions=repetitions)
    middle = sorted(scans)[len(scans) // 2]
    entry["duckdb_scan_seconds"] = {"before": round(middle[0], 3), "after": round(middle[1], 3)}
    if os.environ.get("OL_BENCH_PEERS", "1") != "0":
        with served:
            entry["peers"]["pyiceberg"] = peer(served, "compact").document()
            print(f"  maintain_compact: PyIceberg {entry['peers']['pyiceberg']}", flush=True)
    return entry


def commit_latency(program: pathlib.Path) -> dict:
    """A commit of ten rows in each kind of catalog: `wall_seconds` is the median of SQLite's."""
    told = subprocess.run([str(program), str(COMMITS)], check=True, capture_output=True, text=True)
    found = {name: sorted(taken) for name, taken in json.loads(told.stdout.splitlines()[-1]).items()}
    shown = {
        name: {"median": round(taken[len(taken) // 2], 2), "percentile_95": round(taken[len(taken) * 95 // 100], 2)}
        for name, taken in found.items()
    }
    print(f"  maintain_commit_latency in milliseconds: {shown}", flush=True)
    entry = document("maintain_commit_latency", Measured(shown["sqlite"]["median"] / 1000, 0.0, 0), repetitions=COMMITS)
    entry["milliseconds"] = shown
    return entry


def cases(program: pathlib.Path, repetitions: int) -> dict:
    """Name and measurement of each case."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    examples = program.parent / "examples"
    example = examples / "many_tables"
    return {
        "maintain_commit_latency": lambda: commit_latency(examples / "commit_latency"),
        "maintain_1300_tables": lambda: many_tables(program, example, repetitions),
        "maintain_compact": lambda: compaction(program, example, repetitions),
    }
