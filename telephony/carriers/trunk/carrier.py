"""Our own SIP as a carrier: sockets, agents, the door, the registrar, and a leg for each call.

Everything runs on the loop's thread. Who may call in is decided in ``door``; what a leg does, in
``leg``; where a call goes, in ``targets`` and ``dialing``.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from functools import partial
from random import Random
from typing import cast

import structlog

from telephony.accounts.ports import Directory
from telephony.accounts.routing import find_trunk
from telephony.base.clock import Clock
from telephony.base.errors import Busy
from telephony.base.trace import Trace
from telephony.calls.events import LegEnded
from telephony.calls.outcome import Cause, Outcome
from telephony.calls.ports import (
    DialRequest,
    Emit,
    LegControl,
)
from telephony.carriers.caps import TrunkCaps
from telephony.carriers.dead_leg import DeadLeg
from telephony.carriers.trunk.addresses import Addresses
from telephony.carriers.trunk.board import Board
from telephony.carriers.trunk.config import TrunkConfig
from telephony.carriers.trunk.dialing import Dialling, Find
from telephony.carriers.trunk.door import Door
from telephony.carriers.trunk.identity import number_for_trunk
from telephony.carriers.trunk.leg import TrunkLeg
from telephony.carriers.trunk.limits import SourceLimits
from telephony.carriers.trunk.line import Line
from telephony.carriers.trunk.reception import Reception, Take, sound_policy
from telephony.carriers.trunk.registrar import Registrar
from telephony.carriers.trunk.registrations import Registrations, RegistrationStatus
from telephony.carriers.trunk.saying import Place
from telephony.carriers.trunk.targets import Silences, Wave, waves_of_phone, waves_of_trunk
from telephony.carriers.trunk.voice import Owner, Voice
from telephony.media.contract import MediaEngine
from telephony.media.tally import Tally
from telephony.sip.agent import AgentConfig, UserAgent
from telephony.sip.auth import DigestServer
from telephony.sip.events import (
    InviteReceived,
    Registered,
    RegisterReceived,
    RegistrationFailed,
    SessionEnded,
    SipEvent,
    Unregistered,
)
from telephony.sip.uri import Uri
from telephony.sipnet.driver import SipDriver
from telephony.sipnet.resolver import Resolver

log = structlog.get_logger("telephony.trunk")

HOUSEKEEPING_SECONDS = 30.0
FLUSH_SECONDS = 0.05
"""Between two looks whether BYEs, CANCELs and un-registrations were answered."""


class TrunkCarrier:
    """See :class:`telephony.calls.ports.Carrier`."""

    def __init__(
        self,
        config: TrunkConfig,
        directory: Directory,
        engine: MediaEngine,
        clock: Clock,
        rng: Random,
        trace: Trace,
        *,
        resolver: Resolver | None = None,
    ) -> None:
        self.tally = Tally()
        self._config = config
        self._directory = directory
        self._engine = engine
        self._clock = clock
        self._rng = rng
        self._trace = trace
        host = config.host
        families = ("AAAA", "A") if host == "::" else ("AAAA",) if ":" in host else ("A",)
        self._resolver = resolver or Resolver(rng, clock.monotonic, families=families)
        self._limits = SourceLimits(config.limits)
        self._registrar = Registrar(config.registrar)
        self._caps = TrunkCaps()
        self._legs: set[TrunkLeg] = set()
        self._calling: Counter[str] = Counter()
        self._line: Line | None = None
        self._registrations: Registrations | None = None
        self._housekeeping: asyncio.TimerHandle | None = None
        self._bound: tuple[str, int] = ("", 0)
        self._stopping = False
        # Nonces of the process before are worth nothing: which of them were used is forgotten.
        secret = config.secret + rng.randbytes(32)
        door = Door(
            config,
            directory,
            self._registrar,
            DigestServer(config.realm, secret, rng),
            self._limits,
            is_calling=lambda host: self._calling[host] > 0,
        )
        self._reception = Reception(door, self._registrar, self._limits)

    # -- life -------------------------------------------------------------------------------------

    async def start(self, take: Take) -> None:
        """Open UDP and TCP, register where trunks ask for it; offers go to ``take``.

        Raises:
            OSError: the port cannot be had.
        """
        loop = asyncio.get_running_loop()
        host = "127.0.0.1" if self._config.host.lower() == "localhost" else self._config.host
        addresses = Addresses(host, self._config.external_address)
        board = Board(
            self._agent_config,
            addresses,
            self._rng,
            self._trace,
            screen=self._reception.screen,
            banned=self._reception.banned,
            dropped=self._reception.dropped,
            heard=self._heard,
            closed=self._registrar.flow_closed,
        )
        driver = await self._listen(host, board)
        self._line = Line(
            config=self._config,
            clock=self._clock,
            rng=self._rng,
            driver=driver,
            board=board,
            caps=self._caps,
            silences=Silences(),
            trace=self._trace,
            port=self._bound[1],
            host=addresses.towards,
            hostport=lambda peer: (
                Uri("sip", host=addresses.towards(peer), port=self._bound[1]).hostport
            ),
            later=loop.call_later,
            voice=partial(self._voice, addresses),
            tally=self.tally,
        )
        self._reception.open(self._line, take, self._leg_begun, self._leg_ended)
        board.open()
        self._registrations = Registrations(self._line)
        self._directory.watch(self._changed)
        self._changed()
        self._keep_house()
        log.info("trunk.listening", host=self._bound[0], port=self._bound[1])

    async def _listen(self, host: str, board: Board) -> SipDriver:
        """Sockets of the bound address. A free port (0) may be free in one family only."""
        attempt = 0
        while True:
            attempt += 1
            driver = SipDriver(
                # The driver uses the doors of an agent and nothing else; the board has them all.
                cast(UserAgent, board),
                self._on_event,
                clock=self._clock.monotonic,
                resolver=self._resolver,
            )
            try:
                self._bound = await driver.listen(host, self._config.port)
                if host == "::":
                    # Our IPv6 sockets take IPv6 only (RFC 3493 §5.3): IPv4 stands beside them.
                    await driver.listen("0.0.0.0", self._bound[1])
            except OSError:
                await driver.close()
                if self._config.port or attempt == 10:
                    raise
            else:
                return driver

    async def stop(self) -> None:
        """End what is left, un-register, let the last messages out, close the sockets."""
        line = self._line
        if line is None or self._stopping:
            return
        self._stopping = True
        if self._housekeeping is not None:
            self._housekeeping.cancel()
        for leg in list(self._legs):
            leg.end(Outcome.failed(Cause.INTERRUPTED))
        if self._registrations is not None:
            self._registrations.stop()
        deadline = self._clock.monotonic() + self._config.drain
        while self._clock.monotonic() < deadline:
            await asyncio.sleep(FLUSH_SECONDS)
            if not line.board.sessions() and not self._legs and not self._registrations_leaving():
                break
        await line.driver.close()
        self._line = None

    def ready(self) -> str | None:
        """Why no call can be taken now."""
        if self._line is None or self._stopping:
            return "SIP is not listening"
        return self._engine.ready()

    # -- for the API and metrics ------------------------------------------------------------------

    @property
    def address(self) -> tuple[str, int]:
        """The (host, port) that is listened on."""
        return self._bound

    @property
    def refused(self) -> Counter[int]:
        """What was turned away before any call began, by status."""
        return self._reception.refused

    @property
    def legs(self) -> int:
        """Legs that live."""
        return len(self._legs)

    def status(self) -> list[RegistrationStatus]:
        """Our registrations with trunks."""
        return [] if self._registrations is None else self._registrations.status()

    def registered(self, user: str) -> int:
        """At how many places a phone's user is registered."""
        return len(self._registrar.bindings(user, self._clock.monotonic()))

    def admits(self, trunk_id: str) -> Busy | None:
        """Why no further call may leave over this trunk now, or None. Counts nothing."""
        trunk = find_trunk(self._directory.trunks(), trunk_id)
        return None if trunk is None else self._caps.refusal(trunk, self._clock.monotonic())

    # -- going out --------------------------------------------------------------------------------

    def dial(self, request: DialRequest, emit: Emit) -> LegControl:
        """Send the INVITE. Whatever keeps it from being sent is a ``LegEnded``."""
        line = self._line
        now = self._clock.monotonic()
        if line is None or self._stopping:
            return self._stillborn(request, emit, Outcome.failed(Cause.UNREACHABLE))
        if request.phone:
            return self._dial_phone(line, request, emit)
        trunks = self._directory.trunks()
        trunk = find_trunk(trunks, request.trunk or "default")
        if trunk is None:
            return self._stillborn(request, emit, Outcome.failed(Cause.NO_ROUTE))
        busy = self._caps.refusal(trunk, now)
        if busy is not None:
            outcome = Outcome.failed(Cause.RATE_LIMITED, retry_after=busy.retry_after)
            return self._stillborn(request, emit, outcome)
        self._caps.begin(trunk.id, now, outbound=True)
        user = number_for_trunk(request.to, trunk)
        find = partial(waves_of_trunk, trunk, user, line.resolve, line.silences, now)
        return self._launch(line, Place(trunk=trunk), request, emit, find)

    def _dial_phone(self, line: Line, request: DialRequest, emit: Emit) -> LegControl:
        phone = next((p for p in self._directory.phones() if p.user == request.to), None)
        if phone is None:
            return self._stillborn(request, emit, Outcome.failed(Cause.NOT_FOUND, 404))
        bindings = self._registrar.bindings(phone.user, line.now)
        if not bindings:
            # What a registrar's proxy answers for a user who is not there (RFC 3261 §16.5).
            return self._stillborn(request, emit, Outcome.no_answer(480))
        waves = waves_of_phone(bindings, self._config.max_forks)
        return self._launch(line, Place(phone=phone), request, emit, partial(_known, waves))

    def _launch(
        self, line: Line, place: Place, request: DialRequest, emit: Emit, find: Find
    ) -> TrunkLeg:
        leg = TrunkLeg(line, place, request=request, emit=emit, ended=self._leg_ended)
        self._leg_begun(leg)
        dialling = Dialling(line, leg)
        leg.dial(dialling, request.ring_seconds)
        dialling.start(find)
        return leg

    def _stillborn(self, request: DialRequest, emit: Emit, outcome: Outcome) -> LegControl:
        emit(LegEnded(at=self._clock.now(), leg=request.leg, outcome=outcome))
        return DeadLeg(request.leg)

    # -- coming in --------------------------------------------------------------------------------

    def _on_event(self, event: SipEvent) -> None:
        line = self._line
        if line is None:
            return
        match event:
            case InviteReceived():
                self._reception.invited(line, event)
            case RegisterReceived():
                self._reception.register(line, event)
            case Registered() | RegistrationFailed() | Unregistered():
                if self._registrations is not None:
                    self._registrations.on_event(event)
            case _:
                session = getattr(event, "session", "")
                owner = line.sessions.get(session)
                if isinstance(event, SessionEnded):
                    line.sessions.pop(session, None)
                if owner is not None:
                    owner.on_sip(event)

    def _heard(self, call_id: str) -> None:
        if self._line is not None:
            self._line.heard(call_id)

    # -- inside -----------------------------------------------------------------------------------

    def _agent_config(self, address: str) -> AgentConfig:
        config = self._config
        return AgentConfig(
            host=address,
            port=self._bound[1],
            user_agent=config.user_agent,
            registrar=True,
            session_expires=config.session_expires,
            min_se=config.min_se,
            timers=config.timers,
        )

    def _voice(
        self,
        addresses: Addresses,
        peer: str,
        stranger: bool,
        owner: Owner,
    ) -> Voice:
        return Voice(
            self._engine,
            bind=addresses.bind(peer),
            advertised=addresses.towards(peer),
            peer=peer,
            stranger=stranger,
            session_id=self._rng.getrandbits(40),
            codecs=self._config.codecs,
            policy=sound_policy(peer, addresses.towards(peer), self._bound[1]),
            owner=owner,
        )

    def _registrations_leaving(self) -> bool:
        return self._registrations is not None and self._registrations.leaving > 0

    def _leg_begun(self, leg: TrunkLeg) -> None:
        self._legs.add(leg)
        if leg.inbound:
            self._calling[leg.peer] += 1

    def _leg_ended(self, leg: TrunkLeg) -> None:
        self._legs.discard(leg)
        trunk = leg.place.trunk
        if trunk is not None:
            self._caps.end(trunk.id)
        if leg.inbound:
            self._calling[leg.peer] -= 1
            if self._calling[leg.peer] <= 0:
                del self._calling[leg.peer]

    def _changed(self) -> None:
        """The directory is another: what was deleted is gone at once."""
        if self._line is None or self._stopping:
            return
        self._reception.changed()
        trunks = self._directory.trunks()
        self._caps.keep(frozenset(t.id for t in trunks))
        if self._registrations is not None:
            self._registrations.reconcile(trunks)

    def _keep_house(self) -> None:
        """Once in a while: forget bindings that ran out."""
        self._registrar.expire(self._clock.monotonic())
        loop = asyncio.get_running_loop()
        self._housekeeping = loop.call_later(HOUSEKEEPING_SECONDS, self._keep_house)


async def _known(waves: Sequence[Wave]) -> Sequence[Wave]:
    return waves
