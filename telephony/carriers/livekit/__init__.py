"""LiveKit's SIP service as a carrier: it speaks SIP, we meet its callers in LiveKit rooms."""

from telephony.carriers.livekit.carrier import LiveKitCarrier
from telephony.carriers.livekit.config import LiveKitConfig

__all__ = ["LiveKitCarrier", "LiveKitConfig"]
