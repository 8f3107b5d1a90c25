"""The service as its users have it: a process, its settings, its log, its API."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

KEY = "sk_live_interop"
ROOT = Path(__file__).parents[2]

T = TypeVar("T")


def eventually(what: str, ask: Callable[[], T | None], seconds: float = 20.0) -> T:
    """What ``ask`` gives once it gives something (not None, not False)."""
    until = time.monotonic() + seconds
    while True:
        found = ask()
        if found is not None and found is not False:
            return found
        assert time.monotonic() < until, f"not in {seconds:g} s: {what}"
        time.sleep(0.03)


_given: set[int] = set()


def free_port() -> int:
    """The first of eight ports on loopback that are free for UDP, and it for TCP too.

    Eight, because sound takes its neighbours: RTCP the next, sipp's video the one after. Below what
    the kernel hands out by itself and never twice, so that they stay free until they are used.
    """
    while True:
        port = 8 * random.randrange(1250, 2500)
        if port in _given:
            continue
        _given.add(port)
        with contextlib.ExitStack() as stack:
            tcp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            try:
                tcp.bind(("127.0.0.1", port))
                for near in range(port, port + 8):
                    udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                    udp.bind(("127.0.0.1", near))
            except OSError:
                continue
            return port


def listens(port: int, transport: str) -> bool:
    """Whether somebody on this machine has the port open (Linux: /proc/net)."""
    wanted = f":{port:04X}"
    for row in Path(f"/proc/net/{transport}").read_text().splitlines()[1:]:
        words = row.split()
        if words[1].endswith(wanted) and (transport == "udp" or words[3] == "0A"):
            return True
    return False


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

    def dial(self, **order: Any) -> str:
        """A call to somebody; its session."""
        reply = self.post("/v1/sessions/phone", {"to": "+12025550123", **order})
        assert reply["status"] == "dialing"
        assert reply["callControlId"] == f"phone-{reply['sessionId']}"
        return str(reply["sessionId"])

    def sessions(self) -> list[str]:
        return [row["sessionId"] for row in self.get("/v1/sessions?limit=100")["entries"]]

    def new_session(self, before: list[str]) -> str:
        """The one session that was not there before."""
        new = eventually(
            "a call", lambda: [s for s in self.sessions() if s not in before] or None, 10
        )
        assert len(new) == 1, new
        return new[0]

    def events(self, session: str) -> list[dict[str, Any]]:
        return list(self.get(f"/v1/calls/{session}/events")["events"])

    def wait(self, session: str, event_type: str, seconds: float = 20.0) -> dict[str, Any]:
        """The call's first event of a type, once it is there."""
        return self.wait_count(session, event_type, 1, seconds)[0]

    def wait_count(
        self, session: str, event_type: str, count: int, seconds: float = 20.0
    ) -> list[dict[str, Any]]:
        """The call's events of a type, once there are so many."""

        def find() -> list[dict[str, Any]] | None:
            found = [e for e in self.events(session) if e["event_type"] == event_type]
            return found if len(found) >= count else None

        try:
            return eventually(f"{count} {event_type}", find, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; there were {types(self.events(session))}") from None

    def ended(self, session: str, seconds: float = 30.0) -> list[dict[str, Any]]:
        """The call's events once it is over, checked as a whole."""
        self.wait(session, "call.hangup", seconds)
        events = self.events(session)
        check(events)
        return events

    def recording(self, session: str) -> bytes:
        """The call's WAV, from where the API says that it is."""
        url = self.get(f"/v1/calls/{session}/recording")["url"]
        with urllib.request.urlopen(url, timeout=20) as reply:
            return bytes(reply.read())

    def report(self, session: str) -> dict[str, Any]:
        found = self.get(f"/v1/calls/{session}/report")
        assert isinstance(found, dict)
        return found


def types(events: list[dict[str, Any]]) -> list[str]:
    return [e["event_type"] for e in events]


def check(events: list[dict[str, Any]]) -> None:
    """One call.hangup, the last event; no gap in the sequence; created_at strictly rising."""
    assert types(events).count("call.hangup") == 1, types(events)
    assert events[-1]["event_type"] == "call.hangup", types(events)
    assert [e["payload"]["seq"] for e in events] == list(range(1, len(events) + 1))
    created = [e["created_at"] for e in events]
    assert created == sorted(set(created)), created


def how(events: list[dict[str, Any]]) -> tuple[str, str | None, str]:
    """Status, cause and who ended it."""
    end = events[-1]
    return end["status"], end["failure_cause"], end["payload"]["ended_by"]


class Service:
    """``telephony serve`` with a folder and ports of its own."""

    def __init__(
        self, folder: Path, toml: str = "", dialplans: dict[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.data = folder / "var"
        self.sip_port = free_port()
        self.api_port = free_port()
        self.api = Api(self.api_port)
        self.plans = folder / "dialplans"
        shutil.copytree(ROOT / "dialplans", self.plans)
        for name, text in (dialplans or {}).items():
            (self.plans / f"{name}.yaml").write_text(text)
        (folder / "telephony.toml").write_text(toml)
        self.log_path = folder / "service.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def sip(self) -> str:
        return f"127.0.0.1:{self.sip_port}"

    def environment(self, **settings: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("TELEPHONY_")}
        return kept | {
            "TELEPHONY_SIP_PORT": str(self.sip_port),
            "TELEPHONY_API_PORT": str(self.api_port),
            "TELEPHONY_API_KEY": KEY,
            "TELEPHONY_DATA_DIR": str(self.data),
            "TELEPHONY_DIALPLANS": str(self.plans),
            "TELEPHONY_LOG_FORMAT": "json",
            "TELEPHONY_DRAIN_SECONDS": "1",
            # Tests ask as fast as they can.
            "TELEPHONY_REQUESTS_PER_SECOND": "1000",
            **settings,
        }

    def launch(self, words: list[str] | None = None, **settings: str) -> subprocess.Popen[bytes]:
        """Start the process, and do not wait for anything."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                words or [sys.executable, "-m", "telephony", "serve"],
                cwd=self.folder,
                env=self.environment(**settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self.process

    def start(self, words: list[str] | None = None, **settings: str) -> None:
        """Start it, and wait until it says that it is ready."""
        process = self.launch(words, **settings)
        until = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"{self.api.base}/readyz", timeout=5):
                    return
            except OSError:
                gone = process.poll() is not None
                if gone or time.monotonic() > until:
                    self.kill()
                    raise AssertionError(f"not started:\n{self.log_path.read_text()}") from None
                time.sleep(0.05)

    def fails(self, **settings: str) -> str:
        """It refuses to start; what it says."""
        assert self.launch(**settings).wait(60) == 1
        return self.log_path.read_text()

    def stop(self, seconds: float = 30.0) -> int:
        """SIGTERM; its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("the service did not stop") from None

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def log(self) -> list[dict[str, Any]]:
        """Every line is JSON: what is not (a traceback, a warning of Python's) fails here."""
        return [json.loads(line) for line in self.log_path.read_text().splitlines() if line]

    def complaints(self) -> list[dict[str, Any]]:
        """Errors in the log: nothing a peer does is one."""
        return [li for li in self.log() if li.get("level") in ("error", "critical")]
