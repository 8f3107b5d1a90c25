"""What is to be found in a transcript once a call is over (contract 7.1 and 9.1)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from telephony.api.wire.base import Body

MAX_FIELDS = 100
MAX_DESCRIPTIONS = 40_000

Identifier = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=64)]
Option = Annotated[str, Field(min_length=1, max_length=120)]


class ExtractionField(Body):
    """``options`` are for ``enum`` only, and always."""

    name: Identifier
    type: Literal["string", "number", "boolean", "enum"]
    description: Annotated[str, Field(min_length=1, max_length=10_000)]
    options: Annotated[list[Option], Field(min_length=1, max_length=50)] | None = None

    @model_validator(mode="after")
    def _options(self) -> ExtractionField:
        if (self.options is not None) != (self.type == "enum"):
            raise ValueError("options are for the type enum, which needs them")
        return self

    def kept(self) -> dict[str, Any]:
        """As it is stored and shown."""
        return self.model_dump(exclude_none=True)


def _together(fields: list[ExtractionField]) -> list[ExtractionField]:
    if len({field.name for field in fields}) < len(fields):
        raise ValueError("names a field twice")
    if sum(len(field.description) for field in fields) > MAX_DESCRIPTIONS:
        raise ValueError(f"the descriptions have more than {MAX_DESCRIPTIONS} characters together")
    return fields


ExtractionFields = Annotated[
    list[ExtractionField], Field(max_length=MAX_FIELDS), AfterValidator(_together)
]
