"""The OpenAPI document tells the truth: requests made from it are answered as it says."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from telephony.api import later, server

from .conftest import KEY
from .test_api_http import an_agent

REQUESTS = 2000
CHECKS: Any = [
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


async def test_the_document_names_every_route_of_the_table(api: Any) -> None:
    reply = await api.get("/openapi.json", key=None)
    assert (reply.status, reply.body["openapi"]) == (200, "3.1.0")
    described = {
        (method.upper(), path) for path, item in reply.body["paths"].items() for method in item
    }
    assert described == {
        (route.method, route.path) for route in server.routes() if route.path.startswith("/v1/")
    }


def test_whoever_sends_a_body_or_gets_one_has_a_shape() -> None:
    for route in server.routes():
        if not route.path.startswith("/v1/") or route.handler is later.later:
            continue
        bare = route.streams or route.status in (202, 204, 302)
        assert route.reply is not None or bare, route.path
        verb = route.method == "POST" and "}/" in route.path
        if route.method in ("POST", "PUT", "PATCH") and not verb:
            assert route.body is not None, route.path


async def test_the_page_is_whole_and_asks_nobody_else(api: Any) -> None:
    reply = await api.get("/docs", key=None)
    text = reply.raw.decode()
    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    assert "src=" not in text and "<script" not in text and "@import" not in text
    for route in server.routes():
        if route.path.startswith("/v1/"):
            assert f"<code>{route.path}</code>" in text


async def things(api: Any) -> list[dict[str, str]]:
    """Ids that exist by their names in paths, so that not every generated path leads nowhere."""
    call = await api.ended_call(recorded=True)
    made = [
        await api.post("/v1/callbacks", {"to": "+12025550123", "scheduledAt": "2030-01-01"}),
        await api.post("/v1/trunks", {"name": "main", "gateways": ["gw"]}),
        await api.post("/v1/phones", {"user": "1000", "password": "pw-of-a-phone"}),
        await api.post("/v1/phone-numbers/import", {"e164": "+12025550100"}),
        await api.post(
            "/v1/webhooks",
            {"name": "CRM", "url": "https://crm.example/", "events": ["call.report"]},
        ),
    ]
    agent, base, below = await an_agent(api)
    ids = [call.id, agent, base, *(reply.body["id"] for reply in made)]
    return [{"id": item, **below} for item in ids]


async def test_generated_requests_are_answered_as_described(start: Any) -> None:
    # The clock stands still, and a key may ask only so often.
    api = await start(requests_per_second=1e9)
    described = (await api.get("/openapi.json")).body
    ids = await things(api)
    statuses = await asyncio.to_thread(bombard, api.base, described, ids)
    assert statuses[500] == 0
    assert statuses.total() >= REQUESTS
    # Some of them must have been right, and some wrong.
    assert statuses[200] > 100, statuses
    assert statuses[400] > 100, statuses


def bombard(base: str, described: dict[str, Any], ids: list[dict[str, str]]) -> Counter[int]:
    """Requests to every operation; what they were answered. Raises where one is not as said."""
    schema = schemathesis.openapi.from_dict(described)
    served = [
        operation.ok()
        for operation in schema.get_all_operations()
        if "501" not in operation.ok().definition.raw["responses"]
    ]
    statuses: Counter[int] = Counter()
    for operation in served:

        @settings(
            max_examples=REQUESTS // len(served) + 1,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(), item=st.sampled_from([None, *ids]))
        def send(case: Any, item: dict[str, str] | None) -> None:
            if item is not None and case.path_parameters:
                named = {name: item.get(name, item["id"]) for name in case.path_parameters}
                case.path_parameters = named
            response = case.call(
                base_url=base,
                headers={"Authorization": f"Bearer {KEY}"},
                allow_redirects=False,
            )
            statuses[response.status_code] += 1
            case.validate_response(response, checks=CHECKS)

        send()
    return statuses
