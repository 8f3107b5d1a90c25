"""sipp as the callee of ``POST /v1/sessions/phone``, over UDP and TCP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.interop.conftest import Gear
from tests.interop.service import Service, how, types
from tests.interop.sipp import Scenario, sdp


def dial(service: Service, transport: str, **order: Any) -> str:
    trunk = "gear" if transport == "udp" else "gear-tcp"
    return service.api.dial(**{"dialplan": "talk", "trunk": trunk, **order})


def ringing(name: str) -> Scenario:
    return Scenario(name).called().answer("180 Ringing")


def picks_up(name: str) -> Scenario:
    return ringing(name).answer("200 OK", sdp()).expect("ACK")


def test_answered_and_we_hang_up(
    service: Service, gear: Gear, gateway: int, transport: str
) -> None:
    callee = gear.waits(picks_up("answers").expect("BYE").inside("200 OK"), gateway, transport)
    session = dial(service, transport, headers={"X-Order": "4711"})
    events = service.api.ended(session)
    callee.wait()
    assert how(events) == ("ended", None, "service")
    assert types(events)[:4] == [
        "call.initiated",
        "sip.dial_started",
        "call.ringing",
        "call.answered",
    ]
    report = service.api.report(session)
    assert report["outcome"] == "completed"
    assert "Hello from the service" in report["transcript"]["entries"][0]["text"]
    invite = callee.received()[0]
    assert "X-Order: 4711" in invite
    assert ("X-Account: acme" in invite) == (transport == "udp")  # the one trunk says so


def test_the_callee_hangs_up(service: Service, gear: Gear, gateway: int, transport: str) -> None:
    s = picks_up("callee-leaves").pause(400).callee_request("BYE").expect(200)
    callee = gear.waits(s, gateway, transport)
    events = service.api.ended(dial(service, transport, dialplan="long"))
    callee.wait()
    assert how(events) == ("ended", None, "callee")


def test_sound_before_the_answer(
    service: Service, gear: Gear, gateway: int, transport: str
) -> None:
    s = Scenario("early").called().answer("183 Session Progress", sdp()).pause(300)
    s.answer("200 OK", sdp()).expect("ACK").expect("BYE").inside("200 OK")
    callee = gear.waits(s, gateway, transport)
    events = service.api.ended(dial(service, transport))
    callee.wait()
    assert how(events) == ("ended", None, "service")
    order = [t for t in types(events) if t in ("call.early_media", "call.answered")]
    assert order == ["call.early_media", "call.answered"]


@pytest.mark.parametrize(
    ("answer", "status", "cause", "outcome"),
    [
        ("486 Busy Here", "busy", "busy", "busy"),
        ("600 Busy Everywhere", "busy", "busy", "busy"),
        ("603 Decline", "failed", "declined", "declined"),
        ("403 Forbidden", "failed", "forbidden", "declined"),
        ("608 Rejected", "failed", "blocked", "declined"),
        ("404 Not Found", "failed", "not_found", "failed"),
        ("484 Address Incomplete", "failed", "invalid_number", "failed"),
        ("408 Request Timeout", "no_answer", "no_answer", "no_answer"),
        ("480 Temporarily Unavailable", "no_answer", "no_answer", "no_answer"),
        ("488 Not Acceptable Here", "failed", "media_incompatible", "failed"),
        ("500 Server Internal Error", "failed", "carrier_error", "failed"),
    ],
)
def test_refused(
    service: Service,
    gear: Gear,
    gateway: int,
    transport: str,
    answer: str,
    status: str,
    cause: str,
    outcome: str,
) -> None:
    callee = gear.waits(
        ringing(f"refuses-{answer[:3]}").answer(answer).expect("ACK"), gateway, transport
    )
    session = dial(service, transport)
    events = service.api.ended(session)
    callee.wait()
    assert how(events)[:2] == (status, cause)
    assert events[-1]["sip_status_code"] == int(answer[:3])
    assert "sip.dial_failed" in types(events)
    assert service.api.report(session)["outcome"] == outcome


def test_nobody_answers(service: Service, gear: Gear, gateway: int, transport: str) -> None:
    callee = gear.waits(ringing("rings-out").cancelled(), gateway, transport)
    session = dial(service, transport, ringingTimeout=1)
    events = service.api.ended(session)
    callee.wait()
    assert how(events)[:2] == ("no_answer", "no_answer")
    assert service.api.report(session)["outcome"] == "no_answer"


def test_ended_through_the_api_while_it_rings(
    service: Service, gear: Gear, gateway: int, transport: str
) -> None:
    callee = gear.waits(ringing("api-cancels").cancelled(), gateway, transport)
    session = dial(service, transport)
    service.api.wait(session, "call.ringing")
    assert service.api.post(f"/v1/calls/{session}/end") == {"ok": True, "status": "ending"}
    events = service.api.ended(session)
    callee.wait()
    assert how(events) == ("canceled", "canceled", "api")
    assert service.api.post(f"/v1/calls/{session}/end")["status"] == "already_ended"


@pytest.mark.parametrize("status", [401, 407])
def test_the_gateway_wants_a_password(
    service: Service, gear: Gear, gateway: int, transport: str, status: int
) -> None:
    who = "Proxy-Authenticate" if status == 407 else "WWW-Authenticate"
    user = "acme" if transport == "udp" else "acme-tcp"
    s = (
        Scenario("challenges")
        .called()
        .answer(
            f"{status} Who Are You",
            extra=f'{who}: Digest realm="gear", nonce="n1", qop="auth", algorithm=MD5',
        )
    )
    s.expect("ACK").called(
        f'<verifyauth assign_to="proven" username="{user}" password="open sesame"/>'
        '<test assign_to="proven" variable="proven" compare="equal" value="1"/>'
    )
    s.answer("200 OK", sdp()).expect("ACK").expect("BYE").inside("200 OK")
    callee = gear.waits(s.mentions("proven"), gateway, transport)
    trunk = "locked" if transport == "udp" else "locked-tcp"
    events = service.api.ended(dial(service, transport, trunk=trunk))
    callee.wait()
    assert how(events) == ("ended", None, "service")


def test_held_and_unheld_by_the_callee(
    service: Service, gear: Gear, gateway: int, transport: str
) -> None:
    s = picks_up("callee-holds").pause(200)
    for version, direction in ((2, "sendonly"), (3, "sendrecv")):
        s.callee_request("INVITE", body=sdp(direction, version)).ringing().expect(200)
        s.callee_ack().pause(200)
    callee = gear.waits(s.callee_request("BYE").expect(200), gateway, transport)
    events = service.api.ended(dial(service, transport, dialplan="long"))
    callee.wait()
    assert how(events) == ("ended", None, "callee")
    order = [t for t in types(events) if t in ("call.hold", "call.unhold")]
    assert order == ["call.hold", "call.unhold"]


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_the_callee_refreshes_the_session(
    service: Service, gear: Gear, gateway: int, transport: str, method: str
) -> None:
    timer = "Require: timer\nSession-Expires: 90;refresher=uas"
    s = ringing("callee-refreshes").answer("200 OK", sdp(), timer).expect("ACK").pause(200)
    again = "Supported: timer\nSession-Expires: 90;refresher=uac"
    if method == "INVITE":
        s.callee_request("INVITE", again, sdp()).ringing().expect(200).callee_ack()
    else:
        s.callee_request("UPDATE", again).expect(200)
    callee = gear.waits(s.callee_request("BYE").expect(200), gateway, transport)
    events = service.api.ended(dial(service, transport, dialplan="long"))
    callee.wait()
    assert how(events) == ("ended", None, "callee")
    invite = callee.received()[0]
    assert "Session-Expires:" in invite
    answer = next(m for m in callee.received() if m.startswith("SIP/2.0 200"))
    assert "Session-Expires: 90;refresher=uac" in answer
    assert "call.hold" not in types(events)


def test_nobody_is_there(service: Service, gateway: int, transport: str) -> None:
    events = service.api.ended(dial(service, transport), 60)
    assert how(events)[:2] == ("failed", "unreachable")
    assert "sip.dial_failed" in types(events)
