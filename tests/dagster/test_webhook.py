"""`deploy/dagster` inside real Dagster: the shim with a program that ends as it is told, the assets with `ol-webhook`.

What was delivered is counted by a witness in front of the receiver `ol-webhook listen`; see `webhook_receiver.py`.
"""

import dataclasses
import json
import os
import pathlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import dagster
import pytest
from conftest import program
from dagster import AssetKey
from upath import UPath
from webhook_receiver import Exchange, Witness, receiver

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy" / "dagster"))

from ol_flows_dagster import (  # noqa: E402
    ConfigurationFailure,
    NeedsPersonFailure,
    PermanentFailure,
    TransientFailure,
    Webhook,
    definitions,
    run_program,
    webhook_assets,
)
from ol_flows_dagster.shim import FORCE_TAG, RUN_RETRY_TAG  # noqa: E402
from webhook_kinds import KINDS, OVS, RUN, VIDEO, Kind  # noqa: E402 (it needs the package)

PROGRAM = pathlib.Path(__file__).with_name("webhook_program.py")
RETRIES = dagster.RetryPolicy(max_retries=2)
# One attempt a try of Dagster, and the next may follow soon: after the waits of the manual, nothing would be due yet.
IMPATIENT = {
    "OL_WEBHOOK__DELIVERY__PATIENCE_SECONDS": "0",
    "OL_WEBHOOK__SCHEDULE__WAITS_SECONDS": "[0.2, 0.2, 0.2, 300.0, 300.0]",
    "OL_WEBHOOK__SCHEDULE__JITTER": "none",
}
METADATA = (
    "entity",
    "kind",
    "message_id",
    "attempts",
    "response_status",
    "response",
    "content_hash",
    "body_bytes",
    "seconds",
)


@dataclasses.dataclass
class Outcome:
    """One run: what it came to, the failures its step raised, and its run as the instance keeps it."""

    result: dagster.ExecuteInProcessResult
    failures: list[BaseException]
    run: dagster.DagsterRun
    logs: list[str]

    @property
    def materializations(self) -> dict[str, list[dagster.AssetMaterialization]]:
        """By the last part of the asset's key, in their order."""
        found: dict[str, list[dagster.AssetMaterialization]] = {}
        for event in self.result.get_asset_materialization_events():
            found.setdefault(event.asset_key.path[-1], []).append(event.materialization)
        return found

    @property
    def retries(self) -> int:
        """How often Dagster started the step again."""
        return sum(event.event_type_value == "STEP_RESTARTED" for event in self.result.all_events)

    @property
    def failure(self) -> dagster.Failure:
        """The failure that failed the step."""
        (failure,) = self.failures
        assert isinstance(failure, dagster.Failure), failure
        return failure

    def check_permanent(self, kind: type[PermanentFailure]) -> dagster.Failure:
        """Failed for good, by all that makes Dagster try again."""
        assert not self.result.success
        assert type(self.failure) is kind, self.failure
        assert self.failure.allow_retries is False
        assert self.failure.metadata["retryable"].value is False
        assert self.retries == 0
        assert self.run.tags[RUN_RETRY_TAG] == "false"
        assert self.run.tags["dagster/will_retry"] == "false"
        return self.failure


def executed(
    asset: dagster.AssetsDefinition,
    *others: dagster.AssetsDefinition,
    webhook: Webhook | None = None,
    partition_key: str | None = None,
    tags: dict[str, str] | None = None,
) -> Outcome:
    """Materializes the assets on an instance that retries failed runs, as the platform's does."""
    failures: list[BaseException] = []

    @dagster.failure_hook
    def keep(context: dagster.HookContext):
        failures.append(context.op_exception)

    watched = asset.with_hooks({keep})
    settings = {"run_retries": {"enabled": True, "max_retries": 3}}
    with dagster.DagsterInstance.ephemeral(settings=settings) as instance:
        if isinstance(asset.partitions_def, dagster.DynamicPartitionsDefinition):
            instance.add_dynamic_partitions(asset.partitions_def.name, [partition_key])
        result = dagster.materialize(
            [watched, *others],
            instance=instance,
            partition_key=partition_key,
            resources={"io_manager": dagster.mem_io_manager, "webhook": webhook or Webhook()},
            tags=tags,
            raise_on_error=False,
        )
        run = instance.get_run_by_id(result.run_id)
        logs = [record.user_message for record in instance.all_logs(result.run_id)]
    return Outcome(result, failures, run, logs)


