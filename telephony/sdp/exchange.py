"""The offers and answers of one dialog: what stands, what is asked, which version comes next."""

from __future__ import annotations

from dataclasses import replace

from telephony.sdp.address import AddressPolicy
from telephony.sdp.attributes import Direction
from telephony.sdp.model import SdpError, SessionDescription
from telephony.sdp.offer_answer import (
    Answer,
    LocalMedia,
    Negotiated,
    accept_to,
    answer_to,
    hold_direction,
    offer,
    refusal,
)


class Exchange:
    """One dialog's negotiation. Bodies in, bodies out; nothing is sent here.

    ``current`` is what stands. A failed re-offer, theirs or ours, leaves it as it was
    (RFC 3261 §14.1), and so does an answer or offer that raises.
    """

    def __init__(self, local: LocalMedia, policy: AddressPolicy | None = None) -> None:
        self.local = local
        self.policy = policy or AddressPolicy()
        self.current: Negotiated | None = None
        self._sent: bytes | None = None
        self._sections: tuple[str, ...] = ()
        self._index = 0
        self._pending: LocalMedia | None = None

    @property
    def offering(self) -> bool:
        """Whether an offer of ours waits for its answer; an incoming one is then glare (491)."""
        return self._pending is not None

    def offer(self, direction: Direction | None = None) -> bytes:
        """Our offer, the first or a further one; it counts once it is accepted."""
        codecs = self.local.codecs
        if self.current is not None:
            # A call that is put on hold is not to change its sound by it.
            stands = self.current.codec
            codecs = (stands, *(codec for codec in codecs if codec != stands))
        wished = replace(self.local, codecs=codecs, direction=direction or self.local.direction)
        rejected = tuple(s for i, s in enumerate(self._sections) if i != self._index)
        body = offer(wished, rejected, self._index)
        if self._sent is not None and body != self._sent:
            wished = replace(wished, version=wished.version + 1)
            body = offer(wished, rejected, self._index)
            self.local = replace(self.local, version=wished.version)
        self._pending, self._sent = wished, body
        return body

    def hold(self, *, on: bool) -> bytes:
        """An offer that puts the far end on hold, or takes it off."""
        held = self.current is not None and self.current.held
        return self.offer(hold_direction(on=on, held_by_remote=held))

    def accept(self, body: bytes) -> Negotiated:
        """The far end's answer to our offer.

        A body for which no offer waits (the same answer again, in 200 after 183) is read against
        what was offered last.

        Raises:
            SdpError: no session description. NotAcceptable: nothing usable; our offer is void.
        """
        offered, self._pending = self._pending or self.local, None
        session = SessionDescription.parse(body)
        self.current = accept_to(session, offered, self.policy, self._index)
        self.local = offered
        self._sections = tuple(refusal(m) for m in session.media)
        return self.current

    def withdraw(self) -> None:
        """Our offer was refused or cancelled (491, 488, time-out): what stood, stands."""
        self._pending = None

    def answer(self, body: bytes) -> Answer:
        """Answer the far end's offer with our present wish.

        Raises:
            SdpError: no session description. NotAcceptable: 488, and what stood, stands.
        """
        session = SessionDescription.parse(body)
        if len(session.media) < len(self._sections):
            raise SdpError("a new offer has fewer sections than the one before (RFC 3264 §8)")
        local = self.local
        agreed = answer_to(session, local, self.policy)
        if self._sent is not None and agreed.body != self._sent:
            local = replace(local, version=local.version + 1)
            agreed = answer_to(session, local, self.policy)
        self.local, self.current, self._sent = local, agreed.negotiated, agreed.body
        self._sections = tuple(refusal(m) for m in session.media)
        self._index = agreed.index
        return agreed
