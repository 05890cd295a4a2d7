"""Rewrites JSON lines as the sender of today writes a body.

Reads documents on standard input, one a line, and writes for each the line

    json.dumps(json.loads(line), separators=(",", ":"))

or `!` and the reason where json.loads refuses it. Lines are split at line feeds only and are taken as UTF-8, so that
line n of the output is always about line n of the input. Needs nothing but Python.
"""

import json
import sys


def rewrite(line: bytes) -> str:
    """The line for one document."""
    try:
        return json.dumps(json.loads(line.decode("utf-8")), separators=(",", ":"))
    except (ValueError, RecursionError) as refusal:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        return "!" + " ".join(str(refusal).split())


def main() -> None:
    for line in sys.stdin.buffer:
        answer = rewrite(line.removesuffix(b"\n"))
        sys.stdout.buffer.write(answer.encode("utf-8", "backslashreplace") + b"\n")


if __name__ == "__main__":
    main()
