"""Who calls whom, read from an INVITE, and how we write it into ours. Pure.

What a peer writes into From, P-Asserted-Identity or Remote-Party-ID is believed from trunks only
(RFC 3325 §5); a phone is who its password says, and a stranger is called what he calls himself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from telephony.accounts.model import Phone, PhoneNumber, Trunk
from telephony.base.number import NumberRules, is_e164, to_e164, to_trunk
from telephony.carriers.words import CONTROL, MAX_EXTENSION_SIZE, MAX_EXTENSIONS, clean
from telephony.sip.message import Request
from telephony.sip.uri import NameAddr, SyntaxFault, Uri

_DIALLABLE = re.compile(r"\+?[0-9]{3,}")
_ANONYMOUS = frozenset({"anonymous", "restricted", "unavailable", "unknown"})


def looks_like_number(party: str) -> bool:
    """Whether somebody who dials this means a number or an extension, not a name."""
    return _DIALLABLE.fullmatch(re.sub(r"[\s().\-]", "", party)) is not None


def party(uri: Uri) -> str:
    """The user part without its parameters (``+1202…;phone-context=…``, RFC 3261 §19.1.6)."""
    return clean((uri.user or "").partition(";")[0].strip())


def dialled_parties(request: Request) -> list[str]:
    """Who is meant, best first: Request-URI, P-Called-Party-ID (RFC 7315 §4.2), To."""
    found = [party(request.request_uri)]
    called = _address(request.headers.get("P-Called-Party-ID"))
    if called is not None:
        found.append(party(called.uri))
    found.append(party(request.to.uri))
    return [p for p in found if p]


def dialled_by_trunk(request: Request, trunk: Trunk) -> str:
    """E.164 by the trunk's rules, or as it came where it is no number.

    A registered trunk calls the Contact we gave it, whose user is our own account name: then the
    number stands behind it.
    """
    parties = dialled_parties(request)
    own = {trunk.username} - {""}
    chosen = next((p for p in parties if p not in own), parties[0] if parties else "")
    return to_e164(chosen, trunk.rules) or chosen


def dialled_by_phone(request: Request, numbers: Iterable[PhoneNumber]) -> str:
    """A number of ours where digits mean one, else what was dialled."""
    parties = dialled_parties(request)
    chosen = parties[0] if parties else ""
    if looks_like_number(chosen):
        number = to_e164(chosen, NumberRules())
        known = {n.e164 for n in numbers}
        if number is not None and (chosen.startswith("+") or number in known):
            return number
    return chosen


def caller_of_trunk(request: Request, trunk: Trunk) -> tuple[str, str]:
    """(number, name) as the trunk vouches for them."""
    address = request.from_
    for header in ("P-Asserted-Identity", "Remote-Party-ID"):
        found = _address(next(iter(request.headers.all(header)), None))
        if found is not None and found.uri.user:
            address = found
            break
    user = party(address.uri)
    if user.lower() in _ANONYMOUS:
        return "anonymous", ""
    name = clean(address.display or request.from_.display)
    return to_e164(user, trunk.rules) or user or "anonymous", name


def caller_of_phone(request: Request, phone: Phone) -> tuple[str, str]:
    """(user, name) of a phone that proved its password."""
    return phone.user, phone.name or clean(request.from_.display)


def caller_of_stranger(request: Request) -> tuple[str, str]:
    """(user, name) as the stranger wrote them."""
    return party(request.from_.uri) or "anonymous", clean(request.from_.display)


def extensions(request: Request) -> dict[str, str]:
    """The ``X-`` headers, in the order they came, within ceilings."""
    found: dict[str, str] = {}
    for name, value in request.extensions().items():
        if len(found) == MAX_EXTENSIONS:
            break
        found[clean(name)] = clean(value, MAX_EXTENSION_SIZE)
    return found


def number_for_trunk(number: str, trunk: Trunk) -> str:
    """A number as the trunk wants it; what is no E.164 number goes as it is."""
    return to_trunk(number, trunk.rules) if is_e164(number) else number


def name_addr(user: str, hostport: str, display: str = "") -> str:
    """``"Display" <sip:user@host>`` for From, To and identity headers."""
    host, port = split_hostport(hostport)
    return str(NameAddr(CONTROL.sub(" ", display), Uri("sip", user or None, None, host, port)))


def split_hostport(text: str) -> tuple[str, int | None]:
    """``host``, ``host:port`` or ``[v6]:port``; IPv6 without brackets in the result."""
    uri = Uri.parse(f"sip:{text}")
    return uri.host, uri.port


def _address(text: str | None) -> NameAddr | None:
    if text is None:
        return None
    try:
        return NameAddr.parse(text)
    except SyntaxFault:
        return None