# The shim, with a program that ends as it is told.


@pytest.fixture
def journal(tmp_path) -> pathlib.Path:
    """Where the program notes what happens to it."""
    return tmp_path / "journal"


def told(journal: pathlib.Path, *exit_codes: int, **scenario) -> list[str]:
    """The command of a program that ends with these codes, one an attempt."""
    return [sys.executable, str(PROGRAM), json.dumps({"journal": str(journal), "exit_codes": exit_codes, **scenario})]


def step(
    command: list[str],
    *,
    keys: tuple[str, ...] = ("a",),
    skippable: tuple[str, ...] = (),
    retry_policy: dagster.RetryPolicy | None = RETRIES,
    **options,
) -> dagster.AssetsDefinition:
    """A step that runs the command for assets whose keys end in these parts."""

    @dagster.multi_asset(
        specs=[dagster.AssetSpec(["webhooks", key], skippable=key in skippable) for key in keys],
        name="webhooks",
        retry_policy=retry_policy,
    )
    def webhooks(context: dagster.AssetExecutionContext):
        yield from run_program(context, command, **options)

    return webhooks


def lines(journal: pathlib.Path) -> list[str]:
    """What the program noted."""
    return journal.read_text().splitlines()


def test_a_program_that_ends_well_materializes_what_it_reported(journal):
    outcome = executed(step(told(journal, 0, report=["a"])))
    assert outcome.result.success, outcome.logs
    (materialization,) = outcome.materializations["a"]
    assert materialization.tags["dagster/data_version"] == "of a"
    assert materialization.metadata["entity"].value == "a"
    assert RUN_RETRY_TAG not in outcome.run.tags


@pytest.mark.parametrize("exit_code", [1, 75, 101, -signal.SIGKILL], ids=["transient", "stopped", "panic", "killed"])
def test_a_failure_that_may_pass_is_retried_by_dagster(journal, exit_code):
    outcome = executed(step(told(journal, exit_code, 0, report=["a"])))
    assert outcome.result.success, outcome.logs
    assert outcome.retries == 1
    assert lines(journal) == ["started", "started"]
    assert RUN_RETRY_TAG not in outcome.run.tags


def test_a_failure_that_may_pass_and_does_not_is_left_to_run_retries(journal):
    message = {"retryable": True, "class": "transient", "exit_code": 1, "sentence": "Learn is away.", "dead": 0}
    outcome = executed(step(told(journal, 1, message=message)))
    assert not outcome.result.success
    assert len(lines(journal)) == 3
    assert type(outcome.failure) is TransientFailure
    assert outcome.failure.allow_retries is True
    assert "Learn is away." in outcome.failure.description
    values = {name: value.value for name, value in outcome.failure.metadata.items()}
    assert values == {**message, "program": pathlib.PurePath(sys.executable).name}
    assert RUN_RETRY_TAG not in outcome.run.tags
    assert outcome.run.tags["dagster/will_retry"] == "true"


@pytest.mark.parametrize(
    ("exit_code", "word", "kind"),
    [
        (2, "permanent", PermanentFailure),
        (2, "needs_person", NeedsPersonFailure),
        (3, "permanent", ConfigurationFailure),
    ],
)
def test_a_failure_that_stays_is_not_retried_by_anything(journal, exit_code, word, kind):
    message = {"retryable": False, "class": word, "exit_code": exit_code, "sentence": "Learn refused it.", "dead": 1}
    outcome = executed(step(told(journal, exit_code, message=message)))
    failure = outcome.check_permanent(kind)
    assert lines(journal) == ["started"]
    assert "Learn refused it." in failure.description
    assert {name: failure.metadata[name].value for name in message} == message


