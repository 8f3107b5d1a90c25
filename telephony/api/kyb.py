"""Business verification: overview, draft, submission. Who decides does it on the store."""

from __future__ import annotations

from aiohttp import web

from telephony.accounts.kyb import drafted, submitted
from telephony.api.body import read_object
from telephony.api.peer import base_url
from telephony.api.routes import Ask, Route
from telephony.api.wire.base import parse, render
from telephony.api.wire.kyb import KybDraft, KybOverview, KybSubmit, SubmissionRow


async def overview(ask: Ask) -> web.StreamResponse:
    """GET /v1/phone-numbers/kyb."""
    found = await ask.deps.kyb.get(ask.organization)
    docs = f"{base_url(ask.request, ask.deps)}/docs"
    return render(KybOverview.of(found, ask.deps.shop.policy, docs))


async def draft(ask: Ask) -> web.StreamResponse:
    """PUT /v1/phone-numbers/kyb/draft."""
    deps = ask.deps
    body = parse(KybDraft, await read_object(ask.request))
    old = await deps.kyb.get(ask.organization)
    row = drafted(old, deps.ids.make("kyb"), ask.organization, body.form(), deps.clock.now())
    await deps.kyb.put(row)
    return render(SubmissionRow.of(row))


async def submit(ask: Ask) -> web.StreamResponse:
    """POST /v1/phone-numbers/kyb/submit."""
    deps = ask.deps
    assert ask.caller is not None, "this route asks for a key"
    body = parse(KybSubmit, await read_object(ask.request))
    row = submitted(
        await deps.kyb.get(ask.organization),
        deps.ids.make("kyb"),
        ask.organization,
        body.form(),
        body.attestation_version,
        ask.caller.key,
        deps.shop.policy,
        deps.clock.now(),
    )
    await deps.kyb.put(row)
    return render(SubmissionRow.of(row))


def routes() -> list[Route]:
    at = "/v1/phone-numbers/kyb"
    return [
        Route("GET", at, overview, reply=KybOverview),
        Route("PUT", f"{at}/draft", draft, body=KybDraft, reply=SubmissionRow, problems=(409,)),
        Route("POST", f"{at}/submit", submit, body=KybSubmit, reply=SubmissionRow),
    ]
