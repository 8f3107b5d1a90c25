"""Who may say what in an answer, and where sound may be sent."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.sdp.address import AddressPolicy, classify
from telephony.sdp.attributes import PTIMES, Direction
from telephony.sdp.exchange import Exchange
from telephony.sdp.model import SdpError, SessionDescription
from telephony.sdp.offer_answer import (
    LocalMedia,
    Negotiated,
    NotAcceptable,
    accept,
    answer,
    hold_direction,
    offer,
)

LOCAL = LocalMedia(host="192.0.2.1", port=20000, session_id=42)


def body(
    *lines: str,
    audio: str = "m=audio 40000 RTP/AVP 0 8 101",
    connection: str = "c=IN IP4 198.51.100.7",
    session: tuple[str, ...] = (),
    timing: str = "t=0 0",
) -> bytes:
    head = ["v=0", "o=bob 1 1 IN IP4 198.51.100.7", "s=-", connection, timing, *session]
    tail = [audio, "a=rtpmap:101 telephone-event/8000", *lines] if audio else lines
    return "\r\n".join([*(line for line in head if line), *tail, ""]).encode()


def agreed(
    data: bytes, local: LocalMedia = LOCAL, policy: AddressPolicy | None = None
) -> Negotiated:
    return answer(data, local, policy or AddressPolicy()).negotiated


def described(data: bytes) -> SessionDescription:
    return SessionDescription.parse(data)


def test_an_ordinary_offer() -> None:
    found = answer(body("a=ptime:20", "a=sendrecv"), LOCAL)
    assert found.negotiated == Negotiated(
        codec="PCMU",
        payload_type=0,
        dtmf_payload_type=101,
        ptime=20,
        remote_host="198.51.100.7",
        remote_port=40000,
        remote_rtcp_port=40001,
        direction=Direction.SENDRECV,
        held=False,
        receive=((0, "PCMU"),),
        receive_dtmf=101,
    )
    assert found.body.decode().split("\r\n") == [
        "v=0",
        "o=- 42 1 IN IP4 192.0.2.1",
        "s=-",
        "c=IN IP4 192.0.2.1",
        "t=0 0",
        "m=audio 20000 RTP/AVP 0 101",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=ptime:20",
        "a=sendrecv",
        "",
    ]


def test_our_offer_and_their_answer() -> None:
    sent = offer(LOCAL)
    assert described(sent).media[0].formats == ["0", "8", "9", "101"]
    assert b"a=rtpmap:9 G722/8000\r\n" in sent
    reply = body(audio="m=audio 40000 RTP/AVP 8 96", session=()).replace(b":101 ", b":96 ")
    found = accept(reply, LOCAL)
    assert (found.codec, found.payload_type) == ("PCMA", 8)
    assert (found.dtmf_payload_type, found.receive_dtmf) == (96, 101)
    assert found.receive == ((0, "PCMU"), (8, "PCMA"), (9, "G722"))


@pytest.mark.parametrize(
    ("formats", "codecs", "expected"),
    [
        ("8 0", ("PCMU", "PCMA"), "PCMA"),
        ("18 8 0", ("PCMU", "PCMA"), "PCMA"),
        ("0 8", ("PCMA",), "PCMA"),
        ("9 0", ("PCMU", "PCMA"), "PCMU"),
        ("9 0", ("PCMU", "PCMA", "G722"), "G722"),
        ("0 9", ("G722", "PCMU", "PCMA"), "PCMU"),
    ],
)
def test_the_first_of_ours_in_the_offerers_order(
    formats: str, codecs: tuple[str, ...], expected: str
) -> None:
    data = body(audio=f"m=audio 40000 RTP/AVP {formats}")
    assert agreed(data, replace(LOCAL, codecs=codecs)).codec == expected


def test_sixteen_kilohertz_with_a_clock_of_eight() -> None:
    found = answer(body("a=rtpmap:9 G722/8000", audio="m=audio 40000 RTP/AVP 9 0 101"), LOCAL)
    assert (found.negotiated.codec, found.negotiated.payload_type) == ("G722", 9)
    assert (found.negotiated.clock, found.negotiated.dtmf_payload_type) == (8000, 101)
    assert described(found.body).media[0].formats == ["9", "101"]
    # What the sound really is, some write; nobody who reads RFC 3551 means it.
    wrong = body("a=rtpmap:9 G722/16000", audio="m=audio 40000 RTP/AVP 9 0")
    assert agreed(wrong).codec == "PCMU"


def test_a_hold_does_not_change_the_codec() -> None:
    ours = Exchange(LOCAL)
    ours.answer(body(audio="m=audio 40000 RTP/AVP 9 0"))
    held = described(ours.hold(on=True)).media[0]
    assert held.formats == ["9", "0", "8", "101"]
    ours.accept(body(audio="m=audio 40000 RTP/AVP 9"))
    assert described(ours.hold(on=False)).media[0].formats[0] == "9"


def test_dynamic_types_are_the_offerers() -> None:
    data = body(
        "a=rtpmap:97 pcma/8000/1",
        "a=rtpmap:98 telephone-event/48000",
        "a=rtpmap:99 TELEPHONE-EVENT/8000",
        audio="m=audio 40000 RTP/AVP 98 97 99",
    )
    found = answer(data, LOCAL)
    assert (found.negotiated.codec, found.negotiated.payload_type) == ("PCMA", 97)
    assert found.negotiated.dtmf_payload_type == 99
    assert described(found.body).media[0].formats == ["97", "99"]
    assert b"a=rtpmap:97 PCMA/8000\r\n" in found.body


def test_a_static_number_under_another_name_is_what_it_says() -> None:
    data = body("a=rtpmap:0 G726-32/8000", "a=rtpmap:8 PCMU/8000")
    found = agreed(data)
    assert (found.codec, found.payload_type) == ("PCMU", 8)


@pytest.mark.parametrize("fmt", ["128", "999", "72", "-1", "x", "０"])
def test_numbers_that_are_no_payload_type(fmt: str) -> None:
    data = body(f"a=rtpmap:{fmt} PCMU/8000", audio=f"m=audio 40000 RTP/AVP {fmt}")
    with pytest.raises(NotAcceptable, match="codecs"):
        agreed(data)


def test_no_keys_wanted_or_offered() -> None:
    assert agreed(body(), replace(LOCAL, dtmf=False)).dtmf_payload_type is None
    assert agreed(body(audio="m=audio 40000 RTP/AVP 0")).dtmf_payload_type is None
    assert b"telephone-event" not in offer(replace(LOCAL, dtmf=False))


@pytest.mark.parametrize(
    ("lines", "ptimes", "expected"),
    [
        ((), PTIMES, 20),
        (("a=ptime:30",), PTIMES, 30),
        (("a=ptime:60", "a=maxptime:40"), PTIMES, 40),
        (("a=maxptime:10",), PTIMES, 10),
        (("a=ptime:25",), PTIMES, 20),
        (("a=ptime:5",), PTIMES, 10),
        (("a=ptime:20.0",), PTIMES, 20),
        (("a=ptime:nonsense",), PTIMES, 20),
        (("a=ptime:0",), PTIMES, 20),
        (("a=ptime:30",), (20,), 20),
    ],
)
def test_packet_time(lines: tuple[str, ...], ptimes: tuple[int, ...], expected: int) -> None:
    assert agreed(body(*lines), replace(LOCAL, ptimes=ptimes)).ptime == expected


MIRROR = [
    ("sendrecv", "sendrecv", "sendrecv"),
    ("sendonly", "sendrecv", "recvonly"),
    ("recvonly", "sendrecv", "sendonly"),
    ("inactive", "sendrecv", "inactive"),
    ("sendrecv", "sendonly", "sendonly"),
    ("sendonly", "sendonly", "inactive"),
    ("sendrecv", "inactive", "inactive"),
    ("recvonly", "recvonly", "inactive"),
]


@pytest.mark.parametrize(("theirs", "wish", "ours"), MIRROR)
@pytest.mark.parametrize("level", ["session", "media"])
def test_directions_are_mirrored(theirs: str, wish: str, ours: str, level: str) -> None:
    line = f"a={theirs}"
    data = body(session=(line,)) if level == "session" else body(line, session=("a=inactive",))
    found = answer(data, replace(LOCAL, direction=Direction(wish)))
    assert found.negotiated.direction.value == ours
    assert f"a={ours}\r\n".encode() in found.body
    assert found.negotiated.held == (theirs in ("sendonly", "inactive"))


def test_hold_by_address_sends_nothing_and_still_mirrors() -> None:
    found = answer(body(connection="c=IN IP4 0.0.0.0"), LOCAL)
    assert found.negotiated.held
    assert found.negotiated.direction is Direction.RECVONLY
    assert b"a=sendrecv" in found.body


def test_media_level_connection_wins_and_may_stand_alone() -> None:
    assert agreed(body("c=IN IP4 203.0.113.9")).remote_host == "203.0.113.9"
    assert agreed(body("c=IN IP4 203.0.113.9", connection="")).remote_host == "203.0.113.9"
    with pytest.raises(NotAcceptable, match="no c="):
        agreed(body(connection=""))


def test_ipv6() -> None:
    local = replace(LOCAL, host="2001:db8::1")
    found = answer(body(connection="c=IN IP6 2001:db8::7"), local)
    assert found.negotiated.remote_host == "2001:db8::7"
    assert b"c=IN IP6 2001:db8::1\r\n" in found.body
    with pytest.raises(NotAcceptable, match="IP4 address where we have IP6"):
        agreed(body(), local)


def test_sections_keep_their_order_and_number() -> None:
    data = body(
        "m=audio 40002 RTP/AVP 8",
        "m=image 40004 udptl t38",
        audio="m=video 39000 RTP/AVP 96 97",
    ).replace(b"m=image", b"m=application 9 DTLS/SCTP 5000\r\nm=image")
    found = answer(data, LOCAL)
    lines = [m.line for m in described(found.body).media]
    assert lines == [
        "video 0 RTP/AVP 96 97",
        "audio 20000 RTP/AVP 8",
        "application 0 DTLS/SCTP 5000",
        "image 0 udptl t38",
    ]
    assert found.index == 1


def test_the_timing_line_is_repeated() -> None:
    assert b"\r\nt=1 2\r\n" in answer(body(timing="t=1 2"), LOCAL).body


@pytest.mark.parametrize(
    ("data", "reason", "warning"),
    [
        (body(audio="m=audio 40000 RTP/SAVP 0"), "RTP/SAVP", 302),
        (body(audio="m=audio 40000 RTP/AVPF 0"), "RTP/AVPF", 302),
        (body(audio="m=audio 40000 RTP/AVP 18 3"), "codecs", 305),
        (body(audio="m=audio 40000 RTP/AVP 101"), "codecs", 305),
        (body(audio="m=audio 0 RTP/AVP 0"), "rejected", 304),
        (body(audio="m=video 40000 RTP/AVP 31"), "no audio", 304),
        (body(audio=""), "no audio", 304),
    ],
)
def test_nothing_usable_is_488(data: bytes, reason: str, warning: int) -> None:
    with pytest.raises(NotAcceptable, match=reason) as caught:
        agreed(data)
    assert (caught.value.status, caught.value.warning) == (488, warning)


def test_a_second_audio_section_is_taken_where_the_first_is_encrypted() -> None:
    data = body("m=audio 40002 RTP/AVP 0", audio="m=audio 40000 RTP/SAVP 0")
    found = answer(data, LOCAL)
    assert found.negotiated.remote_port == 40002
    assert [m.port for m in described(found.body).media] == [0, 20000]


@pytest.mark.parametrize(
    ("address", "port"),
    [
        ("224.2.1.1/127", 40000),
        ("255.255.255.255", 40000),
        ("169.254.169.254", 40000),
        ("0.1.2.3", 40000),
        ("240.0.0.1", 40000),
        ("198.51.100.7", 53),
        ("198.51.100.7", 1023),
        ("pbx.example.com", 40000),
        ("192.0.2.1", 5060),
        ("1.2.3", 40000),
    ],
)
def test_we_are_nobodys_reflector(address: str, port: int) -> None:
    policy = AddressPolicy(forbidden=frozenset({("192.0.2.1", 5060)}))
    data = body(connection=f"c=IN IP4 {address}", audio=f"m=audio {port} RTP/AVP 0")
    with pytest.raises(NotAcceptable, match="cannot be sent") as caught:
        agreed(data, policy=policy)
    assert caught.value.warning == 301


@pytest.mark.parametrize(
    "address", ["ff02::1", "fe80::1", "::ffff:127.0.0.1", "fe80::1%eth0", "::", "::ffff:10.0.0.1"]
)
def test_ipv6_that_is_refused(address: str) -> None:
    assert classify(address).refused is not None


def test_loopback_and_private_by_policy() -> None:
    near = body(connection="c=IN IP4 127.0.0.1")
    inside = body(connection="c=IN IP4 10.1.2.3")
    assert agreed(near).remote_host == "127.0.0.1"
    assert agreed(inside).remote_host == "10.1.2.3"
    with pytest.raises(NotAcceptable, match="loopback"):
        agreed(near, policy=AddressPolicy(loopback=False))
    with pytest.raises(NotAcceptable, match="private"):
        agreed(inside, policy=AddressPolicy(private=False))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a=rtcp:40011", 40011),
        ("a=rtcp:40011 IN IP4 198.51.100.7", 40011),
        ("a=rtcp:40011 IN IP4 203.0.113.66", 0),
        ("a=rtcp:53", 0),
        ("a=rtcp:99999", 0),
        ("a=rtcp:x", 40001),
        ("a=rtcp-mux", 40001),
    ],
)
def test_rtcp_goes_beside_the_sound_or_nowhere(line: str, expected: int) -> None:
    found = answer(body(line), LOCAL)
    assert found.negotiated.remote_rtcp_port == expected
    assert b"rtcp" not in found.body


def test_a_port_at_the_end_has_no_rtcp_beside_it() -> None:
    assert agreed(body(audio="m=audio 65535 RTP/AVP 0")).remote_rtcp_port == 0
    assert b"a=rtcp:30001\r\n" in offer(replace(LOCAL, rtcp_port=30001))
    assert b"a=rtcp" not in offer(replace(LOCAL, rtcp_port=20001))


def test_an_answer_without_our_section_or_with_a_codec_not_offered() -> None:
    with pytest.raises(NotAcceptable):
        accept(body(audio=""), LOCAL)
    with pytest.raises(NotAcceptable):
        accept(body(audio="m=audio 0 RTP/AVP 0"), LOCAL)
    with pytest.raises(NotAcceptable):
        accept(body(audio="m=audio 40000 RTP/AVP 8"), replace(LOCAL, codecs=("PCMU",)))


def test_what_to_offer_for_hold() -> None:
    assert hold_direction(on=True, held_by_remote=False) is Direction.SENDONLY
    assert hold_direction(on=True, held_by_remote=True) is Direction.INACTIVE
    assert hold_direction(on=False, held_by_remote=True) is Direction.SENDRECV


@given(
    st.permutations(["0", "8", "18", "101"]),
    st.sampled_from(list(Direction)),
    st.sampled_from(list(Direction)),
    st.sampled_from(PTIMES),
    st.booleans(),
)
def test_two_of_us_always_agree(
    formats: list[str], theirs: Direction, ours: Direction, ptime: int, dtmf: bool
) -> None:
    caller = replace(LOCAL, host="198.51.100.7", direction=theirs, ptime=ptime, dtmf=dtmf)
    sent = offer(caller).replace(b"0 8", " ".join(f for f in formats if f in "08").encode())
    found = answer(sent, replace(LOCAL, direction=ours))
    heard = accept(found.body, caller)
    mine = found.negotiated
    assert (heard.codec, heard.payload_type) == (mine.codec, mine.payload_type)
    assert heard.dtmf_payload_type == mine.dtmf_payload_type == (101 if dtmf else None)
    assert heard.direction.sends == mine.direction.receives
    assert heard.direction.receives == mine.direction.sends
    assert heard.ptime == mine.ptime == ptime
    assert (heard.payload_type, heard.codec) in heard.receive


@given(st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=8))
def test_damaged_offers_end_in_an_answer_or_one_of_two_errors(
    changes: list[tuple[int, int]],
) -> None:
    data = bytearray(body("a=ptime:20", "a=rtcp:40001", "a=sendrecv"))
    for at, octet in changes:
        data[at % len(data)] = octet
    try:
        found = answer(bytes(data), LOCAL)
    except (SdpError, NotAcceptable):
        return
    assert described(found.body).media[found.index].port == LOCAL.port


# --- a whole dialog -------------------------------------------------------------------------


def version(data: bytes) -> int:
    origin = described(data).origin
    assert origin is not None
    assert origin.session_id == "42"
    return int(origin.version)


def test_versions_rise_only_with_changes() -> None:
    ours = Exchange(LOCAL)
    first = ours.answer(body())
    again = ours.answer(body())
    held = ours.answer(body("a=sendonly"))
    back = ours.answer(body("a=sendrecv"))
    assert [version(a.body) for a in (first, again, held, back)] == [1, 1, 2, 3]
    assert held.negotiated.held
    assert ours.current == back.negotiated


def test_hold_and_unhold_from_our_side() -> None:
    ours, theirs = Exchange(LOCAL), Exchange(replace(LOCAL, host="198.51.100.7", port=30000))
    ours.accept(theirs.answer(ours.offer()).body)
    held = ours.hold(on=True)
    assert (version(held), b"a=sendonly" in held) == (2, True)
    reply = theirs.answer(held)
    assert reply.negotiated.held
    assert ours.accept(reply.body).direction is Direction.SENDONLY
    # A refresh by them while we hold them: our wish stands.
    assert b"a=sendonly" in ours.answer(theirs.offer()).body
    theirs.withdraw()
    freed = ours.hold(on=False)
    assert ours.accept(theirs.answer(freed).body).direction is Direction.SENDRECV


def test_our_reoffer_repeats_refused_sections_in_their_place() -> None:
    ours = Exchange(LOCAL)
    ours.answer(body("m=audio 40000 RTP/AVP 0", audio="m=video 39000 RTP/AVP 31"))
    again = described(ours.hold(on=True)).media
    assert [m.line for m in again] == ["video 0 RTP/AVP 31", "audio 20000 RTP/AVP 0 8 9 101"]
    reply = body("m=audio 40000 RTP/AVP 0", audio="m=video 0 RTP/AVP 31")
    assert ours.accept(reply).codec == "PCMU"


def test_what_fails_leaves_what_stood() -> None:
    ours = Exchange(LOCAL)
    stood = ours.answer(body()).negotiated
    with pytest.raises(NotAcceptable):
        ours.answer(body(audio="m=audio 40000 RTP/AVP 18"))
    with pytest.raises(SdpError):
        ours.answer(b"nonsense")
    with pytest.raises(SdpError, match="fewer sections"):
        ours.answer(body(audio=""))
    ours.hold(on=True)
    assert ours.offering
    ours.withdraw()
    assert not ours.offering
    assert ours.current == stood
    assert ours.local.direction is Direction.SENDRECV
    ours.hold(on=True)
    with pytest.raises(NotAcceptable):
        ours.accept(body(audio="m=audio 0 RTP/AVP 0"))
    assert (ours.offering, ours.current) == (False, stood)


def test_the_same_answer_twice_as_in_183_and_200() -> None:
    ours = Exchange(LOCAL)
    ours.offer()
    early = ours.accept(body())
    assert ours.accept(body()) == early


def test_comfort_noise_is_taken_where_it_is_offered() -> None:
    body = (
        b"v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n"
        b"m=audio 4000 RTP/AVP 0 13 101\r\na=rtpmap:101 telephone-event/8000\r\n"
    )
    local = LocalMedia(host="192.0.2.1", port=20000, session_id=1)
    made = answer(body, local)
    assert made.negotiated.comfort_noise
    assert b"RTP/AVP 0 13 101" in made.body
    assert b"a=rtpmap:13 CN/8000" in made.body
    without = answer(body.replace(b" 13 ", b" "), local)
    assert not without.negotiated.comfort_noise
    assert b"CN/8000" not in without.body