@pytest.mark.parametrize(("exit_code", "kind"), [(2, PermanentFailure), (3, ConfigurationFailure)])
def test_the_exit_code_is_enough(journal, exit_code, kind):
    failure = executed(step(told(journal, exit_code))).check_permanent(kind)
    assert failure.metadata["exit_code"].value == exit_code
    assert f"exit code {exit_code}" in failure.description


def test_the_exit_code_counts_when_the_message_says_otherwise(journal):
    outcome = executed(step(told(journal, 2, message={"retryable": True, "class": "transient"})))
    outcome.check_permanent(PermanentFailure)
    assert any("the exit code counts" in line for line in outcome.logs)


def test_what_was_reported_before_a_failure_is_materialized(journal):
    outcome = executed(step(told(journal, 2, report=["a"]), keys=("a", "b")))
    outcome.check_permanent(PermanentFailure)
    assert set(outcome.materializations) == {"a"}


def test_silence_about_an_asset_is_no_materialization(journal):
    outcome = executed(step(told(journal, 0, report=["a"]), keys=("a", "b", "c"), skippable=("c",)))
    failure = outcome.check_permanent(PermanentFailure)
    assert set(outcome.materializations) == {"a"}
    assert "webhooks/b" in failure.description and "webhooks/c" not in failure.description


def test_a_program_that_is_not_there_is_a_failure_of_configuration(tmp_path):
    failure = executed(step([str(tmp_path / "nowhere")])).check_permanent(ConfigurationFailure)
    assert failure.description == "nowhere cannot be started: No such file or directory"


def test_lines_arrive_at_standard_input(journal):
    # More than a pipe holds.
    sent = [{"title": "é" * 50_000}, {"title": None}]
    outcome = executed(step(told(journal, 0, report=["a"], lines=True), lines=sent))
    assert outcome.result.success, outcome.logs
    arrived = "".join(f"{json.dumps(line)}\n" for line in sent)
    assert lines(journal) == [f"started with {arrived!r}"]


def interrupted(journal: pathlib.Path, number: int, wait: str, stop_seconds: float) -> list[AssetKey]:
    """Signals Dagster while the program runs; gives the assets that were materialized all the same."""

    def interrupt():
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if journal.exists() and "waiting" in lines(journal):
                os.kill(os.getpid(), number)
                return
            time.sleep(0.01)

    command = told(journal, 75, report=["a"], wait=wait)
    # With a policy, Dagster takes an interruption for one more thing to retry.
    asset = step(command, retry_policy=None, stop_seconds=stop_seconds)
    watcher = threading.Thread(target=interrupt)
    with dagster.DagsterInstance.ephemeral() as instance:
        watcher.start()
        with pytest.raises(dagster.DagsterExecutionInterruptedError):
            dagster.materialize([asset], instance=instance)
        watcher.join()
        return instance.all_asset_keys()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_an_interruption_is_handed_on_once(journal, number):
    keys = interrupted(journal, number, wait="for a signal", stop_seconds=20)
    # The program drops what it holds at a second signal.
    assert lines(journal) == ["started", "own group", "waiting", "SIGTERM"]
    assert keys == [AssetKey(["webhooks", "a"])]


def test_a_program_that_does_not_stop_is_killed(journal):
    begun = time.monotonic()
    interrupted(journal, signal.SIGTERM, wait="for ever", stop_seconds=0.5)
    assert time.monotonic() - begun < 20
    assert lines(journal)[-1] == "SIGTERM"


def test_the_code_location_loads():
    dagster.Definitions.validate_loadable(definitions.defs)


@pytest.mark.parametrize(
    ("place", "folder", "key"),
    [
        ("s3://bucket/xpro/openedx/a.xml.tar.gz", "xpro/openedx/", "xpro/openedx/a.xml.tar.gz"),
        ("s3://bucket/pipeline-storage/xpro/openedx/a.xml.tar.gz", "xpro/openedx/", "xpro/openedx/a.xml.tar.gz"),
        ("s3://bucket/edxorg-raw-data/edxorg/a b.gz", "edxorg-raw-data/", "edxorg-raw-data/edxorg/a b.gz"),
        ("s3://bucket/edxorg/a.gz", "edxorg-raw-data/", "edxorg/a.gz"),
        (
            UPath("memory://lake/canvas/course_content/1/b.imscc"),
            "canvas/course_content/",
            "canvas/course_content/1/b.imscc",
        ),
        (pathlib.PurePosixPath("/tmp/canvas/course_content/1/b.imscc"), "canvas/", "canvas/course_content/1/b.imscc"),
    ],
)
def test_a_content_path_is_the_key_of_the_object(place, folder, key):
    assert webhook_assets.object_key(place, folder) == key


