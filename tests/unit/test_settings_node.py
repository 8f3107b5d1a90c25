"""The name of a node: given, or made once in its data folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from telephony.base.errors import ConfigError
from telephony.settings import ensure_node, load


def test_a_name_is_made_once(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    made = ensure_node(tmp_path)
    assert re.fullmatch(r"node_[0-9a-f]{16}", made)
    assert ensure_node(tmp_path) == made
    assert ensure_node(tmp_path / "other") != made


def test_a_damaged_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "node").write_text("node_1\nnode_2\n")
    with pytest.raises(ConfigError, match="damaged"):
        ensure_node(tmp_path)
    with pytest.raises(ConfigError, match="cannot be used"):
        ensure_node(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["a b", "x" * 65, "ü", "a\n"])
def test_a_name_is_a_word(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load({"TELEPHONY_NODE": "pod-7.a_b"}).settings.node == "pod-7.a_b"
    with pytest.raises(ConfigError, match="node"):
        load({"TELEPHONY_NODE": name})
