"""Facts, in the past tense: one frozen dataclass each. They are what is stored.

``at`` is when it happened (aware UTC). A leg is named by its identity,
``phone-<session id>`` for the first, ``phone-<session id>-2`` for the second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from telephony.calls.outcome import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a call."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LegEvent(Event):
    """Something that happened to one leg."""

    leg: str


# --- a call begins -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LegOffered(LegEvent):
    """Somebody calls us. ``dialled`` is what was dialled: E.164, a dialplan's name or a phone."""

    from_number: str
    from_name: str = ""
    dialled: str
    provider: str = "sip"
    trunk: str | None = None
    phone: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequested(LegEvent):
    """Somebody asked us to call ``to``; nothing has been sent yet."""

    to: str
    from_number: str
    provider: str = "sip"
    trunk: str | None = None
    source: str = "api"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOpened(Event):
    """A browser asked for a session: it has a token for ``room`` as ``identity``."""

    room: str
    identity: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LegDialing(LegEvent):
    """We are about to send an INVITE: written before it leaves, since it cannot be taken back."""

    to: str
    from_number: str
    provider: str = "sip"
    trunk: str | None = None
    phone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LegRinging(LegEvent):
    """180 came in, or we sent it."""

    sip_status: int = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class LegEarlyMedia(LegEvent):
    """Sound before the answer: 183 with SDP."""

    sip_status: int = 183


@dataclass(frozen=True, slots=True, kw_only=True)
class LegAnswered(LegEvent):
    """200 came in, or we sent it. ``codec`` as in SDP."""

    codec: str = ""
    sip_status: int = 200


# --- while it lives ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LegHeld(LegEvent):
    """The far end put us on hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegUnheld(LegEvent):
    """The far end took us off hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegMuted(LegEvent):
    """What this leg says is heard by nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegUnmuted(LegEvent):
    """This leg is heard again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DigitPressed(LegEvent):
    """One key, once, whatever was retransmitted. ``digit`` is ``*`` in the record of a secret.

    ``method``: ``rfc4733``, ``info`` (SIP INFO), ``inband`` (tones in the sound) or ``room`` (by an
    agent or a colleague in the call's room).
    """

    digit: str
    duration_ms: int = 0
    method: str = "rfc4733"
    secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ToneHeard(LegEvent):
    """The network or a machine said something in sound; how the call ends is not decided by it.

    ``tone``: ``busy``, ``reorder``, ``sit`` (special information tones), ``fax_call``,
    ``fax_answer``.
    """

    tone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DigitsSent(LegEvent):
    """We pressed keys towards the far end."""

    digits: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptPlayed(LegEvent):
    """A prompt ended. ``heard_ms`` of ``total_ms`` left our engine; ``heard_text`` is that part.

    ``reason`` is ``finished``, ``barge_in``, ``stopped`` or ``hangup``. ``text`` is empty for
    a sound file, which ``source`` names. ``playback`` is that of the ``Play`` which ordered it.
    """

    node: str
    text: str
    heard_text: str
    source: str
    started_at: datetime | None
    heard_ms: int
    total_ms: int
    reason: str
    playback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptFailed(LegEvent):
    """A prompt could not be made; ``fallback`` (``wav`` or ``tone``) was played."""

    node: str
    text: str
    fallback: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GatherCompleted(LegEvent):
    """A gather or menu ended.

    ``reason``: ``terminator``, ``max``, ``timeout``, ``no_input``, ``invalid`` (every try was
    used up by keys that mean nothing here) or, of a menu, ``choice``.
    """

    node: str
    digits: str
    reason: str
    tries: int = 1
    secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerDetected(LegEvent):
    """Who answered: ``verdict`` is ``human``, ``machine`` or ``unknown``.

    ``confidence`` 0 to 1, ``time_ms`` from the answer to the verdict; ``reason`` as
    ``calls.ports.AnswerHeard`` has it.
    """

    verdict: str
    confidence: float
    time_ms: int
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoicemailStarted(LegEvent):
    """A machine answered and a message is to be left: the dialplan has no more say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GreetingEnded(LegEvent):
    """A machine's greeting is over. ``how``: ``beep``, ``silence``, or ``timeout``: it is not."""

    how: str
    time_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VoicemailEnded(LegEvent):
    """What became of the message: ``delivery`` is ``delivered``, ``missing_message``,
    ``greeting_timeout`` or ``playout_failed``."""

    delivery: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableSet(Event):
    """A dialplan variable got a value. ``report``: it belongs into the report."""

    name: str
    value: str
    report: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LegsBridged(LegEvent):
    """Two legs hear each other."""

    other: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomJoined(LegEvent):
    """A leg entered a room. ``provider``: ``livekit``, or ``telephony`` for one of this process."""

    room: str
    provider: str = "telephony"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomLeft(LegEvent):
    """A leg left a room, or could not enter it. Exactly one for each meeting, whatever happened.

    ``reason``: "" (we went), ``deleted`` (somebody closed the room or sent us out), ``lost`` (the
    conference server was away for too long), ``refused`` (it does not let us in), ``duplicate``
    (somebody came under our name) or ``full``.
    """

    room: str
    provider: str = "telephony"
    reason: str = ""


