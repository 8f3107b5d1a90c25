"""Where to send a SIP request: RFC 3263, over DNS or over anything that answers like it.

`Resolver.resolve` turns a URI into numeric destinations in the order to try them: NAPTR chooses
the transport, SRV the hosts by priority and weight, A and AAAA the addresses. It never raises: a
name that cannot be resolved in time has no destinations.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol

import dns.asyncresolver
import dns.exception
import dns.rdata
import dns.resolver
import structlog
from dns.rdtypes.IN.NAPTR import NAPTR
from dns.rdtypes.IN.SRV import SRV

from telephony.sip.addresses import Destination
from telephony.sip.limits import (
    MAX_RESOLVER_CACHE,
    MAX_RESOLVER_TTL,
    MAX_TARGETS,
    MIN_RESOLVER_TTL,
    RESOLVER_NEGATIVE_TTL,
    RESOLVER_QUERY_SECONDS,
    RESOLVER_SECONDS,
    RESOLVER_TRY_SECONDS,
)
from telephony.sip.uri import SyntaxFault, Uri

log = structlog.get_logger("telephony.sipnet")

#: NAPTR services of the transports we speak (RFC 3263 §4.1), and their SRV labels.
_SERVICES = {"SIP+D2U": "UDP", "SIP+D2T": "TCP"}
_LABELS = {"UDP": "_sip._udp", "TCP": "_sip._tcp"}
_DEFAULT_PORT = 5060


@dataclass(frozen=True, slots=True)
class Srv:
    """An SRV record (RFC 2782); `target` without its last dot, "" when there is no service."""

    priority: int
    weight: int
    port: int
    target: str


@dataclass(frozen=True, slots=True)
class Naptr:
    """A NAPTR record (RFC 3403); `replacement` without its last dot."""

    order: int
    preference: int
    flags: str
    service: str
    replacement: str


Record = str | Srv | Naptr
"""A and AAAA records are the address as text."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a zone knows of a name and type. `ttl` in seconds."""

    records: tuple[Record, ...]
    ttl: float


class Zone(Protocol):
    """Something that answers DNS questions."""

    async def query(self, name: str, kind: str) -> Answer:
        """Records of type `kind` (A, AAAA, SRV, NAPTR). No records when there are none; OSError
        when it could not be found out."""


class DnsZone:
    """The system's name servers, and for hosts they do not know the system's hosts file."""

    def __init__(self, resolver: dns.asyncresolver.Resolver | None = None) -> None:
        self._resolver = resolver

    async def query(self, name: str, kind: str) -> Answer:
        if kind not in ("A", "AAAA"):
            return await self._ask(name, kind)
        error = None
        try:
            answer = await self._ask(name, kind)
            if answer.records:
                return answer
        except OSError as failure:
            error = failure
        records = await _hosts(name, kind)
        if error is not None and not records:
            raise error
        return Answer(records, RESOLVER_NEGATIVE_TTL)

    async def _ask(self, name: str, kind: str) -> Answer:
        try:
            if self._resolver is None:
                self._resolver = dns.asyncresolver.Resolver()
                self._resolver.timeout = RESOLVER_TRY_SECONDS
            found = await self._resolver.resolve(
                name, kind, raise_on_no_answer=False, lifetime=RESOLVER_QUERY_SECONDS
            )
        except (dns.resolver.NXDOMAIN, dns.resolver.NoResolverConfiguration):
            return Answer((), RESOLVER_NEGATIVE_TTL)
        except (dns.exception.DNSException, ValueError) as error:
            raise OSError(f"DNS: {type(error).__name__}") from error
        if found.rrset is None:
            return Answer((), RESOLVER_NEGATIVE_TTL)
        return Answer(tuple(_record(item) for item in found.rrset), float(found.rrset.ttl))


def _record(item: dns.rdata.Rdata) -> Record:
    if isinstance(item, SRV):
        return Srv(item.priority, item.weight, item.port, item.target.to_text().rstrip("."))
    if isinstance(item, NAPTR):
        return Naptr(
            item.order,
            item.preference,
            item.flags.decode("ascii", "replace").lower(),
            item.service.decode("ascii", "replace").upper(),
            item.replacement.to_text().rstrip("."),
        )
    return item.to_text()


