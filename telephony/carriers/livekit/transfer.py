"""Blind transfer: TransferSIPParticipant, asked once."""

from __future__ import annotations

import structlog
from livekit.api import ServerError
from livekit.protocol import sip

from telephony.base.errors import Unavailable
from telephony.calls.outcome import Cause
from telephony.calls.ports import ReferResult
from telephony.carriers.livekit import causes
from telephony.carriers.livekit.config import LiveKitConfig
from telephony.carriers.livekit.service import LiveKitService

log = structlog.get_logger("telephony.livekit")


async def transferred(
    service: LiveKitService, config: LiveKitConfig, asked: sip.TransferSIPParticipantRequest
) -> ReferResult:
    """What came of it; returns when that is known, or will not be."""
    try:
        return causes.refer_result(
            await service.transfer(asked, config.transfer_ring + config.ring_margin)
        )
    except ServerError as error:
        log.info("livekit.transfer_refused", leg=asked.participant_identity, code=error.code)
        return causes.refer_error(error)
    except Unavailable as error:
        # The target may be ringing: nothing is dialled beside it. Who has gone was transferred.
        leg = asked.participant_identity
        log.warning("livekit.transfer_unconfirmed", leg=leg, error=error.message)
        gone = await _has_gone(service, asked)
        return ReferResult(gone, True, None, None if gone else Cause.NETWORK)


async def _has_gone(service: LiveKitService, asked: sip.TransferSIPParticipantRequest) -> bool:
    try:
        return await service.party(asked.room_name, asked.participant_identity) is None
    except Unavailable:
        return False
