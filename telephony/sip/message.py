"""Requests and responses (RFC 3261 §7). Mutable, slots only: one is built for every packet.

Text is UTF-8 decoded with surrogateescape, so that bytes which are no UTF-8 leave as they came.
Properties parse on first use and remember; on a message that `parser.parse` returned, those the
parser has checked (Via, From, To, CSeq, Contact, Route, Record-Route) never raise. On a message
built by hand they raise SyntaxFault when the header is missing or malformed.
"""

from __future__ import annotations

from telephony.sip.headers import CSeq, Headers, Via, split_list
from telephony.sip.limits import MAX_DELTA_SECONDS, MAX_MAX_FORWARDS
from telephony.sip.status import reason_phrase
from telephony.sip.uri import NameAddr, SyntaxFault, Uri

_words = str.split

#: Methods that have a specification. Others are answered 501 (RFC 3261 §8.2.1).
METHODS = frozenset(
    _words(
        "INVITE ACK BYE CANCEL OPTIONS REGISTER INFO UPDATE PRACK REFER NOTIFY SUBSCRIBE "
        "MESSAGE PUBLISH"
    )
)


def parse_vias(rows: list[str]) -> tuple[Via, ...]:
    """All Via values in order. Raises SyntaxFault."""
    return tuple(Via.parse(element) for row in rows for element in split_list(row))


def parse_addresses(rows: list[str]) -> tuple[NameAddr, ...]:
    """All addresses of a list header. Raises SyntaxFault, also for empty elements."""
    return tuple(NameAddr.parse(element) for row in rows for element in split_list(row))


def parse_contacts(rows: list[str]) -> tuple[NameAddr, ...]:
    """Contact values; none for `*` alone (RFC 3261 §10.2.2). Raises SyntaxFault."""
    return () if rows == ["*"] else parse_addresses(rows)


def parse_address(rows: list[str]) -> NameAddr:
    """The address of From or To. Raises SyntaxFault."""
    if not rows:
        raise SyntaxFault("missing address header")
    return NameAddr.parse(rows[0])


def parse_cseq(rows: list[str]) -> CSeq:
    """Raises SyntaxFault."""
    if not rows:
        raise SyntaxFault("missing CSeq")
    return CSeq.parse(rows[0])


def parse_number(text: str | None, ceiling: int) -> int | None:
    """Leading decimal of a header such as `Expires` or `Retry-After: 5 (busy);duration=9`.

    None when there is none; numbers above `ceiling` count as it, as RFC 4475 §3.1.2.4 advises.
    """
    if text is None:
        return None
    text = text.strip(" \t")
    digits = len(text) - len(text.lstrip("0123456789"))
    if digits == 0:
        return None
    return ceiling if digits > 20 else min(int(text[:digits]), ceiling)


class Message:
    """What requests and responses share."""

    __slots__ = ("body", "headers")

    headers: Headers
    body: bytes

    @property
    def vias(self) -> tuple[Via, ...]:
        """All Via values, the top one first."""
        return self.headers.parsed("via", parse_vias)

    @property
    def top_via(self) -> Via:
        vias = self.headers.parsed("via", parse_vias)
        if not vias:
            raise SyntaxFault("missing Via")
        return vias[0]

    @property
    def from_(self) -> NameAddr:
        return self.headers.parsed("from", parse_address)

    @property
    def to(self) -> NameAddr:
        return self.headers.parsed("to", parse_address)

    @property
    def from_tag(self) -> str:
        """The From tag; "" for RFC 2543 peers, which may have none."""
        return self.from_.tag or ""

    @property
    def to_tag(self) -> str:
        """The To tag; "" when there is none, as in a request outside a dialog."""
        return self.to.tag or ""

    @property
    def call_id(self) -> str:
        """The Call-ID as written; "" when missing."""
        return self.headers.get("Call-ID") or ""

    @property
    def cseq(self) -> CSeq:
        return self.headers.parsed("cseq", parse_cseq)

    @property
    def contacts(self) -> tuple[NameAddr, ...]:
        """All Contact values; () when there are none or the one is `*`."""
        return self.headers.parsed("contact", parse_contacts)

    @property
    def contact(self) -> NameAddr | None:
        """The first Contact."""
        contacts = self.headers.parsed("contact", parse_contacts)
        return contacts[0] if contacts else None

    @property
    def is_contact_star(self) -> bool:
        """Whether Contact is `*`: all bindings (RFC 3261 §10.2.2)."""
        return self.headers.rows("Contact") == ["*"]

    @property
    def routes(self) -> tuple[NameAddr, ...]:
        """Route values in order."""
        return self.headers.parsed("route", parse_addresses)

    @property
    def record_routes(self) -> tuple[NameAddr, ...]:
        """Record-Route values in order."""
        return self.headers.parsed("record-route", parse_addresses)

    @property
    def max_forwards(self) -> int | None:
        """None when missing (RFC 2543 peers)."""
        return parse_number(self.headers.get("Max-Forwards"), MAX_MAX_FORWARDS)

    @property
    def expires(self) -> int | None:
        """Seconds; None when missing or no number, which means the default (RFC 3261 §20.19)."""
        return parse_number(self.headers.get("Expires"), MAX_DELTA_SECONDS)

    @property
    def min_expires(self) -> int | None:
        """Seconds, of a 423."""
        return parse_number(self.headers.get("Min-Expires"), MAX_DELTA_SECONDS)

    @property
    def retry_after(self) -> int | None:
        """Seconds; comment and parameters are left aside (RFC 3261 §20.33)."""
        return parse_number(self.headers.get("Retry-After"), MAX_DELTA_SECONDS)

    @property
    def content_type(self) -> str:
        """Media type in lower case, without parameters or spaces; "" when missing."""
        value = self.headers.get("Content-Type")
        return "" if value is None else "".join(value.partition(";")[0].lower().split())

    @property
    def user_agent(self) -> str:
        """User-Agent or Server, "" when neither is there."""
        return self.headers.get("User-Agent") or self.headers.get("Server") or ""

    def option_tags(self, name: str) -> list[str]:
        """Lower-case option tags of Require, Supported, Proxy-Require or Unsupported."""
        return [tag.lower() for tag in self.headers.all(name)]

    def extensions(self) -> dict[str, str]:
        """The first value of each `X-` header, by its name as written."""
        found: dict[str, str] = {}
        for name, value in self.headers:
            if name[:2] in ("X-", "x-"):
                found.setdefault(name, value)
        return found

    def set_top_via(self, via: Via) -> None:
        """Replace the top Via, as a server adds `received` and `rport` (RFC 3261 §18.2.1)."""
        self.headers.replace_first("Via", str(via))

    def _serialize(self, start: str) -> bytes:
        lines = [start]
        for key, name, value in self.headers._rows:
            if key != "content-length":
                lines.append(f"{name}: {value}")
        lines.append(f"Content-Length: {len(self.body)}\r\n\r\n")
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + self.body


