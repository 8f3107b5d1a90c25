"""A network that loses, doubles and reorders: every call ends, once, on both sides.

3,000 seeded runs, half of them with a race. Nothing sleeps: the clock is moved by hand. A failing
run is repeated alone with its number, which is its seed.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest

from telephony.sip.agent import AgentConfig, Destination, UserAgent
from telephony.sip.events import (
    Answered,
    EndKind,
    InviteReceived,
    OfferReceived,
    SessionConfirmed,
    SessionEnded,
    SipEvent,
)
from telephony.testing.link import Link, Weather

RUNS = 3000
BATCH = 100
CALM = ("caller hangs up", "callee hangs up", "busy", "no answer", "refresh", "update")
RACES = ("cancel and 200", "bye and bye", "glare", "cancel and 486", "bye and glare", "early bye")


class Side:
    """One agent and what it was told of its sessions."""

    def __init__(self, link: Link, host: str, seed: int, scenario: str) -> None:
        self.link = link
        self.rng = random.Random(seed)
        self.scenario = scenario
        config = AgentConfig(host=host, session_expires=90 if scenario == "refresh" else 1800)
        self.agent = UserAgent(config, random.Random(seed + 7))
        self.events: list[SipEvent] = []
        self.begun: list[str] = []
        self.ends: Counter[str] = Counter()
        self.kinds: dict[str, EndKind] = {}
        link.add(self.agent, self.on_event)

    def on_event(self, event: SipEvent) -> None:
        session = getattr(event, "session", "")
        assert not (session and self.ends[session]), f"{event} after the end"
        self.events.append(event)
        if isinstance(event, InviteReceived):
            self.begun.append(event.session)
            self.on_invite(event.session)
        elif isinstance(event, SessionEnded):
            self.ends[event.session] += 1
            self.kinds[event.session] = event.ending.kind
        elif isinstance(event, OfferReceived):
            wait = self.rng.random()
            self.link.at(
                wait,
                lambda: self.agent.accept_offer(event.session, b"again", now=self.link.now),
            )
        elif isinstance(event, Answered | SessionConfirmed):
            self.on_talking(event.session)

    def on_invite(self, session: str) -> None:
        agent, link = self.agent, self.link
        agent.provisional(session, 180, now=link.now)
        if self.scenario == "no answer":
            return
        if self.scenario in ("busy", "cancel and 486"):
            wait = 2.0 if self.scenario == "cancel and 486" else 0.5
            link.at(wait, lambda: agent.reject(session, 486, now=link.now))
            return
        link.at(2.0, lambda: agent.answer(session, b"answer", now=link.now))
        if self.scenario == "early bye":
            link.at(2.0 + self.rng.random(), lambda: agent.bye(session, now=link.now))

    def on_talking(self, session: str) -> None:
        agent, link, scenario = self.agent, self.link, self.scenario
        calling = bool(self.begun) and not any(isinstance(e, InviteReceived) for e in self.events)
        if scenario in ("glare", "bye and glare"):
            link.at(1.0, lambda: agent.reinvite(session, b"hold", now=link.now))
        if scenario == "update" and calling:
            link.at(1.0, lambda: agent.update(session, b"hold", now=link.now))
        wait = {"bye and bye": 2.0, "bye and glare": 1.2 + self.rng.random()}.get(scenario, 12.0)
        if scenario == "refresh":
            wait = 200.0
        if scenario != "callee hangs up" or not calling:
            both = scenario in ("bye and bye", "bye and glare")
            if both or calling or scenario == "callee hangs up":
                link.at(wait, lambda: agent.bye(session, now=link.now))


def run_call(seed: int) -> tuple[str, Side, Side]:
    rng = random.Random(seed)
    names = RACES if seed % 2 else CALM
    scenario = names[(seed // 2) % len(names)]
    weather = Weather(
        loss=rng.uniform(0.0, 0.4),
        duplicates=rng.uniform(0.0, 0.3),
        delay=0.01,
        jitter=rng.uniform(0.0, 1.0),
    )
    link = Link(weather=weather, seed=seed)
    a = Side(link, "192.0.2.1", seed, scenario)
    b = Side(link, "192.0.2.2", seed + 1, scenario)
    session = a.agent.invite(
        target="sip:bob@192.0.2.2",
        from_="sip:alice@192.0.2.1",
        destinations=[Destination(("192.0.2.2", 5060))],
        body=b"offer",
        now=link.now,
    )
    a.begun.append(session)
    if scenario in ("cancel and 200", "cancel and 486"):
        link.at(2.0 + rng.random(), lambda: a.agent.cancel(session, now=link.now))
    if scenario == "no answer":
        link.at(10.0, lambda: a.agent.cancel(session, now=link.now))
    link.run_until_quiet(20_000.0)
    return scenario, a, b


@pytest.mark.parametrize("batch", range(RUNS // BATCH))
def test_every_call_ends_once_on_both_sides(batch: int) -> None:
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        scenario, a, b = run_call(seed)
        for side in (a, b):
            where = f"seed {seed}, {scenario}, {side.agent.config.host}"
            assert dict(side.ends) == dict.fromkeys(side.begun, 1), where
            assert side.agent.idle(), f"{where}: something is left over"
        assert len(b.begun) <= 1, f"seed {seed}: one call rang {len(b.begun)} times"


@pytest.mark.parametrize("scenario", [*CALM, *RACES])
def test_every_scenario_comes_out_as_it_must_on_a_good_network(scenario: str) -> None:
    expected = {
        "busy": {EndKind.REJECTED},
        "no answer": {EndKind.CANCELLED},
        "cancel and 200": {EndKind.CANCELLED, EndKind.BYE},
        "cancel and 486": {EndKind.CANCELLED, EndKind.REJECTED},
    }.get(scenario, {EndKind.BYE})
    names = RACES if scenario in RACES else CALM
    seed = 2 * names.index(scenario) + (scenario in RACES)
    rng_weather = Weather(delay=0.01)
    link = Link(weather=rng_weather, seed=seed)
    a = Side(link, "192.0.2.1", seed, scenario)
    b = Side(link, "192.0.2.2", seed + 1, scenario)
    session = a.agent.invite(
        target="sip:bob@192.0.2.2",
        from_="sip:alice@192.0.2.1",
        destinations=[Destination(("192.0.2.2", 5060))],
        body=b"offer",
        now=link.now,
    )
    a.begun.append(session)
    if scenario.startswith("cancel"):
        link.at(2.005, lambda: a.agent.cancel(session, now=link.now))
    if scenario == "no answer":
        link.at(10.0, lambda: a.agent.cancel(session, now=link.now))
    link.run_until_quiet(20_000.0)
    assert set(a.kinds.values()) | set(b.kinds.values()) <= expected
    assert a.ends[session] == 1
    assert sum(b.ends.values()) == 1
    assert a.agent.idle()
    assert b.agent.idle()
