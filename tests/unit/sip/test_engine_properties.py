"""Whatever a peer says, in whatever order: nothing raises, every session ends once."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from telephony.sip.agent import AgentConfig, Destination, Source, UserAgent
from telephony.sip.auth import Credentials
from telephony.sip.events import (
    InviteReceived,
    NeedResolve,
    OfferReceived,
    ReferEnded,
    ReferReceived,
    RegisterReceived,
    SessionEnded,
)
from telephony.sip.message import Request
from telephony.sip.parser import parse
from telephony.testing.peer import Peer

VECTORS = sorted((Path(__file__).parents[2] / "vectors" / "rfc4475").glob("*.dat"))
METHODS = st.sampled_from(
    ["INVITE", "ACK", "BYE", "CANCEL", "UPDATE", "INFO", "OPTIONS", "REFER", "NOTIFY", "REGISTER"]
)
BODIES = st.sampled_from([b"", b"offer", b"answer", b"SIP/2.0 200 OK\r\n", b"Signal=1\r\n", b"\0"])
STATUSES = st.sampled_from(
    [100, 180, 183, 200, 202, 302, 401, 407, 408, 422, 423, 481, 486, 487, 491, 500, 503, 603]
)
ROWS = st.lists(
    st.sampled_from(
        [
            ("Session-Expires", "90;refresher=uac"),
            ("Session-Expires", "200;refresher=uas"),
            ("Session-Expires", "x"),
            ("Supported", "timer"),
            ("Min-SE", "9999999999999"),
            ("Allow", "INVITE, UPDATE"),
            ("Event", "refer"),
            ("Event", "refer;id=2"),
            ("Subscription-State", "terminated"),
            ("Refer-To", "<sip:a@b?Replaces=x>"),
            ("Refer-To", "<<"),
            ("Refer-Sub", "false"),
            ("Retry-After", "3"),
            ("Reason", "Q.850;cause=16"),
            ("Record-Route", "<sip:192.0.2.50;lr>"),
            ("Record-Route", "<tel:+1>"),
            ("Contact", "<sip:named.example.com>"),
            ("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth"'),
            ("Proxy-Authenticate", 'Digest realm="r", nonce="n", algorithm=SHA-256'),
            ("Min-Expires", "900"),
            ("X-Any", "\udcff\u00e9"),
        ]
    ),
    max_size=4,
).map(tuple)


class Conversation(RuleBasedStateMachine):
    """A peer that knows our tags and uses them in every wrong way."""

    @initialize(seed=st.integers(0, 2**32))
    def start(self, seed: int) -> None:
        agent = UserAgent(AgentConfig(host="192.0.2.1", registrar=True), random.Random(seed))
        self.peer = Peer(agent)
        self.ends: Counter[str] = Counter()
        self.refers: Counter[str] = Counter()
        self.begun: set[str] = set()
        self.offers: list[str] = []
        self.registers: list[str] = []
        self.names: list[str] = []
        self.referred: list[tuple[str, str]] = []
        self.sent_refers: set[str] = set()
        self.seen = 0

    def look(self) -> None:
        self.peer.collect()
        for event in self.peer.events[self.seen :]:
            session = getattr(event, "session", "")
            assert not self.ends[session] or not session, event
            if isinstance(event, InviteReceived):
                self.begun.add(event.session)
            elif isinstance(event, SessionEnded):
                self.ends[event.session] += 1
            elif isinstance(event, OfferReceived):
                self.offers.append(event.session)
            elif isinstance(event, RegisterReceived):
                self.registers.append(event.token)
            elif isinstance(event, NeedResolve):
                self.names.append(event.token)
            elif isinstance(event, ReferReceived):
                self.referred.append((event.session, event.token))
            elif isinstance(event, ReferEnded):
                self.refers[event.token] += 1
        self.seen = len(self.peer.events)

    @rule()
    def call(self) -> None:
        session = self.peer.agent.invite(
            target="sip:b@192.0.2.9",
            destinations=[
                Destination(("192.0.2.9", 5060)),
                Destination(("192.0.2.8", 5060), "TCP"),
            ],
            from_="sip:a@192.0.2.1",
            body=b"offer",
            credentials=[Credentials("u", "p")],
            now=self.peer.now,
        )
        self.begun.add(session)

    @rule(method=METHODS, body=BODIES, rows=ROWS, known=st.booleans(), choice=st.randoms())
    def request(
        self,
        method: str,
        body: bytes,
        rows: tuple[tuple[str, str], ...],
        known: bool,
        choice: random.Random,
    ) -> None:
        peer = self.peer
        peer.collect()
        peer.to_tag, peer.tag = "", "peer"
        if known and peer.sent:
            message = choice.choice(peer.sent)
            peer.call_id = message.call_id
            peer.to_tag = message.from_tag if isinstance(message, Request) else message.to_tag
        else:
            peer.call_id = f"c{choice.randrange(5)}"
        cseq = choice.choice([None, 1, 2, 3])
        request = peer.request(
            method,
            body=body,
            headers=rows,
            cseq=cseq,
            branch=f"z9hG4bK{choice.randrange(6)}",
            say=False,
        )
        peer.say(request)
        if choice.random() < 0.3:
            peer.say(request)

    @rule(status=STATUSES, body=BODIES, rows=ROWS, choice=st.randoms())
    def reply(
        self, status: int, body: bytes, rows: tuple[tuple[str, str], ...], choice: random.Random
    ) -> None:
        self.peer.collect()
        requests = [m for m in self.peer.sent[-8:] if isinstance(m, Request) and m.method != "ACK"]
        if requests:
            tag = choice.choice(["peer", "other", "third"])
            self.peer.reply(choice.choice(requests), status, tag=tag, body=body, headers=rows)

    @rule(choice=st.randoms())
    def order(self, choice: random.Random) -> None:
        self.look()
        if not self.begun:
            return
        agent, now = self.peer.agent, self.peer.now
        session = choice.choice(sorted(self.begun))
        pick = choice.randrange(12)
        if pick == 0:
            agent.provisional(session, choice.choice([180, 183]), body=b"early", now=now)
        elif pick in (1, 2):
            agent.answer(session, b"answer", credentials=[Credentials("u", "p")], now=now)
        elif pick == 3:
            agent.reject(session, 486, stateless=choice.random() < 0.5, now=now)
        elif pick == 4:
            agent.bye(session, reason="Q.850;cause=16", now=now)
        elif pick == 5:
            agent.reinvite(session, b"hold", now=now)
        elif pick == 6:
            agent.update(session, choice.choice([b"", b"hold"]), now=now)
        elif pick == 7:
            token = agent.refer(session, "sip:x@y", now=now)
            self.sent_refers |= {token} - {""}
        elif pick == 8:
            agent.info(session, "text/plain", b"x", now=now)
            agent.session_options(session, now=now)
        elif pick == 9:
            agent.cancel(session, now=now)
        elif pick == 10:
            agent.acknowledge(session, b"answer", now=now)
        else:
            agent.accept_offer(session, b"fine", now=now)

    @rule(choice=st.randoms())
    def settle(self, choice: random.Random) -> None:
        self.look()
        agent, now = self.peer.agent, self.peer.now
        while self.registers:
            agent.respond(self.registers.pop(), choice.choice([200, 401, 403]), now=now)
        while self.names:
            places = choice.choice([[], [Destination(("192.0.2.9", 5060))]])
            agent.resolved(self.names.pop(), places, now=now)
        while self.referred:
            session, token = self.referred.pop()
            agent.accept_refer(session, token, now=now)
            agent.notify_refer(session, token, choice.choice([180, 200, 486]), now=now)

    @rule(seconds=st.sampled_from([0.1, 0.6, 5.0, 33.0, 100.0]))
    def wait(self, seconds: float) -> None:
        self.peer.pass_time(seconds)

    @rule(choice=st.randoms())
    def lose(self, choice: random.Random) -> None:
        for send in self.peer.agent.take_sends():
            if choice.random() < 0.5:
                self.peer.agent.transport_failed(send, self.peer.now)
        self.peer.agent.flow_closed(choice.randrange(3), self.peer.now)

    @invariant()
    def once(self) -> None:
        if hasattr(self, "peer"):
            self.look()
            assert all(count == 1 for count in self.ends.values() if count)
            assert all(count == 1 for count in self.refers.values())

    def teardown(self) -> None:
        if not hasattr(self, "peer"):
            return
        for session in self.peer.agent.sessions():
            self.peer.agent.bye(session, now=self.peer.now)
        self.peer.pass_time(1000.0)
        self.look()
        assert {s for s, count in self.ends.items() if count == 1} == self.begun
        assert {t for t, count in self.refers.items() if count} == self.sent_refers
        assert self.peer.agent.idle()


Conversation.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestConversation = Conversation.TestCase


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    which=st.integers(0, len(VECTORS) - 1),
    edits=st.lists(
        st.tuples(st.integers(0, 5000), st.binary(max_size=6), st.integers(0, 6)), max_size=6
    ),
    stream=st.booleans(),
)
def test_mutated_messages_never_raise(
    which: int, edits: list[tuple[int, bytes, int]], stream: bool
) -> None:
    data = VECTORS[which].read_bytes()
    for at, text, cut in edits:
        at %= len(data) + 1
        data = data[:at] + text + data[at + cut :]
    agent = UserAgent(AgentConfig(host="192.0.2.1", registrar=True), random.Random(1))
    source = Source(("192.0.2.9", 5060), "TCP" if stream else "UDP", ("192.0.2.1", 5060), stream)
    agent.receive(data, source, 1.0)
    for event in agent.take_events():
        if isinstance(event, InviteReceived):
            agent.answer(event.session, b"answer", now=1.0)
            agent.bye(event.session, now=1.0)
        elif isinstance(event, RegisterReceived):
            agent.respond(event.token, 200, now=1.0)
    for send in agent.take_sends():
        assert send.data.startswith(b"SIP/2.0 ")
        assert send.destination.address[0] == "192.0.2.9"
    while (at := agent.next_deadline()) is not None:
        agent.expire(at)
    for send in agent.take_sends():
        parse(send.data)
