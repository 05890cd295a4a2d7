"""The programs that Dagster starts in these tests, each by an environment variable; a program that is not there fails
its tests, it never skips them."""

import os
import pathlib

import pytest


def program(variable: str, *, instead: pathlib.Path | None = None) -> str:
    """The program that the variable names, or the one that stands in its place."""
    path = pathlib.Path(os.environ[variable]) if variable in os.environ else instead
    if path is None or not path.is_file():
        pytest.fail(f"{variable} must name the program; it is {path}")
    return str(path)


@pytest.fixture(scope="session")
def ingest_binary() -> str:
    """`ol-ingest`."""
    return program("OL_INGEST_BINARY")


@pytest.fixture(scope="session")
def conformance_binary() -> str:
    """The example `conformance` of the crate `pipes`; cargo builds it beside the programs of the workspace."""
    neighbour = os.environ.get("OL_INGEST_BINARY")
    instead = pathlib.Path(neighbour).parent / "examples" / "conformance" if neighbour else None
    return program("OL_PIPES_CONFORMANCE", instead=instead)


@pytest.fixture(autouse=True)
def dagster_home(tmp_path, monkeypatch):
    """Dagster writes into a folder of the test and reports to nobody."""
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_DISABLE_TELEMETRY", "1")
