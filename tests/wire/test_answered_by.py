"""The verdicts on greetings of people and machines, made by the real synthesiser."""

from __future__ import annotations

from collections import Counter

import pytest

from telephony.testing.greetings import Greeting, corpus
from telephony.testing.screening import Screened, screen


@pytest.fixture(scope="module")
def greetings() -> tuple[Greeting, ...]:
    return corpus()


@pytest.fixture(scope="module")
def screened(greetings: tuple[Greeting, ...]) -> list[Screened]:
    return screen(greetings)


def table(screened: list[Screened], *, final: bool) -> Counter[tuple[bool, str]]:
    here = [x for x in screened if x.greeting.final == final]
    return Counter((x.greeting.human, x.heard.verdict) for x in here)


def wrong(screened: list[Screened]) -> list[str]:
    return [f"{x.greeting.name}: {x.heard}" for x in screened if not x.right]


def test_there_are_enough_of_both_and_a_third_is_kept(greetings: tuple[Greeting, ...]) -> None:
    kinds = Counter((one.human, one.final) for one in greetings)
    assert kinds == {(True, False): 40, (False, False): 40, (True, True): 20, (False, True): 20}
    tuned = {one.name.partition(" (")[2].partition(",")[0] for one in greetings if not one.final}
    kept = {one.name.partition(" (")[2].partition(",")[0] for one in greetings if one.final}
    assert len(kept - tuned) > 15, "the final count has voices of its own"
    assert {one.noise for one in greetings} == {"quiet", "hum", "hiss", "babble", "street"}


@pytest.mark.parametrize(("final", "people", "machines"), [(False, 38, 38), (True, 18, 17)])
def test_people_are_people_and_machines_machines(
    screened: list[Screened], final: bool, people: int, machines: int
) -> None:
    found = table(screened, final=final)
    assert found[True, "human"] >= people, wrong(screened)
    assert found[False, "machine"] >= machines, wrong(screened)


def test_the_verdict_comes_within_four_seconds_of_the_first_sound(screened: list[Screened]) -> None:
    for x in screened:
        assert x.heard.time_ms - 1000 * x.greeting.sound_at <= 4000, x
        assert x.heard.time_ms <= 8000


def test_who_is_sure_is_right(screened: list[Screened]) -> None:
    assert all(0 <= x.heard.confidence <= 1 for x in screened)
    sure = [x for x in screened if x.heard.confidence >= 0.8]
    assert len(sure) > len(screened) / 3
    assert sum(x.right for x in sure) >= 0.97 * len(sure)


def test_a_message_waits_for_the_beep(screened: list[Screened]) -> None:
    beeping = [x for x in screened if x.greeting.beep_at is not None and x.end is not None]
    told = [x for x in beeping if x.end is not None and x.end.how == "beep"]
    assert len(told) >= 0.85 * len(beeping)
    for x in told:
        assert x.end is not None and x.greeting.beep_at is not None
        assert 100 < x.end.time_ms - 1000 * x.greeting.beep_at < 1500, x


def test_no_message_begins_in_the_middle_of_the_words(screened: list[Screened]) -> None:
    for x in screened:
        if not x.greeting.human and x.end is not None and x.end.how != "timeout":
            assert x.end.time_ms >= 1000 * x.greeting.voice_ends, x
