"""Whether what a body refers to exists."""

from __future__ import annotations

from telephony.accounts.agents import Agent
from telephony.accounts.model import DEFAULT_TRUNK
from telephony.accounts.routing import find_trunk
from telephony.api.deps import Deps
from telephony.base.errors import BadInput, NotFound


def known_agent(deps: Deps, organization: str, agent: str | None) -> Agent | None:
    """The agent that is named, if one is. Raises NotFound."""
    if agent is None:
        return None
    found = deps.directory.agent(organization, agent)
    if found is None:
        raise NotFound("not found")
    return found


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
