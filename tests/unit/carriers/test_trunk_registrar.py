"""The small registrar: bindings, ceilings, order, and what RFC 4475 asks of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from telephony.carriers.trunk.registrar import Registrar, RegistrarConfig, Reply
from telephony.sip.addresses import Destination, Source
from telephony.sip.message import Request
from telephony.sip.parser import parse

HERE = Source(("192.0.2.9", 5062), "UDP", ("192.0.2.1", 5060))


def register(
    *contacts: str, user: str = "1000", expires: int | None = None, cseq: int = 1, call: str = "c"
) -> Request:
    lines = [
        "REGISTER sip:192.0.2.1 SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.9:5062;branch=z9hG4bK1",
        f"From: <sip:{user}@192.0.2.1>;tag=1",
        f"To: <sip:{user}@192.0.2.1>",
        f"Call-ID: {call}",
        f"CSeq: {cseq} REGISTER",
        "Max-Forwards: 70",
        *[f"Contact: {c}" for c in contacts],
        *([] if expires is None else [f"Expires: {expires}"]),
        "Content-Length: 0",
    ]
    message = parse(("\r\n".join(lines) + "\r\n\r\n").encode())
    assert isinstance(message, Request)
    return message


def contacts(reply: Reply) -> list[str]:
    assert reply.status == 200
    return [value for name, value in reply.headers if name == "Contact"]


def test_a_phone_logs_in_is_found_and_leaves() -> None:
    registrar = Registrar()
    reply = registrar.register("1000", register("<sip:1000@192.0.2.9:5062>"), HERE, 0.0)
    assert contacts(reply) == ["<sip:1000@192.0.2.9:5062>;expires=600"]
    (binding,) = registrar.bindings("1000", 599.0)
    assert binding.destination == Destination(("192.0.2.9", 5062), "UDP")
    assert registrar.is_bound("192.0.2.9")
    gone = register("<sip:1000@192.0.2.9:5062>;expires=0", cseq=2)
    assert contacts(registrar.register("1000", gone, HERE, 1.0)) == []
    assert registrar.bindings("1000", 1.0) == []
    assert len(registrar) == 0
    assert not registrar.is_bound("192.0.2.9")


def test_a_binding_runs_out() -> None:
    registrar = Registrar()
    registrar.register("1000", register("<sip:1000@192.0.2.9>", expires=60), HERE, 0.0)
    assert registrar.bindings("1000", 59.9)
    assert registrar.bindings("1000", 60.0) == []


def test_fetching_changes_nothing() -> None:
    registrar = Registrar()
    registrar.register("1000", register("<sip:1000@192.0.2.9>"), HERE, 0.0)
    reply = registrar.register("1000", register(cseq=2), HERE, 100.0)
    assert contacts(reply) == ["<sip:1000@192.0.2.9>;expires=500"]


@pytest.mark.parametrize("asked", [1, 59])
def test_too_brief_is_423(asked: int) -> None:
    registrar = Registrar()
    reply = registrar.register("1000", register("<sip:1000@h>", expires=asked), HERE, 0.0)
    assert reply == Reply(423, headers=(("Min-Expires", "60"),))
    assert len(registrar) == 0


def test_too_long_is_shortened_and_nonsense_is_the_default() -> None:
    registrar = Registrar()
    reply = registrar.register("1000", register("<sip:1000@h>;expires=99999999999"), HERE, 0.0)
    assert contacts(reply) == ["<sip:1000@h>;expires=3600"]
    reply = registrar.register("1000", register("<sip:1000@h>;expires=soon", cseq=2), HERE, 0.0)
    assert contacts(reply) == ["<sip:1000@h>;expires=600"]


def test_star_removes_all_and_needs_expires_zero() -> None:
    registrar = Registrar()
    registrar.register("1000", register("<sip:a@h>", "<sip:b@h>"), HERE, 0.0)
    assert registrar.register("1000", register("*", cseq=2), HERE, 0.0).status == 400
    assert len(registrar) == 2
    reply = registrar.register("1000", register("*", cseq=3, expires=0), HERE, 0.0)
    assert contacts(reply) == []
    assert len(registrar) == 0


def test_an_old_request_changes_nothing() -> None:
    registrar = Registrar()
    registrar.register("1000", register("<sip:a@h>", cseq=5), HERE, 0.0)
    late = register("<sip:a@h>;expires=0", cseq=4)
    assert registrar.register("1000", late, HERE, 0.0).status == 500
    assert registrar.register("1000", register("*", expires=0, cseq=5), HERE, 0.0).status == 500
    assert len(registrar) == 1
    # After a restart of the phone the Call-ID is another and counts anew.
    assert registrar.register("1000", register("<sip:a@h>", call="d"), HERE, 0.0).status == 200


def test_all_or_nothing() -> None:
    registrar = Registrar()
    both = register("<sip:a@h>", "<sip:b@h>;expires=5")
    assert registrar.register("1000", both, HERE, 0.0).status == 423
    assert len(registrar) == 0


def test_q_orders_and_then_the_latest() -> None:
    registrar = Registrar()
    for at, contact in enumerate(["<sip:a@h>;q=0.5", "<sip:b@h>", "<sip:c@h>;q=0.51", "<sip:d@h>"]):
        registrar.register("1000", register(contact, cseq=at + 1), HERE, float(at))
    users = [b.contact.uri.user for b in registrar.bindings("1000", 4.0)]
    assert users == ["d", "b", "c", "a"]


def test_another_users_address_is_refused() -> None:
    registrar = Registrar()
    reply = registrar.register("1001", register("<sip:1000@h>", user="1000"), HERE, 0.0)
    assert reply.status == 403
    assert len(registrar) == 0


def test_a_binding_cannot_be_pointed_at_a_third_party() -> None:
    registrar = Registrar()
    registrar.register("1000", register("<sip:victim@203.0.113.5:5060>"), HERE, 0.0)
    (binding,) = registrar.bindings("1000", 0.0)
    assert binding.destination == Destination(("192.0.2.9", 5062), "UDP")


def test_tcp_is_reached_by_its_connection() -> None:
    registrar = Registrar()
    source = Source(("192.0.2.9", 40000), "TCP", ("192.0.2.1", 5060), 7)
    registrar.register("1000", register("<sip:1000@192.0.2.9:5062;transport=tcp>"), source, 0.0)
    (binding,) = registrar.bindings("1000", 0.0)
    assert binding.destination == Destination(("192.0.2.9", 5062), "TCP", 7)
    registrar.flow_closed(7)
    assert registrar.bindings("1000", 0.0)


def test_behind_a_nat_a_lost_connection_is_a_lost_binding() -> None:
    registrar = Registrar()
    source = Source(("192.0.2.9", 40000), "TCP", ("192.0.2.1", 5060), 7)
    registrar.register("1000", register("<sip:1000@10.0.0.5:5062;transport=tcp>"), source, 0.0)
    (binding,) = registrar.bindings("1000", 0.0)
    assert binding.destination == Destination(("192.0.2.9", 40000), "TCP", 7)
    registrar.flow_closed(8)
    assert registrar.bindings("1000", 0.0)
    registrar.flow_closed(7)
    assert registrar.bindings("1000", 0.0) == []


def test_ceilings() -> None:
    registrar = Registrar(RegistrarConfig(per_user=3, max_bindings=4))
    for i in range(6):
        registrar.register("1000", register(f"<sip:p{i}@h>", cseq=i + 1), HERE, float(i))
    users = {b.contact.uri.user for b in registrar.bindings("1000", 6.0)}
    assert users == {"p3", "p4", "p5"}
    assert registrar.register("1001", register("<sip:a@h>", user="1001"), HERE, 7.0).status == 200
    full = registrar.register("1002", register("<sip:a@h>", user="1002"), HERE, 7.0)
    assert (full.status, full.headers) == (503, (("Retry-After", "60"),))


def test_a_phone_that_is_deleted_is_no_longer_reached() -> None:
    registrar = Registrar()
    registrar.register("1000", register("<sip:1000@h>"), HERE, 0.0)
    assert registrar.keep(["1001"]) == ["1000"]
    assert registrar.bindings("1000", 0.0) == []


# -- RFC 4475 ---------------------------------------------------------------------------------

VECTORS = Path(__file__).parents[2] / "vectors" / "rfc4475"


def torture(name: str) -> Request:
    (path,) = list(VECTORS.rglob(f"{name}.dat"))
    message = parse(path.read_bytes())
    assert isinstance(message, Request)
    return message


@pytest.mark.parametrize(
    ("name", "user", "kept"),
    [
        ("cparam01", "watson", ["<sip:+19725552222@gw1.example.net>;unknownparam;expires=600"]),
        ("cparam02", "watson", ["<sip:+19725552222@gw1.example.net;unknownparam>;expires=600"]),
        (
            "regescrt",
            "user",
            ["<sip:user@example.com?Route=%3Csip:sip.example.com%3E>;expires=600"],
        ),
        (
            "escnull",
            "null-\x00-null",
            [
                "<sip:%00@host5.example.com>;expires=600",
                "<sip:%00%00@host5.example.com>;expires=600",
            ],
        ),
        ("dblreq", "j.user", ["<sip:j.user@host.example.com>;expires=600"]),
    ],
)
def test_torture_contacts_come_back_as_they_were(name: str, user: str, kept: list[str]) -> None:
    registrar = Registrar()
    assert contacts(registrar.register(user, torture(name), HERE, 0.0)) == kept
    fetch = register(user=user.replace("\x00", "%00"), call="f")
    assert contacts(registrar.register(user, fetch, HERE, 0.0)) == kept


def test_torture_to_that_is_no_sip_uri() -> None:
    assert Registrar().register("user", torture("unksm2"), HERE, 0.0).status == 400
