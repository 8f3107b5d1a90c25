"""A small registrar, so that a softphone logs in (RFC 3261 §10.3). Pure: ``now`` is an argument.

Who registers has proved a phone's password before he comes here. An address of record is a user:
the domain a phone writes is whatever its owner typed. A binding is reached where it registered
from wherever its Contact says something else, so that nobody can point a call, or our packets, at
a third party by registering its address.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from telephony.sip.addresses import Destination, Source
from telephony.sip.limits import MAX_BINDINGS_PER_AOR, MAX_CONTACTS
from telephony.sip.message import Request
from telephony.sip.uri import NameAddr, Uri, escape

USER_SAFE = "-_.!~*'()&=+$,;?/"
"""What a user part may hold unescaped besides letters and digits (RFC 3261 §25.1)."""
MAX_BINDINGS = 20_000
MAX_CONTACT_TEXT = 512
"""Characters of a stored Contact: a phone's has some 80, with a push token some 300."""


@dataclass(frozen=True, slots=True)
class RegistrarConfig:
    """Seconds a binding lives: the least, the most, and what a phone gets that asks nothing."""

    min_expires: int = 60
    max_expires: int = 3600
    default_expires: int = 600
    max_bindings: int = MAX_BINDINGS
    per_user: int = MAX_BINDINGS_PER_AOR


