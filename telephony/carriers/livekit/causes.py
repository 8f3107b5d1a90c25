"""What LiveKit says of an ending, in the taxonomy of ``calls/outcome.py`` (design.md §9).

The SIP status of a call that was not answered comes with the refusal of ``CreateSIPParticipant``;
of a participant that left a room there is a reason without one.
"""

from __future__ import annotations

from livekit.api import ServerError, ServerErrorCode, SipCallError
from livekit.protocol import models, sip

from telephony.calls.outcome import Cause, EndedBy, Outcome
from telephony.calls.ports import ReferResult
from telephony.carriers.statuses import outcome_of_status
from telephony.carriers.words import clean

# Refusals without a SIP status: no INVITE has left.
_REFUSALS = {
    ServerErrorCode.NOT_FOUND: Cause.NO_ROUTE,
    ServerErrorCode.INVALID_ARGUMENT: Cause.INVALID_NUMBER,
    ServerErrorCode.RESOURCE_EXHAUSTED: Cause.RATE_LIMITED,
    ServerErrorCode.UNAVAILABLE: Cause.UNREACHABLE,
    ServerErrorCode.PERMISSION_DENIED: Cause.FORBIDDEN,
    ServerErrorCode.UNAUTHENTICATED: Cause.FORBIDDEN,
}
# Ceilings of the customer's own project, which LiveKit reports as a failing trunk.
_CAPS = ("cps limit exceeded", "concurrent call limit exceeded")
_BLOCKED = "32203"
"""Twilio's ``X-Twilio-Error`` on a 603: the number is blocked for good; nobody may try again."""

_GONE: dict[models.DisconnectReason, Outcome | None] = {
    models.CLIENT_INITIATED: None,
    models.UNKNOWN_REASON: None,
    models.PARTICIPANT_REMOVED: Outcome.completed(EndedBy.API),
    models.ROOM_DELETED: Outcome.completed(EndedBy.API),
    models.ROOM_CLOSED: Outcome.completed(EndedBy.SERVICE),
    models.MEDIA_FAILURE: Outcome.media_timeout(),
    models.AGENT_ERROR: Outcome.dropped(Cause.INTERNAL),
    models.USER_UNAVAILABLE: Outcome.dropped(Cause.CARRIER_ERROR),
    models.USER_REJECTED: Outcome.dropped(Cause.CARRIER_ERROR),
    models.SIP_TRUNK_FAILURE: Outcome.dropped(Cause.CARRIER_ERROR),
    models.DUPLICATE_IDENTITY: Outcome.dropped(Cause.NETWORK),
    models.SERVER_SHUTDOWN: Outcome.dropped(Cause.NETWORK),
    models.STATE_MISMATCH: Outcome.dropped(Cause.NETWORK),
    models.JOIN_FAILURE: Outcome.dropped(Cause.NETWORK),
    models.MIGRATION: Outcome.dropped(Cause.NETWORK),
    models.SIGNAL_CLOSE: Outcome.dropped(Cause.NETWORK),
    models.CONNECTION_TIMEOUT: Outcome.dropped(Cause.NETWORK),
}
"""Of an answered call; None: the far end hung up, which LiveKit does not tell from our own."""

_UNANSWERED: dict[models.DisconnectReason, Outcome] = {
    models.USER_UNAVAILABLE: Outcome.no_answer(None, None, EndedBy.CALLEE),
    models.USER_REJECTED: Outcome.declined(Cause.DECLINED),
    models.SIP_TRUNK_FAILURE: Outcome.failed(Cause.CARRIER_ERROR),
    models.MEDIA_FAILURE: Outcome.failed(Cause.MEDIA_INCOMPATIBLE),
    models.PARTICIPANT_REMOVED: Outcome.canceled(EndedBy.API, 487),
    models.ROOM_DELETED: Outcome.canceled(EndedBy.API, 487),
}
"""Of a call of ours that nobody has answered, where the refusal itself did not reach us."""


