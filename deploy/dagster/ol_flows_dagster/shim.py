"""Runs a program of OL Flows inside a Dagster step and gives its exit code the meaning it has.

`PipesSubprocessClient` does the launching well, but not the end:

- any exit code but 0 becomes the same exception, and every policy tries again: a payload that is refused for good is
  sent by each try of a `RetryPolicy` times each run retry;
- what the program had reported before it failed is lost with the exception. An entity that was delivered would look
  as if it was not;
- an asset about which the program said nothing is materialized all the same.

Here the session is opened by hand, what was reported is always yielded, and the exit code decides what is raised.
"""

import dataclasses
import errno
import json
import os
import pathlib
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import IO, Any

import dagster as dg
from pydantic import Field

Context = dg.OpExecutionContext | dg.AssetExecutionContext
Result = dg.MaterializeResult | dg.AssetCheckResult

DONE, TRANSIENT, PERMANENT, CONFIGURATION, STOPPED = 0, 1, 2, 3, 75
CLASSES = {TRANSIENT: "transient", PERMANENT: "permanent", CONFIGURATION: "configuration", STOPPED: "stopped"}

# Read by the daemon that retries runs; it never sees the exception.
RUN_RETRY_TAG = "dagster/retry_on_asset_or_op_failure"
# On a run: send what the outbox holds for delivered, too. Without it, a materialization by hand of unchanged content
# would deliver nothing.
FORCE_TAG = "ol_webhook/force"

# A machine that is short of something now: the program itself may be fine.
SHORTAGES = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETXTBSY}


class TransientFailure(dg.Failure):
    """Another attempt may end differently: `RetryPolicy` and run retries apply."""


class PermanentFailure(dg.Failure):
    """No attempt will end differently: neither the step nor the run is retried.

    The kinds are classes of their own because error trackers group by the name of the class.
    """


class NeedsPersonFailure(PermanentFailure):
    """The payload may be right, but the receiver is not ready for it: a wrong secret, a route that does not exist."""


class ConfigurationFailure(PermanentFailure):
    """The program could not start its work with the settings it was given."""


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a program ended, and all it had said by then."""

    exit_code: int
    results: Sequence[Result]
    messages: Sequence[Any]
    interruption: BaseException | None


def run_program(
    context: Context,
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    lines: Iterable[Mapping[str, Any]] | None = None,
    stop_seconds: float = 20.0,
) -> Iterator[Result]:
    """Runs a program that reports by Pipes; use it as `yield from`.

    Yields everything that was reported, then raises the failure if there is one. `lines` are written to the program's
    standard input as JSON, one a line.
    """
    name = pathlib.PurePath(command[0]).name
    try:
        ended = _run(context, command, environment or {}, lines, stop_seconds)
    except OSError as error:
        raise _stamped(context, _not_started(name, error)) from error
    yield from ended.results
    if ended.interruption is not None:
        raise ended.interruption
    failure = _failure(context, name, ended)
    if failure is not None:
        raise _stamped(context, failure)


class Webhook(dg.ConfigurableResource):
    """The program `ol-webhook`: signed webhooks to MIT Learn through an outbox.

    It finds its target, its secret and its outbox in the environment it inherits: `MIT_LEARN_BASE_URL`,
    `MIT_LEARN_WEBHOOK_SECRET`, `OL_OUTBOX`. Keep the secret there: Dagster shows the configuration of a resource.
    """

    binary: str = Field(default="ol-webhook", description="The program, by name or by path.")
    environment: dict[str, str] = Field(default={}, description="More environment, nothing secret.")
    stop_seconds: float = Field(default=20.0, description="How long an interrupted program may take to stop.")

    def send(
        self,
        context: Context,
        kind: str,
        *,
        source: str | None = None,
        course_id: str | None = None,
        course_readable_id: str | None = None,
        content_path: str | None = None,
        video_id: str | None = None,
        payload: Mapping[str, Any] | None = None,
        lines: Iterable[Mapping[str, Any]] | None = None,
        table: str | None = None,
        query: str | None = None,
        complete: bool = False,
        force: bool = False,
    ) -> Iterator[Result]:
        """Puts the messages of this step into the outbox and delivers them; use it as `yield from`.

        Which arguments belong together is the program's to say: what does not is a failure of configuration.
        """
        options = {
            "source": source,
            "course-id": course_id,
            "course-readable-id": course_readable_id,
            "content-path": content_path,
            "video-id": video_id,
            "payload": None if payload is None else json.dumps(payload, allow_nan=False),
            "lines": None if lines is None else "-",
            "table": table,
            "query": query,
        }
        command = [self.binary, "send", "--deliver", f"--kind={kind}"]
        # With an equals sign, a value that begins with a dash stays a value.
        command += [f"--{option}={value}" for option, value in options.items() if value is not None]
        if complete:
            command.append("--complete")
        if force or context.run.tags.get(FORCE_TAG) == "true":
            command.append("--force")
        yield from run_program(
            context, command, environment=self.environment, lines=lines, stop_seconds=self.stop_seconds
        )


def _run(
    context: Context,
    command: Sequence[str],
    environment: Mapping[str, str],
    lines: Iterable[Mapping[str, Any]] | None,
    stop_seconds: float,
) -> Ended:
    """Starts the program and waits for it; nothing of this raises once it has started."""
    interruption: BaseException | None = None
    with ExitStack() as stack:
        standard_input = subprocess.DEVNULL if lines is None else stack.enter_context(_as_file(lines))
        session = stack.enter_context(
            dg.open_pipes_session(
                context=context,
                context_injector=dg.PipesTempFileContextInjector(),
                message_reader=dg.PipesTempFileMessageReader(),
            )
        )
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment, **session.get_bootstrap_env_vars()},
            stdin=standard_input,
            # A group of its own: Ctrl-C in a terminal would reach the program beside our signal, and the second
            # signal makes it drop what it holds.
            process_group=0,
        )
        try:
            process.wait()
        except BaseException as error:  # whatever it is, the program must not outlive its step
            interruption = error
            context.log.info("Interrupted: asking the program to stop")
            _stop(process, stop_seconds)
    # Only now has the session read the last message.
    return Ended(
        exit_code=process.returncode,
        # Not `get_results`: it would add materializations of which the program knows nothing.
        results=session.get_reported_results(),
        messages=session.get_custom_messages(),
        interruption=interruption,
    )


def _as_file(lines: Iterable[Mapping[str, Any]]) -> IO[bytes]:
    """The lines as an unnamed file: a pipe would stall, or break, when the program does not read it to its end."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
    for line in lines:
        file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
    file.seek(0)
    return file


