"""Bytes to a message, or to a `Malformed` that says what was wrong and how to answer it.

`parse` never raises. It checks at once what RFC 3261 asks of every message (RFC 4475 has a case
for each): one each of From, To, Call-ID and CSeq, a Via, numbers in their ranges, a CSeq of the
same method, addresses that can be parsed, a Content-Length that fits. Other headers are text until
somebody asks. Work is linear in the size of the message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2s

from telephony.sip.headers import KNOWN, CSeq, Headers, Via, header_name, split_list
from telephony.sip.limits import (
    MAX_BODY,
    MAX_CONTACTS,
    MAX_CONTENT_LENGTH_DIGITS,
    MAX_HEADER_SIZE,
    MAX_HEADERS,
    MAX_MESSAGE,
    MAX_MESSAGE_PARSED,
    MAX_REQUEST_URI,
    MAX_ROUTES,
    MAX_START_LINE,
    MAX_TOKEN,
    MAX_VIAS,
)
from telephony.sip.message import METHODS, Request, Response, parse_vias
from telephony.sip.uri import TOKEN, NameAddr, SyntaxFault, Uri

_METHOD = re.compile(rf"{TOKEN}{{1,64}}")
_VERSION = re.compile(r"SIP/[0-9]{1,9}\.[0-9]{1,9}", re.IGNORECASE)
_STATUS_LINE = re.compile(r"SIP/2\.0 ([1-6][0-9]{2}) ([^\x00]*)", re.IGNORECASE)
_FOLD = re.compile(r"\r\n[ \t]+")
_CALL_ID = re.compile(r"\S+")
_SINGLE = frozenset(
    ("from", "to", "call-id", "cseq", "max-forwards", "content-type", "expires", "refer-to")
)

Row = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Malformed:
    """A message that must not be acted on.

    `status` is what a request deserves: 400, 413, 414, 501, 505 or 513. `answer` is that response,
    ready but for `received` and `rport` in its top Via (which can be parsed); None for responses,
    for ACK, and where too little could be read to answer, and then the message is dropped
    (RFC 3261 §8.1.3.4 for responses). It is made without state: the same bytes get the same tag.
    """

    reason: str
    status: int = 400
    answer: Response | None = None
    method: str = ""


class _Refused(Exception):
    """Leads from a failed check to `_malformed`."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def parse(data: bytes) -> Request | Response | Malformed:
    """One message from one datagram, or from exactly its bytes of a stream.

    Bytes after Content-Length are ignored (RFC 3261 §18.3); without Content-Length the body runs
    to the end. CRLFs before the start line are skipped (§7.5). Never raises.
    """
    size = len(data)
    if size > MAX_MESSAGE_PARSED:
        return Malformed("message above 65535 bytes", 513)
    start = 0
    while data.startswith(b"\r\n", start):
        start += 2
    if start == size:
        return Malformed("empty message")
    end = data.find(b"\r\n\r\n", start, start + MAX_MESSAGE)
    if size - start > MAX_MESSAGE:
        return refuse(
            data[start : end if end >= 0 else start + MAX_MESSAGE], 513, "Message Too Large"
        )
    if end < 0:
        return refuse(data[start:], 400, "Headers not ended by an empty line")
    head = data[start:end].decode("utf-8", "surrogateescape")
    rows: list[Row] = []
    first: dict[str, str] = {}
    line, fault = _read_head(head, rows, first)
    try:
        if line.startswith("SIP/"):
            return _response(line, fault, rows, first, data, end + 4)
        return _request(line, fault, rows, first, data, end + 4)
    except _Refused as refused:
        return _malformed(line, rows, first, refused.status, refused.reason)
    except SyntaxFault as error:
        return _malformed(line, rows, first, 400, _sentence(str(error)))


def refuse(head: bytes, status: int, reason: str) -> Malformed:
    """What to answer to a message refused before it was whole, from the headers there are.

    `head` is the message from its start line on; an unfinished last line is left out. Never raises.
    """
    block = head[:MAX_MESSAGE].partition(b"\r\n\r\n")[0]
    rows: list[Row] = []
    first: dict[str, str] = {}
    line, _ = _read_head(block.decode("utf-8", "surrogateescape"), rows, first)
    return _malformed(line, rows, first, status, reason)


