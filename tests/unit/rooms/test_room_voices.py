"""What a room says: one voice passes bit for bit, several are summed and limited."""

from __future__ import annotations

import numpy as np

from telephony.rooms.voices import DEEP, MOST, PATIENCE, Voice, Voices

FRAME = 480


def frame(value: int) -> np.ndarray:
    return np.full(FRAME, value, np.int16)


def a_room(*agents: bool) -> tuple[Voices, list[Voice]]:
    voices = Voices(FRAME)
    made = [Voice(f"v{i}", agent) for i, agent in enumerate(agents)]
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


def test_a_queue_that_stays_deep_is_led_back() -> None:
    voices, (one,) = a_room(True)
    for _ in range(DEEP + 3):
        one.put(frame(9))
    for _ in range(8 * PATIENCE):
        one.put(frame(9))
        voices.take()
    assert one.depth <= DEEP
    assert one.dropped >= 2


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
