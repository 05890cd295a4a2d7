"""One command, measured: wall clock, processor time and peak memory of its own process tree.

The server is apart: it is nobody's child here. Peak memory is the largest resident set of one process of the tree, as
the kernel counts it; the kernel counts this small Python too until the command has replaced it, so below about 20 MB a
figure says little.
"""

import os
import signal
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
    """A measured command ended with another code (`code`) than it should have, or did another thing."""

    def __init__(self, said: str, code: int | None = None):
        super().__init__(said)
        self.code = code


class Started:
    """A command under way, with stdout in the file `output` (default: thrown away) and stderr in a log.

    Two commands at a time need logs of different names.
    """

    def __init__(self, command, environment=None, output=None, log="command.log"):
        self.command = command
        self.log = os.path.join(os.environ["OL_BENCH_FOLDER"], log)
        with open(output or os.devnull, "wb") as stdout, open(self.log, "wb") as stderr:
            self.started = time.monotonic()
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env={**os.environ, **(environment or {})},
            )

    def finish(self, code: int = 0) -> Measured:
        """Waits for its end. Raises Failed with the end of what it said when its exit code is another than `code`."""
        _, status, usage = os.wait4(self.process.pid, 0)
        wall = time.monotonic() - self.started
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode != code:
            with open(self.log, errors="replace") as said:
                name = os.path.basename(self.command[0])
                told = f"{name} ended with {self.process.returncode}, not {code}:\n{said.read()[-3000:]}"
                raise Failed(told, self.process.returncode)
        return Measured(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)

    def stop(self, code: int = 0) -> Measured:
        """Asks it to end, if it has not ended by itself, and waits for that."""
        os.kill(self.process.pid, signal.SIGTERM)
        return self.finish(code)


def measure(command, environment=None, output=None, code: int = 0) -> Measured:
    """Runs `command` to its end. Raises Failed as `Started.finish` does."""
    return Started(command, environment, output).finish(code)


def median(runs) -> Measured:
    """The median of each figure on its own."""
    return Measured(
        statistics.median(run.wall_seconds for run in runs),
        statistics.median(run.cpu_seconds for run in runs),
        int(statistics.median(run.peak_bytes for run in runs)),
        runs[0].rows,
        int(statistics.median(run.output_bytes for run in runs)),
    )


def median_ratios(runs, floors):
    """The medians of wall clock and of processor time, each run divided by the floor measured just before it."""
    walls = [run.wall_seconds / floor.wall_seconds for run, floor in zip(runs, floors)]
    processors = [run.cpu_seconds / floor.cpu_seconds for run, floor in zip(runs, floors)]
    return round(statistics.median(walls), 3), round(statistics.median(processors), 3)


def folder_bytes(folder: str, ending: str) -> int:
    """The bytes of the files below `folder` whose names end so."""
    return sum(
        os.path.getsize(os.path.join(place, name))
        for place, _, names in os.walk(folder)
        for name in names
        if name.endswith(ending)
    )
