"""Digest authentication, both sides (RFC 7616, RFC 8760; RFC 3261 §22).

Client: `DigestClient` holds what the challenges of one set of credentials taught, `digest_flow`
is the exchange as a generator. Server: `DigestServer` mints nonces that carry their own proof, so
that a request without good credentials leaves nothing behind in memory.

Pure: random numbers and the time are given.
"""

from __future__ import annotations

import hmac
import random
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass

from telephony.sip.digest import (
    Authorization,
    Challenge,
    Credentials,
    digest_response,
    stored_secret,
    strength,
    user_hash,
)
from telephony.sip.limits import (
    MAX_AUTH_ATTEMPTS,
    MAX_AUTH_ROUNDS,
    MAX_CHALLENGES,
    MAX_CLIENT_REALMS,
    MAX_NONCE_COUNT,
    MAX_NONCES,
    NONCE_COUNT_WINDOW,
    NONCE_SECONDS,
)
from telephony.sip.message import Response
from telephony.sip.uri import SyntaxFault, Uri

__all__ = [
    "Authorization",
    "Challenge",
    "Credentials",
    "DigestClient",
    "DigestServer",
    "Verdict",
    "digest_flow",
    "digest_response",
    "stored_secret",
    "user_hash",
]

_COUNT = re.compile(r"[0-9A-Fa-f]{8}")


# -- client ----------------------------------------------------------------------------------------

HeaderPair = tuple[str, str]


@dataclass(slots=True)
class _Realm:
    """A challenge that may be answered again, and how often its nonce was used."""

    challenge: Challenge
    credentials: Credentials
    count: int = 0


class DigestClient:
    """Answers challenges with the credentials of one peer, and never with any others.

    Keep one for as long as the credentials are in use (a registration, a call): it then sends
    credentials ahead of the challenge and counts nonces as the server expects.
    """

    def __init__(self, credentials: Sequence[Credentials], rng: random.Random) -> None:
        self._credentials = tuple(credentials)
        self._rng = rng
        self._realms: OrderedDict[tuple[str, str], _Realm] = OrderedDict()

    def authorize(self, method: str, uri: str, body: bytes = b"") -> list[HeaderPair]:
        """(name, value) rows for a request, from the challenges seen so far; [] at first."""
        return [
            (header, self._answer(realm, method, uri, body))
            for (header, _), realm in self._realms.items()
        ]

    def learn(self, response: Response) -> list[tuple[str, str]]:
        """Take in the challenges of a 401 or 407; the (header, realm) pairs now answerable.

        Of several challenges of a realm the strongest algorithm is taken, the topmost of equals
        (RFC 8760 §2.4 leaves the choice to the client's policy).
        """
        if response.status == 401:
            source, header = "WWW-Authenticate", "Authorization"
        elif response.status == 407:
            source, header = "Proxy-Authenticate", "Proxy-Authorization"
        else:
            return []
        best: dict[str, Challenge] = {}
        for value in response.headers.rows(source)[:MAX_CHALLENGES]:
            try:
                challenge = Challenge.parse(value)
            except SyntaxFault:
                continue
            if challenge.qop and not {"auth", "auth-int"} & set(challenge.qop):
                continue
            known = best.get(challenge.realm)
            if known is None or strength(challenge.algorithm) > strength(known.algorithm):
                best[challenge.realm] = challenge
        learned = []
        for realm, challenge in best.items():
            credentials = self._credentials_for(realm)
            if credentials is None:
                continue
            key = (header, realm)
            self._realms.pop(key, None)
            self._realms[key] = _Realm(challenge, credentials)
            if len(self._realms) > MAX_CLIENT_REALMS:
                self._realms.popitem(last=False)
            learned.append(key)
        return learned

    def is_stale(self, header: str, realm: str) -> bool:
        """Whether the last challenge of (header, realm) said that only the nonce was too old."""
        known = self._realms.get((header, realm))
        return known is not None and known.challenge.stale

    def forget(self) -> None:
        """Drop what challenges taught, after a refusal: the next request starts without."""
        self._realms.clear()

    def _credentials_for(self, realm: str) -> Credentials | None:
        for credentials in self._credentials:
            if credentials.realm == realm:
                return credentials
        return next((c for c in self._credentials if not c.realm), None)

    def _answer(self, realm: _Realm, method: str, uri: str, body: bytes) -> str:
        challenge, credentials = realm.challenge, realm.credentials
        qop = ""
        if challenge.qop:
            qop = "auth" if "auth" in challenge.qop else "auth-int"
        realm.count += 1
        nc = f"{realm.count:08x}" if qop else ""
        needs_cnonce = bool(qop) or challenge.algorithm.endswith("-sess")
        cnonce = f"{self._rng.getrandbits(128):032x}" if needs_cnonce else ""
        secret = stored_secret(
            challenge.algorithm, credentials.username, challenge.realm, credentials.password
        )
        username = credentials.username
        if challenge.userhash:
            username = user_hash(challenge.algorithm, username, challenge.realm)
        return str(
            Authorization(
                username=username,
                realm=challenge.realm,
                nonce=challenge.nonce,
                uri=uri,
                response=digest_response(
                    challenge.algorithm,
                    secret,
                    method=method,
                    uri=uri,
                    nonce=challenge.nonce,
                    nc=nc,
                    cnonce=cnonce,
                    qop=qop,
                    body=body,
                ),
                algorithm=challenge.algorithm,
                qop=qop,
                nc=nc,
                cnonce=cnonce,
                opaque=challenge.opaque,
                userhash=challenge.userhash,
            )
        )


