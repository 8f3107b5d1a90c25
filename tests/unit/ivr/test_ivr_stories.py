"""The dialplans that ship, told as stories, and every verb in a story of its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import telephony
from telephony.base.errors import DialplanError
from telephony.calls import commands as c
from telephony.calls import events as e
from telephony.calls.outcome import Cause, EndedBy, Outcome
from telephony.calls.role import Role
from telephony.calls.state import Direction
from telephony.ivr.load import load, load_all
from telephony.ivr.model import Dialplan
from telephony.testing.scenario import Story

FOLDER = Path(telephony.__file__).parent / "dialplans"
PLANS = load_all({path.name: path.read_text() for path in sorted(FOLDER.glob("*.yaml"))})
WEDNESDAY_NOON = datetime(2026, 1, 7, 12, 0, tzinfo=UTC)
WEDNESDAY_NIGHT = datetime(2026, 1, 7, 22, 0, tzinfo=UTC)
CHRISTMAS_NOON = datetime(2026, 12, 25, 12, 0, tzinfo=UTC)


def front_desk() -> Story:
    return Story(PLANS["front-desk"]).begins()


def plan(nodes: str, head: str = "") -> Dialplan:
    return load(f"start: one\n{head}\nnodes:\n{nodes}", "story")


# --- front-desk ----------------------------------------------------------------------------


def test_the_three_that_ship_are_these() -> None:
    assert sorted(PLANS) == ["after-hours", "callback-desk", "front-desk"]
    assert PLANS["front-desk"].record
    assert not PLANS["after-hours"].record


def test_front_desk_says_that_it_records_and_takes_its_time_over_it() -> None:
    story = front_desk()
    assert isinstance(story.orders[0], c.Answer)
    assert "This call is recorded" in story.now_playing
    # Slow espeak says some 15 characters a second: six seconds are 90, and there are more.
    assert len(story.now_playing) > 120


def test_one_inside_the_greeting_stops_it_and_tells_the_hours_then_the_menu() -> None:
    story = front_desk().wait(1.2)
    story.press("1")
    assert [(p.reason, p.heard_ms) for p in story.stopped] == [("barge_in", 1200)]
    assert "opening hours are Monday" in story.now_playing
    story.hears("press two")
    gathered = story.noted(e.GatherCompleted)[0]
    assert isinstance(gathered, e.GatherCompleted)
    assert (gathered.digits, gathered.reason) == ("1", "choice")


def test_two_leaves_a_message_that_hash_ends() -> None:
    story = front_desk().press("1").wait(0.5).press("2")
    story.hears("leave your message").hears("beep").wait(0.6)
    assert story.ordered(c.Record)
    story.wait(2).press("#")
    assert [o.reason for o in story.ordered(c.StopRecord) if isinstance(o, c.StopRecord)] == ["key"]
    story.hears("message has been saved").listens()
    assert story.outcome == Outcome.completed(EndedBy.SERVICE)


def test_leaving_inside_the_greeting_is_giving_up_but_not_after_the_message() -> None:
    left = front_desk().wait(1).hangs_up()
    assert left.outcome is not None and left.outcome.result == "abandoned"
    spoken = front_desk().press("2").hears("beep").wait(4).hangs_up()
    assert spoken.outcome is not None and spoken.outcome.result == "completed"
    thanked = front_desk().press("2").hears("beep").wait(4).press("#").hears("saved").hangs_up()
    assert thanked.outcome is not None and thanked.outcome.result == "completed"


def test_a_message_of_no_length_goes_back_to_the_menu() -> None:
    story = front_desk().press("2").hears("beep").wait(0.6).press("#")
    story.hears("opening hours, press one")


def test_three_promises_a_call_in_a_quarter_of_an_hour() -> None:
    story = front_desk().wait(2).press("3")
    (promise,) = story.ordered(c.QueueCallback)
    assert isinstance(promise, c.QueueCallback)
    assert promise.to == "+12025550123"
    assert promise.dialplan == "callback-desk"
    assert promise.at == story.clock.now() + timedelta(minutes=15)
    story.hears("call you back in about fifteen minutes").listens()
    assert story.over


def test_three_without_a_number_is_refused_in_words() -> None:
    story = Story(PLANS["front-desk"], from_number="anonymous").begins().press("3")
    story.hears("cannot see a number").hears("press one")
    assert not story.ordered(c.QueueCallback)


def test_zero_finds_the_operator() -> None:
    story = front_desk().press("0").hears("connecting you").listens()
    (dialled,) = story.ordered(c.Dial)
    assert isinstance(dialled, c.Dial)
    assert (dialled.to, dialled.ring_seconds, dialled.leg) == ("1000", 20.0, "phone-story-2")
    story.party_rings()
    assert story.now_playing == "ringback"
    story.party_answers()
    assert story.now_playing == ""
    assert story.ordered(c.Bridge)
    assert not story.program.engaged
    story.wait(600).party_ends()
    assert story.outcome == Outcome.completed(EndedBy.CALLEE)


@pytest.mark.parametrize(
    "outcome", [Outcome.no_answer(), Outcome.busy(), Outcome.failed(Cause.NOT_FOUND, 404)]
)
def test_an_operator_who_is_not_there_means_a_message(outcome: Outcome) -> None:
    story = front_desk().press("0").hears("connecting").listens().party_rings()
    story.wait(5).party_ends(outcome)
    story.hears("cannot take your call").hears("leave your message")


def test_an_operator_whose_phone_never_answers_anything_is_given_up() -> None:
    story = front_desk().press("0").hears("connecting").listens()
    story.wait(30).hears("leave your message")
    assert story.ordered(c.EndLeg)


def test_nine_repeats() -> None:
    story = front_desk().hears("press one").press("9")
    assert "thank you for calling" in story.now_playing


def test_three_silent_rounds_say_goodbye() -> None:
    story = front_desk().hears("Goodbye", within=200)
    assert sum("press one" in text for text in story.heard) == 3
    assert sum("did not hear" in text for text in story.heard) == 2
    story.listens()
    assert story.outcome == Outcome.completed(EndedBy.SERVICE)


def test_a_wrong_key_is_told_so_and_does_not_end_the_call() -> None:
    story = front_desk().press("7")
    story.hears("not one of the choices").hears("press one").press("1").hears("Monday")


def test_keys_typed_ahead_skip_what_the_caller_knows() -> None:
    story = front_desk().press("12", apart=0.01)
    story.hears("leave your message")
    assert not any("Monday" in text and "Friday" in text for text in story.heard[:1])


# --- after-hours and callback-desk ---------------------------------------------------------


def test_after_hours_rings_the_operator_while_the_office_is_open() -> None:
    story = Story(PLANS["after-hours"], at=WEDNESDAY_NOON).begins()
    assert story.ordered(c.Dial)
    story.party_ends(Outcome.busy()).hears("Nobody can take your call").hears("press two")


@pytest.mark.parametrize("at", [WEDNESDAY_NIGHT, CHRISTMAS_NOON])
def test_after_hours_says_that_it_is_closed_and_takes_a_message(at: datetime) -> None:
    story = Story(PLANS["after-hours"], at=at).begins().hears("We are closed")
    story.press("2").hears("leave your message").hears("beep").wait(5).falls_silent()
    story.hears("saved").listens()
    assert story.over


def test_after_hours_calls_back_in_the_morning_and_a_silent_caller_may_speak() -> None:
    story = Story(PLANS["after-hours"], at=WEDNESDAY_NIGHT).begins().press("3")
    (promise,) = story.ordered(c.QueueCallback)
    assert isinstance(promise, c.QueueCallback)
    assert promise.at == datetime(2026, 1, 8, 9, 30, tzinfo=UTC)
    silent = Story(PLANS["after-hours"], at=WEDNESDAY_NIGHT).begins()
    silent.hears("leave your message", within=120)


def test_callback_desk_says_why_it_calls() -> None:
    story = Story(
        PLANS["callback-desk"],
        direction=Direction.OUTBOUND,
        variables={"callback_reason": "you asked for it"},
    ).begins()
    assert not story.ordered(c.Answer)
    assert "We are calling because you asked for it." in story.now_playing
    story.press("1")
    assert story.ordered(c.Dial)


def test_callback_desk_can_be_dialled_and_takes_a_message() -> None:
    story = Story(PLANS["callback-desk"]).begins().hears("call back desk").press("2")
    story.hears("beep").wait(121).hears("saved").listens()
    assert story.over
    ended = Story(PLANS["callback-desk"]).begins().press("3").hears("Goodbye").listens()
    assert ended.over


# --- verbs ---------------------------------------------------------------------------------


def test_reject_refuses_with_its_code_and_never_answers() -> None:
    for word, status in (("busy", 486), ("not_found", 404), ("unavailable", 480)):
        story = Story(plan(f"  one: {{verb: reject, cause: {word}}}")).begins()
        assert story.outcome is not None and story.outcome.sip_status == status
        assert not story.ordered(c.Answer)


def test_ring_rings_then_the_first_sound_answers() -> None:
    story = Story(
        plan("  one: {verb: ring, seconds: 4, next: two}\n  two: {verb: say, text: hello}")
    ).begins()
    assert [type(o) for o in story.orders] == [c.Ring]
    story.wait(3.9)
    assert not story.ordered(c.Answer)
    story.wait(0.2)
    assert story.now_playing == "hello"


def test_a_call_that_hangs_up_unanswered_is_declined() -> None:
    story = Story(plan("  one: {verb: hangup}")).begins()
    assert story.outcome is not None
    assert story.outcome.sip_status == 603


def test_gather_takes_digits_until_the_terminator_and_remembers_them() -> None:
    story = Story(
        plan(
            "  one: {verb: gather, prompt: 'Your number?', variable: number, next: two}\n"
            "  two: {verb: say, text: 'You pressed {{number}}.'}"
        )
    ).begins()
    story.press("123#").hears("You pressed 123.")
    (gathered,) = story.noted(e.GatherCompleted)
    assert isinstance(gathered, e.GatherCompleted)
    assert (gathered.digits, gathered.reason, gathered.tries) == ("123", "terminator", 1)
    (variable,) = story.noted(e.VariableSet)
    assert isinstance(variable, e.VariableSet)
    assert (variable.name, variable.value, variable.report) == ("number", "123", False)


GATHER = (
    "  one: {verb: gather, prompt: 'Number?', invalid: Too few., silence: 'Hello?', variable: x,"
    " min: 2, max: 4, tries: 2, timeout: 5, inter_digit: 2, next: good, on_no_input: none,"
    " on_invalid: bad}\n"
    "  good: {verb: say, text: good}\n  none: {verb: say, text: none}\n"
    "  bad: {verb: say, text: bad}"
)


def test_gather_ends_by_itself_at_max_and_by_silence_after_min() -> None:
    assert Story(plan(GATHER)).begins().press("1234").now_playing == "good"
    waited = Story(plan(GATHER)).begins().press("12").wait(1.9)
    assert waited.now_playing == ""
    assert waited.wait(0.2).now_playing == "good"


def test_gather_asks_again_for_too_few_and_for_none_and_then_gives_up() -> None:
    story = Story(plan(GATHER)).begins().press("1#").hears("Too few.").hears("Number?")
    story.press("1#").hears("bad")
    (gathered,) = story.noted(e.GatherCompleted)
    assert isinstance(gathered, e.GatherCompleted)
    assert (gathered.reason, gathered.tries) == ("invalid", 2)
    silent = Story(plan(GATHER)).begins().hears("Hello?").hears("Number?").hears("none")
    (nothing,) = silent.noted(e.GatherCompleted)
    assert isinstance(nothing, e.GatherCompleted)
    assert nothing.reason == "no_input"


def test_without_barge_in_a_prompt_is_heard_to_its_end() -> None:
    story = Story(
        plan(
            "  one: {verb: menu, barge_in: false, prompt: Listen to this., choices: {1: two}}\n"
            "  two: {verb: say, text: chosen}"
        )
    ).begins()
    story.press("1")
    assert story.now_playing == "Listen to this."
    story.listens().press("1").hears("chosen")


def test_flush_forgets_what_was_typed_before() -> None:
    story = Story(
        plan(
            "  one: {verb: say, text: Hello there., next: two}\n"
            "  two: {verb: menu, flush: true, prompt: Now choose., choices: {1: three}}\n"
            "  three: {verb: say, text: chosen}"
        )
    ).begins()
    story.press("1")
    assert story.now_playing == "Now choose."


def test_a_longer_choice_waits_for_its_second_key() -> None:
    text = (
        "  one: {verb: menu, prompt: Choose., inter_digit: 2, choices: {1: a, 12: b}}\n"
        "  a: {verb: say, text: one}\n  b: {verb: say, text: twelve}"
    )
    assert Story(plan(text)).begins().press("12").now_playing == "twelve"
    assert Story(plan(text)).begins().press("1").wait(2.1).now_playing == "one"


SECRET = (
    "  one: {verb: say, text: Welcome to the bank., next: two}\n"
    "  two: {verb: gather, prompt: 'Your code?', variable: code, secret: true, max: 4,"
    " next: three}\n"
    "  three: {verb: if, when: {variable: {name: code, equals: '4711'}}, then: in, else: out}\n"
    "  in: {verb: say, text: welcome}\n  out: {verb: say, text: wrong}"
)


def test_a_secret_is_compared_but_never_written_down() -> None:
    for lead in (0.5, 3.0):  # typed ahead inside the welcome, and after the question
        story = Story(plan(SECRET)).begins().wait(lead).press("4711").hears("welcome")
        assert [f.digit for f in story.facts if isinstance(f, e.DigitPressed)] == ["*"] * 4
        (gathered,) = story.noted(e.GatherCompleted)
        assert isinstance(gathered, e.GatherCompleted)
        assert (gathered.digits, gathered.secret) == ("****", True)
        written = " ".join(str(o) for o in story.orders) + " ".join(str(f) for f in story.facts)
        assert "4711" not in written


def test_play_plays_a_file_and_an_empty_text_says_nothing() -> None:
    story = Story(
        plan(
            "  one: {verb: play, file: sounds/hello.wav, next: two}\n"
            "  two: {verb: say, text: '{{name}}', next: three}\n"
            "  three: {verb: say, text: done}",
            "variables: {name: ''}",
        )
    ).begins()
    assert story.now_playing == "sounds/hello.wav"
    story.hears("done")
    assert len(story.ordered(c.Play)) == 2


def test_a_caller_who_leaves_takes_the_other_party_along() -> None:
    story = Story(plan("  one: {verb: dial, to: '+12025550199'}")).begins()
    story.party_answers().hangs_up()
    (ended,) = story.ordered(c.EndLeg)
    assert isinstance(ended, c.EndLeg)
    assert ended.leg == "phone-story-2"


def test_dial_goes_its_own_way_for_each_ending() -> None:
    text = (
        "  one: {verb: dial, to: '1000', next: n, on_answered: a, on_busy: b, on_no_answer: c}\n"
        "  n: {verb: say, text: next}\n  a: {verb: say, text: answered}\n"
        "  b: {verb: say, text: busy}\n  c: {verb: say, text: no answer}"
    )

    def after(outcome: Outcome | None) -> str:
        story = Story(plan(text)).begins()
        if outcome is None:
            story.party_answers()
        return story.party_ends(outcome).now_playing

    assert after(Outcome.busy()) == "busy"
    assert after(Outcome.no_answer()) == "no answer"
    assert after(Outcome.declined()) == "next"
    assert after(None) == "answered"


def test_a_party_that_answers_after_it_was_given_up_is_hung_up() -> None:
    story = Story(
        plan(
            "  one: {verb: dial, to: '1000', ring_seconds: 5, next: two}\n"
            "  two: {verb: say, text: gone}"
        )
    ).begins()
    orders = story.program.expire(story.clock.monotonic() + 9)
    assert any(isinstance(o, c.EndLeg) for o in orders)
    late = e.LegAnswered(at=story.clock.now(), leg="phone-story-2")
    assert [type(o) for o in story.program.step(late, story.clock.monotonic() + 9)] == [c.EndLeg]
    gone = e.LegEnded(at=story.clock.now(), leg="phone-story-2", outcome=Outcome.no_answer())
    assert story.program.step(gone, story.clock.monotonic() + 9) == []


def test_digits_of_the_other_party_are_not_the_callers() -> None:
    story = Story(
        plan("  one: {verb: menu, prompt: Choose., choices: {1: two}}\n  two: {verb: hangup}")
    )
    story.begins().tell(e.DigitPressed(at=story.clock.now(), leg="phone-story-2", digit="1"))
    assert not story.over


TRANSFER = (
    "  one: {verb: transfer, to: '+12025550199', on_failed: two}\n  two: {verb: say, text: sorry}"
)


def test_transfer_ends_the_program_or_says_sorry() -> None:
    done = Story(plan(TRANSFER)).begins().transfer_ends()
    assert done.program.finished and done.program.next_deadline() is None
    failed = Story(plan(TRANSFER)).begins().transfer_ends(Cause.DECLINED)
    assert failed.now_playing == "sorry"
    silent = Story(plan(TRANSFER)).begins().hears("sorry", within=100)
    assert not silent.over


def test_who_is_transferred_hears_music_until_it_is_decided() -> None:
    story = Story(plan(TRANSFER)).begins()
    (music,) = story.ordered(c.Play)
    assert isinstance(music, c.Play)
    assert (music.prompt.tone, music.loop) == ("hold", True)
    story.transfer_ends(Cause.BUSY)
    assert story.ordered(c.Stop)
    quiet = TRANSFER.replace("on_failed", "hold_music: false, on_failed")
    assert not Story(plan(quiet)).begins().ordered(c.Play)


def test_a_leg_that_a_transfer_used_up_does_not_lend_its_name() -> None:
    story = Story(
        plan("  one: {verb: transfer, to: '1001', on_failed: two}\n  two: {verb: dial, to: '1002'}")
    ).begins()
    used = "phone-story-2"
    story.tell(e.LegEnded(at=story.clock.now(), leg=used, outcome=Outcome.busy()))
    story.transfer_ends(Cause.BUSY)
    (dialled,) = story.ordered(c.Dial)
    assert isinstance(dialled, c.Dial)
    assert dialled.leg == "phone-story-3"


def test_a_room_is_joined_and_left_by_key() -> None:
    story = Story(
        plan(
            "  one: {verb: set, variables: {team: blue}, next: two}\n"
            "  two: {verb: join_room, room: 'team-{{team}}', leave_key: '*', next: three}\n"
            "  three: {verb: say, text: bye}"
        )
    ).begins()
    (joined,) = story.ordered(c.JoinRoom)
    assert isinstance(joined, c.JoinRoom)
    assert (joined.room, joined.role) == ("team-blue", Role.SPEAKER)
    assert not story.program.engaged
    story.wait(60).press("1*")
    assert story.ordered(c.LeaveRoom)
    assert story.now_playing == "bye"


def test_a_key_mutes_and_unmutes() -> None:
    join = "  one: {verb: join_room, room: den, role: agent, mute_key: '6', leave_key: '#'}"
    story = Story(plan(join)).begins().press("616")
    (joined,) = story.ordered(c.JoinRoom)
    assert isinstance(joined, c.JoinRoom)
    assert joined.role is Role.AGENT
    muted = [order.on for order in story.ordered(c.Mute) if isinstance(order, c.Mute)]
    assert muted == [True, False]
    with pytest.raises(DialplanError, match="one of speaker, agent, coach, listener"):
        plan(join.replace("agent", "boss"))


def test_report_variables_are_noted_from_the_start_and_when_they_change() -> None:
    story = Story(
        plan(
            "  one: {verb: set, variables: {topic: 'about {{caller}}'}, next: two}\n"
            "  two: {verb: hangup}",
            "variables: {topic: {value: none, report: true}}",
        )
    ).begins()
    values = [
        (n.value, n.report) for n in story.noted(e.VariableSet) if isinstance(n, e.VariableSet)
    ]
    assert values == [("none", True), ("about +12025550123", True)]


def test_a_circle_of_failures_ends() -> None:
    story = Story(
        plan("  one: {verb: dial, to: '{{nobody}}', on_failed: one}", "variables: {nobody: 'x y'}")
    ).begins()
    assert story.outcome == Outcome.dropped(Cause.INTERNAL)


def test_an_answer_that_is_never_confirmed_ends() -> None:
    story = Story(plan("  one: {verb: answer, next: two}\n  two: {verb: hangup}"))
    offered = e.LegOffered(
        at=story.clock.now(), leg=story.leg, from_number="+12025550123", dialled="story"
    )
    assert [type(o) for o in story.program.start(offered, 0.0)] == [c.Answer]
    deadline = story.program.next_deadline()
    assert deadline is not None
    assert [type(o) for o in story.program.expire(deadline)] == [c.Hangup]
    assert story.program.finished


def test_an_extension_is_dialled_behind_a_number() -> None:
    dial = "  one: {verb: dial, to: '+12025550111', digits: 'ww42#', max_seconds: 90}"
    (dialled,) = Story(plan(dial)).begins().ordered(c.Dial)
    assert isinstance(dialled, c.Dial)
    assert (dialled.digits, dialled.max_seconds) == ("ww42#", 90)


@pytest.mark.parametrize("digits", ["4 2", "x", "", "1" * 65, "{{caller}}"])
def test_an_extension_is_keys_and_pauses(digits: str) -> None:
    with pytest.raises(DialplanError, match="digits"):
        plan(f"  one: {{verb: dial, to: '+12025550111', digits: '{digits}'}}")
