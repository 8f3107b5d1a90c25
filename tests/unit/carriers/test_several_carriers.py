"""A call takes the carrier of its trunk's kind."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from telephony.accounts.model import Phone, PhoneNumber, Trunk, TrunkKind
from telephony.base.clock import ManualClock
from telephony.base.errors import Busy
from telephony.calls.events import Event, LegEnded
from telephony.calls.outcome import Cause
from telephony.calls.ports import DialRequest
from telephony.carriers.several import Carriers, TrunksOf
from telephony.testing.carrier import FakeCarrier

T0 = datetime(2026, 1, 5, tzinfo=UTC)


def trunk(name: str, kind: TrunkKind) -> Trunk:
    return Trunk(
        id=f"trunk_{name}",
        organization="org_default",
        name=name,
        kind=kind,
        gateways=("gw.example",),
        created_at=T0,
        updated_at=T0,
    )


class Book:
    def __init__(self, *trunks: Trunk) -> None:
        self.list = trunks
        self.watchers: list[Any] = []

    def trunks(self, organization: str | None = None) -> tuple[Trunk, ...]:
        return self.list

    def phones(self, organization: str | None = None) -> tuple[Phone, ...]:
        return ()

    def numbers(self, organization: str | None = None) -> tuple[PhoneNumber, ...]:
        return ()

    def number(self, e164: str) -> PhoneNumber | None:
        return None

    def agent(self, organization: str, agent: str) -> None:
        return None

    def tools(self, organization: str, agent: str) -> tuple[()]:
        return ()

    def watch(self, changed: Any) -> None:
        self.watchers.append(changed)


SIP, LIVEKIT = trunk("own", TrunkKind.SIP), trunk("lk", TrunkKind.LIVEKIT)


def request(**values: Any) -> DialRequest:
    given = {"leg": "phone-x", "call": "x", "to": "+12025550188", "from_number": "+12025550100"}
    return DialRequest(**{**given, **values})


class House:
    def __init__(self, *trunks: Trunk, livekit: bool = True) -> None:
        clock = ManualClock()
        self.sip, self.livekit = FakeCarrier(clock), FakeCarrier(clock)
        carriers = {TrunkKind.SIP: self.sip}
        if livekit:
            carriers[TrunkKind.LIVEKIT] = self.livekit
        self.events: list[Event] = []
        self.all = Carriers(Book(*trunks), clock, carriers)

    def dial(self, **values: Any) -> tuple[int, int]:
        self.all.dial(request(**values), self.events.append)
        return len(self.sip.dialled), len(self.livekit.dialled)


def test_a_trunk_s_kind_says_who_dials() -> None:
    house = House(SIP, LIVEKIT)
    assert house.dial(trunk="trunk_own") == (1, 0)
    assert house.dial(trunk="trunk_lk") == (1, 1)
    assert house.dial(trunk="lk") == (1, 2)


def test_the_default_is_the_first_trunk_of_any_kind() -> None:
    assert House(SIP, LIVEKIT).dial(trunk=None) == (1, 0)
    assert House(LIVEKIT, SIP).dial(trunk=None) == (0, 1)


def test_phones_are_called_by_our_own_sip_whatever_the_trunks_are() -> None:
    assert House(LIVEKIT).dial(to="alice", phone=True) == (1, 0)


def test_a_trunk_that_is_gone_is_told_by_our_own_sip() -> None:
    assert House(LIVEKIT).dial(trunk="trunk_gone") == (1, 0)


def test_without_livekit_its_trunks_lead_nowhere() -> None:
    house = House(SIP, LIVEKIT, livekit=False)
    assert house.dial(trunk="trunk_lk") == (0, 0)
    (ended,) = house.events
    assert isinstance(ended, LegEnded)
    assert ended.outcome.cause is Cause.NO_ROUTE
    assert house.all.admits("trunk_lk") is None


def test_a_trunk_is_admitted_by_its_own_carrier() -> None:
    house = House(SIP, LIVEKIT)
    house.livekit.busy = Busy("full")
    assert house.all.admits("trunk_own") is None
    assert house.all.admits("trunk_lk") is house.livekit.busy
    assert house.all.admits("trunk_gone") is None


async def test_all_are_started_and_stopped_and_any_reason_counts() -> None:
    house = House(SIP)
    await house.all.start(lambda offer, leg: None)
    assert house.sip.take is not None
    assert house.livekit.take is not None
    assert house.all.ready() is None
    house.livekit.problem = "no"
    assert house.all.ready() == "no"
    await house.all.stop()
    assert (house.sip.take, house.livekit.take) == (None, None)


async def test_one_that_does_not_start_takes_the_others_down_again() -> None:
    house = House(SIP)

    async def fail(take: Any) -> None:
        raise OSError("taken")

    house.livekit.start = fail  # type: ignore[method-assign]
    with pytest.raises(OSError, match="taken"):
        await house.all.start(lambda offer, leg: None)
    assert house.sip.take is None


def test_a_carrier_sees_trunks_of_its_own_kind_only() -> None:
    book = Book(SIP, LIVEKIT)
    assert TrunksOf(book, TrunkKind.LIVEKIT).trunks() == (LIVEKIT,)
    assert TrunksOf(book, TrunkKind.SIP).trunks() == (SIP,)
    only = Book(SIP)
    assert TrunksOf(only, TrunkKind.SIP).trunks() is only.list
