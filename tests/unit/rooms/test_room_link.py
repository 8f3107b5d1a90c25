"""What a link makes of what its stay tells: events, once each, and what heals or ends."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest

from telephony.base.clock import Clock, ManualClock
from telephony.base.errors import Busy, Refused, Unavailable
from telephony.calls import events as e
from telephony.calls.meeting import MAX_DATA, Dispatch, Meeting
from telephony.rooms.company import COME_SECONDS, GRACE_SECONDS, SPEAK_SECONDS
from telephony.rooms.link import HEAL_SECONDS, Link
from telephony.testing.carrier import FakeMedia

DISPATCH = Dispatch(agent_name="telephony", metadata="{}")


class Handle:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Server:
    """Takes every order, or none."""

    url = "ws://server"

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.called: list[str] = []

    async def dispatch(self, room: str, dispatch: Dispatch) -> str:
        self.called.append(f"dispatch {dispatch.agent_name}")
        if self.fault is not None:
            raise self.fault
        return "AD_1"

    async def remove(self, room: str, identity: str) -> None:
        self.called.append(f"remove {identity}")


class Stay:
    """Notes its orders."""

    def __init__(self) -> None:
        self.orders: list[tuple[Any, ...]] = []

    def enter(self, url: str, token: str) -> None:
        self.orders.append(("enter", token))

    def send(self, data: bytes, topic: str) -> None:
        self.orders.append(("send", data, topic))

    def send_digits(self, digits: str) -> None:
        self.orders.append(("digits", digits))

    def mute(self, on: bool) -> None:
        self.orders.append(("mute", on))

    def say(self) -> None:
        return None

    def hear(self, frame: Any) -> None:
        self.orders.append(("hear", frame))

    def close(self) -> None:
        self.orders.append(("close",))


class Seat:
    def __init__(self) -> None:
        self.flushed = 0

    def flush(self) -> int:
        self.flushed += 1
        return 0

    def read(self) -> None:
        return None


class House:
    """Time is by hand, and tasks run at once."""

    def __init__(self) -> None:
        self.time = ManualClock()
        self.clock: Clock = self.time
        self.server: Any = Server()
        self.stay = Stay()
        self.full = False
        self.tokens = 0
        self.left: list[Link] = []
        self._timers: list[tuple[float, int, Callable[[], None], Handle]] = []

    def later(self, seconds: float, act: Callable[[], None]) -> Handle:
        handle = Handle()
        when = self.clock.monotonic() + seconds
        heapq.heappush(self._timers, (when, len(self._timers), act, handle))
        return handle

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        with pytest.raises(StopIteration):
            work.send(None)

    def sit(self, link: Link) -> Any:
        if self.full:
            raise Busy("all rooms are taken")
        return Seat()

    def open(self, link: Link) -> Any:
        return self.stay

    def token(self, meeting: Meeting) -> str:
        self.tokens += 1
        return f"token-{self.tokens}"

    def gone(self, link: Link) -> None:
        self.left.append(link)

    def wait(self, seconds: float) -> None:
        """Time passes."""
        until = self.clock.monotonic() + seconds
        while self._timers and self._timers[0][0] <= until:
            when, _, act, handle = heapq.heappop(self._timers)
            self.time.advance(max(0.0, when - self.clock.monotonic()))
            if not handle.cancelled:
                act()
        self.time.advance(until - self.clock.monotonic())


class Story:
    def __init__(self, dispatch: Dispatch | None = DISPATCH) -> None:
        self.house = House()
        self.events: list[e.Event] = []
        meeting = Meeting(room="call-1", call="1", identity="phone-1", dispatch=dispatch)
        media: Any = FakeMedia(self.house.clock)
        self.link = Link(self.house, meeting, media, self.events.append)

    def begin(self, *facts: tuple[Any, ...]) -> Story:
        self.link.begin()
        for fact in facts:
            self.link.told(*fact)
        return self

    @property
    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    def last(self, kind: type[Any]) -> Any:
        return [event for event in self.events if type(event) is kind][-1]


IN = ("in",)
CAME = ("came", "agent-1", "agent")


def test_a_call_in_order() -> None:
    story = Story().begin(IN, CAME)
    story.house.wait(0.25)
    story.link.told("heard", "agent-1")
    story.house.wait(60)
    story.link.told("went", "agent-1", "agent", "left")
    story.link.close()
    story.link.close()
    assert story.names == [
        "AgentDispatched", "RoomJoined", "AgentJoined", "AgentHeard", "AgentLeft", "RoomLeft",
    ]  # fmt: skip
    assert story.last(e.AgentHeard).after_ms == 250
    assert story.last(e.RoomLeft).reason == ""
    assert story.house.left == [story.link]
    assert story.house.stay.orders == [("enter", "token-1"), ("close",)]


def test_nobody_comes() -> None:
    story = Story().begin(IN)
    story.house.wait(COME_SECONDS + 1)
    assert story.last(e.AgentDispatchFailed).cause == "timeout"
    story.link.dispatch(DISPATCH)
    story.link.told(*CAME)
    story.house.wait(COME_SECONDS + 1)
    assert story.names.count("AgentDispatchFailed") == 1


@pytest.mark.parametrize(
    ("fault", "cause"),
    [(Unavailable("away"), "unreachable"), (Refused("no such agent"), "refused")],
)
def test_the_order_to_come_is_not_taken(fault: Exception, cause: str) -> None:
    story = Story()
    story.house.server.fault = fault
    story.begin(IN)
    story.house.wait(COME_SECONDS + 1)
    assert story.names == ["AgentDispatched", "AgentDispatchFailed", "RoomJoined"]
    assert story.last(e.AgentDispatchFailed).cause == cause


def test_an_agent_that_should_speak_and_does_not() -> None:
    story = Story().begin(IN, CAME)
    story.house.wait(SPEAK_SECONDS + 1)
    assert story.names[-1] == "AgentSilent"
    story.link.told("heard", "agent-1")
    assert story.names[-1] == "AgentHeard"


def test_an_agent_that_waits_for_the_caller_is_not_silent() -> None:
    story = Story(Dispatch(agent_name="a", metadata="{}", speaks_first=False)).begin(IN, CAME)
    story.house.wait(SPEAK_SECONDS + 1)
    assert "AgentSilent" not in story.names


def test_a_sip_caller_who_sends_nothing_is_not_dead() -> None:
    story = Story().begin(IN, ("came", "sip_1", "sip"))
    events = list(story.events)
    story.link.told("dead", "sip_1")
    assert story.events == events
    assert "remove sip_1" not in story.house.server.called


def test_the_dead_are_sent_out_and_do_not_come_back() -> None:
    story = Story().begin(IN, CAME)
    story.link.told("dead", "agent-1")
    assert story.last(e.AgentLeft).reason == "lost"
    assert story.house.server.called[-1] == "remove agent-1"
    story.link.told("came", "agent-1", "agent")
    story.link.told("went", "agent-1", "agent", "removed")
    assert story.names.count("AgentLeft") == story.names.count("AgentJoined") == 1


def test_who_is_lost_with_the_connection_may_come_back() -> None:
    story = Story().begin(IN, CAME, ("came", "anna", "browser"))
    story.link.told("away")
    story.link.told("went", "agent-1", "agent", "lost")
    story.house.wait(1.5)
    story.link.told("back", 1.5)
    story.link.told(*CAME)
    story.house.wait(GRACE_SECONDS + 1)
    assert story.last(e.RoomResumed).seconds == 1.5
    assert "AgentLeft" not in story.names
    assert story.last(e.PeerLeft).reason == "lost", "she did not come back"


def test_a_connection_is_made_again_with_a_new_token() -> None:
    story = Story().begin(IN, CAME, ("over", "lost"))
    story.house.wait(0.6)
    assert story.house.stay.orders[-1] == ("enter", "token-2")
    story.link.told("over", "lost")
    story.house.wait(0.6)
    story.link.told("in")
    story.link.told(*CAME)
    story.house.wait(HEAL_SECONDS + GRACE_SECONDS)
    assert story.names == [
        "AgentDispatched", "RoomJoined", "AgentJoined", "RoomInterrupted", "RoomResumed",
        "AgentSilent",
    ]  # fmt: skip


def test_a_connection_that_stays_away_ends_the_link_once() -> None:
    story = Story().begin(IN)
    story.link.told("away")
    story.house.wait(HEAL_SECONDS + 1)
    assert story.last(e.RoomLeft).reason == "lost"
    story.link.told("back", 30.0)
    story.link.told("over", "lost")
    story.house.wait(60)
    story.link.close()
    assert story.names.count("RoomLeft") == 1
    assert story.names[-1] == "RoomLeft"


@pytest.mark.parametrize("reason", ["deleted", "duplicate", "refused"])
def test_what_does_not_heal_ends_the_link_at_once(reason: str) -> None:
    story = Story().begin(IN, ("over", reason))
    assert story.last(e.RoomLeft).reason == reason
    story.house.wait(60)
    assert story.house.stay.orders == [("enter", "token-1"), ("close",)]


def test_no_place_in_this_process() -> None:
    story = Story()
    story.house.full = True
    story.begin()
    assert story.names == ["RoomLeft"]
    assert story.last(e.RoomLeft).reason == "full"


def test_orders_go_to_the_stay_and_nothing_goes_after_the_end() -> None:
    story = Story().begin(IN)
    story.link.send(b"{}", "topic")
    story.link.send(b"x" * (MAX_DATA + 1))
    story.link.send_digits("1a#")
    story.link.mute(True)
    assert story.house.stay.orders[1:] == [
        ("send", b"{}", "topic"), ("digits", "1#"), ("mute", True),
    ]  # fmt: skip
    story.link.close()
    before = list(story.house.stay.orders)
    story.link.send(b"{}")
    story.link.send_digits("1")
    story.link.mute(False)
    story.link.dispatch(DISPATCH)
    assert story.house.stay.orders == before


def test_agents_are_told_that_they_are_not_heard_and_what_is_queued_is_dropped() -> None:
    story = Story().begin(IN, CAME, ("agents", False), ("agents", False))
    seat: Any = story.link.seat
    assert seat.flushed == 1
    assert story.house.stay.orders[-1] == (
        "send", b'{"type": "agent_muted", "muted": true}', "telephony.control",
    )  # fmt: skip
    story.link.told("agents", True)
    assert story.names[-2:] == ["AgentMuted", "AgentUnmuted"]


def test_keys_of_the_room() -> None:
    story = Story().begin(IN, ("digit", "7"), ("digit", "seven"))
    assert story.last(e.DigitPressed).method == "room"
    assert story.names.count("DigitPressed") == 1


def test_a_worker_dies_and_another_takes_the_call() -> None:
    story = Story().begin(IN, CAME)
    story.link.mute(True)
    other: Any = Stay()
    story.link.moved(other)
    assert other.orders == [("mute", True), ("enter", "token-2")]
    story.link.told("in")
    story.link.told(*CAME)
    story.link.interrupted()
    story.house.wait(HEAL_SECONDS + 1)
    assert story.names == [
        "AgentDispatched", "RoomJoined", "AgentJoined", "RoomInterrupted", "RoomResumed",
        "RoomInterrupted", "AgentSilent", "RoomLeft",
    ]  # fmt: skip


def test_whatever_is_told_in_whatever_order_the_end_comes_once() -> None:
    rng = np.random.default_rng(11)
    facts: list[tuple[Any, ...]] = [
        IN, CAME, ("over", "lost"), ("away",), ("back", 1.0), ("heard", "agent-1"),
        ("went", "agent-1", "agent", "lost"), ("dead", "agent-1"), ("agents", False),
        ("agents", True), ("came", "anna", "browser"), ("went", "anna", "browser", "left"),
        ("over", "deleted"), ("digit", "1"),
    ]  # fmt: skip
    for _ in range(200):
        story = Story().begin()
        for index in rng.integers(0, len(facts), 30):
            story.link.told(*facts[index])
            story.house.wait(float(rng.random()))
        story.link.close()
        story.house.wait(100)
        assert story.names.count("RoomLeft") == 1
        assert story.names[-1] == "RoomLeft"
        assert story.names.count("RoomJoined") <= 1
        assert 0 <= story.names.count("AgentJoined") - story.names.count("AgentLeft") <= 1
