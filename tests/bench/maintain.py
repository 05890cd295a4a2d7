"""The lake kept small: many tables, one table of many files, what a scan gains by it, and what a commit costs.

`maintain_1300_tables`: 1,300 small tables of 20 snapshots in a folder, every one with two files that nothing refers to;
`ol-ingest maintain` expires all snapshots but the last and sweeps, and a PyIceberg script does the same (see
peer_maintain.py). Both begin with a copy of one lake, and must end with as many files.

`maintain_requests`: the same of 50 tables on an S3 server, which counts the requests. (It walks through the whole bucket for
every listing, so its seconds say nothing of many tables, and it is in no figure of processor time.)

`maintain_compact`: one table of 200 files; its compaction, beside PyIceberg reading and overwriting it; and a sum by DuckDB
over all rows before and after. `rows` and `output_bytes` are those of the table.

`maintain_commit_latency`: one commit of ten rows in SQLite, Postgres, Iceberg's REST server over Postgres, and moto for Glue.

The programs of the examples, which make and serve the lakes, are those of the tests; only `ol-ingest` is optimized.
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
TABLES_ON_S3 = 50
SNAPSHOTS = 20
COMPACT_FILES = 200
COMPACT_ROWS = 50_000
COMMITS = 200
PEER = ROOT / "tests" / "bench" / "peer_maintain.py"


def python() -> str:
    """The Python that has PyIceberg and DuckDB."""
    return str(pathlib.Path(os.environ["OL_CACHE"]) / "venv" / "bin" / "python")


class Lake:
    """A lake of examples/many_tables.rs in a folder: what was made is kept, and used at the place where it was made."""

    place = "folder"

    def __init__(self, program: pathlib.Path, tables: int, snapshots: int, rows: int):
        self.program = program
        self.kept = FOLDER / f"{self.place}-{tables}-{snapshots}-{rows}"
        self.used = FOLDER / "used"
        if not self.kept.exists():
            print(f"  making {tables} tables of {snapshots} snapshots", flush=True)
            self.clear()
            self.used.mkdir(parents=True)
            command = [str(program), self.place, str(self.used), str(tables), str(snapshots), str(rows)]
            subprocess.run(command, check=True)
            self.used.rename(self.kept)
        self.environment = {
            "OL_ENV": "ci",
            "OL_CATALOG": f"sqlite:{self.used}/catalog.db",
            "OL_WAREHOUSE": str(self.used / "warehouse"),
        }

    def clear(self) -> None:
        """Takes away what was used."""
        shutil.rmtree(self.used, ignore_errors=True)

    def __enter__(self):
        self.clear()
        subprocess.run(["cp", "-a", str(self.kept), str(self.used)], check=True)
        return self

    def __exit__(self, *_):
        self.clear()

    def files(self) -> int:
        """How many files the tables have."""
        return sum(len(names) for place, _, names in os.walk(self.used) if place.endswith(("data", "metadata")))

    def metadata(self, table: str) -> str:
        """Where the catalog points for a table."""
        with sqlite3.connect(self.used / "catalog.db") as catalog:
            query = "SELECT metadata_location FROM iceberg_tables WHERE table_name = ?"
            return catalog.execute(query, (table,)).fetchone()[0]


class Served(Lake):
    """The same on an S3 server."""

    place = "s3"

    def __enter__(self):
        super().__enter__()
        self.process = subprocess.Popen(
            [str(self.program), "serve", str(self.used)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.environment |= json.loads(self.process.stdout.readline())
        self.environment["OL_WAREHOUSE"] = "s3://lake/raw"
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.clear()

    def requests(self) -> dict:
        """The requests by method since the last call."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def ours(program: pathlib.Path, lake: Lake, *wishes: str) -> Measured:
    """One `ol-ingest maintain`."""
    report = FOLDER / "maintain.json"
    command = [str(program), "--output", "json", "maintain", "--namespace", NAMESPACE, *wishes]
    unhurried = {"OL_MAINTAIN__TABLES_PER_SECOND": "10000"}
    measured = measure.measure(command, {**lake.environment, **unhurried}, output=report)
    if json.loads(report.read_text())["outcome"] != "done":
        raise measure.Failed(report.read_text()[-3000:])
    return measured


def peer(lake: Lake, what: str) -> Measured:
    """The same by PyIceberg."""
    return measure.measure([python(), str(PEER), what, str(lake.used / "catalog.db"), NAMESPACE], lake.environment)


EXPIRE = ("--expire-days", "0", "--orphan-days", "7")


def with_peer() -> bool:
    """Whether PyIceberg is measured, too."""
    return os.environ.get("OL_BENCH_PEERS", "1") != "0"


