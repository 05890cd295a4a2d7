"""The crate `pipes` against real Dagster: what the example `conformance` sends arrives as Dagster's own events.

The program is started by `PipesSubprocessClient`, and by `open_pipes_session` where the client knows no such reader.
"""

import dataclasses
import os
import subprocess
from contextlib import contextmanager

import dagster
import pytest
from dagster import AssetCheckSeverity, AssetKey
from dagster._core.pipes.client import PipesMessageReader
from dagster._core.pipes.utils import (
    PipesEnvContextInjector,
    PipesFileContextInjector,
    PipesFileMessageReader,
    PipesTempFileContextInjector,
    PipesTempFileMessageReader,
    extract_message_or_forward_to_stdout,
    open_pipes_session,
)

KEY = AssetKey(["raw", "users_all"])
CHECKS = ("row_count", "vanish_guard")
OPENED = "[pipes] external process successfully opened dagster pipes."


@dataclasses.dataclass
class Outcome:
    """One run: its result, what its log says as (level, text), and the custom messages."""

    result: dagster.ExecuteInProcessResult
    logs: list[tuple[str, str]]
    custom: list
    errors: list

    @property
    def warnings(self) -> list[str]:
        """What Dagster itself complains about."""
        return [text for level, text in self.logs if level == "WARNING" and text.startswith("[pipes]")]


def executed(launch, *, key=KEY, partitions=None, partition_key=None, check_names=CHECKS) -> Outcome:
    """Materializes one asset with its checks; `launch(context)` gives the finished session or invocation."""
    custom = []

    # An asset of one output with a name of its own: Dagster would make the name of the key, which may hold anything.
    @dagster.multi_asset(
        name="users",
        outs={"users": dagster.AssetOut(key=key, code_version="7")},
        partitions_def=partitions,
        check_specs=[dagster.AssetCheckSpec(name, asset=key) for name in check_names],
    )
    def users(context: dagster.AssetExecutionContext):
        finished = launch(context)
        custom.extend(finished.get_custom_messages())
        yield from finished.get_results()

    with dagster.DagsterInstance.ephemeral() as instance:
        result = dagster.materialize([users], instance=instance, partition_key=partition_key, raise_on_error=False)
        records = instance.all_logs(result.run_id)
    logs = [(level_name(record.level), record.user_message) for record in records]
    errors = [
        (record.dagster_event.message, record.dagster_event.event_specific_data.error)
        for record in records
        if record.dagster_event
        and record.dagster_event.event_type_value == "ENGINE_EVENT"
        and getattr(record.dagster_event.event_specific_data, "error", None)
    ]
    return Outcome(result, logs, custom, errors)


def level_name(level: int) -> str:
    """The name of a logging level."""
    return {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}[level]


def by_client(program: str, scenario: str, **options):
    """Starts the program by the client; extras choose what it does."""
    extras = {"scenario": scenario, "nested": {"list": [1, 2.5, None, "ü"]}}
    return lambda context: dagster.PipesSubprocessClient(**options).run(
        context=context, command=[program], extras=extras
    )


def check_everything(outcome: Outcome):
    """All that the scenario `everything` sends, but for the messages that depend on the launch."""
    assert outcome.result.success, outcome.logs
    assert outcome.warnings == []
    assert outcome.errors == []
    (event,) = outcome.result.get_asset_materialization_events()
    assert event.asset_key == KEY
    materialization = event.materialization
    assert materialization.tags["dagster/data_version"] == "version 0"
    check_metadata(dict(materialization.metadata))

    checks = {evaluation.check_name: evaluation for evaluation in outcome.result.get_asset_check_evaluations()}
    assert set(checks) == set(CHECKS)
    assert checks["row_count"].passed and checks["row_count"].severity == AssetCheckSeverity.ERROR
    assert not checks["vanish_guard"].passed and checks["vanish_guard"].severity == AssetCheckSeverity.WARN
    assert all(check.metadata["rows"] == dagster.MetadataValue.int(7) for check in checks.values())

    assert ("INFO", OPENED) in outcome.logs
    names = {"DEBUG": "Debug", "INFO": "Info", "WARNING": "Warning", "ERROR": "Error", "CRITICAL": "Critical"}
    for level, name in names.items():
        assert (level, f"a log message of level {name}, naïve 🦀") in outcome.logs
    assert ("WARNING", "an event of tracing rows=7") in outcome.logs
    assert not any("not sent" in text for _, text in outcome.logs)
    long = [text for level, text in outcome.logs if level == "INFO" and "üüü" in text]
    assert "".join(long) == "long " + "ü" * 3000


