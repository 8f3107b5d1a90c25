"""Who keeps a long call alive: half an interval of 90 seconds, in all four ways at once."""

from __future__ import annotations

from collections.abc import Callable

from tests.interop.conftest import Gear
from tests.interop.service import Service, free_port, how, types
from tests.interop.sipp import Scenario, sdp

TRUNKS = """
[[trunks]]
name = "udp"
gateways = ["127.0.0.1:{udp}"]
caller_ids = ["+12025550100"]

[[trunks]]
name = "tcp"
gateways = ["127.0.0.1:{tcp}"]
transport = "tcp"
caller_ids = ["+12025550101"]
"""
AGREED = "Require: timer\nSession-Expires: 90;refresher=uac"
ALIVE = {"seconds": 80, "echo": True}


def test_we_refresh_the_session(alone: Callable[..., Service], gear: Gear) -> None:
    """As caller and as callee, over UDP and TCP; by UPDATE where the peer takes it."""
    ports = {"udp": free_port(), "tcp": free_port()}
    service = alone(TRUNKS.format(**ports))
    service.start()
    sipps = []
    for transport, port in ports.items():
        # Who does not say that it takes UPDATE gets a re-INVITE (RFC 4028 §7.4).
        allow = "Allow: INVITE, ACK, BYE, CANCEL, UPDATE" if transport == "udp" else ""
        s = Scenario(f"callee-{transport}").called()
        s.answer("200 OK", sdp(), f"{AGREED}\n{allow}").expect("ACK")
        if allow:
            s.expect("UPDATE").inside("200 OK", extra=AGREED)
        else:
            s.expect("INVITE").inside("200 OK", sdp(), AGREED).expect("ACK")
        s.callee_request("BYE").expect(200)
        sipps.append(gear.waits(s, port, transport, **ALIVE))
        service.api.dial(dialplan="conference", trunk=transport)
        s = Scenario(f"caller-{transport}")
        s.invite(extra="Supported: timer\nSession-Expires: 90;refresher=uas\nAllow: UPDATE")
        s.answered().expect("UPDATE")
        s.inside("200 OK", extra=AGREED).bye()
        sipps.append(gear.calls(service, s, "conference", transport, **ALIVE))
    for sipp in sipps:
        sipp.wait(80)
    sessions = service.api.sessions()
    assert len(sessions) == 4
    for session in sessions:
        events = service.api.ended(session)
        assert how(events)[:2] == ("ended", None)
        assert "call.hold" not in types(events)
        assert service.api.get(f"/v1/calls/{session}")["duration_seconds"] > 44
    assert service.stop() == 0
    assert service.complaints() == []
