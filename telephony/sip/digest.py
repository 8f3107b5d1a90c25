"""Digest values and arithmetic (RFC 7616, RFC 8760, RFC 2617; RFC 3261 §22): no state, no policy.

No text of a password is ever part of a repr.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

from telephony.sip.limits import MAX_AUTH_PARAMS
from telephony.sip.uri import TOKEN, SyntaxFault, quote_string, unquote_pairs

#: Name without `-sess`, upper case → hashlib's name, weakest first. MD5 stays because RFC 8760
#: keeps it for the peers that know nothing else.
_HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}
_STRENGTH = {name: rank for rank, name in enumerate(_HASHES)}
_NAMES = {(name + suffix).lower(): name + suffix for name in _HASHES for suffix in ("", "-sess")}

_FOLD = re.compile(r"\r\n[ \t]+")
_SCHEME = re.compile(rf"[ \t]*({TOKEN}++)[ \t]+")
_PARAM = re.compile(
    rf"[ \t]*({TOKEN}++)[ \t]*=[ \t]*(?:\"((?:[^\"\\]++|\\.)*+)\"|([^ \t\r\n,\"]*+))[ \t]*(,|$)",
    re.DOTALL,
)


def _parse_auth(text: str) -> dict[str, str]:
    """Parameters of a Digest challenge or of Digest credentials, names in lower case."""
    text = _FOLD.sub(" ", text).strip(" \t")
    scheme = _SCHEME.match(text)
    if scheme is None or scheme[1].lower() != "digest":
        raise SyntaxFault("not a Digest header")
    params: dict[str, str] = {}
    position = scheme.end()
    while True:
        found = _PARAM.match(text, position)
        if found is None or len(params) >= MAX_AUTH_PARAMS:
            raise SyntaxFault("malformed Digest parameters")
        name, quoted, plain, comma = found.groups()
        name = name.lower()
        if name in params:
            raise SyntaxFault("repeated Digest parameter")
        params[name] = unquote_pairs(quoted) if quoted is not None else plain
        position = found.end()
        if not comma:
            return params


def _algorithm(params: dict[str, str]) -> str:
    """The canonical algorithm name; MD5 when none is named (RFC 7616 §3.3)."""
    name = _NAMES.get(params.get("algorithm", "MD5").lower())
    if name is None:
        raise SyntaxFault("unknown digest algorithm")
    return name


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and password. `realm` limits where they are used; "" answers any realm of the
    peer they were given for, so hand them out per trunk, never in common."""

    username: str
    password: str = field(repr=False)
    realm: str = ""


@dataclass(frozen=True, slots=True)
class Challenge:
    """The content of a WWW-Authenticate or Proxy-Authenticate header."""

    realm: str
    nonce: str
    algorithm: str = "MD5"
    qop: tuple[str, ...] = ()
    opaque: str | None = None
    stale: bool = False
    userhash: bool = False

    @classmethod
    def parse(cls, text: str) -> Challenge:
        """Raises SyntaxFault; also for schemes other than Digest and for unknown algorithms,
        which the client must pass over (RFC 8760 §2.4; RFC 3261 §22 forbids Basic)."""
        params = _parse_auth(text)
        if "realm" not in params or not params.get("nonce"):
            raise SyntaxFault("challenge without realm or nonce")
        return cls(
            realm=params["realm"],
            nonce=params["nonce"],
            algorithm=_algorithm(params),
            qop=tuple(q.strip().lower() for q in params.get("qop", "").split(",") if q.strip()),
            opaque=params.get("opaque"),
            stale=params.get("stale", "").lower() == "true",
            userhash=params.get("userhash", "").lower() == "true",
        )

    def __str__(self) -> str:
        parts = [f"realm={quote_string(self.realm)}", f"nonce={quote_string(self.nonce)}"]
        if self.opaque is not None:
            parts.append(f"opaque={quote_string(self.opaque)}")
        if self.stale:
            parts.append("stale=true")
        parts.append(f"algorithm={self.algorithm}")
        if self.qop:
            parts.append(f'qop="{",".join(self.qop)}"')
        if self.userhash:
            parts.append("userhash=true")
        return "Digest " + ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Authorization:
    """The content of an Authorization or Proxy-Authorization header, text as it is hashed."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str = field(repr=False)
    algorithm: str = "MD5"
    qop: str = ""
    nc: str = ""
    cnonce: str = ""
    opaque: str | None = None
    userhash: bool = False

    @classmethod
    def parse(cls, text: str) -> Authorization:
        """Raises SyntaxFault, also for schemes other than Digest and unknown algorithms."""
        params = _parse_auth(text)
        for name in ("username", "realm", "nonce", "response"):
            if name not in params:
                raise SyntaxFault(f"credentials without {name}")
        return cls(
            username=params["username"],
            realm=params["realm"],
            nonce=params["nonce"],
            uri=params.get("uri", ""),
            response=params["response"],
            algorithm=_algorithm(params),
            qop=params.get("qop", "").lower(),
            nc=params.get("nc", ""),
            cnonce=params.get("cnonce", ""),
            opaque=params.get("opaque"),
            userhash=params.get("userhash", "").lower() == "true",
        )

    def __str__(self) -> str:
        parts = [
            f"username={quote_string(self.username)}",
            f"realm={quote_string(self.realm)}",
            f"nonce={quote_string(self.nonce)}",
            f"uri={quote_string(self.uri)}",
            f'response="{self.response}"',
            f"algorithm={self.algorithm}",
        ]
        if self.qop:
            parts += [f"qop={self.qop}", f"nc={self.nc}", f"cnonce={quote_string(self.cnonce)}"]
        elif self.cnonce:
            parts.append(f"cnonce={quote_string(self.cnonce)}")
        if self.opaque is not None:
            parts.append(f"opaque={quote_string(self.opaque)}")
        if self.userhash:
            parts.append("userhash=true")
        return "Digest " + ", ".join(parts)


def _hash(algorithm: str, data: str | bytes) -> str:
    name = _HASHES[algorithm.removesuffix("-sess")]
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogateescape")
    return hashlib.new(name, data, usedforsecurity=False).hexdigest()


def user_hash(algorithm: str, username: str, realm: str) -> str:
    """The user name as sent with `userhash=true` (RFC 7616 §3.4.4)."""
    return _hash(algorithm, f"{username}:{realm}")


def stored_secret(algorithm: str, username: str, realm: str, password: str) -> str:
    """H(username:realm:password), which may be kept in place of the password."""
    return _hash(algorithm, f"{username}:{realm}:{password}")


def digest_response(
    algorithm: str,
    secret: str,
    *,
    method: str,
    uri: str,
    nonce: str,
    nc: str = "",
    cnonce: str = "",
    qop: str = "",
    body: bytes = b"",
) -> str:
    """The `response` of RFC 7616 §3.4.1, in lower-case hexadecimal.

    `secret` is `stored_secret(...)`. Without `qop` it is the form of RFC 2069. `nc` is hashed as
    text, as it was received.
    """
    if algorithm.endswith("-sess"):
        secret = _hash(algorithm, f"{secret}:{nonce}:{cnonce}")
    request = f"{method}:{uri}"
    if qop == "auth-int":
        request += ":" + _hash(algorithm, body)
    hashed = _hash(algorithm, request)
    middle = f"{nonce}:{nc}:{cnonce}:{qop}" if qop else nonce
    return _hash(algorithm, f"{secret}:{middle}:{hashed}")


def strength(algorithm: str) -> int:
    """Rank of an algorithm, the weakest 0, whether `-sess` or not."""
    return _STRENGTH[algorithm.removesuffix("-sess")]
