"""sipp as the caller, over UDP and TCP: each call ends with exactly one hangup that says why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.interop.conftest import TRUNK, Gear
from tests.interop.service import Service, eventually, how, types
from tests.interop.sipp import Scenario, sdp


def run(
    service: Service, gear: Gear, scenario: Scenario, transport: str, user: str = "front-desk"
) -> tuple[str, list[dict[str, Any]]]:
    """The whole call: sipp saw what it expected, and this is what we wrote down."""
    before = service.api.sessions()
    gear.calls(service, scenario, user, transport).wait()
    session = service.api.new_session(before)
    return session, service.api.ended(session)


def digits(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    found = [e["payload"] for e in events if e["event_type"] == "call.dtmf.received"]
    return [(d["digit"], d["method"]) for d in found]


def test_answered_and_the_caller_hangs_up(service: Service, gear: Gear, transport: str) -> None:
    s = Scenario("caller-hangs-up").invite().answered().pause(700).bye()
    session, events = run(service, gear, s, transport)
    assert how(events) == ("ended", None, "caller")
    assert types(events)[0] == "call.initiated"
    assert "call.answered" in types(events)
    assert service.api.report(session)["outcome"] == "abandoned"  # it left inside the greeting
    detail = service.api.get(f"/v1/calls/{session}")
    assert detail["status"] == "ended"
    assert 0.3 < detail["duration_seconds"] < 5


def test_answered_and_we_hang_up(service: Service, gear: Gear, transport: str) -> None:
    s = Scenario("we-hang-up").invite().answered().expect("BYE").inside("200 OK")
    session, events = run(service, gear, s, transport, "talk")
    assert how(events) == ("ended", None, "service")
    report = service.api.report(session)
    assert report["outcome"] == "completed"
    assert "Hello from the service" in report["transcript"]["entries"][0]["text"]


def test_ended_through_the_api(service: Service, gear: Gear, transport: str) -> None:
    before = service.api.sessions()
    s = Scenario("api-ends").invite().answered().expect("BYE").inside("200 OK")
    caller = gear.calls(service, s, "long", transport)
    session = service.api.new_session(before)
    service.api.wait(session, "call.answered")
    assert service.api.post(f"/v1/calls/{session}/end")["status"] == "ending"
    caller.wait()
    assert how(service.api.ended(session)) == ("ended", None, "api")
    assert service.api.post(f"/v1/calls/{session}/end")["status"] == "already_ended"


def test_cancelled_before_the_answer(service: Service, gear: Gear, transport: str) -> None:
    s = Scenario("cancels").invite().expect(100, optional=True).expect(180).pause(200)
    s.cancel().expect(200).refused(487)
    session, events = run(service, gear, s, transport, "slow")
    assert how(events) == ("canceled", "canceled", "caller")
    assert "call.answered" not in types(events)
    assert service.api.report(session)["outcome"] == "canceled"


@pytest.mark.parametrize(
    ("user", "sip", "status", "cause", "outcome"),
    [
        ("busy-line", 486, "busy", "busy", "busy"),
        ("declined", 603, "failed", "declined", "declined"),
        ("closed", 480, "no_answer", "no_answer", "no_answer"),
    ],
)
def test_refused_by_the_dialplan(
    service: Service,
    gear: Gear,
    transport: str,
    user: str,
    sip: int,
    status: str,
    cause: str,
    outcome: str,
) -> None:
    s = Scenario(user).invite().ringing().refused(sip)
    session, events = run(service, gear, s, transport, user)
    assert how(events)[:2] == (status, cause)
    assert events[-1]["sip_status_code"] == sip
    assert service.api.report(session)["outcome"] == outcome


def test_a_phone_calls_with_its_password(service: Service, gear: Gear, transport: str) -> None:
    s = Scenario("phone", caller="1001").invite().ringing().refused(401)
    s.invite(extra="[authentication username=1001 password=desk]")
    s.answered().pause(200).bye()
    _, events = run(service, gear, s, transport)
    assert how(events) == ("ended", None, "caller")
    assert events[0]["payload"]["phone"] == "1001"


def test_a_wrong_password_is_no_call(service: Service, gear: Gear, transport: str) -> None:
    before = service.api.sessions()
    s = Scenario("wrong", caller="1001").invite().ringing().refused(401)
    s.invite(extra="[authentication username=1001 password=guess]").ringing().refused(403)
    gear.calls(service, s, transport=transport).wait()
    assert service.api.sessions() == before


def test_a_trunk_calls_by_its_address(service: Service, gear: Gear, transport: str) -> None:
    before = service.api.sessions()
    s = Scenario("trunk").invite().answered().expect("BYE").inside("200 OK")
    gear.calls(service, s, "+12025550100", transport, TRUNK).wait()
    events = service.api.ended(service.api.new_session(before))
    assert how(events) == ("ended", None, "service")
    assert events[0]["payload"]["trunk"] == "trunk_gear"


def test_a_trunk_calls_with_its_password(service: Service, gear: Gear, transport: str) -> None:
    s = Scenario("trunk-digest").invite().ringing().refused(401)
    s.invite(extra='[authentication username=acme password="open sesame"]')
    s.answered().expect("BYE").inside("200 OK")
    _, events = run(service, gear, s, transport, "+12025550100")
    assert events[0]["payload"]["trunk"] == "trunk_locked"


def test_held_and_unheld(service: Service, gear: Gear, transport: str) -> None:
    s = Scenario("holds").invite().answered().pause(200)
    s.reinvite("sendonly", 2).pause(200).reinvite("sendrecv", 3).pause(200).bye()
    before = service.api.sessions()
    caller = gear.calls(service, s, transport=transport)
    caller.wait()
    events = service.api.ended(service.api.new_session(before))
    assert how(events) == ("ended", None, "caller")
    order = [t for t in types(events) if t in ("call.hold", "call.unhold")]
    assert order == ["call.hold", "call.unhold"]
    answers = [m for m in caller.received() if m.startswith("SIP/2.0 200") and "m=audio" in m]
    assert ["a=recvonly" in m for m in answers] == [False, True, False]


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_session_is_refreshed(service: Service, gear: Gear, transport: str, method: str) -> None:
    timer = "Supported: timer\nSession-Expires: 90;refresher=uac\nMin-SE: 90"
    s = Scenario(f"refreshes-{method}").invite(extra=timer).answered().pause(200)
    if method == "INVITE":
        s.reinvite(version=1, extra=timer)
    else:
        s.request("UPDATE", timer).expect(200)
    s.pause(200).bye()
    before = service.api.sessions()
    caller = gear.calls(service, s, transport=transport)
    caller.wait()
    events = service.api.ended(service.api.new_session(before))
    assert how(events) == ("ended", None, "caller")
    assert "call.hold" not in types(events)
    said = [m for m in caller.received() if "Session-Expires: 90;refresher=uac" in m]
    assert len(said) == 2


def test_too_short_a_session_is_422(service: Service, gear: Gear, transport: str) -> None:
    s = Scenario("short").invite(extra="Supported: timer\nSession-Expires: 30\nMin-SE: 30")
    s.ringing().refused(422)
    s.invite(extra="Supported: timer\nSession-Expires: 1800;refresher=uac").answered().bye()
    before = service.api.sessions()
    caller = gear.calls(service, s, transport=transport)
    caller.wait()
    assert any("Min-SE: 90" in m for m in caller.received() if m.startswith("SIP/2.0 422"))
    service.api.ended(service.api.new_session(before))


def test_an_invite_without_an_offer(service: Service, gear: Gear, transport: str) -> None:
    s = Scenario("no-offer").invite("").answered(body=sdp()).expect("BYE").inside("200 OK")
    session, events = run(service, gear, s, transport, "talk")
    assert how(events) == ("ended", None, "service")
    assert service.api.report(session)["outcome"] == "completed"


def test_keys_by_info(service: Service, gear: Gear, transport: str) -> None:
    s = Scenario("info").invite().answered().pause(500)
    s.request("INFO", "", "Signal=1\nDuration=160\n", "application/dtmf-relay").expect(200)
    s.pause(300).bye()
    _, events = run(service, gear, s, transport)
    assert digits(events) == [("1", "info")]
    cut = next(e["payload"] for e in events if e["event_type"] == "call.prompt.played")
    assert cut["reason"] == "barge_in"
    assert 0 < cut["heard_ms"] < cut["total_ms"]


@pytest.mark.parametrize("codec", [0, 8])
def test_either_law(service: Service, gear: Gear, codec: int) -> None:
    s = Scenario(f"law-{codec}").invite(sdp(formats=(codec,))).answered().pause(200).bye()
    _, events = run(service, gear, s, "udp")
    answered = next(e for e in events if e["event_type"] == "call.answered")
    assert answered["payload"]["codec"] == ("PCMU" if codec == 0 else "PCMA")


def test_nothing_usable_is_488(service: Service, gear: Gear, transport: str) -> None:
    before = service.api.sessions()
    s = Scenario("g729").invite(sdp(formats=(18,))).ringing().refused(488)
    gear.calls(service, s, transport=transport).wait()
    assert service.api.sessions() == before


def test_unknown_users_are_404_without_a_call(service: Service, gear: Gear, transport: str) -> None:
    before = service.api.sessions()
    s = Scenario("unknown").invite().ringing().refused(404)
    gear.calls(service, s, "nobody", transport).wait()
    assert service.api.sessions() == before


def test_bridged_to_a_gateway(service: Service, gear: Gear, gateway: int, transport: str) -> None:
    """A caller is put through to a number; the called party hangs up first."""
    callee = Scenario("called").called().answer("180 Ringing").answer("200 OK", sdp())
    callee.expect("ACK").pause(500).callee_request("BYE").expect(200)
    other = gear.waits(callee, gateway)
    s = Scenario("put-through").invite().answered().expect("BYE").inside("200 OK")
    session, events = run(service, gear, s, transport, "to-number")
    other.wait()
    assert how(events)[:2] == ("ended", None)
    assert "call.bridged" in types(events)
    assert types(events).count("call.leg.hangup") == 2
    assert service.api.report(session)["outcome"] == "completed"


def test_the_caller_leaves_while_the_other_phone_rings(
    service: Service, gear: Gear, gateway: int, transport: str
) -> None:
    other = gear.waits(Scenario("rings").called().answer("180 Ringing").cancelled(), gateway)
    before = service.api.sessions()
    s = Scenario("gives-up").invite().answered().pause(1000).bye()
    gear.calls(service, s, "to-number", transport).wait()
    other.wait()
    session = service.api.new_session(before)
    events = service.api.ended(session)
    assert how(events) == ("ended", None, "caller")
    assert "call.bridged" not in types(events)


def test_transferred_by_refer(service: Service, gear: Gear, transport: str) -> None:
    s = Scenario("refer").invite().answered().expect("REFER").inside("202 Accepted")
    s.refer_progress("100 Trying", "active;expires=60")
    s.refer_progress("200 OK", "terminated;reason=noresource")
    s.expect("BYE").inside("200 OK")
    session, events = run(service, gear, s, transport, "transfer")
    assert how(events)[:2] == ("ended", None)
    assert [t for t in types(events) if t.startswith("call.transfer")] == [
        "call.transfer.initiated",
        "call.transfer.completed",
    ]
    assert service.api.report(session)["outcome"] == "transferred"


def test_a_refer_that_comes_to_nothing(service: Service, gear: Gear, transport: str) -> None:
    """The far end went, found nobody, and is still ours: the dialplan says so."""
    s = Scenario("refer-fails").invite().answered().expect("REFER").inside("202 Accepted")
    s.refer_progress("486 Busy Here", "terminated;reason=noresource")
    s.expect("BYE").inside("200 OK")
    session, events = run(service, gear, s, transport, "transfer")
    assert how(events) == ("ended", None, "service")
    failed = next(e for e in events if e["event_type"] == "call.transfer.failed")
    assert failed["failure_cause"] == "busy"
    said = [t["text"] for t in service.api.report(session)["transcript"]["entries"]]
    assert "That did not work." in said


def test_who_takes_no_refer_is_put_through(
    service: Service, gear: Gear, gateway: int, transport: str
) -> None:
    callee = Scenario("target").called().answer("200 OK", sdp()).expect("ACK").pause(300)
    other = gear.waits(callee.callee_request("BYE").expect(200), gateway)
    s = Scenario("no-refer").invite().answered().expect("REFER").inside("405 Method Not Allowed")
    s.expect("BYE").inside("200 OK")
    session, events = run(service, gear, s, transport, "transfer")
    other.wait()
    completed = next(e for e in events if e["event_type"] == "call.transfer.completed")
    assert completed["payload"]["mode"] == "bridge"
    assert "call.bridged" in types(events)
    assert service.api.report(session)["outcome"] == "transferred"


def test_sipp_logs_in_and_out(service: Service, gear: Gear, transport: str) -> None:
    s = Scenario("registers", caller="1001").register().expect(401)
    s.register("[authentication username=1001 password=desk]").expect(200)
    s.register("[authentication username=1001 password=desk]", expires=0).expect(200)
    # A phone calls what it registers: sipp's To is that of the account.
    caller = gear.calls(service, s, "1001", transport)
    caller.wait()
    contacts = [m for m in caller.received() if m.startswith("SIP/2.0 200")]
    assert ["Contact:" in m for m in contacts] == [True, False]


def test_calls_at_once(service: Service, gear: Gear) -> None:
    """Ten callers together, each with its own end."""
    before = service.api.sessions()
    callers = [
        gear.calls(service, Scenario(f"many-{n}").invite().answered().pause(500).bye())
        for n in range(10)
    ]
    for caller in callers:
        caller.wait()
    new = eventually(
        "ten calls",
        lambda: (
            len(found := [s for s in service.api.sessions() if s not in before]) == 10 and found
        ),
    )
    for session in new:
        assert how(service.api.ended(session)) == ("ended", None, "caller")


def test_over_ipv6(alone: Callable[..., Service], gear: Gear, transport: str) -> None:
    service = alone()
    service.start(TELEPHONY_SIP_HOST="::1")
    s = Scenario("six").invite().answered().expect("BYE").inside("200 OK")
    caller = gear.calls(service, s, "talk", transport, "::1")
    caller.wait()
    assert any("c=IN IP6 ::1" in m for m in caller.received())
    assert how(service.api.ended(service.api.new_session([]))) == ("ended", None, "service")
    assert service.stop() == 0
    assert service.complaints() == []