def _read_head(head: str, rows: list[Row], first: dict[str, str]) -> tuple[str, str | None]:
    """Fill `rows` and the first value of each key; (start line, what was wrong or None)."""
    fault = None
    breaks = head.count("\r\n")
    if head.count("\n") != breaks or head.count("\r") != breaks:
        fault = "Line break that is not CRLF"
        head = head.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")
    if "\r\n " in head or "\r\n\t" in head:
        head = _FOLD.sub(" ", head)
    lines = head.split("\r\n")
    if len(lines) > MAX_HEADERS + 1:
        fault = "Too many headers"
        del lines[MAX_HEADERS + 1 :]
    known = KNOWN.get
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        found = known(name)
        if found is None or not colon or len(line) > MAX_HEADER_SIZE:
            try:
                found = header_name(name)
            except SyntaxFault:
                fault = fault or "Malformed header name"
                continue
            if not colon or len(line) > MAX_HEADER_SIZE:
                fault = fault or ("Header too long" if colon else "Header line without colon")
                continue
        key = found[0]
        value = value.strip(" \t")
        rows.append((key, found[1], value))
        if key not in first:
            first[key] = value
        elif key in _SINGLE:
            fault = fault or f"Repeated {found[1]}"
        elif key == "content-length" and first[key] != value:
            fault = fault or "Differing Content-Length"
    return lines[0], fault


def _request(
    line: str, fault: str | None, rows: list[Row], first: dict[str, str], data: bytes, start: int
) -> Request:
    parts = line.split(" ")
    if len(parts) != 3:
        raise _line_fault(line)
    method, uri, version = parts
    if version != "SIP/2.0" and version.upper() != "SIP/2.0":
        raise _line_fault(line)
    if method not in METHODS and not _METHOD.fullmatch(method):
        raise _Refused(400, "Malformed method")
    if len(uri) > MAX_REQUEST_URI:
        raise _Refused(414, "Request-URI Too Long")
    if fault is not None:
        raise _Refused(400, fault)
    headers = Headers.from_rows(rows)
    cseq = _common(headers, rows, first)
    if cseq.method != method:
        # 501 for a method nobody specified is the better answer (RFC 4475 §3.1.2.18).
        if method not in METHODS:
            raise _Refused(501, "Not Implemented")
        raise _Refused(400, "CSeq method does not match the request")
    request_uri = Uri.parse(uri)
    if request_uri.headers:
        raise _Refused(400, "Headers in the Request-URI")
    forwards = first.get("max-forwards")
    if forwards is not None and not (forwards.isascii() and forwards.isdecimal()):
        raise _Refused(400, "Malformed Max-Forwards")
    body = _body(first, data, start)
    request = Request.__new__(Request)
    request.method = method
    request.uri = uri
    request.headers = headers
    request.body = body
    request._parsed_uri = (uri, request_uri)
    return request


def _response(
    line: str, fault: str | None, rows: list[Row], first: dict[str, str], data: bytes, start: int
) -> Response:
    found = _STATUS_LINE.fullmatch(line)
    if found is None:
        raise _Refused(400, "Malformed status line")
    if fault is not None:
        raise _Refused(400, fault)
    headers = Headers.from_rows(rows)
    _common(headers, rows, first)
    response = Response.__new__(Response)
    response.status = int(found[1])
    response.reason = found[2]
    response.headers = headers
    response.body = _body(first, data, start)
    return response


