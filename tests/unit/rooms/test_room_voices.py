"""What a room says: one voice passes bit for bit, several are summed and limited."""

from __future__ import annotations

import numpy as np

from telephony.rooms.voices import MOST, Voice, Voices

FRAME = 480


def frame(value: int) -> np.ndarray:
    return np.full(FRAME, value, np.int16)


def a_room(*agents: bool) -> tuple[Voices, list[Voice]]:
    voices = Voices(FRAME)
    made = [Voice(f"v{i}", agent, lambda: 0.0) for i, agent in enumerate(agents)]
    for i, voice in enumerate(made):
        voices.add(str(i), voice)
    return voices, made


def test_one_voice_passes_bit_for_bit() -> None:
    voices, (one,) = a_room(True)
    sound = np.random.default_rng(1).integers(-32768, 32767, FRAME).astype(np.int16)
    one.put(sound)
    got = voices.take()
    assert got is not None and np.array_equal(got, sound)
    assert voices.take() is None


def test_two_voices_are_summed_and_never_wrapped() -> None:
    voices, (one, two) = a_room(True, False)
    one.put(frame(1000))
    two.put(frame(-300))
    got = voices.take()
    assert got is not None and (got == 700).all()
    for _ in range(3):
        one.put(frame(30_000))
        two.put(frame(30_000))
        got = voices.take()
        assert got is not None and int(got.min()) > 0


def test_agents_that_are_not_heard_are_still_listened_to() -> None:
    voices, (agent, peer) = a_room(True, False)
    voices.agents_heard = False
    for _ in range(3):
        agent.put(frame(500))
        peer.put(frame(70))
        got = voices.take()
        assert got is not None and (got == 70).all()
    assert agent.depth == 0, "what was not heard is not said later"


class Line:
    """Frames that come in time with the tick, so many seconds before it and with that jitter."""

    def __init__(self, before: float, jitter: float = 0.0) -> None:
        self.now = 10.0
        self.voice = Voice("a", True, lambda: self.now)
        self._before, self._jitter = before, jitter
        self._rng = np.random.default_rng(5)
        self.delays: list[float] = []
        self.value = 0

    def run(self, ticks: int) -> None:
        for _ in range(ticks):
            tick = self.now + 0.02
            early = self._before + self._jitter * (2 * float(self._rng.random()) - 1)
            self.value += 1
            self.now = sent = tick - max(0.0, early)
            if early >= 0:
                self.voice.put(frame(self.value))
            self.now = tick
            got = self.voice.take()
            if early < 0:
                # It comes a little after the tick that it was meant for.
                self.voice.put(frame(self.value))
            if got is not None:
                self.delays.append((self.value - int(got[0])) * 0.02 + tick - sent)


def test_what_a_standstill_left_is_let_go_and_no_more() -> None:
    line = Line(before=0.008)
    for value in range(4):
        line.voice.put(frame(value))
    line.run(400)
    assert line.voice.depth == 0 and line.voice.dropped == 4
    assert max(line.delays[-50:]) < 0.02
    line.run(1000)
    assert line.voice.dropped == 4 and line.voice.dry == 0


def test_who_is_only_just_on_time_keeps_a_frame_in_hand() -> None:
    line = Line(before=0.002, jitter=0.0)
    line.voice.put(frame(0))
    line.run(600)
    assert (line.voice.dropped, line.voice.depth) == (0, 1)


def test_jitter_about_the_tick_makes_no_click_a_second() -> None:
    line = Line(before=0.003, jitter=0.008)
    line.run(3000)
    assert line.voice.dropped + line.voice.dry <= 6, "a minute"


def test_a_flood_is_bounded() -> None:
    voices, (one,) = a_room(True)
    for value in range(100):
        one.put(frame(value))
    got = voices.take()
    assert got is not None and int(got[0]) == 100 - MOST
    assert voices.counted()[0] == 100 - MOST


def test_energy_and_not_arrival_says_that_somebody_speaks() -> None:
    voices, (one,) = a_room(True)
    one.put(frame(0))
    voices.take()
    assert not one.loud
    one.put(frame(-32768))
    voices.take()
    assert one.loud


def test_ticks_without_a_frame_count_once_there_were_some() -> None:
    voices, (one,) = a_room(True)
    voices.take()
    one.put(frame(5))
    voices.take()
    voices.take()
    assert voices.counted() == (0, 1)
    voices.remove("0")
    assert voices.counted() == (0, 1)
