"""Texts for the agent as data packets: whole, in order, and none too large."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.calls.meeting import MAX_DATA
from telephony.calls.packets import message_packets


def packets(text: str, mode: str = "respond") -> list[dict[str, Any]]:
    made = message_packets("msg_1", text, mode)
    assert all(len(packet) <= MAX_DATA for packet in made)
    return [json.loads(packet) for packet in made]


@pytest.mark.parametrize(
    ("mode", "kind"), [("respond", "user_message"), ("context", "contextual_update")]
)
def test_one_packet_for_a_text_of_usual_length(mode: str, kind: str) -> None:
    assert packets("Grüß Gott", mode) == [
        {"type": kind, "text": "Grüß Gott", "message_id": "msg_1"}
    ]


def test_a_long_text_comes_in_parts_and_is_answered_once() -> None:
    text = "word " * 3200
    made = packets(text)
    assert [one["type"] for one in made] == ["contextual_update", "user_message"]
    assert [(one["part"], one["parts"]) for one in made] == [(1, 2), (2, 2)]
    assert "".join(one["text"] for one in made) == text
    assert all(one["text"].endswith("word ") for one in made)


@given(st.text(alphabet=st.sampled_from('a "\\\n\u20ac\U0001f600'), max_size=16_000))
def test_whatever_the_text_it_is_whole(text: str) -> None:
    assert "".join(one["text"] for one in packets(text)) == text