def outcome_of_error(error: ServerError) -> Outcome:
    """The outcome of a call that ``CreateSIPParticipant`` refused."""
    text = clean(error.metadata.get("sip_status", ""))
    said = f"{error.message} {error.metadata.get('error_details', '')}".lower()
    if any(cap in said for cap in _CAPS):
        return Outcome.failed(Cause.RATE_LIMITED, status_of(error), text or None)
    status = status_of(error)
    if status is not None:
        if status == 603 and _BLOCKED in said:
            return Outcome.declined(Cause.BLOCKED, status, text or None)
        return outcome_of_status(status, text)
    return Outcome.failed(_REFUSALS.get(error.code, Cause.CARRIER_ERROR))


def status_of(error: ServerError) -> int | None:
    """The SIP status that an error carries; None: it has none, or none of a refusal."""
    status = error.sip_status_code if isinstance(error, SipCallError) else None
    return status if status is not None and 300 <= status <= 699 else None


def is_final(error: ServerError) -> bool:
    """Whether the error says what became of the call.

    Without a SIP status a server that failed or lost patience may have sent the INVITE all the
    same: then the room has to be asked, and nothing may be sent again.
    """
    if status_of(error) is not None:
        return True
    return error.status < 500 and error.code not in (
        ServerErrorCode.DEADLINE_EXCEEDED,
        ServerErrorCode.CANCELED,
        ServerErrorCode.ABORTED,
        ServerErrorCode.UNKNOWN,
    )


def outcome_of_leaving(
    reason: models.DisconnectReason, *, inbound: bool, answered: bool
) -> Outcome:
    """The outcome of a leg whose participant has left its room without an order of ours."""
    peer = EndedBy.CALLER if inbound else EndedBy.CALLEE
    if answered:
        return _GONE.get(reason) or Outcome.completed(peer)
    if inbound:
        return Outcome.canceled(EndedBy.CALLER, 487)
    return _UNANSWERED.get(reason, Outcome.failed(Cause.CARRIER_ERROR))


def refer_result(answer: sip.TransferSIPParticipantResponse) -> ReferResult:
    """What a transfer came to. Servers before 1.50 answer a success with nothing in it."""
    if not answer.transfer_id or answer.status == sip.STS_TRANSFER_SUCCESSFUL:
        return ReferResult(completed=True, sip_status=answer.sip_status.code or 200)
    status = answer.sip_status.code or None
    return ReferResult(completed=False, sip_status=status, cause=_transfer_cause(status, answer))


def refer_error(error: ServerError) -> ReferResult:
    """What the failure of a transfer says.

    ``supported`` False (so that we dial and bridge) only where no REFER was taken: the far end
    refused the method itself, or LiveKit never sent it.
    """
    status = status_of(error)
    if status is not None:
        taken = status not in (405, 420, 501)
        return ReferResult(False, taken, status, outcome_of_status(status).cause)
    if not is_final(error):
        return ReferResult(False, True, None, Cause.NETWORK)
    if "sip_transfer_reason" in error.metadata:
        return ReferResult(False, True, None, Cause.CARRIER_ERROR)
    return ReferResult(False, False, None, _REFUSALS.get(error.code, Cause.CARRIER_ERROR))


def _transfer_cause(status: int | None, answer: sip.TransferSIPParticipantResponse) -> Cause:
    if status is not None and 300 <= status <= 699:
        return outcome_of_status(status).cause or Cause.CARRIER_ERROR
    if answer.reason == sip.STR_RINGING_TIMEOUT:
        return Cause.NO_ANSWER
    if answer.reason == sip.STR_REJECTED:
        return Cause.DECLINED
    if answer.reason in (sip.STR_CALL_ENDED, sip.STR_CANCELED):
        return Cause.CANCELED
    return Cause.CARRIER_ERROR
