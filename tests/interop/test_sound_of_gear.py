"""Sound as real gear has it: packets of its own length, keys in the sound, holds of every kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from telephony.audio import g711, tones
from telephony.audio.pcm import silence
from telephony.audio.wav import parse
from telephony.testing.audio import heard, segments
from tests.interop.baresip import Baresip
from tests.interop.conftest import Gear
from tests.interop.service import Service, how
from tests.interop.sipp import Scenario, sdp

Phones = Callable[..., Baresip]
HOLDS = {
    "sendonly": sdp("sendonly", 2),
    "inactive": sdp("inactive", 2),
    "nowhere": sdp(version=2).replace("[media_ip]", "0.0.0.0"),
}


def pressed(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    found = [e["payload"] for e in events if e["event_type"] == "call.dtmf.received"]
    return [(d["digit"], d["method"]) for d in found]


@pytest.mark.parametrize("law", [0, 8])
def test_keys_in_the_sound_of_who_has_no_events_steer_a_dialplan(
    service: Service, gear: Gear, tmp_path: Path, law: int
) -> None:
    keys = np.concatenate([silence(800), tones.dtmf("1140", 90, 90), silence(4000)])
    sound = tmp_path / "keys"
    sound.write_bytes(g711.encode(g711.ALAW if law else g711.ULAW, keys).tobytes())
    play = f"{sound},1,{law},PCM{'A' if law else 'U'}/8000"
    s = Scenario("in-band").invite(sdp(formats=(law,))).answered()
    s.steps.append(f'<nop><action><exec rtp_stream="{play}"/></action></nop>')
    s.expect("BYE").inside("200 OK")
    before = service.api.sessions()
    gear.calls(service, s, "code").wait()
    session = service.api.new_session(before)
    events = service.api.ended(session)
    assert pressed(events) == [(key, "inband") for key in "1140"]
    assert service.api.report(session)["custom_data"] == {"code": "1140"}


@pytest.mark.parametrize("ptime", [10, 30, 60])
def test_packets_of_another_length(service: Service, phones: Phones, ptime: int) -> None:
    phone = phones("1001", frequency=700.0, more=f";ptime={ptime}")
    before = service.api.sessions()
    phone.dial("front-desk")
    phone.until("CALL_ESTABLISHED")
    session = service.api.new_session(before)
    service.api.wait(session, "call.prompt.played", 30)
    phone.hang_up()
    events = service.api.ended(session)
    assert how(events) == ("ended", None, "caller")
    quality = next(e["payload"]["quality"] for e in events if e["event_type"] == "call.leg.hangup")
    seconds = service.api.get(f"/v1/calls/{session}")["duration_seconds"]
    assert quality["packets_received"] == pytest.approx(1000 / ptime * seconds, rel=0.2)
    phone.stop()
    caller, _ = parse(service.api.recording(session)).samples
    # All of it, and nothing made up between.
    there = heard(caller, 700.0, threshold_dbm0=-14.0).present_ms
    assert there > 0.9 * caller.size / 8 - 300
    assert heard(phone.heard(), 440.0).present_ms < 1000


@pytest.mark.parametrize("way", list(HOLDS))
def test_who_is_held_hears_music(service: Service, gear: Gear, phones: Phones, way: str) -> None:
    """sipp sends no sound at all, so what the phone hears is ours."""
    phone = phones("1001")
    s = Scenario("holder").invite().answered().pause(1500)
    s.request("INVITE", "", HOLDS[way]).answered().pause(2500)
    s.reinvite("sendrecv", 3).pause(1500).bye()
    before = service.api.sessions()
    caller = gear.calls(service, s, "to-desk")
    phone.until("CALL_CLOSED", 30)
    caller.wait()
    events = service.api.ended(service.api.new_session(before))
    assert how(events) == ("ended", None, "caller")
    order = [e["event_type"] for e in events]
    assert order.index("call.bridged") < order.index("call.hold") < order.index("call.unhold")
    phone.stop()
    (music,) = [s for s in segments(phone.heard(), min_silence_ms=500) if s.sound]
    assert 2000 < music.length_ms < 3300


def test_comfort_noise_is_agreed_on(service: Service, gear: Gear) -> None:
    body = sdp(formats=(0, 101)).replace("AVP 0 101", "AVP 0 13 101")
    s = Scenario("comfort").invite(body).answered().pause(1000).bye()
    before = service.api.sessions()
    caller = gear.calls(service, s, "long")
    caller.wait()
    answer = next(m for m in caller.received() if m.startswith("SIP/2.0 200") and "m=audio" in m)
    assert " 13" in next(line for line in answer.splitlines() if line.startswith("m=audio"))
    assert how(service.api.ended(service.api.new_session(before))) == ("ended", None, "caller")
