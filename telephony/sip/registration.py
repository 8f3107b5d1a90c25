"""Registrations: ours at a registrar, kept alive, and what a registrar reads (RFC 3261 §10)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from telephony.sip.addresses import Destination
from telephony.sip.auth import Credentials, DigestClient
from telephony.sip.core import ALLOW, SUPPORTED, Core, Items
from telephony.sip.events import Registered, RegistrationFailed, SipEvent, Unregistered
from telephony.sip.exchange import Exchange
from telephony.sip.headers import Headers
from telephony.sip.limits import MAX_BINDINGS_PER_AOR, MAX_DELTA_SECONDS
from telephony.sip.message import Request, Response, parse_number
from telephony.sip.status import reason_phrase
from telephony.sip.transactions.layer import Layer
from telephony.sip.uri import NameAddr, Params, SyntaxFault, Uri

#: Back-off after failures: doubling between these, with half of it at random (RFC 5626 §4.5).
RETRY_FIRST_SECONDS = 30.0
RETRY_LAST_SECONDS = 1800.0
#: A registrar that asks for less is refreshed no more often than this.
SHORTEST_REFRESH_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Account:
    """What is registered, and where."""

    registrar: str
    aor: str
    contact_user: str
    expires: int
    headers: Items
    credentials: tuple[Credentials, ...]
    destinations: tuple[Destination, ...]


class Registration:
    """One binding of ours, refreshed before it expires (RFC 3261 §10.2)."""

    def __init__(
        self,
        core: Core,
        layer: Layer,
        registration: str,
        account: Account,
        released: Callable[[Registration], None],
    ) -> None:
        self.core = core
        self.layer = layer
        self.id = registration
        self.account = account
        self._released = released
        self._digest = DigestClient(account.credentials, core.rng)
        self._call_id = core.token(128)
        self._tag = core.token()
        self._cseq = core.rng.randrange(1, 2**16)
        self._expires = account.expires
        self._failures = 0
        self._stopping = False
        self._exchange: Exchange | None = None

    def start(self, now: float) -> None:
        """Register now."""
        self._failures = 0
        self._send(now)

    def change(self, account: Account, now: float) -> None:
        """Take new values and register at once."""
        if account.credentials != self.account.credentials:
            self._digest = DigestClient(account.credentials, self.core.rng)
        self.account = account
        self._expires = account.expires
        self._stopping = False
        self.start(now)

    def stop(self, now: float) -> None:
        """Remove the binding (RFC 3261 §10.2.2)."""
        if not self._stopping:
            self._stopping = True
            self._send(now)

    def on_alarm(self, name: str, now: float) -> None:
        """Time to refresh, or to try again."""
        self._send(now)

    def _send(self, now: float) -> None:
        self.core.silence(self, "refresh")
        if self._exchange is not None:
            self._exchange.stop()
        self._exchange = Exchange(self.core, self.layer, self._build, self._digest, self)
        self._exchange.start(self.account.destinations, now)

    def _build(self, destination: Destination) -> Request:
        account = self.account
        self._cseq += 1
        request = Request("REGISTER", account.registrar)
        put = request.headers.add
        put("Max-Forwards", "70")
        address = NameAddr("", Uri.parse(account.aor))
        put("From", str(address.with_tag(self._tag)))
        put("To", str(address))
        put("Call-ID", self._call_id)
        put("CSeq", f"{self._cseq} REGISTER")
        put("Contact", self.core.contact(account.contact_user, destination.transport))
        put("Expires", "0" if self._stopping else str(self._expires))
        put("Allow", ALLOW)
        put("Supported", SUPPORTED)
        self.core.identify(request)
        for name, value in account.headers:
            put(name, value)
        return request

    def on_provisional(self, exchange: Exchange, response: Response, now: float) -> None:
        """See :class:`~telephony.sip.exchange.Sink`."""

    def on_final(self, exchange: Exchange, response: Response, now: float) -> None:
        """See :class:`~telephony.sip.exchange.Sink`."""
        if exchange is not self._exchange:
            return
        if self._stopping:
            self._over()
        elif response.status < 300:
            self._registered(exchange, response, now)
        elif response.status == 423 and (response.min_expires or 0) > self._expires:
            # RFC 3261 §10.2.8: once more, for as long as the registrar wants it.
            self._expires = min(response.min_expires or 0, MAX_DELTA_SECONDS)
            exchange.restart(now)
        else:
            self._failed(response.status, response.reason, response.retry_after, now)

    def on_failed(self, exchange: Exchange, unreachable: bool, now: float) -> None:
        """See :class:`~telephony.sip.exchange.Sink`."""
        if exchange is not self._exchange:
            return
        status = 503 if unreachable else 408
        if self._stopping:
            self._over()
        else:
            self._failed(status, reason_phrase(status), None, now)

    def _over(self) -> None:
        self.core.emit(Unregistered(self.id))
        self._released(self)

    def _registered(self, exchange: Exchange, response: Response, now: float) -> None:
        self._failures = 0
        expires = self._granted(exchange, response)
        # Jitter, so that a thousand trunks do not refresh in the same second.
        wait = max(SHORTEST_REFRESH_SECONDS, expires * self.core.rng.uniform(0.7, 0.9))
        self.core.alarm(self, "refresh", now + wait)
        self.core.emit(Registered(self.id, expires))

    def _granted(self, exchange: Exchange, response: Response) -> int:
        """How long our binding holds: our Contact's expires, else Expires, else what we asked."""
        sent = exchange.transaction_request
        ours = None if sent is None else sent.contact
        for contact in response.contacts:
            if ours is None or not contact.uri.is_sip:
                continue
            same_place = (contact.uri.host.lower(), contact.uri.port or 5060) == (
                ours.uri.host.lower(),
                ours.uri.port or 5060,
            )
            if same_place and contact.uri.user == ours.uri.user:
                granted = parse_number(contact.param("expires"), MAX_DELTA_SECONDS)
                if granted is not None:
                    return granted
        return self._expires if response.expires is None else response.expires

    def _failed(self, status: int, reason: str, retry_after: int | None, now: float) -> None:
        wait = min(RETRY_LAST_SECONDS, RETRY_FIRST_SECONDS * 2**self._failures)
        wait *= self.core.rng.uniform(0.5, 1.0)
        if retry_after is not None:
            wait = max(wait, float(min(retry_after, int(RETRY_LAST_SECONDS))))
        self._failures = min(self._failures + 1, 8)
        self.core.alarm(self, "refresh", now + wait)
        event: SipEvent = RegistrationFailed(self.id, status, reason, wait)
        self.core.emit(event)


