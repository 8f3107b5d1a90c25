"""Whether what a body refers to exists."""

from __future__ import annotations

from telephony.accounts.model import DEFAULT_TRUNK
from telephony.accounts.routing import find_trunk
from telephony.api.deps import Deps
from telephony.base.errors import BadInput, NotFound


def known_agent(agent: str | None) -> None:
    """There are no agents yet, so every id is unknown. Raises NotFound."""
    if agent is not None:
        raise NotFound("not found")


def known_dialplan(deps: Deps, name: str | None) -> None:
    """Raises BadInput naming ``dialplan``."""
    if name is not None and name not in deps.dialplans:
        raise BadInput(f"dialplan: there is no dialplan {name!r}", field="dialplan")


def known_trunk(deps: Deps, organization: str, trunk: str, field: str) -> str:
    """The id of a trunk by id or name; ``default`` is one whether or not there is any.

    Raises:
        BadInput: naming ``field``.
    """
    if trunk == DEFAULT_TRUNK:
        return trunk
    found = find_trunk(deps.directory.trunks(organization), trunk)
    if found is None:
        raise BadInput(f"{field}: there is no trunk {trunk!r}", field=field)
    return found.id
