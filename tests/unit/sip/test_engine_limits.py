"""Ceilings of the agent, each one step over the line, and what strangers can make it do."""

from __future__ import annotations

import random

import pytest

from telephony.base.trace import Action
from telephony.sip import core
from telephony.sip.agent import AgentConfig, Destination, Source, UserAgent
from telephony.sip.events import InviteReceived, Progress, ReferReceived, SessionEnded
from telephony.sip.limits import (
    MAX_FORKED_2XX,
    MAX_FORKS,
    MAX_PROVISIONALS,
    MAX_REFERS_PER_SESSION,
    MAX_TRANSACTIONS_PER_SOURCE,
)
from telephony.sip.timers import Alarms
from telephony.sip.transactions import layer
from telephony.testing.peer import Peer


def new_peer(host: str = "192.0.2.9") -> Peer:
    return Peer(UserAgent(AgentConfig(host="192.0.2.1"), random.Random(3)), host=host)


def flood(peer: Peer, count: int) -> list[str]:
    words = []
    for number in range(count):
        peer.call_id = f"flood-{number}"
        peer.request("INVITE", body=b"offer")
        words += [w for w in peer.words() if w != "100"]
    return words


def test_one_stranger_fills_his_own_share_only() -> None:
    peer = new_peer()
    words = flood(peer, MAX_TRANSACTIONS_PER_SOURCE + 3)
    assert words == ["503"] * 3
    assert peer.last_response(503).retry_after is not None
    other = Peer(peer.agent, host="192.0.2.10", call_id="other")
    other.request("INVITE", body=b"offer")
    assert other.words() == ["100"]


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.9"])
def test_trusted_and_loopback_sources_are_not_counted(host: str) -> None:
    peer = new_peer(host)
    peer.agent.trust({"192.0.2.9"})
    assert flood(peer, MAX_TRANSACTIONS_PER_SOURCE + 3) == []


def test_the_ceiling_of_all_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer, "MAX_TRANSACTIONS", 5)
    peer = new_peer("127.0.0.1")
    assert flood(peer, 7) == ["503", "503"]


def test_half_open_calls_are_freed() -> None:
    # Threat 8.
    peer = new_peer("127.0.0.1")
    for number in range(500):
        peer.call_id = f"half-{number}"
        peer.request("INVITE", body=b"offer")
    for event in peer.of(InviteReceived)[:250]:
        peer.agent.answer(event.session, b"a", now=peer.now)  # type: ignore[union-attr]
    peer.pass_time(400)
    assert len(peer.of(SessionEnded)) == 500
    assert peer.agent.idle()


def test_errors_leave_no_state_and_are_sent_once() -> None:
    # Threats 5 and 7: what is refused or harmless costs nothing afterwards.
    peer = new_peer()
    for number in range(50):
        peer.call_id = f"noise-{number}"
        for method in ("OPTIONS", "REGISTER", "BYE", "MESSAGE", "SUBSCRIBE", "STRANGE"):
            peer.request(method, cseq=1)
    received = len(peer.words())
    assert received == 300
    assert peer.agent.idle()
    assert peer.agent.next_deadline() is None


def test_a_stateless_answer_has_the_same_tag_each_time() -> None:
    peer = new_peer()
    request = peer.request("OPTIONS", branch="z9hG4bKsame")
    first = peer.last_response(200).to_tag
    peer.say(request)
    assert peer.last_response(200).to_tag == first


def call_out(peer: Peer) -> str:
    return peer.agent.invite(
        target="sip:b@192.0.2.9",
        destinations=[Destination(("192.0.2.9", 5060))],
        from_="sip:a@192.0.2.1",
        body=b"offer",
        now=peer.now,
    )


def test_forks_and_provisional_responses_are_bounded() -> None:
    peer = new_peer()
    call_out(peer)
    invite = peer.last_request("INVITE")
    for number in range(MAX_PROVISIONALS + 10):
        peer.reply(invite, 180, tag=f"t{number}")
    assert len(peer.of(Progress)) == MAX_PROVISIONALS
    (call,) = peer.agent._sessions.values()
    assert len(call.calling.forks) == MAX_FORKS
    for number in range(MAX_FORKED_2XX + 10):
        peer.reply(invite, 200, tag=f"f{number}", body=b"answer")
    acks = [m for m in peer.sent if getattr(m, "method", "") == "ACK"]
    peer.collect()
    assert len(acks) <= MAX_FORKED_2XX


