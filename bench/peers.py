"""What the same generator meets instead of us, each a process on one core.

Each peer is a context manager; ``missing`` says why one is not here. What comes from Debian:
baresip (baresip-core), sipp (sip-tester), rtpengine (rtpengine-daemon). What comes from PyPI is
in ``requirements.txt``.
"""

from __future__ import annotations

import importlib.util
import math
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from bench import native
from bench.harness import free_port, pinned
from bench.ng import Engine

BARESIP_CALLS = 250
"""The 256th call at once is answered 500."""
AGENT_CALLS = 100
AGENT_PORT = 5060
"""It takes no other."""
ECHOES = {
    "echo": "bare echo, C",
    "epoll": "bare echo, Python epoll",
    "uvloop": "bare echo, uvloop",
    "asyncio": "bare echo, asyncio",
}
MODULES = Path("/usr/lib/baresip/modules")
BARESIP = """
poll_method epoll
sip_listen 127.0.0.1:{sip}
call_local_timeout 120
call_max_calls 1000
audio_player aubridge,nobody
audio_source {source}
audio_alert aubridge,nobody
rtp_ports 20000-29999
jitter_buffer_delay 2-10
net_interface 127.0.0.1
module_path {modules}
module g711.so
module aubridge.so
module_app account.so
{more}
"""
BARESIP_CODECS = {"PCMU": "pcmu/8000/1", "PCMA": "pcma/8000/1", "G722": "g722/16000/1"}
Phone = Callable[[set[int]], AbstractContextManager[tuple[int, int]]]
"""On a core: process id and SIP port."""
PROGRAMS = {"baresip": "baresip-core", "sipp": "sip-tester", "rtpengine": "rtpengine-daemon"}


def missing(name: str) -> str | None:
    """Why a peer cannot be run here, or nothing."""
    if name in PROGRAMS:
        if shutil.which(name) is None:
            return f"not installed (Debian: {PROGRAMS[name]})"
        return None
    if importlib.util.find_spec(name) is None:
        return "not in this environment (make bench makes one that has it)"
    if name == "agent_transport" and listens(AGENT_PORT):
        return f"something else listens on port {AGENT_PORT}, and it knows no other"
    return None


