"""Our own SIP as a carrier: trunks, registrations, softphones."""

from telephony.carriers.trunk.carrier import TrunkCarrier
from telephony.carriers.trunk.config import TrunkConfig

__all__ = ["TrunkCarrier", "TrunkConfig"]
