"""A real LiveKit server of one's own on loopback, for tests, and people in its rooms.

``deploy/livekit/build.sh`` builds the server; ``make packages`` (and so ``make test``) runs it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from livekit import api

BUILD = Path(__file__).parents[2] / "deploy" / "livekit" / "build.sh"
CONFIG = BUILD.with_name("livekit.yaml")
START = 15.0
"""Seconds a server gets to answer. It takes 0.1 s on a machine with nothing else to do."""


class LiveKit:
    """``start`` first, ``stop`` last; what is between is for tests of faults.

    Attributes:
        url: for clients and for the server's own API, ``ws://127.0.0.1:port``.
        key, secret: of this server alone.

    Raises:
        RuntimeError: the server is not built, or does not start, and what it says.
    """

    def __init__(
        self,
        webhooks: Sequence[str] = (),
        room: Mapping[str, Any] | None = None,
        redis: str = "",
    ) -> None:
        """Nothing runs yet.

        Args:
            webhooks: URLs that are told what happens in rooms, signed with ``key``.
            room: differences to the server's section ``room``, ``{"departure_timeout": 1}``.
            redis: ``host:port`` of one; without it the server's SIP API answers 500.
        """
        self.binary = built("livekit-server")
        self.key = f"test{secrets.token_hex(4)}"
        self.secret = secrets.token_hex(24)
        self.port = _free_port(socket.SOCK_STREAM)
        self.udp_port = _free_port(socket.SOCK_DGRAM)
        self.url = f"ws://127.0.0.1:{self.port}"
        self._folder = Path(tempfile.gettempdir(), f"telephony-livekit-{secrets.token_hex(6)}")
        self._process: subprocess.Popen[bytes] | None = None
        # The file that ships, on ports and with a key of our own.
        self._config: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
        self._config.update(port=self.port, keys={self.key: self.secret})
        self._config["rtc"]["udp_port"] = self.udp_port
        self._config["room"].update(room or {})
        if webhooks:
            self._config["webhook"] = {"api_key": self.key, "urls": list(webhooks)}
        if redis:
            self._config["redis"] = {"address": redis}

    @property
    def settings(self) -> dict[str, str]:
        """What our service is told of this server, as environment."""
        return {
            "TELEPHONY_LIVEKIT_URL": self.url,
            "TELEPHONY_LIVEKIT_API_KEY": self.key,
            "TELEPHONY_LIVEKIT_API_SECRET": self.secret,
        }

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the server that runs.

        Raises:
            RuntimeError: none does.
        """
        if self._process is None:
            raise RuntimeError("this LiveKit server does not run")
        return self._process.pid

    def start(self) -> None:
        """Run it, on the same ports each time, until it answers. It keeps no rooms from before.

        Raises:
            RuntimeError: it does not answer, and what it says.
        """
        # JSON is YAML. From a file: what is on a command line everybody can read.
        self._folder.mkdir(mode=0o700, exist_ok=True)
        config = self._folder / "livekit.yaml"
        config.write_text(json.dumps(self._config))
        with self._log.open("ab") as said:
            self._process = subprocess.Popen(
                [str(self.binary), "--config", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=self._folder,
            )
        deadline = time.monotonic() + START
        while not self._answers():
            if not self.alive or time.monotonic() > deadline:
                words = self.log()
                self.kill()
                raise RuntimeError(f"LiveKit's server did not start:\n{words}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it and forget everything but its ports. Idempotent.

        Not by SIGTERM: then it waits until everybody has left.
        """
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def kill(self) -> None:
        """It dies without a word to anybody. Its log stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Killed, and up again on the same ports: rooms are gone, clients may come again."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """As a network that is cut: nothing is answered, no connection is closed."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """The network is back, with what its buffers kept."""
        self._send(signal.SIGCONT)

    def token(
        self,
        room: str,
        identity: str,
        *,
        kind: api.AccessToken.ParticipantKind = "standard",
        attributes: Mapping[str, str] | None = None,
        metadata: str = "",
        seconds: float = 600,
        **grants: Any,
    ) -> str:
        """What somebody joins ``room`` with.

        Args:
            kind: ``standard``, ``agent`` or ``sip``, as what others see this participant.
            seconds: until it may not be used to join any more; it may be negative.
            grants: fields of ``VideoGrants``, above what everybody has.
        """
        rights = api.VideoGrants(**{"room_join": True, "room": room, **grants})
        token = api.AccessToken(self.key, self.secret).with_identity(identity)
        token = token.with_kind(kind).with_grants(rights).with_ttl(timedelta(seconds=seconds))
        if attributes:
            token = token.with_attributes(dict(attributes))
        return token.with_metadata(metadata).to_jwt()

    def api(self) -> api.LiveKitAPI:
        """The server's own API; ``await …aclose()`` at the end, inside a running loop."""
        return api.LiveKitAPI(self.url.replace("ws", "http", 1), self.key, self.secret)

    def log(self, since: int = 0) -> str:
        """What the server said from that many bytes on: its last 80 lines, and not all of each.

        It logs whole session descriptions.
        """
        if not self._log.exists():
            return ""
        said = self._log.read_bytes()[since:].decode(errors="replace")
        return "\n".join(line[:300] for line in said.splitlines()[-80:])

    def listening(self) -> set[tuple[str, int]]:
        """Address and port of every socket that it takes datagrams or connections on."""
        inodes = set()
        for entry in Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                inodes.add(entry.readlink().name)
        found = set()
        for table, state in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
            for line in Path(f"/proc/{self.pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if f"socket:[{fields[9]}]" in inodes and fields[3] == state:
                    address, _, port = fields[1].partition(":")
                    packed = bytes.fromhex(address)
                    shown = socket.inet_ntoa(packed[::-1]) if len(packed) == 4 else address
                    found.add((shown, int(port, 16)))
        return found

    @property
    def logged(self) -> int:
        """Bytes of log so far."""
        return self._log.stat().st_size if self._log.exists() else 0

    @property
    def _log(self) -> Path:
        return self._folder / "livekit.log"

    def _answers(self) -> bool:
        asking = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)
        with contextlib.closing(asking), contextlib.suppress(OSError, http.client.HTTPException):
            asking.request("GET", "/")
            return asking.getresponse().status == 200
        return False

    def _send(self, sign: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(sign)


def built(program: str) -> Path:
    """Where ``build.sh`` put ``livekit-server`` or ``farside``.

    Raises:
        RuntimeError: it is not built, and why.
    """
    asked = subprocess.run(
        ["sh", str(BUILD), "--path", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if asked.returncode:
        raise RuntimeError(asked.stderr.strip())
    return Path(asked.stdout.strip())


def _free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
