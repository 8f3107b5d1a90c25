"""Usage and credits: read only; credits come by ``telephony credits``."""

from __future__ import annotations

from aiohttp import web

from telephony.api.routes import Ask, Route
from telephony.api.wire.base import parse_query, render
from telephony.api.wire.credits import (
    BalanceReply,
    LedgerPage,
    LedgerQuery,
    LedgerRow,
    UsageQuery,
    UsageSummary,
)
from telephony.ledger.usage import usage


async def used(ask: Ask) -> web.StreamResponse:
    """GET /v1/usage."""
    since, until = parse_query(UsageQuery, ask.request).span(ask.deps.clock.now())
    return render(UsageSummary.of(await usage(ask.deps.ledger, ask.organization, since, until)))


async def balance(ask: Ask) -> web.StreamResponse:
    """GET /v1/credits/balance."""
    found = await ask.deps.ledger.balance(ask.organization)
    return render(BalanceReply.of(found, ask.deps.clock.now()))


async def ledger(ask: Ask) -> web.StreamResponse:
    """GET /v1/credits/ledger, newest first."""
    query = parse_query(LedgerQuery, ask.request)
    entries, cursor = await ask.deps.ledger.page(
        ask.organization, query.kind, query.limit, query.cursor
    )
    rows = [LedgerRow.of(entry) for entry in entries]
    return render(LedgerPage(entries=rows, next_cursor=cursor))


def routes() -> list[Route]:
    return [
        Route("GET", "/v1/usage", used, query=UsageQuery, reply=UsageSummary),
        Route("GET", "/v1/credits/balance", balance, reply=BalanceReply),
        Route("GET", "/v1/credits/ledger", ledger, query=LedgerQuery, reply=LedgerPage),
    ]