# The assets, with `ol-webhook`.


@pytest.fixture(autouse=True)
def brief_delays(monkeypatch):
    """The assets keep their own policies, but nobody waits minutes for their next try."""
    monkeypatch.setattr(dagster.RetryPolicy, "calculate_delay", lambda *_: 0.5)


@pytest.fixture(scope="session")
def webhook_binary() -> str:
    """`ol-webhook`."""
    return program("OL_WEBHOOK_BINARY")


@pytest.fixture
def learn(webhook_binary) -> Iterator[Callable[..., Witness]]:
    """Starts receivers with the faults it is given; they end with the test."""
    with ExitStack() as stack:
        yield lambda *faults: stack.enter_context(receiver(webhook_binary, *faults))


@pytest.fixture
def client(webhook_binary, tmp_path) -> Callable[..., Webhook]:
    """The resource for a receiver; all of a test share an outbox."""

    def resource(witness: Witness, **more: str) -> Webhook:
        return Webhook(binary=webhook_binary, environment=witness.environment(f"sqlite:{tmp_path}/outbox.db", **more))

    return resource


def upstream(key: list[str], partitions: dagster.PartitionsDefinition, value: object) -> dagster.AssetsDefinition:
    """What an asset reads."""

    @dagster.asset(key=key, partitions_def=partitions)
    def read():
        return value

    return read


def read_by(kind: Kind) -> Iterator[dagster.AssetsDefinition]:
    """What the asset of a kind reads. Canvas describes a course in a file beside its archive."""
    for key in kind.asset.dependency_keys:
        value = kind.reads
        if key.path[-1] == "course_metadata":
            value = UPath("memory://lake") / kind.body["metadata_path"]
            value.parent.mkdir(parents=True, exist_ok=True)
            course = {name: kind.body[name] for name in ("course_name", "course_code")}
            value.write_text(json.dumps({**course, "course_readable_id": None, "pages": []}))
        yield upstream(list(key.path), kind.asset.partitions_def, value)


def delivered(kind: Kind, webhook: Webhook, **options) -> Outcome:
    """Materializes the asset of a kind, and what it reads."""
    return executed(kind.asset, *read_by(kind), webhook=webhook, partition_key=kind.partition_key, **options)


def check_delivered(kind: Kind, outcome: Outcome, attempt: Exchange, *, attempts: int = 1) -> None:
    """One materialization that tells of exactly this attempt."""
    assert outcome.result.success, outcome.logs
    (materialization,) = outcome.materializations[kind.asset.key.path[-1]]
    metadata = {name: value.value for name, value in materialization.metadata.items()}
    missing = [name for name in METADATA if name not in metadata]
    assert not missing, f"no {missing} in {sorted(metadata)}"
    assert materialization.partition == kind.partition_key
    assert materialization.tags["dagster/data_version"] == metadata["content_hash"]
    assert metadata["message_id"] == attempt.message_id
    assert metadata["attempts"] == attempts
    assert metadata["response_status"] == 200
    assert metadata["body_bytes"] == len(attempt.body)
    assert metadata["seconds"] > 0
    assert attempt.path == kind.path
    assert attempt.is_signed
    # Canvas: when the payload was made.
    assert {name: value for name, value in attempt.document.items() if name != "time"} == kind.body


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_arrives_and_is_materialized(learn, client, name):
    kind, witness = KINDS[name], learn()
    outcome = delivered(kind, client(witness))
    assert outcome.result.success, outcome.logs
    (attempt,) = witness.attempts
    check_delivered(kind, outcome, attempt)
    assert RUN_RETRY_TAG not in outcome.run.tags


