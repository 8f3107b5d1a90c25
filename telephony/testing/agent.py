"""The example agent worker as a process of its own, in its own environment, for tests."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from telephony.testing.livekit import LiveKit

PYTHON = Path(__file__).parents[2] / ".venv-agents" / "bin" / "python"
START = 60.0
"""Seconds until it is registered and warm. It takes three on a machine with nothing else to do."""


class AgentWorker:
    """``telephony-agent dev`` against a LiveKit server; use as a context manager.

    It answers calls that are dispatched to ``name``. Give each test's worker a name of its own:
    the server hands a dispatch to any worker that has it.

    Raises:
        RuntimeError: the environment is not there (``make agents``), or it does not start.
    """

    def __init__(
        self,
        livekit: LiveKit,
        *,
        api_key: str,
        api_url: str = "",
        name: str = "telephony",
        script: str = "",
        idle: int = 1,
        program: Sequence[str] = ("-m", "telephony.agents", "dev"),
        ready: Sequence[str] = ("agent.registered", "agent.warm"),
    ) -> None:
        """Nothing runs yet.

        Args:
            api_key: of the service, scopes read and dial.
            api_url: of the service; empty: as the dispatch says.
            script: YAML of ``telephony/agents/script.py``; empty: the one that ships.
            idle: processes kept warm; a call beyond waits three seconds for its own.
            program: another worker's, for Python.
            ready: what it has written when calls may come.
        """
        self._program, self._ready = program, ready
        self.name = name
        self._folder = tempfile.TemporaryDirectory(prefix="telephony-agent-")
        self._process: subprocess.Popen[bytes] | None = None
        port = _free_port()
        self.health_url = f"http://127.0.0.1:{port}/worker"
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("TELEPHONY_", "LIVEKIT_"))},
            "LIVEKIT_URL": livekit.url,
            "LIVEKIT_API_KEY": livekit.key,
            "LIVEKIT_API_SECRET": livekit.secret,
            "TELEPHONY_API_KEY": api_key,
            "TELEPHONY_API_URL": api_url,
            "TELEPHONY_LIVEKIT_AGENT": name,
            "TELEPHONY_AGENT_HEALTH_PORT": str(port),
            "TELEPHONY_AGENT_IDLE_PROCESSES": str(idle),
        }
        if script:
            path = Path(self._folder.name) / "script.yaml"
            path.write_text(script, encoding="utf-8")
            self._environment["TELEPHONY_AGENT_SCRIPT"] = str(path)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def log(self) -> str:
        """What it said, its last 20,000 characters."""
        path = Path(self._folder.name) / "log"
        return path.read_text(errors="replace")[-20_000:] if path.exists() else ""

    def start(self) -> None:
        """Run it until it is registered and one process is warm."""
        if not PYTHON.exists():
            raise RuntimeError(
                f"no {PYTHON}: the example worker is not installed; run: make agents"
            )
        with (Path(self._folder.name) / "log").open("ab") as said:
            self._process = subprocess.Popen(
                [str(PYTHON), *self._program],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=self._environment,
                # A group of its own: its job processes die with it where a test is killed.
                start_new_session=True,
            )
        deadline = time.monotonic() + START
        while not all(word in self.log for word in self._ready):
            if self._process.poll() is not None or time.monotonic() > deadline:
                words = self.log
                self.kill()
                raise RuntimeError(f"the agent worker did not start:\n{words}")
            time.sleep(0.05)

    def stop(self) -> None:
        """As a service manager does; killed where it does not go. Idempotent."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None
        self._folder.cleanup()

    def drain(self) -> None:
        """Ask it to go once its calls are over; ``gone`` says that it has."""
        assert self._process is not None
        self._process.terminate()

    @property
    def gone(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def kill(self) -> None:
        """It and all its calls die without a word to anybody."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def kill_calls(self) -> int:
        """The processes that are in calls die without a word; the worker lives. How many."""
        assert self._process is not None
        found = {int(pid) for pid in re.findall(r"agent\.call pid=(\d+)", self.log)}
        killed = 0
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                # The number of a call that is over may be somebody else's by now.
                if os.getsid(pid) == self._process.pid:
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
        return killed

    def cpu_seconds(self) -> dict[int, float]:
        """Processor seconds of each process of the worker so far, by its id."""
        assert self._process is not None
        spent = {}
        ticks = os.sysconf("SC_CLK_TCK")
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == self._process.pid:
                spent[int(entry.name)] = (int(fields[11]) + int(fields[12])) / ticks
        return spent


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
