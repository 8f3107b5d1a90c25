"""Dialogs (RFC 3261 §12): tags, sequence numbers, routes, remote target. One class, two roles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum

from telephony.sip.addresses import Destination, Source
from telephony.sip.core import Core, behind_nat, numeric
from telephony.sip.headers import Headers
from telephony.sip.message import Request, Response
from telephony.sip.uri import NameAddr, SyntaxFault, Uri


class DialogState(Enum):
    """RFC 3261 §12, and what is over."""

    EARLY = "early"
    CONFIRMED = "confirmed"
    TERMINATED = "terminated"


_ANY = frozenset({DialogState.EARLY, DialogState.CONFIRMED})
_CONFIRMED = frozenset({DialogState.CONFIRMED})

#: Method → the states of the dialog in which it may arrive. Others get 481 when the dialog is
#: terminated, and what :func:`refusal` says otherwise.
PERMITTED: dict[str, frozenset[DialogState]] = {
    "INVITE": _CONFIRMED,
    "BYE": _ANY,
    "UPDATE": _ANY,
    "INFO": _ANY,
    "OPTIONS": _ANY,
    "REFER": _CONFIRMED,
    "NOTIFY": _ANY,
}


def refusal(method: str, state: DialogState) -> int:
    """0 when ``method`` may arrive in ``state``, else the status to refuse it with."""
    states = PERMITTED.get(method)
    if states is None:
        return 405
    if state is DialogState.TERMINATED:
        return 481
    # RFC 3261 §14.2: a re-INVITE before the first one has its final answer gets 500.
    return 0 if state in states else 500


class Dialog:
    """One dialog, seen from our end.

    ``local`` and ``remote`` are the values of From and To of our requests, tags included.
    ``target`` is the remote target. ``routes`` is the route set in the order of our requests.
    ``peer`` is where the peer's messages came from last.
    """

    def __init__(
        self,
        *,
        call_id: str,
        local: str,
        remote: str,
        local_tag: str,
        remote_tag: str,
        target: Uri,
        routes: tuple[str, ...],
        local_cseq: int,
        remote_cseq: int | None,
        peer: Destination,
        contact: str,
        ours: bool,
    ) -> None:
        self.call_id = call_id
        self.local = local
        self.remote = remote
        self.local_tag = local_tag
        self.remote_tag = remote_tag
        self.target = target
        self.routes = routes
        self.local_cseq = local_cseq
        self.remote_cseq = remote_cseq
        self.peer = peer
        self.contact = contact
        self.ours = ours
        """Whether we made the Call-ID: it decides the back-off after 491 (RFC 3261 §14.1)."""
        self.state = DialogState.EARLY
        self._located: tuple[str, tuple[Destination, ...]] = ("", ())

    @classmethod
    def of_server(
        cls, request: Request, source: Source, local_tag: str, contact: str, peer: Destination
    ) -> Dialog:
        """The UAS's dialog (RFC 3261 §12.1.1); ``request`` has created it."""
        return cls(
            call_id=request.call_id,
            local=_tagged(request.headers.get("To") or "", local_tag),
            remote=request.headers.get("From") or "",
            local_tag=local_tag,
            remote_tag=request.from_tag,
            target=_target(request, source.address, source.transport),
            routes=tuple(str(route) for route in request.record_routes),
            local_cseq=0,
            remote_cseq=request.cseq.number,
            peer=peer,
            contact=contact,
            ours=False,
        )

    @classmethod
    def of_client(
        cls, request: Request, response: Response, destination: Destination, contact: str
    ) -> Dialog:
        """The UAC's dialog (RFC 3261 §12.1.2), opened by a 101-299 to ``request``."""
        return cls(
            call_id=request.call_id,
            local=request.headers.get("From") or "",
            remote=response.headers.get("To") or "",
            local_tag=request.from_tag,
            remote_tag=response.to_tag,
            target=_target(response, destination.address, destination.transport),
            routes=tuple(str(route) for route in reversed(response.record_routes)),
            local_cseq=request.cseq.number,
            remote_cseq=None,
            peer=destination,
            contact=contact,
            ours=True,
        )

    # -- requests out -------------------------------------------------------------------------

    def next_cseq(self) -> int:
        """The sequence number of our next request other than ACK and CANCEL."""
        self.local_cseq += 1
        return self.local_cseq

    def request(self, method: str, cseq: int) -> Request:
        """A request in the dialog (RFC 3261 §12.2.1.1), without Via and Contact."""
        headers = Headers()
        uri, routes = self._route()
        headers.add("Max-Forwards", "70")
        for route in routes:
            headers.add("Route", route)
        headers.add("From", self.local)
        headers.add("To", self.remote)
        headers.add("Call-ID", self.call_id)
        headers.add("CSeq", f"{cseq} {method}")
        return Request(method, uri, headers)

    def _route(self) -> tuple[str, list[str]]:
        target = str(self.target)
        if not self.routes:
            return target, []
        first = NameAddr.parse(self.routes[0]).uri
        if first.param("lr") is not None:
            return target, list(self.routes)
        # A strict router (RFC 2543) wants itself in the Request-URI and the target last.
        # RFC 3261 §19.1.1 table 1: neither method nor headers may stand in a Request-URI.
        params = tuple(p for p in first.params if p[0].lower() != "method")
        bare = replace(first, params=params, headers=())
        return str(bare), [*self.routes[1:], f"<{target}>"]

    def next_hop(self) -> Uri:
        """The URI a request of ours is sent to first (RFC 3261 §12.2.1.1, §8.1.2)."""
        return NameAddr.parse(self.routes[0]).uri if self.routes else self.target

    def locate(
        self, core: Core, now: float, then: Callable[[Sequence[Destination], float], None]
    ) -> None:
        """Call ``then`` with where the next request goes: at once, or when a name is resolved."""
        uri = self.next_hop()
        text = str(uri)
        if self._located[0] == text and self._located[1]:
            then(self._located[1], now)
            return
        if numeric(uri.host):
            then((self._numeric(core, uri),), now)
            return

        def resolved(destinations: Sequence[Destination], at: float) -> None:
            self._located = (text, tuple(destinations))
            then(destinations, at)

        core.resolve(text, resolved, now)

    def _numeric(self, core: Core, uri: Uri) -> Destination:
        transport = (uri.param("transport") or "udp").upper()
        if transport not in ("UDP", "TCP"):
            transport = self.peer.transport
        here = Destination((uri.host, uri.port or 5060), transport)
        peer = self.peer
        same_host = here.address[0] == peer.address[0]
        alive = peer.reliable and peer.flow not in core.closed_flows
        if alive and (here.address == peer.address or (same_host and transport == peer.transport)):
            # The connection the dialog runs on; a second one may not even be possible.
            return peer
        if (
            core.config.symmetric
            and not self.routes
            and not same_host
            and behind_nat(here.address[0])
        ):
            return peer
        return here

    # -- requests and responses in -------------------------------------------------------------

    def take_cseq(self, number: int) -> bool:
        """Whether a request with this number is in order (RFC 3261 §12.2.2); if so, it counts."""
        if self.remote_cseq is not None and number <= self.remote_cseq:
            return False
        self.remote_cseq = number
        return True

    def refresh_target(self, message: Request | Response) -> None:
        """Target refresh by INVITE and UPDATE and their 2xx (RFC 3261 §12.2)."""
        contact = message.contact
        if contact is not None and contact.uri.is_sip:
            self.target = replace(contact.uri, headers=())

    def confirm(self, response: Response) -> None:
        """A 2xx confirms the dialog; the UAC recomputes its route set (RFC 3261 §13.2.2.4)."""
        self.state = DialogState.CONFIRMED
        self.routes = tuple(str(route) for route in reversed(response.record_routes))
        self.refresh_target(response)
        self.remote = response.headers.get("To") or self.remote


def _tagged(value: str, tag: str) -> str:
    """``value`` of a To header with our tag, other text as the peer wrote it."""
    try:
        if NameAddr.parse(value).tag:
            return value
    except SyntaxFault:
        return value
    return f"{value};tag={tag}"


def _target(message: Request | Response, address: tuple[str, int], transport: str) -> Uri:
    contact = message.contact
    if contact is not None and contact.uri.is_sip:
        return replace(contact.uri, headers=())
    # RFC 2543 peers may leave Contact out: then the place the message came from must do.
    params = () if transport == "UDP" else (("transport", transport.lower()),)
    return Uri("sip", host=address[0], port=address[1], params=params)
