"""A scripted SIP phone on our own stack, for tests, the demo's caller and load.

It has UDP ports of its own, so it may live in another process. One event loop, no threads::

    async with Softphone("1000", "secret") as phone:
        await phone.register(("127.0.0.1", 5060))
        call = await phone.call("sip:front-desk@127.0.0.1:5060")
        await call.answered(10)
        await call.sound.press("1")
        call.hangup()
        ending = await call.ended(5)
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from telephony.sdp.attributes import Direction
from telephony.sdp.exchange import Exchange
from telephony.sdp.model import SdpError
from telephony.sdp.offer_answer import LocalMedia, Negotiated, NotAcceptable
from telephony.sip.addresses import Destination
from telephony.sip.agent import AgentConfig, UserAgent
from telephony.sip.auth import Credentials
from telephony.sip.events import (
    Answered,
    Ending,
    InviteReceived,
    OfferAnswered,
    OfferFailed,
    OfferReceived,
    Progress,
    ReferEnded,
    ReferReceived,
    Registered,
    RegistrationFailed,
    RequestAnswered,
    SessionConfirmed,
    SessionEnded,
    SessionRefreshed,
    SipEvent,
    Unregistered,
)
from telephony.sip.message import Request, Response
from telephony.sip.timers import Timers
from telephony.sip.uri import Uri
from telephony.sipnet.driver import SipDriver
from telephony.testing.rtp_endpoint import RtpEndpoint, Towards

MAX_CALLS = 2000


class PhoneCall:
    """One call of the phone, in either direction."""

    def __init__(self, phone: Softphone, session: str, invite: InviteReceived | None) -> None:
        self._phone = phone
        self._invite = invite
        self._exchange: Exchange | None = None
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self.session = session
        self.sound = RtpEndpoint(phone.rng)
        self.progress: list[Progress] = []
        self.answer_message: Response | None = None
        self.ending: Ending | None = None
        self.final: Request | Response | None = None
        self.answered_at = 0.0
        self.ended_at = 0.0
        self.confirmed = False
        self.refreshes = 0
        self.offers: list[OfferReceived] = []
        self.offer_failures: list[OfferFailed] = []
        self.agreed: Negotiated | None = None
        self.refers: list[ReferReceived] = []
        self.refer_endings: list[ReferEnded] = []
        self.requests: list[RequestAnswered] = []

    # -- waiting ----------------------------------------------------------------------------------

    async def until(self, true: Callable[[], bool], seconds: float) -> None:
        """Wait until something is so. TimeoutError when it is not in time."""
        if true():
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((true, future))
        async with asyncio.timeout(seconds):
            await future

    async def ringing(self, seconds: float = 5.0) -> Progress:
        """The first provisional response."""
        await self.until(lambda: bool(self.progress) or self.ending is not None, seconds)
        if not self.progress:
            raise AssertionError(f"ended before it rang: {self.ending}")
        return self.progress[0]

    async def answered(self, seconds: float = 5.0) -> None:
        """Until the call is up; AssertionError when it ends instead."""
        await self.until(lambda: bool(self.answered_at) or self.ending is not None, seconds)
        if not self.answered_at:
            raise AssertionError(f"ended before it was answered: {self.ending}")

    async def ended(self, seconds: float = 5.0) -> Ending:
        """How the call ended."""
        await self.until(lambda: self.ending is not None, seconds)
        assert self.ending is not None
        return self.ending

    def changed(self) -> None:
        """Look whom the news sets free."""
        for true, future in list(self._waiters):
            if future.done():
                self._waiters.remove((true, future))
            elif true():
                self._waiters.remove((true, future))
                future.set_result(None)

    # -- what a caller or callee does -------------------------------------------------------------

    @property
    def request(self) -> Request:
        """The INVITE that came in."""
        assert self._invite is not None
        return self._invite.request

    def ring(self, status: int = 180) -> None:
        """180, or another provisional response without sound."""
        self._phone.order(self._phone.agent.provisional, self.session, status)

    async def early_media(self, status: int = 183) -> None:
        """183 with SDP: sound before the answer."""
        body = await self._answer_body()
        self._phone.order(self._phone.agent.provisional, self.session, status, body=body)

    async def answer(self, headers: Sequence[tuple[str, str]] = ()) -> None:
        """200 with SDP."""
        body = await self._answer_body()
        self._phone.order(self._phone.agent.answer, self.session, body, headers=headers)
        self.answered_at = time.monotonic()

    def reject(self, status: int = 486, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Refuse: 486 busy, 603 decline, whatever."""
        self._phone.order(self._phone.agent.reject, self.session, status, headers=headers)

    def hangup(self) -> None:
        """BYE, or CANCEL while it rings."""
        self._phone.order(self._phone.agent.bye, self.session)

    def cancel(self) -> None:
        """CANCEL."""
        self._phone.order(self._phone.agent.cancel, self.session)

    async def hold(self, *, on: bool = True, method: str = "INVITE") -> None:
        """Hold or un-hold by re-INVITE (or UPDATE), until it is answered."""
        assert self._exchange is not None
        exchange = self._exchange
        await self._reoffer(exchange.hold(on=on), method)

    async def reoffer(self, local: LocalMedia | None = None) -> None:
        """A re-INVITE, with another description of our side where one is given."""
        assert self._exchange is not None
        if local is not None:
            self._exchange.local = local
        await self._reoffer(self._exchange.offer(), "INVITE")

    async def _reoffer(self, body: bytes, method: str) -> None:
        agent = self._phone.agent
        before = len(self.offer_failures)
        agreed = self.agreed
        order = agent.reinvite if method == "INVITE" else agent.update
        token = self._phone.driver.order(order, self.session, body, now=self._phone.now)
        assert token, "no offer could be made now"
        await self.until(
            lambda: self.agreed is not agreed or len(self.offer_failures) > before, 10.0
        )

    @property
    def local(self) -> LocalMedia:
        """Our side of the description that stands."""
        assert self._exchange is not None
        return self._exchange.local

    def info(self, digit: str, duration_ms: int = 160) -> None:
        """A key as INFO."""
        body = f"Signal={digit}\r\nDuration={duration_ms}\r\n".encode()
        agent = self._phone.agent
        self._phone.order(agent.info, self.session, "application/dtmf-relay", body)

    def refer(self, to: str) -> str:
        """Ask the far end to call somebody else."""
        agent = self._phone.agent
        return self._phone.driver.order(agent.refer, self.session, to, now=self._phone.now)

    def take_refer(self, *statuses: int) -> None:
        """Accept the last REFER and tell how it goes."""
        token, agent = self.refers[-1].token, self._phone.agent
        self._phone.order(agent.accept_refer, self.session, token)
        for status in statuses:
            self._phone.order(agent.notify_refer, self.session, token, status)

    def refuse_refer(self, status: int = 603) -> None:
        """Refuse the last REFER."""
        token, agent = self.refers[-1].token, self._phone.agent
        self._phone.order(agent.reject_refer, self.session, token, status)

    # -- what happens -----------------------------------------------------------------------------

    def on_event(self, event: SipEvent) -> None:
        """An event of this session."""
        match event:
            case Progress():
                self.progress.append(event)
                if event.body:
                    self._accept(event.body)
            case Answered():
                self.answer_message = event.response
                self._on_answer(event)
            case SessionConfirmed():
                self.confirmed = True
                if event.body:
                    self._accept(event.body)
            case SessionRefreshed():
                self.refreshes += 1
            case OfferReceived():
                self._on_offer(event)
            case OfferAnswered():
                if event.body:
                    self._accept(event.body)
            case OfferFailed():
                self.offer_failures.append(event)
                if self._exchange is not None:
                    self._exchange.withdraw()
            case ReferReceived():
                self.refers.append(event)
            case ReferEnded():
                self.refer_endings.append(event)
            case RequestAnswered():
                self.requests.append(event)
            case SessionEnded():
                self.ending, self.final = event.ending, event.message
                self.ended_at = time.monotonic()
                self._phone.closing(self)
            case _:
                return
        self.changed()

    def _on_answer(self, event: Answered) -> None:
        self.answered_at = time.monotonic()
        if event.needs_answer:
            try:
                body = self._answer(event.body)
            except (SdpError, NotAcceptable):
                self.hangup()
                return
            self._phone.order(self._phone.agent.acknowledge, self.session, body)
        elif event.body:
            self._accept(event.body)

    def _on_offer(self, event: OfferReceived) -> None:
        self.offers.append(event)
        agent = self._phone.agent
        assert self._exchange is not None
        try:
            body = self._answer(event.body) if event.body else self._exchange.offer()
        except (SdpError, NotAcceptable):
            self._phone.order(agent.reject_offer, self.session, 488)
            return
        self._phone.order(agent.accept_offer, self.session, body)

    async def open_sound(self) -> Exchange:
        """Take ports for the call's sound."""
        if self._exchange is None:
            await self.sound.open(self._phone.host)
            local = LocalMedia(
                host=self._phone.host,
                port=self.sound.port,
                session_id=self._phone.rng.getrandbits(40),
                codecs=self._phone.codecs,
                dtmf=self._phone.dtmf,
            )
            self._exchange = Exchange(local)
        return self._exchange

    async def _answer_body(self) -> bytes:
        exchange = await self.open_sound()
        assert self._invite is not None
        if self._invite.offer is None:
            return exchange.offer()
        return self._answer(self._invite.offer)

    def _answer(self, offer: bytes) -> bytes:
        assert self._exchange is not None
        answer = self._exchange.answer(offer)
        self._listen(answer.negotiated)
        return answer.body

    def _accept(self, body: bytes) -> None:
        assert self._exchange is not None
        try:
            self._listen(self._exchange.accept(body))
        except (SdpError, NotAcceptable):
            self.hangup()

    def _listen(self, agreed: Negotiated) -> None:
        self.agreed = agreed
        sends = agreed.direction in (Direction.SENDRECV, Direction.SENDONLY)
        self.sound.start(
            Towards(
                agreed.remote_host,
                agreed.remote_port,
                agreed.codec,
                agreed.payload_type,
                agreed.dtmf_payload_type,
                sends,
            )
        )


