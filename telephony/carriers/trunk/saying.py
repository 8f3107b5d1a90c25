"""What we say of ourselves and others in the requests we send: From, To, credentials, targets."""

from __future__ import annotations

from dataclasses import dataclass

from telephony.accounts.model import Phone, Trunk
from telephony.calls.ports import DialRequest
from telephony.carriers.trunk import identity
from telephony.carriers.trunk.dialing import Invitation
from telephony.carriers.trunk.gateways import gateways
from telephony.carriers.trunk.line import Line
from telephony.carriers.trunk.targets import Target
from telephony.carriers.words import outbound_headers
from telephony.sip.auth import Credentials


@dataclass(frozen=True, slots=True)
class Place:
    """Where the other party of a leg is: over a trunk, at a phone, or a stranger."""

    trunk: Trunk | None = None
    phone: Phone | None = None
    proven: bool = False

    @property
    def stranger(self) -> bool:
        """Whether it is nobody we know."""
        return self.trunk is None and self.phone is None


def invitation(
    line: Line, place: Place, request: DialRequest, target: Target, body: bytes
) -> Invitation:
    """What our INVITE says: who calls, in the words of the trunk or the phone."""
    ours = line.hostport(target.destination.address[0])
    trunk = place.trunk
    if trunk is None:
        from_ = identity.name_addr(request.from_number or "anonymous", ours, request.from_name)
        to = identity.name_addr(request.to, ours)
        headers = outbound_headers(request.headers)
        return Invitation(from_, to, tuple(headers), (), request.to, body)
    caller = request.from_number or (trunk.caller_ids[0] if trunk.caller_ids else "")
    said = identity.number_for_trunk(caller, trunk)
    found = gateways(trunk)
    # Who has an account is known by its domain; who has none, by his address.
    domain = found[0].hostport if trunk.username and found else ours
    extra = outbound_headers(trunk.headers, request.headers)
    if said:
        from_ = identity.name_addr(said, domain, request.from_name)
        extra.append(("P-Asserted-Identity", identity.name_addr(said, domain, request.from_name)))
    else:
        from_ = identity.name_addr("anonymous", "anonymous.invalid", "Anonymous")
        extra.append(("Privacy", "id"))
    credentials = credentials_of(trunk)
    return Invitation(
        from_,
        f"<{target.uri.partition(';')[0]}>",
        tuple(extra),
        credentials,
        trunk.username or said,
        body,
    )


def credentials_of(trunk: Trunk | None) -> tuple[Credentials, ...]:
    """The trunk's own, and nothing for anybody else (threat 14)."""
    if trunk is None or not trunk.username or not trunk.password:
        return ()
    return (Credentials(trunk.username, trunk.password),)


def refer_target(line: Line, place: Place, peer: str, to: str) -> str:
    """The URI that the far end shall call: as the trunk writes numbers, at its own place."""
    if to.lower().startswith(("sip:", "sips:", "tel:")):
        return to
    trunk = place.trunk
    if trunk is not None:
        found = gateways(trunk)
        if found:
            return found[0].uri(identity.number_for_trunk(to, trunk))
    # A phone calls us again, and dials as it always does.
    return f"sip:{to}@{line.hostport(peer)}"
