"""The contract's data packets (section 14), in and out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.agents import packets
from telephony.agents.packets import ContextualUpdate, Mute, Overrides, UserMessage


def packed(**members: Any) -> bytes:
    return json.dumps(members).encode()


def test_what_a_browser_sends() -> None:
    assert packets.parse(packed(type="user_message", text=" Hi ")) == UserMessage("Hi")
    assert packets.parse(packed(type="contextual_update", text="vip")) == ContextualUpdate("vip")
    told = {
        "agent": {"prompt": "Be kind.", "firstMessage": "Hallo", "language": "de"},
        "tts": {"voiceId": "de", "speed": 1.5},
    }
    assert packets.parse(packed(type="overrides", overrides=told)) == Overrides(
        prompt="Be kind.", first_message="Hallo", language="de", voice="de", speed=1.5
    )
    assert packets.parse(packed(type="overrides", overrides={})) == Overrides()
    # An empty first message is one: the agent waits.
    silent = packets.parse(packed(type="overrides", overrides={"agent": {"firstMessage": ""}}))
    assert silent == Overrides(first_message="")


def test_what_the_service_sends() -> None:
    assert packets.parse(packed(type="agent_muted", muted=True)) == Mute(True)
    assert packets.parse(packed(type="agent_muted", muted=1)) is None


@pytest.mark.parametrize("speed", [0.4, 2.1, True, "1", None, float("nan"), float("inf")])
def test_a_speed_out_of_bounds_is_none(speed: object) -> None:
    data = json.dumps({"type": "overrides", "overrides": {"tts": {"speed": speed}}}).encode()
    assert packets.parse(data) == Overrides()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b'{"type": 3}',
        packed(type="user_message"),
        packed(type="user_message", text=""),
        packed(type="user_message", text=5),
        packed(type="contextual_update", text=["x"]),
        packed(type="overrides", overrides=[]),
        packed(type="transcript", source="agent", text="mine"),
        b"[" * 60_000,
        packed(type="user_message", text="x" * packets.MAX_PACKET),
    ],
)
def test_anything_else_is_nothing(data: bytes) -> None:
    assert packets.parse(data) is None


def test_texts_have_a_ceiling() -> None:
    found = packets.parse(packed(type="user_message", text="x" * 20_000))
    assert found == UserMessage("x" * packets.MAX_TEXT)


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(
        ["type", "text", "overrides", "agent", "tts", "speed", "firstMessage", "muted"]
    ), inner),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_nothing_that_comes_raises(data: bytes) -> None:
    packets.parse(data)


def test_what_clients_read() -> None:
    assert json.loads(packets.transcript("user", "Grüß Gott", final=True)) == {
        "type": "transcript",
        "source": "user",
        "text": "Grüß Gott",
        "isFinal": True,
    }
    assert json.loads(packets.transcript("agent", "a", final=False))["isFinal"] is False
    assert json.loads(packets.agent_message("b"))["type"] == "agent_message"
    assert json.loads(packets.user_message_echo("c")) == {"type": "user_message_echo", "text": "c"}
    # Half a surrogate, as a browser may send it, is still a packet.
    assert packets.user_message_echo("\ud83d")
