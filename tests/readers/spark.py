#!/usr/bin/env python3
"""Spark as a third reader of the lake: a process of its own, with Iceberg's Java reader and nothing of PyIceberg.

Run by the environment `venv-spark`, it opens one table a line of the standard input, by the location of its metadata,
and writes the rows that Spark sees as plain Parquet, columns named by their places. Imported by the judges, it starts
that process once (a session takes seconds) and hands on what it wrote.
"""

import atexit
import json
import os
import pathlib
import subprocess
import sys
import tempfile

PYTHON = "OL_SPARK_PYTHON"
MEMORY = "1g"
SETTINGS = {
    "spark.master": "local[1]",
    "spark.driver.memory": MEMORY,
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.caseSensitive": "true",
    "spark.sql.shuffle.partitions": "1",
    # Tables of a test are small: what makes large ones fast costs more than it gives.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.adaptive.enabled": "false",
    # One value for one value: no conversion between calendars, no time zones, no rounding to another unit.
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
}


class SparkFailed(Exception):
    """What Spark says of a table that it cannot read."""


class Spark:
    """A session, from the first table on until the judge ends."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="ol-spark-")
        self.asked = 0
        python = os.environ.get(PYTHON) or "~/.cache/ol-flows/venv-spark/bin/python"
        others = {name: value for name, value in os.environ.items() if name not in ("SPARK_HOME", "PYTHONPATH")}
        self.process = subprocess.Popen(
            [os.path.expanduser(python), __file__, self.folder.name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**others, "SPARK_LOCAL_IP": "127.0.0.1"},
        )  # fmt: skip
        atexit.register(self.end)

    def end(self):
        """Lets the session end before its folder goes."""
        self.process.stdin.close()
        self.process.wait()
        self.folder.cleanup()

    def batches(self, metadata_location: str):
        """Arrow batches of the current snapshot."""
        # Only the judges have Arrow.
        import pyarrow.parquet as pq

        self.asked += 1
        place = pathlib.Path(self.folder.name) / f"table-{self.asked}"
        self.process.stdin.write(json.dumps({"metadata": metadata_location, "rows": str(place)}) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SparkFailed(f"Spark ended with code {self.process.wait()}")
        failure = json.loads(answer)["failure"]
        if failure is not None:
            raise SparkFailed(failure)
        for file in sorted(place.glob("*.parquet")):
            yield from pq.ParquetFile(file).iter_batches()
            file.unlink()


def serve(folder: str) -> None:
    """Answers a line with a line until there are no more."""
    from pyspark.sql import SparkSession

    # Java writes to standard output, too: the answers keep it for themselves.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    builder = SparkSession.builder.appName("readers").config("spark.local.dir", folder)
    builder = builder.config("spark.sql.warehouse.dir", f"{folder}/warehouse")
    java = f"-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Duser.timezone=UTC -Dderby.system.home={folder}"
    builder = builder.config("spark.driver.extraJavaOptions", java)
    for name, value in SETTINGS.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    for line in sys.stdin:
        asked = json.loads(line)
        failure = None
        try:
            rows = session.read.format("iceberg").load(asked["metadata"])
            # Names may hold what a Parquet file of Spark must not; the judges go by places.
            rows = rows.toDF(*(f"c{place}" for place in range(len(rows.columns))))
            rows.write.parquet(asked["rows"])
        except Exception as error:  # noqa: BLE001 - whatever befell this table, the next one is asked for
            failure = f"{type(error).__name__}: {error}"[:2000]
        print(json.dumps({"failure": failure}), file=answers, flush=True)
    session.stop()


if __name__ == "__main__":
    serve(sys.argv[1])
