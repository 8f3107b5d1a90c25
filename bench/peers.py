"""What the same generator meets instead of us: a bare echo, baresip, sipp."""

from __future__ import annotations

import math
import resource
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.harness import free_port, pinned

BARESIP_CALLS = 250
"""The 256th call at once is answered 500."""
BARESIP = """
poll_method epoll
sip_listen 127.0.0.1:{sip}
call_local_timeout 120
call_max_calls 1000
audio_player aubridge,nobody
audio_source aufile,{sound}
audio_alert aubridge,nobody
rtp_ports 30000-34000
jitter_buffer_delay 2-10
net_interface 127.0.0.1
module_path {modules}
module g711.so
module aufile.so
module aubridge.so
module_app account.so
module_app menu.so
"""
MODULES = Path("/usr/lib/baresip/modules")


def echo(count: int) -> None:
    """Sockets that send back what comes, and nothing else: what the kernel alone costs."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    epoll = select.epoll()
    sockets = {}
    for _ in range(count):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind(("127.0.0.1", 0))
        one.setblocking(False)
        epoll.register(one, select.EPOLLIN)
        sockets[one.fileno()] = one
    print(*(one.getsockname()[1] for one in sockets.values()), flush=True)
    buffer = bytearray(2048)
    view = memoryview(buffer)
    while True:
        for fd, _ in epoll.poll():
            size, source = sockets[fd].recvfrom_into(buffer)
            sockets[fd].sendto(view[:size], source)


@contextmanager
def echo_server(core: set[int], count: int) -> Iterator[tuple[int, list[int]]]:
    """Process id and ports."""
    command = [*pinned(core), sys.executable, "-m", "bench.peers", str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.pid, [int(port) for port in process.stdout.readline().split()]
        finally:
            process.kill()


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


def has_baresip() -> bool:
    return shutil.which("baresip") is not None and MODULES.is_dir()


@contextmanager
def baresip(core: set[int]) -> Iterator[tuple[int, int]]:
    """A phone that answers everybody and plays a file: process id and SIP port."""
    with tempfile.TemporaryDirectory(prefix="bench-baresip-") as name:
        folder, port = Path(name), free_port()
        write_tone(folder / "sound.wav")
        (folder / "config").write_text(
            BARESIP.format(sip=port, sound=folder / "sound.wav", modules=MODULES)
        )
        (folder / "accounts").write_text(
            "<sip:bench@127.0.0.1>;regint=0;answermode=auto;audio_codecs=pcmu/8000/1\n"
        )
        (folder / "contacts").touch()
        command = [*pinned(core), "baresip", "-f", name, "-n", "127.0.0.1"]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            time.sleep(2)
            yield process.pid, port
        finally:
            process.kill()
            process.wait()


def has_sipp() -> bool:
    return shutil.which("sipp") is not None


@contextmanager
def sipp(core: set[int]) -> Iterator[tuple[int, int]]:
    """sipp's own answerer: a 200, then the caller's BYE; no media, no records."""
    port = free_port()
    command = [*pinned(core), "sipp", "-sn", "uas", "-nostdin", "-p", str(port), "-i", "127.0.0.1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(1)
        yield process.pid, port
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    echo(int(sys.argv[1]))
