"""What is written down of a measurement: the entries of latest.json and the table for a person."""

import json
import os
import pathlib
import platform
import subprocess

import mysql
from measure import Measured

ROOT = pathlib.Path(__file__).resolve().parents[2]
LATEST = ROOT / "tests" / "bench" / "runs" / "latest.json"


def database_url(database: str) -> str:
    """The address of a database of our server."""
    user, password, port = (os.environ[name] for name in ("PGUSER", "PGPASSWORD", "PGPORT"))
    return f"postgres://{user}:{password}@127.0.0.1:{port}/{database}"


def postgres_answer(database: str, query: str) -> str:
    """The one value of a query."""
    command = ["psql", "-X", "-A", "-t", "-d", database, "-c", query]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def document(name: str, ours: Measured, floor_median=None, ratios=(None, None), peers=None, repetitions=1) -> dict:
    """One entry of latest.json."""
    return {
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


def commit() -> str:
    """The commit measured, with a mark when the tree differs from it."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"]
    told = subprocess.run(command, capture_output=True, text=True)
    return told.stdout.strip() or "unknown"


def host() -> dict:
    """What the figures depend on, without the machine's name; the server's version when a server takes part."""
    processor = platform.machine()
    with open("/proc/cpuinfo") as lines:
        processor = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), processor)
    with open("/proc/meminfo") as lines:
        memory_bytes = int(lines.readline().split()[1]) * 1024
    told = {
        "processor": processor,
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": memory_bytes,
        "kernel": platform.release().split("-")[0],
    }
    if "PGPORT" in os.environ:
        told["postgres"] = postgres_answer("postgres", "SHOW server_version").split()[0]
    if "MARIADB_PORT" in os.environ:
        told["mariadb"] = mysql.answer("information_schema", "SELECT VERSION()")
    return told


def write(entries) -> None:
    """Puts the entries into latest.json; those of other cases stay as they are.

    What programs that nobody would deploy have shown stays in the folder of the data.
    """
    is_trial = os.environ.get("OL_BENCH_PROFILE", "release") != "release"
    file = pathlib.Path(os.environ["OL_BENCH_FOLDER"]) / "trial.json" if is_trial else LATEST
    known = json.loads(file.read_text()) if file.exists() else []
    merged = {entry["name"]: entry for entry in [*known, *entries]}
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(list(merged.values()), indent=2) + "\n")


def shown(value, pattern="{:.2f}", scale=1.0) -> str:
    """A figure of the table, or a dash."""
    return pattern.format(value / scale) if value is not None else "–"


def print_table(entries) -> None:
    """What latest.json says, for a person."""
    print(
        f"\n{'case':<26}{'who':<12}{'wall s':>9}{'× floor':>9}{'CPU s':>9}{'× floor':>9}{'peak MiB':>10}"
        f"{'rows':>12}{'rows/s':>11}{'CPU µs/row':>12}{'MB out':>9}"
    )
    for entry in entries:
        has_floor = 1.0 if entry["floor"] else None
        lines = [("floor", entry["floor"], has_floor, has_floor)]
        lines.append(("ours", entry["ours"], entry["ratio_wall_to_floor"], entry["ratio_cpu_to_floor"]))
        lines += [(name, peer, peer.get("ratio_wall_to_floor"), None) for name, peer in entry["peers"].items()]
        for who, figures, ratio, cpu_ratio in lines:
            if figures is None:
                continue
            if "failed" in figures:
                print(f"{entry['name']:<26}{who:<12}  {figures['failed']}")
                continue
            rows = figures["rows"] or None
            print(
                f"{entry['name']:<26}{who:<12}{figures['wall_seconds']:>9.2f}{shown(ratio):>9}"
                f"{figures['cpu_seconds']:>9.2f}{shown(cpu_ratio):>9}"
                f"{figures['peak_bytes'] / 2**20:>10.0f}{shown(rows, '{:,.0f}'):>12}"
                f"{shown(rows and rows / figures['wall_seconds'], '{:,.0f}'):>11}"
                f"{shown(rows and figures['cpu_seconds'] / rows, '{:.1f}', 1e-6):>12}"
                f"{shown(figures['output_bytes'] or None, '{:.0f}', 1e6):>9}"
            )
