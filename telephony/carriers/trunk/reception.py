"""Calls and registrations that come in: shown to the door, refused, or made an offer of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import structlog

from telephony.accounts.model import Trunk
from telephony.base.number import mask
from telephony.calls.events import LegOffered
from telephony.calls.ports import Offer, OfferedLeg
from telephony.carriers.trunk.config import is_loopback
from telephony.carriers.trunk.door import Door, Party, Turned
from telephony.carriers.trunk.identity import party
from telephony.carriers.trunk.leg import TrunkLeg
from telephony.carriers.trunk.limits import SourceLimits
from telephony.carriers.trunk.line import Line
from telephony.carriers.trunk.registrar import Registrar
from telephony.carriers.trunk.saying import Place
from telephony.carriers.trunk.voice import unusable
from telephony.carriers.words import clean
from telephony.sdp.address import AddressPolicy
from telephony.sip.addresses import Source
from telephony.sip.events import InviteReceived, RegisterReceived
from telephony.sip.message import Request
from telephony.sip.uri import quote_string

log = structlog.get_logger("telephony.trunk")

MAX_TRUSTED = 4096

Take = Callable[[Offer, OfferedLeg], None]


class Reception:
    """Built with the carrier, given its ``line`` when the sockets are open.

    ``refused`` counts what was turned away before any call began, by status.
    """

    def __init__(self, door: Door, registrar: Registrar, limits: SourceLimits) -> None:
        self._door = door
        self._registrar = registrar
        self._limits = limits
        self._trusted: dict[str, None] = {}
        self._line: Line | None = None
        self._take: Take = lambda offer, leg: None
        self._hold: Callable[[TrunkLeg], None] = lambda leg: None
        self._let_go: Callable[[TrunkLeg], None] = lambda leg: None
        self.refused: Counter[int] = Counter()

    def open(
        self,
        line: Line,
        take: Take,
        hold: Callable[[TrunkLeg], None],
        let_go: Callable[[TrunkLeg], None],
    ) -> None:
        """From now on legs are made: told to ``hold`` when they begin, to ``let_go`` after."""
        self._line, self._take = line, take
        self._hold, self._let_go = hold, let_go

    def changed(self) -> None:
        """The directory has changed: who was trusted must show himself again."""
        self._door.refresh()
        self._trusted.clear()
        if self._line is not None:
            self._line.board.trust([])

    def invited(self, line: Line, event: InviteReceived) -> None:
        found = self._door.identify(event.request, event.source, line.now)
        if isinstance(found, Turned):
            self._turn_away(line, event, found)
            return
        peer = event.source.address[0]
        trunk = found.trunk
        if trunk is not None and line.caps.refusal(_any_rate(trunk), line.now) is not None:
            busy = Turned(503, "trunk full", (("Retry-After", "5"),))
            self._turn_away(line, event, busy)
            return
        policy = sound_policy(peer, line.host(peer), line.port)
        objection = unusable(event.offer, line.host(peer), policy, line.config.codecs)
        if objection is not None:
            words = clean(objection.words)
            warning = f"{objection.warning} {line.hostport(peer)} {quote_string(words)}"
            turned = Turned(objection.status, words, (("Warning", warning),))
            self._turn_away(line, event, turned)
            return
        self._offer(line, event, found)

    def _offer(self, line: Line, event: InviteReceived, who: Party) -> None:
        place = Place(who.trunk, who.phone, who.proven)
        leg = TrunkLeg(line, place, invite=event, ended=self._let_go)
        self._hold(leg)
        if who.trunk is not None:
            line.caps.begin(who.trunk.id, line.now, outbound=False)
        line.sessions[event.session] = leg
        offered = LegOffered(
            at=line.clock.now(),
            leg="",
            from_number=who.from_number,
            from_name=who.from_name,
            dialled=who.dialled,
            trunk=who.trunk.id if who.trunk is not None else None,
            phone=who.phone.user if who.phone is not None else None,
            headers=who.headers,
        )
        self._take(Offer(offered, who.organization, who.stranger), leg)

    def _turn_away(self, line: Line, event: InviteReceived, turned: Turned) -> None:
        self.refused[turned.status] += 1
        peer = event.source.address[0]
        line.refused(peer, turned.status, turned.reason)
        # A stranger must not fill the log: one line a source and minute, the trace has them all.
        count = None if turned.status == 401 else self._limits.due_log(peer, line.now)
        if count is not None:
            log.info(
                "trunk.refused",
                peer=peer,
                status=turned.status,
                reason=turned.reason,
                messages=count,
                to=mask(party(event.request.request_uri)),
            )
        line.driver.order(
            line.agent(peer).reject,
            event.session,
            turned.status,
            headers=turned.headers,
            stateless=True,
            now=line.now,
        )

    def register(self, line: Line, event: RegisterReceived) -> None:
        peer = event.source.address[0]
        found = self._door.phone_of(event.request, event.source, line.now)
        if isinstance(found, Turned):
            status, reason, headers = found.status, "", found.headers
            line.refused(peer, status, found.reason)
            self.refused[status] += 1
        else:
            reply = self._registrar.register(found.user, event.request, event.source, line.now)
            status, reason, headers = reply.status, reply.reason, reply.headers
            if peer not in self._trusted:
                self._trust(line, peer)
            if status != 200:
                line.refused(peer, status, f"REGISTER: {reason or status}")
        line.driver.order(
            line.agent(peer).respond,
            event.token,
            status,
            reason=reason,
            headers=headers,
            stateless=status != 200,
            now=line.now,
        )

    # -- the door-keeper in front of the agents ---------------------------------------------------

    def screen(self, request: Request, source: Source, now: float) -> str | None:
        reason = self._door.screen(request, source, now)
        if reason is None and self._line is not None:
            host = source.address[0]
            if host not in self._trusted and self._door.exempt(host):
                self._trust(self._line, host)
        return reason

    def banned(self, host: str, now: float) -> bool:
        return self._limits.banned(host, now) and not self._door.exempt(host)

    def dropped(self, host: str, reason: str, now: float) -> None:
        count = self._limits.due_log(host, now)
        if count is not None:
            log.warning("trunk.dropped", peer=host, reason=reason, messages=count)

    def _trust(self, line: Line, host: str) -> None:
        """The agents' ceilings per source do not count trunks and phones."""
        self._trusted[host] = None
        if len(self._trusted) > MAX_TRUSTED:
            del self._trusted[next(iter(self._trusted))]
        line.board.trust(list(self._trusted))


def sound_policy(peer: str, host: str, port: int) -> AddressPolicy:
    """Where a peer may point our sound: not at our own SIP port, at loopback only from there."""
    own = frozenset({(host, port), ("127.0.0.1", port), ("::1", port)})
    return AddressPolicy(loopback=is_loopback(peer), forbidden=own)


def _any_rate(trunk: Trunk) -> Trunk:
    """The trunk as far as calls coming in are capped: by their number, not their rate."""
    return replace(trunk, calls_per_second=None)
