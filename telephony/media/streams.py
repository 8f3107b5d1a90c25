"""What was agreed on for each lane, and our side of its numbering."""

from __future__ import annotations

import numpy as np

from telephony.media.columns import Codes, Columns, Counts, Flags, Floats, Shorts, Words

NO_TYPE = -1
"""Payload type of a lane that agreed on none."""
NEVER = float("inf")


class Streams(Columns):
    """A row a lane; ``hears`` and ``sends`` are our view of the direction."""

    LAYOUT = {
        "hears": (np.bool_, (), False),
        "sends": (np.bool_, (), False),
        "law": (np.uint8, (), 0),
        "voice_type": (np.int16, (), NO_TYPE),
        "event_type": (np.int16, (), NO_TYPE),
        "sequence": (np.uint16, (), 0),
        "timestamp": (np.uint32, (), 0),
        "ssrc": (np.uint32, (), 0),
        "marker": (np.bool_, (), True),
        "sent": (np.int64, (), 0),
        "loud": (np.bool_, (), False),
        "quiet_since": (np.float64, (), 0.0),
        "timed_out": (np.bool_, (), False),
        "report_due": (np.float64, (), NEVER),
    }
    hears: Flags
    sends: Flags
    law: Codes
    voice_type: Counts
    event_type: Counts
    sequence: Shorts
    timestamp: Words
    ssrc: Words
    marker: Flags
    sent: Counts
    loud: Flags
    """The packet row holds something else than silence."""
    quiet_since: Floats
    """When the far end was heard last, or was first allowed to be."""
    timed_out: Flags
    report_due: Floats
