"""What an agent's worker is told: one object, complete, and no larger than can be carried."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from telephony.base.errors import BadInput
from telephony.calls.call import Call
from telephony.calls.dispatching import MAX_METADATA, Brief, dispatch_metadata
from telephony.calls.outcome import Status
from telephony.calls.state import Direction

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def call(direction: Direction = Direction.INBOUND) -> Call:
    return Call(
        id="a-b-c",
        organization="org_default",
        direction=direction,
        created_at=NOW,
        updated_at=NOW,
        status=Status.RINGING,
        from_number="+12025550188",
        to_number="+12025550100",
        room="call-a-b-c",
        phone_number="num_1",
        metadata={"crm": 7},
        tags={"team": "a"},
    )


def test_every_member_is_always_there() -> None:
    found = json.loads(dispatch_metadata(call(), Brief(), identity="phone-a-b-c"))
    assert found == {
        "version": 1,
        "session_id": "a-b-c",
        "call_id": "a-b-c",
        "organization": "org_default",
        "direction": "inbound",
        "from": "+12025550188",
        "to": "+12025550100",
        "phone_number_id": "num_1",
        "room": "call-a-b-c",
        "identity": "phone-a-b-c",
        "participant_kind": "phone",
        "agent": {
            "id": None,
            "name": "",
            "prompt": "",
            "first_message": None,
            "voice": None,
            "language": "en",
            "options": {},
            "extraction_fields": [],
        },
        "variables": {},
        "tools": [],
        "dialplan": None,
        "recording": False,
        "max_duration_seconds": None,
        "metadata": {"crm": 7},
        "tags": {"team": "a"},
        "api": {"url": None},
    }


def test_a_browser_is_said_to_be_one() -> None:
    told = dispatch_metadata(call(Direction.WEB), Brief(), identity="anna")
    found = json.loads(told)
    assert (found["participant_kind"], found["identity"]) == ("browser", "anna")


@pytest.mark.parametrize("letter", ["x", "ü", "\N{GRINNING FACE}"])
def test_octets_count_and_not_letters(letter: str) -> None:
    spare = len(dispatch_metadata(call(), Brief(), identity="i").encode())
    most = (MAX_METADATA - spare) // len(letter.encode())
    told = dispatch_metadata(call(), Brief(prompt=letter * most), identity="i")
    assert MAX_METADATA - 4 < len(told.encode()) <= MAX_METADATA
    with pytest.raises(BadInput) as caught:
        dispatch_metadata(call(), Brief(prompt=letter * (most + 1)), identity="i")
    assert caught.value.field == "systemPrompt"


@pytest.mark.parametrize(("first", "greets"), [("Hello.", True), ("", False), (None, False)])
def test_who_is_sure_to_speak_first(first: str | None, greets: bool) -> None:
    assert Brief(first_message=first).greets is greets
