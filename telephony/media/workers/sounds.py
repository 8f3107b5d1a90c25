"""Sounds that workers know by number: each goes to each worker once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from telephony.calls.ports import Sound


class Sounds:
    """Numbers for sounds, by content. Over the ceiling the least used lose theirs."""

    def __init__(self, ceiling: int, forgotten: Callable[[int], None]) -> None:
        """``ceiling``: octets. ``forgotten(number)``: no worker needs to keep it."""
        self._ceiling = ceiling
        self._forgotten = forgotten
        self._numbers: OrderedDict[tuple[bytes, int], int] = OrderedDict()
        self._octets = 0
        self._last = 0

    def number(self, sound: Sound) -> int | None:
        """The sound's number, None where it is larger than all that may be kept."""
        if len(sound.pcm) > self._ceiling:
            return None
        # The hash of octets is worked out once an object, and prompts are kept objects.
        key = (sound.pcm, sound.rate)
        number = self._numbers.get(key)
        if number is None:
            self._last += 1
            number = self._numbers[key] = self._last
            self._octets += len(sound.pcm)
            while self._octets > self._ceiling:
                (pcm, _), oldest = self._numbers.popitem(last=False)
                self._octets -= len(pcm)
                self._forgotten(oldest)
        else:
            self._numbers.move_to_end(key)
        return number
