"""One leg over SIP: the signalling of a call with one party, and its sound.

Whatever the network does, ``LegEnded`` comes once: an order to end is final at once, and what
SIP still has to say about it (the 487 after CANCEL, the 200 to BYE) is the agent's affair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import structlog

from telephony.base.errors import MediaFailed
from telephony.base.ids import call_of
from telephony.calls.events import (
    DigitPressed,
    DigitsSent,
    Event,
    LegAnswered,
    LegEarlyMedia,
    LegEnded,
    LegHeld,
    LegRinging,
    LegUnheld,
    MediaQuality,
    ToneHeard,
)
from telephony.calls.outcome import Cause, Outcome, Status
from telephony.calls.ports import DialRequest, Emit, Media, ReferResult
from telephony.calls.state import Direction, LegState
from telephony.carriers.statuses import outcome_of_status
from telephony.carriers.trunk import causes
from telephony.carriers.trunk.dialing import Dialling, Invitation
from telephony.carriers.trunk.line import Line, Timer
from telephony.carriers.trunk.saying import Place, credentials_of, invitation, refer_target
from telephony.carriers.trunk.targets import Target
from telephony.carriers.trunk.voice import Owner, Voice
from telephony.carriers.words import clean, outbound_headers
from telephony.sdp.model import SdpError
from telephony.sdp.offer_answer import NotAcceptable
from telephony.sip.agent import UserAgent
from telephony.sip.events import (
    Answered,
    DigitReceived,
    InviteReceived,
    OfferAnswered,
    OfferFailed,
    OfferReceived,
    Progress,
    ReferEnded,
    ReferProgress,
    ReferReceived,
    SessionConfirmed,
    SessionEnded,
    SipEvent,
)

log = structlog.get_logger("telephony.trunk")

TONES = frozenset({"busy", "reorder", "sit", "fax_call", "fax_answer"})
"""What is worth a fact; SIP itself tells of ringing."""


def _nobody_listens(event: Event) -> None:
    """A leg that was refused before any call took it has nobody to tell."""


class TrunkLeg:
    """See :class:`telephony.calls.ports.OfferedLeg`; one class for both directions."""

    def __init__(
        self,
        line: Line,
        place: Place,
        *,
        invite: InviteReceived | None = None,
        request: DialRequest | None = None,
        emit: Emit = _nobody_listens,
        ended: Callable[[TrunkLeg], None] = lambda leg: None,
    ) -> None:
        """``invite`` for a call coming in, ``request`` for one going out. ``ended``: once."""
        self._line = line
        self._place = place
        self._invite = invite
        self._request = request
        self._emit = emit
        self._ended = ended
        self._state = LegState.NEW
        self._held = False
        self._picked_up = False
        self._ending = False
        self._rung = False
        self._refer: tuple[str, Callable[[ReferResult], None]] | None = None
        self._refer_taken = False
        self._ringing: Timer | None = None
        self._dialling: Dialling | None = None
        self._session = ""
        self._agent: UserAgent | None = None
        self._peer = ""
        self.id = "" if request is None else request.leg
        self.direction = Direction.INBOUND if request is None else Direction.OUTBOUND
        self._voice: Voice | None = None
        if invite is not None:
            self._peer = invite.source.address[0]
            self._session = invite.session
            self._agent = line.agent(self._peer)
            self._voice = self._open_voice(self._peer)

    # -- what a call is given ---------------------------------------------------------------------

    @property
    def place(self) -> Place:
        """Over what it runs."""
        return self._place

    @property
    def peer(self) -> str:
        """The numeric host at the other end of the signalling; "" while it is not known."""
        return self._peer

    @property
    def inbound(self) -> bool:
        """Whether they called us."""
        return self._invite is not None

    @property
    def state(self) -> LegState:
        """Where it stands."""
        return self._state

    @property
    def media(self) -> Media:
        """The lane; before early media or an answer, silence that takes every order."""
        return self._voice.media if self._voice is not None else self._line.silence

    def name(self, leg: str, emit: Emit) -> None:
        """The call that takes the leg gives it its name."""
        self.id, self._emit = leg, emit

    # -- orders -----------------------------------------------------------------------------------

    def ring(self) -> None:
        """180."""
        if self._invite is None or self._state is not LegState.NEW or self._agent is None:
            return
        if self._order(self._agent.provisional, self._session, 180):
            self._state = LegState.RINGING
            self._tell(LegRinging(at=self._line.clock.now(), leg=self.id))

    def answer(self) -> None:
        """200 with our SDP: the answer to their offer, or an offer where they made none."""
        invite, voice, agent = self._invite, self._voice, self._agent
        if invite is None or voice is None or agent is None or self._picked_up:
            return
        if self._state not in (LegState.NEW, LegState.RINGING, LegState.EARLY):
            return
        try:
            body = voice.offer() if invite.offer is None else voice.answer(invite.offer)
        except (SdpError, NotAcceptable):
            self.end(Outcome.failed(Cause.MEDIA_INCOMPATIBLE, sip_status=488))
            return
        except MediaFailed:
            self.end(Outcome.failed(Cause.CAPACITY, sip_status=503, retry_after=5))
            return
        # Who proved a password keeps the dialog to his own address (threat 4).
        guard = frozenset({self._peer}) if self._place.proven else None
        credentials = credentials_of(self._place.trunk)
        order = self._line.driver.order
        self._picked_up = True
        if not order(
            agent.answer,
            self._session,
            body,
            guard=guard,
            credentials=credentials,
            now=self._line.now,
        ):
            return
        if invite.offer is not None:
            self._answered()
        # With a delayed offer the codec is known, and sound can flow, from the ACK on.

    def end(self, outcome: Outcome) -> None:
        """Refuse, cancel or hang up; ``LegEnded`` with this outcome follows."""
        if self._state is LegState.ENDED or self._ending:
            return
        # What the agent reports from here on is the echo of our own order.
        self._ending = True
        reason = causes.hangup_reason(outcome)
        order, now = self._line.driver.order, self._line.now
        if self._dialling is not None and not self._agent:
            self._dialling.give_up(reason)
            if outcome.sip_status is None and outcome.cause is Cause.CANCELED:
                outcome = replace(outcome, sip_status=487)
        elif self._agent is not None and (self._picked_up or self._request is not None):
            order(self._agent.bye, self._session, reason=reason, now=now)
        elif self._agent is not None:
            outcome = self._refuse(self._agent, outcome)
        self._finish(outcome)

    def _refuse(self, agent: UserAgent, outcome: Outcome) -> Outcome:
        status = causes.refusal(outcome)
        headers = []
        if outcome.retry_after is not None:
            headers.append(("Retry-After", str(outcome.retry_after)))
        # A stranger's address may be made up: nobody is hit by our retransmissions.
        self._line.driver.order(
            agent.reject,
            self._session,
            status,
            headers=headers,
            stateless=self._place.stranger and not self.id,
            now=self._line.now,
        )
        if not self.id:
            self._line.refused(self._peer, status, f"refused: {outcome.cause or 'no cause'}")
        return replace(outcome, sip_status=status)

    def refer(self, to: str, headers: dict[str, str], done: Callable[[ReferResult], None]) -> None:
        """REFER in the dialog; ``done`` once (RFC 3515)."""
        if self._state is not LegState.ANSWERED or self._refer is not None or self._agent is None:
            done(ReferResult(completed=False, supported=False))
            return
        try:
            token = self._line.driver.order(
                self._agent.refer,
                self._session,
                refer_target(self._line, self._place, self._peer, to),
                referred_by=f"<sip:{self._line.hostport(self._peer)}>",
                headers=outbound_headers(headers),
                now=self._line.now,
            )
        except ValueError:
            # The target cannot stand in a header; dialling it will say so in its own words.
            token = ""
        if not token:
            done(ReferResult(completed=False, supported=False))
            return
        self._refer, self._refer_taken = (token, done), False

    # -- going out --------------------------------------------------------------------------------

    def dial(self, dialling: Dialling, ring_seconds: float) -> None:
        """The INVITEs are on their way."""
        self._dialling = dialling
        self._ringing = self._line.later(ring_seconds, self._rang_out)

    def _rang_out(self) -> None:
        self._ringing = None
        if not self._picked_up:
            self.end(Outcome.no_answer())

    def invitation(self, target: Target) -> Invitation:
        """See :class:`telephony.carriers.trunk.dialing.Dialler`."""
        assert self._request is not None
        peer = target.destination.address[0]
        if self._voice is None:
            self._voice = self._open_voice(peer)
        return invitation(self._line, self._place, self._request, target, self._voice.first_offer())

    def progressed(self, event: Progress) -> None:
        """A provisional response: ringing, or sound before the answer."""
        if self._state is LegState.ENDED:
            return
        now = self._line.clock.now()
        if event.status == 180 and not self._rung:
            self._rung = True
            if self._state is LegState.NEW:
                self._state = LegState.RINGING
            self._tell(LegRinging(at=now, leg=self.id, sip_status=180))
        if event.body and self._state is not LegState.EARLY and self._voice is not None:
            try:
                self._voice.accept(event.body)
            except (SdpError, NotAcceptable):
                # The answer that counts is that of the 200; until then there is no sound.
                log.info("trunk.early_media_unusable", leg=self.id)
                return
            self._state = LegState.EARLY
            self._tell(LegEarlyMedia(at=now, leg=self.id, sip_status=event.status))

    def picked_up(self, event: Answered, agent: UserAgent) -> None:
        """The 200 to one of our INVITEs; the others are being cancelled."""
        if self._ringing is not None:
            self._ringing.cancel()
        self._picked_up = True
        self._session, self._agent = event.session, agent
        voice = self._voice
        assert voice is not None
        try:
            # RFC 3261 §13.2.1: the answer may have come in a reliable 183 and not be repeated.
            if event.body or not voice.agreed:
                voice.accept(event.body)
        except (SdpError, NotAcceptable) as fault:
            log.info("trunk.answer_unusable", leg=self.id, reason=clean(str(fault)))
            self.end(Outcome.failed(Cause.MEDIA_INCOMPATIBLE, sip_status=488))
            return
        self._answered()

    def nobody(self, outcome: Outcome) -> None:
        """Every INVITE came to its end."""
        self._finish(outcome)

    # -- what happens -----------------------------------------------------------------------------

    def on_heard(self, session: str) -> None:
        """See :class:`telephony.carriers.trunk.line.SessionOwner`."""
        if self._dialling is not None:
            self._dialling.on_heard(session)

    def on_sip(self, event: SipEvent) -> None:
        """An event of a session of this leg."""
        session = getattr(event, "session", "")
        if self._dialling is not None and session != self._session:
            self._dialling.on_sip(event)
            return
        if self._state is LegState.ENDED or self._ending:
            return
        match event:
            case SessionEnded():
                self._session_ended(event)
            case SessionConfirmed():
                self._confirmed(event)
            case OfferReceived():
                self._offered(event)
            case OfferAnswered():
                self._offer_answered(event.body)
            case OfferFailed():
                if self._voice is not None:
                    self._voice.withdraw()
            case DigitReceived():
                self._digit(event.digit, event.duration_ms, "info")
            case ReferReceived():
                self._refuse_refer(event)
            case ReferProgress() if event.status in (200, 202):
                self._refer_taken = True
            case ReferEnded() if self._refer is not None and event.token == self._refer[0]:
                self._refer_over(event.status)
            case _:
                return

    def _session_ended(self, event: SessionEnded) -> None:
        ending = event.ending
        outcome = causes.outcome_of(ending, inbound=self._request is None)
        if outcome.status is Status.ENDED and self._state is not LegState.ANSWERED:
            # Our 200 was never acknowledged, and nobody was told of an answer.
            outcome = Outcome.failed(Cause.NETWORK, outcome.sip_status)
        self._finish(outcome)

    def _confirmed(self, event: SessionConfirmed) -> None:
        """The ACK; with a delayed offer it brings their answer (RFC 3261 §13.2.2.4)."""
        if self._invite is None or self._invite.offer is not None or self._voice is None:
            return
        if self._state is LegState.ANSWERED:
            return
        try:
            self._voice.accept(event.body)
        except (SdpError, NotAcceptable):
            self.end(Outcome.failed(Cause.MEDIA_INCOMPATIBLE, sip_status=488))
            return
        self._answered()

    def _offered(self, event: OfferReceived) -> None:
        """A re-INVITE or UPDATE: hold, another address, another codec (RFC 3261 §14.2)."""
        agent, voice = self._agent, self._voice
        if agent is None or voice is None:
            return
        order, now = self._line.driver.order, self._line.now
        if not event.body:
            order(agent.accept_offer, event.session, voice.offer(), now=now)
            return
        try:
            body = voice.answer(event.body)
        except (SdpError, NotAcceptable) as fault:
            self._line.refused(self._peer, 488, f"offer: {clean(str(fault))}")
            order(agent.reject_offer, event.session, 488, now=now)
            return
        order(agent.accept_offer, event.session, body, now=now)
        self._tell_hold()

    def _offer_answered(self, body: bytes) -> None:
        if self._voice is None or not body:
            return
        try:
            self._voice.accept(body)
        except (SdpError, NotAcceptable) as fault:
            # What stood, stands (RFC 3261 §14.1).
            log.info("trunk.answer_unusable", leg=self.id, reason=clean(str(fault)))
            return
        self._tell_hold()

    def _tell_hold(self) -> None:
        held = self._voice is not None and self._voice.held
        if held is self._held or self._state is not LegState.ANSWERED:
            return
        self._held = held
        now = self._line.clock.now()
        self._tell(LegHeld(at=now, leg=self.id) if held else LegUnheld(at=now, leg=self.id))

    def _digit(self, digit: str, duration_ms: int, method: str) -> None:
        if self._state is LegState.ENDED or digit not in "0123456789*#ABCD":
            return
        now = self._line.clock.now()
        self._tell(
            DigitPressed(at=now, leg=self.id, digit=digit, duration_ms=duration_ms, method=method)
        )

    def _key_heard(self, digit: str, duration_ms: int) -> None:
        events = self._voice is not None and self._voice.keys_as_events
        self._digit(digit, duration_ms, "rfc4733" if events else "inband")

    def _tone_heard(self, kind: str) -> None:
        if self._state is not LegState.ENDED and kind in TONES:
            self._tell(ToneHeard(at=self._line.clock.now(), leg=self.id, tone=kind))

    def _refuse_refer(self, event: ReferReceived) -> None:
        """Nobody transfers himself at our cost: a dialplan decides where a call goes."""
        agent = self._agent
        if agent is None:
            return
        self._line.refused(self._peer, 603, "REFER by the far end")
        self._line.driver.order(
            agent.reject_refer, event.session, event.token, 603, now=self._line.now
        )

    def _refer_over(self, status: int) -> None:
        assert self._refer is not None
        _, done = self._refer
        self._refer = None
        completed = 200 <= status < 300
        # A REFER that was not taken (405, 501, 603 …) is no word about the target: dial and
        # bridge. What comes after 202 is.
        cause = outcome_of_status(status).cause if status >= 300 else None
        done(ReferResult(completed, completed or self._refer_taken, status, cause))

    # -- inside -----------------------------------------------------------------------------------

    def _answered(self) -> None:
        self._state = LegState.ANSWERED
        codec = self._voice.codec if self._voice is not None else ""
        now = self._line.clock.now()
        self._tell(LegAnswered(at=now, leg=self.id, codec=codec))
        self._tell_hold()
        if self._request is not None and self._request.digits:
            self.media.send_digits(self._request.digits)
            self._tell(DigitsSent(at=now, leg=self.id, digits=self._request.digits))

    def _finish(self, outcome: Outcome) -> None:
        """The one way out. Sound first, so that the count is whole; then the fact.

        With the engine in this process both are over when this returns.
        """
        if self._state is LegState.ENDED:
            return
        self._state = LegState.ENDED
        if self._ringing is not None:
            self._ringing.cancel()
        if self._refer is not None:
            self._refer_over(487)
        at = self._line.clock.now()

        def counted(quality: MediaQuality | None) -> None:
            if quality is not None:
                self._line.tally.add(quality)
            self._ended(self)
            self._tell(LegEnded(at=at, leg=self.id, outcome=outcome, quality=quality))

        if self._voice is None:
            counted(None)
        else:
            self._voice.close(counted)

    def _media_timeout(self) -> None:
        self.end(Outcome.media_timeout())

    def _media_lost(self) -> None:
        """The process of the leg's sound died: to the caller it is as if all of us had."""
        self.end(Outcome.interrupted(was_active=self._state is LegState.ANSWERED))

    def _open_voice(self, peer: str) -> Voice:
        return self._line.voice(
            peer,
            self._place.stranger,
            Owner(
                digit=self._key_heard,
                timeout=self._media_timeout,
                tone=self._tone_heard,
                lost=self._media_lost,
                call=lambda: call_of(self.id),
            ),
        )

    def _order(self, method: Callable[..., bool], *args: object) -> bool:
        return self._line.driver.order(method, *args, now=self._line.now)

    def _tell(self, event: Event) -> None:
        self._emit(event)
