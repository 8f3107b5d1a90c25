"""Who is dead and who only says nothing, by what is counted; and whether we are cut off."""

from __future__ import annotations

from telephony.rooms.watch import DEAD_SECONDS, LOOK_SECONDS, OURSELVES, Count, Watch


class Looks:
    """A watch, and looks at one track."""

    def __init__(self, key: str = "one") -> None:
        self.told: list[object] = []
        self.watch = Watch(self.told.append, self.told.append)
        self.now, self.asked = 50.0, 0
        self._key = key

    def run(self, seconds: float, track: int, connection: int, answered: bool = True) -> None:
        """The same is counted for a while."""
        until = self.now + seconds
        while self.now < until:
            self.now += LOOK_SECONDS
            if self.watch.due(self._key, self.now):
                self.asked += 1
                self.watch.silent(self._key, Count(track, connection, answered), self.now)


def test_who_sends_silence_lives_and_is_seldom_asked_after() -> None:
    looks = Looks()
    for second in range(60):
        looks.run(1.0, 10 + 5 * second, 100 + 9 * second)
    assert looks.told == []
    assert looks.asked <= 61


def test_who_sends_nothing_is_dead_once() -> None:
    looks = Looks()
    looks.run(5.0, 10, 100)
    assert looks.told == ["one"]
    looks.run(60.0, 10, 200)
    assert looks.told == ["one"]


def test_it_is_noticed_in_time() -> None:
    looks = Looks()
    looks.run(LOOK_SECONDS, 10, 100)
    began = looks.now
    while not looks.told:
        looks.run(LOOK_SECONDS, 10, 100)
    assert looks.now - began <= DEAD_SECONDS + LOOK_SECONDS


def test_when_nothing_comes_of_anybody_it_is_our_connection() -> None:
    looks = Looks()
    looks.run(5.0, 10, 100, answered=False)
    assert looks.told == [True], "nobody died"
    looks.run(5.0, 10, 100, answered=False)
    assert looks.told == [True]
    looks.run(1.0, 15, 108)
    assert looks.told == [True, False]


def test_what_is_heard_ends_the_cut() -> None:
    looks = Looks()
    looks.run(5.0, 10, 100, answered=False)
    looks.watch.heard()
    looks.watch.lives("one")
    assert looks.told == [True, False]


def test_alone_in_the_room_an_answered_path_is_enough() -> None:
    looks = Looks(OURSELVES)
    looks.run(30.0, 0, 100)
    assert looks.told == []
    looks.run(6.0, 0, 100, answered=False)
    assert looks.told == [True]


def test_who_comes_back_can_die_again() -> None:
    looks = Looks()
    looks.run(5.0, 10, 100)
    looks.run(3.0, 20, 120)
    looks.run(5.0, 20, 140)
    assert looks.told == ["one", "one"]


def test_whenever_it_dies_it_is_noticed_in_time() -> None:
    for tenths in range(40):
        looks = Looks()
        packets, died = 10, 60.0 + tenths / 10
        while not looks.told:
            looks.now += LOOK_SECONDS
            # Five packets a second, until then.
            packets = 10 + int(5 * (min(looks.now, died) - 50.0))
            if looks.watch.due("one", looks.now):
                looks.watch.silent("one", Count(packets, 100 + int(looks.now)), looks.now)
        assert looks.now - died < 4.6
