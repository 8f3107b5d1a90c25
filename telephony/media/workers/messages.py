"""All that the service and a media worker say to one another: one table a direction.

A new method of ``calls.ports.Media`` is one row of ``LANE_ORDERS``, with the names of its
parameters; a new callback of a lane is one row of ``LANE_FACTS``. Values travel as JSON of the
types named here and are checked on arrival; sounds travel once, as octets, and are named by number
afterwards; a ``done`` is a number that comes back with the result.

A message: octets of what follows (4), row (1), octets of the JSON (4), the JSON, raw octets.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from telephony.calls.events import MediaQuality
from telephony.calls.ports import AnswerHeard, GreetingHeard, Played, Recorded
from telephony.calls.role import Role
from telephony.media.config import MediaConfig
from telephony.media.stats import TickStats
from telephony.media.terms import Terms


class Ref(Enum):
    """What is a number on the way."""

    SOUND = "sound"
    LANE = "lane"
    PLAYED = "played"
    RECORDED = "recorded"
    COUNTED = "counted"
    ANSWER = "answer"
    GREETING = "greeting"


WATCHES = (Ref.ANSWER, Ref.GREETING)
"""Callbacks that are never called when the leg ends first."""


def is_done(kind: Any) -> bool:
    """Whether a field is a callback. The fact that calls it is named by the value."""
    return isinstance(kind, Ref) and kind not in (Ref.SOUND, Ref.LANE)


Fields = dict[str, Any]
"""Parameter → its type, or a ``Ref``."""

# --- to a worker -----------------------------------------------------------------------------

ENGINE_ORDERS: dict[str, Fields] = {
    "begin": {"config": MediaConfig},
    "open": {"number": int, "host": str, "port": int},  # with the RTP and the RTCP socket
    "sound": {"number": int, "rate": int, "last": bool},  # with a piece of the samples
    "forget": {"number": int},
    "stop": {},
}
LANE_ORDERS: dict[str, Fields] = {
    "start": {"terms": Terms},
    "end": {"done": Ref.COUNTED},
    "play": {"sound": Ref.SOUND, "done": Ref.PLAYED, "loop": bool},
    "stop": {},
    "send_digits": {"digits": str},
    "record_call": {"path": Path, "done": Ref.RECORDED},
    "record_message": {
        "path": Path,
        "done": Ref.RECORDED,
        "max_seconds": float,
        "silence_seconds": float | None,
    },
    "stop_message": {},
    "finish": {},
    "watch_answer": {"done": Ref.ANSWER, "seconds": float},
    "await_greeting": {"done": Ref.GREETING, "seconds": float, "beep_only": bool},
    "bridge": {"other": Ref.LANE},
    "enter": {"group": str, "role": Role},
    "relay": {"group": str},
    "leave_group": {"group": str},
}

# --- from a worker ---------------------------------------------------------------------------

ENGINE_FACTS: dict[str, Fields] = {
    "ready": {},
    "played": {"ticket": int, "result": Played},
    "recorded": {"ticket": int, "result": Recorded},
    "counted": {"ticket": int, "result": MediaQuality},
    "answer": {"ticket": int, "result": AnswerHeard},
    "greeting": {"ticket": int, "result": GreetingHeard},
    "quality": {"lane": int, "quality": MediaQuality},
    "stats": {"lanes": int, "stats": TickStats},
    "traced": {"action": str, "facts": dict[str, str | int | float]},
    "refused": {"ticket": int},
}
LANE_FACTS: dict[str, Fields] = {
    "on_lost": {},
    "on_digit": {"digit": str, "duration_ms": int},
    "on_timeout": {},
    "on_tone": {"kind": str},
}
DROPPABLE = frozenset({"quality", "stats", "traced"})
"""What is not kept while the other side does not read."""

# --- how it is written -----------------------------------------------------------------------

MAX_MESSAGE = 1 << 20
"""Octets of one message; more is a fault of ours."""
PIECE = 64 * 1024
"""Octets of a sound in one message."""
_HEAD = struct.Struct("!IBI")


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of message. ``of_lane``: the first value is a lane's number."""

    code: int
    name: str
    fields: Fields
    of_lane: bool
    adapter: TypeAdapter[tuple[Any, ...]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Message:
    """One that arrived: its row, its values in the row's order, and raw octets."""

    row: Row
    lane: int
    values: tuple[Any, ...]
    tail: bytes


class Table:
    """The kinds of one direction."""

    def __init__(self, plain: dict[str, Fields], of_lanes: dict[str, Fields]) -> None:
        kinds = [(name, fields, False) for name, fields in plain.items()]
        kinds += [(f"lane {name}", fields, True) for name, fields in of_lanes.items()]
        self._rows = [
            Row(code, name, fields, of_lane, _adapter(fields, of_lane))
            for code, (name, fields, of_lane) in enumerate(kinds)
        ]
        self._named = {row.name: row for row in self._rows}

    def row(self, name: str, *, of_lane: bool = False) -> Row:
        """The kind of this name; KeyError where there is none."""
        return self._named[f"lane {name}" if of_lane else name]

    def encode(self, row: Row, *values: Any, tail: bytes | memoryview = b"") -> bytes:
        """One message."""
        head = row.adapter.dump_json(values)
        return b"".join((_HEAD.pack(5 + len(head) + len(tail), row.code, len(head)), head, tail))

    def take(self, received: bytearray) -> list[Message]:
        """Remove the whole messages from what was received, oldest first.

        Raises:
            ValueError: what is there is no message of this table.
        """
        found, at = [], 0
        while len(received) - at >= _HEAD.size:
            size, code, head = _HEAD.unpack_from(received, at)
            if not 5 + head <= size <= MAX_MESSAGE or code >= len(self._rows):
                raise ValueError(f"no message: {size} octets, kind {code}")
            if len(received) - at < 4 + size:
                break
            row, begin = self._rows[code], at + _HEAD.size
            values = row.adapter.validate_json(bytes(received[begin : begin + head]))
            lane = values[0] if row.of_lane else 0
            tail = bytes(received[begin + head : at + 4 + size])
            found.append(Message(row, lane, values[1:] if row.of_lane else values, tail))
            at += 4 + size
        del received[:at]
        return found


def _adapter(fields: Fields, of_lane: bool) -> TypeAdapter[tuple[Any, ...]]:
    types: list[Any] = [int] if of_lane else []
    types += [int if isinstance(kind, Ref) else kind for kind in fields.values()]
    whole: Any = tuple[tuple(types)]  # type: ignore[misc]
    return TypeAdapter(whole)


ORDERS = Table(ENGINE_ORDERS, LANE_ORDERS)
FACTS = Table(ENGINE_FACTS, LANE_FACTS)
