"""``telephony openapi``: the description of the API, without a running service."""

from __future__ import annotations

from telephony.cli.show import Json, print_json


def openapi(json: Json = False) -> None:
    """Print the OpenAPI document of this version's API; it is JSON either way."""
    # Only now, since it takes most of a second: the other commands do without.
    from telephony.api.openapi import document
    from telephony.api.server import routes

    print_json(document(routes()))