def test_learning_resources_are_refused_until_learn_has_the_route(learn, client):
    witness = learn()
    outcome = executed(webhook_assets.mit_climate, webhook=client(witness))
    assert not outcome.result.success
    outcome.check_permanent(type(outcome.failure))
    assert isinstance(outcome.failure, PermanentFailure)
    assert "route" in outcome.failure.description
    assert outcome.materializations == {}
    assert witness.exchanges == []


@pytest.mark.parametrize("name", KINDS)
def test_what_is_refused_is_sent_once(learn, client, name):
    kind = KINDS[name]
    witness = learn("reject:*")
    outcome = delivered(kind, client(witness))
    assert not outcome.result.success
    failure = outcome.check_permanent(type(outcome.failure))
    assert isinstance(failure, PermanentFailure)
    assert failure.metadata["exit_code"].value == 2
    assert failure.metadata["class"].value in ("permanent", "needs_person")
    assert failure.metadata["sentence"].value in failure.description
    assert kind.asset.key.path[-1] not in outcome.materializations
    (attempt,) = witness.attempts
    assert 400 <= attempt.status < 500


@pytest.mark.parametrize("name", KINDS)
def test_an_outage_is_left_to_dagster_whose_next_try_delivers_the_same_message(learn, client, name):
    kind, witness = KINDS[name], learn("status:503:1")
    webhook = client(witness, **IMPATIENT)
    outcome = delivered(kind, webhook)
    assert outcome.result.success, outcome.logs
    assert outcome.retries == 1
    first, second = witness.attempts
    assert (first.status, second.status) == (503, 200)
    assert first.message_id == second.message_id
    assert first.body == second.body
    check_delivered(kind, outcome, second, attempts=2)


def test_an_outage_that_lasts_fails_the_step_and_leaves_the_run_to_run_retries(learn, client):
    kind, witness = KINDS["mitxonline"], learn("status:503:100")
    webhook = client(witness, **IMPATIENT)
    outcome = delivered(kind, webhook)
    assert not outcome.result.success
    assert outcome.retries == webhook_assets.RETRIES.max_retries
    assert type(outcome.failure) is TransientFailure
    values = {name: value.value for name, value in outcome.failure.metadata.items()}
    assert (values["retryable"], values["class"], values["exit_code"]) == (True, "transient", 1)
    assert RUN_RETRY_TAG not in outcome.run.tags
    assert outcome.run.tags["dagster/will_retry"] == "true"
    assert len({attempt.message_id for attempt in witness.attempts}) == 1


def test_unchanged_content_is_materialized_without_a_request_unless_forced(learn, client):
    kind, witness = KINDS["ovs"], learn()
    first = delivered(kind, client(witness))
    again = delivered(kind, client(witness))
    assert first.result.success and again.result.success, again.logs
    assert len(witness.attempts) == 1
    versions = [outcome.materializations["video_webhook"][0].tags["dagster/data_version"] for outcome in (first, again)]
    assert versions[0] == versions[1]
    forced = delivered(kind, client(witness), tags={FORCE_TAG: "true"})
    assert forced.result.success, forced.logs
    assert len(witness.attempts) == 2


def test_a_wrong_secret_needs_a_person(learn, client):
    kind, witness = KINDS["canvas"], learn()
    outcome = delivered(kind, client(witness, MIT_LEARN_WEBHOOK_SECRET="another-secret-altogether"))
    outcome.check_permanent(NeedsPersonFailure)
    assert len(witness.attempts) == 1
    everything = f"{outcome.logs} {outcome.failure.description} {outcome.failure.metadata}"
    assert "another-secret-altogether" not in everything


def test_what_needed_a_person_is_delivered_once_it_is_mended(learn, client):
    kind, witness = KINDS["canvas"], learn()
    broken = delivered(kind, client(witness, MIT_LEARN_WEBHOOK_SECRET="another-secret-altogether"))
    broken.check_permanent(NeedsPersonFailure)
    outcome = delivered(kind, client(witness))
    first, second = witness.attempts
    assert (first.status, second.status) == (405, 200)
    (materialization,) = outcome.materializations[kind.asset.key.path[-1]]
    assert materialization.metadata["message_id"].value == second.message_id