# -- the registrar's side ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Binding:
    """One Contact of a REGISTER. ``expires`` in seconds; 0 removes the binding."""

    uri: Uri
    expires: int
    q: str = ""


@dataclass(frozen=True, slots=True)
class RegisterRequest:
    """A REGISTER that makes sense. ``clear`` is ``Contact: *``: remove all bindings.

    Without bindings and ``clear`` it asks for the present ones.
    """

    aor: Uri
    bindings: tuple[Binding, ...]
    clear: bool
    call_id: str
    cseq: int


@dataclass(frozen=True, slots=True)
class RegisterRefusal:
    """A REGISTER that cannot be taken, and the answer to it."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...] = ()


def read_register(
    request: Request, *, default: int = 3600, shortest: int = 60, longest: int = 7200
) -> RegisterRequest | RegisterRefusal:
    """Read a REGISTER as RFC 3261 §10.3 says; authentication and storage are the registrar's.

    An expiry below ``shortest`` is refused with 423 (RFC 3261 §10.2.8), one above ``longest`` is
    cut to it; seconds all of them.
    """
    aor = request.to.uri
    if not aor.is_sip:
        return RegisterRefusal(400, "To is no SIP URI")
    common = min(default if request.expires is None else request.expires, longest)
    if request.is_contact_star:
        if request.expires != 0:
            # RFC 3261 §10.3 step 6.
            return RegisterRefusal(400, "Contact * needs Expires 0")
        return RegisterRequest(aor, (), True, request.call_id, request.cseq.number)
    if "*" in (value.strip() for value in request.headers.all("Contact")):
        return RegisterRefusal(400, "Contact * among others")
    if len(request.contacts) > MAX_BINDINGS_PER_AOR:
        return RegisterRefusal(403, "Too many contacts")
    bindings = []
    for contact in request.contacts:
        if not contact.uri.is_sip:
            return RegisterRefusal(400, "Contact is no SIP URI")
        expires = parse_number(contact.param("expires"), MAX_DELTA_SECONDS)
        expires = common if expires is None else min(expires, longest)
        if 0 < expires < shortest:
            headers = (("Min-Expires", str(shortest)),)
            return RegisterRefusal(423, reason_phrase(423), headers)
        bindings.append(Binding(contact.uri, expires, contact.param("q") or ""))
    return RegisterRequest(aor, tuple(bindings), False, request.call_id, request.cseq.number)


def register_headers(bindings: Sequence[Binding]) -> list[tuple[str, str]]:
    """The Contact rows of the 200, for ``respond``; ``expires`` is what each has left."""
    headers = Headers()
    for binding in bindings:
        try:
            params: Params = (("expires", str(binding.expires)),)
            if binding.q:
                params = (("q", binding.q), *params)
            headers.add("Contact", str(NameAddr("", binding.uri, params)))
        except SyntaxFault:
            continue
    return headers.items()
