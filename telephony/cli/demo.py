"""``telephony demo``: the service, a caller in a process of its own, and one real call."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

START_SECONDS = 60.0
CALL_SECONDS = 120.0
SIP_PORT, API_PORT = 5060, 8080
TONE_SECONDS = 2.0

console = Console(highlight=False, soft_wrap=True)


class Failed(Exception):
    """The demo did not come to its end; the message names the step."""


def free(port: int, *kinds: socket.SocketKind) -> bool:
    """Whether nobody has the port on loopback."""
    for kind in kinds:
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def some_port(*kinds: socket.SocketKind) -> int:
    """A port that is free for all of the kinds."""
    while True:
        with socket.socket(socket.AF_INET, kinds[0]) as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if free(port, *kinds):
            return port


@dataclass
class Place:
    """Where the demo's service runs."""

    sip: int
    api: int
    folder: Path
    settings: dict[str, str]


def place() -> Place:
    """The embedded defaults, or free ports and a temporary folder where a port is taken."""
    both = (socket.SOCK_DGRAM, socket.SOCK_STREAM)
    taken = [str(SIP_PORT)] if not free(SIP_PORT, *both) else []
    taken += [str(API_PORT)] if not free(API_PORT, socket.SOCK_STREAM) else []
    if not taken:
        return _placed(SIP_PORT, API_PORT, "var")
    # The folder stays: the recording is there to be listened to afterwards.
    folder = tempfile.mkdtemp(prefix="telephony-demo-")
    sip, api = some_port(*both), some_port(socket.SOCK_STREAM)
    console.print(
        f"Port {' and '.join(taken)} is taken: SIP on {sip}, API on {api}, data in {folder}"
    )
    return _placed(sip, api, folder)


def _placed(sip: int, api: int, folder: str) -> Place:
    # Said in full: whatever else is set on this machine, the caller must find the service there.
    return Place(
        sip,
        api,
        Path(folder).resolve(),
        {
            "TELEPHONY_SIP_HOST": "127.0.0.1",
            "TELEPHONY_SIP_PORT": str(sip),
            "TELEPHONY_API_HOST": "127.0.0.1",
            "TELEPHONY_API_PORT": str(api),
            "TELEPHONY_DATA_DIR": folder,
        },
    )


