"""Who may call in, and what strangers learn (design.md section 9)."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from telephony.accounts.agents import Agent, Tool
from telephony.accounts.model import Phone, PhoneNumber, Trunk
from telephony.carriers.trunk.config import TrunkConfig, is_loopback
from telephony.carriers.trunk.door import Door, Party, Turned
from telephony.carriers.trunk.identity import dialled_by_trunk
from telephony.carriers.trunk.limits import SourceLimits
from telephony.carriers.trunk.registrar import Registrar
from telephony.carriers.words import clean, outbound_headers
from telephony.sip.addresses import Source
from telephony.sip.auth import Credentials, DigestClient, DigestServer
from telephony.sip.headers import Headers
from telephony.sip.message import Request, Response
from telephony.sip.parser import parse

T0 = datetime(2026, 1, 5, tzinfo=UTC)


class Book:
    """A directory of lists."""

    def __init__(self) -> None:
        self.trunk_list: list[Trunk] = []
        self.phone_list: list[Phone] = []
        self.number_list: list[PhoneNumber] = []

    def trunks(self, organization: str | None = None) -> tuple[Trunk, ...]:
        return tuple(self.trunk_list)

    def phones(self, organization: str | None = None) -> tuple[Phone, ...]:
        return tuple(self.phone_list)

    def numbers(self, organization: str | None = None) -> tuple[PhoneNumber, ...]:
        return tuple(self.number_list)

    def number(self, e164: str) -> PhoneNumber | None:
        return next((n for n in self.number_list if n.e164 == e164), None)

    def agent(self, organization: str, agent: str) -> Agent | None:
        return None

    def tools(self, organization: str, agent: str) -> tuple[Tool, ...]:
        return ()

    def watch(self, changed: object) -> None:
        return None


def trunk(name: str = "main", **changes: object) -> Trunk:
    values: dict[str, object] = {
        "id": f"tr_{name}",
        "organization": "org_a",
        "name": name,
        "gateways": ("192.0.2.50",),
        "created_at": T0,
        "updated_at": T0,
        **changes,
    }
    return Trunk(**values)  # type: ignore[arg-type]


def phone(user: str = "1000", password: str = "secret") -> Phone:
    return Phone(
        id=f"ph_{user}",
        organization="org_a",
        user=user,
        password=password,
        created_at=T0,
        updated_at=T0,
    )


class House:
    """A door with what stands behind it."""

    def __init__(self, host: str = "0.0.0.0", *, strangers: bool = False) -> None:
        self.book = Book()
        self.registrar = Registrar()
        self.limits = SourceLimits()
        self.digest = DigestServer("telephony", b"s", random.Random(1))
        config = TrunkConfig(host=host, accept_strangers=strangers)
        self.door = Door(config, self.book, self.registrar, self.digest, self.limits)

    def ask(self, request: Request, host: str = "203.0.113.9", now: float = 0.0) -> Party | Turned:
        self.door.refresh()
        return self.door.identify(request, source(host), now)

    def log_in(
        self, request: Request, user: str, password: str, host: str = "203.0.113.9"
    ) -> Request:
        """The request with the credentials that a challenge makes of it."""
        client = DigestClient([Credentials(user, password)], random.Random(2))
        rows = [("WWW-Authenticate", c) for c in self.digest.challenges(0.0, source=host)]
        client.learn(Response(401, None, Headers(rows)))
        for name, value in client.authorize(request.method, request.uri, request.body):
            request.headers.add(name, value)
        return request


def source(host: str, port: int = 5060) -> Source:
    return Source((host, port), "UDP", ("198.51.100.1", 5060))


def invite(to: str = "front-desk", caller: str = "bob", *headers: str) -> Request:
    lines = [
        f"INVITE sip:{to}@198.51.100.1 SIP/2.0",
        "Via: SIP/2.0/UDP 203.0.113.9;branch=z9hG4bK1",
        f'From: "Bob" <sip:{caller}@203.0.113.9>;tag=1',
        f"To: <sip:{to}@198.51.100.1>",
        "Call-ID: c",
        "CSeq: 1 INVITE",
        "Contact: <sip:bob@203.0.113.9>",
        *headers,
        "Content-Length: 0",
    ]
    message = parse(("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape"))
    assert isinstance(message, Request)
    return message


def party(found: Party | Turned) -> Party:
    assert isinstance(found, Party), found
    return found


def turned(found: Party | Turned) -> Turned:
    assert isinstance(found, Turned), found
    return found


# -- trunks -----------------------------------------------------------------------------------


def test_a_trunk_is_known_by_its_address() -> None:
    house = House()
    house.book.trunk_list = [trunk(allowed_sources=("203.0.113.0/24",), country="US")]
    found = party(house.ask(invite("2025550123", "2025550199")))
    assert found.trunk is not None
    assert (found.dialled, found.from_number, found.from_name) == (
        "+12025550123",
        "+12025550199",
        "Bob",
    )
    assert (found.organization, found.stranger, found.proven) == ("org_a", False, False)


def test_of_two_trunks_at_one_address_the_numbers_own_is_meant() -> None:
    house = House()
    nets = ("203.0.113.9",)
    house.book.trunk_list = [
        trunk("one", allowed_sources=nets),
        trunk("two", allowed_sources=nets),
    ]
    house.book.number_list = [
        PhoneNumber(
            id="n",
            organization="org_a",
            e164="+12025550123",
            trunk="tr_two",
            created_at=T0,
            updated_at=T0,
        )
    ]
    found = party(house.ask(invite("+12025550123")))
    assert found.trunk is not None
    assert found.trunk.name == "two"


def test_a_trunk_is_known_by_its_digest() -> None:
    house = House()
    house.book.trunk_list = [trunk(username="acct", password="pw")]
    assert turned(house.ask(invite("+12025550123"))).status == 401
    found = party(house.ask(house.log_in(invite("+12025550123"), "acct", "pw")))
    assert found.trunk is not None
    assert found.proven


def test_identity_headers_are_believed_from_trunks_only() -> None:
    spoof = 'P-Asserted-Identity: "Chief" <sip:+12025550100@x>'
    house = House(strangers=True)
    assert party(house.ask(invite("front-desk", "bob", spoof))).from_number == "bob"
    house.book.trunk_list = [trunk(allowed_sources=("203.0.113.9",))]
    found = party(house.ask(invite("front-desk", "bob", spoof)))
    assert (found.from_number, found.from_name) == ("+12025550100", "Chief")


def test_a_registered_trunk_calls_its_account_and_means_the_number_behind() -> None:
    ours = trunk(username="acct", password="pw")
    request = invite("acct", "bob", "P-Called-Party-ID: <sip:+12025550123@x>")
    assert dialled_by_trunk(request, ours) == "+12025550123"
    assert dialled_by_trunk(invite("+12025550111"), ours) == "+12025550111"


# -- phones -----------------------------------------------------------------------------------


def test_a_phone_is_known_by_its_digest() -> None:
    house = House()
    house.book.phone_list = [phone()]
    assert turned(house.ask(invite("front-desk", "1000"))).status == 401
    found = party(house.ask(house.log_in(invite("front-desk", "9999"), "1000", "secret")))
    assert found.phone is not None
    # Who it is says the password, not the From header.
    assert (found.from_number, found.dialled, found.proven) == ("1000", "front-desk", True)


def test_a_replay_is_challenged_as_stale() -> None:
    house = House()
    house.book.phone_list = [phone()]
    request = house.log_in(invite(), "1000", "secret")
    party(house.ask(request))
    again = turned(house.ask(request))
    assert again.status == 401
    assert all("stale=true" in value for _, value in again.headers)
    # A nonce is good for its own source.
    other = house.log_in(invite(), "1000", "secret", host="203.0.113.77")
    assert turned(house.ask(other)).status == 401


@pytest.mark.parametrize("user", ["1000", "nobody"])
def test_known_and_unknown_users_get_the_same_answer(user: str) -> None:
    house = House()
    house.book.phone_list = [phone()]
    found = turned(house.ask(house.log_in(invite(), user, "wrong")))
    assert (found.status, found.headers) == (403, ())


def test_wrong_passwords_bring_silence_to_the_source_only() -> None:
    house = House()
    house.book.phone_list = [phone()]
    for _ in range(5):
        assert turned(house.ask(house.log_in(invite(), "1000", "wrong"))).status == 403
    assert house.door.screen(invite(), source("203.0.113.9"), 1.0) == "banned"
    assert house.door.screen(invite(), source("203.0.113.10"), 1.0) is None
    right = house.log_in(invite(), "1000", "secret", host="203.0.113.10")
    assert party(house.ask(right, "203.0.113.10")).phone is not None


def test_a_phone_dials_our_numbers_with_and_without_plus() -> None:
    house = House()
    house.book.phone_list = [phone()]
    house.book.number_list = [
        PhoneNumber(id="n", organization="org_a", e164="+12025550123", created_at=T0, updated_at=T0)
    ]
    for written, meant in [
        ("+12025550123", "+12025550123"),
        ("12025550123", "+12025550123"),
        ("12025550999", "12025550999"),
        ("1001", "1001"),
    ]:
        house.digest = DigestServer("telephony", b"s", random.Random(1))
        found = party(house.ask(house.log_in(invite(written), "1000", "secret")))
        assert found.dialled == meant
        house = _fresh(house)


def _fresh(house: House) -> House:
    """A new nonce window: the client above starts its nonce count anew."""
    made = House()
    made.book = house.book
    made.door = Door(
        TrunkConfig(host="0.0.0.0"), made.book, made.registrar, made.digest, made.limits
    )
    return made


def test_both_algorithms_are_offered_the_best_first_save_to_those_who_stumble_over_it() -> None:
    house = House()
    house.book.phone_list = [phone()]
    rows = turned(house.ask(invite())).headers
    assert ["SHA-256" in value for _, value in rows] == [True, False]
    old = invite("front-desk", "1000", "User-Agent: baresip v1.0.0 (x86_64/linux)")
    (row,) = turned(house.ask(old)).headers
    assert "algorithm=MD5" in row[1]
    gear = invite("front-desk", "1000", "User-Agent: SIPp/v3.6.1")
    assert len(turned(house.ask(gear)).headers) == 1
    new = invite("front-desk", "1000", "User-Agent: baresip v3.10.0 (x86_64/linux)")
    assert len(turned(house.ask(new)).headers) == 2


# -- strangers --------------------------------------------------------------------------------


def test_on_an_open_bind_strangers_learn_nothing() -> None:
    house = House()
    assert turned(house.ask(invite())).status == 403
    assert turned(house.ask(invite("+12025550123"))).status == 403
    house.book.phone_list = [phone()]
    answers = {
        turned(house.ask(invite(to, caller))).status
        for to in ("front-desk", "1000", "+12025550123", "nobody")
        for caller in ("1000", "bob")
    }
    assert answers == {401}


@pytest.mark.parametrize("house", [House("127.0.0.1"), House(strangers=True)])
def test_where_strangers_are_welcome_they_reach_names(house: House) -> None:
    found = party(house.ask(invite()))
    assert found.stranger
    assert (found.dialled, found.from_number) == ("front-desk", "bob")
    assert turned(house.ask(invite("+12025550123"))).status == 403
    house.book.phone_list = [phone("alice")]
    assert turned(house.ask(invite("+12025550123"))).status == 401
    assert party(house.ask(invite())).stranger


def test_users_cannot_be_swept_where_strangers_are_welcome() -> None:
    house = House(strangers=True)
    house.book.phone_list = [phone("alice"), phone("1000")]
    same = [house.ask(invite(to)) for to in ("alice", "bob")]
    assert all(isinstance(found, Party) and found.stranger for found in same)
    assert {turned(house.ask(invite(to))).status for to in ("1000", "1001")} == {401}
    assert party(house.ask(invite("front-desk", "alice"))).stranger


def test_a_phone_that_calls_a_name_is_asked_who_it_is() -> None:
    local = House("127.0.0.1")
    local.book.phone_list = [phone()]
    assert turned(local.ask(invite("front-desk", "1000"), "127.0.0.1")).status == 401
    wide = House(strangers=True)
    wide.book.phone_list = [phone()]
    request = invite("front-desk", "1000", "Expires: 600")
    wide.door.refresh()
    wide.registrar.register("1000", _as_register(request), source("203.0.113.9"), 0.0)
    assert turned(wide.ask(request)).status == 401
    assert party(wide.ask(request, "203.0.113.10")).stranger


def _as_register(request: Request) -> Request:
    text = bytes(request).replace(b"To: <sip:front-desk@", b"To: <sip:1000@")
    message = parse(text.replace(b"INVITE", b"REGISTER"))
    assert isinstance(message, Request)
    return message


# -- limits -----------------------------------------------------------------------------------


def test_a_flood_is_met_with_silence_but_not_from_trunks_phones_or_ourselves() -> None:
    house = House()
    house.book.trunk_list = [trunk(allowed_sources=("203.0.113.1",))]
    house.door.refresh()
    for _ in range(16):
        assert house.door.screen(invite(), source("203.0.113.9"), 0.0) is None
    assert house.door.screen(invite(), source("203.0.113.9"), 0.0) == "banned"
    for _ in range(50):
        assert house.door.screen(invite(), source("203.0.113.1"), 0.0) is None
    local = House("127.0.0.1")
    for _ in range(50):
        assert local.door.screen(invite(), source("127.0.0.1"), 0.0) is None
    for _ in range(16):
        assert local.door.screen(invite(), source("127.0.0.2"), 0.0) is None
    assert local.door.screen(invite(), source("127.0.0.2"), 0.0) == "banned"


def test_scanners_get_no_answer_at_all() -> None:
    house = House("127.0.0.1")
    request = invite("100", "100", "User-Agent: friendly-scanner")
    assert house.door.screen(request, source("127.0.0.2"), 0.0) == "scanner"


# -- what is written down ---------------------------------------------------------------------


def test_control_characters_and_broken_utf8_do_not_reach_the_records() -> None:
    assert clean("a\r\nb\x1b[0m\udcff") == "a\ufffd\ufffdb\ufffd[0m\ufffd"
    house = House("127.0.0.1")
    found = party(house.ask(invite("front-desk", "bob", "X-Ref: caf\udcc3")))
    assert found.headers == {"X-Ref": "caf\ufffd"}


def test_only_harmless_headers_leave() -> None:
    sent = outbound_headers(
        {"X-Account": "1", "Route": "<sip:evil>", "P-Asserted-Identity": "x"},
        {"x-account": "2", "X-Ref": "a\r\nVia: b", "Diversion": "<sip:1@h>", "X bad": "1"},
    )
    assert sent == [("x-account", "2"), ("X-Ref", "a  Via: b"), ("Diversion", "<sip:1@h>")]


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.1", False),
        ("example.com", False),
    ],
)
def test_loopback(host: str, local: bool) -> None:
    assert is_loopback(host) is local
