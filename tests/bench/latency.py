"""How long a committed change is on its way into the lake, with batches of one second under a steady writer.

The writer updates five rows of the wide table a transaction, a hundred transactions a second. A transaction is on its
way from the answer to its COMMIT until the catalog names a snapshot whose position lies behind it, which this program
looks for fifty times a second in the catalog and the metadata file that it names.
"""

import json
import os
import pathlib
import sqlite3
import statistics
import subprocess
import threading
import time

import measure
from changes import DATABASE, LAKE, TABLE, Followed
from figures import document, postgres_answer

SECONDS = int(os.environ.get("OL_BENCH_LATENCY_SECONDS", "30"))
ROWS_A_TRANSACTION = 5
PACE_SECONDS = 0.01
LOOK_SECONDS = 0.02
# What `ol-ingest` ends with when it was asked to stop.
STOPPED = 75


class Catalog:
    """When each position was first seen in the lake."""

    def __init__(self):
        self.seen = []
        self.location = None
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self) -> None:
        """Until it is told to end."""
        catalog = sqlite3.connect(f"file:{LAKE}/catalog.db?mode=ro", uri=True, check_same_thread=False, timeout=10)
        query = f"SELECT metadata_location FROM iceberg_tables WHERE table_name = 'raw__bench__app__postgres__{TABLE}'"
        while not self.ended.wait(LOOK_SECONDS):
            (location,) = catalog.execute(query).fetchone()
            if location != self.location:
                now = time.monotonic()
                self.location = location
                position = current_position(location)
                # A position within a transaction (`….00000005`) says that a part of it is there.
                if position and "." not in position and (not self.seen or position > self.seen[-1][0]):
                    self.seen.append((position, now))


def current_position(location: str) -> str:
    """Up to where the table's current snapshot holds the source's log, as sixteen digits."""
    metadata = json.loads(pathlib.Path(location.removeprefix("file://")).read_text())
    snapshots = {snapshot["snapshot-id"]: snapshot for snapshot in metadata["snapshots"]}
    return snapshots[metadata["current-snapshot-id"]]["summary"].get("ol.position", "")


def write(seconds: int) -> list:
    """Writes at a steady pace; of every transaction a place in the log before its commit, and when it was answered."""
    top = int(postgres_answer(DATABASE, f"SELECT max(id) FROM {TABLE}"))
    command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", DATABASE]
    psql = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    committed, begin, number = [], time.monotonic(), 0
    while time.monotonic() < begin + seconds:
        time.sleep(max(0, begin + number * PACE_SECONDS - time.monotonic()))
        first = number * 7919 * ROWS_A_TRANSACTION % max(1, top - ROWS_A_TRANSACTION) + 1
        psql.stdin.write(
            f"BEGIN; UPDATE {TABLE} SET grade = coalesce(grade, 0) + 1, modified = now()"
            f" WHERE id BETWEEN {first} AND {first + ROWS_A_TRANSACTION - 1};"
            " SELECT lpad(to_hex((pg_current_wal_insert_lsn() - '0/0')::bigint), 16, '0'); COMMIT;\n\\echo done\n"
        )
        psql.stdin.flush()
        place = psql.stdout.readline().strip().upper()
        if psql.stdout.readline().strip() != "done":
            raise measure.Failed("the writer's transaction was refused")
        committed.append((place, time.monotonic()))
        number += 1
    psql.stdin.close()
    psql.wait()
    return committed


def case(name: str, followed: Followed) -> dict:
    """A stream beside the writer, and how late each transaction was seen."""
    followed.begin()
    environment = {**followed.environment, "OL_STREAM__COMMIT_SECONDS": "1"}
    stream = measure.Started(followed.command(), environment, log="stream.log")
    catalog = Catalog()
    catalog.thread.start()
    try:
        # The stream has started when it has brought in something.
        begun = write(1)
        wait_for(catalog, begun[-1][0])
        commits_before = len(catalog.seen)
        committed = write(SECONDS)
        wait_for(catalog, committed[-1][0])
    finally:
        catalog.ended.set()
        catalog.thread.join()
        ours = stream.stop(STOPPED)
    ours.rows = len(committed) * ROWS_A_TRANSACTION
    late, seen = [], iter(catalog.seen)
    position, when = next(seen)
    for place, answered in committed:
        while position <= place:
            position, when = next(seen)
        late.append(when - answered)
    late.sort()
    entry = document(name, ours)
    entry["latency"] = {
        "commits": len(catalog.seen) - commits_before,
        "transactions": len(committed),
        "p50_seconds": round(statistics.median(late), 3),
        "p99_seconds": round(late[len(late) * 99 // 100], 3),
        "max_seconds": round(late[-1], 3),
    }
    told = entry["latency"]
    print(
        f"  {name}: {ours.rows:,} changes in {SECONDS} s, {told['commits']} commits; from COMMIT to the lake p50"
        f" {told['p50_seconds']:.2f} s, p99 {told['p99_seconds']:.2f} s, at most {told['max_seconds']:.2f} s;"
        f" {ours.cpu_seconds:.2f} CPU s, {ours.peak_bytes >> 20} MiB",
        flush=True,
    )
    return entry


def wait_for(catalog: Catalog, place: str) -> None:
    """Until what was committed behind a place is in the lake."""
    until = time.monotonic() + 60
    while not catalog.seen or catalog.seen[-1][0] <= place:
        if time.monotonic() > until:
            raise measure.Failed(f"after a minute the lake has not come behind {place}")
        time.sleep(LOOK_SECONDS)


def cases(program: pathlib.Path) -> dict:
    """Name and measurement of each form of the table."""
    forms = {"postgres_latency_append": "incremental_append", "postgres_latency_merge": "incremental_update"}

    def measured(name: str, mode: str):
        return lambda: case(name, Followed(program, mode))

    return {name: measured(name, mode) for name, mode in forms.items()}
