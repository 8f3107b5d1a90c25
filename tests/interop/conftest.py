"""A running service and real SIP gear, each a process of its own on free loopback ports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.baresip import Baresip
from tests.interop.service import Service, eventually, free_port, listens
from tests.interop.sipp import Scenario, Sipp, start

TRUNK = "127.0.0.9"
"""Where the trunk "gear" calls from."""

TOML = f"""
[[trunks]]
name = "gear"
gateways = ["127.0.0.1:{{gateway}}"]
allowed_sources = ["{TRUNK}/32"]
caller_ids = ["+12025550100"]
headers = {{{{ X-Account = "acme" }}}}

[[trunks]]
name = "gear-tcp"
gateways = ["127.0.0.1:{{gateway}}"]
transport = "tcp"
caller_ids = ["+12025550101"]

[[trunks]]
name = "locked"
gateways = ["127.0.0.1:{{gateway}}"]
username = "acme"
password = "open sesame"
caller_ids = ["+12025550102"]

[[trunks]]
name = "locked-tcp"
gateways = ["127.0.0.1:{{gateway}}"]
transport = "tcp"
username = "acme-tcp"
password = "open sesame"
caller_ids = ["+12025550103"]

[[phones]]
user = "1000"
password = "operator"

[[phones]]
user = "1001"
password = "desk"

[[phones]]
user = "1002"
password = "second-desk"

[numbers]
"+12025550100" = {{{{ dialplan = "talk", trunk = "gear" }}}}
"""


def plan(nodes: str, start: str = "first") -> str:
    return f"start: {start}\nnodes:\n{nodes}"


PLANS = {
    "talk": plan(
        "  first: {verb: say, text: 'Hello from the service. Goodbye.', farewell: true}\n"
    ),
    "long": plan(
        "  first:\n    verb: say\n    text: >-\n"
        + "      This is a very long text, so that nobody has to hurry.\n" * 12
    ),
    "recorded": (
        "record: true\n"
        + plan(
            "  first:\n    verb: say\n    next: then\n    text: >-\n"
            "      This call is recorded, and it goes on whatever becomes of the recording.\n"
            "  then:\n    verb: say\n    text: >-\n"
            + "      This is a very long text, so that nobody has to hurry.\n"
            * 12
        )
    ),
    "slow": plan("  first: {verb: ring, seconds: 30, next: then}\n  then: {verb: hangup}\n"),
    "busy-line": plan("  first: {verb: reject, cause: busy}\n"),
    "declined": plan("  first: {verb: reject}\n"),
    "closed": plan("  first: {verb: reject, cause: unavailable}\n"),
    "conference": plan("  first: {verb: join_room, room: talk}\n"),
    "code": (
        "variables:\n  code: {value: '', report: true}\n"
        + plan(
            "  first: {verb: gather, variable: code, max: 4, timeout: 10, prompt: 'Your code.',"
            " next: then}\n  then: {verb: hangup}\n"
        )
    ),
    "to-desk": plan(
        "  first: {verb: dial, to: '1001', ring_seconds: 10, next: no, on_busy: busy}\n"
        "  no: {verb: say, text: 'Sorry, nobody picked up the phone just now.'}\n"
        "  busy: {verb: say, text: 'Sorry, the line you want is busy at the moment.'}\n"
    ),
    "transfer": plan(
        "  first: {verb: transfer, to: '+12025550177', ring_seconds: 10, on_failed: no}\n"
        "  no: {verb: say, text: That did not work.}\n"
    ),
    "to-number": plan(
        "  first: {verb: dial, to: '+12025550177', ring_seconds: 10, next: no}\n"
        "  no: {verb: say, text: 'Sorry, nobody picked up the phone just now.'}\n"
    ),
}


@pytest.fixture(params=["udp", "tcp"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def gateway() -> int:
    """The port on 127.0.0.1 at which the trunks' gear listens."""
    return free_port()


@pytest.fixture(scope="session")
def one_service(tmp_path_factory: pytest.TempPathFactory, gateway: int) -> Iterator[Service]:
    """One service for all tests that do not need one of their own."""
    folder = tmp_path_factory.mktemp("service")
    running = Service(folder, TOML.format(gateway=gateway), PLANS)
    running.start()
    yield running
    assert running.stop() == 0
    assert running.complaints() == []


@pytest.fixture
def service(one_service: Service) -> Iterator[Service]:
    """The common service; no test may make it complain."""
    before = len(one_service.complaints())
    yield one_service
    assert one_service.complaints()[before:] == []


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Makes services of a test's own: they are gone when it ends."""
    made: list[Service] = []

    def make(toml: str = "", dialplans: dict[str, str] | None = None) -> Service:
        folder = tmp_path / f"service-{len(made)}"
        folder.mkdir()
        made.append(Service(folder, toml, PLANS if dialplans is None else dialplans))
        return made[-1]

    yield make
    for one in made:
        if one.process is not None and one.process.poll() is None:
            one.kill()


class Gear:
    """Starts sipp."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.running: list[Sipp] = []

    def calls(
        self,
        service: Service,
        scenario: Scenario,
        user: str = "front-desk",
        transport: str = "udp",
        host: str = "127.0.0.1",
        **how: Any,
    ) -> Sipp:
        """A caller, under way."""
        one = start(
            scenario,
            self._folder,
            host=host,
            port=free_port(),
            media_port=free_port(),
            target=f"[{host}]:{service.sip_port}" if ":" in host else service.sip,
            transport=transport,
            service=user,
            **how,
        )
        self.running.append(one)
        return one

    def waits(self, scenario: Scenario, port: int, transport: str = "udp", **how: Any) -> Sipp:
        """A callee that listens."""
        one = start(
            scenario,
            self._folder,
            port=port,
            media_port=free_port(),
            transport=transport,
            **how,
        )
        self.running.append(one)
        eventually(
            f"sipp listens on {port}",
            lambda: listens(port, transport) or one.process.poll() is not None,
        )
        return one


@pytest.fixture
def gear(tmp_path: Path) -> Iterator[Gear]:
    made = Gear(tmp_path)
    yield made
    for one in made.running:
        if one.process.poll() is None:
            one.stop()


@pytest.fixture
def phones(tmp_path: Path, service: Service) -> Iterator[Callable[..., Baresip]]:
    """Makes baresips, each a phone of the common service."""
    made: list[Baresip] = []
    passwords = {"1000": "operator", "1001": "desk", "1002": "second-desk"}

    def make(user: str, **how: Any) -> Baresip:
        folder = tmp_path / f"phone-{user}-{len(made)}"
        folder.mkdir()
        password = how.pop("password", passwords[user])
        stranger = how.pop("stranger", False)
        made.append(Baresip(folder, service.sip, user, password, **how))
        return made[-1] if stranger else made[-1].log_in()

    yield make
    for one in made:
        one.stop()
