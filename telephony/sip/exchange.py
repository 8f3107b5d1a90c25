"""One request of ours until its final response: its destinations and its challenges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from telephony.sip.addresses import Destination
from telephony.sip.auth import DigestClient, digest_flow
from telephony.sip.core import Core
from telephony.sip.headers import Headers
from telephony.sip.message import Request, Response
from telephony.sip.reasons import quiet
from telephony.sip.transactions.hosts import AnyClient
from telephony.sip.transactions.layer import Layer

Build = Callable[[Destination], Request]
"""Makes the request, without Via and credentials, with a new sequence number, for a transport."""


class Sink(Protocol):
    """Who asked."""

    def on_provisional(self, exchange: Exchange, response: Response, now: float) -> None:
        """100-199."""

    def on_final(self, exchange: Exchange, response: Response, now: float) -> None:
        """The final response; each 2xx to an INVITE, also repeated ones and those of forks."""

    def on_failed(self, exchange: Exchange, unreachable: bool, now: float) -> None:
        """No destination answered; ``unreachable`` when the transport failed on the last one."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """A sink made of functions."""

    final: Callable[[Exchange, Response, float], None]
    failed: Callable[[Exchange, bool, float], None]

    def on_provisional(self, exchange: Exchange, response: Response, now: float) -> None:
        """See :class:`Sink`; nobody asked for them."""

    def on_final(self, exchange: Exchange, response: Response, now: float) -> None:
        """See :class:`Sink`."""
        self.final(exchange, response, now)

    def on_failed(self, exchange: Exchange, unreachable: bool, now: float) -> None:
        """See :class:`Sink`."""
        self.failed(exchange, unreachable, now)


class Exchange:
    """A request on its way.

    The next destination is tried after a transport error, after a time-out without any response,
    and after 503 (RFC 3263 §4.3), with the same Call-ID and CSeq and a new branch. A challenge is
    answered on the same destination, with the next CSeq (RFC 3261 §22.2).
    """

    def __init__(
        self,
        core: Core,
        layer: Layer,
        build: Build,
        digest: DigestClient,
        sink: Sink,
        *,
        token: str = "",
    ) -> None:
        self.core = core
        self.layer = layer
        self.sink = sink
        self.token = token
        self.request: Request | None = None
        self.transaction: AnyClient | None = None
        self.destination: Destination | None = None
        self.provisional = False
        self.finished = False
        self.started_at = 0.0
        self._build = build
        self._digest = digest
        self._destinations: list[Destination] = []
        self._given_up = False

    @property
    def transaction_request(self) -> Request | None:
        """The request as it was sent last, credentials included."""
        return None if self.transaction is None else self.transaction.request

    def start(self, destinations: Sequence[Destination], now: float) -> None:
        """Send the request to the first destination."""
        if self.finished:
            return
        self.started_at = now
        self._destinations = list(destinations)
        if not self._destinations or self.layer.full():
            self._fail(True, now)
            return
        self._new_request(self._destinations.pop(0))
        self._send(now)

    def give_up(self) -> None:
        """Try no further destination and answer no challenge: a CANCEL is on its way."""
        self._given_up = True
        self._destinations.clear()

    def cancel(self, now: float, reason: str = "") -> None:
        """CANCEL an INVITE of ours (RFC 3261 §9.1): its branch, its Request-URI, its Route."""
        self.give_up()
        transaction = self.transaction
        if transaction is None or self.finished:
            return
        invite = transaction.request
        headers = Headers()
        headers.copy_from(invite.headers, "Max-Forwards", "Route", "From", "To", "Call-ID")
        headers.add("CSeq", f"{invite.cseq.number} CANCEL")
        if reason:
            headers.add("Reason", reason)
        request = Request("CANCEL", invite.uri, headers)
        self.core.identify(request)
        self.layer.request(request, transaction.destination, quiet, now, via=invite.top_via)

    def stop(self) -> None:
        """Forget it; whatever comes back finds nobody."""
        self.finished = True
        if self.transaction is not None and not self.transaction.done:
            self.transaction.abandon()

    def restart(self, now: float) -> None:
        """Send anew to the same destination with the next CSeq (after 422, 423)."""
        if self.destination is not None and not self._given_up:
            self.finished = False
            self._new_request(self.destination)
            self._send(now)

    def _new_request(self, destination: Destination) -> None:
        self.destination = destination
        request = self._build(destination)
        self._flow = digest_flow(self._digest, request.method, request.uri, request.body)
        self._rows = next(self._flow)
        self.request = request

    def _send(self, now: float) -> None:
        if self.request is None or self.destination is None:
            return
        # The bare request stays as it is: each transaction has a Via and credentials of its own.
        request = self.request.copy()
        for name, value in self._rows:
            request.headers.add(name, value)
        self.provisional = False
        self.transaction = self.layer.request(request, self.destination, self, now)

    # -- ClientUser ---------------------------------------------------------------------------

    def on_response(self, transaction: AnyClient, response: Response, now: float) -> None:
        """See :class:`~telephony.sip.transactions.hosts.ClientUser`."""
        if self.finished and not (response.status // 100 == 2 and transaction.method == "INVITE"):
            return
        if transaction is not self.transaction:
            return
        if response.status < 200:
            self.provisional = True
            self.sink.on_provisional(self, response, now)
            return
        if response.status in (401, 407) and self._answer_challenge(response, now):
            return
        if response.status == 503 and self._next_destination(now):
            return
        self.finished = True
        self.sink.on_final(self, response, now)

    def on_no_response(self, transaction: AnyClient, unreachable: bool, now: float) -> None:
        """See :class:`~telephony.sip.transactions.hosts.ClientUser`."""
        if transaction is not self.transaction or self.finished:
            return
        if not self._next_destination(now):
            self._fail(unreachable, now)

    def _answer_challenge(self, response: Response, now: float) -> bool:
        if self._given_up:
            return False
        try:
            self._rows = self._flow.send(response)
        except StopIteration:
            return False
        if self.destination is None:
            return False
        self.request = self._build(self.destination)
        self._send(now)
        return True

    def _next_destination(self, now: float) -> bool:
        if not self._destinations or self.request is None or self.layer.full():
            return False
        before = self.destination
        self.destination = self._destinations.pop(0)
        if before is not None and before.transport != self.destination.transport:
            # Contact names the transport, so the request is not the same.
            self._new_request(self.destination)
        self._send(now)
        return True

    def _fail(self, unreachable: bool, now: float) -> None:
        self.finished = True
        self.sink.on_failed(self, unreachable, now)