# --- in a room with agents -----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomEvent(Event):
    """Something about another participant of the call's room, or about the room.

    It belongs to no leg: a browser's session has none.
    """

    room: str
    provider: str = "livekit"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomOpened(RoomEvent):
    """The room of a browser's session is there; nobody of ours enters it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomClosed(RoomEvent):
    """It is there no more. ``reason``: "" (we closed it), ``deleted`` (somebody else did: so an
    agent ends it) or ``lost`` (the conference server was away, and has forgotten it)."""

    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationBegan(RoomEvent):
    """Browser and agent are both in the room: a browser's session is answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomInterrupted(RoomEvent):
    """The conference server cannot be reached; nobody in the room hears us. Then comes
    ``RoomResumed``, or ``RoomLeft``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomResumed(RoomEvent):
    """It can be reached again, after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentDispatched(RoomEvent):
    """An agent was called into the room; ``AgentJoined`` or ``AgentDispatchFailed`` follows."""

    agent_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentDispatchFailed(RoomEvent):
    """No agent comes. ``cause``: ``refused`` or ``unreachable`` (the order to come was not taken)
    or ``timeout`` (it was, and nobody came)."""

    agent_name: str
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentJoined(RoomEvent):
    """An agent is in the room."""

    identity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentHeard(RoomEvent):
    """The first sound of an agent: energy, not packets. ``after_ms``: since it joined."""

    identity: str
    after_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSilent(RoomEvent):
    """An agent that should speak first has said nothing for so many seconds."""

    identity: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLeft(RoomEvent):
    """An agent is in the room no more.

    ``reason``: ``left`` (it went), ``removed`` (it was sent away) or ``lost`` (it was heard of no
    more, and sent away by us: it does not come back).
    """

    identity: str
    reason: str = "left"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentMuted(RoomEvent):
    """The caller does not hear the agents: by order, or because somebody else speaks for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentUnmuted(RoomEvent):
    """The caller hears the agents again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerJoined(RoomEvent):
    """Somebody who is no agent is in the room: ``kind`` is ``browser`` or ``sip``."""

    identity: str
    kind: str = "browser"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerLeft(RoomEvent):
    """It is in the room no more. ``reason`` as in ``AgentLeft``."""

    identity: str
    kind: str = "browser"
    reason: str = "left"


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSent(Event):
    """A text for the agent (contract 4.8). ``mode``: ``respond`` or ``context``.

    ``status``: ``accepted``, then ``delivered`` (it is in the room) or ``failed``.
    """

    message: str
    mode: str
    status: str
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingStarted(LegEvent):
    """``kind``: ``call`` (two channels, caller left) or ``message`` (one channel)."""

    recording: str
    kind: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingReady(LegEvent):
    """A recording is whole on disk. ``reason``: why it ended (``silence``, ``key``, ``max`` …)."""

    recording: str
    kind: str
    path: str
    duration_ms: int
    size: int
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingFailed(LegEvent):
    """A recording stopped or never began; the call goes on."""

    recording: str
    kind: str
    path: str
    error: str
    duration_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferStarted(LegEvent):
    """``mode``: ``refer`` (the far end is told to go) or ``bridge`` (we dial and bridge)."""

    transfer: str
    to: str
    mode: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferCompleted(LegEvent):
    """The party stands where it was sent."""

    transfer: str
    to: str
    mode: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferFailed(LegEvent):
    """It does not; the caller is still ours. ``cause`` as in the taxonomy."""

    transfer: str
    to: str
    mode: str
    cause: str
    sip_status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackScheduled(Event):
    """Somebody was promised a call."""

    callback: str
    to: str
    scheduled_at: datetime
    from_number: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordsDelayed(Event):
    """The store did not take this call's events for a while; they were kept in memory."""

    seconds: float
    dropped: int = 0