async def _hosts(name: str, kind: str) -> tuple[Record, ...]:
    family = socket.AF_INET if kind == "A" else socket.AF_INET6
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(name, None, family=family, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(str(entry[4][0]) for entry in found)


class Resolver:
    """RFC 3263 with a cache.

    `families` are those the driver has sockets for, the preferred one first; `transports` those it
    speaks. `rng` draws among SRV records of one priority by weight. `clock` gives monotonic
    seconds.
    """

    def __init__(
        self,
        rng: random.Random,
        clock: Callable[[], float],
        *,
        zone: Zone | None = None,
        families: Sequence[str] = ("A", "AAAA"),
        transports: Sequence[str] = ("UDP", "TCP"),
        seconds: float = RESOLVER_SECONDS,
    ) -> None:
        self._rng = rng
        self._clock = clock
        self._zone: Zone = DnsZone() if zone is None else zone
        self._families = tuple(families)
        self._transports = tuple(transports)
        self._seconds = seconds
        self._cache: OrderedDict[tuple[str, str], tuple[float, tuple[Record, ...]]] = OrderedDict()

    async def resolve(self, uri: str | Uri, *, transport: str = "") -> list[Destination]:
        """Destinations for a sip URI, at most MAX_TARGETS, in the order to try them.

        `transport` is used when the URI names none. [] for schemes and transports we do not
        speak, for names without addresses, and when the time is up.
        """
        try:
            parsed = uri if isinstance(uri, Uri) else Uri.parse(uri)
        except SyntaxFault:
            return []
        try:
            async with asyncio.timeout(self._seconds):
                found = await self._locate(parsed, transport)
        except TimeoutError:
            log.warning("sip.resolve_timeout", host=parsed.host)
            return []
        except OSError as error:
            log.warning("sip.resolve_failed", host=parsed.host, error=str(error))
            return []
        return list(dict.fromkeys(found))[:MAX_TARGETS]

    def __len__(self) -> int:
        """Names cached."""
        return len(self._cache)

    async def _locate(self, uri: Uri, preset: str) -> list[Destination]:
        # Deviation: sips asks for TLS, which this driver does not speak, so it goes nowhere.
        if uri.scheme != "sip":
            return []
        host = (uri.param("maddr") or uri.host).rstrip(".").lower()
        named = (uri.param("transport") or preset).upper()
        if named and named not in self._transports:
            return []
        if _is_numeric(host):
            return [Destination((host, uri.port or _DEFAULT_PORT), named or self._transports[0])]
        if uri.port is not None:
            return await self._addresses(host, uri.port, named or self._transports[0])
        if named:
            return await self._service(f"{_LABELS[named]}.{host}", named, host)
        return await self._any_transport(host)

    async def _any_transport(self, host: str) -> list[Destination]:
        """No transport, no port, a name: NAPTR, then SRV of each transport, then A (§4.1)."""
        found: list[Destination] = []
        answer = await self._try(host, "NAPTR")
        naptrs = [r for r in answer if isinstance(r, Naptr)]
        for naptr in sorted(naptrs, key=lambda r: (r.order, r.preference)):
            transport = _SERVICES.get(naptr.service)
            if naptr.flags == "s" and transport in self._transports:
                found += await self._services(naptr.replacement, transport)
        if found:
            return found
        services = await asyncio.gather(
            *(self._services(f"{_LABELS[t]}.{host}", t) for t in self._transports)
        )
        for destinations in services:
            found += destinations
        return found or await self._addresses(host, _DEFAULT_PORT, self._transports[0])

    async def _service(self, name: str, transport: str, host: str) -> list[Destination]:
        found = await self._services(name, transport)
        return found or await self._addresses(host, _DEFAULT_PORT, transport)

    async def _services(self, name: str, transport: str) -> list[Destination]:
        records = [r for r in await self._try(name, "SRV") if isinstance(r, Srv) and r.target]
        found: list[Destination] = []
        for record in by_weight(records, self._rng):
            if len(found) >= MAX_TARGETS:
                break
            if _is_numeric(record.target):
                found.append(Destination((record.target, record.port), transport))
            else:
                found += await self._addresses(record.target, record.port, transport)
        return found

    async def _addresses(self, host: str, port: int, transport: str) -> list[Destination]:
        answers = await asyncio.gather(
            *(self._query(host, kind) for kind in self._families), return_exceptions=True
        )
        found = []
        failure: BaseException | None = None
        for records in answers:
            if isinstance(records, BaseException):
                failure = records
                continue
            found += [Destination((a, port), transport) for a in records if isinstance(a, str)]
        # One family that could not be asked for does not spoil the other.
        if failure is not None and not found:
            raise failure
        return found

    async def _try(self, name: str, kind: str) -> tuple[Record, ...]:
        """As `_query`, for records one can do without: no answer means none."""
        try:
            return await self._query(name, kind)
        except OSError:
            return ()

    async def _query(self, name: str, kind: str) -> tuple[Record, ...]:
        key = (name.lower(), kind)
        now = self._clock()
        cached = self._cache.get(key)
        if cached is not None and cached[0] > now:
            self._cache.move_to_end(key)
            return cached[1]
        answer = await self._zone.query(name, kind)
        ttl = RESOLVER_NEGATIVE_TTL
        if answer.records:
            ttl = min(max(answer.ttl, MIN_RESOLVER_TTL), MAX_RESOLVER_TTL)
        self._cache[key] = (now + ttl, answer.records)
        self._cache.move_to_end(key)
        while len(self._cache) > MAX_RESOLVER_CACHE:
            self._cache.popitem(last=False)
        return answer.records


def by_weight(records: Sequence[Srv], rng: random.Random) -> list[Srv]:
    """RFC 2782: priorities in order, and within one a draw in which weight is probability."""
    ordered: list[Srv] = []
    for priority in sorted({record.priority for record in records}):
        # Records of weight 0 come first, so that they have a small chance beside the others.
        left = sorted((r for r in records if r.priority == priority), key=lambda r: r.weight > 0)
        while left:
            draw = rng.randint(0, sum(record.weight for record in left))
            running = 0
            for index, record in enumerate(left):
                running += record.weight
                if running >= draw:
                    ordered.append(left.pop(index))
                    break
    return ordered


def _is_numeric(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
