"""baresip as a phone of ours: it logs in, calls, is called, and what it hears is what it should."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import yaml

from telephony.audio.resample import resample
from telephony.audio.wav import parse
from telephony.testing.audio import heard, segments
from telephony.testing.words import recognise
from tests.interop.baresip import Baresip
from tests.interop.service import ROOT, Service, how, types

Phones = Callable[..., Baresip]
Samples = npt.NDArray[np.int16]

DESK = yaml.safe_load((ROOT / "dialplans" / "front-desk.yaml").read_text())["nodes"]
GREETING = DESK["greeting"]["text"]
HOURS = DESK["hours"]["text"]
MENU = DESK["main"]["prompt"]
OPERATOR = DESK["operator"]["text"]
NOBODY = "Sorry, nobody picked up the phone just now."
BUSY = "Sorry, the line you want is busy at the moment."
TALK = "Hello from the service. Goodbye."
SENTENCES = [TALK, GREETING, HOURS, MENU, OPERATOR, NOBODY, BUSY]


def payloads(events: list[dict[str, Any]], event_type: str) -> list[dict[str, Any]]:
    return [e["payload"] for e in events if e["event_type"] == event_type]


def spoken(samples: Samples) -> list[str | None]:
    """The sentences in a sound, one for each stretch between silences of half a second.

    What is short is a ringing tone that somebody cut off.
    """
    return [
        recognise(samples[8 * s.start_ms : 8 * s.end_ms], SENTENCES)
        for s in segments(samples, min_silence_ms=500)
        if s.sound and s.length_ms > 800
    ]


def has(samples: Samples, frequency: float, rate: int = 8000) -> bool:
    """Whether somebody's tone is in a sound, as loud as it was sent: speech never is."""
    return heard(samples, frequency, rate, threshold_dbm0=-14.0).present_ms > 1000


def calls(phone: Baresip, service: Service, user: str) -> str:
    """The session of the call that the phone makes."""
    before = service.api.sessions()
    phone.dial(user)
    phone.until("CALL_ESTABLISHED")
    return service.api.new_session(before)


@pytest.mark.parametrize("law", ["pcmu", "pcma"])
def test_either_law_is_understood(service: Service, phones: Phones, law: str) -> None:
    phone = phones("1001", codecs=f"{law}/8000/1")
    session = calls(phone, service, "talk")
    phone.until("CALL_CLOSED")
    events = service.api.ended(session)
    assert payloads(events, "call.answered")[0]["codec"] == law.upper()
    phone.stop()
    assert spoken(phone.heard()) == [TALK]


def test_the_front_desk_is_heard_and_obeys_its_keys(service: Service, phones: Phones) -> None:
    phone = phones("1001", frequency=700.0)
    session = calls(phone, service, "front-desk")
    greeting = service.api.wait(session, "call.prompt.played", 30)["payload"]
    assert (greeting["reason"], greeting["heard_ms"]) == ("finished", greeting["total_ms"])
    phone.press("1")
    service.api.wait(session, "call.gather.completed")
    hours = service.api.wait_count(session, "call.prompt.played", 3)[2]["payload"]
    assert hours["text"].startswith("Our opening hours")
    phone.hang_up()
    events = service.api.ended(session)
    assert how(events) == ("ended", None, "caller")
    assert [d["digit"] for d in payloads(events, "call.dtmf.received")] == ["1"]
    cut = payloads(events, "call.prompt.played")[1]
    assert cut["reason"] == "barge_in"
    assert cut["heard_ms"] < cut["total_ms"]

    phone.stop()
    samples = phone.heard()
    said = spoken(samples)
    assert said[0] == GREETING
    assert HOURS in said
    first = next(s for s in segments(samples, min_silence_ms=1500) if s.sound)
    assert first.start_ms < 1500
    assert first.length_ms > 6000

    caller, desk = parse(service.api.recording(session)).samples
    assert has(caller, 700.0)
    assert not has(desk, 700.0)
    assert GREETING in spoken(desk)


def test_keys_one_after_another(service: Service, phones: Phones) -> None:
    phone = phones("1001")
    session = calls(phone, service, "code")
    phone.press("1140")
    phone.until("CALL_CLOSED")
    events = service.api.ended(session)
    keys = payloads(events, "call.dtmf.received")
    assert [(k["digit"], k["method"]) for k in keys] == [(k, "rfc4733") for k in "1140"]
    assert service.api.report(session)["custom_data"] == {"code": "1140"}