def check_metadata(metadata: dict):
    """All seventeen types, as Dagster's own values."""
    value = dagster.MetadataValue
    schema = dagster.TableSchema(
        columns=[
            dagster.TableColumn(
                "id",
                "long",
                description="the key",
                tags={"layer": "raw"},
                constraints=dagster.TableColumnConstraints(nullable=False, unique=True, other=["> 0"]),
            ),
            dagster.TableColumn("tags", "list<string>"),
        ]
    )
    dependency = dagster.TableColumnDep(asset_key=AssetKey(["source", "with/slash"]), column_name="id")
    assert metadata == {
        "infer": value.json({"a": 1}),
        "text": value.text("plain"),
        "url": value.url("https://example.org/"),
        "path": value.path("/lake/file.parquet"),
        "notebook": value.notebook("/notebook.ipynb"),
        "json": value.json([{"a": None}]),
        "json_scalar": value.text("scalar"),
        "md": value.md("*bold*"),
        "float": value.float(7.0),
        "float_nan": value.text("NaN"),
        "int": value.int(9007199254740993),
        "int_unsigned": value.int(2**64 - 1),
        "int_huge": value.text(str(2**127 - 1)),
        "bool": value.bool(True),
        "dagster_run": value.dagster_run("a-run"),
        "asset": value.asset(AssetKey(["raw", "users"])),
        "asset_slash": value.text("raw/us\\/ers"),
        "null": value.null(),
        "table": value.table(records=[dagster.TableRecord({"id": 1, "tags": '["nested"]'})], schema=schema),
        "table_schema": value.table_schema(schema),
        "table_column_lineage": value.column_lineage(dagster.TableColumnLineage({"id": [dependency]})),
        "timestamp": value.timestamp(1700000000.25),
    }
    assert type(metadata["float"].value) is float and type(metadata["int"].value) is int


def test_everything_arrives_by_files(conformance_binary, capsys):
    outcome = executed(by_client(conformance_binary, "everything"))
    check_everything(outcome)
    streams = capsys.readouterr()
    assert "text of standard output\n" in streams.out
    assert "text of standard error\n" in streams.err
    (told,) = outcome.custom
    assert told == {
        "includes_stdio": False,
        "asset_keys": [["raw", "users_all"]],
        "code_versions": ["7"],
        "partition_key": None,
        "partition_key_parts": [],
        "partition_key_range": None,
        "partition_time_window": None,
        "run_id": outcome.result.run_id,
        "job_name": told["job_name"],
        "retry_number": 0,
        "extras": {"scenario": "everything", "nested": {"list": [1, 2.5, None, "ü"]}},
    }
    assert told["job_name"]


@pytest.mark.parametrize("place", ["inline", "temporary file", "file"])
def test_the_context_is_read_from_every_place(conformance_binary, tmp_path, place):
    injector = {
        "inline": PipesEnvContextInjector,
        "temporary file": PipesTempFileContextInjector,
        "file": lambda: PipesFileContextInjector(str(tmp_path / "context.json")),
    }[place]()
    reader = PipesFileMessageReader(str(tmp_path / "messages"), include_stdio_in_messages=True)
    outcome = executed(
        by_client(conformance_binary, "everything", context_injector=injector, message_reader=reader)
    )
    check_everything(outcome)
    assert outcome.custom[0]["includes_stdio"] is True


@pytest.mark.parametrize(
    ("partitions", "key", "parts", "window"),
    [
        (dagster.StaticPartitionsDefinition(["eu", "us"]), "eu", ["eu"], None),
        (
            dagster.DailyPartitionsDefinition("2024-01-01"),
            "2024-02-28",
            ["2024-02-28"],
            ["2024-02-28T00:00:00+00:00", "2024-02-29T00:00:00+00:00"],
        ),
        (
            dagster.MultiPartitionsDefinition(
                {
                    "region": dagster.StaticPartitionsDefinition(["eu", "us"]),
                    "day": dagster.DailyPartitionsDefinition("2024-01-01"),
                }
            ),
            dagster.MultiPartitionKey({"region": "eu", "day": "2024-02-28"}),
            ["2024-02-28", "eu"],
            None,
        ),
    ],
    ids=["static", "time", "multi"],
)
def test_the_partition_is_known(conformance_binary, partitions, key, parts, window):
    outcome = executed(by_client(conformance_binary, "everything"), partitions=partitions, partition_key=key)
    check_everything(outcome)
    (told,) = outcome.custom
    assert told["partition_key"] == str(key)
    assert told["partition_key_parts"] == parts
    assert told["partition_key_range"] == [str(key), str(key)]
    if len(parts) == 1:
        assert told["partition_time_window"] == window


