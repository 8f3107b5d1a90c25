"""What several kinds of tests share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How long each part of the suite took: what makes the whole of it slow is seen at once."""
    seconds: Counter[str] = Counter()
    tests: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                part = PurePosixPath(report.nodeid).parts[1:2] or ("?",)
                seconds[part[0]] += report.duration
                tests[part[0]] += report.when == "call"
    if tests.total() < 100:
        return
    terminalreporter.section("parts")
    for name, spent in seconds.most_common():
        terminalreporter.write_line(f"{spent:8.1f} s  {tests[name]:5}  tests/{name}")
