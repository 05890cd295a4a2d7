"""`ol-ingest run` inside real Dagster, through `PipesSubprocessClient`: its reports arrive as Dagster's own events.

The source is a private Postgres server; the test binary that starts pytest names it in the environment.
"""

import http.server
import json
import os
import pathlib
import subprocess
import threading

import dagster
import pytest
from dagster import PipesFileMessageReader

BINARY = os.environ["OL_INGEST_BINARY"]
SOURCE = os.environ["OL_TEST_SOURCE_URL"]
FOLDER = pathlib.Path(os.environ["OL_TEST_FOLDER"])
VARIABLE = "OL_SOURCE_SCHOOL_APP_POSTGRES_URL"
TABLES = {"learner": 3, "course": 2}
METADATA = ("rows", "bytes", "files", "snapshot_id", "schema", "position", "seconds")


@pytest.fixture(scope="module")
def environment() -> dict:
    """A source with two tables, and a lake."""
    subprocess.run(
        ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", SOURCE, "-c", """
        CREATE TABLE learner (id int PRIMARY KEY, name text);
        INSERT INTO learner VALUES (1, 'é'), (2, NULL), (3, 'c');
        CREATE TABLE course (id int PRIMARY KEY, price numeric(8,2));
        INSERT INTO course VALUES (1, 9.5), (2, NULL);"""],
        check=True,
    )  # fmt: skip
    lake = {
        "OL_ENV": "ci",
        "OL_CATALOG": f"sqlite:{FOLDER}/catalog.db",
        "OL_WAREHOUSE": f"{FOLDER}/warehouse",
        VARIABLE: SOURCE,
    }
    units = FOLDER / "inventory" / "units"
    units.mkdir(parents=True)
    command = [BINARY, "discover", "--deployment", "school", "--layer", "app_postgres"]
    drafted = subprocess.run(command, env=os.environ | lake, capture_output=True, text=True, check=True)
    (units / "school.yml").write_text(drafted.stdout)
    return lake


def raw_table(table: str) -> str:
    """The name of a table in the lake."""
    return f"raw__school__app__postgres__{table}"


def executed(environment: dict, reader=None, **changed):
    """One materialization of both tables by Dagster; the result and every event."""

    @dagster.multi_asset(
        specs=[dagster.AssetSpec(raw_table(table)) for table in TABLES],
        # Which guards there are is ours to say, so Dagster hears of the checks as they come.
        can_subset=False,
    )
    def school(context: dagster.AssetExecutionContext, client: dagster.PipesSubprocessClient):
        completed = client.run(
            command=[BINARY, "run", "--inventory", str(FOLDER / "inventory")],
            env={**environment, **changed},
            context=context,
        )
        # Materializations and checks as the Pipes session collected them.
        reported.extend(completed.get_results())
        yield from (result for result in completed.get_results() if isinstance(result, dagster.MaterializeResult))

    reported = []
    with dagster.DagsterInstance.ephemeral() as instance:
        result = dagster.materialize(
            [school], resources={"client": dagster.PipesSubprocessClient(message_reader=reader)}, instance=instance, raise_on_error=False
        )
        logs = [record for record in instance.all_logs(result.run_id)]
    return result, reported, logs


def test_every_table_arrives_as_a_materialization_with_its_figures(environment):
    result, reported, logs = executed(environment)
    assert result.success
    events = {
        event.asset_key.path[-1]: event.materialization.metadata
        for event in result.get_asset_materialization_events()
    }
    assert set(events) == set(map(raw_table, TABLES))
    for table, rows in TABLES.items():
        metadata = events[raw_table(table)]
        missing = [name for name in METADATA if name not in metadata]
        assert not missing, f"{table} lacks {missing}: {sorted(metadata)}"
        assert metadata["rows"].value == rows
        assert metadata["files"].value >= 1
        assert metadata["bytes"].value > 0
        assert metadata["seconds"].value > 0
        assert str(metadata["snapshot_id"].value).lstrip("-").isdigit()
        assert "id" in str(metadata["schema"]), metadata["schema"]
    checks = [part for report in reported for part in checks_of(report)]
    for table in TABLES:
        of_table = [check for check in checks if check.asset_key.path[-1] == raw_table(table)]
        assert of_table, f"no guard was reported for {table}"
        assert all(check.passed for check in of_table)
    messages = "\n".join(record.user_message for record in logs)
    assert any(raw_table(table) in messages for table in TABLES), messages


class Collector(http.server.BaseHTTPRequestHandler):
    """Keeps the traces it is sent, a line a request, as the file exporter of an OpenTelemetry collector does."""

    spans: list[str] = []

    def do_POST(self):  # noqa: N802 (the name is the library's)
        body = self.rfile.read(int(self.headers["content-length"]))
        assert self.path == "/v1/traces" and self.headers["content-type"] == "application/json"
        self.spans.append(json.dumps(json.loads(body)))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        """Says nothing: what is kept is looked at."""


def test_that_a_flow_ran_is_told_in_pipes_in_spans_and_in_a_file(environment):
    """What `c4gen observe` reads; the test that starts pytest has it read."""
    kept = FOLDER / "messages.jsonl"
    collector = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    try:
        result, _, _ = executed(
            environment,
            reader=PipesFileMessageReader(str(kept), cleanup_file=False),
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.server_port}",
            OTEL_EXPORTER_OTLP_PROTOCOL="http/json",
            OL_FLOW_RECORDS=str(FOLDER / "flows.jsonl"),
        )
    finally:
        collector.shutdown()
    assert result.success
    (FOLDER / "spans.jsonl").write_text("".join(f"{line}\n" for line in Collector.spans))
    events = result.get_asset_materialization_events()
    assert {event.materialization.metadata["c4.flow"].value for event in events} == {"postgres_full_load"}


def checks_of(report) -> list:
    """The asset checks in one thing the session reported."""
    if isinstance(report, dagster.AssetCheckResult):
        return [report]
    return list(getattr(report, "check_results", None) or [])


def test_a_wrong_password_fails_the_run_and_is_not_shown(environment):
    url = SOURCE.replace(os.environ["OL_TEST_PASSWORD"], "open-sesame")
    result, _, logs = executed(environment, **{VARIABLE: url})
    assert not result.success
    everything = "\n".join(f"{record.user_message} {record.dagster_event}" for record in logs)
    assert "password" in everything, everything
    assert "open-sesame" not in everything
