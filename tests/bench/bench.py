"""The measurements of `make bench`: ours beside the floor of the same server and beside a peer, interleaved.

The floor is what the server needs to hand the rows over at all: `psql -c "COPY … (FORMAT binary)"`, thrown away. A
machine's speed drifts by tens of percent within minutes, so every figure of ours is divided by the floor measured just
before it, and the median of those ratios is what is quoted. Every run of ours starts with an empty lake, and its row
count must be the server's.

Writes tests/bench/runs/latest.json and prints the same as a table. Reads the server's address from libpq's variables.
"""

import argparse
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys

import measure
from measure import Measured

ROOT = pathlib.Path(__file__).resolve().parents[2]
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


def database_url(database: str) -> str:
    """The address of a database of our server."""
    user, password, port = (os.environ[name] for name in ("PGUSER", "PGPASSWORD", "PGPORT"))
    return f"postgres://{user}:{password}@127.0.0.1:{port}/{database}"


def answer(database: str, query: str) -> str:
    """The one value of a query."""
    command = ["psql", "-X", "-A", "-t", "-d", database, "-c", query]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class Ours:
    """`ol-ingest run` of some tables of one database into a lake."""

    def __init__(self, program: pathlib.Path, database: str, tables):
        self.program = program
        self.database = database
        self.tables = tables
        self.inventory = FOLDER / "inventory" / f"{database}-{tables[0][1]}"
        units = self.inventory / "units"
        units.mkdir(parents=True, exist_ok=True)
        blocks = "".join(TABLE.format(schema=schema, name=name) for schema, name in tables)
        (units / "bench.yml").write_text(UNIT + blocks)
        counted = " + ".join(f'(SELECT count(*) FROM {schema}."{name}")' for schema, name in tables)
        self.rows = int(answer(database, f"SELECT {counted}"))

    def run(self, fresh: bool = True) -> Measured:
        """One run; `fresh` empties the lake before it. Raises when a row is missing.

        Over the lake of an earlier run, tables that have not changed since are left as they are: no row is written.
        """
        if fresh:
            shutil.rmtree(LAKE, ignore_errors=True)
            LAKE.mkdir(parents=True)
        report = FOLDER / "run.json"
        environment = {
            "OL_ENV": "ci",
            "OL_CATALOG": f"sqlite:{LAKE}/catalog.db",
            "OL_WAREHOUSE": str(LAKE / "warehouse"),
            "OL_SOURCE_BENCH_APP_POSTGRES_URL": database_url(self.database),
        }
        command = [str(self.program), "--output", "json", "run", "--inventory", str(self.inventory)]
        measured = measure.measure(command, environment, output=report)
        told = json.loads(report.read_text())
        measured.rows = sum(table["rows"] for table in told["tables"])
        measured.output_bytes = measure.folder_bytes(str(LAKE), ".parquet")
        wanted = self.rows if fresh else 0
        if told["outcome"] != "done" or measured.rows != wanted:
            raise measure.Failed(f"{measured.rows} of {wanted} rows were written, outcome {told['outcome']}")
        return measured


def floor(database: str, schema: str, name: str) -> Measured:
    """The server's binary COPY of a table, thrown away."""
    return measure.measure(["psql", "-X", "-d", database, "-c", f"COPY {schema}.{name} TO STDOUT (FORMAT binary)"])


def dlt(database: str, name: str) -> Measured:
    """dlt's load of a table into a fresh lake."""
    place = FOLDER / "peer"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    python = pathlib.Path(os.environ["OL_CACHE"]) / "venv-bench" / "bin" / "python"
    quiet = {"RUNTIME__DLTHUB_TELEMETRY": "false", "DLT_PROJECT_DIR": str(place), "HOME": str(place)}
    program = str(ROOT / "tests" / "bench" / "peer_dlt.py")
    url = database_url(database).replace("postgres://", "postgresql+psycopg2://")
    counted = place / "rows.txt"
    measured = measure.measure([str(python), program, url, name, str(place)], quiet, output=counted)
    measured.rows = int(counted.read_text().split()[-1])
    measured.output_bytes = measure.folder_bytes(str(place / "lake"), ".parquet")
    return measured


def document(name: str, ours: Measured, floor_median=None, ratios=(None, None), peers=None, repetitions=1) -> dict:
    """One entry of latest.json."""
    entry = {
        "name": name,
        "commit": commit(),
        "host": host(),
        "scale": float(os.environ.get("OL_BENCH_SCALE", "1")),
        "repetitions": repetitions,
        "ours": ours.document(),
        "floor": floor_median.document() if floor_median else None,
        "peers": peers or {},
        "ratio_wall_to_floor": ratios[0],
        "ratio_cpu_to_floor": ratios[1],
    }
    return entry


