"""One outbound leg until somebody picks up: waves of INVITEs, forks, and giving up.

The agent below takes 32 s to find a gateway dead (Timer B), which is longer than anybody lets a
phone ring. So each address of each gateway is a session of its own here, and one that has not
sent so much as a 100 after some seconds is given up for the next: CANCEL follows if it wakes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from telephony.base.errors import MediaFailed
from telephony.base.trace import Action
from telephony.calls.outcome import Cause, Outcome
from telephony.carriers.trunk.causes import best_of
from telephony.carriers.trunk.line import Line, SessionOwner, Timer
from telephony.carriers.trunk.targets import Target, Wave
from telephony.sip.agent import UserAgent
from telephony.sip.auth import Credentials
from telephony.sip.events import Answered, Ending, EndKind, Progress, SessionEnded, SipEvent

log = structlog.get_logger("telephony.trunk")

Find = Callable[[], Awaitable[Sequence[Wave]]]
"""Where a call goes. Asked only when it is dialled: it may be given up before."""

ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'
"""RFC 3326 §3.1: so that the other phones do not show a missed call."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """What an INVITE to one target says."""

    from_: str
    to: str
    headers: tuple[tuple[str, str], ...]
    credentials: tuple[Credentials, ...]
    contact_user: str
    body: bytes


class Dialler(SessionOwner, Protocol):
    """The leg that dials, told what comes of it."""

    def invitation(self, target: Target) -> Invitation:
        """Raises MediaFailed where there is no lane for it."""
        ...

    def progressed(self, event: Progress) -> None: ...

    def picked_up(self, event: Answered, agent: UserAgent) -> None: ...

    def nobody(self, outcome: Outcome) -> None:
        """It is over without an answer."""
        ...


@dataclass(slots=True)
class _Try:
    target: Target
    agent: UserAgent
    silent: Timer | None


class Dialling:
    """The INVITEs of one leg."""

    def __init__(self, line: Line, leg: Dialler) -> None:
        self._line = line
        self._leg = leg
        self._waves: list[Wave] = []
        self._tries: dict[str, _Try] = {}
        self._endings: list[Ending] = []
        self._task: asyncio.Task[None] | None = None
        self._over = False

    def start(self, find: Find) -> None:
        """Begin as soon as it is known where to."""
        self._task = asyncio.ensure_future(self._begin(find))

    def give_up(self, reason: str) -> None:
        """CANCEL whatever rings; nothing is reported any more."""
        self._over = True
        if self._task is not None and not self._task.done():
            self._task.cancel()
        for session in list(self._tries):
            self._cancel(session, reason)

    # -- what happens -----------------------------------------------------------------------------

    def on_heard(self, session: str) -> None:
        """Something answered, if only 100."""
        found = self._tries.get(session)
        if found is not None and found.silent is not None:
            found.silent.cancel()
            found.silent = None
            self._line.silences.forget(found.target.destination)

    def on_sip(self, event: SipEvent) -> None:
        """An event of one of our sessions, before one of them was chosen."""
        match event:
            case SessionEnded():
                self._ended(event)
            case Progress() if not self._over and event.session in self._tries:
                self._leg.progressed(event)
            case Answered():
                self._answered(event)
            case _:
                return

    def _answered(self, event: Answered) -> None:
        found = self._tries.pop(event.session, None)
        if found is None or self._over:
            return
        self._over = True
        for session in list(self._tries):
            self._cancel(session, ELSEWHERE)
        self._leg.picked_up(event, found.agent)

    def _ended(self, event: SessionEnded) -> None:
        found = self._tries.pop(event.session, None)
        if found is None:
            return
        if found.silent is not None:
            found.silent.cancel()
        if event.ending.kind in (EndKind.TIMEOUT, EndKind.TRANSPORT):
            self._line.silences.note(found.target.destination, self._line.now)
        if self._over:
            return
        self._endings.append(event.ending)
        if not self._tries:
            if self._waves and _is_worth_another(event.ending):
                self._next()
            else:
                self._nobody(best_of(self._endings))

    # -- inside -----------------------------------------------------------------------------------

    async def _begin(self, find: Find) -> None:
        try:
            self._waves = list(await find())
            if not self._over:
                self._next()
        except asyncio.CancelledError:
            raise
        except Exception:
            # Whatever it was, a call must end; the resolver is known not to raise.
            log.exception("trunk.dial_failed")
            self._line.trace.add(self._line.now, Action.INTERNAL_ERROR, reason="dial")
            if not self._over:
                self._nobody(Outcome.failed(Cause.INTERNAL))

    def _next(self) -> None:
        """Send the next wave."""
        if not self._waves:
            self._nobody(Outcome.failed(Cause.UNREACHABLE))
            return
        self._endings = []
        try:
            for target in self._waves.pop(0):
                self._invite(target)
        except MediaFailed:
            self._nobody(Outcome.failed(Cause.CAPACITY))
        except ValueError:
            # A header or number of ours that SIP cannot carry: the call must end, not hang.
            log.exception("trunk.dial_failed")
            self._nobody(Outcome.failed(Cause.INTERNAL))

    def _invite(self, target: Target) -> None:
        line = self._line
        said = self._leg.invitation(target)
        agent = line.agent(target.destination.address[0])
        session = line.name_session()
        line.sessions[session] = self._leg
        wait = line.config.silent_seconds
        silent = line.later(wait, lambda: self._silent(session))
        self._tries[session] = _Try(target, agent, silent)
        line.driver.order(
            agent.invite,
            target=target.uri,
            destinations=[target.destination],
            from_=said.from_,
            to=said.to,
            body=said.body,
            headers=said.headers,
            credentials=said.credentials,
            session=session,
            call_id=session,
            contact_user=said.contact_user,
            now=line.now,
        )

    def _silent(self, session: str) -> None:
        """Not a word from there: go on to the next place, where there is one."""
        found = self._tries.get(session)
        if found is None or self._over:
            return
        found.silent = None
        self._line.silences.note(found.target.destination, self._line.now)
        if self._waves and len(self._tries) == 1:
            self._line.trace.add(
                self._line.now,
                Action.TRANSPORT_FAILED,
                reason="gateway silent",
                peer=found.target.destination.address[0],
            )
            del self._tries[session]
            self._line.driver.order(found.agent.cancel, session, now=self._line.now)
            self._next()

    def _cancel(self, session: str, reason: str) -> None:
        found = self._tries.pop(session)
        if found.silent is not None:
            found.silent.cancel()
        # bye() and not cancel(): an answer that was not handed out yet must be hung up too.
        order = self._line.driver.order
        if not order(found.agent.cancel, session, reason=reason, now=self._line.now):
            order(found.agent.bye, session, reason=reason, now=self._line.now)

    def _nobody(self, outcome: Outcome) -> None:
        self._over = True
        for session in list(self._tries):
            self._cancel(session, "")
        self._leg.nobody(outcome)


def _is_worth_another(ending: Ending) -> bool:
    """Whether another gateway may do better (RFC 3263 §4.3)."""
    if ending.kind in (EndKind.TRANSPORT, EndKind.TIMEOUT):
        return True
    return ending.kind is EndKind.REJECTED and ending.status == 503
