"""All that the service and a room worker say to one another; frames go through ``rings``."""

from __future__ import annotations

from typing import Any

from telephony.media.workers.messages import Fields, Table
from telephony.rooms.figures import Figures

_ORDERS: dict[str, Fields] = {
    "begin": {},  # with the rings' descriptor
    "open": {"number": int, "row": int, "rate": int, "alone": bool},
    "enter": {"number": int, "url": str, "token": str},
    "send": {"number": int, "topic": str},  # with the packet
    "digits": {"number": int, "digits": str},
    "mute": {"number": int, "on": bool},
    "close": {"number": int},
    "tick": {"due": float},  # when the next one is, in monotonic seconds
    "stop": {},
}
_FACTS: dict[str, Fields] = {
    "ready": {"direct": bool},
    "told": {"number": int, "fact": str, "values": list[Any]},
    "figures": {"figures": Figures},
}
ORDERS = Table(_ORDERS, {})
FACTS = Table(_FACTS, {})