class Softphone:
    """A phone. ``address`` is where it is reached, ``incoming`` the calls that came."""

    def __init__(
        self,
        user: str = "caller",
        password: str = "",
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        name: str = "",
        transport: str = "UDP",
        codecs: tuple[str, ...] = ("PCMU", "PCMA"),
        dtmf: bool = True,
        user_agent: str = "telephony softphone",
        session_expires: int = 0,
        min_se: int = 90,
        timers: Timers | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.user, self.password, self.name = user, password, name
        self.host, self.port = host, port
        self.transport = transport
        self.codecs, self.dtmf = codecs, dtmf
        self.rng = rng or random.Random()
        self.on_call: Callable[[PhoneCall], None] = lambda call: None
        self._settings = (user_agent, session_expires, min_se, timers or Timers())
        self._calls: dict[str, PhoneCall] = {}
        self._arrived: asyncio.Queue[PhoneCall] = asyncio.Queue(MAX_CALLS)
        self._registration = ""
        self._registered: asyncio.Future[int] | None = None
        self._left: asyncio.Future[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self.agent: UserAgent
        self.driver: SipDriver

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Open the sockets."""
        user_agent, session_expires, min_se, timers = self._settings
        port = self.port or await _free_port(self.host)
        config = AgentConfig(
            host=self.host,
            port=port,
            user_agent=user_agent,
            session_expires=session_expires,
            min_se=min_se,
            timers=timers,
        )
        self.agent = UserAgent(config, self.rng)
        self.driver = SipDriver(self.agent, self._on_event, clock=time.monotonic)
        await self.driver.listen(self.host, port)
        self.port = port

    async def stop(self) -> None:
        """Hang everything up and close the sockets."""
        for call in list(self._calls.values()):
            if call.ending is None:
                call.hangup()
        if self.agent.sessions():
            await asyncio.sleep(0.05)
        await self.driver.close()
        for call in list(self._calls.values()):
            await call.sound.close()
        await asyncio.gather(*self._closing, return_exceptions=True)

    @property
    def now(self) -> float:
        """The agent's clock."""
        return time.monotonic()

    @property
    def uri(self) -> str:
        """Where the phone itself is called."""
        return str(Uri("sip", self.user, host=self.host, port=self.port))

    def order(self, method: Callable[..., object], *args: object, **kwargs: object) -> None:
        """Give the agent an order now."""
        self.driver.order(method, *args, now=self.now, **kwargs)

    # -- registering ------------------------------------------------------------------------------

    async def register(
        self, server: tuple[str, int], *, expires: int = 300, seconds: float = 5.0
    ) -> int:
        """Register; the final status (200, or why not)."""
        self._registered = asyncio.get_running_loop().create_future()
        host = Uri("sip", host=server[0], port=server[1]).hostport
        self._registration = self.driver.order(
            self.agent.register,
            registrar=f"sip:{host}",
            aor=f"sip:{self.user}@{host}",
            destinations=[Destination(server, self.transport)],
            credentials=self._credentials(),
            contact_user=self.user,
            expires=expires,
            registration=self._registration,
            now=self.now,
        )
        async with asyncio.timeout(seconds):
            return await self._registered

    async def unregister(self, seconds: float = 5.0) -> None:
        """Remove the binding."""
        self._left = asyncio.get_running_loop().create_future()
        self.driver.order(self.agent.unregister, self._registration, now=self.now)
        self._registration = ""
        async with asyncio.timeout(seconds):
            await self._left

    def _credentials(self) -> tuple[Credentials, ...]:
        return (Credentials(self.user, self.password),) if self.password else ()

    # -- calling ----------------------------------------------------------------------------------

    async def call(
        self,
        uri: str,
        *,
        headers: Sequence[tuple[str, str]] = (),
        destination: tuple[str, int] | None = None,
        offer: bool = True,
        body: bytes | None = None,
        from_: str = "",
    ) -> PhoneCall:
        """Send an INVITE to ``uri`` (whose host is numeric, or ``destination`` says where)."""
        target = Uri.parse(uri)
        where = destination or (target.host, target.port or 5060)
        call = PhoneCall(self, f"{self.rng.getrandbits(128):032x}", None)
        exchange = await call.open_sound()
        self._calls[call.session] = call
        said = body if body is not None else exchange.offer() if offer else b""
        self.driver.order(
            self.agent.invite,
            target=uri,
            destinations=[Destination(where, self.transport)],
            from_=from_ or f'"{self.name}" <sip:{self.user}@{self._hostport}>',
            body=said,
            headers=headers,
            credentials=self._credentials(),
            contact_user=self.user,
            session=call.session,
            now=self.now,
        )
        return call

    async def incoming(self, seconds: float = 5.0) -> PhoneCall:
        """The next call that comes in."""
        async with asyncio.timeout(seconds):
            return await self._arrived.get()

    def closing(self, call: PhoneCall) -> None:
        """A call has ended: its sound is closed."""
        self._calls.pop(call.session, None)
        task = asyncio.ensure_future(call.sound.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    @property
    def _hostport(self) -> str:
        return Uri("sip", host=self.host, port=self.port).hostport

    # -- what happens -----------------------------------------------------------------------------

    def _on_event(self, event: SipEvent) -> None:
        match event:
            case InviteReceived():
                call = PhoneCall(self, event.session, event)
                self._calls[event.session] = call
                if not self._arrived.full():
                    self._arrived.put_nowait(call)
                self.on_call(call)
            case Registered():
                self._settle(200)
            case RegistrationFailed():
                self._settle(event.status)
            case Unregistered():
                if self._left is not None and not self._left.done():
                    self._left.set_result(None)
            case _:
                found = self._calls.get(getattr(event, "session", ""))
                if found is not None:
                    found.on_event(event)

    def _settle(self, status: int) -> None:
        if self._registered is not None and not self._registered.done():
            self._registered.set_result(status)


async def _free_port(host: str) -> int:
    """A port that is free for UDP and TCP a moment ago."""
    probe = SipDriver(
        UserAgent(AgentConfig(host=host), random.Random()), lambda event: None, clock=time.monotonic
    )
    bound = await probe.listen(host, 0)
    await probe.close()
    return bound[1]