# --- it ends -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaQuality:
    """What the engine counted on one leg. Packets both ways; jitter in ms (RFC 3550 §6.4.1).

    ``remote_…``: what the far end reported of our sound (RTCP), None where it said nothing.
    ``concealed`` and ``underruns`` in frames of 20 ms; ``concealed_ms``: exactly; ``scaled_ms``:
    left out or said longer to change the depth; ``buffer_ms``: how deep play-out was last,
    ``buffer_target_ms`` what it aimed at beyond the line's shortest delay.
    ``mos``: G.107's estimate of what we hear, ``remote_mos`` the far end's own (RTCP XR).
    """

    packets_received: int = 0
    packets_sent: int = 0
    lost: int = 0
    late: int = 0
    duplicated: int = 0
    concealed: int = 0
    concealed_ms: int = 0
    scaled_ms: int = 0
    underruns: int = 0
    buffer_ms: float = 0.0
    buffer_target_ms: float = 0.0
    jitter_ms: float = 0.0
    round_trip_ms: float | None = None
    mos: float | None = None
    remote_lost: int | None = None
    remote_jitter_ms: float | None = None
    remote_mos: float | None = None
    codec: str = ""
    first_packet_at: datetime | None = None
    first_sent_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LegEnded(LegEvent):
    """A leg is over: exactly one for each leg that began."""

    outcome: Outcome
    quality: MediaQuality | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded(Event):
    """The last event of every call, exactly once."""

    outcome: Outcome
    events_dropped: int = 0


EVENTS: dict[str, type[Event]] = {
    cls.__name__: cls
    for cls in (
        LegOffered,
        CallRequested,
        SessionOpened,
        LegDialing,
        LegRinging,
        LegEarlyMedia,
        LegAnswered,
        LegHeld,
        LegUnheld,
        LegMuted,
        LegUnmuted,
        DigitPressed,
        ToneHeard,
        DigitsSent,
        PromptPlayed,
        PromptFailed,
        GatherCompleted,
        AnswerDetected,
        VoicemailStarted,
        GreetingEnded,
        VoicemailEnded,
        VariableSet,
        LegsBridged,
        RoomJoined,
        RoomLeft,
        RoomOpened,
        RoomClosed,
        ConversationBegan,
        RoomInterrupted,
        RoomResumed,
        AgentDispatched,
        AgentDispatchFailed,
        AgentJoined,
        AgentHeard,
        AgentSilent,
        AgentLeft,
        AgentMuted,
        AgentUnmuted,
        PeerJoined,
        PeerLeft,
        MessageSent,
        RecordingStarted,
        RecordingReady,
        RecordingFailed,
        TransferStarted,
        TransferCompleted,
        TransferFailed,
        CallbackScheduled,
        RecordsDelayed,
        LegEnded,
        CallEnded,
    )
}

_ADAPTERS: dict[str, TypeAdapter[Any]] = {name: TypeAdapter(cls) for name, cls in EVENTS.items()}


def encode(event: Event) -> dict[str, Any]:
    """The event as JSON-able members, without its kind (``type(event).__name__``)."""
    data = _ADAPTERS[type(event).__name__].dump_python(event, mode="json")
    assert isinstance(data, dict)
    return data


def decode(kind: str, data: dict[str, Any]) -> Event:
    """The event that ``encode`` wrote.

    Raises:
        KeyError: no such kind.
        pydantic.ValidationError: members of another shape.
    """
    event = _ADAPTERS[kind].validate_python(data)
    assert isinstance(event, Event)
    return event
