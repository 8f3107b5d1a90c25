"""Is this a dialplan that can run? For the command line and for whoever loads some."""

from __future__ import annotations

from telephony.ivr.load import examine
from telephony.ivr.rules import check

__all__ = ["check", "report"]


def report(text: str, filename: str) -> list[str]:
    """Everything wrong with a dialplan file, ``file:line: path: message``; empty if nothing is."""
    return [str(problem) for problem in examine(text, filename)[1]]
