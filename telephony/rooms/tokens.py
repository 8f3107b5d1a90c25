"""Tokens with which browsers join LiveKit rooms."""

from __future__ import annotations

from datetime import timedelta

from livekit import api


class LiveKitTokens:
    """Implements ``calls.ports.RoomTokens`` with the key of a LiveKit server."""

    def __init__(self, url: str, key: str, secret: str) -> None:
        """``url``: of the server, ``ws``, ``wss``, ``http`` or ``https``."""
        # Browsers open a WebSocket; the settings may name the server as its own API does.
        self.url = url.replace("http", "ws", 1) if url.startswith("http") else url
        self._key = key
        self._secret = secret

    def mint(self, room: str, identity: str, seconds: int, name: str = "") -> str:
        grants = api.VideoGrants(
            room_join=True,
            room=room,
            can_publish=True,
            can_subscribe=True,
            can_publish_data=True,
        )
        token = api.AccessToken(self._key, self._secret)
        token = token.with_identity(identity).with_name(name).with_grants(grants)
        return token.with_ttl(timedelta(seconds=seconds)).to_jwt()