class Request(Message):
    """A request. `uri` is the Request-URI as text; `request_uri` parses it."""

    __slots__ = ("_parsed_uri", "method", "uri")

    def __init__(
        self, method: str, uri: str | Uri, headers: Headers | None = None, body: bytes = b""
    ) -> None:
        """Raises SyntaxFault when method or URI hold a space or a line break."""
        text = str(uri)
        if any(c in text or c in method for c in " \r\n\t"):
            raise SyntaxFault("space or line break in a request line")
        self.method = method
        self.uri = text
        self.headers = Headers() if headers is None else headers
        self.body = body
        self._parsed_uri: tuple[str, Uri] | None = None

    @property
    def request_uri(self) -> Uri:
        """The parsed Request-URI; any scheme. Never raises on a message from the parser."""
        cached = self._parsed_uri
        if cached is None or cached[0] != self.uri:
            cached = self._parsed_uri = (self.uri, Uri.parse(self.uri))
        return cached[1]

    def __bytes__(self) -> bytes:
        """The wire form, with the Content-Length of the body."""
        return self._serialize(f"{self.method} {self.uri} SIP/2.0")

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.call_id!r} cseq={self.headers.get('CSeq')!r}>"

    def copy(self) -> Request:
        """A request with headers of its own."""
        return Request(self.method, self.uri, self.headers.copy(), self.body)

    def reply(self, status: int, reason: str | None = None, to_tag: str | None = None) -> Response:
        """The response of RFC 3261 §8.2.6.2: Via, From, To, Call-ID and CSeq of the request.

        `to_tag` is appended to To unless To has a tag; 100 carries none. 100 takes Timestamp along
        (§8.2.6.1), 101 to 299 take Record-Route (§12.1.1).
        """
        headers = Headers()
        headers.copy_from(self.headers, "Via")
        if 100 < status < 300 and self.method in ("INVITE", "SUBSCRIBE", "REFER", "NOTIFY"):
            headers.copy_from(self.headers, "Record-Route")
        headers.copy_from(self.headers, "From")
        if to_tag and status != 100 and not self.to.tag:
            headers.add("To", f"{self.headers.get('To')};tag={to_tag}")
        else:
            headers.copy_from(self.headers, "To")
        headers.copy_from(self.headers, "Call-ID", "CSeq")
        if status == 100:
            headers.copy_from(self.headers, "Timestamp")
        return Response(status, reason, headers)


class Response(Message):
    """A response."""

    __slots__ = ("reason", "status")

    def __init__(
        self,
        status: int,
        reason: str | None = None,
        headers: Headers | None = None,
        body: bytes = b"",
    ) -> None:
        """`reason` None means the registered phrase. SyntaxFault for a line break in it."""
        if reason is None:
            reason = reason_phrase(status)
        elif "\r" in reason or "\n" in reason:
            raise SyntaxFault("line break in a reason phrase")
        self.status = status
        self.reason = reason
        self.headers = Headers() if headers is None else headers
        self.body = body

    def __bytes__(self) -> bytes:
        """The wire form, with the Content-Length of the body."""
        return self._serialize(f"SIP/2.0 {self.status} {self.reason}")

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.call_id!r} cseq={self.headers.get('CSeq')!r}>"

    def copy(self) -> Response:
        """A response with headers of its own."""
        return Response(self.status, self.reason, self.headers.copy(), self.body)
