#!/usr/bin/env python3
"""Runs commands on a server by PyMongo: one in extended JSON a line of the input; prints the answers the same way.

    client.py --url mongodb://127.0.0.1:PORT --database NAME < commands
"""

import argparse
import sys

import pymongo
from bson import json_util


def main() -> int:
    """Runs what stands on the input."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--database", required=True)
    arguments = parser.parse_args()
    client = pymongo.MongoClient(arguments.url, directConnection=True, serverSelectionTimeoutMS=2_000)
    options = json_util.JSONOptions(json_mode=json_util.JSONMode.CANONICAL)
    for line in sys.stdin:
        if line.strip():
            answer = client[arguments.database].command(json_util.loads(line, json_options=options))
            if answer.get("writeErrors"):
                print(answer["writeErrors"], file=sys.stderr)
                return 1
            print(json_util.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
