"""SIP, SIPS and tel URIs, and the name-addr of From, To, Contact and Route (RFC 3261 §19.1, §25.1).

Both types keep the text they were parsed from, so that what we pass on is what we got; a value
changed with `dataclasses.replace` is written anew from its parts. Every pattern is linear: classes
that follow each other are disjoint, and repetition is possessive.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from telephony.sip.limits import MAX_PARAMS

Params = tuple[tuple[str, str], ...]
"""Parameters in order: (name as written, value; "" where it has none)."""


class SyntaxFault(ValueError):
    """A text that does not follow its grammar. The message says which part."""


TOKEN = r"[A-Za-z0-9\-.!%*_+`'~]"
HOST = r"(?:[A-Za-z0-9_](?:[A-Za-z0-9._\-]*+)|\[[0-9A-Fa-f:.]{2,45}\])"
# '#' is no user character in the grammar, but service codes such as *21# are dialled unescaped.
_USERINFO = re.compile(r"([A-Za-z0-9\-_.!~*'()&=+$,;?/%#]++)(?::([A-Za-z0-9\-_.!~*'()&=+$,%]*+))?")
_HOSTPART = re.compile(
    rf"({HOST})(?::([0-9]{{1,5}}))?"
    # Deviation: '=' inside a parameter's value is taken, because phones put base64 there.
    r"((?:;[A-Za-z0-9\-_.!~*'()%\[\]/:&+$]++(?:=[A-Za-z0-9\-_.!~*'()%\[\]/:&+$=]*+)?)*+)"
    r"(?:\?([A-Za-z0-9\-_.!~*'()%\[\]/?:+$=&]*+))?"
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*+")
_TEL = re.compile(r"([0-9A-Fa-f*#+\-.()]++)((?:;[^\s;<>\"@]++)*+)")
_OPAQUE = re.compile(r"[^\s<>\"]++")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PARAM = re.compile(
    rf"[ \t]*;[ \t]*({TOKEN}++)"
    r"(?:[ \t]*=[ \t]*(?:\"((?:[^\"\\]++|\\.)*+)\"|([^ \t;,\"<>]++)))?[ \t]*",
    re.DOTALL,
)
_NAME_ADDR = re.compile(
    # Deviation: a display name without quotes may hold more than tokens (dots, parentheses,
    # non-ASCII), as much equipment sends it; it may not hold what would move the address.
    r"[ \t]*(?:\"((?:[^\"\\]++|\\.)*+)\"[ \t]*|([^\"<>,;:@\x00-\x08\x0a-\x1f\x7f]*+))"
    r"<([^<>]*+)>(.*)",
    re.DOTALL,
)
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9\-.!%*_+`'~\[\]:/@?&$=()]+")
_TOKENS = re.compile(rf"{TOKEN}++(?:[ ]{TOKEN}++)*+")
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_NEEDS_PAIR = re.compile(r'(["\\])')

_USER_SAFE = "-_.!~*'()&=+$,;?/"
_PASSWORD_SAFE = "-_.!~*'()&=+$,"
_PARAM_SAFE = "-_.!~*'()[]/:&+$"
_HEADER_SAFE = "-_.!~*'()[]/?:+$"


def unescape(text: str) -> str:
    """One round of percent decoding (RFC 3261 §19.1.2); bytes that are no UTF-8 survive."""
    if "%" not in text:
        return text
    if _BAD_ESCAPE.search(text):
        raise SyntaxFault("bad percent escape in a URI")
    return unquote(text, errors="surrogateescape")


def escape(text: str, safe: str) -> str:
    """Percent-encode what is neither unreserved nor in `safe`; the inverse of `unescape`."""
    return quote(text, safe=safe, errors="surrogateescape")


def quote_string(text: str) -> str:
    """`text` as a quoted-string (RFC 3261 §25.1)."""
    return '"' + _NEEDS_PAIR.sub(r"\\\1", text) + '"'


def unquote_pairs(text: str) -> str:
    """The inside of a quoted-string without its backslashes."""
    return _QUOTED_PAIR.sub(r"\1", text) if "\\" in text else text


def parse_params(text: str) -> Params:
    """`;name=value` parameters of a header (generic-param), quoted values unquoted.

    Raises SyntaxFault when `text` is not wholly parameters, or has more than MAX_PARAMS.
    """
    if not text:
        return ()
    params = []
    position, end = 0, len(text)
    match = _PARAM.match
    while position < end:
        found = match(text, position)
        if found is None:
            raise SyntaxFault("malformed parameter")
        name, quoted, plain = found.groups()
        if plain is not None:
            params.append((name, plain))
        elif quoted is not None:
            params.append((name, unquote_pairs(quoted)))
        else:
            params.append((name, ""))
        position = found.end()
    if len(params) > MAX_PARAMS:
        raise SyntaxFault("too many parameters")
    return tuple(params)


def format_params(params: Params) -> str:
    """The wire form of header parameters; values that are no token are quoted."""
    parts = []
    for name, value in params:
        if not value:
            parts.append(f";{name}")
        elif _PLAIN_VALUE.fullmatch(value):
            parts.append(f";{name}={value}")
        else:
            parts.append(f";{name}={quote_string(value)}")
    return "".join(parts)


def find_param(params: Params, name: str) -> str | None:
    """The value of the first parameter called `name` (any case); "" for one without value."""
    for key, value in params:
        if key == name:
            return value
    wanted = name.lower()
    for key, value in params:
        if key.lower() == wanted:
            return value
    return None


@dataclass(frozen=True, slots=True)
class Uri:
    """A URI. Text fields are decoded (one round); `str()` gives the wire form.

    `scheme` is in lower case. For sip and sips `host` is set (IPv6 without brackets); for tel
    `user` holds the number; every other scheme has its text in `opaque`.
    """

    scheme: str
    user: str | None = None
    password: str | None = None
    host: str = ""
    port: int | None = None
    params: Params = ()
    headers: Params = ()
    opaque: str = ""
    raw: str = field(default="", init=False, compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Uri:
        """Parse an addr-spec or absoluteURI. Raises SyntaxFault."""
        scheme, colon, rest = text.partition(":")
        lower = scheme.lower()
        if lower == "sip" or lower == "sips":
            uri = _parse_sip(cls, lower, rest)
        elif lower == "tel":
            found = _TEL.fullmatch(rest)
            if found is None:
                raise SyntaxFault("malformed tel URI")
            uri = cls("tel", found[1], params=_uri_params(found[2]))
        else:
            if not colon or not _SCHEME.fullmatch(scheme) or not _OPAQUE.fullmatch(rest):
                raise SyntaxFault("malformed URI")
            uri = cls(lower, opaque=rest)
        object.__setattr__(uri, "raw", text)
        return uri

    def __str__(self) -> str:
        if self.raw:
            return self.raw
        if self.scheme == "tel":
            return f"tel:{self.user or ''}{_format_uri_params(self.params)}"
        if self.opaque:
            return f"{self.scheme}:{self.opaque}"
        userinfo = ""
        if self.user is not None:
            userinfo = escape(self.user, _USER_SAFE)
            if self.password is not None:
                userinfo += ":" + escape(self.password, _PASSWORD_SAFE)
            userinfo += "@"
        text = f"{self.scheme}:{userinfo}{self.hostport}{_format_uri_params(self.params)}"
        if self.headers:
            pairs = (
                f"{escape(n, _HEADER_SAFE)}={escape(v, _HEADER_SAFE)}" for n, v in self.headers
            )
            text += "?" + "&".join(pairs)
        return text

    @property
    def is_sip(self) -> bool:
        """Whether the scheme is sip or sips."""
        return self.scheme == "sip" or self.scheme == "sips"

    @property
    def hostport(self) -> str:
        """Host, in brackets when it is IPv6, and the port when there is one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    def param(self, name: str) -> str | None:
        """Value of a URI parameter: None when absent, "" when it has no value (`;lr`)."""
        return find_param(self.params, name)

    def matches(self, other: Uri) -> bool:
        """Equality of RFC 3261 §19.1.4, which is not transitive and so not `==`."""
        if (
            self.scheme != other.scheme
            or self.user != other.user
            or self.password != other.password
            or self.host.lower() != other.host.lower()
            or self.port != other.port
            or self.opaque != other.opaque
        ):
            return False
        mine = {name.lower(): value.lower() for name, value in self.params}
        theirs = {name.lower(): value.lower() for name, value in other.params}
        for name in mine.keys() | theirs.keys():
            if name in mine and name in theirs:
                if mine[name] != theirs[name]:
                    return False
            elif name in ("user", "ttl", "method", "maddr", "transport"):
                return False
        return sorted((n.lower(), v) for n, v in self.headers) == sorted(
            (n.lower(), v) for n, v in other.headers
        )


