#!/usr/bin/env python3
"""A receiver of MIT Learn's webhooks on loopback, for the tests of our sender: a real Django, and faults on demand.

    learn_receiver.py --secret SECRET --journal FILE [--port 0] [--secret-file FILE] [--fault SPEC]... [--threads N]
                      [--with-learning-resources] [--resource SOURCE=ID]... [--verbose]

Prints `{"port": N}` when it is ready. Every request becomes one line of the journal before its answer leaves. Ends on
SIGTERM, on SIGINT, or when the pipe that is its stdin closes, so that it does not outlive the test that started it.

Faults (see `learn/faults.py`) are given by `--fault`, or while it runs by POST to `/__control__/fault`:
`{"clear": true, "add": ["status:429:2:retry-after=1", "drop:1"]}`.
"""

import argparse
import json
import logging
import os
import pathlib
import signal
import stat
import sys
import threading
from types import FrameType

from learn.faults import BadSpec, parse
from learn.world import World, world


def main() -> int:
    """Serves until told to stop."""
    arguments = parsed()
    if not prepared(world, arguments):
        return 2
    os.environ["DJANGO_SETTINGS_MODULE"] = "learn.settings"
    from django.core.wsgi import get_wsgi_application
    from waitress.server import create_server

    from learn.recorder import Journal, Recorder

    application = Recorder(get_wsgi_application(), Journal(arguments.journal), world)
    if arguments.verbose:
        logging.getLogger().addHandler(logging.StreamHandler())
    server = create_server(
        application,
        host="127.0.0.1",
        port=arguments.port,
        threads=arguments.threads,
        connection_limit=1000,
        asyncore_use_poll=True,
        log_socket_errors=False,
        clear_untrusted_proxy_headers=False,
    )
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    end_with_stdin()
    print(json.dumps({"port": int(server.effective_port)}), flush=True)
    server.run()
    return 0


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--secret", default="", help="the shared secret")
    parser.add_argument("--secret-file", type=pathlib.Path, help="read again at every request; wins over --secret")
    parser.add_argument("--journal", type=pathlib.Path, required=True)
    parser.add_argument("--fault", action="append", default=[], metavar="SPEC")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--with-learning-resources", action="store_true", help="have the route MIT Learn lacks")
    parser.add_argument("--resource", action="append", default=[], metavar="SOURCE=ID", help="a resource it holds")
    parser.add_argument("--verbose", action="store_true", help="Django's log on stderr")
    return parser.parse_args()


def prepared(world: World, arguments: argparse.Namespace) -> bool:
    """Puts the command line into the world; says on stderr what is wrong with it."""
    world.fixed_secret = arguments.secret
    world.secret_file = arguments.secret_file
    world.with_learning_resources = arguments.with_learning_resources
    for resource in arguments.resource:
        source, _, readable_id = resource.partition("=")
        world.store(source, readable_id)
    try:
        world.faults.change(clear=True, add=[parse(spec) for spec in arguments.fault])
    except BadSpec as error:
        print(error, file=sys.stderr)
        return False
    if not world.secret():
        print("there is no secret: give --secret, or a --secret-file that holds one", file=sys.stderr)
        return False
    return True


def stop(number: int, frame: FrameType | None) -> None:
    """Ends the server's loop, and the delays that would hold up its threads."""
    world.stopping.set()
    raise SystemExit(0)


def end_with_stdin() -> None:
    """Ends the program when stdin closes, if stdin is a pipe or a socket: a terminal or /dev/null says nothing."""

    def watch() -> None:
        """Reads until there is no more."""
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
