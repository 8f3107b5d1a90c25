"""URLs of somebody's that are asked or told, and the headers that go along: secrets are only
written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from telephony.accounts import checks
from telephony.accounts.agents import Hook
from telephony.api.wire.base import Body, Int
from telephony.api.wire.extraction import ExtractionFields
from telephony.base.errors import BadInput

Url = Annotated[str, AfterValidator(checks.web_url)]
Headers = Annotated[dict[str, str], AfterValidator(checks.web_headers)]


class AuthHeader(Body):
    """A header with a secret in it: written, and never read. On PATCH a header without a value
    keeps the one it has."""

    name: Annotated[str, AfterValidator(checks.web_header)]
    value: Annotated[str, AfterValidator(checks.web_header_value)] | None = None


def _once(headers: list[AuthHeader]) -> list[AuthHeader]:
    if len({header.name.lower() for header in headers}) < len(headers):
        raise ValueError("names a header twice")
    return headers


AuthHeaders = Annotated[
    list[AuthHeader], Field(max_length=checks.MAX_HEADERS), AfterValidator(_once)
]


def auth_values(
    headers: Sequence[AuthHeader] | None, old: dict[str, str], where: str
) -> dict[str, str]:
    """The headers in place of the ``old`` ones, whose values they keep where they have none.

    Raises:
        BadInput: a header that is new has no value; ``where`` is the list's path.
    """
    kept = {name.lower(): value for name, value in old.items()}
    found: dict[str, str] = {}
    for number, header in enumerate(headers or ()):
        value = header.value or kept.get(header.name.lower())
        if value is None:
            field = f"{where}.{number}.value"
            raise BadInput(f"{field}: is required for a header that is new", field=field)
        found[header.name] = value
    return found


class HookBody(Body):
    """``method`` and ``responseMode`` come from callers that are no SDK; ``method`` is ours."""

    url: Url
    method: Literal["POST"] | None = None
    headers: Headers | None = None
    auth_headers: AuthHeaders | None = None
    response_mode: Literal["sync", "async"] | None = None
    async_ack: Annotated[str, Field(max_length=1000)] | None = None

    def _onto(self, old: Hook | None, where: str, **members: Any) -> Hook:
        """What was sent in place of what was there: absent stays, null clears. Raises BadInput."""
        sent = self.model_fields_set
        hook = Hook(url=self.url) if old is None else old
        if "headers" in sent:
            members["headers"] = self.headers or {}
        if "auth_headers" in sent:
            members["auth_headers"] = auth_values(
                self.auth_headers, hook.auth_headers, f"{where}.authHeaders"
            )
        for name in ("timeout_ms", "response_mode", "async_ack"):
            if name in sent:
                members[name] = getattr(self, name)
        return replace(hook, url=self.url, **members)


class LifecycleHook(HookBody):
    """A hook of an agent's at a moment of its calls (contract 7.2). Without a ``secret`` the
    organization's signs."""

    secret: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    timeout_ms: Annotated[Int, Field(ge=100, le=8000)] | None = None
    extraction_fields: ExtractionFields | None = None

    def onto(self, old: Hook | None, where: str) -> Hook:
        """Raises BadInput."""
        members: dict[str, Any] = {}
        if "secret" in self.model_fields_set:
            members["secret"] = self.secret or ""
        if "extraction_fields" in self.model_fields_set:
            fields = self.extraction_fields or ()
            members["extraction_fields"] = tuple(field.kept() for field in fields)
        return self._onto(old, where, **members)


class ToolHook(HookBody):
    """A hook that runs a tool (contract 7.4). Its ``secret`` is its own, and stays where a PATCH
    has none."""

    kind: Literal["webhook"]
    secret: Annotated[str, Field(min_length=8, max_length=4096)] | None = None
    timeout_ms: Annotated[Int, Field(ge=100, le=4000)] | None = None

    def onto(self, old: Hook | None) -> Hook:
        """Raises BadInput."""
        secret = self.secret or (old.secret if old is not None else "")
        if not secret:
            raise BadInput("source.secret: is required", field="source.secret")
        return self._onto(old, "source", secret=secret)


def shown(hook: Hook, ref: str) -> dict[str, Any]:
    """A hook without its secrets and with what is set only.

    ``ref`` names its secrets; one that has none of its own is signed with the organization's.
    """
    headers = [{"name": name, "secretRef": f"{ref}:{name}"} for name in hook.auth_headers]
    members = {
        "url": hook.url,
        "secretRef": ref if hook.secret else "organization",
        "headers": hook.headers or None,
        "authHeaders": headers or None,
        "timeoutMs": hook.timeout_ms,
        "responseMode": hook.response_mode,
        "asyncAck": hook.async_ack,
        "extractionFields": list(hook.extraction_fields) or None,
    }
    return {name: value for name, value in members.items() if value is not None}
