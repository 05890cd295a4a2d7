#!/usr/bin/env python3
"""Runs the programs beside it, each in a process of its own that has nothing left to import.

    judge.py --port PORT

What a reader costs is its imports: Arrow, DuckDB, PyIceberg and SQLAlchemy are a second of processor time, and a run of the
tests asks a thousand times. So one process imports them, does nothing else, and is forked for every request.

No request can see anything of another, and none sees an older state of a lake:

- Before it listens, this process has imported libraries and opened nothing: no catalog, no connection, no file of a lake.
  `fork` gives each request a copy of just that, and whatever the request makes ends with its process. So what a program
  answers depends on its arguments and on the files and servers they name, as if it had been started by itself.
- A copy is whole only if no other thread was at work, since a lock that one held would stay locked. There is one thread: the
  allocator of Arrow is told to have none, the connection that DuckDB makes by itself is closed, and the kernel's list of
  threads is looked at before anybody is served.
- A program is run under the name `__main__`, from its file with its folder first in the path or as the text of `-c`, with
  standard streams of its own, as the interpreter does it. A crash of one ends its own process only, and memory goes back with
  every process.

A request is a connection to a port of this machine, with a line of JSON each way:

    {"program": PATH or "-c", "arguments": [TEXT…], "environment": {NAME: TEXT…}, "input": TEXT}
    {"status": INTEGER, "stdout": TEXT, "stderr": TEXT, "peak_bytes": INTEGER}

`status` is what wait(2) says. Requests run beside each other. One whose asker goes away is killed, and all are killed with
this process.
"""

import argparse
import atexit
import ctypes
import gc
import json
import os
import runpy
import select
import signal
import socket
import sys
import tempfile
import traceback

# Read when Arrow is loaded.
os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")

import bson.json_util  # noqa: E402,F401
import duckdb  # noqa: E402
import pyarrow.parquet  # noqa: E402,F401
import pymongo  # noqa: E402,F401
import yaml  # noqa: E402,F401

import lake  # noqa: E402,F401

PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Request:
    """A request under way: who asked, the process that runs it, and the files that take what it says."""

    def __init__(self, connection: socket.socket):
        self.connection = connection
        self.files = [tempfile.TemporaryFile() for _ in range(3)]
        judge = os.getpid()
        self.process = os.fork()
        if self.process == 0:
            serve(connection, [file.fileno() for file in self.files], judge)
        self.ended = os.pidfd_open(self.process)

    def kill(self):
        """Ends the process and what it has started."""
        os.kill(self.process, signal.SIGKILL)
        try:
            os.killpg(self.process, signal.SIGKILL)
        except ProcessLookupError:
            pass  # killed before it had a group of its own

    def answer(self):
        """Tells how the process, which has ended, did."""
        _, status, used = os.wait4(self.process, 0)
        said = []
        for file in self.files[1:]:
            file.seek(0)
            said.append(file.read().decode(errors="replace"))
        document = {"status": status, "stdout": said[0], "stderr": said[1], "peak_bytes": used.ru_maxrss * 1024}
        try:
            self.connection.sendall(json.dumps(document).encode() + b"\n")
        except OSError:
            pass  # nobody waits for it any more
        self.connection.close()
        os.close(self.ended)
        for file in self.files:
            file.close()


def serve(connection: socket.socket, files: list, judge: int):
    """What the forked process does; it never returns."""
    code = 1
    try:
        os.setpgid(0, 0)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        line = connection.makefile("rb").readline() if os.getppid() == judge else b""
        if line:
            request = json.loads(line)
            os.pwrite(files[0], request["input"].encode(), 0)
            for stream, file in enumerate(files):
                os.dup2(file, stream)
            os.environ.update(request["environment"])
            code = run(request["program"], request["arguments"])
    except BaseException:  # noqa: BLE001 - there is nobody above to tell it to
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def run(program: str, arguments: list) -> int:
    """Runs a program as the interpreter does; its exit code."""
    place = program
    try:
        if program == "-c":
            place, script = "<string>", arguments.pop(0)
            sys.argv = [program, *arguments]
            exec(compile(script, place, "exec"), {"__name__": "__main__"})
        else:
            sys.argv = [program, *arguments]
            sys.path.insert(0, os.path.dirname(program))
            runpy.run_path(program, run_name="__main__")
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (end.code or 0) & 0xFF
        print(end.code, file=sys.stderr)
        return 1
    except BaseException as error:  # noqa: BLE001 - told as the interpreter tells it
        told = error.__traceback__
        while told and told.tb_frame.f_code.co_filename != place:
            told = told.tb_next
        traceback.print_exception(type(error), error, told)
        return 1
    return 0


def listen(port: int):
    """Takes requests until this process is killed."""
    requests = {}  # by the descriptors that tell of them: the process's end, and the connection
    poll = select.poll()
    with socket.create_server(("127.0.0.1", port), backlog=64) as listener:
        poll.register(listener, select.POLLIN)
        while True:
            # What is over comes first, so that no new request takes a descriptor of which something is still to be told.
            for file, _ in sorted(poll.poll(), key=lambda found: found[0] == listener.fileno()):
                if file == listener.fileno():
                    request = Request(listener.accept()[0])
                    # The line is read by the process that runs it; here it matters that the asker is still there.
                    for watched, event in ((request.ended, select.POLLIN), (request.connection.fileno(), select.POLLRDHUP)):
                        requests[watched] = request
                        poll.register(watched, event)
                    continue
                request = requests.pop(file, None)
                if request is None:
                    continue
                poll.unregister(file)
                if file != request.ended:
                    request.kill()
                    continue
                if requests.pop(request.connection.fileno(), None):
                    poll.unregister(request.connection)
                request.answer()


def main():
    """Makes sure that a copy of this process is whole, and listens."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", required=True, type=int)
    arguments = parser.parse_args()
    duckdb.close()
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        sys.exit(f"{threads} threads: a copy of this process would not be whole")
    # What is there now stays as it is, so that its pages are shared with every copy.
    gc.collect()
    gc.freeze()
    listen(arguments.port)


if __name__ == "__main__":
    main()
