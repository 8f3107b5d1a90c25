"""The classifier by itself: levels, voices and tones are made up, time is a loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telephony.audio.progress import Tone
from telephony.calls.ports import AnswerHeard, GreetingHeard
from telephony.media.amd import BEEP, IDLE, Answers, ticks

SILENT, VOICE, TONE = -127.0, -20.0, -15.0


class Lines:
    """Rows that are told what sounds on them."""

    def __init__(self, count: int = 1) -> None:
        self.due: list[Callable[[], None]] = []
        self.answers = Answers(count, self.due.append)
        self.heard: dict[int, AnswerHeard] = {}
        self.ended: dict[int, GreetingHeard] = {}
        self.count = count
        self.steady = np.zeros(count, np.int64)

    def watch(self, row: int = 0, seconds: float = 8.0) -> None:
        self.answers.watch(row, partial(self.heard.__setitem__, row), seconds)

    def await_end(self, row: int = 0, seconds: float = 30.0, beep_only: bool = False) -> None:
        done = partial(self.ended.__setitem__, row)
        self.answers.await_end(row, done, seconds, beep_only=beep_only)

    def hears(self, *sounds: tuple[float, float]) -> None:
        """(dBm0, seconds) one after another, on every row; ``TONE`` is a steady one."""
        for level, seconds in sounds:
            for _ in range(ticks(seconds)):
                self.tick(np.full(self.count, level))

    def tick(self, level: np.ndarray) -> None:
        self.steady = np.where(level == TONE, self.steady + 1, 0)
        self.answers.listen(level, level > -45, self.steady)
        for fact in self.due:
            fact()
        self.due.clear()


@pytest.fixture
def lines() -> Lines:
    made = Lines()
    made.watch()
    return made


def test_a_word_and_a_wait_is_a_person(lines: Lines) -> None:
    lines.hears((SILENT, 0.5), (VOICE, 0.6), (SILENT, 1.2))
    heard = lines.heard[0]
    assert (heard.verdict, heard.reason) == ("human", "short_greeting")
    assert heard.confidence > 0.8
    assert 1900 < heard.time_ms < 2300


def test_who_talks_on_is_a_machine(lines: Lines) -> None:
    lines.hears((SILENT, 0.5), (VOICE, 5.0))
    heard = lines.heard[0]
    assert (heard.verdict, heard.reason) == ("machine", "long_greeting")
    assert heard.confidence > 0.8
    assert 500 + 3300 <= heard.time_ms <= 4500


def test_pauses_between_sentences_are_no_wait(lines: Lines) -> None:
    for _ in range(4):
        lines.hears((VOICE, 1.0), (SILENT, 0.6))
    assert lines.heard[0].verdict == "machine"
    assert lines.heard[0].time_ms <= 4000


def test_the_verdict_comes_at_most_four_seconds_after_the_first_voice(lines: Lines) -> None:
    for _ in range(20):
        lines.hears((VOICE, 0.3), (SILENT, 0.8))
    assert lines.heard[0].time_ms <= 4000


def test_a_short_greeting_with_a_beep_is_a_machine(lines: Lines) -> None:
    lines.hears((SILENT, 0.3), (VOICE, 1.2), (SILENT, 0.5), (TONE, 0.4), (SILENT, 1.0))
    assert (lines.heard[0].verdict, lines.heard[0].reason) == ("machine", "beep")


def test_a_beep_needs_some_length(lines: Lines) -> None:
    lines.hears((VOICE, 0.5), (TONE, (BEEP - 1) * 0.02), (SILENT, 1.2))
    assert lines.heard[0].verdict == "human"


@pytest.mark.parametrize(("tone", "reason"), [(Tone.SIT, "sit"), (Tone.FAX_ANSWER, "fax")])
def test_tones_of_machines(lines: Lines, tone: Tone, reason: str) -> None:
    lines.hears((SILENT, 0.5), (TONE, 0.3))
    lines.answers.hear_tone(0, tone)
    lines.hears((SILENT, 0.02))
    assert (lines.heard[0].verdict, lines.heard[0].reason) == ("machine", reason)


def test_ringing_and_busy_say_nothing(lines: Lines) -> None:
    for tone in (Tone.RINGBACK, Tone.BUSY, Tone.BEEP):
        lines.answers.hear_tone(0, tone)
    lines.hears((SILENT, 0.1))
    assert not lines.heard


def test_silence_is_nobody(lines: Lines) -> None:
    lines.hears((SILENT, 7.9))
    assert not lines.heard
    lines.hears((SILENT, 0.2))
    assert lines.heard[0] == AnswerHeard("unknown", 0.0, 8000, "silence")


def test_the_time_can_be_set(lines: Lines) -> None:
    lines.watch(seconds=2.0)
    lines.hears((SILENT, 1.0), (VOICE, 1.2))
    assert lines.heard[0] == AnswerHeard("unknown", 0.0, 2000, "timeout")


def test_a_knock_is_no_greeting(lines: Lines) -> None:
    lines.hears((SILENT, 0.2), (VOICE, 0.06), (SILENT, 1.5))
    assert not lines.heard
    lines.hears((VOICE, 0.5), (SILENT, 1.2))
    assert lines.heard[0].verdict == "human"


def test_a_loud_knock_does_not_hide_soft_words(lines: Lines) -> None:
    lines.hears((SILENT, 0.2), (-5.0, 0.04), (SILENT, 0.3), (-28.0, 0.6), (SILENT, 1.2))
    assert lines.heard[0].verdict == "human"


def test_a_noisy_room_is_not_the_speaker(lines: Lines) -> None:
    lines.hears((-38.0, 1.0), (VOICE, 0.7), (-38.0, 1.2))
    assert lines.heard[0].verdict == "human"


def test_it_is_said_once(lines: Lines) -> None:
    lines.hears((VOICE, 0.6), (SILENT, 1.2))
    lines.heard.clear()
    lines.hears((VOICE, 6.0), (TONE, 0.5), (SILENT, 10.0))
    assert not lines.heard
    assert not lines.answers.task.any()


# -- the end of the greeting ----------------------------------------------------------------------


def machine(lines: Lines) -> None:
    lines.hears((VOICE, 4.2))
    assert lines.heard[0].verdict == "machine"
    lines.await_end()


def test_the_beep_is_the_end(lines: Lines) -> None:
    machine(lines)
    lines.hears((VOICE, 1.0), (SILENT, 0.8), (TONE, 0.4), (SILENT, 0.2))
    assert not lines.ended
    lines.hears((SILENT, 0.2))
    assert lines.ended[0].how == "beep"


def test_two_beeps_are_one(lines: Lines) -> None:
    machine(lines)
    lines.hears((SILENT, 0.5), (TONE, 0.2), (SILENT, 0.14), (TONE, 0.2), (SILENT, 0.28))
    assert not lines.ended
    lines.hears((SILENT, 0.1))
    assert lines.ended[0].how == "beep"


def test_a_tone_before_more_words_is_not_the_end(lines: Lines) -> None:
    machine(lines)
    lines.hears((TONE, 0.3), (SILENT, 0.1), (VOICE, 1.5), (SILENT, 0.5))
    assert not lines.ended


def test_a_long_silence_is_the_end_and_a_late_beep_is_told(lines: Lines) -> None:
    machine(lines)
    lines.hears((SILENT, 2.2))
    assert lines.ended[0].how == "silence"
    lines.ended.clear()
    lines.await_end(beep_only=True)
    lines.hears((SILENT, 4.0))
    assert not lines.ended
    lines.hears((TONE, 0.4), (SILENT, 0.4))
    assert lines.ended[0].how == "beep"


def test_the_beep_that_gave_the_verdict_is_the_end_too(lines: Lines) -> None:
    lines.hears((VOICE, 1.0), (SILENT, 0.4), (TONE, 0.4), (SILENT, 0.4))
    assert lines.heard[0].reason == "beep"
    lines.hears((SILENT, 0.1))
    lines.await_end()
    lines.hears((SILENT, 0.1))
    assert lines.ended[0].how == "beep"


def test_a_greeting_without_an_end(lines: Lines) -> None:
    machine(lines)
    lines.await_end(seconds=10.0)
    lines.hears((VOICE, 10.2))
    assert lines.ended[0].how == "timeout"


# -- many lanes -----------------------------------------------------------------------------------

LEVELS = st.lists(
    st.tuples(st.sampled_from([SILENT, -50.0, -38.0, VOICE, TONE]), st.integers(1, 120)),
    min_size=1,
    max_size=8,
)


def spread(sounds: list[tuple[float, int]]) -> np.ndarray:
    return np.concatenate([np.full(count, level) for level, count in sounds])


@settings(max_examples=40, deadline=None)
@given(st.lists(LEVELS, min_size=2, max_size=5), st.integers(0, 100))
def test_a_lane_among_others_is_heard_as_alone(
    all_: list[list[tuple[float, int]]], at: int
) -> None:
    """Whoever comes, goes and is watched beside it."""
    tracks = [np.resize(spread(sounds), 450) for sounds in all_]
    together, alone = Lines(len(tracks)), Lines()
    together.watch(0)
    alone.watch()
    for tick in range(450):
        if tick == at:
            for row in range(1, len(tracks)):
                together.watch(row)
        if tick == 2 * at + 1:
            together.answers.clear(len(tracks) - 1)
        together.tick(np.array([track[tick] for track in tracks]))
        alone.tick(tracks[0][tick : tick + 1])
    assert together.heard[0] == alone.heard[0]
    for name in Answers.LAYOUT:
        ours, theirs = getattr(together.answers, name), getattr(alone.answers, name)
        assert ours[0] == theirs[0], name


def test_a_row_that_is_cleared_says_nothing() -> None:
    lines = Lines(2)
    lines.watch(0)
    lines.watch(1)
    lines.hears((VOICE, 1.0))
    lines.answers.clear(0)
    lines.hears((SILENT, 1.2))
    assert list(lines.heard) == [1]
    assert lines.answers.task[0] == IDLE


def test_rows_that_nobody_watches_stay_as_they_are() -> None:
    lines = Lines(3)
    lines.watch(1)
    lines.hears((VOICE, 2.0))
    assert lines.answers.age.tolist() == [0, 100, 0]
    assert lines.answers.voiced[0] == lines.answers.voiced[2] == 0


def test_growing_keeps_what_was_heard() -> None:
    lines = Lines()
    lines.watch()
    lines.hears((VOICE, 0.6))
    lines.answers.grow(4)
    lines.hears((SILENT, 1.2))
    assert lines.heard[0].verdict == "human"
