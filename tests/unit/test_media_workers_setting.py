"""How many processes of sound a setting means."""

from __future__ import annotations

import os

import pytest

from telephony.app import workers
from telephony.settings import Settings


@pytest.mark.parametrize(
    ("given", "cores", "count"), [(0, 4, 0), (3, 1, 3), ("auto", 4, 3), ("auto", 1, 1)]
)
def test_so_many_workers(
    given: int | str, cores: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)))
    assert workers(Settings(media_workers=given).media_workers) == count  # type: ignore[arg-type]
    assert workers(Settings(room_workers=given).room_workers) == count  # type: ignore[arg-type]
