"""What the wire said, in the taxonomy of ``calls/outcome.py``, and the way back (design.md §9).

Final responses to our INVITE are in ``carriers/statuses.py``; here are the status that refuses a
call coming in, and how a session of the agent ended.
"""

from __future__ import annotations

from collections.abc import Sequence

from telephony.calls.outcome import Cause, EndedBy, Outcome
from telephony.carriers.statuses import BUSY, DECLINED, outcome_of_status
from telephony.sip.events import By, Ending, EndKind

REFUSALS: dict[Cause | None, int] = {
    None: 480,
    Cause.BUSY: 486,
    Cause.NO_ANSWER: 480,
    # 487 belongs to their CANCEL alone (RFC 3261 §9.2); our own giving up is "not now".
    Cause.CANCELED: 480,
    Cause.DECLINED: 603,
    Cause.FORBIDDEN: 403,
    Cause.BLOCKED: 608,
    Cause.NOT_FOUND: 404,
    Cause.INVALID_NUMBER: 484,
    Cause.CARRIER_ERROR: 502,
    Cause.UNREACHABLE: 480,
    Cause.NO_ROUTE: 404,
    Cause.MEDIA_INCOMPATIBLE: 488,
    Cause.MEDIA_TIMEOUT: 480,
    Cause.MAX_DURATION: 480,
    Cause.INTERRUPTED: 503,
    Cause.RATE_LIMITED: 503,
    Cause.CAPACITY: 503,
    Cause.NETWORK: 503,
    Cause.AGENT_UNAVAILABLE: 480,
    Cause.SILENT_BOT: 480,
    Cause.REFUSED_BY_POLICY: 403,
    Cause.INTERNAL: 500,
}

Q850_OF_HANGUP: dict[Cause | None, int] = {
    None: 16,
    Cause.BUSY: 17,
    Cause.NO_ANSWER: 19,
    Cause.DECLINED: 21,
    Cause.MEDIA_INCOMPATIBLE: 88,
    Cause.MEDIA_TIMEOUT: 102,
    Cause.NETWORK: 38,
    Cause.INTERNAL: 41,
    Cause.INTERRUPTED: 41,
    Cause.CAPACITY: 34,
}


def outcome_of(ending: Ending, *, inbound: bool) -> Outcome:
    """The outcome of a session that ended without an order of ours."""
    peer = EndedBy.CALLER if inbound else EndedBy.CALLEE
    match ending.kind:
        case EndKind.BYE:
            return Outcome.completed(peer if ending.by is By.REMOTE else EndedBy.SERVICE)
        case EndKind.CANCELLED:
            if inbound:
                return Outcome.canceled(EndedBy.CALLER, 487)
            # The agent's own patience (Timer C): nobody picked up.
            return Outcome.no_answer(ending.status or None)
        case EndKind.REJECTED | EndKind.REDIRECTED:
            if inbound:
                # The agent refused by itself: it rang for too long, or it could not be answered.
                return Outcome.no_answer(ending.status or None)
            return outcome_of_status(ending.status, ending.reason, ending.cause)
        case EndKind.TIMEOUT if not ending.answered:
            return Outcome.failed(Cause.UNREACHABLE, ending.status or None)
        case EndKind.TRANSPORT if not ending.answered:
            return Outcome.failed(Cause.UNREACHABLE, ending.status or None)
        case _:
            return Outcome.dropped(Cause.NETWORK, ending.status or None)


def best_of(endings: Sequence[Ending]) -> Outcome:
    """The one outcome of a call that rang several phones and reached none.

    As a forking proxy chooses (RFC 3261 §16.7 point 6): 6xx first, then what says most about the
    person (busy, declined) before what says that a device was silent.
    """

    def rank(ending: Ending) -> tuple[int, int]:
        status = ending.status
        if ending.kind is not EndKind.REJECTED:
            return (3, status)
        if status >= 600:
            return (0, status)
        return (1 if status in BUSY or status in DECLINED else 2, status)

    return outcome_of(min(endings, key=rank), inbound=False)


def refusal(outcome: Outcome) -> int:
    """The status (300 to 699) that refuses a call coming in which ends like this."""
    status = outcome.sip_status
    if status is not None and 300 <= status <= 699 and status not in (401, 407, 487):
        return status
    return REFUSALS[outcome.cause]


def hangup_reason(outcome: Outcome) -> str:
    """The text of a Reason header for BYE or CANCEL (RFC 3326)."""
    return f"Q.850;cause={Q850_OF_HANGUP.get(outcome.cause, 16)}"
