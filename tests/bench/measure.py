"""One command, measured: wall clock, processor time and peak memory of its own process tree.

The server is apart: it is nobody's child here. Peak memory is the largest resident set of one process of the tree, as
the kernel counts it; the kernel counts this small Python too until the command has replaced it, so below about 20 MB a
figure says little.
"""

import os
import statistics
import subprocess
import time
from dataclasses import asdict, dataclass


@dataclass
class Measured:
    """What one run of a command took."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    rows: int = 0
    output_bytes: int = 0

    def document(self) -> dict:
        """The fields as `latest.json` has them."""
        rounded = asdict(self)
        rounded["wall_seconds"] = round(self.wall_seconds, 3)
        rounded["cpu_seconds"] = round(self.cpu_seconds, 3)
        return rounded


class Failed(Exception):
    """A measured command ended with another code than 0."""


def measure(command, environment=None, output=None) -> Measured:
    """Runs `command` to its end with stdout in the file `output` (default: thrown away); stderr goes to a log.

    Raises Failed with the end of what it said when its exit code is not 0.
    """
    log = os.path.join(os.environ["OL_BENCH_FOLDER"], "command.log")
    with open(output or os.devnull, "wb") as stdout, open(log, "wb") as stderr:
        started = time.monotonic()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env={**os.environ, **(environment or {})}
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        with open(log, errors="replace") as said:
            raise Failed(f"{os.path.basename(command[0])} ended with {process.returncode}:\n{said.read()[-3000:]}")
    return Measured(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def median(runs) -> Measured:
    """The median of each figure on its own."""
    return Measured(
        statistics.median(run.wall_seconds for run in runs),
        statistics.median(run.cpu_seconds for run in runs),
        int(statistics.median(run.peak_bytes for run in runs)),
        runs[0].rows,
        int(statistics.median(run.output_bytes for run in runs)),
    )


def folder_bytes(folder: str, ending: str) -> int:
    """The bytes of the files below `folder` whose names end so."""
    return sum(
        os.path.getsize(os.path.join(place, name))
        for place, _, names in os.walk(folder)
        for name in names
        if name.endswith(ending)
    )
