"""The table of verbs: a row has its class and the phases of the call in which it is legal."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from telephony.ivr.model import Verb
from telephony.ivr.verbs.answer import Answer
from telephony.ivr.verbs.dial import Dial
from telephony.ivr.verbs.gather import Gather
from telephony.ivr.verbs.goto import Goto
from telephony.ivr.verbs.hangup import Hangup
from telephony.ivr.verbs.if_ import If
from telephony.ivr.verbs.join_room import JoinRoom
from telephony.ivr.verbs.menu import Menu
from telephony.ivr.verbs.play import Play
from telephony.ivr.verbs.queue_callback import QueueCallback
from telephony.ivr.verbs.record import Record
from telephony.ivr.verbs.reject import Reject
from telephony.ivr.verbs.ring import Ring
from telephony.ivr.verbs.say import Say
from telephony.ivr.verbs.set import Set
from telephony.ivr.verbs.transfer import Transfer


class Phase(Enum):
    """Where the call is: offered to us, or picked up."""

    OFFERED = "before the answer"
    ANSWERED = "after the answer"


@dataclass(frozen=True, slots=True)
class Row:
    """A verb. One that is not legal while the call is offered answers it first; one that is not
    legal after the answer must not be reachable there.
    """

    verb: type[Verb]
    phases: frozenset[Phase]


_BOTH = frozenset(Phase)
_OFFERED = frozenset({Phase.OFFERED})
_ANSWERED = frozenset({Phase.ANSWERED})

VERBS: dict[str, Row] = {
    row.verb.VERB: row
    for row in (
        Row(Answer, _BOTH),
        Row(Dial, _ANSWERED),
        Row(Gather, _ANSWERED),
        Row(Goto, _BOTH),
        Row(Hangup, _BOTH),
        Row(If, _BOTH),
        Row(JoinRoom, _ANSWERED),
        Row(Menu, _ANSWERED),
        Row(Play, _ANSWERED),
        Row(QueueCallback, _BOTH),
        Row(Record, _ANSWERED),
        Row(Reject, _OFFERED),
        Row(Ring, _OFFERED),
        Row(Say, _ANSWERED),
        Row(Set, _BOTH),
        Row(Transfer, _ANSWERED),
    )
}
