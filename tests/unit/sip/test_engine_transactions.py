"""The four transaction machines: every cell of every table, and the timers behind them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable
from typing import Any

import pytest

from telephony.sip.addresses import Destination, Source
from telephony.sip.headers import Headers
from telephony.sip.message import Request, Response
from telephony.sip.timers import Owner, Timers
from telephony.sip.transactions import client, invite_client, invite_server, server

UDP = Destination(("192.0.2.2", 5060))
TCP = Destination(("192.0.2.2", 5060), "TCP")
SOURCE = Source(("192.0.2.2", 5060), "UDP", ("192.0.2.1", 5060))
STREAM = Source(("192.0.2.2", 5060), "TCP", ("192.0.2.1", 5060), 3)


class Wire:
    """The layer under a transaction, and the user above it."""

    def __init__(self) -> None:
        self.timers = Timers()
        self.sent: list[str] = []
        self.alarms: dict[str, float] = {}
        self.forgotten = 0
        self.passed: list[int] = []
        self.failures: list[bool] = []

    def transmit(self, owner: Any, data: bytes, destination: Destination) -> None:
        line = data.split(b"\r\n", 1)[0].decode()
        self.sent.append(line.split(" ")[1] if line.startswith("SIP/") else line.split(" ")[0])

    def alarm(self, owner: Owner, name: str, at: float) -> None:
        self.alarms[name] = at

    def silence(self, owner: Owner, *names: str) -> None:
        for name in names:
            self.alarms.pop(name, None)

    def forget(self, owner: Any) -> None:
        self.forgotten += 1

    def on_response(self, transaction: Any, response: Response, now: float) -> None:
        self.passed.append(response.status)

    def on_no_response(self, transaction: Any, unreachable: bool, now: float) -> None:
        self.failures.append(unreachable)

    def fire(self, transaction: Any) -> float:
        """Let the next alarm ring; when it was."""
        name = min(self.alarms, key=lambda n: self.alarms[n])
        at = self.alarms.pop(name)
        transaction.on_alarm(name, at)
        return at


def request(method: str = "INVITE") -> Request:
    headers = Headers(
        [
            ("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa"),
            ("Route", "<sip:proxy.example.com;lr>"),
            ("Max-Forwards", "70"),
            ("From", "<sip:a@example.com>;tag=a"),
            ("To", "<sip:b@example.com>"),
            ("Call-ID", "c"),
            ("CSeq", f"7 {method}"),
        ]
    )
    return Request(method, "sip:b@example.com", headers)


def response(status: int, method: str = "INVITE") -> Response:
    return request(method).reply(status, to_tag="b")


def new_invite_client(wire: Wire, to: Destination = UDP) -> invite_client.InviteClientTransaction:
    return invite_client.InviteClientTransaction(wire, ("z", "INVITE"), request(), to, wire, 0.0)


def new_client(wire: Wire, to: Destination = UDP) -> client.ClientTransaction:
    return client.ClientTransaction(wire, ("z", "BYE"), request("BYE"), to, wire, 0.0)


def new_invite_server(wire: Wire, source: Source = SOURCE) -> invite_server.InviteServerTransaction:
    key: Hashable = "k"
    return invite_server.InviteServerTransaction(wire, key, request(), source, UDP, 0.0)


def new_server(wire: Wire, source: Source = SOURCE) -> server.ServerTransaction:
    return server.ServerTransaction(wire, "k", request("BYE"), source, UDP, 0.0)


MACHINES: dict[str, tuple[Any, Callable[[Wire], Any]]] = {
    "invite client": (invite_client, new_invite_client),
    "invite server": (invite_server, new_invite_server),
    "client": (client, new_client),
    "server": (server, new_server),
}
CELLS = [
    pytest.param(name, state, given, id=f"{name}-{state.value}-{given.value}")
    for name, (module, _) in MACHINES.items()
    for state, given in itertools.product(module.State, module.Input)
]


@pytest.mark.parametrize(("name", "state", "given"), CELLS)
def test_every_cell(name: str, state: Any, given: Any) -> None:
    module, make = MACHINES[name]
    wire = Wire()
    machine = make(wire)
    if name == "invite server":
        machine.respond(response(180), 0.0)
        machine._response = response(200)
        acks: list[Request] = []
        machine.on_ack = lambda ack, now: acks.append(ack)
    if name == "server":
        machine._data = b"SIP/2.0 100 Trying\r\n\r\n"
        machine._response = response(200, "BYE")
    machine.state = state
    wire.sent.clear()
    passed, failed = len(wire.passed), len(wire.failures)
    expected, actions = module.TABLE[state, given]
    if name == "invite server":
        machine.feed(given, 1.0, request("ACK"))
        assert bool(acks) == (module.Action.PASS_ACK in actions)
    elif name == "server":
        machine.feed(given, 1.0)
    else:
        machine.feed(given, 1.0, response(404))
    assert machine.state is expected
    words = {action.name for action in actions}
    assert (len(wire.passed) > passed) == ("PASS" in words)
    assert (len(wire.failures) > failed) == bool(words & {"TIMED_OUT", "FAILED"})
    sends = {"ACK", "RETRANSMIT", "RETRANSMIT_DOUBLE", "RETRANSMIT_T2", "SEND", "RESEND"}
    assert bool(wire.sent) == bool(words & sends)
    ended = expected is module.State.TERMINATED and state is not module.State.TERMINATED
    assert wire.forgotten == ended
    if ended:
        assert not wire.alarms, "a timer outlives its transaction"


@pytest.mark.parametrize("name", MACHINES)
def test_tables_are_whole_and_terminated_is_the_end(name: str) -> None:
    module, _ = MACHINES[name]
    assert set(module.TABLE) == set(itertools.product(module.State, module.Input))
    for given in module.Input:
        assert module.TABLE[module.State.TERMINATED, given] == (module.State.TERMINATED, ())
    used = {action for _, actions in module.TABLE.values() for action in actions}
    assert used == set(module.Action)


def test_an_unanswered_invite_is_sent_seven_times_in_32_seconds() -> None:
    wire = Wire()
    machine = new_invite_client(wire)
    times = [wire.fire(machine) for _ in range(7)]
    assert times == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 32.0]
    assert wire.sent == ["INVITE"] * 7
    assert wire.failures == [False]


def test_an_unanswered_bye_is_sent_eleven_times_in_32_seconds() -> None:
    wire = Wire()
    machine = new_client(wire)
    times = [wire.fire(machine) for _ in range(11)]
    assert times == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5, 32.0]
    assert wire.sent == ["BYE"] * 11


def test_a_provisional_response_slows_a_request_down_to_t2() -> None:
    wire = Wire()
    machine = new_client(wire)
    machine.receive(response(100, "BYE"), 0.1)
    assert [wire.fire(machine) for _ in range(3)] == [0.5, 4.5, 8.5]


@pytest.mark.parametrize("make", [new_invite_client, new_client])
def test_nothing_is_retransmitted_on_a_reliable_transport(make: Any) -> None:
    wire = Wire()
    machine = make(wire, TCP)
    assert wire.fire(machine) == 32.0
    assert len(wire.sent) == 1


def test_a_refusal_is_sent_until_its_ack() -> None:
    wire = Wire()
    machine = new_invite_server(wire)
    machine.respond(response(486), 0.0)
    assert [wire.fire(machine) for _ in range(5)] == [0.5, 1.5, 3.5, 7.5, 11.5]
    machine.receive(request("ACK"), 12.0)
    assert wire.alarms == {"I": 17.0}
    assert wire.sent == ["486"] * 6


def test_a_refusal_on_a_stream_is_sent_once() -> None:
    wire = Wire()
    machine = new_invite_server(wire, STREAM)
    machine.respond(response(486), 0.0)
    assert wire.alarms == {"H": 32.0}
    machine.receive(request("ACK"), 1.0)
    assert wire.alarms == {"I": 1.0}


def test_a_request_nobody_answers_is_forgotten_without_408() -> None:
    wire = Wire()
    machine = new_server(wire)
    assert wire.fire(machine) == 32.0
    assert not wire.sent
    assert machine.done


def test_the_ack_of_a_refusal_is_the_invites_own() -> None:
    invite = request()
    invite.headers.add("Proxy-Authorization", "Digest x")
    ack = invite_client.ack_for_failure(invite, response(404))
    assert (ack.method, ack.uri) == ("ACK", invite.uri)
    assert ack.top_via.branch == "z9hG4bKa"
    assert (ack.to_tag, ack.from_tag, str(ack.cseq)) == ("b", "a", "7 ACK")
    assert len(ack.routes) == 1
    assert ack.headers.get("Proxy-Authorization") == "Digest x"
