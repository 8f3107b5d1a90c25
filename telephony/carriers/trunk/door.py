"""Who stands at the door: trunk, phone or stranger, and what he is told (design.md section 9).

A request comes from

* a **trunk**: its source lies in ``allowed_sources``, or it proves the trunk's digest;
* a **phone**: it proves the phone's digest;
* a **stranger**: everybody else. Strangers are let in only on a loopback bind or with
  ``accept_strangers``, and then reach dialplans by name, never a number.

A request without credentials is challenged (401) where it could be somebody we know, and a
stranger cannot tell why:

* on an open bind every INVITE is challenged as long as anybody could pass the challenge; with no
  phone and no trunk account at all the answer is 403;
* where strangers are welcome, an INVITE is challenged when it dials digits (strangers never reach
  those), when it comes from the very address and port of a registered phone, and, on a loopback
  bind, where nothing need be hidden, when its From or its target is a phone's user. A phone
  that calls a dialplan by name is therefore asked who it is, and a stranger is not.

After a wrong password the answer is 403 whether the user exists or not, by the same work
(``sip.auth.DigestServer``), and after some of them silence. The URI of the credentials is not
compared with the Request-URI: proxies and test tools rewrite either, and the nonce count already
refuses a replay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from telephony.accounts.model import DEFAULT_ORGANIZATION, Phone, Trunk
from telephony.accounts.ports import Directory
from telephony.carriers.trunk import identity
from telephony.carriers.trunk.config import TrunkConfig
from telephony.carriers.trunk.limits import SourceLimits, Verdict, is_scanner_name
from telephony.carriers.trunk.registrar import Registrar
from telephony.sip.addresses import Source
from telephony.sip.auth import DigestServer
from telephony.sip.auth import Verdict as Proof
from telephony.sip.message import Request

# Deviation: RFC 7616 §3.7 and RFC 8760 §2.3 let a challenge name several algorithms, and a client
# pass over those it does not know. libre before version 3 gives up at the first unknown one,
# wherever it stands, and so does sipp; they are offered MD5 alone. Nobody is weakened by it: MD5
# answers are taken from everybody who prefers them.
MD5_ONLY = re.compile(r"baresip v[012]\.|sipp\b", re.IGNORECASE)
OURSELVES = frozenset({"127.0.0.1", "::1"})
MAX_KNOWN_HOSTS = 4096
"""Sources of which it is remembered whose trunk they are: a look-up for each message."""


@dataclass(frozen=True, slots=True)
class Party:
    """Who calls, and whom. Neither trunk nor phone: a stranger."""

    trunk: Trunk | None
    phone: Phone | None
    dialled: str
    from_number: str
    from_name: str
    headers: dict[str, str]
    proven: bool
    """By digest: its dialog then listens to no other host."""

    @property
    def stranger(self) -> bool:
        return self.trunk is None and self.phone is None

    @property
    def organization(self) -> str:
        if self.trunk is not None:
            return self.trunk.organization
        return self.phone.organization if self.phone is not None else DEFAULT_ORGANIZATION


@dataclass(frozen=True, slots=True)
class Turned:
    """Not let in. ``reason`` is for the trace, never for the peer."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class _Accounts:
    """The directory by user name, made anew when it changes."""

    phones: dict[str, Phone] = field(default_factory=dict)
    trunks: dict[str, Trunk] = field(default_factory=dict)

    def password(self, user: str) -> str | None:
        phone = self.phones.get(user)
        if phone is not None:
            return phone.password
        trunk = self.trunks.get(user)
        return trunk.password if trunk is not None else None


