"""A room that is to be gone."""

from __future__ import annotations

import structlog

from telephony.base.errors import TelephonyError
from telephony.calls.ports import AgentRooms

log = structlog.get_logger("telephony.switchboard.room")


async def close_room(agents: AgentRooms, room: str) -> bool:
    """Send everybody out of a room. False: the server did not; the room goes by itself once
    nobody is in it."""
    try:
        await agents.delete(room)
    except TelephonyError as error:
        log.warning("a room could not be closed", room=room, error=error.message)
        return False
    return True
