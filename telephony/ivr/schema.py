"""The JSON Schema of dialplans, made from the same declarations that the loader reads by.

``dialplan.schema.json`` beside this file is what ``schema`` returns, for editors.
"""

from __future__ import annotations

from typing import Any

from telephony.ivr.conditions import condition_schema
from telephony.ivr.fields import NODE_NAME, VariableName, object_schema, prompts_schema
from telephony.ivr.load import MAX_VARIABLES, Head, VariableHead
from telephony.ivr.source import MAX_NODES
from telephony.ivr.verbs import VERBS

NAME = f"^{NODE_NAME.pattern}$"


def schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12."""
    plain = {"type": ["string", "number", "boolean"]}
    sections = {
        "variables": {
            "description": "Variables: a first value, or value, report and secret.",
            "type": "object",
            "maxProperties": MAX_VARIABLES,
            "propertyNames": VariableName().schema(),
            "additionalProperties": {"anyOf": [plain, object_schema(VariableHead)]},
        },
        "nodes": {
            "description": "The nodes by name.",
            "type": "object",
            "minProperties": 1,
            "maxProperties": MAX_NODES,
            "propertyNames": {"pattern": NAME},
            "additionalProperties": {"$ref": "#/$defs/node"},
        },
    }
    definitions: dict[str, Any] = {
        "target": {"type": "string", "pattern": NAME},
        "prompts": prompts_schema(),
        "condition": condition_schema(),
        "node": {
            "type": "object",
            "required": ["verb"],
            "properties": {"verb": {"enum": sorted(VERBS)}},
            "oneOf": [{"$ref": f"#/$defs/verb_{name}"} for name in sorted(VERBS)],
        },
    }
    for name, row in sorted(VERBS.items()):
        definitions[f"verb_{name}"] = {
            "description": (row.verb.__doc__ or "").strip(),
            **object_schema(row.verb, {"verb": {"const": name}}, ("verb",)),
        }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Telephony dialplan",
        **object_schema(Head, sections, ("nodes",)),
        "$defs": definitions,
    }
