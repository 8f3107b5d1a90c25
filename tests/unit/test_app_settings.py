"""What some settings mean: processes of sound, and where the API is."""

from __future__ import annotations

import os

import pytest

from telephony.app import api_url, workers
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


@pytest.mark.parametrize(
    ("host", "port", "public", "url"),
    [
        ("127.0.0.1", 8080, None, "http://127.0.0.1:8080"),
        ("0.0.0.0", 80, None, "http://127.0.0.1:80"),
        ("::", 8080, None, "http://[::1]:8080"),
        ("127.0.0.1", 0, None, None),
        ("0.0.0.0", 8080, "https://calls.example", "https://calls.example"),
    ],
)
def test_workers_of_agents_are_told_where_the_api_is(
    host: str, port: int, public: str | None, url: str | None
) -> None:
    assert api_url(Settings(api_host=host, api_port=port, public_url=public)) == url