def _parse_sip(cls: type[Uri], scheme: str, rest: str) -> Uri:
    user = password = None
    if "@" in rest:
        userinfo, _, rest = rest.partition("@")
        found = _USERINFO.fullmatch(userinfo)
        if found is None:
            raise SyntaxFault("malformed user part in a URI")
        user, password = found.groups()
        if "%" in userinfo:
            user = unescape(user)
            password = None if password is None else unescape(password)
    found = _HOSTPART.fullmatch(rest)
    if found is None:
        raise SyntaxFault("malformed host, port or parameters in a URI")
    host, port_text, params, headers = found.groups()
    if host[0] == "[":
        host = host[1:-1]
    port = None
    if port_text is not None:
        port = int(port_text)
        if port > 65535:
            raise SyntaxFault("port above 65535 in a URI")
    return cls(
        scheme,
        user,
        password,
        host,
        port,
        _uri_params(params) if params else (),
        _uri_headers(headers) if headers else (),
    )


def _uri_params(text: str) -> Params:
    pieces = text.split(";")
    if len(pieces) > MAX_PARAMS + 1:
        raise SyntaxFault("too many parameters in a URI")
    params = []
    for piece in pieces[1:]:
        name, _, value = piece.partition("=")
        params.append((unescape(name), unescape(value)))
    return tuple(params)