class Client:
    """The service's API, as any program uses it."""

    def __init__(self, port: int, key: str) -> None:
        self._base = f"http://127.0.0.1:{port}"
        self._headers = {"Authorization": f"Bearer {key}"}

    def get(self, path: str) -> Any:
        """The JSON of a GET, or None where there is nothing yet."""
        request = urllib.request.Request(self._base + path, headers=self._headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                return json.loads(reply.read())
        except (OSError, ValueError):
            return None


class Lines:
    """What a child process prints, without waiting for it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._queue: queue.Queue[str] = queue.Queue(10_000)
        assert process.stdout is not None
        stream = process.stdout

        def read() -> None:
            for line in stream:
                self._queue.put(line.rstrip("\n"))

        threading.Thread(target=read, daemon=True).start()

    def take(self) -> list[str]:
        lines = []
        with contextlib.suppress(queue.Empty):
            while True:
                lines.append(self._queue.get_nowait())
        return lines


class Demo:
    """One run: prints what happens as it happens, raises ``Failed`` with the step's name."""

    def __init__(self, where: Place) -> None:
        self._where = where
        self._key = f"sk_live_{secrets.token_urlsafe(24)}"
        self._client = Client(where.api, self._key)
        self._printed = 0
        self._began: float | None = None
        self._session: str | None = None
        self._known: set[str] = set()

    def run(self) -> None:
        environment = {
            **os.environ,
            **self._where.settings,
            "TELEPHONY_API_KEY": self._key,
            "TELEPHONY_LOG_LEVEL": "WARNING",
            "TELEPHONY_DRAIN_SECONDS": "2",
        }
        service = subprocess.Popen(
            [sys.executable, "-m", "telephony", "serve"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = Lines(service)
        try:
            self._await_service(service, said)
            self._call(service, said)
            self._report()
        finally:
            service.terminate()
            try:
                service.wait(15)
            except subprocess.TimeoutExpired:
                service.kill()
                service.wait()
            for line in said.take():
                console.print(f"[dim]service: {line}[/dim]")

    def _await_service(self, service: subprocess.Popen[str], said: Lines) -> None:
        began = time.monotonic()
        while self._client.get("/readyz") is None:
            if service.poll() is not None or time.monotonic() - began > START_SECONDS:
                raise Failed("start the service: " + " / ".join(said.take()[-5:]))
            time.sleep(0.1)
        self._known = set(self._sessions())
        console.print(
            f"[bold]service[/bold]  ready after {time.monotonic() - began:.1f} s:"
            f" API http://127.0.0.1:{self._where.api}, SIP 127.0.0.1:{self._where.sip}"
        )

    def _sessions(self) -> list[str]:
        page = self._client.get("/v1/sessions?limit=20") or {"entries": []}
        return [row["sessionId"] for row in page["entries"]]

    def _call(self, service: subprocess.Popen[str], said: Lines) -> None:
        uri = f"sip:front-desk@127.0.0.1:{self._where.sip}"
        console.print(f"[bold]caller[/bold]   a process of its own calls {uri}")
        caller = subprocess.Popen(
            [sys.executable, "-m", "telephony.testing.caller", uri],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        steps = Lines(caller)
        missed: str | None = None
        until = time.monotonic() + CALL_SECONDS
        try:
            while True:
                over = caller.poll() is not None
                for line in said.take():
                    console.print(f"[dim]service: {line}[/dim]")
                for line in steps.take():
                    missed = self._step(line) or missed
                self._events()
                if over:
                    break
                if service.poll() is not None:
                    raise Failed("keep the service running: it ended")
                if time.monotonic() > until:
                    raise Failed("end the call in time")
                time.sleep(0.05)
        finally:
            if caller.poll() is None:
                caller.kill()
            caller.wait()
        for line in steps.take():
            missed = self._step(line) or missed
        if missed is not None:
            raise Failed(missed)
        if caller.returncode != 0:
            raise Failed(f"run the caller: it ended with {caller.returncode}")

    def _step(self, line: str) -> str | None:
        """Print a step of the caller; what did not happen comes back."""
        try:
            step = json.loads(line)
            name, ok, detail = str(step["step"]), bool(step["ok"]), str(step["detail"])
        except (ValueError, KeyError, TypeError):
            console.print(f"[dim]caller: {line}[/dim]", markup=False)
            return None
        mark = "[green]✓[/green]" if ok else "[red]✗[/red]"
        console.print(f"{self._elapsed()} {mark} [bold]caller[/bold]   {name}", end="")
        console.print(f"  [dim]{detail}[/dim]" if detail else "")
        return None if ok else f"{name}: {detail}"

    def _elapsed(self) -> str:
        if self._began is None:
            self._began = time.monotonic()
        return f"{time.monotonic() - self._began:7.2f} s"

    def _events(self) -> None:
        if self._session is None:
            new = [s for s in self._sessions() if s not in self._known]
            if not new:
                return
            self._session = new[0]
        page = self._client.get(f"/v1/calls/{self._session}/events") or {"events": []}
        for event in page["events"][self._printed :]:
            console.print(f"{self._elapsed()} · [cyan]{event['event_type']}[/cyan]{told(event)}")
        self._printed = max(self._printed, len(page["events"]))

    def _report(self) -> None:
        until = time.monotonic() + 15
        report = None
        while report is None:
            self._events()
            if self._session is not None:
                report = self._client.get(f"/v1/calls/{self._session}/report")
            if time.monotonic() > until:
                raise Failed("write the report: there is none")
            time.sleep(0.1)
        self._events()
        console.print()
        assert self._session is not None
        found = sorted((self._where.folder / "recordings").glob(f"*/*/{self._session}*.wav"))
        console.print(table(report))
        check(report, found)


def told(event: dict[str, Any]) -> str:
    """The part of an event's payload that a person wants to see on one line."""
    payload = event["payload"]
    kind = event["event_type"]
    if kind == "call.prompt.played":
        heard, total = payload["heard_ms"] / 1000, payload["total_ms"] / 1000
        said = payload["heard_text"] or payload["source"]
        return f"  {heard:.1f} of {total:.1f} s, {payload['reason']}: “{said[:60]}”"
    if kind == "call.dtmf.received":
        return f"  {payload['digit']}"
    if kind == "call.recording.ready":
        return f"  {payload['kind']}, {payload['duration_ms'] / 1000:.1f} s"
    if kind in ("call.hangup", "call.leg.hangup"):
        return f"  {event['status']}, by {payload['ended_by']}"
    if kind == "call.initiated":
        return f"  {payload.get('from_number', '')} → {payload.get('dialled', '')}"
    return ""


def table(report: dict[str, Any]) -> Table:
    """The CallReport as a table."""
    shown = Table(title="CallReport", show_header=False, title_justify="left")
    shown.add_column(style="bold")
    shown.add_column(overflow="fold")
    for name in ("session_id", "outcome", "summary"):
        shown.add_row(name, str(report[name]))
    entries = report["transcript"]["entries"]
    shown.add_row("transcript", "\n".join(f"{t['source']}: {t['text']}" for t in entries))
    artifacts = report["artifacts"]
    timings = ", ".join(
        f"{name.removesuffix('_ms').replace('_', ' ')} {value} ms"
        for name, value in artifacts["timings"].items()
        if value is not None
    )
    shown.add_row("timings", timings)
    for leg, quality in artifacts["media_quality"].items():
        kept = ("codec", "packets_received", "packets_sent", "lost", "late", "jitter_ms", "mos")
        words = ", ".join(f"{k.replace('_', ' ')} {quality.get(k)}" for k in kept)
        shown.add_row(f"media of {leg.partition('-')[0]}", words)
    for message in artifacts["messages"]:
        shown.add_row("message", f"{message['duration_ms'] / 1000:.1f} s, {message['ended_by']}")
    return shown


def check(report: dict[str, Any], found: list[Path]) -> None:
    """The call's recording has two channels, and the message is as long as what was left."""
    whole = [path for path in found if path.stem == report["session_id"]]
    if not whole:
        raise Failed("record the call: there is no recording")
    with wave.open(str(whole[0])) as recording:
        if recording.getnchannels() != 2:
            raise Failed("record the call: the recording has not two channels")
        seconds = recording.getnframes() / recording.getframerate()
    messages = report["artifacts"]["messages"]
    if len(messages) != 1 or len(found) != 2:
        raise Failed(f"keep the message: there are {len(messages)}")
    left = messages[0]["duration_ms"] / 1000
    if not TONE_SECONDS - 0.2 <= left <= TONE_SECONDS + 2.0:
        raise Failed(f"keep the message: it has {left:.1f} s, {TONE_SECONDS:g} s were left")
    console.print(f"\nThe call, {seconds:.1f} s in two channels (the caller left):\n  {whole[0]}")
    message = next(path for path in found if path != whole[0])
    console.print(f"The message that was left, {left:.1f} s:\n  {message}")


def run() -> int:
    """Exit status 0 when every step happened, else 1 with the step's name."""
    try:
        Demo(place()).run()
    except Failed as failed:
        console.print(f"\n[red bold]The demo did not come to its end:[/red bold] {failed}")
        return 1
    except KeyboardInterrupt:
        console.print("\ninterrupted")
        return 1
    console.print("\n[green bold]Every step happened.[/green bold]")
    return 0
