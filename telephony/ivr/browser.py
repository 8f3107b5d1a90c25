"""A browser's session: who is in the room decides when it begins and when it is over.

The same shape as a dialplan's program: events in, commands out, deadlines asked for. It begins
when a browser and an agent are both in. It ends when the browser is gone and does not come back,
when nobody came before the token ran out, when no agent is to be had, or when the room is closed
by somebody else, which is how an agent ends it.
"""

from __future__ import annotations

from dataclasses import dataclass

from telephony.calls import commands as c
from telephony.calls import events as e
from telephony.calls.meeting import Dispatch
from telephony.calls.outcome import Cause, EndedBy, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserTimes:
    """Seconds. ``join``: the token's life, in which somebody has to come. ``grace``: a browser
    that is gone may come back (a page that is loaded again, a network that changes). ``agent``:
    one that was called has to be there. ``agent_grace``: one that is gone may come back by
    itself before it is called again, once."""

    join: float
    grace: float = 10.0
    agent: float = 20.0
    agent_grace: float = 3.0


class BrowserProgram:
    """One session's rules. ``now`` is monotonic seconds."""

    engaged = False

    def __init__(self, room: str, dispatch: Dispatch, times: BrowserTimes) -> None:
        self._room = room
        self._dispatch = dispatch
        self._times = times
        self._peers: set[str] = set()
        self._agents: set[str] = set()
        self._began = False
        self._finished = False
        self._calls_left = 1
        self._called_at = 0.0
        self._peer_by: float | None = None
        self._agent_by: float | None = None

    @property
    def finished(self) -> bool:
        """Nothing more will come."""
        return self._finished

    def masks(self, event: e.DigitPressed) -> bool:
        """Nobody asks for secrets here."""
        return False

    def next_deadline(self) -> float | None:
        """When to call ``expire``."""
        if self._finished:
            return None
        times = [when for when in (self._peer_by, self._agent_by) if when is not None]
        return min(times, default=None)

    # --- doors -----------------------------------------------------------------------------

    def start(self, event: e.Event, now: float) -> list[c.Command]:
        """The room is made and an agent was called: the time to come runs."""
        self._peer_by = now + self._times.join
        self._called_at = now
        return []

    def step(self, event: e.Event, now: float) -> list[c.Command]:
        """Take a fact."""
        if self._finished:
            return []
        match event:
            case e.PeerJoined():
                self._peers.add(event.identity)
                self._peer_by = None
                if not self._agents and self._agent_by is None:
                    # It was called when the session was made, and may be on its way still.
                    called = self._called_at + self._times.agent
                    self._agent_by = max(called, now + self._times.agent_grace)
                return self._begin(event)
            case e.PeerLeft():
                self._peers.discard(event.identity)
                if not self._peers:
                    self._peer_by = now + self._times.grace
                    self._agent_by = None
            case e.AgentJoined():
                self._agents.add(event.identity)
                self._agent_by = None
                # Nobody is on his way any more.
                self._called_at = now - self._times.agent
                return self._begin(event)
            case e.AgentLeft():
                self._agents.discard(event.identity)
                if self._peers and not self._agents:
                    self._agent_by = now + self._times.agent_grace
            case e.AgentDispatchFailed() if self._peers and not self._agents:
                return self._end(self._unattended())
            case e.RoomClosed(reason="deleted"):
                return self._closed()
        return []

    def expire(self, now: float) -> list[c.Command]:
        """A deadline has come; before it nothing happens."""
        if self._finished:
            return []
        if self._peer_by is not None and now >= self._peer_by:
            return self._end(self._gone())
        if self._agent_by is not None and now >= self._agent_by:
            if not self._calls_left:
                return self._end(self._unattended())
            self._calls_left -= 1
            self._called_at = now
            self._agent_by = now + self._times.agent
            return [c.CallAgent(room=self._room, dispatch=self._dispatch)]
        return []

    # --- rules -----------------------------------------------------------------------------

    def _begin(self, event: e.PeerJoined | e.AgentJoined) -> list[c.Command]:
        if self._began or not self._peers or not self._agents:
            return []
        self._began = True
        return [c.Note(event=e.ConversationBegan(at=event.at, room=self._room))]

    def _closed(self) -> list[c.Command]:
        """The room is gone without us."""
        if self._peers:
            by = EndedBy.AGENT
            return self._end(Outcome.completed(by) if self._began else Outcome.canceled(by))
        # A room without a browser that the server put away: the browser's own joining makes it
        # again, and who was called into the first one is not on his way any more.
        self._agents.clear()
        self._called_at -= self._times.agent
        return []

    def _gone(self) -> Outcome:
        """Nobody came, or nobody came back."""
        if self._began:
            return Outcome.completed(EndedBy.CALLER)
        return Outcome.no_answer(by=EndedBy.CALLER)

    def _unattended(self) -> Outcome:
        if self._began:
            return Outcome.dropped(Cause.AGENT_UNAVAILABLE)
        return Outcome.failed(Cause.AGENT_UNAVAILABLE)

    def _end(self, outcome: Outcome) -> list[c.Command]:
        self._finished = True
        return [c.Hangup(outcome=outcome)]
