"""Whose key this is (contract section 2, the rows marked with a dot)."""

from __future__ import annotations

from aiohttp import web

from telephony.api.errors import json_reply
from telephony.api.routes import Ask, Route
from telephony.base.clock import iso


async def get(ask: Ask) -> web.StreamResponse:
    """GET /v1/organization: n8n tries its credentials here, and wants a name."""
    found = await ask.deps.organizations.get(ask.organization)
    return json_reply(
        {
            "id": ask.organization,
            "name": found.name if found is not None else ask.organization,
            "createdAt": iso(found.created_at) if found is not None else None,
        }
    )


def routes() -> list[Route]:
    return [Route("GET", "/v1/organization", get)]
