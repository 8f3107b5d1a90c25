"""One audio stream agreed by offer and answer (RFC 3264): PCMU, PCMA, G722 and telephone-event.

Everything is plain RTP/AVP on a pair of ports; RTCP is never multiplexed, because its port is
negotiated apart. ``exchange.Exchange`` keeps the state that a whole dialog needs.
"""

from __future__ import annotations

from dataclasses import dataclass

from telephony.base.errors import MediaFailed
from telephony.sdp.address import AddressPolicy, classify
from telephony.sdp.attributes import PTIMES, AudioAttributes, Direction, direction_of
from telephony.sdp.model import Media, SdpError, SessionDescription

CLOCK = 8000
DTMF = "TELEPHONE-EVENT"
OUR_DTMF_TYPE = 101
"""What our offers use: many gateways expect 101 although any dynamic type would do."""
COMFORT_NOISE = 13
"""Static payload type of RFC 3389 at a clock of 8000."""
CN_FORMAT = str(COMFORT_NOISE)
OUR_TYPES = {"PCMU": 0, "PCMA": 8, "G722": 9}
"""What we speak and can offer. G722 is 16 kHz sound with a clock of 8000, by an old mistake that
RFC 3551 §4.5.2 made the rule."""
CODECS = ("PCMU", "PCMA", "G722")
"""The order of our offers where nobody set another: what every peer takes comes first."""


