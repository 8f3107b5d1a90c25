"""What all shapes share: names, strictness, and how a wrong member is named."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, TypeVar

from aiohttp import web
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)
from pydantic.alias_generators import to_camel, to_snake

from telephony.base.clock import iso
from telephony.base.errors import BadInput
from telephony.base.number import is_e164

MAX_ISSUES = 20
_TAGS = ("kind", "mode")
"""Members that say which shape of a union theirs is."""


class Body(BaseModel):
    """A request: camelCase (snake_case is understood), unknown members ignored, null is absent.

    Types are strict: a number is no string and a string no number.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", strict=True, frozen=True
    )


class Query(BaseModel):
    """A query string: unknown names ignored, an empty value is absent, text becomes numbers."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class Camel(BaseModel):
    """A reply of a camelCase area."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Snake(BaseModel):
    """A reply of a snake_case area."""

    model_config = ConfigDict(populate_by_name=True)


class Deleted(Camel):
    """What every delete but a number's answers: JSON is mandatory."""

    deleted: bool = True


def _integral(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _number(value: str) -> str:
    if not is_e164(value):
        raise ValueError("must be an E.164 number, such as +12025550123")
    return value


Int = Annotated[int, BeforeValidator(_integral)]
"""An integer; 3.0 is one."""

E164 = Annotated[str, AfterValidator(_number)]


def _at_most(ceiling: int) -> AfterValidator:
    return AfterValidator(lambda value: min(value, ceiling))


Page200 = Annotated[int, Field(ge=1), _at_most(200)]
"""How many rows a page has where the contract sets no bound: more are not refused but not sent."""

Page100 = Annotated[int, Field(ge=1), _at_most(100)]


_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
"""PostgreSQL's driver gives back times of the first day of all in a year 0, which there is not."""


def parse_time(value: Any) -> Any:
    """An ISO-8601 time as aware UTC; one without a zone is taken as UTC."""
    # A long text is no time, and the search for a blank would take its square.
    if not isinstance(value, str) or len(value) > 64:
        raise ValueError("must be an ISO-8601 time")
    try:
        # A plus sign that was not encoded arrives as a space.
        moment = datetime.fromisoformat(re.sub(r"(T.*) (\d\d:?\d\d)$", r"\1+\2", value.strip()))
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("must be an ISO-8601 time, such as 2026-01-05T09:00:00.000Z") from None
    if moment < _EARLIEST:
        raise ValueError("must be a time since 1900")
    return moment


Time = Annotated[datetime, BeforeValidator(parse_time)]

B = TypeVar("B", bound=BaseModel)


def parse(shape: type[B], data: Mapping[str, Any]) -> B:
    """The request as its shape.

    Raises:
        BadInput: with every wrong member named (``issues``).
    """
    try:
        return shape.model_validate(data)
    except ValidationError as error:
        raise invalid(error, data) from None


@cache
def spellings(shape: type[BaseModel]) -> dict[str, str]:
    """What a query may call each member, in either casing, and what it is called here."""
    found: dict[str, str] = {}
    for key, field in shape.model_fields.items():
        name = field.alias or key
        found |= dict.fromkeys((key, name, to_camel(name), to_snake(name)), name)
    return found


def parse_query(shape: type[B], request: web.Request) -> B:
    """The query string as its shape; the names may be in either casing. Raises BadInput."""
    known = spellings(shape)
    given = {known[n]: value for n, value in request.query.items() if n in known and value != ""}
    for name, value in given.items():
        if not value.isprintable():
            raise BadInput(f"{name}: text that cannot be printed", field=name)
    return parse(shape, given)


class Invalid(BadInput):
    """Members that are wrong, each with its path."""

    def __init__(self, issues: list[dict[str, str]]) -> None:
        said = "; ".join(
            f"{i['path']}: {i['message']}" if i["path"] else i["message"] for i in issues
        )
        super().__init__(said or "the request is not valid", field=issues[0]["path"])
        self.issues = issues

    def extra(self) -> dict[str, Any]:
        return {"issues": self.issues}


def _path(place: Sequence[int | str], data: object) -> str:
    """Where it is in what was sent. Of a union's member pydantic also says which it is, after the
    place of the union: that is the value of its tag and the name of nothing there."""
    parts: list[str] = []
    for number, part in enumerate(place, 1):
        here = data if isinstance(data, Mapping) else {}
        if number < len(place) and part not in here and part in (here.get(t) for t in _TAGS):
            continue
        parts.append(str(part))
        if isinstance(data, list) and isinstance(part, int):
            data = data[part] if part < len(data) else None
        else:
            data = here.get(part)
    return ".".join(parts)


def invalid(error: ValidationError, data: object = None) -> Invalid:
    """The error of ours for one of pydantic's over ``data``."""
    issues: list[dict[str, str]] = []
    for item in error.errors(include_url=False, include_context=True, include_input=False)[
        :MAX_ISSUES
    ]:
        path = _path(item["loc"], data)
        message = item["msg"]
        if item["type"] == "value_error":
            message = message.removeprefix("Value error, ")
            # A rule over several members names the one it is about: "member: what is wrong".
            if not path and ": " in message:
                path, _, message = message.partition(": ")
        elif item["type"] == "missing":
            message = "is required"
        shown = path.encode("utf-8", "replace").decode()[:200]
        issues.append({"path": shown, "message": message[:300]})
    return Invalid(issues)


def render(shape: BaseModel, status: int = 200, *, without_null: bool = False) -> web.Response:
    """A reply from its shape. ``without_null`` leaves out what has no value."""
    return web.Response(
        body=shape.model_dump_json(by_alias=True, exclude_none=without_null).encode(),
        status=status,
        content_type="application/json",
        charset="utf-8",
    )


def render_all(shapes: list[Any]) -> web.Response:
    """A bare JSON array of shapes."""
    body = b"[" + b",".join(s.model_dump_json(by_alias=True).encode() for s in shapes) + b"]"
    return web.Response(body=body, content_type="application/json", charset="utf-8")


def stamp(moment: datetime | None) -> str | None:
    """``YYYY-MM-DDTHH:MM:SS.mmmZ`` or None."""
    return None if moment is None else iso(moment)


def seconds(value: float) -> float | int:
    """Seconds to the millisecond, whole ones as an integer."""
    rounded = round(value, 3)
    return int(rounded) if rounded.is_integer() else rounded


def canonical(data: Mapping[str, Any]) -> bytes:
    """One text for equal objects, whatever the order of their keys."""
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
