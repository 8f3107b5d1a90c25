"""rtpengine's control protocol (ng): bencoded dictionaries over UDP, as much as a bench needs."""

from __future__ import annotations

import re
import socket
from typing import Any

PATIENCE = 2.0


def bencode(value: object) -> bytes:
    """Dictionaries, lists, text, octets and whole numbers, as BitTorrent writes them."""
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, str):
        return bencode(value.encode())
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, list):
        return b"l" + b"".join(map(bencode, value)) + b"e"
    if isinstance(value, dict):
        pairs = sorted((str(key), item) for key, item in value.items())
        return b"d" + b"".join(bencode(key) + bencode(item) for key, item in pairs) + b"e"
    raise TypeError(f"{value!r} has no bencoding")


def bdecode(data: bytes) -> Any:
    """The value that ``data`` begins with; text as str.

    Raises:
        ValueError: it is cut off or not bencoded.
    """
    return _decode(data, 0)[0]


def _decode(data: bytes, at: int) -> tuple[Any, int]:
    kind = data[at : at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1 : end]), end + 1
    if kind in (b"l", b"d"):
        items = []
        at += 1
        while data[at : at + 1] != b"e":
            if at >= len(data):
                raise ValueError("cut off")
            item, at = _decode(data, at)
            items.append(item)
        if kind == b"l":
            return items, at + 1
        return dict(zip(items[::2], items[1::2], strict=True)), at + 1
    colon = data.index(b":", at)
    end = colon + 1 + int(data[at:colon])
    if end > len(data):
        raise ValueError("cut off")
    return data[colon + 1 : end].decode("latin-1"), end


class Engine:
    """An rtpengine that is asked one thing at a time."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(("127.0.0.1", port))
        self._asked = 0

    def ask(self, command: str, **words: object) -> dict[str, Any]:
        """Its answer, which said that it worked.

        Raises:
            OSError: no answer. RuntimeError: it refused.
        """
        self._asked += 1
        # It remembers answers by this: no two askers may use the same.
        cookie = f"{self._socket.getsockname()[1]}_{self._asked}"
        plain = {name.replace("_", "-"): value for name, value in words.items()}
        self._socket.send(f"{cookie} ".encode() + bencode({"command": command, **plain}))
        while True:
            mark, _, body = self._socket.recv(65536).partition(b" ")
            if mark.decode() == cookie:
                break
        found: dict[str, Any] = bdecode(body)
        if found.get("result") not in ("ok", "pong"):
            raise RuntimeError(f"rtpengine: {found.get('error-reason', found)}")
        return found

    def connect(self, name: str, offer: str, answer: str, codecs: tuple[str, str]) -> list[int]:
        """A call between who offers and who answers: the port to talk to of each.

        ``codecs``: what each side speaks; the second is asked of the far side by transcoding.
        """
        one, other = codecs
        words: dict[str, object] = {"call-id": name, "from-tag": "a"}
        if one != other:
            words["codec"] = {"mask": [one], "transcode": [other]}
        offered = self.ask("offer", sdp=offer, replace=["origin"], ICE="remove", **words)
        answered = self.ask(
            "answer", **{"call-id": name, "from-tag": "a", "to-tag": "b"}, sdp=answer, ICE="remove"
        )
        return [media_port(answered["sdp"]), media_port(offered["sdp"])]


def media_port(sdp: str) -> int:
    found = re.search(r"(?m)^m=audio (\d+)", sdp)
    if found is None:
        raise RuntimeError("an SDP without sound")
    return int(found.group(1))