def test_the_operator_is_called_by_key_0(service: Service, phones: Phones) -> None:
    operator = phones("1000", frequency=1000.0)
    caller = phones("1001", frequency=700.0)
    session = calls(caller, service, "front-desk")
    caller.press("0")
    operator.until("CALL_ESTABLISHED", 30)
    service.api.wait(session, "call.bridged")
    listens_for(service, session, 2.0)
    operator.hang_up()
    caller.until("CALL_CLOSED")
    events = service.api.ended(session)
    assert how(events)[:2] == ("ended", None)
    assert service.api.report(session)["outcome"] == "completed"
    assert types(events).count("call.leg.hangup") == 2
    for phone in (operator, caller):
        phone.stop()
    assert has(caller.heard(), 1000.0)
    assert not has(caller.heard(), 700.0)
    assert has(operator.heard(), 700.0)
    assert not has(operator.heard(), 1000.0)
    assert OPERATOR in spoken(caller.heard())


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_phone_calls_a_phone(service: Service, phones: Phones, transport: str) -> None:
    one = phones("1001", transport=transport, frequency=700.0)
    other = phones("1002", transport=transport, frequency=1000.0)
    session = calls(one, service, "1002")
    other.until("CALL_ESTABLISHED")
    service.api.wait(session, "call.bridged")
    listens_for(service, session, 1.5)
    one.hang_up()
    other.until("CALL_CLOSED")
    assert how(service.api.ended(session)) == ("ended", None, "caller")
    for phone in (one, other):
        phone.stop()
    assert has(one.heard(), 1000.0)
    assert has(other.heard(), 700.0)
    assert not has(one.heard(), 700.0)


G722 = {"codecs": "g722/16000/1", "rate": 16000}


def test_a_prompt_is_understood_in_g722(service: Service, phones: Phones) -> None:
    phone = phones("1001", **G722)
    session = calls(phone, service, "talk")
    phone.until("CALL_CLOSED")
    events = service.api.ended(session)
    assert payloads(events, "call.answered")[0]["codec"] == "G722"
    phone.stop()
    assert spoken(resample(phone.heard(), 16000, 8000)) == [TALK]


@pytest.mark.parametrize("other_frequency", [1000.0, 5000.0])
def test_a_g722_phone_calls_another_and_one_with_g711(
    service: Service, phones: Phones, other_frequency: float
) -> None:
    wide = other_frequency > 4000
    one = phones("1001", frequency=700.0, **G722)
    other = phones("1002", frequency=other_frequency, **(G722 if wide else {}))
    session = calls(one, service, "1002")
    other.until("CALL_ESTABLISHED")
    service.api.wait(session, "call.bridged")
    listens_for(service, session, 1.5)
    one.hang_up()
    other.until("CALL_CLOSED")
    assert how(service.api.ended(session)) == ("ended", None, "caller")
    for phone in (one, other):
        phone.stop()
    assert has(one.heard(), other_frequency, 16000)
    assert not has(one.heard(), 700.0, 16000)
    assert has(other.heard(), 700.0, other.rate)


def test_a_dialplan_dials_a_phone_that_declines(service: Service, phones: Phones) -> None:
    desk = phones("1001", answers=False)
    caller = phones("1002")
    session = calls(caller, service, "to-desk")
    desk.until("CALL_INCOMING")
    service.api.wait(session, "call.ringing")
    desk.hang_up()
    caller.until("CALL_CLOSED", 30)
    events = service.api.ended(session)
    assert how(events) == ("ended", None, "service")
    assert types(events).count("sip.dial_failed") == 1
    caller.stop()
    assert spoken(caller.heard()) == [BUSY]


def test_a_phone_that_is_not_there(service: Service, phones: Phones) -> None:
    caller = phones("1002")
    session = calls(caller, service, "to-desk")
    caller.until("CALL_CLOSED", 30)
    events = service.api.ended(session)
    assert how(events) == ("ended", None, "service")
    assert payloads(events, "call.prompt.played")[-1]["reason"] == "finished"
    caller.stop()
    assert spoken(caller.heard())[-1] == NOBODY


def test_a_phone_holds_and_takes_up_again(service: Service, phones: Phones) -> None:
    phone = phones("1001")
    session = calls(phone, service, "long")
    phone.order("hold")
    service.api.wait(session, "call.hold")
    phone.order("resume")
    service.api.wait(session, "call.unhold")
    phone.hang_up()
    assert how(service.api.ended(session)) == ("ended", None, "caller")


def test_a_wrong_password_does_not_log_in(service: Service, phones: Phones) -> None:
    phone = phones("1002", password="guess", stranger=True)
    phone.says("403 Forbidden")
    caller = phones("1001")
    before = service.api.sessions()
    caller.dial("1002")
    caller.until("CALL_CLOSED", 30)
    events = service.api.ended(service.api.new_session(before))
    assert "sip.dial_failed" in types(events)
    assert "call.bridged" not in types(events)


def listens_for(service: Service, session: str, seconds: float) -> None:
    """Let two people talk for a while: time itself is what is waited for."""
    import time

    time.sleep(seconds)
    assert service.api.get(f"/v1/calls/{session}")["status"] == "active"
