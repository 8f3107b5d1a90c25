"""A running service and real SIP gear, each a process of its own on free loopback ports."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

KEY = "sk_live_interop"


def free_port() -> int:
    """A port that is free for UDP and TCP, and its neighbour too (RTCP)."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
            tcp.bind(("127.0.0.1", 0))
            port = int(tcp.getsockname()[1])
            with (
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as next_udp,
            ):
                try:
                    udp.bind(("127.0.0.1", port))
                    next_udp.bind(("127.0.0.1", port + 1))
                except OSError:
                    continue
                return port


class Api:
    """The service's API, read as a program reads it."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.base + path,
            data,
            {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                return reply.status, json.loads(reply.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"null")

    def get(self, path: str) -> Any:
        status, body = self.call("GET", path)
        assert status == 200, (status, body)
        return body

    def post(self, path: str, body: Any = None) -> Any:
        status, body = self.call("POST", path, body if body is not None else {})
        assert status in (200, 201), (status, body)
        return body

    def events(self, session: str) -> list[dict[str, Any]]:
        return list(self.get(f"/v1/calls/{session}/events")["events"])

    def sessions(self) -> list[str]:
        return [row["sessionId"] for row in self.get("/v1/sessions?limit=100")["entries"]]

    def ended(self, session: str, seconds: float = 20.0) -> list[dict[str, Any]]:
        """The call's events once it is over, which it must be in time."""
        until = time.monotonic() + seconds
        while True:
            events = self.events(session)
            if events and events[-1]["event_type"] == "call.hangup":
                return events
            assert time.monotonic() < until, [e["event_type"] for e in events]
            time.sleep(0.1)

    def new_session(self, before: list[str], seconds: float = 10.0) -> str:
        """The one session that was not there before."""
        until = time.monotonic() + seconds
        while True:
            new = [s for s in self.sessions() if s not in before]
            if new:
                assert len(new) == 1, new
                return new[0]
            assert time.monotonic() < until, "no call arrived"
            time.sleep(0.05)

    def wait_event(self, session: str, event_type: str, seconds: float = 15.0) -> dict[str, Any]:
        until = time.monotonic() + seconds
        while True:
            for event in self.events(session):
                if event["event_type"] == event_type:
                    return event
            assert time.monotonic() < until, f"no {event_type}"
            time.sleep(0.05)


class Service:
    """``telephony serve`` with a folder of its own."""

    def __init__(self, folder: Path, toml: str, dialplans: dict[str, str]) -> None:
        self.folder = folder
        self.sip_port = free_port()
        self.api_port = free_port()
        self.api = Api(self.api_port)
        plans = folder / "dialplans"
        shutil.copytree(Path(__file__).parents[2] / "dialplans", plans)
        for name, text in dialplans.items():
            (plans / f"{name}.yaml").write_text(text)
        (folder / "telephony.toml").write_text(toml)
        self.log_path = folder / "service.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **settings: str) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TELEPHONY_")}
        environment |= {
            "TELEPHONY_SIP_PORT": str(self.sip_port),
            "TELEPHONY_API_PORT": str(self.api_port),
            "TELEPHONY_API_KEY": KEY,
            "TELEPHONY_DATA_DIR": str(self.folder / "var"),
            "TELEPHONY_DIALPLANS": str(self.folder / "dialplans"),
            "TELEPHONY_LOG_FORMAT": "json",
            "TELEPHONY_DRAIN_SECONDS": "1",
            **settings,
        }
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "telephony", "serve"],
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        until = time.monotonic() + 30
        while True:
            try:
                with urllib.request.urlopen(f"{self.api.base}/readyz", timeout=2):
                    return
            except OSError:
                if time.monotonic() > until or self.process.poll() is not None:
                    pytest.fail(f"the service did not start:\n{self.log_path.read_text()}")
                time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            pytest.fail("the service did not stop")

    def log(self) -> list[dict[str, Any]]:
        """Every line parses as JSON, which is itself asserted."""
        return [json.loads(line) for line in self.log_path.read_text().splitlines() if line]

    def complaints(self) -> list[dict[str, Any]]:
        """Errors and exceptions in the log: none is expected of any peer's doing."""
        return [li for li in self.log() if li.get("level") in ("error", "critical")]


TOML = """
[[trunks]]
name = "gear"
gateways = ["127.0.0.1:{gateway}"]
allowed_sources = ["127.0.0.9/32"]
caller_ids = ["+12025550100"]

[[trunks]]
name = "gear-tcp"
gateways = ["127.0.0.1:{gateway}"]
transport = "tcp"
caller_ids = ["+12025550101"]

[[trunks]]
name = "locked"
gateways = ["127.0.0.1:{gateway}"]
username = "acme"
password = "open sesame"
caller_ids = ["+12025550102"]

[[phones]]
user = "1000"
password = "operator"

[[phones]]
user = "1001"
password = "desk"

[numbers]
"+12025550100" = {{ dialplan = "front-desk", trunk = "gear" }}
"""

PLANS = {
    "talk": (
        "name: talk\nstart: hello\nnodes:\n"
        "  hello:\n    verb: say\n    text: Hello. This is a long sentence for the one who"
        " picked up, and it goes on for quite a while so that nobody has to hurry.\n"
        "    next: bye\n"
        "  bye:\n    verb: hangup\n"
    ),
}


class Gateway:
    """The port on 127.0.0.1 at which the trunks' gear listens."""

    def __init__(self) -> None:
        self.port = free_port()


@pytest.fixture(scope="session")
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, gateway: Gateway) -> Iterator[Service]:
    """One service for all tests of the gear; it must not complain about any of it."""
    folder = tmp_path_factory.mktemp("service")
    running = Service(folder, TOML.format(gateway=gateway.port), PLANS)
    running.start()
    yield running
    running.stop()
    assert running.complaints() == []
