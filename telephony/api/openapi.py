"""The OpenAPI 3.1 document, made from the routes and their shapes, and a page that shows it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Any

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from telephony.api.errors import json_reply
from telephony.api.later import later
from telephony.api.routes import Ask, Route

_REF = "#/components/schemas/{model}"
_REASONS = {
    400: "What was sent is not valid; `issues` names each member",
    401: "No key, or none that opens anything",
    402: "No credit is left to pay a call from",
    403: "The key lacks the scope, or a rule says no",
    404: "No such thing, or not of this organization",
    409: "Not applicable in the present state, or the Idempotency-Key was used with another body",
    413: "The body is too large",
    429: "Too many requests with this key, or the trunk is full; see Retry-After",
    501: "Of the contract, and not implemented yet",
    503: "No capacity, or the store does not answer; see Retry-After",
}
_ERROR = {
    "type": "object",
    "required": ["error", "code"],
    "properties": {
        "error": {"type": "string"},
        "code": {"type": "string"},
        "issues": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["path", "message"],
                "properties": {"path": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """The whole description of ``routes`` under ``/v1``."""
    rows = [route for route in routes if route.path.startswith("/v1/")]
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = []
    for route in rows:
        wanted += [(shape, "validation") for shape in (route.body, route.query) if shape]
        if route.reply is not None:
            wanted.append((route.reply, "serialization"))
    names, definitions = models_json_schema(list(dict.fromkeys(wanted)), ref_template=_REF)
    schemas = {**definitions.get("$defs", {}), "Error": _ERROR}
    paths: dict[str, dict[str, Any]] = {}
    for route in rows:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, names, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Telephony",
            "version": version("telephony"),
            "description": "Calls by program: dial, answer, steer, and read what happened.",
        },
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, names: dict[Any, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    said = (route.handler.__doc__ or "").strip().split("\n\n", 1)[0]
    summary = re.sub(r"^[A-Z]+ \S+?[:.,]? ?(?=[A-Za-z]|$)", "", " ".join(said.split())).strip()
    operation: dict[str, Any] = {
        "operationId": _name(route),
        "tags": [route.path.split("/")[2]],
        "parameters": _parameters(route, names, schemas),
        "responses": _responses(route, names),
        "x-scope": route.scope.value,
    }
    if summary:
        operation["summary"] = summary
    if route.body is not None:
        content = {"schema": names[route.body, "validation"]}
        operation["requestBody"] = {"content": {"application/json": content}}
    if route.public:
        operation["security"] = []
    return operation


def _name(route: Route) -> str:
    words = [part.strip("{}").replace("-", "_") for part in route.path.split("/")[2:]]
    return "_".join([route.method.lower(), *words])


def _parameters(
    route: Route, names: dict[Any, Any], schemas: dict[str, Any]
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]
    if route.query is not None:
        shape = schemas[names[route.query, "validation"]["$ref"].rpartition("/")[2]]
        found += [
            {
                "name": name,
                "in": "query",
                "required": name in shape.get("required", ()),
                "schema": _without_null(schema),
            }
            for name, schema in shape["properties"].items()
        ]
    return found


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query has no null: what is not said is absent."""
    kept = {k: v for k, v in schema.items() if k not in ("default", "anyOf") or v is not None}
    some = [part for part in schema.get("anyOf", ()) if part != {"type": "null"}]
    if len(some) == 1:
        del kept["anyOf"]
        kept |= some[0]
    return kept


def _responses(route: Route, names: dict[Any, Any]) -> dict[str, Any]:
    if route.handler is later:
        found = {}
        statuses = {501}
    else:
        found = {str(route.status): _success(route, names)}
        statuses = {503, *route.problems}
        if "{" in route.path:
            statuses.add(404)
        if route.query is not None or route.body is not None:
            statuses.add(400)
        if route.body is not None:
            statuses.add(413)
    if not route.public:
        statuses |= {401, 403, 429}
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    for status in sorted(statuses):
        found[str(status)] = {"description": _REASONS[status], "content": error}
    return found


def _success(route: Route, names: dict[Any, Any]) -> dict[str, Any]:
    if route.streams:
        return {"description": "Server-sent events", "content": {"text/event-stream": {}}}
    if route.reply is None:
        return {"description": "Done"}
    schema = names[route.reply, "serialization"]
    if route.many:
        schema = {"type": "array", "items": schema}
    return {"description": "Done", "content": {"application/json": {"schema": schema}}}