class NotAcceptable(MediaFailed):
    """The description is sound but nothing in it can be used: 488 (RFC 3261 §13.3.1.3).

    ``warning`` is the code of a Warning header (RFC 3261 §20.43).
    """

    code = "MEDIA_INCOMPATIBLE"
    status = 488

    def __init__(self, message: str, warning: int = 305) -> None:
        super().__init__(message)
        self.warning = warning


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalMedia:
    """Our side. ``direction`` is what we wish; ``version`` rises with every changed description."""

    host: str
    port: int
    session_id: int
    version: int = 1
    rtcp_port: int | None = None
    """None: ``port + 1``."""
    codecs: tuple[str, ...] = CODECS
    """What we take, in the order we offer it."""
    dtmf: bool = True
    comfort_noise: bool = True
    """Whether an offer of comfort noise is taken. Ours have none: recognition of a far end's speech
    is better off without gaps."""
    ptime: int = 20
    ptimes: tuple[int, ...] = PTIMES
    """Packet times we can send, in ms."""
    direction: Direction = Direction.SENDRECV

    @property
    def family(self) -> str:
        """IP4 or IP6."""
        return "IP6" if ":" in self.host else "IP4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Negotiated:
    """What was agreed. Types and addresses are the far end's, to be used when sending."""

    codec: str
    """Of ``OUR_TYPES``: what we send."""
    payload_type: int
    dtmf_payload_type: int | None
    ptime: int
    """ms a packet that we send."""
    remote_host: str
    """An address literal; ``0.0.0.0`` or ``::`` where the far end wants no sound."""
    remote_port: int
    remote_rtcp_port: int
    """0: send no RTCP (its address differs from the media's, or it has no lawful port)."""
    direction: Direction
    """Our view. Never sends to an unspecified address."""
    held: bool
    """The far end holds us: it does not want to hear."""
    receive: tuple[tuple[int, str], ...]
    """(payload type, codec) that may come in."""
    receive_dtmf: int | None
    """Payload type of events coming in; differs from ``dtmf_payload_type`` with some gateways."""
    comfort_noise: bool = False
    """Silence may be described instead of sent (RFC 3389), by either side."""
    clock: int = CLOCK


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to send, and what it agrees on."""

    body: bytes
    negotiated: Negotiated
    index: int
    """Which section is our audio; the others are refused."""


# Not frozen: it lives for one call, and a frozen one costs a microsecond more to build.
@dataclass(slots=True)
class _Usable:
    """An audio section we can talk with."""

    index: int
    codec: str
    types: tuple[tuple[int, str], ...]
    dtmf_type: int | None
    ptime: int
    host: str
    port: int
    rtcp_port: int
    sends: bool
    receives: bool
    silenced: bool
    comfort_noise: bool

    @property
    def held(self) -> bool:
        """The far end does not want to hear."""
        return self.silenced or not self.receives


def offer(local: LocalMedia, rejected: tuple[str, ...] = (), index: int = 0) -> bytes:
    """Our offer.

    ``rejected`` are ``m=`` values (with port 0) that a re-offer must repeat, because a section
    once described stays described (RFC 3264 §8); our audio stands among them at ``index``.
    """
    formats = [(OUR_TYPES[codec], codec) for codec in local.codecs]
    audio = _section(local, formats, OUR_DTMF_TYPE if local.dtmf else None, local.ptime)
    audio.append(f"a={local.direction.value}")
    sections = [[f"m={line}"] for line in rejected]
    sections.insert(index, audio)
    return _body(local, "0 0", sections)


def answer(
    body: bytes,
    local: LocalMedia,
    policy: AddressPolicy = AddressPolicy(),  # noqa: B008
) -> Answer:
    """Answer an offer with the first codec of ours in the offerer's order.

    Raises:
        SdpError: ``body`` is no session description.
        NotAcceptable: nothing in it can be used.
    """
    session = SessionDescription.parse(body)
    return answer_to(session, local, policy)


def answer_to(session: SessionDescription, local: LocalMedia, policy: AddressPolicy) -> Answer:
    """``answer`` for a description that is parsed already."""
    usable = _choose(session, local, policy)
    direction = Direction.of(
        sends=local.direction.sends and usable.receives,
        receives=local.direction.receives and usable.sends,
    )
    payload_type = usable.types[0][0]
    negotiated = Negotiated(
        codec=usable.codec,
        payload_type=payload_type,
        dtmf_payload_type=usable.dtmf_type,
        ptime=usable.ptime,
        remote_host=usable.host,
        remote_port=usable.port,
        remote_rtcp_port=usable.rtcp_port,
        direction=_flow(direction, usable),
        held=usable.held,
        # RFC 3264 §6.1: with one codec answered, the other side sends nothing else.
        receive=usable.types[:1],
        receive_dtmf=usable.dtmf_type,
        comfort_noise=usable.comfort_noise,
    )
    sections = []
    for index, media in enumerate(session.media):
        if index != usable.index:
            sections.append([f"m={refusal(media)}"])
            continue
        formats = [(payload_type, usable.codec)]
        if usable.comfort_noise:
            formats.append((COMFORT_NOISE, "CN"))
        audio = _section(local, formats, usable.dtmf_type, usable.ptime)
        audio.append(f"a={direction.value}")
        sections.append(audio)
    return Answer(_body(local, session.timing, sections), negotiated, usable.index)


def accept(
    body: bytes,
    offered: LocalMedia,
    policy: AddressPolicy = AddressPolicy(),  # noqa: B008
    index: int = 0,
) -> Negotiated:
    """Read the answer to ``offer(offered, …, index)``.

    Raises:
        SdpError: ``body`` is no session description.
        NotAcceptable: the far end refused our audio or answered with what we did not offer.
    """
    return accept_to(SessionDescription.parse(body), offered, policy, index)


def accept_to(
    session: SessionDescription, offered: LocalMedia, policy: AddressPolicy, index: int
) -> Negotiated:
    """``accept`` for a description that is parsed already."""
    if len(session.media) <= index:
        raise NotAcceptable("the answer has no section for our audio", 304)
    usable = _section_usable(session, index, offered, policy)
    if isinstance(usable, NotAcceptable):
        raise usable
    direction = Direction.of(
        sends=offered.direction.sends and usable.receives,
        receives=offered.direction.receives and usable.sends,
    )
    return Negotiated(
        codec=usable.codec,
        payload_type=usable.types[0][0],
        dtmf_payload_type=usable.dtmf_type,
        ptime=usable.ptime,
        remote_host=usable.host,
        remote_port=usable.port,
        remote_rtcp_port=usable.rtcp_port,
        direction=_flow(direction, usable),
        held=usable.held,
        receive=tuple((OUR_TYPES[codec], codec) for codec in offered.codecs),
        receive_dtmf=OUR_DTMF_TYPE if usable.dtmf_type is not None else None,
    )


def hold_direction(*, on: bool, held_by_remote: bool) -> Direction:
    """What to offer to put the far end on hold or take it off (RFC 3264 §8.4, RFC 6337 §5.3).

    Off is always sendrecv: a far end that holds us answers sendonly and so keeps its own hold.
    """
    if not on:
        return Direction.SENDRECV
    return Direction.INACTIVE if held_by_remote else Direction.SENDONLY


def refusal(media: Media) -> str:
    """The ``m=`` value that rejects a section: the same with port 0 (RFC 3264 §6)."""
    return f"{media.kind} 0 {media.protocol} {' '.join(media.formats)}"


def _choose(session: SessionDescription, local: LocalMedia, policy: AddressPolicy) -> _Usable:
    first: NotAcceptable | None = None
    for index, media in enumerate(session.media):
        if media.kind != "audio":
            continue
        usable = _section_usable(session, index, local, policy)
        if isinstance(usable, _Usable):
            return usable
        first = first or usable
    raise first or NotAcceptable("no audio is offered", 304)


def _section_usable(
    session: SessionDescription, index: int, local: LocalMedia, policy: AddressPolicy
) -> _Usable | NotAcceptable:
    media = session.media[index]
    if media.kind != "audio" or media.port == 0:
        return NotAcceptable("the audio is rejected", 304)
    if media.protocol.upper() != "RTP/AVP":
        return NotAcceptable(f"{media.protocol[:20]} is not RTP/AVP", 302)
    found = AudioAttributes.of(media)
    types, dtmf_type = _codecs(media, found, local)
    if not types:
        return NotAcceptable("none of our codecs is offered", 305)
    connection = media.connection or session.connection
    if connection is None:
        return NotAcceptable("no c= line", 300)
    host = connection.address
    silenced = classify(host).unspecified
    objection = None if silenced else policy.objection(host, media.port, local.family)
    if objection is not None:
        return NotAcceptable(f"sound cannot be sent to {objection}", 301)
    direction = found.direction or direction_of(session.attributes) or Direction.SENDRECV
    return _Usable(
        index=index,
        codec=types[0][1],
        types=types,
        dtmf_type=dtmf_type,
        ptime=choose_ptime(found.ptime, found.maxptime, local),
        host=host,
        port=media.port,
        rtcp_port=_rtcp_port(media, found, host, local, policy),
        sends=direction.sends,
        receives=direction.receives,
        silenced=silenced,
        comfort_noise=local.comfort_noise
        and found.encoding(CN_FORMAT) == ("CN", CLOCK)
        and CN_FORMAT in media.formats,
    )


def _codecs(
    media: Media, found: AudioAttributes, local: LocalMedia
) -> tuple[tuple[tuple[int, str], ...], int | None]:
    types: list[tuple[int, str]] = []
    dtmf_type = None
    for fmt in media.formats:
        encoding = found.encoding(fmt)
        if encoding is None or encoding[1] != CLOCK:
            continue
        name = encoding[0]
        if name != DTMF and name not in local.codecs:
            continue
        number = _payload_type(fmt)
        if number is None:
            continue
        if name == DTMF:
            dtmf_type = dtmf_type if dtmf_type is not None else number
        else:
            types.append((number, name))
    return tuple(types), dtmf_type if local.dtmf else None


def _payload_type(fmt: str) -> int | None:
    if not (fmt.isascii() and fmt.isdigit() and len(fmt) <= 3):
        return None
    number = int(fmt)
    # 64 to 95 with a marker bit are the packet types of RTCP (RFC 5761 §4).
    return number if number < 64 or 96 <= number <= 127 else None


def choose_ptime(wanted: int | None, ceiling: int | None, local: LocalMedia) -> int:
    """ms a packet towards a peer that asked for ``wanted`` and takes at most ``ceiling``.

    Both are hints (RFC 8866 §6.4): what we cannot send exactly becomes the next shorter one.
    """
    aim = min(wanted or local.ptime, ceiling or 1000)
    if aim in local.ptimes:
        return aim
    return max((p for p in local.ptimes if p <= aim), default=min(local.ptimes))


def _rtcp_port(
    media: Media, found: AudioAttributes, host: str, local: LocalMedia, policy: AddressPolicy
) -> int:
    port = found.rtcp_port if found.rtcp_port is not None else media.port + 1
    if found.rtcp_address not in (None, host) or not 0 < port <= 0xFFFF:
        return 0
    return port if policy.objection(host, port, local.family) is None else 0


def _flow(agreed: Direction, usable: _Usable) -> Direction:
    # c=0.0.0.0 is the hold of RFC 2543: the direction says sendrecv and there is nowhere to send.
    if not usable.silenced:
        return agreed
    return Direction.of(sends=False, receives=agreed.receives)


def _section(
    local: LocalMedia, formats: list[tuple[int, str]], dtmf_type: int | None, ptime: int
) -> list[str]:
    numbers = [str(number) for number, _ in formats]
    lines = [f"a=rtpmap:{number} {codec}/{CLOCK}" for number, codec in formats]
    if dtmf_type is not None:
        numbers.append(str(dtmf_type))
        lines.append(f"a=rtpmap:{dtmf_type} telephone-event/{CLOCK}")
        lines.append(f"a=fmtp:{dtmf_type} 0-15")
    if local.rtcp_port is not None and local.rtcp_port != local.port + 1:
        lines.append(f"a=rtcp:{local.rtcp_port}")
    lines.append(f"a=ptime:{ptime}")
    return [f"m=audio {local.port} RTP/AVP {' '.join(numbers)}", *lines]


def _body(local: LocalMedia, timing: str, sections: list[list[str]]) -> bytes:
    where = f"IN {local.family} {local.host}"
    head = (
        f"v=0\r\no=- {local.session_id} {local.version} {where}\r\ns=-\r\nc={where}\r\n"
        f"t={timing}\r\n"
    )
    tail = "\r\n".join(["\r\n".join(section) for section in sections])
    return f"{head}{tail}\r\n".encode("utf-8", "surrogateescape")


__all__ = [
    "Answer",
    "LocalMedia",
    "Negotiated",
    "NotAcceptable",
    "SdpError",
    "accept",
    "accept_to",
    "answer",
    "answer_to",
    "choose_ptime",
    "hold_direction",
    "offer",
    "refusal",
]