@pytest.mark.parametrize("part", ["users/all", "users\\all", "\\/", "üser 🦀"])
def test_an_asset_key_of_any_characters_arrives(conformance_binary, part):
    key = AssetKey(["raw", part])
    outcome = executed(by_client(conformance_binary, "materialization"), key=key, check_names=())
    assert outcome.result.success and outcome.warnings == [] and outcome.errors == []
    (event,) = outcome.result.get_asset_materialization_events()
    assert event.asset_key == key
    assert event.materialization.tags["dagster/data_version"] == "version 0"


def test_a_failure_arrives_with_its_causes_and_fails_the_step(conformance_binary):
    outcome = executed(by_client(conformance_binary, "failure"))
    assert not outcome.result.success
    assert outcome.warnings == []
    ((message, error),) = outcome.errors
    assert message == "[pipes] external process pipes closed with exception"
    assert (error.cls_name, error.message) == ("TableError", "the table cannot be read")
    assert error.cause.message == "the server closed the connection"
    assert "failed with code 1" in step_failure(outcome)


def test_a_panic_arrives_without_the_value_it_holds(conformance_binary):
    outcome = executed(by_client(conformance_binary, "panic"))
    assert not outcome.result.success
    assert outcome.warnings == []
    ((_, error),) = outcome.errors
    assert error.cls_name == "Panic"
    assert error.message.startswith("Panic at crates/pipes/examples/conformance.rs:")
    assert "12340" not in str(outcome.logs) + str(outcome.errors)
    assert "failed with code 101" in step_failure(outcome)


def test_a_session_that_is_not_closed_says_so(conformance_binary):
    outcome = executed(by_client(conformance_binary, "unclosed"), check_names=())
    ((_, error),) = outcome.errors
    assert error.message == "The session ended without being closed"
    assert outcome.warnings == []


def test_closing_twice_is_closing_once(conformance_binary):
    outcome = executed(by_client(conformance_binary, "closed_twice"))
    assert outcome.result.success
    assert outcome.warnings == [] and outcome.errors == []
    assert len(outcome.result.get_asset_materialization_events()) == 1


def step_failure(outcome: Outcome) -> str:
    """Why Dagster failed the step, with all causes."""
    (event,) = [event for event in outcome.result.all_events if event.event_type_value == "STEP_FAILURE"]
    return str(event.step_failure_data.error)


class OutputReader(PipesMessageReader):
    """Asks for messages on a stream, as Dagster's readers of container logs do; the launcher feeds the lines."""

    def __init__(self, params: dict):
        self.params = params
        self.handler = None

    @contextmanager
    def read_messages(self, handler):
        self.handler = handler
        yield self.params

    def no_messages_debug_text(self) -> str:
        return f"Nothing came by {self.params}."


def by_output(program: str, params: dict, *, arguments: bool):
    """Starts the program and picks the messages out of its output with Dagster's own function."""

    def launch(context):
        reader = OutputReader(params)
        with open_pipes_session(
            context, PipesTempFileContextInjector(), reader, extras={"scenario": "everything"}
        ) as session:
            command, environment = [program, "run"], dict(os.environ)
            if arguments:
                for name, value in session.get_bootstrap_cli_arguments().items():
                    command += [name, value]
            else:
                environment |= session.get_bootstrap_env_vars()
            done = subprocess.run(command, env=environment, capture_output=True, check=True)
            (stream,) = params.values()
            for line in getattr(done, stream).decode("ascii").splitlines():
                # Container runtimes cut longer lines.
                assert len(line) < 16 * 1024
                extract_message_or_forward_to_stdout(reader.handler, line)
        return session

    return launch


@pytest.mark.parametrize("arguments", [False, True], ids=["variables", "arguments"])
@pytest.mark.parametrize("kind", ["stdio", "buffered_stdio"])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_everything_arrives_by_output(conformance_binary, kind, stream, arguments, capsys):
    outcome = executed(by_output(conformance_binary, {kind: stream}, arguments=arguments))
    check_everything(outcome)
    # A message that Dagster's handler refuses would have been forwarded here.
    assert "__dagster_pipes_version" not in capsys.readouterr().out


def test_many_runs_lose_nothing(conformance_binary):
    """Dagster's reader of files dies of half a line; see `channel/file.rs`."""
    for _ in range(20):
        check_everything(executed(by_client(conformance_binary, "everything")))


def test_without_dagster_nothing_is_sent(conformance_binary):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DAGSTER_PIPES")}
    done = subprocess.run([conformance_binary], env=environment, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
