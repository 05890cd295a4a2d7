"""The program: its options, its secrets, its end."""

import concurrent.futures
import http.client
import pathlib
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from client import ACCEPTED, CANVAS, CONTENT_FILES, OF_THE_VIEW, PROGRAM, RESOURCES, Receiver


def test_learning_resources(tmp_path: pathlib.Path) -> None:
    """With the switch the route is there, and judges the least that a resource must say."""
    receiver = Receiver(tmp_path, "--with-learning-resources")
    resource = {"readable_id": "a", "title": "Café", "etl_source": "mit_climate", "resource_type": "document"}
    accepted: list[dict[str, Any]] = [{"resources": [resource]}, {"resources": []}]
    for payload in accepted:
        answer = receiver.post(RESOURCES, payload)
        assert (answer.status, answer.allow, answer.json) == (200, OF_THE_VIEW, ACCEPTED)
    assert receiver.last()["effect"] == "stored"
    refused: list[dict[str, Any]] = [{}, {"resources": {}}, {"resources": [resource | {"etl_source": "edxorg"}]}]
    for payload in refused:
        answer = receiver.post(RESOURCES, payload)
        assert (answer.status, set(answer.json)) == (400, {"resources", "error_type"})
    assert receiver.post(RESOURCES, b"{").body == b"Invalid JSON format"
    assert receiver.post(RESOURCES, {"resources": []}, secret="wrong").status == 405
    assert receiver.request("GET", RESOURCES).allow == {"POST"}
    assert receiver.ended() == 0


def test_secret_rotates_in_mid_flight(tmp_path: pathlib.Path) -> None:
    """The file is read at every request; while it is absent or empty the last secret holds."""
    file = tmp_path / "secret"
    file.write_text("first\n")
    receiver = Receiver(tmp_path, "--secret-file", str(file), secret=None)

    def statuses() -> list[int]:
        """What the first and the second secret get."""
        return [receiver.post(CONTENT_FILES, CANVAS, secret=secret).status for secret in ("first", "second")]

    assert statuses() == [200, 405]
    file.write_text("second")
    assert statuses() == [405, 200]
    file.write_text("")
    assert statuses() == [405, 200]
    file.unlink()
    assert statuses() == [405, 200]
    assert receiver.ended(signal.SIGINT) == 0


def test_ends_at_once_although_a_request_is_delayed(tmp_path: pathlib.Path) -> None:
    """A delay does not hold up the end; faults of the command line are in force from the start."""
    receiver = Receiver(tmp_path, "--fault", "delay:60:1", "--threads", "2")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pending = pool.submit(receiver.post, CONTENT_FILES, CANVAS)
        time.sleep(0.5)
        started = time.monotonic()
        assert receiver.ended() == 0
        assert time.monotonic() - started < 5
        assert pending.exception(timeout=5) is None or isinstance(
            pending.exception(), (OSError, http.client.HTTPException)
        )


def test_journal_survives_a_kill(tmp_path: pathlib.Path) -> None:
    """What was answered is in the journal after SIGKILL; a torn line is cut off, and the count goes on."""
    receiver = Receiver(tmp_path)
    for _ in range(3):
        receiver.post(CONTENT_FILES, CANVAS)
    assert receiver.ended(signal.SIGKILL) == -signal.SIGKILL
    with receiver.journal.open("a") as file:
        file.write('{"sequence": 4, "at"')
    receiver = Receiver(tmp_path)
    receiver.post(CONTENT_FILES, CANVAS)
    assert [entry["sequence"] for entry in receiver.entries()] == [1, 2, 3, 4]
    assert receiver.ended() == 0


@pytest.mark.parametrize("options", [["--secret", "s", "--fault", "earthquake"], [], ["--secret-file", "/nowhere"]])
def test_refuses_to_start(tmp_path: pathlib.Path, options: list[str]) -> None:
    """A fault that cannot be read, or no secret, is said on stderr and ends it with 2."""
    command = [sys.executable, str(PROGRAM), "--journal", str(tmp_path / "journal"), *options]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr.strip()


def test_listens_on_loopback_only(receiver: Receiver) -> None:
    """The one socket it listens on is bound to 127.0.0.1."""
    listening = []
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/{receiver.process.pid}/net/{table}").read_text().splitlines()[1:]:
            address, port = line.split()[1].rsplit(":", 1)
            if int(port, 16) == receiver.port and line.split()[3] == "0A":
                listening.append(address)
    assert listening == ["0100007F"]