def _common(headers: Headers, rows: list[Row], first: dict[str, str]) -> CSeq:
    """Check and keep what every message must have; its CSeq."""
    for key in ("via", "from", "to", "call-id", "cseq"):
        if key not in first:
            raise _Refused(400, f"Missing {KNOWN[key][1]}")
    cseq = CSeq.parse(first["cseq"])
    headers.keep_parsed("cseq", cseq)
    call_id = first["call-id"]
    if not 0 < len(call_id) <= MAX_TOKEN or not _CALL_ID.fullmatch(call_id):
        raise _Refused(400, "Malformed Call-ID")
    vias = tuple(
        Via.parse(element) for row in rows if row[0] == "via" for element in split_list(row[2])
    )
    if len(vias) > MAX_VIAS:
        raise _Refused(400, "Too many Vias")
    headers.keep_parsed("via", vias)
    for key in ("from", "to"):
        address = NameAddr.parse(first[key])
        if len(address.tag or "") > MAX_TOKEN:
            raise _Refused(400, "Tag too long")
        headers.keep_parsed(key, address)
    for key, ceiling in (
        ("contact", MAX_CONTACTS),
        ("route", MAX_ROUTES),
        ("record-route", MAX_ROUTES),
    ):
        if key in first:
            _addresses(headers, rows, key, ceiling)
    return cseq


def _addresses(headers: Headers, rows: list[Row], key: str, ceiling: int) -> None:
    values = [element for row in rows if row[0] == key for element in split_list(row[2])]
    if len(values) > ceiling:
        raise _Refused(400, f"Too many {KNOWN[key][1]} values")
    if key == "contact" and values == ["*"]:
        headers.keep_parsed(key, ())
    else:
        headers.keep_parsed(key, tuple(NameAddr.parse(value) for value in values))


def _body(first: dict[str, str], data: bytes, start: int) -> bytes:
    text = first.get("content-length")
    available = len(data) - start
    length = available
    if text is not None:
        if not (text.isascii() and text.isdecimal()) or len(text) > MAX_CONTENT_LENGTH_DIGITS:
            raise _Refused(400, "Malformed Content-Length")
        length = int(text)
        if length > available:
            raise _Refused(400, "Body shorter than Content-Length")
    if length > MAX_BODY:
        raise _Refused(413, "Request Entity Too Large")
    return data[start : start + length]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _line_fault(line: str) -> _Refused:
    """Why a request line was refused; 505 for another version of SIP (RFC 3261 §21.5.7)."""
    version = line.rpartition(" ")[2]
    if len(line.split(" ")) == 3 and _VERSION.fullmatch(version) and version[4:] != "2.0":
        return _Refused(505, "Version Not Supported")
    return _Refused(400, "Malformed request line")


def _malformed(
    line: str, rows: list[Row], first: dict[str, str], status: int, reason: str
) -> Malformed:
    method = line.partition(" ")[0]
    if line.startswith("SIP/") or len(line) > MAX_START_LINE or not _METHOD.fullmatch(method):
        method = ""
    if (
        not method
        or method == "ACK"
        or any(k not in first for k in ("from", "to", "call-id", "cseq"))
    ):
        return Malformed(reason, status, None, method)
    vias = _answer_vias([row[2] for row in rows if row[0] == "via"])
    if not vias:
        return Malformed(reason, status, None, method)
    headers = Headers()
    for via in vias:
        headers.add("Via", via)
    headers.add("From", first["from"])
    headers.add("To", first["to"] + _missing_tag(first, vias[0]))
    headers.add("Call-ID", first["call-id"])
    headers.add("CSeq", first["cseq"])
    return Malformed(reason, status, Response(status, reason, headers), method)


def _answer_vias(values: list[str]) -> list[str]:
    """Via rows for an answer: those that can be parsed, and what can be read of a broken top."""
    kept = []
    for index, value in enumerate(values[:MAX_VIAS]):
        try:
            parse_vias([value])
        except SyntaxFault:
            salvaged = Via.salvage(value) if index == 0 else None
            if salvaged is not None:
                kept.append(str(salvaged))
            elif index == 0:
                return []
        else:
            kept.append(value)
    return kept


def _missing_tag(first: dict[str, str], via: str) -> str:
    """A To tag made from the request alone, when it has none (RFC 3261 §8.2.7)."""
    if ";tag=" in first["to"].replace(" ", "").lower():
        return ""
    seed = "\n".join((first["call-id"], first["cseq"], first["from"], via))
    return ";tag=" + blake2s(seed.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
