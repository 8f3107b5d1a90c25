"""A call that an agent answers, told as stories: it comes, or not, talks, or not, and goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telephony.calls import commands as c
from telephony.calls import events as e
from telephony.calls.meeting import Dispatch
from telephony.calls.outcome import Cause, EndedBy, Outcome, Status
from telephony.calls.state import Direction
from telephony.ivr.agent import AGAIN_SECONDS, SENTENCES, agent_plan, nobody_plan
from telephony.ivr.load import load
from telephony.testing.scenario import Story

ROOM = "call-story"
DISPATCH = Dispatch(agent_name="telephony", metadata="{}")
WAITS = Dispatch(agent_name="telephony", metadata="{}", speaks_first=False)
BEHIND = load(
    """
start: sorry
nodes:
  sorry: {verb: say, text: Please leave a message., next: tape}
  tape: {verb: record, max_seconds: 30, next: bye}
  bye: {verb: hangup}
""",
    "behind",
)


def story(dispatch: Dispatch = DISPATCH, behind: object = None, **members: object) -> Story:
    plan = agent_plan(ROOM, dispatch, behind)  # type: ignore[arg-type]
    return Story(plan, **members).begins()  # type: ignore[arg-type]


def joins(one: Story) -> Story:
    return one.tell(e.AgentJoined(at=one.clock.now(), room=ROOM, identity="agent-1"))


def speaks(one: Story) -> Story:
    return one.tell(e.AgentHeard(at=one.clock.now(), room=ROOM, identity="agent-1", after_ms=300))


def goes(one: Story, reason: str = "left") -> Story:
    left = e.AgentLeft(at=one.clock.now(), room=ROOM, identity="agent-1", reason=reason)
    return one.tell(left)


def is_refused(one: Story, cause: str) -> Story:
    failed = e.AgentDispatchFailed(
        at=one.clock.now(), room=ROOM, agent_name="telephony", cause=cause
    )
    return one.tell(failed)


def is_silent(one: Story) -> Story:
    silent = e.AgentSilent(at=one.clock.now(), room=ROOM, identity="agent-1", seconds=10.0)
    return one.tell(silent)


def room_ends(one: Story, reason: str) -> Story:
    return one.tell(e.RoomLeft(at=one.clock.now(), leg=one.leg, room=ROOM, reason=reason))


def kinds(one: Story) -> list[str]:
    return [type(order).__name__ for order in one.orders]


# --- as it should be -----------------------------------------------------------------------


def test_it_answers_calls_the_agent_in_and_lets_them_talk() -> None:
    one = story()
    assert kinds(one) == ["Answer", "JoinRoom"]
    (join,) = one.ordered(c.JoinRoom)
    assert isinstance(join, c.JoinRoom)
    assert (join.room, join.dispatch) == (ROOM, DISPATCH)
    speaks(joins(one)).wait(3600)
    assert not one.over
    assert kinds(one) == ["Answer", "JoinRoom"], "nobody interferes"
    one.hangs_up()
    assert one.outcome == Outcome.completed(EndedBy.CALLER), "leaving an agent is no giving up"


def test_of_a_call_that_went_out_nothing_is_answered() -> None:
    assert kinds(story(direction=Direction.OUTBOUND)) == ["JoinRoom"]


def test_an_agent_that_closes_the_room_has_hung_up() -> None:
    one = room_ends(speaks(joins(story())), "deleted")
    assert one.outcome == Outcome.completed(EndedBy.AGENT)


def test_an_agent_that_waits_for_the_caller_may_be_silent() -> None:
    one = joins(story(WAITS)).wait(600)
    assert not one.over
    assert one.noted(e.AgentSilent) == []


def test_the_longest_stay_is_the_last() -> None:
    one = speaks(joins(story())).wait(15_000)
    assert one.outcome == Outcome.max_duration()


def test_keys_are_not_the_programs() -> None:
    one = speaks(joins(story()))
    one.press("12")
    assert kinds(one) == ["Answer", "JoinRoom"]


# --- while nobody is there -----------------------------------------------------------------


def test_ringing_is_heard_until_the_agent_is_there() -> None:
    one = story().wait(1.9)
    assert one.now_playing == ""
    one.wait(0.2)
    assert one.now_playing == "ringback"
    joins(one)
    assert one.now_playing == ""


def test_who_comes_at_once_hears_no_ringing() -> None:
    assert joins(story()).wait(10).heard == []


# --- it does not come ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "pause"),
    [("timeout", 0.0), ("refused", AGAIN_SECONDS), ("unreachable", AGAIN_SECONDS)],
)
def test_one_more_is_called_and_then_nobody_is_there(cause: str, pause: float) -> None:
    one = is_refused(story(), cause)
    if pause:
        assert one.ordered(c.DispatchAgent) == []
        one.wait(pause)
    (again,) = one.ordered(c.DispatchAgent)
    assert isinstance(again, c.DispatchAgent)
    assert again.dispatch == DISPATCH
    is_refused(one, cause)
    assert len(one.ordered(c.DispatchAgent)) == 1
    assert len(one.ordered(c.LeaveRoom)) == 1
    one.hears("nobody is available").listens()
    assert one.outcome == Outcome.unattended(Cause.AGENT_UNAVAILABLE)
    assert one.outcome is not None
    assert (one.outcome.status, one.outcome.result) == (Status.ENDED, "failed")


def test_the_second_comes() -> None:
    one = speaks(joins(is_refused(story(), "timeout"))).wait(600)
    assert not one.over


def test_a_room_that_says_nothing_is_not_waited_for_for_ever() -> None:
    one = story().wait(30)
    late = one.noted(e.AgentDispatchFailed)
    assert [fact.cause for fact in late if isinstance(fact, e.AgentDispatchFailed)] == ["timeout"]
    assert len(one.ordered(c.DispatchAgent)) == 1
    one.hears("nobody is available").listens()
    assert one.outcome == Outcome.unattended(Cause.AGENT_UNAVAILABLE)


@pytest.mark.parametrize("reason", ["refused", "lost", "duplicate", "full"])
def test_no_way_into_the_room_or_out_of_it(reason: str) -> None:
    one = room_ends(story(), reason).hears("nobody is available").listens()
    assert one.outcome == Outcome.unattended(Cause.AGENT_UNAVAILABLE)
    assert one.ordered(c.LeaveRoom) == [], "it is left already"


# --- it goes -------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["left", "removed", "lost"])
def test_an_agent_that_goes_is_replaced_once(reason: str) -> None:
    one = goes(speaks(joins(story())), reason)
    assert len(one.ordered(c.DispatchAgent)) == 1
    speaks(joins(one)).wait(60)
    assert not one.over
    goes(one, reason).hears("nobody is available").listens()
    assert len(one.ordered(c.DispatchAgent)) == 1
    assert one.outcome == Outcome.unattended(Cause.AGENT_UNAVAILABLE)


def test_ringing_is_heard_until_the_second_is_there() -> None:
    one = goes(speaks(joins(story()))).wait(2.1)
    assert one.now_playing == "ringback"
    assert joins(one).now_playing == ""


def comes(one: Story, who: str) -> Story:
    return one.tell(e.PeerJoined(at=one.clock.now(), room=ROOM, identity=who))


def leaves(one: Story, who: str) -> Story:
    return one.tell(e.PeerLeft(at=one.clock.now(), room=ROOM, identity=who))


def test_one_of_two_agents_may_go() -> None:
    one = speaks(joins(story()))
    one.tell(e.AgentJoined(at=one.clock.now(), room=ROOM, identity="agent-2"))
    assert goes(one).ordered(c.DispatchAgent) == []
    one.tell(e.AgentLeft(at=one.clock.now(), room=ROOM, identity="agent-2"))
    assert len(one.ordered(c.DispatchAgent)) == 1


def test_while_somebody_else_is_there_no_agent_is_missed() -> None:
    one = comes(comes(speaks(joins(story())), "web-1"), "web-2")
    goes(one).wait(600)
    leaves(one, "web-1").wait(600)
    assert one.ordered(c.DispatchAgent) == []
    assert one.heard == []
    leaves(one, "web-2")
    assert len(one.ordered(c.DispatchAgent)) == 1
    is_refused(one, "timeout").hears("nobody is available")


def test_who_comes_while_an_agent_is_waited_for_is_company() -> None:
    one = comes(story().wait(3), "web-1")
    assert one.now_playing == "", "they talk"
    is_refused(one, "timeout").wait(600)
    assert not one.over
    assert one.ordered(c.DispatchAgent) == []
    leaves(one, "web-1")
    assert len(one.ordered(c.DispatchAgent)) == 1


def test_who_was_alone_with_a_colleague_waits_for_the_agent_again() -> None:
    one = leaves(comes(story(), "web-1"), "web-1").wait(2.1)
    assert one.now_playing == "ringback"
    one.wait(20)
    assert len(one.ordered(c.DispatchAgent)) == 1


def test_a_second_call_that_a_colleague_made_needless_is_still_to_be_had() -> None:
    one = leaves(comes(is_refused(story(), "refused"), "web-1").wait(60), "web-1")
    assert len(one.ordered(c.DispatchAgent)) == 1


# --- it says nothing -----------------------------------------------------------------------


def test_a_silent_agent_is_sent_away() -> None:
    one = is_silent(joins(story()))
    assert len(one.ordered(c.LeaveRoom)) == 1
    assert one.ordered(c.DispatchAgent) == [], "another would come beside the first"
    one.hears("nobody is available").listens()
    assert one.outcome == Outcome.unattended(Cause.SILENT_BOT)


def test_silence_after_the_first_word_is_a_pause() -> None:
    assert not is_silent(speaks(joins(story()))).over


def test_a_room_that_does_not_notice_silence() -> None:
    one = joins(story()).wait(31)
    assert len(one.noted(e.AgentSilent)) == 1
    one.listens()
    assert one.outcome == Outcome.unattended(Cause.SILENT_BOT)


# --- the dialplan behind it ----------------------------------------------------------------


@pytest.mark.parametrize("lost", [is_silent, lambda one: goes(joins(goes(one)))])
def test_the_agents_dialplan_takes_over(lost: Callable[[Story], Story]) -> None:
    one = lost(joins(story(behind=BEHIND)))
    one.hears("leave a message").listens().falls_silent()
    assert one.outcome == Outcome.completed(EndedBy.SERVICE)


@pytest.mark.parametrize("records", [True, False])
def test_a_dialplan_that_records_does_so_from_where_it_takes_over(records: bool) -> None:
    one = joins(story(behind=replace(BEHIND, record=records)))
    assert one.ordered(c.RecordCall) == []
    is_silent(one)
    assert len(one.ordered(c.RecordCall)) == records


def test_the_plan_behind_it_is_the_same_but_for_its_beginning() -> None:
    plan = agent_plan(ROOM, DISPATCH, BEHIND)
    assert plan.name == "behind"
    assert dict(plan.nodes) == {**plan.nodes, **BEHIND.nodes}
    assert plan.start not in BEHIND.nodes


# --- nobody --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "spoken"), [("en-US", "en"), ("de", "de"), ("de-AT", "de"), ("sv", "en")]
)
def test_nobody_is_there_in_the_agents_language(language: str, spoken: str) -> None:
    one = Story(nobody_plan(language)).begins()
    assert kinds(one) == ["Answer", "Play"]
    (play,) = one.ordered(c.Play)
    assert isinstance(play, c.Play)
    assert play.prompt.text == SENTENCES[spoken]
    assert play.prompt.language.partition("-")[0] == spoken
    one.listens()
    assert one.outcome == Outcome.unattended(Cause.AGENT_UNAVAILABLE)


def test_leaving_inside_the_sentence_is_no_giving_up() -> None:
    one = Story(nobody_plan()).begins().wait(1)
    one.hangs_up()
    assert one.outcome == Outcome.completed(EndedBy.CALLER)


def test_a_sentence_whose_end_nobody_reports_ends_all_the_same() -> None:
    one = Story(nobody_plan()).begins()
    deadline = one.program.next_deadline()
    assert deadline is not None
    assert one.program.expire(deadline) == [
        c.Hangup(outcome=Outcome.unattended(Cause.AGENT_UNAVAILABLE))
    ]


# --- whatever happens ----------------------------------------------------------------------

WHO = st.sampled_from(("agent-1", "agent-2"))
HAPPENS = st.one_of(
    st.tuples(st.just("wait"), st.floats(0.0, 40.0)),
    st.tuples(st.just("joins"), WHO),
    st.tuples(st.just("speaks"), WHO),
    st.tuples(st.just("silent"), WHO),
    st.tuples(st.just("goes"), WHO),
    st.tuples(st.just("comes"), st.just("web-1")),
    st.tuples(st.just("leaves"), st.just("web-1")),
    st.tuples(st.just("refused"), st.sampled_from(("timeout", "refused", "unreachable"))),
    st.tuples(st.just("room"), st.sampled_from(("deleted", "lost", "refused", ""))),
    st.tuples(st.just("press"), st.sampled_from("12#")),
)


def happens(one: Story, what: str, detail: Any) -> None:
    now = one.clock.now()
    match what:
        case "wait":
            one.wait(detail)
        case "joins":
            one.tell(e.AgentJoined(at=now, room=ROOM, identity=detail))
        case "speaks":
            one.tell(e.AgentHeard(at=now, room=ROOM, identity=detail))
        case "silent":
            one.tell(e.AgentSilent(at=now, room=ROOM, identity=detail, seconds=10.0))
        case "goes":
            one.tell(e.AgentLeft(at=now, room=ROOM, identity=detail))
        case "comes":
            comes(one, detail)
        case "leaves":
            leaves(one, detail)
        case "refused":
            is_refused(one, detail)
        case "room":
            room_ends(one, detail)
        case "press":
            one.press(detail)


@given(st.lists(HAPPENS, max_size=25), st.booleans(), st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_call_hangs_and_no_crowd_of_agents_comes(
    facts: list[tuple[str, Any]], speaks_first: bool, behind: bool
) -> None:
    dispatch = replace(DISPATCH, speaks_first=speaks_first)
    one = story(dispatch, BEHIND if behind else None)
    for what, detail in facts:
        if one.over:
            break
        happens(one, what, detail)
        assert one.over or one.program.next_deadline() is not None
    assert len(one.ordered(c.JoinRoom)) == 1
    assert len(one.ordered(c.DispatchAgent)) <= 1
    assert len(one.ordered(c.LeaveRoom)) <= 1
    # Nobody hangs up, and nothing happens any more.
    one.wait(20_000)
    assert one.over
