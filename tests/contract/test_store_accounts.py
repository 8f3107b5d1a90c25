"""Repository, Directory and KeyStore."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from telephony.accounts.model import Key, NumberDirection, Organization, Scope, Transport
from telephony.base.errors import Conflict, NotFound
from telephony.store import FileRows

ORG = "org_default"
NOUNS = ["trunks", "phones", "numbers"]


def items(make: Any, noun: str, count: int) -> list[Any]:
    made = []
    for index in range(count):
        make.clock.advance(1)
        if noun == "trunks":
            made.append(make.trunk(f"trunk-{index}", transport=Transport.TCP, max_calls=3))
        elif noun == "phones":
            made.append(make.phone(f"100{index}", name="Desk"))
        else:
            made.append(
                make.number(
                    f"+1202555010{index}",
                    direction=NumberDirection.BOTH,
                    record=True,
                    dispatch_template={"a": [1, "{{x}}"]},
                )
            )
    return made


@pytest.mark.parametrize("noun", NOUNS)
async def test_a_life(store: Any, make: Any, noun: str) -> None:
    repository = getattr(store, noun)
    one, two = items(make, noun, 2)
    await repository.add(one)
    await repository.add(two)
    assert await repository.find(ORG) == [one, two]
    assert await repository.get(ORG, one.id) == one
    changed = replace(one, updated_at=one.updated_at + timedelta(seconds=5))
    await repository.replace(changed)
    assert await repository.get(ORG, one.id) == changed
    assert await repository.remove(ORG, one.id) is True
    assert await repository.remove(ORG, one.id) is False
    assert await repository.find(ORG) == [two]


@pytest.mark.parametrize("noun", NOUNS)
async def test_a_foreign_id_is_no_id(store: Any, make: Any, noun: str) -> None:
    repository = getattr(store, noun)
    (one,) = items(make, noun, 1)
    await repository.add(one)
    assert await repository.get("org_other", one.id) is None
    assert await repository.find("org_other") == []
    assert await repository.remove("org_other", one.id) is False
    with pytest.raises(NotFound):
        await repository.replace(replace(one, organization="org_other"))
    assert await repository.get(ORG, one.id) == one


@pytest.mark.parametrize("noun", NOUNS)
async def test_the_natural_key_is_taken_once(store: Any, make: Any, noun: str) -> None:
    repository = getattr(store, noun)
    one, two = items(make, noun, 2)
    await repository.add(one)
    await repository.add(two)
    with pytest.raises(Conflict):
        await repository.add(replace(one, id="another"))
    with pytest.raises(Conflict):
        await repository.replace(replace(one, id=two.id))
    assert await repository.find(ORG) == [one, two]
    await repository.remove(ORG, one.id)
    await repository.add(replace(one, id="another"))


@pytest.mark.parametrize("noun", NOUNS)
async def test_what_the_file_made_is_shown_first_and_not_changed(
    open_store: Any, make: Any, files: FileRows, noun: str
) -> None:
    store = await open_store(files)
    repository = getattr(store, noun)
    (made,) = getattr(files, noun)
    (one,) = items(make, noun, 1)
    await repository.add(one)
    assert await repository.find(ORG) == [made, one]
    assert await repository.get(ORG, made.id) == made
    assert await repository.get("org_other", made.id) is None
    with pytest.raises(Conflict):
        await repository.replace(made)
    with pytest.raises(Conflict):
        await repository.remove(ORG, made.id)
    with pytest.raises(Conflict):
        await repository.add(replace(made, id="another", from_file=False))
    assert getattr(store.directory, noun)() == (made, one)


async def test_the_directory_shows_a_change_when_its_call_returns(store: Any, make: Any) -> None:
    seen: list[int] = []
    store.directory.watch(lambda: seen.append(len(store.directory.trunks())))
    trunk = make.trunk()
    await store.trunks.add(trunk)
    assert seen == [1]
    assert store.directory.trunks() == (trunk,)
    assert store.directory.trunks("org_other") == ()
    renamed = replace(trunk, name="renamed")
    await store.trunks.replace(renamed)
    assert store.directory.trunks(ORG) == (renamed,)
    await store.trunks.remove(ORG, trunk.id)
    assert store.directory.trunks() == ()
    assert seen == [1, 1, 0]


async def test_numbers_are_found_by_what_was_dialled(
    open_store: Any, make: Any, files: FileRows
) -> None:
    store = await open_store(files)
    number = make.number("+12025550177", dialplan="front-desk")
    await store.numbers.add(number)
    assert store.directory.number("+12025550177") == number
    assert store.directory.number("+12025550999") == files.numbers[0]
    assert store.directory.number("+12025550000") is None
    await store.phones.add(make.phone())
    assert [p.user for p in store.directory.phones()] == ["2000", "1000"]


def key(make: Any, digest: str, **members: Any) -> Key:
    now = make.clock.now()
    make.clock.advance(1)
    values: dict[str, Any] = {
        "id": make.ids.make("key"),
        "organization": ORG,
        "name": "ci",
        "digest": digest,
        "hint": "abcd",
        "live": True,
        "created_at": now,
    }
    return Key(**(values | members))


async def test_keys(store: Any, make: Any) -> None:
    one = key(make, "d1", expires_at=make.clock.now())
    two = key(make, "d2", organization="org_other", live=False)
    await store.keys.add(one)
    await store.keys.add(two)
    with pytest.raises(Conflict):
        await store.keys.add(key(make, "d1"))
    assert await store.keys.by_digest("d1") == one
    assert await store.keys.by_digest("nothing") is None
    assert await store.keys.find() == [one, two]
    assert await store.keys.find("org_other") == [two]
    await store.keys.touch(one.id, make.clock.now())
    assert (await store.keys.by_digest("d1")).last_used_at == make.clock.now()
    assert await store.keys.remove(one.id) is True
    assert await store.keys.remove(one.id) is False
    assert await store.keys.by_digest("d1") is None


async def test_what_a_key_may_do_is_kept(store: Any, make: Any) -> None:
    narrow = key(make, "d1", scopes=frozenset({Scope.READ, Scope.DIAL}), requests_per_second=2.5)
    await store.keys.add(narrow)
    await store.keys.add(key(make, "d2"))
    assert await store.keys.by_digest("d1") == narrow
    assert (await store.keys.by_digest("d2")).scopes == frozenset(Scope)


async def test_a_key_that_is_let_expire_never_lives_longer_by_it(store: Any, make: Any) -> None:
    one = key(make, "d1")
    await store.keys.add(one)
    soon = make.clock.now()
    assert await store.keys.expire(one.id, soon + timedelta(hours=2)) is True
    assert await store.keys.expire(one.id, soon) is True
    assert await store.keys.expire(one.id, soon + timedelta(hours=9)) is True
    assert (await store.keys.by_digest("d1")).expires_at == soon
    assert await store.keys.expire("key_nobody", soon) is False


async def test_organizations_are_made_renamed_and_listed(store: Any, make: Any) -> None:
    assert await store.organizations.find() == []
    await store.start(make.clock.now())
    await store.start(make.clock.now())
    (first,) = await store.organizations.find()
    assert (first.id, first.name) == (ORG, "Default")
    make.clock.advance(1)
    other = Organization(id="org_2", name="Zwei", created_at=make.clock.now())
    await store.organizations.put(other)
    await store.organizations.put(replace(first, name="Ours", created_at=make.clock.now()))
    assert await store.organizations.find() == [replace(first, name="Ours"), other]
    assert await store.organizations.get("org_2") == other
    assert await store.organizations.get("org_3") is None