def test_what_learn_would_refuse_is_not_sent(learn, client):
    witness = learn()
    video = {**VIDEO, "sources": [{"src": "https://elsewhere.example.org/video.m3u8"}]}
    outcome = delivered(dataclasses.replace(KINDS["ovs"], reads=video), client(witness))
    failure = outcome.check_permanent(PermanentFailure)
    assert "elsewhere" not in failure.description
    assert outcome.materializations.keys() == {"video_metadata"}
    assert witness.exchanges == []


def test_a_step_answers_for_its_own_messages_only(learn, client):
    """One outbox serves all steps; a message that waits or died there is not the failure of another step."""
    waiting, dead, kind = KINDS["canvas"], KINDS["xpro"], KINDS["ovs"]
    tries = webhook_assets.RETRIES.max_retries + 1
    witness = learn(f"status:503:{tries}", f"reject:{RUN}")
    webhook = client(witness, **IMPATIENT)
    assert type(delivered(waiting, webhook).failure) is TransientFailure
    assert isinstance(delivered(dead, webhook).failure, PermanentFailure)
    outcome = delivered(kind, webhook)
    (attempt,) = [attempt for attempt in witness.attempts if attempt.path == OVS]
    check_delivered(kind, outcome, attempt)


def videos(*keys: str) -> list[dict]:
    """Videos that differ in their keys."""
    return [{**VIDEO, "key": key, "title": f"Video {key}"} for key in keys]


def test_in_a_step_of_many_assets_every_entity_has_its_own(learn, client):
    witness = learn("reject:*refused*")
    keys = ("video-one", "video-refused", "video-two")

    @dagster.multi_asset(
        name="ovs_videos",
        specs=[dagster.AssetSpec(["ovs_videos", key]) for key in keys],
        retry_policy=dagster.RetryPolicy(max_retries=3),
    )
    def ovs_videos(context: dagster.AssetExecutionContext, webhook: Webhook):
        yield from webhook.send(context, "ovs_videos", lines=videos(*keys))

    outcome = executed(ovs_videos, webhook=client(witness))
    assert not outcome.result.success
    outcome.check_permanent(type(outcome.failure))
    assert outcome.failure.metadata["dead"].value == 1
    # One refused entity keeps no other from its delivery, and what was delivered is on record.
    assert set(outcome.materializations) == {"video-one", "video-two"}
    assert sorted(attempt.document["key"] for attempt in witness.attempts) == sorted(keys)
    for key in ("video-one", "video-two"):
        (materialization,) = outcome.materializations[key]
        (attempt,) = [attempt for attempt in witness.attempts if attempt.document["key"] == key]
        assert materialization.metadata["message_id"].value == attempt.message_id


def test_many_messages_of_one_asset_are_one_materialization(learn, client):
    witness = learn()

    @dagster.asset(key=["ovs_videos", "all"])
    def ovs_videos(context: dagster.AssetExecutionContext, webhook: Webhook):
        yield from webhook.send(context, "ovs_videos", lines=videos(*keys))

    keys = ("video-one", "video-two")
    first = executed(ovs_videos, webhook=client(witness))
    keys = ("video-one", "video-two", "video-three")
    second = executed(ovs_videos, webhook=client(witness))
    assert first.result.success and second.result.success, second.logs
    assert len(witness.attempts) == 3
    told = []
    for outcome in (first, second):
        (materialization,) = outcome.materializations["all"]
        told.append({name: value.value for name, value in materialization.metadata.items()})
        assert materialization.tags["dagster/data_version"]
    assert [(each["delivered"], each["unchanged"], each["attempts"]) for each in told] == [(2, 0, 2), (1, 2, 1)]
    assert isinstance(second.materializations["all"][0].metadata["entities"], dagster.TableMetadataValue)
    versions = {outcome.materializations["all"][0].tags["dagster/data_version"] for outcome in (first, second)}
    assert len(versions) == 2
