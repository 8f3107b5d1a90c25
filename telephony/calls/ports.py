"""What the call needs of the world: narrow protocols, split by who uses them.

The wire column implements them, the domain column receives them, ``app.py`` joins the two.
Orders never block and never raise for what a peer does: results come back as events.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from telephony.base.errors import Busy
from telephony.calls.call import Call
from telephony.calls.callback import Callback, CallbackStatus
from telephony.calls.events import Event, LegOffered, MediaQuality
from telephony.calls.meeting import Dispatch, Meeting
from telephony.calls.money import Entry, Kind, Posting
from telephony.calls.outcome import Cause, Outcome
from telephony.calls.public import CallEvent
from telephony.calls.record import CallReport, Turn
from telephony.calls.role import Role

Emit = Callable[[Event], None]
"""Given to a leg when the call takes it: facts go up through it, on the loop's thread."""


# --- sound ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sound:
    """Mono PCM, 16 bit little-endian. What prompts are made of: 8 kHz."""

    pcm: bytes
    rate: int = 8000

    @property
    def duration_ms(self) -> int:
        return len(self.pcm) // 2 * 1000 // self.rate


@dataclass(frozen=True, slots=True)
class Played:
    """How a playback ended: ``heard_ms`` of ``total_ms`` were sent."""

    heard_ms: int
    total_ms: int
    completed: bool
    started_at: datetime | None


@dataclass(frozen=True, slots=True)
class Recorded:
    """How a recording ended. ``error`` is set where it failed; what was written stays.

    ``reason``: ``silence``, ``max``, ``stopped``, ``leg_ended`` or ``failed``.
    """

    path: Path
    duration_ms: int
    size: int
    reason: str
    error: str = ""


class Player(Protocol):
    """Sound towards one leg."""

    def play(self, sound: Sound, done: Callable[[Played], None], *, loop: bool = False) -> None:
        """Queue a sound behind what plays; ``done`` is called once, on the loop, when it ends."""
        ...

    def stop(self) -> None:
        """Drop the whole queue within one tick; every ``done`` is called."""
        ...

    def send_digits(self, digits: str) -> None:
        """RFC 4733 events towards the far end, one after another."""
        ...


class Recorder(Protocol):
    """Recordings of one leg."""

    def record_call(self, path: Path, done: Callable[[Recorded], None]) -> None:
        """Two channels, what this leg says left, what it hears right, until ``finish``."""
        ...

    def record_message(
        self,
        path: Path,
        done: Callable[[Recorded], None],
        *,
        max_seconds: float,
        silence_seconds: float | None,
    ) -> None:
        """One channel of what this leg says. The silence counts after the first voice only."""
        ...

    def stop_message(self) -> None:
        """End the message being recorded."""
        ...

    def finish(self) -> None:
        """End every recording of this leg; every ``done`` is called."""
        ...


Verdict = Literal["human", "machine", "unknown"]


@dataclass(frozen=True, slots=True)
class AnswerHeard:
    """Who answered. ``confidence`` 0 to 1; ``time_ms`` from the watch's beginning to the verdict.

    ``reason``: ``short_greeting``, ``long_greeting``, ``beep``, ``sit`` (special information
    tones), ``fax``, ``silence`` (no voice at all) or ``timeout``.
    """

    verdict: Verdict
    confidence: float
    time_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class GreetingHeard:
    """A machine's greeting is over. ``how``: ``beep``, ``silence`` or ``timeout`` (it is not)."""

    how: str
    time_ms: int


class Answering(Protocol):
    """Who has answered, found out from the sound while everything else goes on."""

    def watch_answer(self, done: Callable[[AnswerHeard], None], *, seconds: float) -> None:
        """Listen from now on; ``done`` once, on the loop, within ``seconds``.

        Never where the leg ends first or another watch begins.
        """
        ...

    def await_greeting(
        self, done: Callable[[GreetingHeard], None], *, seconds: float, beep_only: bool = False
    ) -> None:
        """``done`` once, when the greeting is over or ``seconds`` are: a message may begin.

        With ``beep_only`` silence does not count.
        """
        ...


class Mixing(Protocol):
    """Who hears whom."""

    def bridge(self, other: Media) -> None:
        """Two legs hear each other."""
        ...

    def quality(self) -> MediaQuality:
        """What was counted so far."""
        ...


class Media(Player, Recorder, Answering, Mixing, Protocol):
    """One leg's lane of the media engine."""


