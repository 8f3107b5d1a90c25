"""baresip as a desk phone without a desk: no sound card, steered over TCP, what it hears in a WAV.

Its microphone is a WAV file (aufile), its ear the dump of what it decodes (sndfile), which needs a
player to hang on (aubridge, which plays to nobody).
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from telephony.audio.wav import header
from telephony.audio.wav import parse as parse_wav
from telephony.testing.audio import tone
from tests.interop.service import eventually, free_port

MODULES = Path("/usr/lib/baresip/modules")
RATE = 8000

CONFIG = """
poll_method epoll
sip_listen 127.0.0.1:{sip}
call_local_timeout 120
call_max_calls 4
audio_player aubridge,nobody
audio_source aufile,{microphone}
audio_alert aubridge,nobody
rtp_ports {rtp}-{rtp_end}
jitter_buffer_delay 2-10
net_interface 127.0.0.1
ctrl_tcp_listen 127.0.0.1:{control}
snd_path {ear}
module_path {modules}
module g711.so
module g722.so
module aufile.so
module aubridge.so
module sndfile.so
module_app account.so
module_app menu.so
module_app ctrl_tcp.so
"""


class Baresip:
    """A phone with one account at a service, where it logs in."""

    def __init__(
        self,
        folder: Path,
        registrar: str,
        user: str,
        password: str,
        *,
        answers: bool = True,
        transport: str = "udp",
        frequency: float = 700.0,
        codecs: str = "pcmu/8000/1,pcma/8000/1",
        rate: int = RATE,
        more: str = "",
    ) -> None:
        """``rate``: of its microphone and ear, which is that of its codecs; ``more``: parameters
        of its account."""
        self.folder = folder
        self.rate = rate
        self.user = user
        self.registrar = registrar
        self.ear = folder / "ear"
        self.ear.mkdir(parents=True)
        microphone = folder / "microphone.wav"
        sound = tone(frequency, 60_000, rate=rate).tobytes()
        microphone.write_bytes(header(rate, 1, len(sound) // 2) + sound)
        control, rtp = free_port(), free_port()
        (folder / "config").write_text(
            CONFIG.format(
                sip=free_port(),
                control=control,
                rtp=rtp,
                rtp_end=rtp + 7,
                microphone=microphone,
                ear=self.ear,
                modules=MODULES,
            )
        )
        (folder / "accounts").write_text(
            f"<sip:{user}@{registrar};transport={transport}>;auth_user={user};auth_pass={password}"
            f";answermode={'auto' if answers else 'manual'};regint=120"
            f";audio_codecs={codecs}{more}\n"
        )
        (folder / "contacts").touch()
        self.log_path = folder / "baresip.log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                ["baresip", "-f", str(folder), "-n", "127.0.0.1", "-s", "-v"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.events: list[dict[str, Any]] = []
        self._unread = b""
        self._port = control
        self._control: socket.socket | None = None

    def log_in(self) -> Baresip:
        """Wait until it is registered, which may be before anybody can listen to its events."""
        self.says("[1 binding]")
        assert self.control  # what happens from now on is heard of
        return self

    def says(self, text: str) -> None:
        """Wait until it is in its log."""
        eventually(f"baresip: {text}", lambda: text in self.log_path.read_text() or None, 10)

    @property
    def control(self) -> socket.socket:
        if self._control is None:
            self._control = eventually("baresip listens", self._connect, 10)
            self._control.settimeout(0.2)
        return self._control

    def _connect(self) -> socket.socket | None:
        try:
            return socket.create_connection(("127.0.0.1", self._port), 5)
        except OSError:
            return None

    # --- what it is told ----------------------------------------------------------------------

    def order(self, command: str, params: str = "") -> None:
        """One command of its menu, as a netstring of JSON."""
        said = json.dumps({"command": command, "params": params, "token": command}).encode()
        self.control.sendall(b"%d:%s," % (len(said), said))

    def dial(self, user: str) -> None:
        self.order("dial", f"sip:{user}@{self.registrar}")

    def press(self, keys: str) -> None:
        """Keys, at the pace of a finger: baresip sends each as soon as it is told."""
        for key in keys:
            self.order("sndcode", key)
            time.sleep(0.3)

    def hang_up(self) -> None:
        self.order("hangup")

    # --- what it tells ------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            data = self.control.recv(65536)
        except TimeoutError:
            return
        self._unread += data
        while b":" in self._unread:
            length, _, rest = self._unread.partition(b":")
            size = int(length)
            if len(rest) <= size:
                return
            message = json.loads(rest[:size])
            self._unread = rest[size + 1 :]
            if message.get("event"):
                self.events.append(message)

    def until(self, kind: str, seconds: float = 15.0, count: int = 1) -> dict[str, Any]:
        """Its next event of a kind, or the ``count``-th that there ever was."""

        def find() -> dict[str, Any] | None:
            self._read()
            found = [e for e in self.events if e["type"] == kind]
            return found[count - 1] if len(found) >= count else None

        try:
            return eventually(f"baresip: {kind}", find, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log_path.read_text()[-6000:]}") from None

    def stop(self) -> None:
        """It logs out and goes; its dumps are then whole."""
        if self._control is not None:
            self._control.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def heard(self) -> npt.NDArray[np.int16]:
        """What it heard in its only call, int16 (samples,) at its rate, once that call is over."""
        (path,) = self.ear.glob("*-dec.wav")
        sound = parse_wav(path.read_bytes())
        assert sound.rate == self.rate
        return sound.samples[0]
