"""sipp as the caller, over UDP and TCP: each call ends with exactly one hangup that says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.interop.conftest import Service, free_port
from tests.interop.sipp import Scenario, sdp, start


def hangup(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The one call.hangup, which is the last event, in a sequence without a gap."""
    ends = [e for e in events if e["event_type"] == "call.hangup"]
    assert len(ends) == 1
    assert events[-1] is ends[0]
    assert [e["payload"]["seq"] for e in events] == list(range(1, len(events) + 1))
    created = [e["created_at"] for e in events]
    assert created == sorted(set(created))
    return ends[0]


def types(events: list[dict[str, Any]]) -> list[str]:
    return [e["event_type"] for e in events]


@pytest.fixture(params=["udp", "tcp"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(
    service: Service,
    scenario: Scenario,
    folder: Path,
    transport: str,
    user: str = "front-desk",
    options: tuple[str, ...] = (),
) -> tuple[str, list[dict[str, Any]]]:
    before = service.api.sessions()
    gear = start(
        scenario,
        folder,
        port=free_port(),
        target=f"127.0.0.1:{service.sip_port}",
        transport=transport,
        service=user,
        options=options,
    )
    gear.wait()
    session = service.api.new_session(before)
    return session, service.api.ended(session)


def provisionals(scenario: Scenario) -> Scenario:
    return scenario.expect(100, optional=True).expect(180, optional=True)


def test_answered_and_the_caller_hangs_up(service: Service, tmp_path: Path, transport: str) -> None:
    s = provisionals(Scenario("caller-hangs-up").invite()).expect(200, rrs="true")
    s.in_dialog("ACK", 1).pause(700).in_dialog("BYE", 2).expect(200)
    session, events = run(service, s, tmp_path, transport)
    end = hangup(events)
    assert (end["status"], end["failure_cause"]) == ("ended", None)
    assert end["payload"]["ended_by"] == "caller"
    assert types(events)[0] == "call.initiated"
    assert "call.answered" in types(events)
    report = service.api.get(f"/v1/calls/{session}/report")
    assert report["outcome"] == "abandoned"  # it left inside the greeting
    detail = service.api.get(f"/v1/calls/{session}")
    assert detail["status"] == "ended"
    assert 0.3 < detail["duration_seconds"] < 5


def test_answered_and_we_hang_up(service: Service, tmp_path: Path, transport: str) -> None:
    s = provisionals(Scenario("we-hang-up").invite()).expect(200)
    s.in_dialog("ACK", 1).expect("BYE").again("200 OK")
    # The desk says a sentence and hangs up.
    session, events = run(service, s, tmp_path, transport, user="talk")
    end = hangup(events)
    assert (end["status"], end["failure_cause"]) == ("ended", None)
    assert end["payload"]["ended_by"] == "service"
    assert service.api.get(f"/v1/calls/{session}/report")["outcome"] == "completed"


def test_cancelled_before_the_answer(service: Service, tmp_path: Path, transport: str) -> None:
    s = Scenario("cancelled").invite().expect(100, optional=True).expect(180)
    s.pause(200)
    s.send(
        """
CANCEL sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch-2]
Max-Forwards: 70
From: gear <sip:+12025550188@[local_ip]:[local_port]>;tag=[pid]gear[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: 1 CANCEL
""",
        retrans=500,
    )
    # sipp gives a fresh branch to each message; the CANCEL must carry the INVITE's.
    s.steps[-1] = s.steps[-1].replace("[branch-2]", "[branch-3]")
    s.expect(200).expect(487)
    s.send(
        """
ACK sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch-6]
Max-Forwards: 70
From: gear <sip:+12025550188@[local_ip]:[local_port]>;tag=[pid]gear[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 1 ACK
"""
    )
    _, events = run(service, s, tmp_path, transport, user="slow")
    end = hangup(events)
    assert (end["status"], end["failure_cause"]) == ("canceled", "canceled")
    assert "call.answered" not in types(events)


def test_refused_by_the_dialplan(service: Service, tmp_path: Path, transport: str) -> None:
    s = Scenario("refused").invite().expect(100, optional=True).expect(486)
    s.in_dialog("ACK", 1)
    _, events = run(service, s, tmp_path, transport, user="busy-line")
    end = hangup(events)
    assert (end["status"], end["failure_cause"]) == ("busy", "busy")


def test_a_phone_calls_with_its_password(service: Service, tmp_path: Path, transport: str) -> None:
    s = Scenario("authenticated").invite(
        extra='Authorization: Digest username="1001", realm="x", nonce="x", uri="sip:x",'
        ' response="00000000000000000000000000000000"\n'
    )
    s.expect(100, optional=True).expect(401, auth="true").in_dialog("ACK", 1)
    s.invite(extra="[authentication username=1001 password=desk]\n", cseq=2)
    provisionals(s).expect(200)
    s.in_dialog("ACK", 2).pause(300).in_dialog("BYE", 3).expect(200)
    session, events = run(service, s, tmp_path, transport)
    assert hangup(events)["status"] == "ended"
    assert events[0]["payload"]["phone"] == "1001"


def test_held_and_unheld_by_the_caller(service: Service, tmp_path: Path, transport: str) -> None:
    s = provisionals(Scenario("hold").invite()).expect(200)
    s.in_dialog("ACK", 1).pause(300)
    s.in_dialog("INVITE", 2, body=sdp("sendonly", 2)).expect(100, optional=True).expect(200)
    s.in_dialog("ACK", 2).pause(300)
    s.in_dialog("INVITE", 3, body=sdp("sendrecv", 3)).expect(100, optional=True).expect(200)
    s.in_dialog("ACK", 3).pause(300).in_dialog("BYE", 4).expect(200)
    _, events = run(service, s, tmp_path, transport)
    assert hangup(events)["status"] == "ended"
    order = [t for t in types(events) if t in ("call.hold", "call.unhold")]
    assert order == ["call.hold", "call.unhold"]


def test_a_session_is_refreshed(service: Service, tmp_path: Path, transport: str) -> None:
    timer = "Session-Expires: 90;refresher=uac\nMin-SE: 90\n"
    s = provisionals(Scenario("refresh").invite(extra=timer)).expect(200)
    s.in_dialog("ACK", 1).pause(300)
    s.in_dialog("INVITE", 2, extra=timer, body=sdp(version=1)).expect(100, optional=True)
    s.expect(200).in_dialog("ACK", 2).pause(200)
    s.in_dialog("UPDATE", 3, extra=timer).expect(200)
    s.pause(200).in_dialog("BYE", 4).expect(200)
    _, events = run(service, s, tmp_path, transport)
    assert hangup(events)["status"] == "ended"
    assert "call.hold" not in types(events)


def test_keys_by_info(service: Service, tmp_path: Path, transport: str) -> None:
    s = provisionals(Scenario("info").invite()).expect(200)
    s.in_dialog("ACK", 1).pause(500)
    s.steps.append(
        s.in_dialog("INFO", 2)
        .steps.pop()
        .replace(
            "Content-Length: 0\n",
            "Content-Type: application/dtmf-relay\nContent-Length: [len]\n\n"
            "Signal=1\nDuration=160\n",
        )
    )
    s.expect(200).pause(500).in_dialog("BYE", 3).expect(200)
    session, events = run(service, s, tmp_path, transport)
    digits = [e for e in events if e["event_type"] == "call.dtmf.received"]
    assert [d["payload"]["digit"] for d in digits] == ["1"]
    assert digits[0]["payload"]["method"] == "info"
    cut = [e for e in events if e["event_type"] == "call.prompt.played"][0]["payload"]
    assert cut["reason"] == "barge_in"
    assert 0 < cut["heard_ms"] < cut["total_ms"]


def test_nothing_usable_is_488(service: Service, tmp_path: Path) -> None:
    g729 = sdp().replace("RTP/AVP 0 8 101", "RTP/AVP 18").replace("a=rtpmap:0 PCMU/8000\n", "")
    before = service.api.sessions()
    s = Scenario("g729").invite(body=g729).expect(100, optional=True).expect(488)
    s.in_dialog("ACK", 1)
    start(
        s, tmp_path, port=free_port(), target=f"127.0.0.1:{service.sip_port}", service="front-desk"
    ).wait()
    assert service.api.sessions() == before


def test_unknown_users_are_404_without_a_call(service: Service, tmp_path: Path) -> None:
    before = service.api.sessions()
    s = Scenario("unknown").invite().expect(100, optional=True).expect(404)
    s.in_dialog("ACK", 1)
    start(
        s, tmp_path, port=free_port(), target=f"127.0.0.1:{service.sip_port}", service="nobody"
    ).wait()
    assert service.api.sessions() == before