def _uri_headers(text: str) -> Params:
    pieces = text.split("&")
    if len(pieces) > MAX_PARAMS:
        raise SyntaxFault("too many headers in a URI")
    headers = []
    for piece in pieces:
        name, equals, value = piece.partition("=")
        if not name or not equals:
            raise SyntaxFault("malformed headers in a URI")
        headers.append((unescape(name), unescape(value)))
    return tuple(headers)


def _format_uri_params(params: Params) -> str:
    return "".join(
        f";{escape(name, _PARAM_SAFE)}={escape(value, _PARAM_SAFE)}"
        if value
        else f";{escape(name, _PARAM_SAFE)}"
        for name, value in params
    )


@dataclass(frozen=True, slots=True)
class NameAddr:
    """An address with an optional display name and header parameters (RFC 3261 §20.10).

    `display` is without quotes and backslashes. Without angle brackets the parameters belong to
    the header, not to the URI.
    """

    display: str
    uri: Uri
    params: Params = ()
    raw: str = field(default="", init=False, compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> NameAddr:
        """Parse one value of From, To, Contact, Route and their like. Raises SyntaxFault."""
        if "<" in text:
            found = _NAME_ADDR.fullmatch(text)
            if found is None:
                raise SyntaxFault("malformed display name or angle brackets")
            quoted, plain, address, rest = found.groups()
            if quoted is not None:
                display = unquote_pairs(quoted)
            else:
                display = plain.strip(" \t")
            value = cls(display, Uri.parse(address), parse_params(rest))
        else:
            address, semicolon, rest = text.partition(";")
            params = parse_params(semicolon + rest) if semicolon else ()
            value = cls("", Uri.parse(address.strip(" \t")), params)
        object.__setattr__(value, "raw", text)
        return value

    def __str__(self) -> str:
        if self.raw:
            return self.raw
        prefix = ""
        if self.display:
            plain = _TOKENS.fullmatch(self.display)
            prefix = (self.display if plain else quote_string(self.display)) + " "
        return f"{prefix}<{self.uri}>{format_params(self.params)}"

    def param(self, name: str) -> str | None:
        """Value of a header parameter: None when absent, "" when it has no value."""
        return find_param(self.params, name)

    @property
    def tag(self) -> str | None:
        """The tag of From or To (RFC 3261 §19.3)."""
        return find_param(self.params, "tag")

    def with_tag(self, tag: str) -> NameAddr:
        """The same address with `tag` in place of any tag it had."""
        kept = tuple(pair for pair in self.params if pair[0].lower() != "tag")
        return NameAddr(self.display, self.uri, (*kept, ("tag", tag)))