def many_tables(program: pathlib.Path, example: pathlib.Path, repetitions: int) -> dict:
    """Expiry and sweep of many small tables."""
    lake = Lake(example, TABLES, SNAPSHOTS, 10)
    runs, left = [], 0
    for repetition in range(repetitions):
        with lake:
            before = lake.files()
            runs.append(ours(program, lake, *EXPIRE))
            left = lake.files()
            print(
                f"  maintain_1300_tables {repetition + 1}/{repetitions}: {runs[-1].wall_seconds:.1f} s,"
                f" {runs[-1].cpu_seconds:.1f} CPU s, {runs[-1].peak_bytes / 2**20:.0f} MiB, {before} files to {left}",
                flush=True,
            )
    entry = document("maintain_1300_tables", measure.median(runs), repetitions=repetitions)
    entry["tables"] = TABLES
    if with_peer():
        with lake:
            measured = peer(lake, "expire")
            if lake.files() != left:
                raise measure.Failed(f"PyIceberg left {lake.files()} files, not {left}")
            entry["peers"]["pyiceberg"] = measured.document()
            print(f"  maintain_1300_tables: PyIceberg {measured}", flush=True)
    return entry


def requests(program: pathlib.Path, example: pathlib.Path) -> dict:
    """The requests that expiry and sweep of a table take."""
    lake = Served(example, TABLES_ON_S3, SNAPSHOTS, 10)
    with lake:
        entry = document("maintain_requests", ours(program, lake, *EXPIRE))
        entry["tables"], entry["requests"] = TABLES_ON_S3, lake.requests()
    if with_peer():
        with lake:
            told = entry["peers"]["pyiceberg"] = peer(lake, "expire").document()
            told["requests"] = lake.requests()
    print(f"  maintain_requests of {TABLES_ON_S3} tables: {entry['requests']}, peers {entry['peers']}", flush=True)
    return entry


SCAN = """import duckdb, duckdb_extension_avro, duckdb_extension_iceberg, pathlib, sys, time
db = duckdb.connect(config={'threads': 2, 'allow_unsigned_extensions': 'true'})
for package in (duckdb_extension_avro, duckdb_extension_iceberg):
    db.execute(f"LOAD '{next(pathlib.Path(package.__file__).parent.rglob('*.duckdb_extension'))}'")
best = 1e9
for _ in range(3):
    began = time.monotonic()
    db.execute(f"SELECT count(*), sum(amount), max(note) FROM iceberg_scan('{sys.argv[1]}')").fetchall()
    best = min(best, time.monotonic() - began)
print(best)
"""


def scan_seconds(lake: Lake) -> float:
    """A sum by DuckDB over all rows of the one table, the best of three."""
    command = [python(), "-c", SCAN, lake.metadata("raw__bench__t00000")]
    told = subprocess.run(command, capture_output=True, text=True)
    if told.returncode != 0:
        raise measure.Failed(told.stderr[-2000:])
    return float(told.stdout.split()[-1])


def compaction(program: pathlib.Path, example: pathlib.Path, repetitions: int) -> dict:
    """One table of many files."""
    lake = Lake(example, 1, COMPACT_FILES, COMPACT_ROWS)
    runs, scans = [], []
    for repetition in range(repetitions):
        with lake:
            before = scan_seconds(lake)
            bytes_before = measure.folder_bytes(str(lake.used), ".parquet")
            measured = ours(program, lake, "--compact")
            scans.append((before, scan_seconds(lake)))
            measured.rows, measured.output_bytes = COMPACT_FILES * COMPACT_ROWS, bytes_before
            runs.append(measured)
            print(
                f"  maintain_compact {repetition + 1}/{repetitions}: {measured.wall_seconds:.2f} s,"
                f" {bytes_before / 1e6 / measured.wall_seconds:.0f} MB/s, {measured.peak_bytes / 2**20:.0f} MiB,"
                f" DuckDB {before:.2f} s before, {scans[-1][1]:.2f} s after",
                flush=True,
            )
    entry = document("maintain_compact", measure.median(runs), repetitions=repetitions)
    middle = sorted(scans)[len(scans) // 2]
    entry["duckdb_scan_seconds"] = {"before": round(middle[0], 3), "after": round(middle[1], 3)}
    if with_peer():
        with lake:
            entry["peers"]["pyiceberg"] = peer(lake, "compact").document()
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


def cases(program: pathlib.Path, examples: pathlib.Path, repetitions: int) -> dict:
    """Name and measurement of each case."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    example = examples / "many_tables"
    return {
        "maintain_commit_latency": lambda: commit_latency(examples / "commit_latency"),
        "maintain_1300_tables": lambda: many_tables(program, example, repetitions),
        "maintain_requests": lambda: requests(program, example),
        "maintain_compact": lambda: compaction(program, example, repetitions),
    }