class Speech(Protocol):
    """Text and files to sound. Raises ``base.errors.SpeechUnavailable`` or ``MediaFailed``."""

    async def render(self, text: str, voice: str = "", language: str = "") -> Sound:
        """Spoken text, 8 kHz, from the cache where it was spoken before."""
        ...

    async def load(self, path: Path) -> Sound:
        """A WAV file of any rate, 8 kHz mono."""
        ...

    def tone(self, name: str) -> Sound:
        """``beep``, one cadence of ``ringback`` or ``busy``, or a round of ``hold`` music."""
        ...


# --- legs and carriers ---------------------------------------------------------------------


class LegControl(Protocol):
    """The signalling of one leg, whoever carries it, and its sound."""

    @property
    def id(self) -> str: ...

    @property
    def media(self) -> Media:
        """The lane; usable from the first early media or answer on."""
        ...

    def answer(self) -> None:
        """Pick up (200 with SDP); ``LegAnswered`` or ``LegEnded`` follows."""
        ...

    def ring(self) -> None:
        """180; ``LegRinging`` follows."""
        ...

    def end(self, outcome: Outcome) -> None:
        """Refuse, cancel or hang up, whichever applies; ``LegEnded`` follows, once.

        Before the answer of an inbound leg the status sent is the one that fits the outcome
        (``outcome.sip_status`` where it is set).
        """
        ...

    def refer(self, to: str, headers: dict[str, str], done: Callable[[ReferResult], None]) -> None:
        """Tell the far end to go to ``to`` (RFC 3515); ``done`` once, when it is over."""
        ...


@dataclass(frozen=True, slots=True)
class ReferResult:
    """How a REFER went. ``supported`` False: the far end does not take it, so dial and bridge.

    ``cause``: what the target's final status says in our taxonomy; None when it worked.
    """

    completed: bool
    supported: bool = True
    sip_status: int | None = None
    cause: Cause | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DialRequest:
    """One leg to dial. ``to``: E.164, or a phone's user where ``phone`` is True.

    ``max_seconds``: how long it will last from the answer at most, for carriers that can end it
    where we no longer can. ``digits`` are pressed once it is answered (``w``: half a second).
    """

    leg: str
    call: str
    to: str
    from_number: str
    from_name: str = ""
    trunk: str | None = None
    phone: bool = False
    ring_seconds: float = 60.0
    max_seconds: float = 14_400.0
    digits: str = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Offer:
    """An inbound leg before admission. ``organization`` is whose trunk or phone it came from."""

    event: LegOffered
    organization: str
    stranger: bool


class OfferedLeg(LegControl, Protocol):
    """An inbound leg. It has no name before the call that takes it gives it one."""

    def name(self, leg: str, emit: Emit) -> None:
        """From now on the leg is called this, and its events go there."""
        ...


class Carrier(Protocol):
    """A way to the telephone network."""

    async def start(self, take: Callable[[Offer, OfferedLeg], None]) -> None:
        """Open sockets, register; offers go to ``take`` from now on."""
        ...

    async def stop(self) -> None:
        """Unregister, close. Every leg has ended before."""
        ...

    def dial(self, request: DialRequest, emit: Emit) -> LegControl:
        """Send the INVITE; everything that follows comes through ``emit``."""
        ...

    def ready(self) -> str | None:
        """Why no call can be taken now, or None."""
        ...

    def admits(self, trunk: str) -> Busy | None:
        """The refusal of a further call over this trunk now, or None."""
        ...


class RoomDirectory(Protocol):
    """The rooms of this process."""

    def join(self, room: str, identity: str, media: Media, role: Role = Role.SPEAKER) -> None:
        """A leg enters, or takes another role; the room is made where it is not."""
        ...

    def leave(self, room: str, identity: str) -> None:
        """A leg leaves; the last one takes the room with it."""
        ...


class RoomLink(Protocol):
    """A leg's place in a room with agents. After ``RoomLeft`` nothing does anything."""

    def send(self, data: bytes, topic: str = "") -> None:
        """A reliable data packet to everybody; kept until the room is entered, at most
        ``MAX_DATA`` octets."""
        ...

    def send_digits(self, digits: str) -> None:
        """Keys of the caller, for the agents to see."""
        ...

    def mute(self, on: bool) -> None:
        """Whether the leg hears agents. While somebody else speaks in the room who is no agent it
        hears none either (contract 4.6); ``AgentMuted`` or ``AgentUnmuted`` when that changes."""
        ...

    def dispatch(self, dispatch: Dispatch) -> None:
        """Call an agent in, again or another; ``AgentDispatched`` and what came of it follow."""
        ...

    def close(self) -> None:
        """Leave; ``RoomLeft`` follows at once. The room stays for whoever is in it. Idempotent."""
        ...


