"""Why a session ended, read from messages."""

from __future__ import annotations

import re

from telephony.sip.events import By, Ending, EndKind
from telephony.sip.message import Request, Response
from telephony.sip.transactions.hosts import AnyClient

_CAUSE = re.compile(r"^\s*Q\.850\s*;(?:.*;)?\s*cause\s*=\s*([0-9]{1,3})", re.I)


class _Quiet:
    """The user of a transaction whose outcome decides nothing (CANCEL)."""

    def on_response(self, transaction: AnyClient, response: Response, now: float) -> None:
        """Nothing: the INVITE's own final response tells (RFC 3261 §9.1)."""

    def on_no_response(self, transaction: AnyClient, unreachable: bool, now: float) -> None:
        """Nothing, for the same reason."""


quiet = _Quiet()


def q850(message: Request | Response) -> tuple[int | None, str | None]:
    """(Q.850 cause, text) of the Reason header (RFC 3326); the text is of all its values."""
    values = message.headers.all("Reason")
    if not values:
        return None, None
    for value in values:
        found = _CAUSE.match(value)
        if found is not None and int(found[1]) <= 127:
            return int(found[1]), ", ".join(values)
    return None, ", ".join(values)


def contacts_of(response: Response) -> tuple[str, ...]:
    """The URIs of a 3xx, best ``q`` first; () for other responses, and for 305 and 380.

    305 would let the answerer choose our proxy, and 380 has no meaning for a call: both count as
    refusals.
    """
    if response.status // 100 != 3 or response.status in (305, 380):
        return ()

    def rank(value: str | None) -> float:
        try:
            return float(value) if value else 1.0
        except ValueError:
            return 1.0

    contacts = sorted(response.contacts, key=lambda c: -rank(c.param("q")))
    return tuple(str(contact.uri) for contact in contacts)


def failure(response: Response) -> Ending:
    """The ending that a final response from 300 on to our INVITE makes."""
    contacts = contacts_of(response)
    cause, text = q850(response)
    return Ending(
        EndKind.REDIRECTED if contacts else EndKind.REJECTED,
        By.REMOTE,
        response.status,
        response.reason,
        cause=cause,
        reason_header=text,
        retry_after=response.retry_after,
        contacts=contacts,
    )
