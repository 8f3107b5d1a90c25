"""Reading and writing session descriptions."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.sdp import model
from telephony.sdp.model import Connection, Media, Origin, SdpError, SessionDescription

word = st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789-._", min_size=1, max_size=10)
value = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=20)
number = st.integers(0, 2**70).map(str)
connection = st.none() | st.builds(
    Connection, st.sampled_from(["IP4", "IP6"]), word, st.sampled_from(["", "/127", "/127/3"])
)
attributes = st.lists(st.tuples(word, value), max_size=5)
media = st.builds(
    Media,
    word,
    st.integers(0, 65535),
    word,
    st.lists(word, min_size=1, max_size=5),
    port_count=st.integers(1, 3),
    connection=connection,
    attributes=attributes,
    other=st.lists(st.tuples(st.just("b"), value), max_size=2),
)
sessions = st.builds(
    SessionDescription,
    origin=st.none() | st.builds(Origin, word, number, number, st.just("IP4"), word),
    name=value,
    connection=connection,
    attributes=attributes,
    other=st.just([("t", "0 0")]),
    media=st.lists(media, max_size=3),
)

ORDINARY = b"""v=0
o=alice 2890844526 2890844526 IN IP4 192.0.2.10
s=A call
i=about nothing
c=IN IP4 192.0.2.10
b=AS:64
t=0 0
y=unknown
a=sendrecv
m=audio 49172/2 RTP/AVP 0 8 101
i=voice
c=IN IP6 2001:db8::1
b=AS:64
a=rtpmap:0 PCMU/8000
a=ptime:20
m=video 51372 RTP/AVP 31
"""


@given(sessions)
def test_round_trip(session: SessionDescription) -> None:
    assert SessionDescription.parse(bytes(session)) == session


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_an_ordinary_body_with_either_line_end(ending: bytes) -> None:
    body = ORDINARY.replace(b"\n", ending)
    session = SessionDescription.parse(body)
    audio, video = session.media
    assert (audio.port, audio.port_count, audio.formats) == (49172, 2, ["0", "8", "101"])
    assert audio.connection == Connection("IP6", "2001:db8::1")
    assert (audio.attribute("ptime"), audio.attribute("fmtp")) == ("20", None)
    assert session.attribute("sendrecv") == ""
    assert (video.kind, video.port) == ("video", 51372)
    assert ("y", "unknown") in session.other
    assert bytes(session) == ORDINARY.replace(b"\n", b"\r\n")


def test_what_careless_phones_leave_out() -> None:
    session = SessionDescription.parse(b"v=0\nm=audio 4000 RTP/AVP 0\n\n")
    assert session.origin is None
    assert (session.name, session.timing) == ("-", "0 0")


def test_bytes_that_are_no_utf8_survive() -> None:
    body = b"v=0\r\ns=caf\xe9\r\nt=0 0\r\n"
    assert bytes(SessionDescription.parse(body)) == body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"v=1\r\n",
        b"v=0\r\nnonsense\r\n",
        b"v=0\r\no=too few\r\n",
        b"v=0\r\nc=IN IP5 x\r\n",
        b"v=0\r\nc=IN IP4\r\n",
        b"v=0\r\nm=audio\r\n",
        b"v=0\r\nm=audio 70000 RTP/AVP 0\r\n",
        b"v=0\r\nm=audio -1 RTP/AVP 0\r\n",
        "v=0\r\nm=audio ٣٣٣٣ RTP/AVP 0\r\n".encode(),
        b"v=0\r\nm=audio 4000/x RTP/AVP 0\r\n",
        b"v=0\r\nm=audio 4000 RTP/AVP" + b" 0" * (model.MAX_FORMATS + 1) + b"\r\n",
    ],
)
def test_what_is_no_description_is_refused(body: bytes) -> None:
    with pytest.raises(SdpError):
        SessionDescription.parse(body)


def test_ceilings_one_step_over() -> None:
    line = b"m=audio 4000 RTP/AVP 0\r\n"
    assert len(SessionDescription.parse(b"v=0\r\n" + line * model.MAX_MEDIA).media) == 32
    for body in (
        b"v=0\r\n" + line * (model.MAX_MEDIA + 1),
        b"v=0\r\n" + b"a=x\r\n" * (model.MAX_ATTRIBUTES + 1),
        b"v=0\r\n" + b"b=\r\n" * model.MAX_LINES,
        b"v=0\r\ns=" + b"x" * model.MAX_BODY,
    ):
        with pytest.raises(SdpError):
            SessionDescription.parse(body)
    SessionDescription.parse(b"v=0\r\n" + b"a=x\r\n" * model.MAX_ATTRIBUTES)


@pytest.mark.parametrize(
    "hostile",
    [
        b"m=audio 4000 RTP/AVP 0\r\n" * 500,
        b"m=audio 4000 RTP/AVP" + b" 0" * 8000,
        b"\n" * 16000,
        b"a=x\n" * 4000,
    ],
)
def test_hostile_bodies_are_refused_before_they_cost_anything(hostile: bytes) -> None:
    with pytest.raises(SdpError):
        SessionDescription.parse(b"v=0\r\n" + hostile)


@given(st.binary(max_size=300))
def test_noise_is_refused_in_one_way(noise: bytes) -> None:
    for body in (noise, b"v=0\r\n" + noise):
        with suppress(SdpError):
            SessionDescription.parse(body)
