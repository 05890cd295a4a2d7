#!/usr/bin/env python3
"""Glue and STS for tests: moto's server on one port of this machine, with the version check that Glue makes.

    glue.py PORT

Glue's UpdateTable takes the VersionId that the caller has read, and refuses the update with
ConcurrentModificationException when the table has another by then; every Iceberg client builds its commits on this.
moto takes the update whatever the version. Without a VersionId Glue updates unconditionally, and so does this.
"""

import sys
import threading

from moto.glue.exceptions import GlueClientError
from moto.glue.responses import GlueResponse
from moto.server import main


class ConcurrentModification(GlueClientError):
    """The answer to an update that was made from what is no longer the table."""

    def __init__(self):
        super().__init__("ConcurrentModificationException", "Update table failed due to concurrent modifications.")


def check_versions():
    """Makes the comparison and the update of a table one step."""
    updated = GlueResponse.update_table
    lock = threading.Lock()  # the server answers every request in a thread of its own

    def update_table(response):
        wanted = response.parameters.get("VersionId")
        with lock:
            if wanted is not None:
                name = (response.parameters.get("TableInput") or {}).get("Name")
                table = response.glue_backend.get_table(response.parameters.get("DatabaseName"), name)
                if table.as_dict()["VersionId"] != wanted:
                    raise ConcurrentModification
            return updated(response)

    GlueResponse.update_table = update_table


if __name__ == "__main__":
    check_versions()
    main(["-H", "127.0.0.1", "-p", sys.argv[1]])