def listens(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


@contextmanager
def started(
    core: set[int], command: Sequence[str | Path], *, reads: bool = False
) -> Iterator[subprocess.Popen[str]]:
    """A process on its core, killed at the end; ``reads``: its stdout is ours."""
    process = subprocess.Popen(
        [*pinned(core), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if reads else subprocess.DEVNULL,
        stderr=None if reads else subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def lives(process: subprocess.Popen[str], seconds: float) -> None:
    """Give it time to start.

    Raises:
        RuntimeError: it has ended by then.
    """
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        return
    raise RuntimeError(f"it ended at once: {code}")


@contextmanager
def echo_server(core: set[int], count: int, kind: str = "epoll") -> Iterator[tuple[int, list[int]]]:
    """A bare echo, one of ECHOES: process id and ports."""
    if kind == "echo":
        command: list[str | Path] = [native.compiled("echo"), str(count)]
    else:
        command = [sys.executable, "-m", "bench.echoes", kind, str(count)]
    with started(core, command, reads=True) as process:
        assert process.stdout is not None
        yield process.pid, [int(port) for port in process.stdout.readline().split()]


def write_tone(path: Path, seconds: int = 45) -> None:
    """A sine, 8 kHz mono. baresip keeps a copy a call, and hangs up where it ends."""
    sound = b"".join(
        struct.pack("<h", int(8000 * math.sin(2 * math.pi * 440 * n / 8000)))
        for n in range(8000 * seconds)
    )
    head = struct.pack(
        "<4sI4s4sIHHIIHH", b"RIFF", 36 + len(sound), b"WAVE", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16
    )
    path.write_bytes(head + struct.pack("<4sI", b"data", len(sound)) + sound)


@contextmanager
def baresip(
    core: set[int], *, echoes: bool = False, seconds: int = 45
) -> Iterator[tuple[int, int]]:
    """A phone that answers everybody: process id and SIP port.

    It plays a file of ``seconds``, or sends back what it hears (module echo over aubridge, so
    that each frame is decoded, bridged and coded again).
    """
    account = "<sip:bench@127.0.0.1>;regint=0;answermode={mode};audio_codecs=pcmu/8000/1\n"
    with tempfile.TemporaryDirectory(prefix="bench-baresip-") as name:
        folder, port = Path(name), free_port()
        if echoes:
            source, more = "aubridge,nobody", "module_app menu.so\nmodule_app echo.so"
        else:
            write_tone(folder / "sound.wav", seconds)
            source = f"aufile,{folder / 'sound.wav'}"
            more = "module aufile.so\nmodule_app menu.so"
        (folder / "config").write_text(
            BARESIP.format(sip=port, source=source, modules=MODULES, more=more)
        )
        (folder / "accounts").write_text(account.format(mode="manual" if echoes else "auto"))
        (folder / "contacts").touch()
        with started(core, ["baresip", "-f", name, "-n", "127.0.0.1"]) as process:
            lives(process, 2)
            yield process.pid, port


@contextmanager
def baresip_bridge(core: set[int], gateway: int, codec: str) -> Iterator[tuple[int, int]]:
    """A phone whose module b2bua joins each call with one that it places to ``gateway``."""
    inward = "<sip:in@127.0.0.1>;regint=0;answermode=manual;b2bua=inbound;audio_codecs=pcmu/8000/1"
    outward = (
        f"<sip:out@127.0.0.1>;regint=0;b2bua=outbound;audio_codecs={BARESIP_CODECS[codec]}"
        f';outbound="sip:127.0.0.1:{gateway}"'
    )
    with tempfile.TemporaryDirectory(prefix="bench-baresip-") as name:
        folder, port = Path(name), free_port()
        more = "module g722.so\nmodule_app menu.so\nmodule_app b2bua.so"
        (folder / "config").write_text(
            BARESIP.format(sip=port, source="aubridge,nobody", modules=MODULES, more=more)
        )
        (folder / "accounts").write_text(f"{inward}\n{outward}\n")
        (folder / "contacts").touch()
        with started(core, ["baresip", "-f", name, "-n", "127.0.0.1"]) as process:
            lives(process, 2)
            yield process.pid, port


@contextmanager
def sipp(core: set[int]) -> Iterator[tuple[int, int]]:
    """sipp's own answerer: a 200, then the caller's BYE; no media, no records."""
    port = free_port()
    command = ["sipp", "-sn", "uas", "-nostdin", "-p", str(port), "-i", "127.0.0.1"]
    with started(core, command) as process:
        lives(process, 1)
        yield process.pid, port


@contextmanager
def rtpengine(core: set[int]) -> Iterator[tuple[int, int]]:
    """rtpengine in user space, one worker: process id and control port.

    Raises:
        RuntimeError: it does not answer.
    """
    port = free_port()
    command = ["rtpengine", "--table=-1", "--interface=127.0.0.1", f"--listen-ng=127.0.0.1:{port}"]
    command += ["--foreground", "--log-stderr", "--log-level=3", "--num-threads=1"]
    command += ["--port-min=10000", "--port-max=29999", "--no-log-timestamps"]
    with started(core, command) as process:
        engine = Engine(port)
        deadline = time.monotonic() + 10
        while True:
            try:
                engine.ask("ping")
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise RuntimeError("rtpengine did not start") from None
                time.sleep(0.2)
        yield process.pid, port


@contextmanager
def agent(core: set[int]) -> Iterator[int]:
    """agent-transport's endpoint; the generator must be its registrar. Process id."""
    with started(core, [sys.executable, "-m", "bench.agents"], reads=True) as process:
        yield process.pid
