"""What several kinds of tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from telephony.testing.postgres import Cluster


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """One PostgreSQL server for the whole run; each test takes a fresh database of it."""
    cluster = Cluster()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
