"""What a peer writes, as we can keep it; and which headers somebody may put into an INVITE."""

from __future__ import annotations

import re

MAX_PARTY = 128
"""Characters of a dialled party or name that go into the records."""
MAX_EXTENSIONS = 32
MAX_EXTENSION_SIZE = 1024

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
_ALLOWED = frozenset({"diversion", "alert-info", "subject", "priority", "user-to-user", "privacy"})


def clean(text: str, ceiling: int = MAX_PARTY) -> str:
    """Text of a peer as records and logs can hold it: no control characters, valid UTF-8."""
    valid = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return CONTROL.sub("\ufffd", valid)[:ceiling]


def outbound_headers(*sources: dict[str, str]) -> list[tuple[str, str]]:
    """Headers to put into an INVITE: later sources win, names in any case.

    Only ``X-`` headers and a few that trunks ask for pass, so that nobody who may write a header
    can write a route, an identity or a body length (threat: header smuggling).
    """
    found: dict[str, tuple[str, str]] = {}
    for source in sources:
        for name, value in source.items():
            key = name.lower()
            if not _TOKEN.fullmatch(name) or not (key.startswith("x-") or key in _ALLOWED):
                continue
            found[key] = (name, CONTROL.sub(" ", value)[:MAX_EXTENSION_SIZE])
    return list(found.values())[:MAX_EXTENSIONS]
