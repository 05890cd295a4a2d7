"""What the receiver knows: its secret, the faults in force, the resources it holds, and the request being served.

One object, made before Django loads, because the route table depends on it.
"""

import pathlib
import threading
from dataclasses import dataclass, field

from learn.faults import Faults

EXCHANGE = "receiver.exchange"


@dataclass
class Exchange:
    """One request as it passes through: the secret it is judged by, and what the views made of it."""

    secret: str
    effect: str | None = None
    faults: list[str] = field(default_factory=list)


class Several(Exception):
    """More than one resource matches where one is expected."""


@dataclass
class World:
    """The state behind the views, shared by all threads."""

    fixed_secret: str = ""
    secret_file: pathlib.Path | None = None
    with_learning_resources: bool = False
    faults: Faults = field(default_factory=Faults)
    stopping: threading.Event = field(default_factory=threading.Event)
    _resources: set[tuple[str, str]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def secret(self) -> str:
        """The secret as it is now: the file's, read again, or the last one known while the file is absent or empty."""
        if self.secret_file is not None:
            try:
                self.fixed_secret = self.secret_file.read_text().strip() or self.fixed_secret
            except OSError:
                pass
        return self.fixed_secret

    def store(self, source: str, readable_id: str) -> None:
        """Creates or updates a resource."""
        with self._lock:
            self._resources.add((source, readable_id))

    def delete(self, source: str, readable_id: str) -> bool:
        """Deletes the resource with exactly this id; returns whether there was one."""
        with self._lock:
            found = (source, readable_id) in self._resources
            self._resources.discard((source, readable_id))
            return found

    def delete_by_prefix(self, source: str, prefix: str) -> bool:
        """Deletes the one resource whose id starts so, in any case; raises Several when there are more."""
        with self._lock:
            found = [
                resource
                for resource in self._resources
                if resource[0] == source and resource[1].lower().startswith(prefix.lower())
            ]
            if len(found) > 1:
                raise Several(f"{len(found)} resources of {source} start with {prefix}")
            self._resources.difference_update(found)
            return bool(found)


world = World()
