"""Whose key this is (contract section 2, the rows marked with a dot)."""

from __future__ import annotations

from aiohttp import web

from telephony.api.routes import Ask, Route
from telephony.api.wire.base import Camel, render, stamp


class OrganizationRow(Camel):
    """Who it is."""

    id: str
    name: str
    created_at: str | None


async def get(ask: Ask) -> web.StreamResponse:
    """GET /v1/organization: n8n tries its credentials here, and wants a name."""
    found = await ask.deps.organizations.get(ask.organization)
    row = OrganizationRow(
        id=ask.organization,
        name=found.name if found is not None else ask.organization,
        created_at=stamp(found.created_at) if found is not None else None,
    )
    return render(row)


def routes() -> list[Route]:
    return [Route("GET", "/v1/organization", get, reply=OrganizationRow)]
