"""A call that an agent answers: met in a room, looked after, and not left alone when it is gone.

It runs as a dialplan does, and is one: a node that no file can write, with the nodes of the
agent's own dialplan behind it. Without such a dialplan a sentence says that nobody is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from telephony.calls import commands as c
from telephony.calls import events as e
from telephony.calls.meeting import Dispatch
from telephony.calls.outcome import Cause, EndedBy, Outcome
from telephony.ivr.model import Dialplan, Verb
from telephony.ivr.run import PROMPT_SECONDS, Activity, End, Go, Move, Playing, Run

QUIET_SECONDS = 2.0
"""An agent that is not there by then: the caller hears ringing until it is."""
JOIN_SECONDS = 20.0
"""The room itself says earlier that nobody came; this is for a room that says nothing."""
FIRST_AUDIO_SECONDS = 30.0
"""As above, of an agent that is there, should speak first and is not heard."""
AGAIN_SECONDS = 1.0
"""Between an order to come that was not taken and the second."""
STAY_SECONDS = 14_400.0

# No file can name a node so.
_MEET, _NOBODY, _SILENT = "(agent)", "(nobody)", "(silent)"

SENTENCES = {
    "en": "I am sorry, nobody is available to take your call. Please try again later. Goodbye.",
    "de": "Leider ist gerade niemand erreichbar. Bitte versuchen Sie es später noch einmal."
    " Auf Wiederhören.",
    "es": "Lo sentimos, no hay nadie disponible en este momento. Llame más tarde, por favor."
    " Adiós.",
    "fr": "Désolé, personne n'est disponible pour le moment. Veuillez rappeler plus tard."
    " Au revoir.",
    "it": "Ci dispiace, al momento nessuno è disponibile. Richiami più tardi. Arrivederci.",
    "nl": "Helaas is er op dit moment niemand beschikbaar. Probeer het later nog eens. Tot ziens.",
    "pt": "Lamentamos, não há ninguém disponível neste momento. Ligue mais tarde, por favor."
    " Até logo.",
}


def agent_plan(
    room: str, dispatch: Dispatch, fallback: Dialplan | None, language: str = "en"
) -> Dialplan:
    """The program of a call that an agent answers; ``fallback`` takes over when it is gone."""
    if fallback is None:
        nobody = nobody_plan(language)
        behind = replace(
            nobody,
            nodes={**nobody.nodes, _SILENT: Nobody(cause=Cause.SILENT_BOT, language=language)},
        )
        meet = Meet(room=room, dispatch=dispatch, unavailable=_NOBODY, silent=_SILENT)
    else:
        behind = fallback
        start = fallback.start
        meet = Meet(
            room=room, dispatch=dispatch, unavailable=start, silent=start, record=fallback.record
        )
    return replace(behind, start=_MEET, nodes={_MEET: meet, **behind.nodes}, record=False)


def nobody_plan(language: str = "en") -> Dialplan:
    """Answer, say that nobody is available, hang up."""
    nodes = {_NOBODY: Nobody(cause=Cause.AGENT_UNAVAILABLE, language=language)}
    return Dialplan(name="agent", start=_NOBODY, nodes=nodes)


class _Hidden(Verb):
    """A node that no file has: nothing of it is checked or filled in."""

    __slots__ = ()

    def targets(self) -> Iterator[tuple[str, str]]:
        return iter(())

    def texts(self) -> Iterator[tuple[str, str]]:
        return iter(())

    def reads(self) -> Iterator[tuple[str, str]]:
        return iter(())


@dataclass(frozen=True, slots=True, kw_only=True)
class Meet(_Hidden):
    """Let an agent talk with the caller. ``unavailable`` and ``silent`` name who takes over when
    none came or it left, and when it never said a word; ``record``: who takes over records."""

    VERB: ClassVar[str] = "(agent)"
    waits: ClassVar[bool] = True

    room: str
    dispatch: Dispatch
    unavailable: str
    silent: str
    record: bool = False

    def begin(self, run: Run) -> Move | Activity:
        return Meeting(self, run)


class Meeting(Activity):
    """An agent was called in, then it talks, then the call or the agent is over.

    One more is called in its place, once in a call. While somebody else is in the room, a
    colleague who joined, nobody is missed.
    """

    def __init__(self, node: Meet, run: Run) -> None:
        super().__init__(run.now + QUIET_SECONDS)
        self._node = node
        self._agents: set[str] = set()
        self._others: set[str] = set()
        self._heard = False
        self._spent = False
        self._missed = False
        self._again_at: float | None = None
        self._until = run.now + JOIN_SECONDS
        self._ringing: Playing | None = None
        run.order(c.JoinRoom(leg=run.leg, room=node.room, dispatch=node.dispatch))

    def step(self, run: Run, event: e.Event) -> Move | None:
        match event:
            case e.RoomLeft(leg=run.leg):
                return self._out(run, event)
            case e.AgentJoined():
                self._agents.add(event.identity)
                self._came(run)
            case e.AgentHeard():
                self._heard = True
                self._agents.add(event.identity)
                self._came(run)
            case e.PeerJoined():
                self._others.add(event.identity)
                self._came(run)
            case e.PeerLeft() if event.identity in self._others:
                self._others.discard(event.identity)
                return self._alone(run)
            case e.AgentSilent() if not self._heard and not self._others:
                return self._leave(run, self._node.silent)
            case e.AgentDispatchFailed() if not self._agents:
                self._missed = True
                return self._alone(run, 0.0 if event.cause == "timeout" else AGAIN_SECONDS)
            case e.AgentLeft() if event.identity in self._agents:
                self._agents.discard(event.identity)
                self._missed = not self._agents
                return self._alone(run)
        return None

    def expire(self, run: Run) -> Move | None:
        if self._again_at is not None and run.now >= self._again_at:
            self._call(run)
            return None
        if self._agents or self._others:
            return self._too_long(run)
        if run.now < self._until:
            self._ring(run)
            return None
        late = e.AgentDispatchFailed(
            at=run.wall,
            room=self._node.room,
            provider="telephony",
            agent_name=self._node.dispatch.agent_name,
            cause="timeout",
        )
        run.order(c.Note(event=late))
        self._missed = True
        return self._alone(run)

    # --- what became of it -----------------------------------------------------------------

    @property
    def _waits_for_a_word(self) -> bool:
        return self._node.dispatch.speaks_first and not self._heard and not self._others

    def _came(self, run: Run) -> None:
        """Somebody is there."""
        if self._agents:
            self._missed = False
        self._again_at = None
        self._hush(run)
        wait = FIRST_AUDIO_SECONDS if self._waits_for_a_word else STAY_SECONDS
        self.deadline = run.now + wait

    def _alone(self, run: Run, pause: float = 0.0) -> Move | None:
        """Where nobody is there and no agent comes any more, one more is called, or the fallback
        begins."""
        if self._agents or self._others:
            return None
        if not self._missed:
            self._wait(run)
        elif self._spent:
            return self._leave(run, self._node.unavailable)
        elif pause:
            self._again_at = self.deadline = run.now + pause
        else:
            self._call(run)
        return None

    def _wait(self, run: Run) -> None:
        """For the agent that was called."""
        self._until = run.now + JOIN_SECONDS
        self.deadline = self._until if self._ringing is not None else run.now + QUIET_SECONDS

    def _call(self, run: Run) -> None:
        self._spent = True
        self._missed = False
        self._again_at = None
        self._wait(run)
        run.order(c.DispatchAgent(leg=run.leg, dispatch=self._node.dispatch))

    def _too_long(self, run: Run) -> Move:
        if not self._waits_for_a_word:
            self._hush(run)
            return End(Outcome.max_duration())
        silent = e.AgentSilent(
            at=run.wall,
            room=self._node.room,
            provider="telephony",
            identity=min(self._agents),
            seconds=FIRST_AUDIO_SECONDS,
        )
        run.order(c.Note(event=silent))
        return self._leave(run, self._node.silent)

    def _out(self, run: Run, event: e.RoomLeft) -> Move:
        self._hush(run)
        if event.reason == "deleted":
            # Closing the room is how an agent ends a call (contract 14.4).
            return End(Outcome.completed(EndedBy.AGENT))
        return self._over_to(run, self._node.unavailable)

    def _leave(self, run: Run, target: str) -> Move:
        self._hush(run)
        run.order(c.LeaveRoom(leg=run.leg))
        return self._over_to(run, target)

    def _over_to(self, run: Run, target: str) -> Move:
        if self._node.record:
            # It may tell the caller so.
            run.order(c.RecordCall(leg=run.leg))
        return Go(target)

    # --- ringing while nobody is there -----------------------------------------------------

    def _ring(self, run: Run) -> None:
        if self._ringing is None:
            self._ringing = Playing(run, (c.Prompt(tone="ringback"),), loop=True)
        self.deadline = self._until

    def _hush(self, run: Run) -> None:
        if self._ringing is not None:
            self._ringing.stop(run)
            self._ringing = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Nobody(_Hidden):
    """Say that nobody is there, and hang up."""

    VERB: ClassVar[str] = "(nobody)"
    waits: ClassVar[bool] = True

    cause: Cause
    language: str = "en"

    def begin(self, run: Run) -> Move | Activity:
        return Apology(self, run)


class Apology(Activity):
    """The sentence plays; leaving inside it is no giving up, for there is nothing to wait for."""

    def __init__(self, node: Nobody, run: Run) -> None:
        super().__init__(run.now + PROMPT_SECONDS)
        self._cause = node.cause
        spoken = node.language.partition("-")[0].lower()
        language = node.language if spoken in SENTENCES else "en"
        prompt = c.Prompt(text=SENTENCES.get(spoken, SENTENCES["en"]), language=language)
        self._playing = Playing(run, (prompt,))

    def step(self, run: Run, event: e.Event) -> Move | None:
        return End(Outcome.unattended(self._cause)) if self._playing.step(event) else None

    def expire(self, run: Run) -> Move | None:
        return End(Outcome.unattended(self._cause))
