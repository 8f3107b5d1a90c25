"""KybStore, and what was bought in Repository."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from telephony.accounts.kyb import KybForm, KybPolicy, drafted, rejected, submitted
from telephony.accounts.model import NumberSource

ORG = "org_default"
OTHER = "org_other"


async def test_a_verification_is_written_again_as_it_goes_on(store: Any, make: Any) -> None:
    now = make.clock.now()
    assert await store.kyb.get(ORG) is None
    form = KybForm(business_profile={"legalName": "Ünï", "address": {}}, attestation_accepted=True)
    first = drafted(None, make.ids.make("kyb"), ORG, form, now)
    await store.kyb.put(first)
    assert await store.kyb.get(ORG) == first
    full = KybForm(declaration={"businessName": "A", "useCase": "B"}, attestation_accepted=True)
    later = now + timedelta(seconds=5)
    filed = submitted(first, "kyb_x", ORG, full, None, "key_1", KybPolicy(manual=True), later)
    await store.kyb.put(filed)
    assert await store.kyb.get(ORG) == filed
    await store.kyb.put(rejected(filed, "no", "me", later))
    assert (await store.kyb.get(ORG)).rejection_reason == "no"
    assert await store.kyb.get(OTHER) is None


async def test_all_of_them_the_last_changed_first(store: Any, make: Any) -> None:
    now = make.clock.now()
    rows = [
        drafted(None, f"kyb_{n}", f"org_{n}", KybForm(), now + timedelta(seconds=n))
        for n in range(3)
    ]
    for row in rows:
        await store.kyb.put(row)
    assert await store.kyb.find() == rows[::-1]


async def test_a_number_that_was_bought_keeps_what_it_costs(store: Any, make: Any) -> None:
    number = make.number(
        source=NumberSource.MANAGED,
        sms_automation=True,
        upfront_micro_usd=1_000_000,
        monthly_micro_usd=10**13,
        next_charge_at=make.clock.now(),
    )
    await store.numbers.add(number)
    assert store.directory.number(number.e164) == number
    charged = replace(number, last_charged_at=make.clock.now(), sms_automation=False)
    await store.numbers.replace(charged)
    assert await store.numbers.get(ORG, number.id) == charged
