"""A session description as values (RFC 8866, and RFC 4566 before it).

Reading is tolerant where real equipment is careless (bare line feeds, missing ``s=`` or ``t=``,
unknown lines) and strict about ceilings, so that hostile bodies cost no more than their length.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from telephony.base.errors import BadInput

MAX_BODY = 16 * 1024
MAX_MEDIA = 32
MAX_LINES = 600
MAX_ATTRIBUTES = 256
"""Attributes of the session or of one media section."""
MAX_FORMATS = 128

_SESSION_ORDER = "iuepbtrzk"
_MEDIA_ORDER = "ibk"

Attribute = tuple[str, str]
"""Name and value; the value of a property attribute (``a=sendrecv``) is empty."""
Line = tuple[str, str]


class SdpError(BadInput):
    """A body that is no session description, or one over a ceiling."""

    code = "SDP_ERROR"


@dataclass(slots=True)
class Origin:
    """The ``o=`` line. ``session_id`` and ``version`` stay text: peers send more than 64 bits."""

    username: str
    session_id: str
    version: str
    family: str
    address: str

    def __str__(self) -> str:
        return f"{self.username} {self.session_id} {self.version} IN {self.family} {self.address}"


@dataclass(slots=True)
class Connection:
    """A ``c=`` line; ``address`` is without the TTL and count of multicast."""

    family: str
    address: str
    suffix: str = ""

    def __str__(self) -> str:
        return f"IN {self.family} {self.address}{self.suffix}"


@dataclass(slots=True)
class Media:
    """One ``m=`` section. ``other`` keeps lines we have no use for, in their order."""

    kind: str
    port: int
    protocol: str
    formats: list[str]
    port_count: int = 1
    connection: Connection | None = None
    attributes: list[Attribute] = field(default_factory=list)
    other: list[Line] = field(default_factory=list)

    def attribute(self, name: str) -> str | None:
        """The first value of an attribute, empty for a property, None where it is absent."""
        for key, value in self.attributes:
            if key == name:
                return value
        return None

    @property
    def line(self) -> str:
        """The value of the ``m=`` line."""
        count = f"/{self.port_count}" if self.port_count != 1 else ""
        return f"{self.kind} {self.port}{count} {self.protocol} {' '.join(self.formats)}"


@dataclass(slots=True)
class SessionDescription:
    """A whole body. ``other`` holds (letter, value) of lines not read further, such as ``t=``."""

    origin: Origin | None = None
    name: str = "-"
    connection: Connection | None = None
    attributes: list[Attribute] = field(default_factory=list)
    other: list[Line] = field(default_factory=list)
    media: list[Media] = field(default_factory=list)

    def attribute(self, name: str) -> str | None:
        """The first value of a session attribute, empty for a property, None if absent."""
        for key, value in self.attributes:
            if key == name:
                return value
        return None

    @property
    def timing(self) -> str:
        """The first ``t=`` value; an answer repeats it (RFC 3264 §6)."""
        for letter, value in self.other:
            if letter == "t":
                return value
        return "0 0"

    @classmethod
    def parse(cls, body: bytes) -> SessionDescription:
        """Read a body.

        Raises:
            SdpError: not SDP, not version 0, or over a ceiling; the message names the line.
        """
        if len(body) > MAX_BODY:
            raise SdpError(f"session description of {len(body)} octets, ceiling {MAX_BODY}")
        text = body.decode("utf-8", "surrogateescape")
        lines = text.replace("\r\n", "\n").split("\n")
        if len(lines) > MAX_LINES:
            raise SdpError(f"session description of {len(lines)} lines, ceiling {MAX_LINES}")
        if lines[0] != "v=0":
            raise SdpError("a session description begins with v=0", field="v=")
        session = cls()
        section: SessionDescription | Media = session
        attributes = session.attributes
        del lines[0]
        for line in lines:
            if line[:2] == "a=":
                name, _, text = line[2:].partition(":")
                attributes.append((name, text))
                continue
            letter, value = line[:1], line[2:]
            if line[1:2] != "=":
                if line:
                    raise SdpError(f"no letter and equals sign in {line[:20]!r}")
            elif letter == "m":
                section = _media(value)
                session.media.append(section)
                attributes = section.attributes
                if len(session.media) > MAX_MEDIA:
                    raise SdpError(f"more than {MAX_MEDIA} media lines", field="m=")
            elif letter == "c":
                section.connection = _connection(value)
            elif letter == "o" and section is session:
                session.origin = _origin(value)
            elif letter == "s" and section is session:
                session.name = value
            else:
                section.other.append((letter, value))
        if len(lines) > MAX_ATTRIBUTES:
            for listed in (session.attributes, *(m.attributes for m in session.media)):
                if len(listed) > MAX_ATTRIBUTES:
                    raise SdpError(f"over {MAX_ATTRIBUTES} attributes in a section", field="a=")
        return session

    def __bytes__(self) -> bytes:
        lines = ["v=0"]
        if self.origin is not None:
            lines.append(f"o={self.origin}")
        lines.append(f"s={self.name}")
        known, unknown = _sorted(self.other, _SESSION_ORDER)
        lines += [f"{k}={v}" for k, v in known if k in "iuep"]
        if self.connection is not None:
            lines.append(f"c={self.connection}")
        lines += [f"{k}={v}" for k, v in known if k not in "iuep"]
        lines += [f"{k}={v}" for k, v in unknown]
        lines += _attribute_lines(self.attributes)
        for media in self.media:
            lines.append(f"m={media.line}")
            known, unknown = _sorted(media.other, _MEDIA_ORDER)
            lines += [f"{k}={v}" for k, v in known if k == "i"]
            if media.connection is not None:
                lines.append(f"c={media.connection}")
            lines += [f"{k}={v}" for k, v in known if k != "i"]
            lines += [f"{k}={v}" for k, v in unknown]
            lines += _attribute_lines(media.attributes)
        return ("\r\n".join(lines) + "\r\n").encode("utf-8", "surrogateescape")


def _sorted(lines: list[Line], order: str) -> tuple[list[Line], list[Line]]:
    known = [pair for pair in lines if pair[0] in order]
    # t and r lines belong together in their given order (RFC 8866 §5.10).
    known.sort(key=lambda pair: order.index("t" if pair[0] == "r" else pair[0]))
    return known, [pair for pair in lines if pair[0] not in order]


def _attribute_lines(attributes: list[Attribute]) -> list[str]:
    return [f"a={name}:{value}" if value else f"a={name}" for name, value in attributes]


def _media(value: str) -> Media:
    parts = value.split()
    if len(parts) < 4 or len(parts) > 3 + MAX_FORMATS:
        raise SdpError(f"m= needs a kind, a port, a protocol and formats: {value[:40]!r}")
    port, _, count = parts[1].partition("/")
    return Media(
        parts[0],
        _number(port, 0xFFFF, "m="),
        parts[2],
        parts[3:],
        _number(count, 0xFFFF, "m=") if count else 1,
    )


def _connection(value: str) -> Connection:
    parts = value.split()
    if len(parts) != 3 or parts[0].upper() != "IN" or parts[1].upper() not in ("IP4", "IP6"):
        raise SdpError(f"c= is not IN IP4 or IP6 and an address: {value[:40]!r}", field="c=")
    address, slash, rest = parts[2].partition("/")
    return Connection(parts[1].upper(), address, slash + rest)


def _origin(value: str) -> Origin:
    parts = value.split()
    if len(parts) != 6:
        raise SdpError(f"o= has six fields: {value[:60]!r}", field="o=")
    return Origin(parts[0], parts[1], parts[2], parts[4], parts[5])


def _number(text: str, ceiling: int, line: str) -> int:
    # int() alone would take signs, spaces, underscores and the digits of other scripts.
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= ceiling):
        raise SdpError(f"{text[:20]!r} is no number up to {ceiling}", field=line)
    return int(text)