@dataclass(frozen=True, slots=True)
class Binding:
    """One place where a user can be reached. ``q`` in thousandths; ``expires_at`` monotonic."""

    user: str
    contact: NameAddr
    q: int
    call_id: str
    cseq: int
    source: Source
    registered_at: float
    expires_at: float

    @property
    def destination(self) -> Destination:
        """Where a request to it goes: its own Contact where that is honest, else its source."""
        source, uri = self.source, self.contact.uri
        address = (source.address[0], uri.port or 5060) if self.honest else source.address
        return Destination(address, source.transport, source.flow)

    @property
    def honest(self) -> bool:
        """Whether the Contact names the place that the REGISTER came from."""
        uri = self.contact.uri
        transport = (uri.param("transport") or "udp").upper()
        return transport == self.source.transport and _same_host(uri.host, self.source.address[0])


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer a REGISTER."""

    status: int
    reason: str = ""
    headers: tuple[tuple[str, str], ...] = ()


class Registrar:
    """The bindings of all phones."""

    def __init__(self, config: RegistrarConfig | None = None) -> None:
        self._config = config or RegistrarConfig()
        self._users: dict[str, list[Binding]] = {}
        self._hosts: Counter[str] = Counter()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def register(self, user: str, request: Request, source: Source, now: float) -> Reply:
        """Do what a REGISTER of the proven ``user`` asks; nothing is done unless all of it is."""
        if not request.to.uri.is_sip:
            return Reply(400, "To Is No SIP URI")
        if not same_user(request.to.uri, user):
            # RFC 3261 §10.3 step 4: a right password is good for one's own address only.
            return Reply(403)
        current = self._live(user, now)
        if request.is_contact_star:
            return self._remove_all(user, current, request, now)
        contacts = request.contacts
        if not contacts:
            return self._answer(current, now)
        if len(contacts) > MAX_CONTACTS:
            return Reply(400, "Too Many Contacts")
        wanted: list[tuple[NameAddr, int]] = []
        for contact in contacts:
            if not contact.uri.is_sip or len(str(contact)) > MAX_CONTACT_TEXT:
                return Reply(400, "Unusable Contact")
            seconds = self._seconds(contact, request)
            if 0 < seconds < self._config.min_expires:
                return Reply(423, headers=(("Min-Expires", str(self._config.min_expires)),))
            wanted.append((contact, min(seconds, self._config.max_expires)))
        updated = self._merge(user, current, wanted, request, source, now)
        if updated is None:
            return Reply(500, "Out Of Order")
        grown = len(updated) - len(current)
        if grown > 0 and len(self) + grown > self._config.max_bindings:
            return Reply(503, headers=(("Retry-After", "60"),))
        # A phone that takes a new port with every start would lock itself out: the oldest goes.
        kept = sorted(updated, key=lambda b: b.registered_at)[-self._config.per_user :]
        self._store(user, kept)
        return self._answer(kept, now)

    def bindings(self, user: str, now: float) -> list[Binding]:
        """Where the user can be reached, best ``q`` first, then the latest (RFC 3261 §16.6)."""
        return sorted(self._live(user, now), key=lambda b: (-b.q, -b.registered_at))

    def keep(self, users: Iterable[str]) -> list[str]:
        """Only these phones still exist; returns the users whose bindings are gone."""
        known = frozenset(users)
        gone = [user for user in self._users if user not in known]
        for user in gone:
            self._store(user, [])
        return gone

    def flow_closed(self, flow: int) -> None:
        """A connection is gone: behind a NAT its phone cannot be reached until it comes back."""
        for user, found in list(self._users.items()):
            if any(b.source.flow == flow for b in found):
                self._store(user, [b for b in found if b.source.flow != flow or b.honest])

    def expire(self, now: float) -> None:
        """Forget what ran out."""
        for user in list(self._users):
            self._live(user, now)

    def is_bound(self, host: str) -> bool:
        """Whether a phone is registered from this numeric host (or was until just now)."""
        return self._hosts[host] > 0

    # -- inside -------------------------------------------------------------------------------

    def _live(self, user: str, now: float) -> list[Binding]:
        found = [b for b in self._users.get(user, ()) if b.expires_at > now]
        self._store(user, found)
        return found

    def _store(self, user: str, found: list[Binding]) -> None:
        before = self._users.pop(user, [])
        if found:
            self._users[user] = found
        if found != before:
            self._count += len(found) - len(before)
            self._hosts.subtract(b.source.address[0] for b in before)
            self._hosts.update(b.source.address[0] for b in found)
            for binding in before:
                if self._hosts[binding.source.address[0]] <= 0:
                    del self._hosts[binding.source.address[0]]

    def _seconds(self, contact: NameAddr, request: Request) -> int:
        """RFC 3261 §10.3 step 7; what is no number counts as not there (§20.10, §20.19)."""
        text = contact.param("expires")
        if text is not None and text.isascii() and text.isdigit():
            return int(text[:10])
        return self._config.default_expires if request.expires is None else request.expires

    def _remove_all(self, user: str, current: list[Binding], request: Request, now: float) -> Reply:
        if request.expires != 0:
            return Reply(400, "Contact * Without Expires 0")
        if any(_out_of_order(b, request) for b in current):
            return Reply(500, "Out Of Order")
        self._store(user, [])
        return self._answer([], now)

    def _merge(
        self,
        user: str,
        current: list[Binding],
        wanted: list[tuple[NameAddr, int]],
        request: Request,
        source: Source,
        now: float,
    ) -> list[Binding] | None:
        """The bindings after the request; None when it came too late (§10.3 step 7)."""
        found = list(current)
        for contact, seconds in wanted:
            old = next((b for b in found if b.contact.uri.matches(contact.uri)), None)
            if old is not None:
                # Two Contacts of one request may be equal by §19.1.4; the later one counts.
                if old in current and _out_of_order(old, request):
                    return None
                found.remove(old)
            if seconds:
                found.append(
                    Binding(
                        user=user,
                        contact=_without_expires(contact),
                        q=_quality(contact.param("q")),
                        call_id=request.call_id,
                        cseq=request.cseq.number,
                        source=source,
                        registered_at=now,
                        expires_at=now + seconds,
                    )
                )
        return found

    def _answer(self, found: list[Binding], now: float) -> Reply:
        rows = []
        for binding in found:
            left = max(1, round(binding.expires_at - now))
            contact = binding.contact
            uri_and_params = NameAddr(
                contact.display, contact.uri, (*contact.params, ("expires", str(left)))
            )
            rows.append(("Contact", str(uri_and_params)))
        return Reply(200, headers=tuple(rows))


def same_user(uri: Uri, user: str) -> bool:
    """Whether a URI's user part is this user, escaped or not (a NUL is not its end)."""
    if uri.user is None:
        return False
    return user in (uri.user, escape(uri.user, USER_SAFE))


def _out_of_order(binding: Binding, request: Request) -> bool:
    return binding.call_id == request.call_id and request.cseq.number <= binding.cseq


def _without_expires(contact: NameAddr) -> NameAddr:
    kept = tuple(p for p in contact.params if p[0].lower() != "expires")
    return NameAddr(contact.display, contact.uri, kept)


def _quality(text: str | None) -> int:
    """A q value in thousandths; 1000 where there is none or it is malformed."""
    if text is None:
        return 1000
    whole, _, part = text.partition(".")
    if whole not in ("0", "1") or (part and not (part.isascii() and part.isdigit())):
        return 1000
    return min(1000, int(whole) * 1000 + int((part + "000")[:3]))


def _same_host(one: str, other: str) -> bool:
    try:
        return ipaddress.ip_address(one) == ipaddress.ip_address(other)
    except ValueError:
        return False