class AgentRooms(Protocol):
    """Rooms where calls meet agents: a conference server's, or those of this process."""

    def ready(self) -> str | None:
        """Why no agent can be met now, or None."""
        ...

    def meet(self, meeting: Meeting, media: Media, emit: Emit) -> RoomLink:
        """Bridge a leg into a room, and call the agent in.

        What the leg says from now on is heard by the agent, from its first sample, however long
        the agent takes to come, up to some seconds. Never blocks, never raises: ``RoomJoined``
        comes when we are in, ``RoomLeft`` exactly once, in between the events of ``RoomEvent``,
        and ``DigitPressed`` of the leg for keys that agents press.
        """
        ...

    async def dispatch(self, room: str, dispatch: Dispatch) -> None:
        """Make the room where there is none and call an agent in, for somebody else than a leg.

        Raises:
            Unavailable: the server does not answer.
            Refused: it will not.
        """
        ...

    async def send(self, room: str, data: bytes, topic: str = "") -> None:
        """A reliable data packet to everybody in a live room. Raises as ``dispatch``, and
        NotFound where there is no such room."""
        ...

    async def delete(self, room: str) -> None:
        """Send everybody out and close the room; no room is no error. Raises as ``dispatch``."""
        ...


class Attendance(Protocol):
    """Rooms that no leg of ours is in, and who is in them."""

    async def make(self, room: str, seconds: float) -> None:
        """Make a room that waits so long for a browser. Raises Unavailable, Refused."""
        ...

    def watch(self, room: str, emit: Emit) -> Callable[[], None]:
        """Look from now on at a room that is there, until what this returns is called.

        ``PeerJoined``, ``AgentJoined`` and their leaving, ``RoomClosed`` where somebody else closed
        it, ``RoomOpened`` where it is there again.
        """
        ...

    async def exists(self, room: str) -> bool:
        """Whether there is such a room now. Raises Unavailable, Refused."""
        ...


# --- records -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Append:
    """One event to be written with the call's row after it, and the report with the last one."""

    event: CallEvent
    call: Call
    report: CallReport | None = None


class CallStore(Protocol):
    """The writing side. Raises ``base.errors.StoreUnavailable``; batches are atomic."""

    async def append(self, batch: Sequence[Append]) -> None:
        """Events in order, calls upserted, reports, in one transaction. Repeats are no error:
        an event whose (session, seq) is there already is left as it is. What a report says the
        call costs is charged in the same transaction, once."""
        ...

    async def unfinished(self) -> list[Call]:
        """Calls of this node that were alive when its process died: asked before it takes any."""
        ...

    async def adopt(self, nodes: Collection[str]) -> list[Call]:
        """What these nodes left alive is this one's from now on, and nobody else's."""
        ...

    async def events(self, session: str) -> list[CallEvent]:
        """A call's events, oldest first, whatever organization."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilter:
    """Filters of the list, ANDed; times are aware UTC, ``since`` ≤ created_at < ``until``.
    ``after`` is created_at and id of a call: those that come after it in the list."""

    status: str | None = None
    kind: str | None = None
    agent: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: tuple[datetime, str] | None = None


class CallReader(Protocol):
    """The reading side, scoped by organization: a foreign id is no id."""

    async def get(self, organization: str, session: str) -> Call | None: ...

    async def page(
        self, organization: str, chosen: CallFilter, limit: int, cursor: str | None
    ) -> tuple[list[Call], str | None]:
        """Newest first; the cursor is stable under inserts. Raises BadInput on a bad cursor."""
        ...

    async def events_of(self, organization: str, session: str, after: int = 0) -> list[CallEvent]:
        """Oldest first; ``after``: only those with a greater ``seq``."""
        ...

    async def report(self, organization: str, session: str) -> CallReport | None: ...

    async def turns_of(self, organization: str, session: str) -> list[Turn]:
        """What the session's agent said was spoken, by index."""
        ...


class RoomTokens(Protocol):
    """What a browser needs to join a room of the conference server."""

    @property
    def url(self) -> str:
        """Where the browser connects to, ``wss://…``."""
        ...

    def mint(self, room: str, identity: str, seconds: int, name: str = "") -> str:
        """A token that lets ``identity`` speak, listen and send data in ``room``, for so long.

        ``name`` is what others in the room see.
        """
        ...


