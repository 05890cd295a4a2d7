"""The MariaDB of run.sh: its address, its answers, and the floor of a load from it."""

import os
import subprocess

import measure
from measure import Measured

DATABASE = "bench"
TABLE = """  - name: {name}
    raw_table: raw__bench__openedx__mysql__{name}
    sync_mode: full_refresh_overwrite
"""


def url(database: str) -> str:
    """The address of a database of our server."""
    user, password, port = (os.environ[f"MARIADB_{name}"] for name in ("USER", "PASSWORD", "PORT"))
    return f"mysql://{user}:{password}@127.0.0.1:{port}/{database}"


def client(database: str, query: str) -> list:
    """The command that asks a query; `--quick` hands on rows as they come instead of keeping them."""
    address = ["--host=127.0.0.1", f"--port={os.environ['MARIADB_PORT']}", f"--user={os.environ['MARIADB_USER']}"]
    form = ["--default-character-set=utf8mb4", "--batch", "--skip-column-names", "--quick"]
    return ["mariadb", "--no-defaults", *address, *form, database, "--execute", query]


def login() -> dict:
    """The client's password."""
    return {"MYSQL_PWD": os.environ["MARIADB_PASSWORD"]}


def answer(database: str, query: str) -> str:
    """The one value of a query."""
    command = client(database, query)
    return subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **login()}).stdout.strip()


def floor(database: str, name: str) -> Measured:
    """All rows of a table as the client has them, thrown away."""
    return measure.measure(client(database, f"SELECT * FROM `{name}`"), login())
