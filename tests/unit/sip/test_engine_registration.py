"""Registrations of ours, OPTIONS pings, and what a registrar reads."""

from __future__ import annotations

import random
from typing import Any

import pytest

from telephony.sip.agent import AgentConfig, Destination, UserAgent
from telephony.sip.auth import Credentials
from telephony.sip.events import (
    AddressLearned,
    Registered,
    RegisterReceived,
    RegistrationFailed,
    RequestAnswered,
    Unregistered,
)
from telephony.sip.registration import (
    Binding,
    RegisterRefusal,
    RegisterRequest,
    read_register,
    register_headers,
)
from telephony.testing.peer import Peer

THERE = Destination(("192.0.2.9", 5060))


def new_peer(**options: Any) -> Peer:
    return Peer(UserAgent(AgentConfig(host="192.0.2.1", **options), random.Random(3)))


def register(peer: Peer, **options: Any) -> str:
    return peer.agent.register(
        registrar="sip:gw.example.com",
        aor="sip:trunk@gw.example.com",
        destinations=[THERE],
        credentials=[Credentials("trunk", "pw")],
        contact_user="trunk",
        now=peer.now,
        **options,
    )


def grant(peer: Peer, expires: int) -> None:
    peer.reply(
        peer.last_request("REGISTER"),
        200,
        contact=False,
        headers=(("Contact", f"<sip:trunk@192.0.2.1:5060>;expires={expires}"),),
    )


def test_challenged_granted_refreshed_and_removed() -> None:
    peer = new_peer()
    registration = register(peer)
    first = peer.last_request("REGISTER")
    assert first.expires == 300
    peer.reply(first, 401, headers=(("WWW-Authenticate", 'Digest realm="gw", nonce="n"'),))
    assert peer.last_request("REGISTER").headers.get("Authorization")
    grant(peer, 100)
    assert peer.of(Registered) == [Registered(registration, 100)]
    peer.pass_time(69)
    assert peer.words() == []
    peer.pass_time(22)
    refresh = peer.last_request("REGISTER")
    assert refresh.call_id == first.call_id
    assert refresh.cseq.number == first.cseq.number + 2
    grant(peer, 100)
    assert peer.agent.unregister(registration, now=peer.now)
    goodbye = peer.last_request("REGISTER")
    assert goodbye.expires == 0
    peer.reply(goodbye, 200, contact=False)
    assert peer.of(Unregistered) == [Unregistered(registration)]
    peer.pass_time(60)
    assert peer.agent.idle()


def test_unregister_ends_even_when_nobody_answers() -> None:
    peer = new_peer()
    registration = register(peer)
    grant(peer, 300)
    peer.agent.unregister(registration, now=peer.now)
    peer.pass_time(40)
    assert peer.of(Unregistered) == [Unregistered(registration)]
    assert peer.agent.idle()


def test_423_is_answered_with_the_longer_time() -> None:
    peer = new_peer()
    register(peer, expires=60)
    peer.reply(peer.last_request("REGISTER"), 423, headers=(("Min-Expires", "600"),))
    assert peer.last_request("REGISTER").expires == 600


def test_failures_are_tried_again_later_and_later() -> None:
    peer = new_peer()
    register(peer)
    waits = []
    for _ in range(8):
        peer.reply(peer.last_request("REGISTER"), 500)
        failed = peer.of(RegistrationFailed)[-1]
        assert isinstance(failed, RegistrationFailed)
        waits.append(failed.retry_in)
        peer.pass_time(failed.retry_in + 0.01)
    assert 15 <= waits[0] <= 30
    assert 900 <= waits[-1] <= 1800
    peer.reply(peer.last_request("REGISTER"), 503, headers=(("Retry-After", "1700"),))
    last = peer.of(RegistrationFailed)[-1]
    assert isinstance(last, RegistrationFailed)
    assert last.retry_in >= 1700


def test_a_silent_registrar_is_told() -> None:
    peer = new_peer()
    register(peer)
    peer.pass_time(33)
    (failed,) = peer.of(RegistrationFailed)
    assert isinstance(failed, RegistrationFailed)
    assert failed.status == 408


def test_new_values_register_at_once() -> None:
    peer = new_peer()
    registration = register(peer)
    grant(peer, 300)
    peer.collect()
    assert register(peer, registration=registration, expires=900) == registration
    assert peer.last_request("REGISTER").expires == 900


