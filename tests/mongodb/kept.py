#!/usr/bin/env python3
"""Prints the key and the number of every document of a collection, as the lake shows them, in the order of the keys.

    kept.py --url URL --database NAME --collection NAME
"""

import argparse
import sys

import pymongo

from compare import key_text


def main() -> int:
    """Prints a line a document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--collection", required=True)
    arguments = parser.parse_args()
    client = pymongo.MongoClient(arguments.url, directConnection=True, serverSelectionTimeoutMS=2_000)
    found = client[arguments.database][arguments.collection].find()
    for key, number in sorted((key_text(document["_id"]), document["n"]) for document in found):
        print(key, number, sep="\t")
    return 0


if __name__ == "__main__":
    sys.exit(main())
