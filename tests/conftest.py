"""What several kinds of tests share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import PurePosixPath

import pytest

from telephony.testing.livekit import LiveKit
from telephony.testing.postgres import Cluster

LOGGED = pytest.StashKey[int]()
"""How much the common LiveKit server had logged when a test began."""


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """One PostgreSQL server for the whole run; each test takes a fresh database of it."""
    cluster = Cluster()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def livekit_server() -> Iterator[LiveKit]:
    """One LiveKit server for the whole run: each test has rooms of its own."""
    server = LiveKit()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def livekit(livekit_server: LiveKit, request: pytest.FixtureRequest) -> Iterator[LiveKit]:
    """The common LiveKit server; what it said meanwhile is shown where the test fails."""
    request.node.stash[LOGGED] = livekit_server.logged
    yield livekit_server


@pytest.fixture
def own_livekit() -> Iterator[LiveKit]:
    """A LiveKit server of the test's own, to be killed, frozen and started again."""
    server = LiveKit()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for name in ("livekit", "own_livekit"):
            server = item.funcargs.get(name)
            if isinstance(server, LiveKit):
                said = server.log(item.stash.get(LOGGED, 0))
                report.sections.append(("what LiveKit's server said", said))
    return report


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
