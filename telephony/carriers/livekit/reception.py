"""Whose a caller is that LiveKit has put into a room, and what a call is told of him."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from datetime import datetime

from telephony.accounts.model import Trunk
from telephony.accounts.ports import Directory
from telephony.accounts.routing import find_trunk
from telephony.calls.events import LegOffered
from telephony.carriers.caps import TrunkCaps
from telephony.carriers.livekit.config import LiveKitConfig
from telephony.carriers.livekit.wire import (
    CallStatus,
    Party,
    caller,
    dialled,
    received_headers,
)

MAX_SEEN = 4096
"""Callers who are remembered after their leg, while LiveKit still lists them."""
_COMING = frozenset({CallStatus.RINGING, CallStatus.ACTIVE, CallStatus.UNKNOWN})
"""``dialing`` is a call that goes out, ``automation`` a PIN that is being asked for."""


class Reception:
    """Decides; what comes of it is the carrier's."""

    def __init__(self, config: LiveKitConfig, directory: Directory) -> None:
        self._config = config
        self._directory = directory
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()

    def see(self, room: str, party: Party) -> None:
        """This caller was dealt with, for as long as he stays."""
        self._seen[room, party.sid] = None
        if len(self._seen) > MAX_SEEN:
            self._seen.popitem(last=False)

    def has_seen(self, room: str, party: Party) -> bool:
        """Whether ``see`` was told of him."""
        return (room, party.sid) in self._seen

    def trunk_of(self, room: str, party: Party) -> Trunk | None:
        """The trunk of a caller who comes in to us; None: he does not, and is left alone.

        His room is one that a dispatch rule made for a caller of ours, and he has dialled a number
        of ours that lies on a trunk of LiveKit's, or there is only one such trunk to choose from.
        """
        if not room.startswith(self._config.inbound_prefix):
            return None
        if party.status not in _COMING or party.taken_by:
            return None
        trunks = self._directory.trunks()
        for trunk in trunks:
            number = self._directory.number(dialled(party, trunk))
            if number is None or number.organization != trunk.organization:
                continue
            mine = self._directory.trunks(trunk.organization)
            if find_trunk(mine, number.trunk or "default") == trunk:
                return trunk
        return trunks[0] if len(trunks) == 1 else None

    def offered(self, trunk: Trunk, party: Party, at: datetime) -> LegOffered:
        """What the switchboard is told; the leg has no name yet."""
        return LegOffered(
            at=at,
            leg="",
            from_number=caller(party, trunk),
            dialled=dialled(party, trunk),
            provider=trunk.provider,
            trunk=trunk.id,
            headers=received_headers(party),
        )

    def is_full(self, caps: TrunkCaps, trunk: Trunk, now: float) -> bool:
        """Whether more calls of the trunk are up than may be, this one among them.

        Calls coming in are capped by their number, not their rate.
        """
        if trunk.max_calls is None:
            return False
        beyond = replace(trunk, calls_per_second=None, max_calls=trunk.max_calls + 1)
        return caps.refusal(beyond, now) is not None
