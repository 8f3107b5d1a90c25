"""LiveKit's messages: what we ask of its SIP service, and what a room shows of a caller. Pure.

Read in livekit/protocol 1.50 and livekit/sip (2026-08), not measured against the real service.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

from google.protobuf.duration_pb2 import Duration
from livekit.protocol import models, room, sip, webhook

from telephony.accounts.model import MediaEncryption, Transport, Trunk
from telephony.base.number import is_e164, to_e164, to_trunk
from telephony.calls.ports import DialRequest
from telephony.carriers.words import MAX_EXTENSION_SIZE, MAX_EXTENSIONS, clean, outbound_headers

CLAIM = "telephony.leg"
"""Attribute that we give to a caller whom we have taken: the leg's name."""
_HEADER = "sip.h."
_TRANSPORTS = {
    "udp": sip.SIP_TRANSPORT_UDP,
    "tcp": sip.SIP_TRANSPORT_TCP,
    "tls": sip.SIP_TRANSPORT_TLS,
}
_ENCRYPTIONS = {
    MediaEncryption.DISABLE: sip.SIP_MEDIA_ENCRYPT_DISABLE,
    MediaEncryption.ALLOW: sip.SIP_MEDIA_ENCRYPT_ALLOW,
    MediaEncryption.REQUIRE: sip.SIP_MEDIA_ENCRYPT_REQUIRE,
}
MAX_CALL_MARGIN = 60.0
"""Seconds that LiveKit lets a call go on beyond our own end of it: for when we are gone."""


class CallStatus(StrEnum):
    """``sip.callStatus``. ``automation``: keys are being pressed; the call is answered."""

    DIALING = "dialing"
    RINGING = "ringing"
    AUTOMATION = "automation"
    ACTIVE = "active"
    HANGUP = "hangup"
    UNKNOWN = ""


_STATUSES = {status.value: status for status in CallStatus}


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A SIP participant as its room shows it. ``sid`` is another each time it joins."""

    identity: str
    sid: str
    status: CallStatus
    attributes: dict[str, str] = field(default_factory=dict)
    joined_at: int = 0

    @property
    def taken_by(self) -> str:
        """The leg that has taken this caller, whatever process it is of; "" for nobody."""
        return self.attributes.get(CLAIM, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What of a webhook matters to us."""

    id: str
    event: str
    room: str
    identity: str = ""
    sid: str = ""
    is_sip: bool = False
    reason: models.DisconnectReason = models.UNKNOWN_REASON


def invite(trunk: Trunk, request: DialRequest, room_name: str) -> sip.CreateSIPParticipantRequest:
    """The order to dial. It is answered when the callee has answered, or will not."""
    asked = sip.CreateSIPParticipantRequest(
        sip_call_to=_user(request.to, trunk),
        sip_number=_user(request.from_number, trunk),
        room_name=room_name,
        participant_identity=request.leg,
        participant_name=request.to,
        participant_attributes={CLAIM: request.leg},
        dtmf=request.digits,
        headers=dict(outbound_headers(trunk.headers, request.headers)),
        ringing_timeout=_duration(request.ring_seconds),
        max_call_duration=_duration(request.max_seconds + MAX_CALL_MARGIN),
        wait_until_answered=True,
    )
    asked.media.encryption = _ENCRYPTIONS[trunk.media_encryption]
    if request.from_name:
        asked.display_name = clean(request.from_name)
    if trunk.livekit_trunk:
        asked.sip_trunk_id = trunk.livekit_trunk
    else:
        asked.trunk.CopyFrom(_outbound(trunk))
    return asked


def transfer(
    room_name: str, identity: str, to: str, headers: dict[str, str], ring_seconds: float
) -> sip.TransferSIPParticipantRequest:
    """The order to send a caller elsewhere by REFER."""
    return sip.TransferSIPParticipantRequest(
        participant_identity=identity,
        room_name=room_name,
        transfer_to=to if to.lower().startswith(("sip:", "sips:", "tel:")) else f"tel:{to}",
        headers=dict(outbound_headers(headers)),
        ringing_timeout=_duration(ring_seconds),
    )


def claim(room_name: str, identity: str, leg: str) -> room.UpdateParticipantRequest:
    """Write on a caller who has taken him."""
    return room.UpdateParticipantRequest(room=room_name, identity=identity, attributes={CLAIM: leg})


def party(info: models.ParticipantInfo) -> Party | None:
    """A participant, where it is a SIP participant that has not gone."""
    if info.kind != models.ParticipantInfo.SIP:
        return None
    if info.state == models.ParticipantInfo.DISCONNECTED:
        return None
    attributes = dict(info.attributes)
    return Party(
        identity=info.identity,
        sid=info.sid,
        status=_STATUSES.get(attributes.get("sip.callStatus", ""), CallStatus.UNKNOWN),
        attributes=attributes,
        joined_at=info.joined_at,
    )


def notice(event: webhook.WebhookEvent) -> Notice | None:
    """None: nothing of it concerns a call."""
    if not event.room.name:
        return None
    info = event.participant
    return Notice(
        id=event.id,
        event=event.event,
        room=event.room.name,
        identity=info.identity,
        sid=info.sid,
        is_sip=info.kind == models.ParticipantInfo.SIP,
        reason=info.disconnect_reason,
    )


def dialled(found: Party, trunk: Trunk) -> str:
    """What the caller dialled: E.164 by the trunk's rules, or as it came."""
    text = clean(found.attributes.get("sip.trunkPhoneNumber", ""))
    return to_e164(text, trunk.rules) or text


def caller(found: Party, trunk: Trunk) -> str:
    """Who calls; LiveKit leaves it out where the trunk hides numbers."""
    text = clean(found.attributes.get("sip.phoneNumber", ""))
    return to_e164(text, trunk.rules) or text or "anonymous"


def received_headers(found: Party) -> dict[str, str]:
    """Headers of the INVITE that the trunk's ``include_headers`` lets through: those in ``X-``."""
    kept: dict[str, str] = {}
    for name, value in found.attributes.items():
        header = name.removeprefix(_HEADER)
        if header == name or not header.lower().startswith("x-"):
            continue
        if len(kept) == MAX_EXTENSIONS:
            break
        # LiveKit writes names in small letters; ours are as carriers and people write them.
        kept[clean(header.title())] = clean(value, MAX_EXTENSION_SIZE)
    return kept


def _outbound(trunk: Trunk) -> sip.SIPOutboundConfig:
    """A trunk that LiveKit does not know: its first gateway, told along with each call."""
    # LiveKit wants a bare host: scheme, user and parameters are told in members of their own.
    text = trunk.gateways[0].strip().removeprefix("sip:").rpartition("@")[2]
    host, _, parameters = text.partition(";")
    transport = "tcp" if trunk.transport is Transport.TCP else "udp"
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.lower() == "transport" and value.lower() in _TRANSPORTS:
            transport = value.lower()
    return sip.SIPOutboundConfig(
        hostname=host,
        transport=_TRANSPORTS[transport],
        auth_username=trunk.username,
        auth_password=trunk.password,
    )


def _user(number: str, trunk: Trunk) -> str:
    return to_trunk(number, trunk.rules) if is_e164(number) else number


def _duration(seconds: float) -> Duration:
    return Duration(seconds=max(1, math.ceil(seconds)))
