"""The network in memory: it loses, doubles and reorders as it was told, the same way twice."""

from __future__ import annotations

import random

from telephony.sip.agent import AgentConfig, Destination, UserAgent
from telephony.sip.events import InviteReceived, RequestAnswered, SipEvent
from telephony.testing.link import Link, Weather

THERE = Destination(("192.0.2.2", 5060))


def pair(weather: Weather, seed: int = 1) -> tuple[Link, UserAgent, list[SipEvent]]:
    link = Link(weather=weather, seed=seed)
    events: list[SipEvent] = []
    a = link.add(UserAgent(AgentConfig(host="192.0.2.1"), random.Random(1)), events.append)
    link.add(UserAgent(AgentConfig(host="192.0.2.2"), random.Random(2)))
    return link, a, events


def ping(link: Link, agent: UserAgent, to: Destination = THERE) -> str:
    return agent.options(
        target="sip:192.0.2.2", destinations=[to], from_="sip:192.0.2.1", now=link.now
    )


def test_a_round_trip_takes_two_delays() -> None:
    link, a, events = pair(Weather(delay=0.2))
    ping(link, a)
    link.run(0.39)
    assert not events
    link.run(0.02)
    (answered,) = events
    assert isinstance(answered, RequestAnswered)
    assert round(answered.seconds, 6) == 0.4


def test_what_is_lost_is_sent_again() -> None:
    link, a, events = pair(Weather())
    lost: list[bytes] = []

    def drop(sender: tuple[str, int], send: object) -> bool:
        lost.append(b"")
        return len(lost) <= 2

    link.drop = drop
    ping(link, a)
    link.run_until_quiet()
    (answered,) = events
    assert isinstance(answered, RequestAnswered)
    assert round(answered.seconds, 2) == 1.52
    assert a.idle()


def test_the_same_seed_is_the_same_weather() -> None:
    def run(seed: int) -> list[bytes]:
        link, a, _ = pair(Weather(loss=0.4, duplicates=0.3, jitter=1.0), seed)
        for _ in range(5):
            ping(link, a)
        link.run_until_quiet()
        return [send.data for _, send in link.sent]

    assert run(5) == run(5)
    assert run(5) != run(6)


def test_a_stream_to_nobody_fails_at_once() -> None:
    link, a, events = pair(Weather(loss=1.0))
    ping(link, a, Destination(("192.0.2.3", 5060), "TCP"))
    link.run(0.0)
    (answered,) = events
    assert isinstance(answered, RequestAnswered)
    assert answered.status == 503


def test_a_stream_loses_nothing() -> None:
    link, a, events = pair(Weather(loss=1.0))
    ping(link, a, Destination(("192.0.2.2", 5060), "TCP"))
    link.run_until_quiet()
    (answered,) = events
    assert isinstance(answered, RequestAnswered)
    assert answered.status == 200


def test_a_call_over_a_stream() -> None:
    link, a, _ = pair(Weather())
    b = link.add(
        UserAgent(AgentConfig(host="192.0.2.4"), random.Random(4)),
        lambda e: (
            b.answer(e.session, b"answer", now=link.now) and None
            if isinstance(e, InviteReceived)
            else None
        ),
    )
    session = a.invite(
        target="sip:x@192.0.2.4;transport=tcp",
        destinations=[Destination(("192.0.2.4", 5060), "TCP")],
        from_="sip:a@192.0.2.1",
        body=b"offer",
        now=link.now,
    )
    link.run(1.0)
    assert a.bye(session, now=link.now)
    link.run_until_quiet()
    assert a.idle()
    assert b.idle()
    assert {send.destination.transport for _, send in link.sent} == {"TCP"}
