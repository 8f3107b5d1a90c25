"""Settings: the environment (``TELEPHONY_*``) first, then ``telephony.toml``, then defaults.

Unknown keys are refused with the nearest known one. An error names the setting and where its
value came from. ``app.py`` makes the packages' own configurations of what stands here.
"""

from telephony.settings.kinds import MediaTimeout, PortRange
from telephony.settings.load import Loaded, load
from telephony.settings.model import PREFIX, Settings
from telephony.settings.secret import ensure_node, ensure_secret
from telephony.settings.show import MASK

__all__ = [
    "MASK",
    "PREFIX",
    "Loaded",
    "MediaTimeout",
    "PortRange",
    "Settings",
    "ensure_node",
    "ensure_secret",
    "load",
]
