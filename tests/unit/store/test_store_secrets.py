"""Secrets at rest, and keys by their digests."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from telephony.accounts import keys
from telephony.accounts.model import Key, Phone, Trunk
from telephony.base.errors import BadInput, ConfigError
from telephony.store import FileRows, Store
from telephony.store.secrets import Cipher, derive

NOW = datetime(2026, 1, 5, tzinfo=UTC)
TRUNK = Trunk(
    id="tr_1",
    organization="org_default",
    name="main",
    gateways=("gw",),
    username="u",
    password="the-trunks-password",
    created_at=NOW,
    updated_at=NOW,
)
PHONE = Phone(
    id="ph_1",
    organization="org_default",
    user="1000",
    password="the-phones-password",
    created_at=NOW,
    updated_at=NOW,
)


def test_what_is_sealed_opens_under_the_same_key_only() -> None:
    cipher = Cipher("one")
    sealed = cipher.seal("päss")
    assert "päss" not in sealed
    assert sealed != cipher.seal("päss")
    assert Cipher("one").open(sealed, "trunk main") == "päss"
    assert cipher.seal("") == cipher.open("", "x") == ""
    for cipher, text in ((Cipher("two"), sealed), (Cipher("one"), sealed[:-8] + "AAAAAAA=")):
        with pytest.raises(ConfigError, match="trunk main") as caught:
            cipher.open(text, "trunk main")
        assert "päss" not in str(caught.value)


def test_an_empty_secret_is_refused() -> None:
    with pytest.raises(ConfigError):
        Cipher("")


def test_purposes_do_not_share_keys() -> None:
    assert derive("k", "store") != derive("k", "urls")
    assert derive("k", "store") == derive("k", "store")
    assert len(derive("k", "store")) == 32


async def test_no_password_and_no_key_is_in_the_files(tmp_path: Path) -> None:
    secret = keys.make_secret(random.Random(3))
    store = await Store.open(f"sqlite:///{tmp_path}/t.db", "s")
    await store.trunks.add(TRUNK)
    await store.phones.add(PHONE)
    digest = keys.digest_key(secret, keys.make_pepper("s"))
    await store.keys.add(
        Key(
            id="key_1",
            organization="o",
            name="n",
            digest=digest,
            hint=keys.hint(secret),
            live=True,
            created_at=NOW,
        )
    )
    assert store.directory.trunks()[0].password == TRUNK.password
    assert await store.phones.find("org_default") == [PHONE]
    files = list(tmp_path.iterdir())
    everything = b"".join(path.read_bytes() for path in files)
    await store.close()
    everything += b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"main" in everything
    for word in (TRUNK.password, PHONE.password, secret, secret[8:]):
        assert word.encode() not in everything
    assert TRUNK.password not in repr(TRUNK)


async def test_a_start_under_another_secret_says_whose_password_is_lost(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/t.db"
    store = await Store.open(url, "one")
    await store.trunks.add(TRUNK)
    await store.close()
    with pytest.raises(ConfigError, match="trunk main"):
        await Store.open(url, "two")
    store = await Store.open(url, "one")
    assert store.directory.trunks() == (TRUNK,)
    await store.close()


async def test_a_row_that_the_file_came_to_name_is_the_files(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/t.db"
    store = await Store.open(url, "s")
    await store.phones.add(PHONE)
    await store.close()
    ours = replace(PHONE, id="ph_file", password="other", from_file=True)
    store = await Store.open(url, "s", FileRows(phones=(ours,)))
    assert store.directory.phones() == (ours,)
    assert await store.phones.find("org_default") == [ours]
    await store.close()


def test_a_settings_file_that_says_it_twice_is_refused() -> None:
    twice = FileRows(phones=(PHONE, replace(PHONE, id="ph_2")))
    with pytest.raises(BadInput, match="phone 1000"):
        Store.build("sqlite:///t.db", "s", twice)


async def test_one_watcher_that_fails_does_not_silence_the_others(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/t.db", "s")
    heard = []

    def broken() -> None:
        raise RuntimeError("broken watcher")

    store.directory.watch(broken)
    store.directory.watch(lambda: heard.append(1))
    await store.trunks.add(TRUNK)
    assert heard == [1]
    await store.close()


def test_keys_are_made_as_the_contract_shows_them() -> None:
    rng = random.Random(1)
    made = {keys.make_secret(rng) for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"sk_live_[A-Za-z0-9]{32}", secret) for secret in made)
    test = keys.make_secret(rng, live=False)
    assert test.startswith("sk_test_")
    assert not keys.is_live(test)
    assert keys.is_live(made.pop())
    assert keys.hint(test) == test[-4:]


def test_a_digest_needs_the_pepper() -> None:
    one, two = keys.make_pepper("one"), keys.make_pepper("two")
    assert keys.digest_key("sk", one) == keys.digest_key("sk", one)
    assert keys.digest_key("sk", one) != keys.digest_key("sk", two)
    assert keys.digest_key("sk", one) != keys.digest_key("sk ", one)
    assert len(keys.digest_key("ü\udcff", one)) == 64
