"""What is refused, and what is no SIP at all: the right answer, no call, nothing in the log."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Callable

import pytest

from tests.interop.conftest import Gear
from tests.interop.service import ROOT, Service, how
from tests.interop.sipp import Scenario

TORTURE = ROOT / "tests" / "vectors" / "rfc4475"

INVITE = """INVITE sip:front-desk@{sip} SIP/2.0
Via: SIP/2.0/{transport} 127.0.0.1:9;branch=z9hG4bK-{branch};rport
Max-Forwards: 70
From: <sip:odd@127.0.0.1>;tag=odd
To: <sip:front-desk@{sip}>
Call-ID: {branch}@127.0.0.1
CSeq: 1 INVITE
Contact: <sip:odd@127.0.0.1:9>
Content-Length: 0

"""


def wire(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


def ask(service: Service, transport: str, message: bytes) -> str:
    """The first line of the answer."""
    where = ("127.0.0.1", service.sip_port)
    if transport == "tcp":
        with socket.create_connection(where, 10) as peer:
            peer.sendall(message)
            return peer.recv(65536).decode().split("\r\n")[0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(10)
        peer.sendto(message, where)
        return peer.recv(65536).decode().split("\r\n")[0]


def options(service: Service, transport: str) -> str:
    text = INVITE.replace("INVITE", "OPTIONS")
    return text.format(sip=service.sip, transport=transport.upper(), branch="alive")


@pytest.mark.parametrize(
    ("name", "spoil", "answer"),
    [
        ("cseq", ("CSeq: 1 INVITE", "CSeq: one INVITE"), "SIP/2.0 400"),
        ("method", ("CSeq: 1 INVITE", "CSeq: 1 BYE"), "SIP/2.0 400"),
        ("from", ("From: <sip:odd@127.0.0.1>;tag=odd", "From: <<<>>>"), "SIP/2.0 400"),
        ("version", (" SIP/2.0\nVia", " SIP/7.0\nVia"), "SIP/2.0 505"),
        ("hops", ("Max-Forwards: 70", "Max-Forwards: many"), "SIP/2.0 400"),
        ("verb", ("INVITE", "DANCE"), "SIP/2.0 501"),
        ("require", ("Contact:", "Require: 100rel-and-more\nContact:"), "SIP/2.0 420"),
        ("scheme", ("INVITE sip:front-desk@", "INVITE http://"), "SIP/2.0 4"),
        ("long", ("INVITE sip:front-desk@", f"INVITE sip:{'x' * 600}@"), "SIP/2.0 414"),
    ],
)
def test_bad_requests_are_answered(
    service: Service, transport: str, name: str, spoil: tuple[str, str], answer: str
) -> None:
    before = service.api.sessions()
    text = INVITE.format(sip=service.sip, transport=transport.upper(), branch=name)
    assert ask(service, transport, wire(text.replace(*spoil))).startswith(answer)
    assert ask(service, transport, wire(options(service, transport))) == "SIP/2.0 200 OK"
    assert service.api.sessions() == before


def test_noise_is_met_with_silence(service: Service) -> None:
    """Everything that is no SIP, and RFC 4475's worst: it goes on as if nothing had been."""
    before = service.api.sessions()
    noise = [b"", b"\0", b"\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 40]
    invite = wire(INVITE.format(sip=service.sip, transport="UDP", branch="noise"))
    noise += [invite.replace(b"CSeq: 1 INVITE\r\n", b""), invite.replace(b"front", b"x" * 2000)]
    noise += [b"INVITE", b"SIP/2.0 200 OK\r\n\r\n", b"\xff" * 65_000, b"a:b\r\n" * 9000]
    noise += [
        bad.read_bytes()
        for bad in sorted(TORTURE.rglob("*.dat"))
        if b"INVITE" not in bad.read_bytes()[:200]
    ]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        for piece in noise:
            peer.sendto(piece, ("127.0.0.1", service.sip_port))
    for piece in noise:
        with socket.create_connection(("127.0.0.1", service.sip_port), 10) as peer:
            peer.sendall(piece)
    for transport in ("udp", "tcp"):
        assert ask(service, transport, wire(options(service, transport))) == "SIP/2.0 200 OK"
    assert service.api.sessions() == before


def test_a_call_over_capacity_is_503(
    alone: Callable[..., Service], gear: Gear, transport: str
) -> None:
    service = alone()
    service.start(TELEPHONY_MAX_CALLS="1")
    first = gear.calls(
        service,
        Scenario("first").invite().answered().expect("BYE").inside("200 OK"),
        "long",
        transport,
    )
    session = service.api.new_session([])
    service.api.wait(session, "call.answered")
    second = gear.calls(
        service, Scenario("second").invite().ringing().refused(503), "long", transport
    )
    second.wait()
    assert any("Retry-After:" in m for m in second.received())
    assert service.api.sessions() == [session]
    service.api.post(f"/v1/calls/{session}/end")
    first.wait()
    assert how(service.api.ended(session)) == ("ended", None, "api")
    # The place is free again.
    third = Scenario("third").invite().answered().bye()
    gear.calls(service, third, "long", transport).wait()
    assert service.stop() == 0
    assert service.complaints() == []


def test_what_is_refused_is_counted(service: Service, gear: Gear) -> None:
    gear.calls(service, Scenario("nobody").invite().ringing().refused(404), "nobody").wait()
    with urllib.request.urlopen(f"{service.api.base}/metrics", timeout=10) as reply:
        text = reply.read().decode()
    assert 'telephony_calls_refused_total{cause="not_found"}' in text
