"""RFC 4475 at a user agent: each message gets the answer that the collection expects of it.

A new call is answered 180 by the test's policy, so that ``NOT400`` shows as something. In
``agent.tsv`` a row of kind ``should`` or ``may`` may deviate, with its reason; a ``must`` may not.
"""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest

from telephony.sip.agent import AgentConfig, Source, UserAgent
from telephony.sip.auth import Credentials, DigestClient, DigestServer
from telephony.sip.events import InviteReceived, RegisterReceived
from telephony.sip.message import Request, Response
from telephony.sip.parser import parse
from telephony.sip.registration import RegisterRefusal, read_register, register_headers

VECTORS = Path(__file__).parents[2] / "vectors" / "rfc4475"
SOURCE = Source(("192.0.2.77", 5060), "UDP", ("192.0.2.200", 5060))
REALM = "example.com"


def _rows(name: str) -> dict[str, dict[str, str]]:
    with (VECTORS / name).open(newline="", encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file, delimiter="\t")}


RFC = _rows("expected-rfc4475.tsv")
with (VECTORS / "agent.tsv").open(newline="", encoding="utf-8") as manifest:
    DEVIATIONS = {
        (r["name"], r["side"]): r["why"] for r in csv.DictReader(manifest, delimiter="\t")
    }


class Desk:
    """An agent and the least policy: ring every call, authenticate and keep every registration."""

    def __init__(self, *, registrar: bool = False) -> None:
        config = AgentConfig(host="192.0.2.200", registrar=registrar)
        self.agent = UserAgent(config, random.Random(4475))
        self.server = DigestServer(REALM, b"secret" * 6, random.Random(1))
        self.rang = 0
        self.contacts: list[str] = []

    def feed(self, data: bytes) -> list[bytes]:
        """Hand a datagram in; the responses that go out, but 100.

        A 400 must echo what it refuses, so not every answer can be parsed in its turn.
        """
        self.agent.receive(data, SOURCE, 1000.0)
        for event in self.agent.take_events():
            if isinstance(event, InviteReceived):
                self.rang += 1
                self.agent.provisional(event.session, 180, now=1000.0)
            elif isinstance(event, RegisterReceived):
                self.register(event)
        sends = self.agent.take_sends()
        assert all(send.destination.address[0] == SOURCE.address[0] for send in sends)
        return [send.data for send in sends if status_of(send.data) != "100"]

    def register(self, event: RegisterReceived) -> None:
        request, agent = event.request, self.agent
        verdict = self.server.verify(
            request.headers.rows("Authorization"),
            request.method,
            lambda user: "pass",
            1000.0,
        )
        if not verdict.ok:
            rows = [("WWW-Authenticate", c) for c in self.server.challenges(1000.0)]
            agent.respond(event.token, 401, headers=rows, stateless=True, now=1000.0)
            return
        read = read_register(request)
        if isinstance(read, RegisterRefusal):
            agent.respond(
                event.token, read.status, reason=read.reason, headers=read.headers, now=1000.0
            )
            return
        rows = register_headers(read.bindings)
        self.contacts = [value for _, value in rows]
        agent.respond(event.token, 200, headers=rows, now=1000.0)


def status_of(data: bytes) -> str:
    assert data.startswith(b"SIP/2.0 ")
    return data[8:11].decode()


def parsed(data: bytes) -> Response:
    message = parse(data)
    assert isinstance(message, Response)
    return message


def verdict_of(answers: list[bytes]) -> str:
    assert len(answers) <= 1, answers
    return status_of(answers[0]) if answers else "DROP"


def meets(got: str, expected: str) -> bool:
    for choice in expected.split("|"):
        if choice == "NOT400" and got not in ("400", "DROP"):
            return True
        if choice in ("DROP", "PARSE-OK,DROP") and got == "DROP":
            return True
        if choice == got:
            return True
    return False


def check(name: str, side: str, got: str, expected: str) -> None:
    if meets(got, expected):
        assert (name, side) not in DEVIATIONS, "the manifest names a deviation that is none"
        return
    assert RFC[name]["force"] in ("should", "may", "none"), f"{name}: {got}, must be {expected}"
    assert DEVIATIONS.get((name, side)), f"{name}: {got} instead of {expected}, without a reason"


@pytest.mark.parametrize("name", sorted(RFC))
def test_as_a_user_agent(name: str) -> None:
    desk = Desk()
    answers = desk.feed((VECTORS / f"{name}.dat").read_bytes())
    check(name, "uas", verdict_of(answers), RFC[name]["expected_uas"])
    if RFC[name]["kind"].startswith("response"):
        assert not answers


REGISTERS = sorted(n for n, row in RFC.items() if row["expected_registrar"] != "-")


@pytest.mark.parametrize("name", REGISTERS)
def test_as_a_registrar_for_a_phone_that_authenticates(name: str) -> None:
    desk = Desk(registrar=True)
    data = (VECTORS / f"{name}.dat").read_bytes()
    answers = desk.feed(data)
    message = parse(data)
    if verdict_of(answers) == "401" and isinstance(message, Request):
        client = DigestClient([Credentials("phone", "pass")], random.Random(2))
        client.learn(parsed(answers[0]))
        message.headers.remove("Authorization")
        for header, value in client.authorize("REGISTER", message.uri, message.body):
            message.headers.add(header, value)
        answers = desk.feed(bytes(message))
    check(name, "registrar", verdict_of(answers), RFC[name]["expected_registrar"])
    assert desk.rang == 0


def test_every_manifest_row_is_of_the_collection() -> None:
    for name, side in DEVIATIONS:
        assert name in RFC
        assert side in ("uas", "registrar")


# -- what the text of RFC 4475 asks beside the status ---------------------------------------------


def answer_to(name: str) -> Response:
    (answer,) = Desk().feed((VECTORS / f"{name}.dat").read_bytes())
    return parsed(answer)


def test_an_unknown_method_is_told_the_known_ones() -> None:
    assert "INVITE" in answer_to("intmeth").headers.all("Allow")


def test_both_unknown_option_tags_are_listed() -> None:
    assert answer_to("bext01").headers.all("Unsupported") == [
        "nothingSupportsThis",
        "nothingSupportsThisEither",
    ]


def test_an_unknown_body_is_told_the_known_one() -> None:
    assert answer_to("invut").headers.all("Accept") == ["application/sdp"]


def test_the_second_request_of_a_datagram_never_rings() -> None:
    desk = Desk()
    desk.feed((VECTORS / "dblreq.dat").read_bytes())
    assert desk.rang == 0


def test_contacts_of_a_register_come_back_whole() -> None:
    desk = Desk(registrar=True)
    for name, expected in (
        ("cparam02", "<sip:+19725552222@gw1.example.net;unknownparam>"),
        ("regescrt", "<sip:user@example.com?Route=%3Csip:sip.example.com%3E>"),
    ):
        message = parse((VECTORS / f"{name}.dat").read_bytes())
        assert isinstance(message, Request)
        read = read_register(message)
        assert not isinstance(read, RegisterRefusal)
        (row,) = register_headers(read.bindings)
        assert row[1].startswith(expected)
    assert desk.rang == 0


def test_two_contacts_with_escaped_nul_are_two() -> None:
    message = parse((VECTORS / "escnull.dat").read_bytes())
    assert isinstance(message, Request)
    read = read_register(message)
    assert not isinstance(read, RegisterRefusal)
    assert [len(binding.uri.user or "") for binding in read.bindings] == [1, 2]
