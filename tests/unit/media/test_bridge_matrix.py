"""The gain matrix: rows of it, changes without a click, and nobody else's sound touched."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telephony.audio.tones import sine
from telephony.calls.role import Role
from telephony.media.bridge import Mixer
from telephony.media.desk import Desk

Samples = npt.NDArray[np.int16]
LANES = 12
FREQUENCIES = 200.0 + 50.0 * np.arange(LANES)


class Table:
    """A mixer, and lanes that each say something of their own, tick by tick."""

    def __init__(self, mixer: Mixer, lanes: int = LANES, level: float = -20.0) -> None:
        self.mixer = mixer
        # Whole periods in 20 ms: what is said has no seam, so each step heard is the mixer's.
        self.voice = np.stack([sine(f, 60, level)[160:320] for f in FREQUENCIES[:lanes]])
        self.heard: list[Samples] = []
        self.sounding: list[npt.NDArray[np.bool_]] = []

    def tick(self, count: int = 1, prompts: Samples | None = None) -> Samples:
        for _ in range(count):
            out = np.zeros_like(self.voice) if prompts is None else prompts.copy()
            sounding = np.zeros(len(out), np.bool_) if prompts is None else prompts.any(axis=1)
            self.mixer.mix(self.voice, out, sounding)
            self.heard.append(out)
            self.sounding.append(sounding)
        return self.heard[-1]

    def row(self, lane: int) -> Samples:
        """All that a lane has heard."""
        return np.concatenate([frame[lane] for frame in self.heard])


def gains(heard: Samples, voice: Samples) -> list[list[float]]:
    """The matrix that made ``heard`` of ``voice``: least squares, since all voices differ."""
    found = np.linalg.lstsq(voice.T.astype(float), heard.T.astype(float), rcond=None)[0].T
    return [[round(g, 2) + 0.0 for g in row] for row in found]


def test_the_matrix_of_bridges_and_rooms() -> None:
    mixer = Mixer()
    mixer.bridge(0, 3)
    for row in (1, 4, 5):
        mixer.enter(row, "a")
    for row in (6, 2):
        mixer.enter(row, "b")
    mixer.enter(7, "alone")
    table = Table(mixer, 8)
    table.tick()
    wanted = np.zeros((8, 8))
    for ear, mouths in {0: [3], 3: [0], 1: [4, 5], 4: [1, 5], 5: [1, 4], 6: [2], 2: [6]}.items():
        wanted[ear, mouths] = 1
        assert mixer.group(ear) == set(mouths)
    assert gains(table.tick(), table.voice) == wanted.tolist()
    assert table.sounding[-1].tolist() == [True] * 7 + [False]
    assert (table.heard[-1][0] == table.voice[3]).all(), "a voice alone passes bit for bit"


def test_a_coach_is_heard_by_agents_and_a_listener_by_nobody() -> None:
    mixer = Mixer()
    roles = [Role.SPEAKER, Role.AGENT, Role.COACH, Role.LISTENER, Role.COACH, Role.SPEAKER]
    for row, role in enumerate(roles):
        mixer.enter(row, "desk", role)
    table = Table(mixer, 6)
    table.tick()
    assert gains(table.tick(), table.voice) == [
        [0, 1, 0, 0, 0, 1],
        [1, 0, 1, 0, 1, 1],
        [1, 1, 0, 0, 1, 1],
        [1, 1, 0, 0, 0, 1],
        [1, 1, 1, 0, 0, 1],
        [1, 1, 0, 0, 0, 0],
    ]


def test_a_role_is_changed_in_the_room() -> None:
    mixer = Mixer()
    for row in range(3):
        mixer.enter(row, "desk")
    table = Table(mixer, 3)
    mixer.enter(1, "desk", Role.LISTENER)
    table.tick()
    assert gains(table.tick(), table.voice) == [[0, 0, 1], [1, 0, 1], [1, 0, 0]]
    mixer.enter(1, "desk", Role.SPEAKER)
    table.tick()
    assert gains(table.tick(), table.voice) == [[0, 1, 1], [1, 0, 1], [1, 1, 0]]


def test_two_speakers_and_a_listener() -> None:
    mixer = Mixer()
    for row, role in enumerate([Role.SPEAKER, Role.SPEAKER, Role.LISTENER]):
        mixer.enter(row, "desk", role)
    table = Table(mixer, 3)
    table.tick()
    assert gains(table.tick(), table.voice) == [[0, 1, 0], [1, 0, 0], [1, 1, 0]]


def test_who_holds_a_room_plays_no_music_into_it() -> None:
    mixer = Mixer()
    for row in range(3):
        mixer.enter(row, "desk")
    mixer.hold(1, True)
    table = Table(mixer, 3)
    table.tick()
    assert gains(table.tick(), table.voice) == [[0, 0, 1], [1, 0, 1], [1, 0, 0]]
    assert mixer.plan().waiting.size == 0
    mixer.hold(1, False)
    table.tick()
    assert gains(table.tick(), table.voice)[0] == [0, 1, 1]


def test_who_is_bridged_to_a_holder_waits() -> None:
    mixer = Mixer()
    mixer.bridge(4, 2)
    mixer.hold(2, True)
    assert mixer.plan().waiting.tolist() == [4]
    assert mixer.group(4) == {2}, "the holder may send music of its own"
    mixer.hold(2, False)
    assert mixer.plan().waiting.size == 0
    mixer.hold(4, True)
    mixer.forget(4)
    mixer.bridge(4, 2)
    assert mixer.plan().waiting.size == 0, "another call's hold"


CHANGES = {
    "bridged": lambda mixer: mixer.bridge(0, 1),
    "parted": lambda mixer: mixer.leave(2),
    "joined": lambda mixer: mixer.enter(0, "lobby"),
    "left": lambda mixer: mixer.leave(4),
    "muted": lambda mixer: mixer.enter(4, "lobby", Role.LISTENER),
    "whispering": lambda mixer: mixer.enter(5, "lobby", Role.COACH),
}


def stage() -> Mixer:
    """0 and 1 alone, 2 and 3 bridged, 4 to 7 in a room, 8 and 9 bridged."""
    mixer = Mixer()
    mixer.bridge(2, 3)
    mixer.bridge(8, 9)
    for row in (4, 5, 6, 7):
        mixer.enter(row, "lobby", Role.AGENT if row == 7 else Role.SPEAKER)
    return mixer


@pytest.mark.parametrize("name", CHANGES)
def test_no_change_clicks(name: str) -> None:
    """A step in what is heard is no larger than the voices' own steps and a frame's ramp."""
    mixer = stage()
    table = Table(mixer)
    table.tick(3)
    CHANGES[name](mixer)
    table.tick(3)
    for lane in range(LANES):
        steps = np.abs(np.diff(table.row(lane).astype(int)))
        before = steps[: 3 * 160 - 1].max()
        after = steps[4 * 160 :].max()
        ramp = 4 * np.abs(table.voice).max() / 160
        assert steps.max() <= max(before, after) + ramp + 2
    assert (table.heard[4] == table.heard[5]).all(), "a frame later it is done"


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_heard_by_nobody_else(name: str) -> None:
    mixer, same = stage(), Table(stage())
    table = Table(mixer)
    same.tick(4)
    table.tick(2)
    CHANGES[name](mixer)
    touched = mixer.changes()[0].tolist()
    table.tick(2)
    others = [lane for lane in range(LANES) if lane not in touched]
    assert set(others) >= {8, 9, 10, 11}
    for lane in others:
        assert (table.row(lane) == same.row(lane)).all()


def test_a_ramp_lasts_one_frame_and_begins_where_the_last_ended() -> None:
    mixer = Mixer()
    mixer.bridge(0, 1)
    table = Table(mixer, 2)
    table.voice = np.full((2, 160), 8000, np.int16)
    first = table.tick()[0].astype(int)
    assert first[0] == 50
    assert (np.diff(first) == 50).all()
    assert first[-1] == 8000
    mixer.leave(0)
    last = table.tick()[0].astype(int)
    assert last[-1] == 0
    assert (np.diff(last) == -50).all()
    assert not table.tick().any()


def test_a_row_given_back_says_and_hears_nothing_of_the_call_before() -> None:
    mixer = Mixer()
    mixer.bridge(0, 1)
    for row in (2, 3, 4):
        mixer.enter(row, "lobby")
    table = Table(mixer, 6)
    table.tick(2)
    mixer.forget(1)
    mixer.forget(4)
    # The next call sits in the rows at once and is bridged to somebody else.
    mixer.bridge(1, 5)
    mixer.bridge(4, 0)
    heard = table.tick()
    found = gains(heard, table.voice)
    assert found[1][0] == 0
    assert found[0][1] == 0
    assert found[4][2] == found[4][3] == 0
    assert found[2][4] == found[3][4] == 0
    assert gains(table.tick(), table.voice)[0] == [0, 0, 0, 0, 1, 0]


def test_rows_that_are_no_more_are_not_read() -> None:
    mixer = Mixer()
    for row in range(LANES):
        mixer.enter(row, "lobby")
    table = Table(mixer)
    table.tick(2)
    mixer.forget(LANES - 1)
    table.voice = table.voice[:-1]
    table.tick(2)
    assert (table.heard[-1][0] == table.voice[1:].sum(axis=0)).all()


def test_a_prompt_is_added_to_the_voice_and_limited() -> None:
    mixer = Mixer()
    mixer.bridge(0, 1)
    table = Table(mixer, 3, level=0.0)
    prompts = np.zeros((3, 160), np.int16)
    prompts[0] = table.voice[1]
    prompts[2] = table.voice[0]
    table.tick(4, prompts)
    assert (table.heard[-1][2] == table.voice[0]).all()
    assert (table.heard[-1][1] == table.voice[0]).all()
    twice = 2 * table.voice[1].astype(int)
    assert np.abs(twice).max() > 32767
    out = table.heard[-1][0].astype(float)
    assert np.abs(out).max() > 30_000
    assert np.corrcoef(out, twice)[0, 1] > 0.999, "turned down, not cut off"
    # The limiter lets go within tens of milliseconds, and then nothing is touched.
    table.tick(6)
    assert (table.heard[-1][0] == table.voice[1]).all()


def test_a_wide_desk_follows_for_its_own_listeners() -> None:
    mixer = Mixer()
    mixer.bridge(0, 1)
    for row in (2, 3, 4):
        mixer.enter(row, "lobby")
    wide = np.array([True, False, True, False, False, False])
    desk, table = Desk(), Table(mixer, 6)
    voice = np.repeat(table.voice, 2, axis=1)

    def tick() -> Samples:
        table.tick()
        out, sounding = np.zeros_like(voice), np.zeros(6, np.bool_)
        desk.follow(mixer, wide)
        desk.mix(voice, out, sounding)
        assert sounding.tolist() == wide.tolist()
        return out

    tick()
    assert set(desk.sources.tolist()) >= {1, 3, 4}
    assert 0 not in desk.sources
    heard = tick()
    assert (heard[0] == voice[1]).all()
    assert (heard[2] == voice[3] + voice[4]).all()
    assert not heard[[1, 3, 4, 5]].any()
    mixer.leave(4)
    ramp = tick()[2]
    assert not (ramp == voice[3]).all()
    assert ramp[-1] == voice[3, -1]
    assert (tick()[2] == voice[3]).all()
    wide = np.array([False, True, False, False, False, False])
    assert (tick()[1] == voice[0]).all()


ORDERS = st.lists(
    st.one_of(
        st.tuples(st.just("bridge"), st.integers(0, 7), st.integers(0, 7)),
        st.tuples(st.just("enter"), st.integers(0, 7), st.sampled_from(list(Role))),
        st.tuples(st.just("other"), st.integers(0, 7), st.sampled_from(list(Role))),
        st.tuples(st.just("leave"), st.integers(0, 7)),
        st.tuples(st.just("forget"), st.integers(0, 7)),
        st.tuples(st.just("hold"), st.integers(0, 7), st.booleans()),
        st.tuples(st.just("tick")),
    ),
    max_size=30,
)


@given(ORDERS)
@settings(max_examples=150, deadline=None)
def test_whatever_is_ordered_the_mix_is_the_matrix(orders: list[tuple[str, ...]]) -> None:
    """Against the plain definition: a dense matrix of ones, multiplied."""
    mixer, bridges, rooms = Mixer(), dict[int, int](), dict[int, tuple[str, Role]]()
    held: set[int] = set()
    table = Table(mixer, 8, level=-25.0)

    def part(row: int) -> None:
        rooms.pop(row, None)
        if row in bridges:
            del bridges[bridges.pop(row)]

    for order, *given_ in orders:
        match order, given_:
            case "bridge", [int(a), int(b)]:
                mixer.bridge(a, b)
                if a != b:
                    part(a)
                    part(b)
                    bridges[a], bridges[b] = b, a
            case (("enter" | "other"), [int(row), Role() as role]):
                mixer.enter(row, order, role)
                if rooms.get(row, ("",))[0] != order:
                    part(row)
                rooms[row] = (order, role)
            case "leave", [int(row)]:
                mixer.leave(row)
                part(row)
            case "forget", [int(row)]:
                mixer.forget(row)
                part(row)
                held.discard(row)
            case "hold", [int(row), bool(on)]:
                mixer.hold(row, on)
                (held.add if on else held.discard)(row)
            case _:
                table.tick()
    matrix = np.zeros((8, 8), np.int32)
    for ear in range(8):
        if ear in bridges:
            matrix[ear, bridges[ear]] = 1
        for mouth in rooms.keys() - {ear} - held:
            if ear in rooms and rooms[ear][0] == rooms[mouth][0]:
                aside = rooms[ear][1] in (Role.AGENT, Role.COACH)
                open_ = rooms[mouth][1] in (Role.SPEAKER, Role.AGENT)
                matrix[ear, mouth] = open_ or (aside and rooms[mouth][1] is Role.COACH)
    table.tick(2)
    assert (table.heard[-1] == matrix @ table.voice.astype(np.int32)).all()
    assert table.sounding[-1].tolist() == matrix.any(axis=1).tolist()
    for ear in range(8):
        assert mixer.group(ear) == set(np.flatnonzero(matrix[ear]).tolist())
