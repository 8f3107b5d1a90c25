"""How a leg or a call ended: one closed taxonomy that every carrier maps its own codes into.

A phase is not an ending: ``LegState`` ends in ENDED, and why is read from the outcome.
Outcomes are built by the named constructors only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class EndedBy(StrEnum):
    """Whose act it was."""

    CALLER = "caller"
    CALLEE = "callee"
    AGENT = "agent"
    API = "api"
    SERVICE = "service"


class Status(StrEnum):
    """A call's status, and with the last five its terminal one (design.md section 9).

    ``connecting``: a browser has been told where its room is, and nobody has joined yet.
    """

    DIALING = "dialing"
    CONNECTING = "connecting"
    RINGING = "ringing"
    ACTIVE = "active"
    ENDED = "ended"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    CANCELED = "canceled"
    FAILED = "failed"

    @property
    def terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset({Status.ENDED, Status.BUSY, Status.NO_ANSWER, Status.CANCELED, Status.FAILED})


class Cause(StrEnum):
    """Why it did not end normally; a normal end has none."""

    BUSY = "busy"
    NO_ANSWER = "no_answer"
    CANCELED = "canceled"
    DECLINED = "declined"
    FORBIDDEN = "forbidden"
    BLOCKED = "blocked"
    NOT_FOUND = "not_found"
    INVALID_NUMBER = "invalid_number"
    CARRIER_ERROR = "carrier_error"
    UNREACHABLE = "unreachable"
    NO_ROUTE = "no_route"
    MEDIA_INCOMPATIBLE = "media_incompatible"
    MEDIA_TIMEOUT = "media_timeout"
    MAX_DURATION = "max_duration"
    INTERRUPTED = "interrupted"
    RATE_LIMITED = "rate_limited"
    CAPACITY = "capacity"
    NETWORK = "network"
    AGENT_UNAVAILABLE = "agent_unavailable"
    SILENT_BOT = "silent_bot_no_agent_audio"
    REFUSED_BY_POLICY = "refused_by_policy"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Outcome:
    """An ending. ``result`` is the report's ``outcome``; ``sip_*`` are what the wire said."""

    status: Status
    result: str
    cause: Cause | None = None
    ended_by: EndedBy = EndedBy.SERVICE
    sip_status: int | None = None
    sip_reason: str | None = None
    retry_after: int | None = None

    @classmethod
    def completed(cls, by: EndedBy) -> Outcome:
        """Answered, then hung up by either side."""
        return cls(Status.ENDED, "completed", None, by)

    @classmethod
    def transferred(cls, by: EndedBy = EndedBy.SERVICE) -> Outcome:
        """Handed over."""
        return cls(Status.ENDED, "transferred", None, by)

    @classmethod
    def voicemail(cls) -> Outcome:
        """A machine answered, and we hung up, with or without a message."""
        return cls(Status.ENDED, "voicemail", None, EndedBy.SERVICE)

    @classmethod
    def unattended(cls, cause: Cause) -> Outcome:
        """Answered, and nobody was there to talk: that is what the caller was told."""
        return cls(Status.ENDED, "failed", cause, EndedBy.SERVICE)

    @classmethod
    def busy(cls, sip_status: int = 486, sip_reason: str | None = None) -> Outcome:
        return cls(Status.BUSY, "busy", Cause.BUSY, EndedBy.CALLEE, sip_status, sip_reason)

    @classmethod
    def no_answer(
        cls,
        sip_status: int | None = None,
        sip_reason: str | None = None,
        by: EndedBy = EndedBy.SERVICE,
    ) -> Outcome:
        return cls(Status.NO_ANSWER, "no_answer", Cause.NO_ANSWER, by, sip_status, sip_reason)

    @classmethod
    def canceled(cls, by: EndedBy, sip_status: int | None = None) -> Outcome:
        return cls(Status.CANCELED, "canceled", Cause.CANCELED, by, sip_status)

    @classmethod
    def declined(
        cls,
        cause: Cause = Cause.DECLINED,
        sip_status: int | None = None,
        sip_reason: str | None = None,
        by: EndedBy = EndedBy.CALLEE,
    ) -> Outcome:
        return cls(Status.FAILED, "declined", cause, by, sip_status, sip_reason)

    @classmethod
    def failed(
        cls,
        cause: Cause,
        sip_status: int | None = None,
        sip_reason: str | None = None,
        by: EndedBy = EndedBy.SERVICE,
        retry_after: int | None = None,
    ) -> Outcome:
        return cls(Status.FAILED, "failed", cause, by, sip_status, sip_reason, retry_after)

    @classmethod
    def media_timeout(cls) -> Outcome:
        return cls(Status.ENDED, "dropped", Cause.MEDIA_TIMEOUT, EndedBy.SERVICE)

    @classmethod
    def max_duration(cls) -> Outcome:
        return cls(Status.ENDED, "completed", Cause.MAX_DURATION, EndedBy.SERVICE)

    @classmethod
    def dropped(cls, cause: Cause, sip_status: int | None = None) -> Outcome:
        """An answered leg that was lost: session expired, transport gone, refused in dialog."""
        return cls(Status.ENDED, "dropped", cause, EndedBy.SERVICE, sip_status)

    @classmethod
    def interrupted(cls, was_active: bool) -> Outcome:
        """The process died under the call."""
        status = Status.ENDED if was_active else Status.FAILED
        return cls(status, "interrupted", Cause.INTERRUPTED, EndedBy.SERVICE)

    def as_abandoned(self) -> Outcome:
        """A completed call whose caller left inside a prompt or gather."""
        return replace(self, result="abandoned") if self.result == "completed" else self

    def by(self, who: EndedBy) -> Outcome:
        return replace(self, ended_by=who)
