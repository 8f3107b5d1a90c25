"""What is set up once: numbers and, with them, who answers."""

from __future__ import annotations

from typing import Any

from tests.interop.official.kit import World


async def _trunk(world: World, name: str) -> str:
    status, row = await world.api(
        "POST", "/v1/trunks", {"name": name, "gateways": ["127.0.0.1:5999"]}
    )
    assert status == 201, row
    return str(row["id"])


async def a_number_of_a_trunk_comes_and_goes(world: World) -> None:
    half = {"sync": "+12025550131", "async": "+12025550132"}[world.call.half]
    trunk = await _trunk(world, f"official-{world.call.half}")
    made = await world.call(
        "phone_numbers.import_sip_trunk",
        {
            "e164": half,
            "sip_trunk_id": trunk,
            "sip_provider_name": "Acme",
            "direction": "both",
            "label": "Desk",
            "dispatch_metadata_template": {"team": "sales"},
            "agent_id": None,
        },
    )
    assert (made.e164, made.source, made.direction) == (half, "sip_trunk", "both")
    assert (made.label, made.sip_provider_name, made.agent_id) == ("Desk", "Acme", None)
    assert made.dispatch_metadata_template == {"team": "sales"}
    assert made.created_at == made.updated_at
    assert await world.call("phone_numbers.get", made.id) == made
    assert made in await world.call("phone_numbers.list")
    again = await world.call.fails(
        "phone_numbers.import_sip_trunk", {"e164": half, "sip_trunk_id": trunk}
    )
    assert again.status == 409

    changed = await world.call(
        "phone_numbers.update", made.id, {"label": None, "direction": "outbound"}
    )
    assert (changed.label, changed.direction) == (None, "outbound")
    # What was not sent stays.
    assert changed.dispatch_metadata_template == {"team": "sales"}
    assert await world.call("phone_numbers.get", made.id) == changed
    await world.call.refuses("direction", "phone_numbers.update", made.id, _wrong_direction())

    loose = await world.call("agents.detach_phone_number", made.id)
    assert (loose.id, loose.agent_id) == (made.id, None)
    await world.call.not_found("agents.attach_phone_number", "agent/nobody", made.id)

    assert await world.call("phone_numbers.delete", made.id) is True
    assert made.id not in [row.id for row in await world.call("phone_numbers.list")]
    for name, more in (("get", ()), ("delete", ()), ("update", ({"label": "x"},))):
        for gone in (made.id, "a/b"):
            await world.call.not_found(f"phone_numbers.{name}", gone, *more)
    await world.call.not_found("agents.detach_phone_number", made.id)


def _wrong_direction() -> Any:
    """Past the client's own check, as a newer client might send it."""
    from spekoai import PhoneNumberUpdateParams

    return PhoneNumberUpdateParams.model_construct(_fields_set={"direction"}, direction="sideways")
