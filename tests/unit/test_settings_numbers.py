"""The pool of numbers and the policy of business verification, as the file writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from telephony.accounts.ports import Offered
from telephony.base.errors import ConfigError
from telephony.settings import Settings, load

FILE = """
[[trunks]]
name = "main"
gateways = ["gw"]

[numbers]
"+12025550100" = {}

[numbers_pool]
"+12025550150" = { trunk = "main", upfront = "1", monthly = "2.500001", state = "DC" }
"+12025550151" = {}
"""


def read(folder: Path, text: str) -> Settings:
    path = folder / "telephony.toml"
    path.write_text(text)
    return load({"TELEPHONY_CONFIG": str(path)}).settings


def test_what_can_be_bought(tmp_path: Path) -> None:
    assert read(tmp_path, FILE).offers() == (
        Offered(
            e164="+12025550150",
            trunk="trunk_main",
            upfront_micro_usd=1_000_000,
            monthly_micro_usd=2_500_001,
            state="DC",
        ),
        Offered(e164="+12025550151", trunk="default"),
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('"12025550152" = {}', "E.164"),
        ('"+12025550152" = { trunk = "mian" }', "did you mean main"),
        ('"+12025550152" = { monthly = "2.0000001" }', "USD in quotes"),
        ('"+12025550152" = { monthly = "1000000" }', "USD in quotes"),
        ('"+12025550152" = { upfront = -1 }', "USD in quotes"),
        ('"+12025550152" = { upfront = true }', "USD in quotes"),
        ('"+12025550152" = { region = "DC" }', "is no setting"),
        ('"+12025550100" = {}', "is in \\[numbers\\] too"),
        ('[kyb]\nreview = "often"', "kyb.review"),
        ('[kyb]\nterms_url = "ftp://x"', "kyb.terms_url"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(tmp_path, FILE + line + "\n")


@pytest.mark.parametrize(("text", "manual"), [("", False), ('[kyb]\nreview = "manual"', True)])
def test_who_looks_at_it(tmp_path: Path, text: str, manual: bool) -> None:
    policy: Any = read(tmp_path, text).kyb.policy()
    assert policy.manual is manual
    assert policy.text
