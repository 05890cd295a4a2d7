"""Faults by name and count, so that a test can poison the receiver and heal it while it runs.

    status:CODE[:N][:retry-after=SECONDS | :retry-after-date[=SECONDS]]   the next N POSTs are answered CODE, unheard
    drop[:N]              the next N POSTs are processed and journaled, and the connection is closed without an answer
    delay:SECONDS[:N]     the next N POSTs wait before they are processed
    celery-down[:N]       the next N valid content_files find no broker: 500
    loader-error:KEY[:N]  the next N upserts of that OVS video blow up in the loader: 500

Without N a fault stays until it is cleared. A POST takes at most one delay and one of `status` and `drop`: the oldest.
"""

import datetime
import email.utils
import math
import threading
from dataclasses import dataclass, replace

ANSWERS = ("status", "drop")


class BadSpec(ValueError):
    """A fault specification that cannot be read."""


@dataclass(frozen=True)
class Fault:
    """One fault; `remaining` is None when it stays until cleared."""

    kind: str
    argument: str = ""
    remaining: int | None = None
    retry_after: float | None = None
    retry_after_is_date: bool = False

    @property
    def name(self) -> str:
        """The fault without its count, as the journal names it."""
        return f"{self.kind}:{self.argument}" if self.argument else self.kind

    @property
    def spec(self) -> str:
        """The fault as it would be specified now."""
        parts = [self.name] + ([str(self.remaining)] if self.remaining is not None else [])
        if self.retry_after is not None:
            parts.append(f"retry-after{'-date' if self.retry_after_is_date else ''}={self.retry_after:g}")
        return ":".join(parts)

    def retry_after_header(self, now: datetime.datetime) -> str | None:
        """The value of `Retry-After`: whole seconds, or the date that lies at least so many seconds ahead."""
        if self.retry_after is None:
            return None
        if not self.retry_after_is_date:
            return f"{self.retry_after:g}"
        instant = math.ceil(now.timestamp() + self.retry_after)
        return email.utils.format_datetime(datetime.datetime.fromtimestamp(instant, datetime.UTC), usegmt=True)


def parse(spec: str) -> Fault:
    """Reads one specification."""
    kind, *rest = spec.split(":")
    argument = ""
    if kind in ("status", "delay", "loader-error"):
        if not rest or not rest[0]:
            raise BadSpec(f"{spec}: {kind} needs an argument")
        argument = rest.pop(0)
    elif kind not in ("drop", "celery-down"):
        raise BadSpec(f"{spec}: no fault is called {kind}")
    if kind == "status" and not (argument.isdecimal() and 200 <= int(argument) <= 599):
        raise BadSpec(f"{spec}: {argument} is not a status between 200 and 599")
    if kind == "delay":
        seconds_of(spec, argument)
    fault = Fault(kind, argument)
    for part in rest:
        option, _, value = part.partition("=")
        if part.isdecimal() and int(part) > 0 and fault.remaining is None:
            fault = replace(fault, remaining=int(part))
        elif kind == "status" and option in ("retry-after", "retry-after-date"):
            seconds = seconds_of(spec, value or "1")
            fault = replace(fault, retry_after=seconds, retry_after_is_date=option == "retry-after-date")
        else:
            raise BadSpec(f"{spec}: {part!r} is not understood")
    return fault


def seconds_of(spec: str, text: str) -> float:
    """A finite number of seconds, not negative."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise BadSpec(f"{spec}: {text!r} is not a number of seconds")
    return seconds


class Faults:
    """The faults in force, oldest first; safe to use from several threads."""

    def __init__(self) -> None:
        """No fault is in force."""
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def change(self, clear: bool, add: list[Fault]) -> list[str]:
        """Clears when asked to, then adds; returns what is in force."""
        with self._lock:
            self._faults = ([] if clear else self._faults) + add
            return [fault.spec for fault in self._faults]

    def take(self, *kinds: str, argument: str | None = None) -> Fault | None:
        """Uses up one count of the oldest fault of these kinds (and, when given, this argument)."""
        with self._lock:
            for index, fault in enumerate(self._faults):
                if fault.kind in kinds and argument in (None, fault.argument):
                    if fault.remaining == 1:
                        del self._faults[index]
                    elif fault.remaining is not None:
                        self._faults[index] = replace(fault, remaining=fault.remaining - 1)
                    return fault
        return None