# --- the page --------------------------------------------------------------------------------

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin-top: 2.5rem; text-transform: capitalize }
details { border: 1px solid #8884; border-radius: 6px; margin: .4rem 0; padding: .3rem .8rem }
summary { cursor: pointer } code, pre { font: 14px/1.45 ui-monospace, monospace }
pre { overflow: auto; background: #8881; padding: .6rem; border-radius: 6px }
b { display: inline-block; min-width: 4.5rem } small { color: #888 }
"""


def page(described: dict[str, Any]) -> str:
    """The document for people: plain HTML, nothing from elsewhere, nothing that runs."""
    by_tag: dict[str, list[str]] = {}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append(
                _shown(path, method, operation, described)
            )
    parts = [f"<h2>{html.escape(tag)}</h2>{''.join(items)}" for tag, items in by_tag.items()]
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Telephony: the API</title>"
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>"
        "<h1>The API</h1><p>Every request carries <code>Authorization: Bearer sk_…</code>. "
        "For programs: <a href=openapi.json>openapi.json</a>.</p>" + "".join(parts)
    )


def _shown(path: str, method: str, operation: dict[str, Any], described: dict[str, Any]) -> str:
    rows = [f"<p><small>scope {operation['x-scope']}</small></p>"]
    query = [p for p in operation["parameters"] if p["in"] == "query"]
    if query:
        rows.append(_block("Query", {p["name"]: p["schema"] for p in query}, described))
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        rows.append(_block("Body", schema, described))
    for status, response in operation["responses"].items():
        schema = response.get("content", {}).get("application/json", {}).get("schema")
        said = html.escape(response["description"])
        if schema is not None and status < "300":
            rows.append(_block(status, schema, described))
        else:
            rows.append(f"<p><code>{status}</code> {said}</p>")
    summary = html.escape(operation.get("summary", ""))
    return (
        f"<details><summary><b>{method.upper()}</b> <code>{html.escape(path)}</code> "
        f"<small>{summary}</small></summary>{''.join(rows)}</details>"
    )


def _block(title: str, schema: dict[str, Any], described: dict[str, Any]) -> str:
    flat = json.dumps(_flat(schema, described, 0), indent=1, ensure_ascii=False)
    return f"<p>{html.escape(title)}</p><pre>{html.escape(flat)}</pre>"


def _flat(schema: Any, described: dict[str, Any], depth: int) -> Any:
    """A schema as a person reads it: names and types, references followed a few steps."""
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if depth > 3:
            return name
        return _flat(described["components"]["schemas"][name], described, depth + 1)
    if "anyOf" in schema:
        return " | ".join(
            s if isinstance(s, str) else json.dumps(s, ensure_ascii=False)
            for s in (_flat(part, described, depth) for part in schema["anyOf"])
        )
    if schema.get("type") == "array":
        return [_flat(schema.get("items", {}), described, depth)]
    if "properties" in schema:
        needed = schema.get("required", ())
        return {
            name if name in needed else f"{name}?": _flat(part, described, depth)
            for name, part in schema["properties"].items()
        }
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if "type" not in schema and "const" not in schema:
        return {k: _flat(v, described, depth) for k, v in schema.items() if isinstance(v, dict)}
    bounds = [
        f"{word} {schema[key]}"
        for key, word in (
            ("minLength", "from"),
            ("maxLength", "to"),
            ("minimum", "≥"),
            ("maximum", "≤"),
            ("pattern", "like"),
        )
        if key in schema
    ]
    return " ".join([str(schema.get("const", schema.get("type"))), *bounds])


def routes(every: Callable[[], Iterable[Route]]) -> list[Route]:
    """``/openapi.json`` and ``/docs``, open to all; ``every`` gives the routes described."""
    made: list[dict[str, Any]] = []

    def described() -> dict[str, Any]:
        if not made:
            made.append(document(every()))
        return made[0]

    async def for_programs(ask: Ask) -> web.StreamResponse:
        """GET /openapi.json."""
        return json_reply(described())

    async def for_people(ask: Ask) -> web.StreamResponse:
        """GET /docs."""
        policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
        return web.Response(text=page(described()), content_type="text/html", headers=policy)

    return [
        Route("GET", "/openapi.json", for_programs, public=True),
        Route("GET", "/docs", for_people, public=True),
    ]
