"""A browser's session: when it begins, and each way in which it is over."""

from __future__ import annotations

import pytest

from telephony.base.clock import ManualClock
from telephony.calls import commands as c
from telephony.calls import events as e
from telephony.calls.meeting import Dispatch
from telephony.calls.outcome import Cause, EndedBy, Outcome, Status
from telephony.ivr.browser import BrowserProgram, BrowserTimes

ROOM = "call-1"
WHO = Dispatch(agent_name="telephony", metadata="{}")
TIMES = BrowserTimes(join=900, grace=10, agent=20, agent_grace=3)


class Told:
    """A program, and time that passes as far as it is told to."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.program = BrowserProgram(ROOM, WHO, TIMES)
        self.orders: list[c.Command] = []
        self.tell(e.RoomOpened(at=self.clock.now(), room=ROOM), begins=True)

    def tell(self, event: e.Event, *, begins: bool = False) -> Told:
        take = self.program.start if begins else self.program.step
        self.orders += take(event, self.clock.monotonic())
        return self

    def browser(self, identity: str = "anna") -> Told:
        return self.tell(e.PeerJoined(at=self.clock.now(), room=ROOM, identity=identity))

    def browser_goes(self, identity: str = "anna") -> Told:
        return self.tell(e.PeerLeft(at=self.clock.now(), room=ROOM, identity=identity))

    def agent(self, identity: str = "agent-1") -> Told:
        return self.tell(e.AgentJoined(at=self.clock.now(), room=ROOM, identity=identity))

    def agent_goes(self, identity: str = "agent-1") -> Told:
        return self.tell(e.AgentLeft(at=self.clock.now(), room=ROOM, identity=identity))

    def room_closes(self, reason: str = "deleted") -> Told:
        return self.tell(e.RoomClosed(at=self.clock.now(), room=ROOM, reason=reason))

    def wait(self, seconds: float) -> Told:
        """Time passes, deadline by deadline."""
        until = self.clock.monotonic() + seconds
        while (when := self.program.next_deadline()) is not None and when <= until:
            self.clock.advance(max(0.0, when - self.clock.monotonic()))
            self.orders += self.program.expire(self.clock.monotonic())
        self.clock.advance(max(0.0, until - self.clock.monotonic()))
        return self

    @property
    def began(self) -> int:
        return sum(
            isinstance(x, c.Note) and isinstance(x.event, e.ConversationBegan) for x in self.orders
        )

    @property
    def called(self) -> int:
        return sum(isinstance(x, c.CallAgent) for x in self.orders)

    @property
    def outcome(self) -> Outcome | None:
        ends = [x.outcome for x in self.orders if isinstance(x, c.Hangup)]
        assert len(ends) <= 1
        assert bool(ends) == self.program.finished
        return ends[0] if ends else None


@pytest.mark.parametrize("agent_first", [True, False])
def test_it_begins_once_both_are_in_whoever_was_first(agent_first: bool) -> None:
    told = Told()
    if agent_first:
        told.agent()
        assert told.began == 0
        told.browser()
    else:
        told.browser()
        assert told.began == 0
        told.agent()
    assert told.began == 1
    told.browser_goes().browser().agent_goes().agent()
    assert told.began == 1
    assert told.wait(3600).outcome is None


def test_a_token_that_nobody_uses_runs_out() -> None:
    told = Told().agent().wait(899)
    assert told.outcome is None
    outcome = told.wait(1).outcome
    assert outcome is not None
    assert (outcome.status, outcome.cause) == (Status.NO_ANSWER, Cause.NO_ANSWER)


def test_a_page_that_is_loaded_again_is_no_end() -> None:
    told = Told().agent().browser().browser_goes().wait(9)
    assert told.outcome is None
    told.browser().wait(100)
    assert told.outcome is None
    assert told.browser_goes().wait(10).outcome == Outcome.completed(EndedBy.CALLER)


def test_while_a_colleague_is_in_nobody_has_left() -> None:
    told = Told().agent().browser().browser("web_1").browser_goes().wait(60)
    assert told.outcome is None
    assert told.browser_goes("web_1").wait(10).outcome == Outcome.completed(EndedBy.CALLER)


def test_a_browser_that_goes_before_the_agent_came_was_not_answered() -> None:
    told = Told().browser().browser_goes()
    outcome = told.wait(10).outcome
    assert outcome is not None
    assert outcome.status is Status.NO_ANSWER
    assert told.called == 0


def test_an_agent_that_does_not_come_is_called_once_more() -> None:
    told = Told().browser().wait(19)
    assert told.called == 0
    told.wait(1)
    assert told.called == 1
    told.wait(19)
    assert told.outcome is None
    assert told.wait(1).outcome == Outcome.failed(Cause.AGENT_UNAVAILABLE)
    assert told.called == 1


def test_an_agent_that_was_called_long_ago_is_not_waited_for_again() -> None:
    told = Told().wait(600).browser().wait(3)
    assert told.called == 1
    told.agent().wait(600)
    assert (told.began, told.outcome) == (1, None)


def test_an_agent_that_is_gone_may_come_back_by_itself() -> None:
    told = Told().browser().agent().agent_goes().wait(2).agent().wait(600)
    assert (told.called, told.outcome) == (0, None)


def test_an_agent_that_stays_away_is_called_again_and_then_it_is_over() -> None:
    told = Told().browser().agent().agent_goes().wait(3)
    assert told.called == 1
    told.agent("agent-2").wait(600).agent_goes("agent-2").wait(3)
    assert told.outcome == Outcome.dropped(Cause.AGENT_UNAVAILABLE)


def test_two_agents_and_one_goes() -> None:
    told = Told().browser().agent().agent("agent-2").agent_goes().wait(600)
    assert (told.called, told.outcome) == (0, None)


def test_nobody_is_called_for_an_empty_room() -> None:
    told = Told().browser().agent().browser_goes().agent_goes().wait(9)
    assert told.called == 0
    told.browser().wait(3)
    assert told.called == 1


def test_a_room_that_somebody_closes_is_the_agents_end() -> None:
    assert Told().browser().agent().room_closes().outcome == Outcome.completed(EndedBy.AGENT)
    assert Told().browser().room_closes().outcome == Outcome.canceled(EndedBy.AGENT)


def test_an_empty_room_that_was_put_away_is_no_end() -> None:
    told = Told().agent().room_closes().wait(500)
    assert told.outcome is None
    told.browser().wait(3)
    assert told.called == 1


def test_a_room_that_goes_with_its_browser_was_left_by_the_browser() -> None:
    told = Told().browser().agent().browser_goes().wait(5).room_closes()
    assert told.outcome is None
    assert told.wait(5).outcome == Outcome.completed(EndedBy.CALLER)


def test_a_server_that_forgot_the_room_may_have_it_back() -> None:
    told = Told().browser().agent().agent_goes().browser_goes().room_closes("lost").wait(5)
    told.browser().agent().wait(600)
    assert (told.called, told.outcome) == (0, None)


def test_an_agent_that_is_refused_is_nobody() -> None:
    told = Told().browser()
    failed = e.AgentDispatchFailed(
        at=told.clock.now(), room=ROOM, agent_name="telephony", cause="refused"
    )
    assert told.tell(failed).outcome == Outcome.failed(Cause.AGENT_UNAVAILABLE)


def test_after_the_end_nothing_is_ordered() -> None:
    told = Told().browser().agent().room_closes()
    orders = len(told.orders)
    told.browser().agent().room_closes().wait(2000)
    assert len(told.orders) == orders