def digest_flow(
    client: DigestClient, method: str, uri: str, body: bytes = b""
) -> Generator[list[HeaderPair], Response, None]:
    """One request through its challenges: yields the Authorization rows to send it with.

    Send the final response in. The generator yields again when the request shall be sent once
    more (with a new branch and CSeq, RFC 3261 §22.2), and ends when that response is the answer.
    A realm is answered once, and once more when the server calls the nonce stale, or when the
    first answer was made ahead of its challenge.
    """
    rows = client.authorize(method, uri, body)
    answered: dict[tuple[str, str], int] = {}
    for _ in range(MAX_AUTH_ROUNDS):
        response = yield rows
        learned = client.learn(response)
        again = False
        for key in learned:
            count = answered.get(key, 0)
            if count == 0 or (count < MAX_AUTH_ATTEMPTS and client.is_stale(*key)):
                again = True
            answered[key] = count + 1
        if not again:
            if learned:
                client.forget()
            return
        rows = client.authorize(method, uri, body)


# -- server ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a server makes of credentials.

    ok: the user proved the password with a nonce that is good. username: the name claimed; empty
    when no credentials for the realm were there. stale: the password was right, the nonce was not,
    so the challenge to send says `stale=true`. reason: for the trace, never for the peer.
    """

    ok: bool
    username: str = ""
    stale: bool = False
    reason: str = ""


@dataclass(slots=True)
class _Window:
    """Nonce counts seen of one nonce: the highest, and one bit for each of those below."""

    issued: float
    highest: int = 0
    seen: int = 0

    def take(self, count: int) -> bool:
        """Whether `count` is new; it is not from then on."""
        if count > self.highest:
            # The peer chooses the count: the shift is cut off at the width of the window.
            shift = min(count - self.highest, NONCE_COUNT_WINDOW)
            self.seen = (self.seen << shift | 1) & ((1 << NONCE_COUNT_WINDOW) - 1)
            self.highest = count
            return True
        behind = self.highest - count
        if behind >= NONCE_COUNT_WINDOW or self.seen >> behind & 1:
            return False
        self.seen |= 1 << behind
        return True


class DigestServer:
    """Challenges and verifies, for one realm.

    `secret` signs the nonces: nobody without it can make one, and none is stored until somebody
    has proved a password with it. A refused request costs the same work and gets the same answer
    whether the user exists or not. `now` is in seconds of a clock that everybody who holds
    `secret` shares.
    """

    def __init__(
        self,
        realm: str,
        secret: bytes,
        rng: random.Random,
        *,
        algorithms: Sequence[str] = ("SHA-256", "MD5"),
        seconds: float = NONCE_SECONDS,
        qop: tuple[str, ...] = ("auth",),
    ) -> None:
        """`algorithms` are offered in this order, the best first (RFC 8760 §2.3)."""
        self.realm = realm
        self._secret = secret
        self._rng = rng
        self._algorithms = tuple(algorithms)
        self._seconds = seconds
        self._qop = qop
        self._windows: OrderedDict[str, _Window] = OrderedDict()
        self._evicted_until = float("-inf")

    def challenges(self, now: float, *, source: str = "", stale: bool = False) -> list[str]:
        """Values of WWW-Authenticate (or Proxy-Authenticate), one header row each, in order.

        The nonce is good only for requests from `source`, a numeric host.
        """
        nonce = self._mint(now, source)
        return [
            str(Challenge(self.realm, nonce, algorithm, self._qop, stale=stale))
            for algorithm in self._algorithms
        ]

    def verify(
        self,
        values: Iterable[str],
        method: str,
        lookup: Callable[[str], str | None],
        now: float,
        *,
        source: str = "",
        body: bytes = b"",
        request_uri: str | None = None,
    ) -> Verdict:
        """Check the Authorization rows of a request.

        `lookup` gives the password of a user name, None when there is no such user. With
        `request_uri` the credentials must have been made for it (RFC 7616 §3.4.6); leave it out
        behind a proxy that rewrites it. Never raises for what a peer sent.
        """
        given = self._ours(values)
        if given is None:
            return Verdict(False, reason="no credentials")
        password = lookup(given.username)
        # An empty password proves nothing, and an unknown user is checked like a known one.
        usable = bool(password) and not given.userhash
        expected = digest_response(
            given.algorithm,
            stored_secret(given.algorithm, given.username, given.realm, password or "\x00"),
            method=method,
            uri=given.uri,
            nonce=given.nonce,
            nc=given.nc,
            cnonce=given.cnonce,
            qop=given.qop,
            body=body,
        )
        right = hmac.compare_digest(
            expected.encode(), given.response.lower().encode("utf-8", "surrogateescape")
        )
        issued = self._issued(given.nonce, source)
        if not (usable and right):
            return Verdict(False, given.username, reason="wrong user or password")
        if request_uri is not None and not _same_uri(given.uri, request_uri):
            return Verdict(False, given.username, reason="credentials for another URI")
        if issued is None or not -1.0 <= now - issued <= self._seconds:
            return Verdict(False, given.username, stale=True, reason="nonce not ours or too old")
        if not self._take(given, issued, now):
            return Verdict(False, given.username, stale=True, reason="nonce count used before")
        return Verdict(True, given.username)

    def __len__(self) -> int:
        """Nonces remembered."""
        return len(self._windows)

    def _ours(self, values: Iterable[str]) -> Authorization | None:
        for value in list(values)[:MAX_CHALLENGES]:
            try:
                given = Authorization.parse(value)
            except SyntaxFault:
                continue
            qop_known = not given.qop or given.qop in self._qop
            if given.realm == self.realm and given.algorithm in self._algorithms and qop_known:
                return given
        return None

    def _mint(self, now: float, source: str) -> str:
        stamp = int(now * 1000).to_bytes(8, "big", signed=True) + self._rng.randbytes(8)
        return urlsafe_b64encode(stamp + self._seal(stamp, source)).decode()

    def _seal(self, stamp: bytes, source: str) -> bytes:
        text = f"{self.realm}\n{source}\n".encode("utf-8", "surrogateescape")
        return hmac.digest(self._secret, text + stamp, "sha256")[:20]

    def _issued(self, nonce: str, source: str) -> float | None:
        """When we made `nonce`; None when we did not, or not for `source`."""
        try:
            raw = urlsafe_b64decode(nonce.encode("ascii"))
        except ValueError:
            return None
        # Base64 has many spellings of the same bytes; ours is one of them.
        if len(raw) != 36 or urlsafe_b64encode(raw).decode() != nonce:
            return None
        if not hmac.compare_digest(raw[16:], self._seal(raw[:16], source)):
            return None
        return int.from_bytes(raw[:8], "big", signed=True) / 1000

    def _take(self, given: Authorization, issued: float, now: float) -> bool:
        """Count one use of a good nonce; False when this use was seen before."""
        if given.qop:
            if not _COUNT.fullmatch(given.nc):
                return False
            count = int(given.nc, 16)
        else:
            # RFC 2069 clients count nothing: such a nonce is good for one request.
            count = 1
        if not 0 < count <= MAX_NONCE_COUNT:
            return False
        window = self._windows.get(given.nonce)
        if window is None:
            if issued <= self._evicted_until:
                return False
            self._forget(now)
            window = self._windows[given.nonce] = _Window(issued)
        return window.take(count)

    def _forget(self, now: float) -> None:
        """Make room. What is dropped before its time is refused by age from then on."""
        while self._windows:
            oldest = next(iter(self._windows.values()))
            if now - oldest.issued <= self._seconds and len(self._windows) < MAX_NONCES:
                return
            self._windows.popitem(last=False)
            if now - oldest.issued <= self._seconds:
                self._evicted_until = max(self._evicted_until, oldest.issued)


def _same_uri(one: str, other: str) -> bool:
    if one == other:
        return True
    try:
        return Uri.parse(one).matches(Uri.parse(other))
    except SyntaxFault:
        return False
