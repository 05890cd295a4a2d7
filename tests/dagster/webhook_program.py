"""A program for the tests of the shim: it reports and ends as its first argument, a document of JSON, tells it."""

import json
import os
import pathlib
import signal
import sys
import time

from dagster_pipes import open_dagster_pipes


def main() -> None:
    """Appends a line to the journal for all that happens to it."""
    told = json.loads(sys.argv[1])
    journal = pathlib.Path(told["journal"])

    def note(line: str) -> None:
        with journal.open("a") as file:
            file.write(f"{line}\n")

    started = len(journal.read_text().splitlines()) if journal.exists() else 0
    exit_codes = told["exit_codes"]
    exit_code = exit_codes[min(started, len(exit_codes) - 1)]
    with open_dagster_pipes() as pipes:
        for part in told.get("report", ()):
            (key,) = (key for key in pipes.asset_keys if key.split("/")[-1] == part)
            pipes.report_asset_materialization(asset_key=key, metadata={"entity": part}, data_version=f"of {part}")
        if "message" in told and exit_code:
            pipes.report_custom_message(told["message"])
        note("started" if not told.get("lines") else f"started with {sys.stdin.read()!r}")
        if told.get("wait"):
            asked: list[int] = []
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda number, _: (asked.append(number), note(signal.Signals(number).name)))
            # In the group of Dagster it would hear Ctrl-C from the terminal, too.
            note("own group" if os.getpgrp() == os.getpid() else "group of Dagster")
            note("waiting")
            deadline = time.monotonic() + 60
            while (not asked or told["wait"] == "for ever") and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(0.2)
    if exit_code < 0:
        os.kill(os.getpid(), -exit_code)
    sys.exit(exit_code)


main()
