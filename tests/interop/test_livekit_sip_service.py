"""The whole service with a trunk at LiveKit: dialplans, keys, recordings, transfers, both ways.

A real LiveKit server; its SIP service is a stand-in (see ``test_livekit_sip``).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from livekit.protocol import sip

from telephony.audio import wav
from telephony.testing.audio import heard, tone
from telephony.testing.livekit import LiveKit
from telephony.testing.livekit_sip import SipBesideLiveKit, sip_refusal
from tests.interop.service import Service, how, types
from tests.interop.test_livekit_sip import Party, until

PLAN = """
start: ask
record: true
nodes:
  ask:
    verb: gather
    prompt: Please press a key.
    variable: key
    max: 1
    next: message
  message:
    verb: record
    prompt: You pressed {{key}}. Speak.
    silence_seconds: 1
    next: away
  away:
    verb: transfer
    to: "+12025550199"
    on_failed: bye
  bye:
    verb: say
    text: Goodbye.
"""
TOML = """
[[trunks]]
name = "lk"
kind = "livekit"
livekit_trunk = "ST_out"
caller_ids = ["+12025550123"]

[numbers]
"+12025550123" = { dialplan = "ask", trunk = "lk" }
"""


class House:
    """A LiveKit server that tells the service's webhook, the stand-in, and the service."""

    def __init__(self, folder: Path) -> None:
        self.service = Service(folder, TOML, {"ask": PLAN})
        hook = f"{self.service.api.base}/carriers/livekit/webhook"
        self.livekit = LiveKit(webhooks=[hook])
        self.parties: list[Party] = []
        self.refusal: Exception | None = None
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> House:
        self._stack.callback(self.livekit.stop)
        await asyncio.to_thread(self.livekit.start)
        server = SipBesideLiveKit(
            self.livekit.url, self.livekit.key, self.livekit.secret, self.ring
        )
        self.sip = await self._stack.enter_async_context(server)
        settings = {**self.livekit.settings, "TELEPHONY_LIVEKIT_URL": self.sip.url}
        await asyncio.to_thread(self.service.start, **settings)
        return self

    async def __aexit__(self, *exc: object) -> None:
        try:
            for party in self.parties:
                await party.leave()
            assert await asyncio.to_thread(self.service.stop) == 0
        finally:
            await self._stack.aclose()
        assert self.sip.faults == []
        assert self.service.complaints() == []
        assert "turnPassword" not in self.service.log_path.read_text()

    async def party(self, room: str, identity: str, status: str) -> Party:
        party = Party(self.livekit, room, identity, status)
        await party.__aenter__()
        self.parties.append(party)
        await party.publish(8000)
        return party

    async def ring(self, asked: sip.CreateSIPParticipantRequest) -> sip.SIPParticipantInfo:
        if self.refusal is not None:
            raise self.refusal
        party = await self.party(asked.room_name, asked.participant_identity, "dialing")
        await party.says("ringing")
        await asyncio.sleep(1.0)
        await party.says("active")
        return sip.SIPParticipantInfo(participant_identity=asked.participant_identity)

    async def ask(self, call: Any, *args: Any, **values: Any) -> Any:
        return await asyncio.to_thread(call, *args, **values)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with House(tmp_path) as one:
        yield one


async def converse(house: House, party: Party, us: str) -> None:
    """The far end's part of the dialplan: listens, presses, speaks."""
    await party.until(lambda: np.abs(party.heard(us)).max(initial=0) > 2000, 20)
    await party.room.local_participant.publish_dtmf(code=7, digit="7")
    # "You pressed seven", then the beep.
    await party.until(lambda: heard(party.heard(us), 1000.0).present_ms > 100, 20)
    await asyncio.sleep(0.3)
    await party.say(np.asarray(tone(600.0, 1500), np.int16))


async def test_a_dialled_call_is_refused_then_runs_its_dialplan_and_is_transferred(
    house: House,
) -> None:
    api = house.service.api
    house.refusal = sip_refusal(486, "Busy Here")
    session = await house.ask(api.dial, to="+12025550188", dialplan="ask")
    events = await house.ask(api.ended, session)
    assert how(events) == ("busy", "busy", "callee")
    failed = next(e for e in events if e["event_type"] == "sip.dial_failed")
    assert (failed["sip_status_code"], failed["sip_status"]) == (486, "Busy Here")
    assert len(house.sip.asked("CreateSIPParticipant")) == 1
    house.refusal = None
    done = asyncio.Event()

    async def transfer(asked: sip.TransferSIPParticipantRequest) -> Any:
        assert asked.transfer_to == "tel:+12025550199"
        done.set()
        return sip.TransferSIPParticipantResponse(
            transfer_id="TR_1", status=sip.STS_TRANSFER_SUCCESSFUL
        )

    house.sip.transferring = transfer
    session = await house.ask(api.dial, to="+12025550188", dialplan="ask")
    await until(lambda: house.parties)
    (callee,) = house.parties
    await converse(house, callee, f"service-phone-{session}")
    async with asyncio.timeout(20):
        await done.wait()
    # LiveKit hangs up once the target has taken over.
    await callee.leave()
    events = await house.ask(api.ended, session)
    assert [e for e in types(events) if e.startswith(("sip", "call.ringing", "call.answered"))] == [
        "sip.dial_started",
        "call.ringing",
        "call.answered",
    ]
    assert "call.transfer.completed" in types(events)
    pressed = next(e for e in events if e["event_type"] == "call.dtmf.received")
    assert (pressed["payload"]["digit"], pressed["provider"]) == ("7", "livekit")
    started = next(e for e in events if e["event_type"] == "sip.dial_started")
    assert started["provider"] == "livekit"
    report = await house.ask(api.report, session)
    assert report["outcome"] == "transferred"
    (message,) = report["artifacts"]["messages"]
    assert message["duration_ms"] > 1300
    stored = wav.parse(await house.ask(api.recording, session))
    # What the callee says is on the left, what he hears on the right.
    assert heard(stored.samples[0], 600.0).present_ms > 1300
    assert heard(stored.samples[1], 600.0).present_ms < 400, "speech has something at 600 Hz too"
    assert heard(stored.samples[1], 1000.0).present_ms > 100


async def test_a_caller_reaches_his_number_s_dialplan_and_hangs_up(house: House) -> None:
    api = house.service.api
    hook = "/carriers/livekit/webhook"
    # The service's own key is none of LiveKit's.
    status, said = await house.ask(api.call, "POST", hook, {"event": "room_started"})
    assert (status, said["code"]) == (401, "UNAUTHORIZED")
    assert (await house.ask(api.call, "GET", hook))[0] == 405
    before = await house.ask(api.sessions)
    caller = await house.party("sip-in_+12025550188_1", "sip_+12025550188", "ringing")
    session = await house.ask(api.new_session, before)
    us = f"service-phone-{session}"
    await caller.until(lambda: us in caller.room.remote_participants, 15)
    await caller.says("active")
    await caller.until(lambda: np.abs(caller.heard(us)).max(initial=0) > 2000, 20)
    await caller.leave()
    events = await house.ask(api.ended, session)
    assert how(events) == ("ended", None, "caller")
    first = events[0]
    assert (first["event_type"], first["provider"]) == ("call.initiated", "livekit")
    assert first["payload"]["dialled"] == "+12025550123"
    assert first["payload"]["from_number"] == "+12025550188"
