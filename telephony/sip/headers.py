"""Header rows of a message, and the header values that every message needs: Via and CSeq.

`Headers` keeps rows in their order. Names compare without case, and compact forms (RFC 3261
§7.3.3) count as, and are written as, their long names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from telephony.sip.limits import MAX_CSEQ
from telephony.sip.uri import (
    HOST,
    TOKEN,
    Params,
    SyntaxFault,
    find_param,
    format_params,
    parse_params,
)

_T = TypeVar("_T")

_words = str.split

_NAMES = _words(
    "Accept Accept-Contact Accept-Encoding Accept-Language Alert-Info Allow Allow-Events "
    "Authentication-Info Authorization Call-ID Call-Info Contact Content-Disposition "
    "Content-Encoding Content-Language Content-Length Content-Type CSeq Date Diversion "
    "Error-Info Event Expires Flow-Timer From Geolocation History-Info Identity Info-Package "
    "In-Reply-To Join Max-Forwards MIME-Version Min-Expires Min-SE Organization "
    "P-Access-Network-Info P-Asserted-Identity P-Associated-URI P-Called-Party-ID "
    "P-Charging-Vector P-Preferred-Identity Path Priority Privacy Proxy-Authenticate "
    "Proxy-Authorization Proxy-Require RAck Reason Record-Route Recv-Info Refer-Sub Refer-To "
    "Referred-By Reject-Contact Remote-Party-ID Replaces Reply-To Request-Disposition Require "
    "Retry-After Route RSeq Server Service-Route Session-Expires SIP-ETag SIP-If-Match Subject "
    "Subscription-State Supported Target-Dialog Timestamp To Unsupported User-Agent Via Warning "
    "WWW-Authenticate"
)

#: RFC 3261 §7.3.3, and the forms of RFC 3515, 3892, 4028, 6665, 3841 and 8224.
_COMPACT = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "n": "Identity-Info",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}

#: Spelling on the wire → (key, name as we write it). Spellings not listed take the slow way.
KNOWN: dict[str, tuple[str, str]] = {}
for _name in _NAMES:
    for _spelling in (_name, _name.lower(), _name.upper(), _name.title()):
        KNOWN[_spelling] = (_name.lower(), _name)
for _short, _name in _COMPACT.items():
    KNOWN[_short] = KNOWN[_short.upper()] = (_name.lower(), _name)

#: Headers whose value is a comma-separated list (RFC 3261 §7.3.1). The four that carry
#: credentials and challenges have commas of their own and are never split.
LIST_HEADERS = frozenset(
    _words(
        "accept accept-contact accept-encoding accept-language alert-info allow allow-events "
        "call-info contact content-encoding content-language diversion error-info history-info "
        "in-reply-to p-asserted-identity p-associated-uri p-preferred-identity path "
        "proxy-require reason record-route recv-info reject-contact request-disposition require "
        "route service-route supported unsupported via warning"
    )
)

_NAME = re.compile(rf"{TOKEN}{{1,128}}")
_ELEMENT = re.compile(r"(?:[^\",<]++|\"(?:[^\"\\]++|\\.)*+\"|<[^>]*+>)*+", re.DOTALL)
_VIA = re.compile(
    rf"[ \t]*SIP[ \t]*/[ \t]*({TOKEN}++)[ \t]*/[ \t]*({TOKEN}++)[ \t]+"
    rf"({HOST})(?:[ \t]*:[ \t]*([0-9]{{1,5}}))?[ \t]*",
    re.IGNORECASE,
)
_CSEQ = re.compile(rf"([0-9]{{1,64}})[ \t]+({TOKEN}+)")


def header_name(name: str) -> tuple[str, str]:
    """(key, name to write) of a header name in any spelling. Raises SyntaxFault if no token."""
    known = KNOWN.get(name)
    if known is not None:
        return known
    name = name.rstrip(" \t")
    if not _NAME.fullmatch(name):
        raise SyntaxFault("malformed header name")
    lower = name.lower()
    return KNOWN.get(lower) or (lower, name)


def check_value(value: str) -> str:
    """`value` if it may stand in a header row; ValueError when it would end the row (CR, LF)."""
    if "\n" in value or "\r" in value:
        raise SyntaxFault("line break in a header value")
    return value


def split_list(value: str) -> list[str]:
    """Elements of a comma-separated value, stripped; commas in quotes and <> do not separate.

    Empty elements are kept. When a quote or bracket is not closed the rest is one element.
    """
    if "," not in value:
        return [value.strip(" \t")]
    if '"' not in value and "<" not in value:
        return [element.strip(" \t") for element in value.split(",")]
    elements = []
    position, end = 0, len(value)
    while True:
        found = _ELEMENT.match(value, position)
        stop = end if found is None else found.end()
        if stop < end and value[stop] != ",":
            stop = end
        elements.append(value[position:stop].strip(" \t"))
        if stop >= end:
            return elements
        position = stop + 1


class Headers:
    """Ordered, case-insensitive multimap of header rows. Values are text without CR or LF."""

    __slots__ = ("_parsed", "_rows")

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        """From (name, value) pairs. Raises SyntaxFault (a ValueError) as `add` does."""
        self._rows: list[tuple[str, str, str]] = []
        self._parsed: dict[str, Any] = {}
        for name, value in items:
            self.add(name, value)

    @classmethod
    def from_rows(cls, rows: list[tuple[str, str, str]]) -> Headers:
        """From rows (key, name, value) that were checked already; takes the list over."""
        headers = cls.__new__(cls)
        headers._rows = rows
        headers._parsed = {}
        return headers

    def get(self, name: str) -> str | None:
        """The first row's value, whole (not split at commas); None when there is no such row."""
        key = _key(name)
        for row in self._rows:
            if row[0] == key:
                return row[2]
        return None

    def rows(self, name: str) -> list[str]:
        """The values of all rows called `name`, whole."""
        key = _key(name)
        return [row[2] for row in self._rows if row[0] == key]

    def all(self, name: str) -> list[str]:
        """All values called `name`, split at commas where it is a list, empty ones left out."""
        key = _key(name)
        values = [row[2] for row in self._rows if row[0] == key]
        if key not in LIST_HEADERS:
            return values
        return [element for value in values for element in split_list(value) if element]

    def __contains__(self, name: str) -> bool:
        key = _key(name)
        return any(row[0] == key for row in self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((row[1], row[2]) for row in self._rows)

    def __eq__(self, other: object) -> bool:
        """Same rows in the same order, whatever the spelling of their names."""
        if not isinstance(other, Headers):
            return NotImplemented
        return [(r[0], r[2]) for r in self._rows] == [(r[0], r[2]) for r in other._rows]

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Headers({self.items()!r})"

    def items(self) -> list[tuple[str, str]]:
        """Rows in order as (name, value); names are the long, canonical ones where known."""
        return [(row[1], row[2]) for row in self._rows]

    def add(self, name: str, value: str) -> None:
        """Append a row. SyntaxFault for a name that is no token or a value with CR or LF."""
        key, shown = header_name(name)
        self._rows.append((key, shown, check_value(value)))
        self._parsed.pop(key, None)

    def prepend(self, name: str, value: str) -> None:
        """Put a row before all others, as a new Via or Record-Route must be. Raises as `add`."""
        key, shown = header_name(name)
        self._rows.insert(0, (key, shown, check_value(value)))
        self._parsed.pop(key, None)

    def set(self, name: str, value: str) -> None:
        """One row in place of all rows called `name`, where the first of them was. As `add`."""
        key, shown = header_name(name)
        new = (key, shown, check_value(value))
        for index, row in enumerate(self._rows):
            if row[0] == key:
                self._rows[index + 1 :] = [r for r in self._rows[index + 1 :] if r[0] != key]
                self._rows[index] = new
                break
        else:
            self._rows.append(new)
        self._parsed.pop(key, None)

    def remove(self, name: str) -> None:
        """Drop all rows called `name`."""
        key = _key(name)
        self._rows = [row for row in self._rows if row[0] != key]
        self._parsed.pop(key, None)

    def remove_first(self, name: str) -> str | None:
        """Take out the first value called `name` (of a list row: its first element)."""
        return self._swap_first(name, None)

    def replace_first(self, name: str, value: str) -> None:
        """Put `value` in place of the first value called `name`; adds a row if there is none."""
        if self._swap_first(name, check_value(value)) is None:
            self.prepend(name, value)

    def _swap_first(self, name: str, new: str | None) -> str | None:
        key = _key(name)
        for index, row in enumerate(self._rows):
            if row[0] != key:
                continue
            elements = split_list(row[2]) if key in LIST_HEADERS else [row[2]]
            kept = elements[1:] if new is None else [new, *elements[1:]]
            if kept:
                self._rows[index] = (key, row[1], ", ".join(kept))
            else:
                del self._rows[index]
            self._parsed.pop(key, None)
            return elements[0]
        return None

    def copy(self) -> Headers:
        """Rows of its own; changing either leaves the other as it is."""
        copied = Headers.from_rows(self._rows.copy())
        copied._parsed = self._parsed.copy()
        return copied

    def copy_from(self, other: Headers, *names: str) -> None:
        """Append all rows of `other` called one of `names`, in the order of `names`."""
        for name in names:
            key = _key(name)
            self._rows.extend(row for row in other._rows if row[0] == key)
            self._parsed.pop(key, None)

    def parsed(self, key: str, parse: Callable[[list[str]], _T]) -> _T:
        """`parse(rows)` of the header `key` (long name, lower case), kept until it is changed."""
        found = self._parsed.get(key)
        if found is None:
            found = parse([row[2] for row in self._rows if row[0] == key])
            self._parsed[key] = found
        value: _T = found
        return value

    def keep_parsed(self, key: str, value: object) -> None:
        """Store what the parser made of the header `key` already."""
        self._parsed[key] = value


def _key(name: str) -> str:
    known = KNOWN.get(name)
    if known is not None:
        return known[0]
    lower = name.lower()
    known = KNOWN.get(lower)
    return known[0] if known is not None else lower


@dataclass(frozen=True, slots=True)
class Via:
    """One Via value (RFC 3261 §20.42). `transport` in upper case, IPv6 `host` without brackets."""

    transport: str
    host: str
    port: int | None = None
    params: Params = ()
    raw: str = field(default="", init=False, compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Via:
        """Raises SyntaxFault, also for a version other than 2.0."""
        found = _VIA.match(text)
        if found is None:
            raise SyntaxFault("malformed Via")
        version, transport, host, port_text = found.groups()
        if version != "2.0":
            raise SyntaxFault("Via of another SIP version")
        via = cls(
            transport.upper(),
            host[1:-1] if host[0] == "[" else host,
            _port(port_text),
            parse_params(text[found.end() :]),
        )
        object.__setattr__(via, "raw", text)
        return via

    @classmethod
    def salvage(cls, text: str) -> Via | None:
        """What can be read of a broken Via, without parameters but branch: enough to answer to."""
        found = _VIA.match(text)
        if found is None:
            return None
        _, transport, host, port_text = found.groups()
        branch = re.search(rf";[ \t]*branch[ \t]*=[ \t]*({TOKEN}{{1,256}})", text[found.end() :])
        params = (("branch", branch[1]),) if branch else ()
        try:
            port = _port(port_text)
        except SyntaxFault:
            port = None
        return cls(transport.upper(), host[1:-1] if host[0] == "[" else host, port, params)

    def __str__(self) -> str:
        if self.raw:
            return self.raw
        return f"SIP/2.0/{self.transport} {self.sent_by}{format_params(self.params)}"

    @property
    def sent_by(self) -> str:
        """host[:port] as written, brackets around IPv6 (part of the transaction key, §17.2.3)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def branch(self) -> str | None:
        """The branch; None without one (RFC 2543 peers)."""
        return find_param(self.params, "branch")

    @property
    def has_cookie(self) -> bool:
        """Whether the branch alone names the transaction (RFC 3261 §8.1.1.7).

        A branch that is the cookie and nothing else is not unique; such a request is matched as
        RFC 2543 ones are (RFC 4475 §3.2.1).
        """
        branch = find_param(self.params, "branch")
        return branch is not None and len(branch) > 7 and branch[:7].lower() == "z9hg4bk"

    @property
    def received(self) -> str | None:
        return find_param(self.params, "received")

    @property
    def rport(self) -> str | None:
        """RFC 3581: None when absent, "" when asked for, else the number."""
        return find_param(self.params, "rport")

    @property
    def maddr(self) -> str | None:
        return find_param(self.params, "maddr")

    def param(self, name: str) -> str | None:
        """Value of any parameter: None when absent, "" when it has no value."""
        return find_param(self.params, name)

    def with_param(self, name: str, value: str) -> Via:
        """The same Via with the parameter set, in its place when it was there already."""
        lower = name.lower()
        params = [(n, value) if n.lower() == lower else (n, v) for n, v in self.params]
        if all(n.lower() != lower for n, _ in params):
            params.append((name, value))
        return Via(self.transport, self.host, self.port, tuple(params))


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    port = int(text)
    if port > 65535:
        raise SyntaxFault("port above 65535 in a Via")
    return port


@dataclass(frozen=True, slots=True)
class CSeq:
    """Sequence number and method (RFC 3261 §20.16)."""

    number: int
    method: str

    @classmethod
    def parse(cls, text: str) -> CSeq:
        """Raises SyntaxFault, also for numbers above 2**32 - 1."""
        found = _CSEQ.fullmatch(text)
        if found is None:
            raise SyntaxFault("malformed CSeq")
        number = int(found[1])
        if number > MAX_CSEQ:
            raise SyntaxFault("CSeq above 2**32 - 1")
        return cls(number, found[2])

    def __str__(self) -> str:
        return f"{self.number} {self.method}"
