"""What a final response to an INVITE says, in the taxonomy of ``calls/outcome.py`` (design.md §9).

Two tables: the status, and the Q.850 cause where the status alone says nothing (RFC 3326).
"""

from __future__ import annotations

from telephony.calls.outcome import Cause, EndedBy, Outcome

BUSY = frozenset({486, 600})
NO_ANSWER = frozenset({408, 480})
DECLINED = {
    403: Cause.FORBIDDEN,
    603: Cause.DECLINED,
    607: Cause.BLOCKED,
    608: Cause.BLOCKED,
}
FAILED = {
    404: Cause.NOT_FOUND,
    410: Cause.NOT_FOUND,
    604: Cause.NOT_FOUND,
    484: Cause.INVALID_NUMBER,
    488: Cause.MEDIA_INCOMPATIBLE,
    606: Cause.MEDIA_INCOMPATIBLE,
}

# Gateways to the telephone network send 5xx with the network's own cause beside it (RFC 3398
# §7.2.4.1 in reverse); where the status is one of the tables above, the status is right.
Q850_BUSY = frozenset({17})
Q850_NO_ANSWER = frozenset({18, 19, 20})
Q850_DECLINED = frozenset({21})
Q850_FAILED = {1: Cause.NOT_FOUND, 22: Cause.NOT_FOUND, 28: Cause.INVALID_NUMBER}


def outcome_of_status(status: int, reason: str = "", q850: int | None = None) -> Outcome:
    """The outcome of a call of ours that was refused with ``status`` (300 to 699)."""
    text = reason or None
    if status in BUSY:
        return Outcome.busy(status, text)
    if status in NO_ANSWER:
        return Outcome.no_answer(status, text, EndedBy.CALLEE)
    if status in DECLINED:
        return Outcome.declined(DECLINED[status], status, text)
    if status in FAILED:
        return Outcome.failed(FAILED[status], status, text, EndedBy.CALLEE)
    if q850 in Q850_BUSY:
        return Outcome.busy(status, text)
    if q850 in Q850_NO_ANSWER:
        return Outcome.no_answer(status, text, EndedBy.CALLEE)
    if q850 in Q850_DECLINED:
        return Outcome.declined(Cause.DECLINED, status, text)
    cause = Q850_FAILED.get(q850 or 0, Cause.CARRIER_ERROR)
    return Outcome.failed(cause, status, text, EndedBy.CALLEE)