def _stop(process: subprocess.Popen, seconds: float) -> None:
    """Asks once, as Kubernetes does; kills what has not stopped in time or when somebody insists."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        pass
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _not_started(name: str, error: OSError) -> dg.Failure:
    """The failure of a program that never ran."""
    shortage = error.errno in SHORTAGES
    return (TransientFailure if shortage else ConfigurationFailure)(
        description=f"{name} cannot be started: {error.strerror or error}",
        metadata={"retryable": shortage, "class": CLASSES[TRANSIENT if shortage else CONFIGURATION]},
        allow_retries=shortage,
    )


def _failure(context: Context, name: str, ended: Ended) -> dg.Failure | None:
    """What the step fails with, if it fails."""
    code = ended.exit_code
    if code == DONE:
        return _silence(context, name, ended)
    told = _told(ended.messages)
    # A signal or a code of nobody says nothing about the payload, so it is tried again; policies bound how often.
    retryable = code not in (PERMANENT, CONFIGURATION)
    word = str(told.get("class") or CLASSES.get(code, "transient"))
    sentence = str(told.get("sentence") or _ending(code))
    metadata: dict[str, Any] = {
        "retryable": retryable,
        "class": word,
        "exit_code": code,
        "sentence": sentence,
        "program": name,
    }
    if isinstance(told.get("dead"), int):
        metadata["dead"] = told["dead"]
    if told.get("retryable", retryable) is not retryable:
        context.log.warning(f"{name} said retryable={told['retryable']} and ended with {code}; the exit code counts")
    if retryable:
        kind: type[dg.Failure] = TransientFailure
        advice = "Another attempt may clear this."
    else:
        kind = {"needs_person": NeedsPersonFailure, "configuration": ConfigurationFailure}.get(word, PermanentFailure)
        kind = ConfigurationFailure if code == CONFIGURATION else kind
        advice = "No attempt clears this, so none is made."
    return kind(description=f"{name}: {sentence} {advice}", metadata=metadata, allow_retries=retryable)


def _silence(context: Context, name: str, ended: Ended) -> dg.Failure | None:
    """A program that ended well must have spoken about every asset it was started for."""
    if not context.has_assets_def:
        return None
    reported = {result.asset_key for result in ended.results if isinstance(result, dg.MaterializeResult)}
    missing = sorted(
        key.to_user_string()
        for key in context.selected_asset_keys - reported
        if not context.assets_def.get_asset_spec(key).skippable
    )
    if not missing:
        return None
    return PermanentFailure(
        description=(
            f"{name} ended well but Dagster heard nothing of {', '.join(missing)}. In a step of several assets the "
            "last part of an asset's key must be the identity of its entity; a report that Dagster could not read is "
            "in the log of the run."
        ),
        metadata={"retryable": False, "class": CLASSES[PERMANENT], "exit_code": DONE, "program": name},
        allow_retries=False,
    )


def _told(messages: Sequence[Any]) -> Mapping[str, Any]:
    """What the program says of its failure, the last time it did."""
    told = [message for message in messages if isinstance(message, Mapping) and "retryable" in message]
    return told[-1] if told else {}


def _ending(code: int) -> str:
    """The sentence for a program that left none."""
    if code >= 0:
        return f"It ended with exit code {code}; its log says why."
    try:
        return f"It was ended by {signal.Signals(-code).name}."
    except ValueError:
        return f"It was ended by signal {-code}."


def _stamped(context: Context, failure: dg.Failure) -> dg.Failure:
    """Marks the run of a permanent failure, so that the daemon of run retries lets it rest.

    Here and not in a failure hook: every permanent failure passes this line, and a hook is easily forgotten. A run
    that cannot be marked is retried; that must not hide the failure itself.
    """
    if not failure.allow_retries:
        try:
            context.instance.add_run_tags(context.run.run_id, {RUN_RETRY_TAG: "false"})
        except Exception as error:
            context.log.warning(f"The run cannot be tagged {RUN_RETRY_TAG}=false, so it may be retried: {error}")
    return failure
