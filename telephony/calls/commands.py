"""Orders, in the imperative. A dialplan answers events with these; the call permits them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from telephony.calls.events import Event
from telephony.calls.meeting import Dispatch
from telephony.calls.outcome import Outcome
from telephony.calls.role import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Something to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegCommand(Command):
    """Something to do to one leg."""

    leg: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What to play: ``text`` to be spoken, or ``file`` (a WAV beside the dialplan), or ``tone``.

    ``fallback`` is a WAV for when the text cannot be spoken. ``tone`` names one of
    ``beep``, ``ringback``, ``busy``, ``hold`` (music).
    """

    text: str = ""
    file: str = ""
    tone: str = ""
    voice: str = ""
    language: str = ""
    fallback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring(LegCommand):
    """Let the caller hear ringing (180)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(LegCommand):
    """Pick up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Play(LegCommand):
    """Play a prompt; ``PromptPlayed`` with the same ``playback`` … ``node`` comes back.

    Prompts of one leg queue up in the order given. ``loop`` repeats until stopped.
    """

    playback: str
    node: str
    prompt: Prompt
    loop: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop(LegCommand):
    """Stop what plays on the leg, all of the queue, within one tick.

    ``reason`` becomes that of ``PromptPlayed``: ``barge_in`` or ``stopped``.
    """

    reason: str = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(LegCommand):
    """Record a message of this leg. Ends by silence, ceiling or ``StopRecord``.

    ``RecordingReady`` or ``RecordingFailed`` with this id comes back.
    """

    recording: str
    max_seconds: float
    silence_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRecord(LegCommand):
    """End a message. ``reason`` becomes that of ``RecordingReady``."""

    recording: str
    reason: str = "key"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordCall(LegCommand):
    """Record the whole call, two channels, this leg left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial(LegCommand):
    """Dial a further leg, which gets the name ``leg``. ``to``: E.164 number or a phone's user.

    ``digits`` are pressed once it is answered (``w``: half a second).
    """

    to: str
    from_number: str = ""
    ring_seconds: float = 30.0
    max_seconds: float = 14_400.0
    digits: str = ""
    trunk: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge(LegCommand):
    """Let two answered legs hear each other; ``LegsBridged`` comes back."""

    other: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer(LegCommand):
    """Send the leg to ``to``: REFER where the far end takes it, else re-dial and bridge.

    ``TransferCompleted`` or ``TransferFailed`` with this id comes back.
    """

    transfer: str
    to: str
    ring_seconds: float = 30.0
    refer: bool = True
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueCallback(Command):
    """Promise a call to ``to`` at ``at``, run by ``dialplan``; ``CallbackScheduled`` comes back."""

    to: str
    at: datetime
    dialplan: str
    from_number: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRoom(LegCommand):
    """Enter a named room; ``RoomJoined`` comes back, or ``RoomLeft``.

    With ``dispatch`` it is the call's own room with agents, where there is no role:
    ``AgentDispatched`` comes before, ``AgentJoined`` or ``AgentDispatchFailed`` after.
    """

    room: str
    role: Role = Role.SPEAKER
    dispatch: Dispatch | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchAgent(LegCommand):
    """Call an agent into the room in which the leg meets agents; events as of ``JoinRoom``."""

    dispatch: Dispatch


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAgent(Command):
    """Call an agent once more into the room of a browser's session; ``AgentDispatched`` or
    ``AgentDispatchFailed`` comes back."""

    room: str
    dispatch: Dispatch


@dataclass(frozen=True, slots=True, kw_only=True)
class MuteAgent(LegCommand):
    """Whether the leg hears the agents of its room; ``AgentMuted`` or ``AgentUnmuted`` follows."""

    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SendData(LegCommand):
    """A data packet to everybody in the room in which the leg meets agents."""

    data: str
    topic: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mute(LegCommand):
    """Whether a leg is heard in its room; ``LegMuted`` or ``LegUnmuted`` comes back."""

    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveRoom(LegCommand):
    """Leave the room; ``RoomLeft`` comes back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendDigits(LegCommand):
    """Press keys towards the far end (RFC 4733, else INFO)."""

    digits: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchAnswer(LegCommand):
    """Find out whether a person or a machine answered; ``AnswerDetected`` comes back.

    Nothing waits for it.
    """

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitGreeting(LegCommand):
    """Find the end of a machine's greeting; ``GreetingEnded`` comes back.

    With ``beep_only`` silence is no end.
    """

    seconds: float
    beep_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EndLeg(LegCommand):
    """End one leg: cancel it while it rings, BYE after. ``LegEnded`` comes back."""

    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Hangup(Command):
    """End the call with every leg. Before the answer of an inbound call this is its refusal."""

    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Command):
    """Write down a fact that the program itself established (a gather's end, a variable)."""

    event: Event