class Door:
    """Tells trunks, phones and strangers apart, and counts what strangers do."""

    def __init__(
        self,
        config: TrunkConfig,
        directory: Directory,
        registrar: Registrar,
        digest: DigestServer,
        limits: SourceLimits,
        *,
        is_calling: Callable[[str], bool] = lambda host: False,
    ) -> None:
        """``is_calling``: whether a call that was let in is up with this host."""
        self._config = config
        self._directory = directory
        self._registrar = registrar
        self._digest = digest
        self._limits = limits
        self._is_calling = is_calling
        self._accounts = _Accounts()
        self._trunks: dict[str, tuple[Trunk, ...]] = {}
        self.refresh()

    def refresh(self) -> None:
        """The directory has changed."""
        accounts = _Accounts()
        for phone in self._directory.phones():
            if phone.password:
                accounts.phones.setdefault(phone.user, phone)
        for trunk in self._directory.trunks():
            if trunk.username and trunk.password:
                accounts.trunks.setdefault(trunk.username, trunk)
        self._accounts = accounts
        self._trunks.clear()
        self._registrar.keep(accounts.phones)

    # -- before anything is read ----------------------------------------------------------------

    def exempt(self, host: str) -> bool:
        """Whether nothing is counted against this address."""
        return (
            (self._config.loopback and host in OURSELVES)
            or bool(self._trunks_at(host))
            or self._registrar.is_bound(host)
        )

    def screen(self, request: Request, source: Source, now: float) -> str | None:
        """Why a request is to be met with silence, or None. Counts it."""
        host = source.address[0]
        if self._trunks_at(host):
            return None
        if is_scanner_name(request.user_agent):
            return "scanner"
        if self._limits.banned(host, now):
            return "banned"
        if self.exempt(host) or (request.to_tag and self._is_calling(host)):
            return None
        if request.method in ("ACK", "CANCEL"):
            # They belong to a request that was counted, and get no answer that could be a gain.
            return None
        return None if self._limits.request(host, now) is Verdict.PASS else "banned"

    # -- INVITE -----------------------------------------------------------------------------------

    def identify(self, request: Request, source: Source, now: float) -> Party | Turned:
        """Whose call this is, or how it is turned away."""
        host = source.address[0]
        trunks = self._trunks_at(host)
        verdict = self._verify(request, host, now)
        if verdict.ok:
            self._limits.forgive(host)
            phone = self._accounts.phones.get(verdict.username)
            if phone is not None:
                return self._phone(request, phone)
            trunk = self._accounts.trunks.get(verdict.username)
            if trunk is not None:
                return self._trunk(request, trunk, proven=True)
        if trunks and not self._is_phone_at(request, source, now):
            return self._trunk(request, self._which(request, trunks), proven=False)
        if verdict.username:
            return self._unproven(request, verdict, host, now)
        return self._without_credentials(request, source, now)

    def _without_credentials(self, request: Request, source: Source, now: float) -> Party | Turned:
        host = source.address[0]
        anybody = bool(self._accounts.phones or self._accounts.trunks)
        if not (self._config.loopback or self._config.accept_strangers):
            return self._challenge(request, host, now) if anybody else Turned(403, "stranger")
        stranger = self._stranger(request)
        digits = identity.looks_like_number(stranger.dialled)
        if anybody and (digits or self._is_phone_at(request, source, now)):
            return self._challenge(request, host, now)
        if self._config.loopback and stranger.dialled in self._accounts.phones:
            return self._challenge(request, host, now)
        if digits:
            return Turned(403, "stranger dials a number")
        return stranger

    def _is_phone_at(self, request: Request, source: Source, now: float) -> bool:
        """Whether a phone is likely to speak, which then shall say so."""
        user = identity.party(request.from_.uri)
        if self._config.loopback and user in self._accounts.phones:
            return True
        return any(
            source.address in (b.source.address, b.destination.address)
            for b in self._registrar.bindings(user, now)
        )

    # -- REGISTER ---------------------------------------------------------------------------------

    def phone_of(self, request: Request, source: Source, now: float) -> Phone | Turned:
        """The phone that registers, or how it is turned away."""
        host = source.address[0]
        verdict = self._verify(request, host, now)
        phone = self._accounts.phones.get(verdict.username)
        if verdict.ok and phone is not None:
            self._limits.forgive(host)
            return phone
        if verdict.username:
            return self._unproven(request, verdict, host, now)
        return self._challenge(request, host, now)

    # -- inside -----------------------------------------------------------------------------------

    def _verify(self, request: Request, host: str, now: float) -> Proof:
        rows = [
            *request.headers.rows("Authorization"),
            *request.headers.rows("Proxy-Authorization"),
        ]
        return self._digest.verify(
            rows, request.method, self._accounts.password, now, source=host, body=request.body
        )

    def _challenge(self, request: Request, host: str, now: float, *, stale: bool = False) -> Turned:
        rows = self._digest.challenges(now, source=host, stale=stale)
        if MD5_ONLY.match(request.user_agent):
            rows = [row for row in rows if "algorithm=MD5" in row] or rows
        return Turned(401, "challenged", tuple(("WWW-Authenticate", row) for row in rows))

    def _unproven(self, request: Request, verdict: Proof, host: str, now: float) -> Turned:
        if verdict.stale:
            return self._challenge(request, host, now, stale=True)
        if not self.exempt(host):
            self._limits.wrong_password(host, now)
        return Turned(403, verdict.reason)

    def _trunks_at(self, host: str) -> tuple[Trunk, ...]:
        found = self._trunks.get(host)
        if found is None:
            trunks = self._directory.trunks()
            found = tuple(t for t in trunks if t.allowed_sources and t.allows(host))
            if len(self._trunks) >= MAX_KNOWN_HOSTS:
                self._trunks.clear()
            self._trunks[host] = found
        return found

    def _which(self, request: Request, trunks: Sequence[Trunk]) -> Trunk:
        """Of several trunks behind one address, the one that the dialled number is on."""
        for trunk in trunks:
            number = self._directory.number(identity.dialled_by_trunk(request, trunk))
            if number is not None and number.trunk in (trunk.id, trunk.name):
                return trunk
        return trunks[0]

    def _trunk(self, request: Request, trunk: Trunk, *, proven: bool) -> Party:
        number, name = identity.caller_of_trunk(request, trunk)
        dialled = identity.dialled_by_trunk(request, trunk)
        headers = identity.extensions(request)
        return Party(trunk, None, dialled, number, name, headers, proven)

    def _phone(self, request: Request, phone: Phone) -> Party:
        user, name = identity.caller_of_phone(request, phone)
        dialled = identity.dialled_by_phone(request, self._directory.numbers())
        headers = identity.extensions(request)
        return Party(None, phone, dialled, user, name, headers, True)

    def _stranger(self, request: Request) -> Party:
        user, name = identity.caller_of_stranger(request)
        parties = identity.dialled_parties(request)
        dialled = parties[0] if parties else ""
        return Party(None, None, dialled, user, name, identity.extensions(request), False)
