"""The sound of one leg: its SDP, and the lane of the media engine that carries what was agreed."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass

from telephony.base.errors import Busy, MediaFailed
from telephony.calls.events import MediaQuality
from telephony.calls.ports import Media
from telephony.carriers.silence import NO_SOUND
from telephony.media.contract import MediaEngine, MediaLane
from telephony.sdp.address import AddressPolicy, classify
from telephony.sdp.exchange import Exchange
from telephony.sdp.model import SdpError
from telephony.sdp.offer_answer import LocalMedia, Negotiated, NotAcceptable, answer

Digit = Callable[[str, int], None]
"""A key and its duration in ms."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The leg a voice belongs to, as far as the voice knows it."""

    digit: Digit
    """A key was heard."""
    timeout: Callable[[], None]
    """Nothing was heard, for too long."""
    tone: Callable[[str], None]
    """A tone of the network or of a machine was heard."""
    lost: Callable[[], None]
    """The engine died under the voice."""
    call: Callable[[], str]
    """The call's id: legs of one call are placed together."""


@dataclass(frozen=True, slots=True)
class Objection:
    """Why an offer cannot be taken. ``warning`` as in RFC 3261 §20.43."""

    status: int
    warning: int
    words: str


def unusable(
    offer: bytes | None, host: str, policy: AddressPolicy, codecs: tuple[str, ...]
) -> Objection | None:
    """Why nothing can be made of an offer, or None; no lane is taken for it."""
    if offer is None:
        return None
    try:
        answer(offer, LocalMedia(host=host, port=9, session_id=0, codecs=codecs), policy)
    except NotAcceptable as fault:
        return Objection(488, fault.warning, fault.message)
    except SdpError as fault:
        return Objection(400, 399, str(fault))
    return None


class Voice:
    """Built with the leg; a lane is taken with the first description that goes out."""

    def __init__(
        self,
        engine: MediaEngine,
        *,
        bind: str,
        advertised: str,
        peer: str,
        stranger: bool,
        session_id: int,
        codecs: tuple[str, ...],
        policy: AddressPolicy,
        owner: Owner,
    ) -> None:
        """``bind``: the address RTP is bound to; ``advertised``: the one our SDP names.

        ``peer``: the host that the signalling comes from; a ``stranger`` has not shown who he is.
        """
        self._engine = engine
        self._bind = bind
        self._advertised = advertised
        self._peer = peer
        self._stranger = stranger
        self._session_id = session_id
        self._codecs = codecs
        self._policy = policy
        self._owner: Owner | None = owner
        self._lane: MediaLane | None = None
        self._exchange: Exchange | None = None
        self._first_offer = b""
        self._closed = False
        self._connected: Negotiated | None = None

    @property
    def media(self) -> Media:
        """The lane, or silence where there is none."""
        return self._lane if self._lane is not None else NO_SOUND

    @property
    def agreed(self) -> bool:
        """Whether an offer and its answer stand."""
        return self._exchange is not None and self._exchange.current is not None

    @property
    def held(self) -> bool:
        """Whether the far end holds us."""
        exchange = self._exchange
        return exchange is not None and exchange.current is not None and exchange.current.held

    @property
    def keys_as_events(self) -> bool:
        """Whether telephone-event was agreed on; keys are looked for in the sound where not."""
        exchange = self._exchange
        if exchange is None or exchange.current is None:
            return False
        return exchange.current.dtmf_payload_type is not None

    @property
    def codec(self) -> str:
        """The codec agreed on, "" before."""
        if self._exchange is None or self._exchange.current is None:
            return ""
        return self._exchange.current.codec

    def first_offer(self) -> bytes:
        """The offer of our INVITEs: the same in every fork. Raises MediaFailed: no lane."""
        if not self._first_offer:
            self._first_offer = self._opened().offer()
        return self._first_offer

    def offer(self) -> bytes:
        """Our offer, in a 200 to an INVITE without one. Raises MediaFailed: no lane."""
        return self._opened().offer()

    def answer(self, offer: bytes) -> bytes:
        """Our answer; sound flows by it from now on.

        Raises:
            SdpError, NotAcceptable: nothing can be made of it; what stood, stands.
            MediaFailed: no lane.
        """
        exchange = self._opened()
        before = copy(exchange)
        found = exchange.answer(offer)
        self._connect(found.negotiated, before)
        return found.body

    def accept(self, answer: bytes) -> None:
        """Their answer to our offer. Raises SdpError, NotAcceptable."""
        exchange = self._opened()
        before = copy(exchange)
        self._connect(exchange.accept(answer), before)

    def withdraw(self) -> None:
        """Our offer was refused."""
        if self._exchange is not None:
            self._exchange.withdraw()

    def close(self, done: Callable[[MediaQuality | None], None]) -> None:
        """Give the lane back; ``done`` once with what it counted, None where there was none."""
        self._closed = True
        # Leg, voice and lane hold each other by these: without them they are gone with the call.
        self._owner = None
        lane = self._lane
        if lane is None:
            done(None)
            return
        lane.on_digit, lane.on_timeout, lane.on_lost = _unheeded, _nothing, _nothing
        lane.on_tone = _no_tone
        lane.end(done)

    def _opened(self) -> Exchange:
        if self._exchange is None:
            owner = self._owner
            if owner is None:
                raise MediaFailed("the leg has ended")
            try:
                lane = self._engine.open(self._bind, call=owner.call())
            except Busy as busy:
                raise MediaFailed(busy.message) from busy
            lane.on_digit, lane.on_timeout = owner.digit, owner.timeout
            lane.on_lost, lane.on_tone = owner.lost, owner.tone
            self._lane = lane
            local = LocalMedia(
                host=self._advertised,
                port=lane.local_address[1],
                session_id=self._session_id,
                codecs=self._codecs,
            )
            self._exchange = Exchange(local, self._policy)
        return self._exchange

    def _connect(self, agreed: Negotiated, before: Exchange) -> None:
        """Let sound flow as agreed, or go back to ``before``. Raises NotAcceptable."""
        # The same answer again (183, then 200) is no reason to listen for another source.
        if self._lane is None or self._closed or agreed == self._connected:
            return
        where = (agreed.remote_host, agreed.remote_port)
        rtcp = (agreed.remote_host, agreed.remote_rtcp_port)
        nowhere = agreed.remote_port == 0 or classify(agreed.remote_host).unspecified
        try:
            self._lane.start(
                remote=None if nowhere else where,
                rtcp=rtcp if agreed.remote_rtcp_port and not nowhere else None,
                payload_type=agreed.payload_type,
                codec=agreed.codec,
                dtmf_payload_type=agreed.dtmf_payload_type,
                ptime_ms=agreed.ptime,
                can_send=agreed.direction.sends,
                can_receive=agreed.direction.receives,
                trusted_ip=self._peer,
                patient=self._stranger,
                comfort_noise=agreed.comfort_noise,
            )
        except MediaFailed as fault:
            # An address that no socket of ours reaches, such as a public one from loopback.
            before.withdraw()
            self._exchange = before
            raise NotAcceptable(fault.message) from fault
        self._connected = agreed


def _unheeded(digit: str, duration_ms: int) -> None:
    """A key after the end."""


def _no_tone(kind: str) -> None:
    """A tone after the end."""


def _nothing() -> None:
    """Silence after the end."""