def test_refers_are_bounded() -> None:
    peer = new_peer()
    session = call_out(peer)
    peer.reply(peer.last_request("INVITE"), 200, body=b"answer")
    ack = peer.last_request("ACK")
    peer.call_id, peer.to_tag = ack.call_id, ack.from_tag
    for _ in range(MAX_REFERS_PER_SESSION + 1):
        peer.request("REFER", headers=(("Refer-To", "sip:x@y"),))
    assert len(peer.of(ReferReceived)) == MAX_REFERS_PER_SESSION
    assert peer.last_response(503)
    tokens = [peer.agent.refer(session, "sip:x@y", now=peer.now) for _ in range(6)]
    assert tokens.count("") == 6 - MAX_REFERS_PER_SESSION


def test_queues_nobody_takes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "MAX_SENDS_PENDING", 10)
    monkeypatch.setattr(core, "MAX_EVENTS_PENDING", 10)
    peer = new_peer("127.0.0.1")
    for number in range(30):
        peer.call_id = f"q-{number}"
        peer.request("INVITE", body=b"offer")
    assert len(peer.agent.take_sends()) == 10
    assert len(peer.agent.take_events()) == 10
    assert peer.agent.trace.counts[(Action.SIP_DROPPED, "events not taken")] == 20


def test_nothing_is_dropped_without_a_trace() -> None:
    peer = new_peer()
    peer.say(b"garbage")
    peer.say(b"SIP/2.0 200 OK\r\n\r\n")
    peer.to_tag = "nobody"
    peer.request("ACK")
    response = peer.request("BYE", say=False).reply(200)
    peer.say(response)
    assert len(peer.agent.trace.entries(Action.SIP_DROPPED)) == 4
    assert peer.words() == []


def test_flows_that_closed_are_not_used() -> None:
    agent = UserAgent(AgentConfig(host="192.0.2.1"), random.Random(1))
    peer = Peer(agent, transport="TCP", port=40000)
    invite = peer.request("INVITE", body=b"offer", say=False)
    invite.headers.set("Contact", "<sip:peer@192.0.2.9:5070;transport=tcp>")
    peer.say(invite)
    (event,) = peer.of(InviteReceived)
    session = event.session  # type: ignore[union-attr]
    agent.answer(session, b"answer", now=peer.now)
    peer.to_tag = peer.last_response(200).to_tag
    peer.request("ACK", cseq=1)
    agent.info(session, "text/plain", b"x", now=peer.now)
    (send,) = agent.take_sends()
    assert send.destination == Destination(("192.0.2.9", 40000), "TCP", 1)
    agent.flow_closed(1, peer.now)
    agent.info(session, "text/plain", b"x", now=peer.now)
    sends = [s for s in agent.take_sends() if s.data.startswith(b"INFO")]
    assert sends[-1].destination == Destination(("192.0.2.9", 5070), "TCP")


def test_alarms_forget_what_was_replaced() -> None:
    class Nobody:
        def on_alarm(self, name: str, now: float) -> None:
            raise AssertionError

    alarms, owner = Alarms(), Nobody()
    for at in range(1000):
        alarms.set((owner, "a"), float(at))
    assert len(alarms) == 1
    assert len(alarms._heap) < 100
    assert alarms.next() == 999.0
    alarms.cancel((owner, "a"))
    assert alarms.next() is None
    assert alarms.pop(2000.0) is None


def test_a_message_from_a_source_that_does_not_match_its_text_is_answered_to_the_source() -> None:
    peer = new_peer()
    options = peer.request("OPTIONS", say=False)
    peer.say(options, Source(("198.51.100.1", 777), "UDP", peer.source.local))
    (send,) = peer.agent.take_sends()
    assert send.destination.address[0] == "198.51.100.1"
