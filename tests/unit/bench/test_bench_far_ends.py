"""The far ends of the benchmarks: what they say, how they sign, whom they talk to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import sounds
from bench.callers import Callers, Plan
from bench.lines import response
from bench.ng import bdecode, bencode
from telephony.audio import g711

VOICES = {
    "PCMU": sounds.companded(0, "PCMU", sounds.ulaw),
    "PCMA": sounds.companded(8, "PCMA", sounds.alaw),
}
ANSWER = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 20000 RTP/AVP 0\r\n"
)


@pytest.mark.parametrize(
    ("name", "decode"), [("PCMU", g711.ulaw_decode), ("PCMA", g711.alaw_decode)]
)
def test_a_voice_is_quiet_but_for_its_marks(name: str, decode: Any) -> None:
    voice = VOICES[name]
    codes = np.frombuffer(voice.frames, np.uint8)
    samples = decode(codes)
    error = np.abs(samples.astype(np.int32) - np.array(sounds.wave(8000)))
    assert error.max() <= 512
    loud = np.frombuffer(voice.loud, np.uint8)[codes].reshape(sounds.FRAMES, -1).any(axis=1)
    assert np.flatnonzero(loud).tolist() == [12, 37]


values = st.recursive(
    st.integers(-(2**40), 2**40) | st.text(st.characters(max_codepoint=127), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(max_codepoint=127), max_size=5), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(values)
def test_bencoding_comes_back(value: object) -> None:
    assert bdecode(bencode(value)) == value


@given(values, st.integers(1, 100))
def test_what_is_cut_off_is_refused(value: object, cut: int) -> None:
    whole = bencode(value)
    with pytest.raises(ValueError):
        bdecode(whole[: -min(cut, len(whole))])


def test_an_answer_has_what_every_answer_has() -> None:
    request = (
        "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP b;branch=1\r\nFrom: <sip:c@d>;tag=1\r\n"
        "To: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nSubject: none\r\n\r\n"
    )
    assert response(request, "200 OK", "Contact: <sip:e@f>\r\n", "v=0") == (
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP b;branch=1\r\nFrom: <sip:c@d>;tag=1\r\n"
        "To: <sip:a@b>;tag=far\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContact: <sip:e@f>\r\n"
        "Content-Length: 3\r\n\r\nv=0"
    )


class Sound:
    """Lanes that only write down what they are told."""

    def __init__(self) -> None:
        self.lanes = 0
        self.told: list[tuple[Any, ...]] = []

    def open(self) -> int:
        self.lanes += 1
        return self.lanes - 1

    def port(self, lane: int) -> int:
        return 30000 + lane

    def talk(self, lane: int, port: int, voice: str = "PCMU", *, pair: int = -1) -> None:
        self.told.append(("talk", lane, port, voice, pair))

    def pair(self, lane: int, other: int) -> None:
        self.told.append(("pair", lane, other))

    def hush(self, lane: int) -> None:
        self.told.append(("hush", lane))


class Wire:
    """A line whose other end is the test."""

    local = ("127.0.0.1", 5070)
    transport = "UDP"

    def __init__(self) -> None:
        self.sent: list[str] = []

    def fileno(self) -> int:
        return -1

    def send(self, text: str) -> bool:
        self.sent.append(text)
        return True

    def receive(self) -> Iterator[str]:
        return iter(())


def callers(**more: Any) -> tuple[Callers, Sound, Wire]:
    sound, wire = Sound(), Wire()
    plan = Plan("127.0.0.1", 5060, "desk", VOICES["PCMU"], VOICES["PCMA"], **more)
    return Callers(sound, wire, plan), sound, wire  # type: ignore[arg-type]


def ok(request: str, body: str = "") -> str:
    return response(request, "200 OK", "Contact: <sip:desk@127.0.0.1:5060>\r\n", body)


def test_a_call_is_placed_talks_and_leaves() -> None:
    some, sound, wire = callers()
    some.place(0, 10.0)
    assert not some.standing()
    assert "m=audio 30000 RTP/AVP 0 101" in wire.sent[0]
    some.on_message(ok(wire.sent[0], ANSWER), 10.1)
    assert some.standing()
    assert sound.told == [("talk", 0, 20000, "PCMU", 0)]
    assert wire.sent[-1].startswith("ACK sip:desk@127.0.0.1:5060 ")
    some.leave_all(20.0, 10.0)
    some.expire(20.0)
    assert wire.sent[-1].startswith("BYE ")
    assert not some.over()
    some.on_message(ok(wire.sent[-1]), 20.1)
    assert some.over()
    assert (some.figures.answered, some.figures.completed, some.figures.failed) == (1, 1, 0)
    assert sound.told[-1] == ("hush", 0)


def test_a_call_that_comes_back_is_the_other_side_of_its_number() -> None:
    some, sound, wire = callers(bridged=True)
    some.place(7, 10.0)
    some.on_message(ok(wire.sent[0], ANSWER), 10.1)
    assert not some.standing()
    invite = (
        "INVITE sip:+12025550007@127.0.0.1:5070 SIP/2.0\r\nVia: SIP/2.0/UDP b;branch=2\r\n"
        "From: <sip:c@d>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: back\r\nCSeq: 1 INVITE\r\n\r\n" + ANSWER
    )
    some.on_message(invite, 10.2)
    assert some.standing()
    assert sound.told[1:] == [("pair", 0, 1), ("talk", 1, 20000, "PCMA", 0)]
    assert "m=audio 30001 RTP/AVP 8 101" in wire.sent[-1]


def test_who_is_not_answered_asks_again_and_gives_up() -> None:
    some, _, wire = callers()
    some.place(0, 0.0)
    for second in range(100):
        some.expire(float(second))
    assert some.over()
    assert (some.figures.failed, some.figures.retransmissions) == (1, 6)
    assert {text.split()[0] for text in wire.sent} == {"INVITE"}


def test_a_refusal_is_acknowledged_and_counted() -> None:
    some, _, wire = callers()
    some.place(0, 0.0)
    some.on_message(response(wire.sent[0], "486 Busy Here"), 0.1)
    assert some.over()
    assert some.figures.statuses == {"486": 1}
    assert wire.sent[-1].startswith("ACK ")
