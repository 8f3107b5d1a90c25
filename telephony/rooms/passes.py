"""The token with which a leg of ours enters a LiveKit room."""

from __future__ import annotations

from datetime import timedelta

from livekit import api

from telephony.calls.meeting import Meeting

SECONDS = 600
"""A token's life: for entering, since the server renews it for who is in."""


class Passes:
    """Mints tokens with the key of a LiveKit server."""

    def __init__(self, key: str, secret: str, seconds: int = SECONDS) -> None:
        self._key = key
        self._secret = secret
        self._seconds = seconds

    def token(self, meeting: Meeting) -> str:
        """As a SIP participant, so that agents treat the leg as the caller that it is."""
        grants = api.VideoGrants(
            room_join=True,
            room=meeting.room,
            can_publish=True,
            can_subscribe=True,
            can_publish_data=True,
        )
        token = api.AccessToken(self._key, self._secret)
        token = token.with_identity(meeting.identity).with_name(meeting.name).with_kind("sip")
        token = token.with_attributes(meeting.attributes).with_grants(grants)
        return token.with_ttl(timedelta(seconds=self._seconds)).to_jwt()