def load_case(name: str, ours: Ours, repetitions: int, with_dlt: bool) -> dict:
    """Floor and ours in turn, then the peer once with a floor of its own before it."""
    schema, table = ours.tables[0]
    floors, runs = [], []
    for repetition in range(repetitions):
        floors.append(floor(ours.database, schema, table))
        runs.append(ours.run())
        ratio = runs[-1].wall_seconds / floors[-1].wall_seconds
        print(
            f"  {name} {repetition + 1}/{repetitions}: floor {floors[-1].wall_seconds:.2f} s,"
            f" ours {runs[-1].wall_seconds:.2f} s ({ratio:.2f} ×), {runs[-1].cpu_seconds:.2f} CPU s",
            flush=True,
        )
    walls = [run.wall_seconds / before.wall_seconds for run, before in zip(runs, floors)]
    processors = [run.cpu_seconds / before.cpu_seconds for run, before in zip(runs, floors)]
    peers = {}
    if with_dlt:
        before = floor(ours.database, schema, table)
        measured = dlt(ours.database, table)
        peers["dlt"] = measured.document()
        peers["dlt"]["ratio_wall_to_floor"] = round(measured.wall_seconds / before.wall_seconds, 3)
        print(f"  {name}: dlt {measured.wall_seconds:.2f} s ({peers['dlt']['ratio_wall_to_floor']:.2f} ×)", flush=True)
    ratios = (round(statistics.median(walls), 3), round(statistics.median(processors), 3))
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


def commit() -> str:
    """The commit measured, with a mark when the tree differs from it."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"]
    told = subprocess.run(command, capture_output=True, text=True)
    return told.stdout.strip() or "unknown"


def host() -> dict:
    """What the figures depend on, without the machine's name."""
    processor = platform.machine()
    with open("/proc/cpuinfo") as lines:
        processor = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), processor)
    with open("/proc/meminfo") as lines:
        memory_bytes = int(lines.readline().split()[1]) * 1024
    return {
        "processor": processor,
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": memory_bytes,
        "kernel": platform.release().split("-")[0],
        "postgres": answer("postgres", "SHOW server_version").split()[0],
    }


def shown(value, pattern="{:.2f}", scale=1.0) -> str:
    """A figure of the table, or a dash."""
    return pattern.format(value / scale) if value is not None else "–"


def print_table(entries) -> None:
    """What latest.json says, for a person."""
    print(f"\n{'case':<26}{'who':<7}{'wall s':>9}{'× floor':>9}{'CPU s':>9}{'peak MiB':>10}{'rows':>12}{'MB out':>9}")
    for entry in entries:
        lines = [("floor", entry["floor"], 1.0 if entry["floor"] else None)]
        lines.append(("ours", entry["ours"], entry["ratio_wall_to_floor"]))
        lines += [(name, peer, peer.get("ratio_wall_to_floor")) for name, peer in entry["peers"].items()]
        for who, figures, ratio in lines:
            if figures is None:
                continue
            print(
                f"{entry['name']:<26}{who:<7}{figures['wall_seconds']:>9.2f}{shown(ratio):>9}{figures['cpu_seconds']:>9.2f}"
                f"{figures['peak_bytes'] / 2**20:>10.0f}{shown(figures['rows'] or None, '{:,.0f}'):>12}"
                f"{shown(figures['output_bytes'] or None, '{:.0f}', 1e6):>9}"
            )


def main() -> None:
    """Measures every case that was asked for."""
    parser = argparse.ArgumentParser(description="Measure ol-ingest; see tests/bench/run.sh")
    parser.add_argument("--release", type=pathlib.Path, required=True, help="folder of the release binaries")
    options = parser.parse_args()
    program = options.release / "ol-ingest"
    repetitions = max(3, int(os.environ.get("OL_BENCH_REPETITIONS", "3")))
    with_peers = os.environ.get("OL_BENCH_PEERS", "1") != "0"

    lineitem = Ours(program, "bench", [("public", "lineitem")])
    wide = Ours(program, "bench", [("public", "courseware_studentmodule")])
    small = Ours(program, "bench", [("small", f"small_{number}") for number in range(1, 101)])
    entries = [
        load_case("postgres_lineitem", lineitem, repetitions, with_peers),
        load_case("postgres_wide", wide, repetitions, False),
        noop_case(small, repetitions),
        plain_case("cold_start", [str(program), "--version"], 20),
    ]
    if os.environ.get("OL_BENCH_FLAT", "0") == "1":
        large = Ours(program, "bench_large", [("public", "lineitem")])
        entries.append(load_case("postgres_lineitem_large", large, 1, False))
        growth = entries[-1]["ours"]["peak_bytes"] / entries[0]["ours"]["peak_bytes"]
        print(f"  Peak memory at ten times the rows: {growth:.2f} ×", flush=True)

    runs = ROOT / "tests" / "bench" / "runs"
    runs.mkdir(exist_ok=True)
    (runs / "latest.json").write_text(json.dumps(entries, indent=2) + "\n")
    print_table(entries)


if __name__ == "__main__":
    try:
        main()
    except measure.Failed as failure:
        sys.exit(f"bench: {failure}")