class TurnStore(Protocol):
    """Where an agent's own account of the conversation is kept."""

    async def put_turns(self, organization: str, session: str, turns: Sequence[Turn]) -> bool:
        """Keep them; the same index replaces. False: no such call of this organization."""
        ...


class ReportStore(Protocol):
    """Where a report that was made again takes the place of the first."""

    async def put_report(self, report: CallReport) -> None:
        """Replace the report of this call and organization; charges nothing, makes none."""
        ...


@dataclass(frozen=True, slots=True)
class Balance:
    """Micro-USD on an organization's credits, and when that last changed."""

    amount: int
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What was used of one thing in a time, and what that cost."""

    provider: str
    metric: str
    quantity: int
    cost_micro_usd: int


class LedgerStore(Protocol):
    """Who owes whom, and what was used: scoped by organization.

    Times are ``since`` ≤ t < ``until``. Raises ``base.errors.StoreUnavailable``."""

    async def post(self, posting: Posting) -> None:
        """Write a posting, whole; one whose id is there already changes nothing."""
        ...

    async def balance(self, organization: str) -> Balance: ...

    async def page(
        self, organization: str, kind: Kind | None, limit: int, cursor: str | None
    ) -> tuple[list[Entry], str | None]:
        """What went onto and off the credits, newest first, nothing that is zero.

        The cursor is the last row's time as the wire shows it (contract 1.5); entries of one
        millisecond come on one page, unless they alone are more than ``limit``. Raises BadInput
        on a bad cursor.
        """
        ...

    async def used(self, organization: str, since: datetime, until: datetime) -> list[Used]:
        """What was charged in a time, by provider and metric."""
        ...

    async def talked(self, organization: str, since: datetime, until: datetime) -> tuple[int, int]:
        """How many calls ended in a time, and for how many milliseconds they were active."""
        ...


class Changes(Protocol):
    """Says when something of a call was written, by whatever process."""

    def watch(self, session: str, changed: Callable[[], None]) -> Callable[[], None]:
        """``changed`` is called on the loop after a write, at times without one; returns what
        ends it."""
        ...


class CallbackQueue(Protocol):
    """Promised calls: the queue's side."""

    async def add(self, callback: Callback) -> None: ...

    async def claim(self, now: datetime, lease_seconds: float) -> Callback | None:
        """The next due row that nobody holds, set to ``dispatching`` with a lease."""
        ...

    async def attempt(self, callback: Callback, session: str, now: datetime) -> None:
        """Write the attempt and the session it makes, before anything is sent."""
        ...

    async def settle(
        self, callback: Callback, status: CallbackStatus, cause: str | None, now: datetime
    ) -> None:
        """Write what came of it."""
        ...

    async def cancel(
        self, organization: str, callback: str, reason: str | None, now: datetime
    ) -> Callback | None:
        """Take a promise back before anything of it was sent; ``reason`` goes into its metadata
        as ``cancel_reason``. None: no such callback of this organization.

        A row that is claimed and not yet attempted is taken from its holder, who finds at the
        attempt that it is no longer his.

        Raises:
            Conflict: it is being dialed, or is over.
        """
        ...

    async def abandoned(self, now: datetime) -> list[Callback]:
        """Rows that were dispatching with an attempt written when their holder died."""
        ...


class CallbackReader(Protocol):
    """Promised calls: the reader's side, scoped by organization."""

    async def get(self, organization: str, callback: str) -> Callback | None: ...

    async def find(
        self,
        organization: str,
        limit: int,
        status: CallbackStatus | None = None,
        source_session: str | None = None,
    ) -> list[Callback]: ...


class NodeStore(Protocol):
    """The processes that serve from one database, and this one among them."""

    async def begin(self, now: datetime) -> None:
        """This node is here; whoever had its name before is not."""
        ...

    async def beat(self, now: datetime) -> bool:
        """It still is. False: somebody has buried it, or has its name."""
        ...

    async def others(self) -> dict[str, int | None]:
        """How often each other one has beaten; None: it has live calls and is not there."""
        ...

    async def bury(self, dead: Collection[str]) -> None:
        """Forget these."""
        ...

    async def end(self) -> None:
        """This node stops in good order."""
        ...


class CallElsewhere(Protocol):
    """Calls that live in another process over the same records."""

    async def end(self, call: str) -> bool:
        """Have it ended by the node that has it. False: there is no other node."""
        ...


class NextDue(Protocol):
    """When the next callback is due, so that the scheduler need not poll tightly."""

    async def next_due(self) -> datetime | None: ...
