"""Which transaction a message belongs to (RFC 3261 §17.1.3, §17.2.3), and where responses go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

from telephony.sip.addresses import RELIABLE, Destination, Source
from telephony.sip.core import Core, loopback
from telephony.sip.headers import Via
from telephony.sip.limits import MAX_TRANSACTIONS, MAX_TRANSACTIONS_PER_SOURCE
from telephony.sip.message import Request, Response
from telephony.sip.timers import Owner
from telephony.sip.transactions.client import ClientTransaction
from telephony.sip.transactions.hosts import AnyClient, AnyServer, AnyTransaction, ClientUser
from telephony.sip.transactions.invite_client import InviteClientTransaction
from telephony.sip.transactions.invite_server import InviteServerTransaction
from telephony.sip.transactions.server import ServerTransaction


def reply_destination(via: Via, source: Source) -> Destination:
    """Where a response goes (RFC 3261 §18.2.2, RFC 3581 §4).

    Deviation: ``maddr`` is not followed, and the host is always the one the request came from, so
    that nobody can aim our responses at a third party.
    """
    if source.reliable:
        # Used only when the connection is gone: then the port the peer listens on.
        return Destination((source.address[0], via.port or 5060), source.transport, source.flow)
    if via.rport is not None:
        return Destination(source.address, source.transport)
    return Destination((source.address[0], via.port or 5060), source.transport)


def stamp_via(message: Request | Response, source: Source) -> None:
    """Add ``received`` and fill ``rport`` in the top Via (RFC 3261 §18.2.1, RFC 3581 §4)."""
    via = message.top_via
    host, port = source.address
    stamped = via
    if via.rport is not None:
        stamped = stamped.with_param("rport", str(port)).with_param("received", host)
    elif via.host.lower() != host.lower():
        stamped = stamped.with_param("received", host)
    if stamped is not via:
        message.set_top_via(stamped)


def server_key(request: Request, source: Source) -> Hashable:
    """What makes two requests the same transaction (RFC 3261 §17.2.3).

    The host the request came from is part of it, so that a guessed branch from elsewhere reaches
    nothing of others.
    """
    via = request.top_via
    method = "INVITE" if request.method in ("ACK", "CANCEL") else request.method
    if via.has_cookie:
        return (via.branch, via.sent_by.lower(), method, source.address[0])
    return (
        "rfc2543",
        request.uri,
        request.from_tag,
        request.call_id,
        request.cseq.number,
        # Without what stamp_via adds: the key is made before and after it.
        f"{via.transport} {via.sent_by} {via.branch or ''}",
        method,
        source.address[0],
    )


class Layer:
    """All transactions of an agent."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.timers = core.timers
        self._clients: dict[tuple[str, str], AnyClient] = {}
        self._servers: dict[Hashable, AnyServer] = {}
        self._merged: dict[Hashable, Hashable] = {}
        self._per_source: Counter[str] = Counter()
        self._waiting: dict[str, AnyTransaction] = {}
        self._names: dict[AnyTransaction, str] = {}
        self._serial = 0

    def __len__(self) -> int:
        return len(self._clients) + len(self._servers)

    # -- Host ---------------------------------------------------------------------------------

    def transmit(self, owner: AnyTransaction, data: bytes, destination: Destination) -> None:
        """See :class:`~telephony.sip.transactions.hosts.Host`."""
        local = None
        if isinstance(owner, InviteServerTransaction | ServerTransaction):
            local = owner.source.local
        self.core.send(data, destination, local, self._names.get(owner) or self._name(owner))

    def alarm(self, owner: Owner, name: str, at: float) -> None:
        """See :class:`~telephony.sip.transactions.hosts.Host`."""
        self.core.alarm(owner, name, at)

    def silence(self, owner: Owner, *names: str) -> None:
        """See :class:`~telephony.sip.transactions.hosts.Host`."""
        self.core.silence(owner, *names)

    def forget(self, owner: AnyTransaction) -> None:
        """See :class:`~telephony.sip.transactions.hosts.Host`."""
        self._waiting.pop(self._names.pop(owner, ""), None)
        if isinstance(owner, InviteClientTransaction | ClientTransaction):
            if self._clients.get(owner.key) is owner:
                del self._clients[owner.key]
            return
        if self._servers.get(owner.key) is owner:
            del self._servers[owner.key]
        self._merged.pop(_merge_key(owner.request), None)
        host = owner.source.address[0]
        self._per_source[host] -= 1
        if self._per_source[host] <= 0:
            del self._per_source[host]

    def _name(self, owner: AnyTransaction) -> str:
        self._serial += 1
        name = str(self._serial)
        self._names[owner] = name
        self._waiting[name] = owner
        return name

    def transport_failed(self, key: str, now: float) -> None:
        """What ``key`` sent did not go out."""
        owner = self._waiting.get(key)
        if owner is not None:
            owner.transport_failed(now)

    def flow_closed(self, flow: int, now: float) -> None:
        """A connection is gone: requests sent on it will get no answer by it."""
        lost = [t for t in self._clients.values() if t.destination.flow == flow]
        for transaction in lost:
            transaction.transport_failed(now)

    # -- clients ------------------------------------------------------------------------------

    def request(
        self,
        request: Request,
        destination: Destination,
        user: ClientUser,
        now: float,
        *,
        via: Via | None = None,
    ) -> AnyClient:
        """Start a client transaction with a new branch; ``via`` keeps that of a CANCEL's INVITE.

        ``request`` comes without Via and is owned by the transaction afterwards.
        """
        if via is None:
            via = self.core.via(destination.transport, self.core.branch())
        request.headers.prepend("Via", str(via))
        key = (via.branch or "", request.method)
        kind = InviteClientTransaction if request.method == "INVITE" else ClientTransaction
        transaction = kind(self, key, request, destination, user, now)
        self._clients[key] = transaction
        return transaction

    def full(self) -> bool:
        """Whether the ceiling of transactions is reached."""
        return len(self) >= MAX_TRANSACTIONS

    def take_response(self, response: Response, source: Source, now: float) -> bool:
        """Hand a response to its transaction; whether there was one (RFC 3261 §17.1.3)."""
        if len(response.vias) != 1:
            # RFC 3261 §8.1.3.3: more than one Via means that it is not for us.
            return False
        via = response.top_via
        transaction = self._clients.get((via.branch or "", response.cseq.method))
        if transaction is None:
            return False
        request = transaction.request
        if (
            response.call_id != request.call_id
            or response.cseq.number != request.cseq.number
            or response.from_tag != request.from_tag
        ):
            return False
        destination = transaction.destination
        if (
            self.core.config.check_response_source
            and destination.transport not in RELIABLE
            and source.address[0] != destination.address[0]
        ):
            return False
        transaction.receive(response, now)
        return True

    # -- servers ------------------------------------------------------------------------------

    def server_of(self, request: Request, source: Source) -> AnyServer | None:
        """The transaction ``request`` repeats; for ACK and CANCEL that of the INVITE."""
        transaction = self._servers.get(server_key(request, source))
        if (
            transaction is None
            or transaction.request.call_id != request.call_id
            or transaction.request.cseq.number != request.cseq.number
        ):
            return None
        return transaction

    def cancel_of(self, request: Request, source: Source) -> ServerTransaction | None:
        """The transaction that a CANCEL repeats."""
        found = self._servers.get(("CANCEL", server_key(request, source)))
        return found if isinstance(found, ServerTransaction) else None

    def is_merged(self, request: Request) -> bool:
        """Whether the same request came by another path already (RFC 3261 §8.2.2.2)."""
        return not request.to_tag and _merge_key(request) in self._merged

    def has_room(self, source: Source) -> bool:
        """Whether one more server transaction may be opened for ``source``."""
        if len(self) >= MAX_TRANSACTIONS:
            return False
        host = source.address[0]
        if host in self.core.trusted or loopback(host):
            return True
        return self._per_source[host] < MAX_TRANSACTIONS_PER_SOURCE

    def serve(self, request: Request, source: Source, now: float) -> AnyServer:
        """Open a server transaction. The top Via is stamped by then."""
        key = server_key(request, source)
        reply_to = reply_destination(request.top_via, source)
        transaction: AnyServer
        if request.method == "INVITE":
            transaction = InviteServerTransaction(self, key, request, source, reply_to, now)
        else:
            if request.method == "CANCEL":
                key = ("CANCEL", key)
            transaction = ServerTransaction(self, key, request, source, reply_to, now)
        replaced = self._servers.get(key)
        if replaced is not None:
            # A peer that uses one branch twice: the newer request is the one it waits for.
            replaced.abandon()
        self._servers[key] = transaction
        self._per_source[source.address[0]] += 1
        if not request.to_tag:
            self._merged[_merge_key(request)] = key
        return transaction


def _merge_key(request: Request) -> Hashable:
    return (request.from_tag, request.call_id, str(request.cseq))
