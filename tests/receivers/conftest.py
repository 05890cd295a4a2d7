"""One receiver for all tests, which finds nothing of another test in it."""

import signal
from collections.abc import Iterator

import pytest
from client import Receiver


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """One receiver for all tests that leave it as it was; two of its resources begin alike."""
    folder = tmp_path_factory.mktemp("receiver")
    receiver = Receiver(
        folder, "--resource", "xpro=MITx+6.00", "--resource", "xpro=MITx+6.00.1x", "--resource", "canvas=77-AB"
    )
    yield receiver
    assert receiver.ended(signal.SIGTERM) == 0


@pytest.fixture
def receiver(shared: Receiver) -> Iterator[Receiver]:
    """The shared receiver, healed afterwards."""
    yield shared
    shared.faults()