def test_a_ping_is_timed() -> None:
    peer = new_peer()
    token = peer.agent.options(
        target="sip:192.0.2.9", destinations=[THERE], from_="sip:192.0.2.1", now=peer.now
    )
    peer.now += 0.5
    peer.reply(peer.last_request("OPTIONS"), 200)
    (answered,) = peer.of(RequestAnswered)
    assert isinstance(answered, RequestAnswered)
    assert (answered.token, answered.status, answered.seconds) == (token, 200, 0.5)
    assert answered.destination == THERE


@pytest.mark.parametrize(("unreachable", "status"), [(True, 503), (False, 408)])
def test_a_ping_nobody_answers(unreachable: bool, status: int) -> None:
    peer = new_peer()
    peer.agent.options(
        target="sip:192.0.2.9", destinations=[THERE], from_="sip:192.0.2.1", now=peer.now
    )
    (send,) = peer.agent.take_sends()
    if unreachable:
        peer.agent.transport_failed(send, peer.now)
    else:
        peer.pass_time(32)
    (answered,) = peer.of(RequestAnswered)
    assert isinstance(answered, RequestAnswered)
    assert answered.status == status
    assert peer.agent.idle()


def test_the_reflected_address_is_learned_once() -> None:
    peer = new_peer()
    for _ in range(2):
        peer.agent.options(
            target="sip:192.0.2.9", destinations=[THERE], from_="sip:192.0.2.1", now=peer.now
        )
        request = peer.last_request("OPTIONS")
        via = request.top_via.with_param("rport", "40000").with_param("received", "198.51.100.7")
        request.set_top_via(via)
        peer.reply(request, 200)
    assert peer.of(AddressLearned) == [
        AddressLearned(("198.51.100.7", 40000), "UDP", ("192.0.2.9", 5060))
    ]
    assert peer.agent.learned_address("192.0.2.9") == ("198.51.100.7", 40000)


# -- the registrar's side -------------------------------------------------------------------------


def test_register_is_refused_without_a_registrar_and_told_with_one() -> None:
    peer = new_peer()
    peer.request("REGISTER")
    assert peer.words() == ["405"]
    peer = new_peer(registrar=True)
    request = peer.request("REGISTER", branch="z9hG4bKr")
    (event,) = peer.of(RegisterReceived)
    assert isinstance(event, RegisterReceived)
    rows = register_headers([Binding(event.request.contacts[0].uri, 60)])
    assert peer.agent.respond(event.token, 200, headers=rows, now=peer.now)
    assert peer.last_response(200).contacts[0].param("expires") == "60"
    peer.say(request)
    assert peer.words() == ["200"]
    assert len(peer.of(RegisterReceived)) == 1
    assert not peer.agent.respond(event.token, 200, now=peer.now)


def test_a_register_nobody_answers_is_forgotten() -> None:
    peer = new_peer(registrar=True)
    peer.request("REGISTER")
    peer.pass_time(33)
    assert peer.agent.idle()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((("Expires", "120"),), [("sip:peer@192.0.2.9:5060", 120)]),
        (
            (("Contact", "<sip:b@x>;expires=0;q=0.5"),),
            [("sip:peer@192.0.2.9:5060", 3600), ("sip:b@x", 0)],
        ),
        ((("Expires", "999999"),), [("sip:peer@192.0.2.9:5060", 7200)]),
        ((("Expires", "5"),), 423),
        ((("Contact", "tel:+1555"),), 400),
        ((("Contact", "*"),), 400),
    ],
)
def test_reading_a_register(headers: Any, expected: Any) -> None:
    request = new_peer().request("REGISTER", headers=headers, say=False)
    read = read_register(request)
    if isinstance(expected, int):
        assert isinstance(read, RegisterRefusal)
        assert read.status == expected
    else:
        assert isinstance(read, RegisterRequest)
        assert [(str(b.uri), b.expires) for b in read.bindings] == expected


def test_a_star_removes_everything_and_needs_expires_0() -> None:
    request = new_peer().request("REGISTER", say=False)
    request.headers.set("Contact", "*")
    assert isinstance(read_register(request), RegisterRefusal)
    request.headers.set("Expires", "0")
    read = read_register(request)
    assert isinstance(read, RegisterRequest)
    assert read.clear
