"""Keys in INFO bodies, as gateways and phones send them without RFC 4733."""

from __future__ import annotations

import re

_SIGNAL = re.compile(r"^\s*Signal\s*=\s*([0-9A-Da-d*#]|1[0-6]|flash|hf)\s*$", re.I | re.M)
_DURATION = re.compile(r"^\s*Duration\s*=\s*([0-9]{1,6})\s*$", re.I | re.M)
_NUMBERS = {"10": "*", "11": "#", "12": "A", "13": "B", "14": "C", "15": "D", "16": "!"}


def read_digit(content_type: str, body: bytes) -> tuple[str, int] | None:
    """(key, milliseconds) of ``application/dtmf-relay`` or ``application/dtmf``, else None.

    Numbers 10 to 16 are the event codes of RFC 4733 §3.2, which some gateways write.
    """
    text = body.decode("latin-1").replace("\r", "\n")
    if content_type == "application/dtmf-relay":
        found = _SIGNAL.search(text)
        if found is None:
            return None
        duration = _DURATION.search(text)
        return _key(found[1]), int(duration[1]) if duration else 0
    if content_type == "application/dtmf":
        key = text.strip()
        if re.fullmatch(r"[0-9A-Da-d*#]|1[0-6]", key):
            return _key(key), 0
        found = _SIGNAL.search(text)
        return (_key(found[1]), 0) if found else None
    return None


def _key(text: str) -> str:
    lower = text.lower()
    if lower in ("flash", "hf"):
        return "!"
    return _NUMBERS.get(lower, text.upper())
