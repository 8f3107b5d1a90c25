"""sipp as the callee of ``POST /v1/sessions/phone``, over UDP and TCP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.interop.conftest import Gateway, Service
from tests.interop.sipp import Scenario, Sipp, sdp, start
from tests.interop.test_sipp_calls_us import hangup, types


@pytest.fixture(params=["udp", "tcp"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def dial(service: Service, transport: str, **body: Any) -> str:
    order = {"to": "+12025550123", "dialplan": "talk", "telephony": {}}
    order["trunk"] = "gear" if transport == "udp" else "gear-tcp"
    order.update(body)
    reply = service.api.post("/v1/sessions/phone", order)
    assert reply["status"] == "dialing"
    assert reply["callControlId"] == f"phone-{reply['sessionId']}"
    return str(reply["sessionId"])


def callee(scenario: Scenario, folder: Path, gateway: Gateway, transport: str) -> Sipp:
    import time

    gear = start(scenario, folder, port=gateway.port, transport=transport)
    time.sleep(0.4)
    return gear


def ringing(name: str) -> Scenario:
    return Scenario(name).expect("INVITE").answer("180 Ringing")


def test_answered_and_we_hang_up(
    service: Service, gateway: Gateway, tmp_path: Path, transport: str
) -> None:
    s = ringing("answers").pause(200).answer("200 OK", sdp()).expect("ACK")
    gear = callee(s.expect("BYE").again("200 OK"), tmp_path, gateway, transport)
    session = dial(service, transport)
    events = service.api.ended(session, 30)
    gear.wait()
    end = hangup(events)
    assert (end["status"], end["failure_cause"]) == ("ended", None)
    assert types(events)[:4] == [
        "call.initiated",
        "sip.dial_started",
        "call.ringing",
        "call.answered",
    ]
    report = service.api.get(f"/v1/calls/{session}/report")
    assert report["outcome"] == "completed"
    assert "long sentence" in report["transcript"]["entries"][0]["text"]


def test_the_callee_hangs_up(
    service: Service, gateway: Gateway, tmp_path: Path, transport: str
) -> None:
    s = Scenario("callee-leaves")
    s.steps.append(
        '<recv request="INVITE"><action><ereg regexp=".*" search_in="hdr" header="From:"'
        ' assign_to="1"/></action></recv>'
    )
    s.answer("180 Ringing").answer("200 OK", sdp()).expect("ACK").pause(500)
    s.callee_request("BYE", 1).expect(200)
    gear = callee(s, tmp_path, gateway, transport)
    events = service.api.ended(dial(service, transport))
    gear.wait()
    end = hangup(events)
    assert (end["status"], end["failure_cause"]) == ("ended", None)
    assert end["payload"]["ended_by"] == "callee"


@pytest.mark.parametrize(
    ("answer", "status", "cause", "outcome"),
    [
        ("486 Busy Here", "busy", "busy", "busy"),
        ("600 Busy Everywhere", "busy", "busy", "busy"),
        ("603 Decline", "failed", "declined", "declined"),
        ("403 Forbidden", "failed", "forbidden", "declined"),
        ("404 Not Found", "failed", "not_found", "failed"),
        ("480 Temporarily Unavailable", "no_answer", "no_answer", "no_answer"),
        ("488 Not Acceptable Here", "failed", "media_incompatible", "failed"),
        ("500 Server Internal Error", "failed", "carrier_error", "failed"),
    ],
)
def test_refused(
    service: Service,
    gateway: Gateway,
    tmp_path: Path,
    transport: str,
    answer: str,
    status: str,
    cause: str,
    outcome: str,
) -> None:
    s = ringing(f"refuses-{answer[:3]}").answer(answer).expect("ACK")
    gear = callee(s, tmp_path, gateway, transport)
    session = dial(service, transport)
    events = service.api.ended(session)
    gear.wait()
    end = hangup(events)
    assert (end["status"], end["failure_cause"]) == (status, cause)
    assert end["sip_status_code"] == int(answer[:3])
    assert "sip.dial_failed" in types(events)
    assert service.api.get(f"/v1/calls/{session}/report")["outcome"] == outcome


def cancelled(name: str) -> Scenario:
    s = ringing(name).expect("CANCEL").again("200 OK")
    # The 487 answers the INVITE, whose CSeq the last message (CANCEL) does not have.
    text = s.answer("487 Request Terminated").steps.pop()
    s.steps.append(text.replace("[last_CSeq:]", "CSeq: [last_cseq_number] INVITE"))
    return s.expect("ACK")


def test_nobody_answers(service: Service, gateway: Gateway, tmp_path: Path, transport: str) -> None:
    gear = callee(cancelled("rings-out"), tmp_path, gateway, transport)
    session = dial(service, transport, ringSeconds=2)
    events = service.api.ended(session)
    gear.wait()
    end = hangup(events)
    assert (end["status"], end["failure_cause"]) == ("no_answer", "no_answer")


def test_ended_through_the_api_while_it_rings(
    service: Service, gateway: Gateway, tmp_path: Path, transport: str
) -> None:
    gear = callee(cancelled("api-cancels"), tmp_path, gateway, transport)
    session = dial(service, transport)
    service.api.wait_event(session, "call.ringing")
    assert service.api.post(f"/v1/calls/{session}/end") == {"ok": True, "status": "ending"}
    events = service.api.ended(session)
    gear.wait()
    end = hangup(events)
    assert (end["status"], end["failure_cause"]) == ("canceled", "canceled")
    assert end["payload"]["ended_by"] == "api"
    again = service.api.post(f"/v1/calls/{session}/end")
    assert again["status"] == "already_ended"


def test_the_gateway_wants_a_password(service: Service, gateway: Gateway, tmp_path: Path) -> None:
    s = Scenario("challenges").expect("INVITE")
    s.answer(
        "407 Proxy Authentication Required",
        extra='Proxy-Authenticate: Digest realm="gear", nonce="n1", qop="auth", algorithm=MD5\n',
    )
    s.expect("ACK")
    s.steps.append(
        '<recv request="INVITE"><action><verifyauth assign_to="2" username="acme"'
        ' password="open sesame"/></action></recv>\n'
        '<nop><action><test assign_to="3" variable="2" compare="equal" value="1"/></action></nop>'
    )
    s.answer("180 Ringing").answer("200 OK", sdp()).expect("ACK").expect("BYE").again("200 OK")
    s.steps.append('<Reference variables="3"/>')
    gear = callee(s, tmp_path, gateway, "udp")
    events = service.api.ended(dial(service, "udp", trunk="locked"), 30)
    gear.wait()
    assert hangup(events)["status"] == "ended"


def test_nobody_is_there(service: Service, gateway: Gateway) -> None:
    events = service.api.ended(dial(service, "udp"), 40)
    end = hangup(events)
    assert (end["status"], end["failure_cause"]) == ("failed", "unreachable")
