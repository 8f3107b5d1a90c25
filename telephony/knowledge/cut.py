"""Text in pieces: under one heading each, of a size that a language model reads at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from telephony.accounts.knowledge import Chunk

SIZE = 1200
"""Characters of a piece at most: some 300 tokens, a few paragraphs."""
OVERLAP = 150
"""Characters that a piece repeats of the one before, where a paragraph had to be cut."""
MAX_HEADING = 200


class Block(NamedTuple):
    """A paragraph, or a heading: ``level`` 1 to 6."""

    text: str
    level: int = 0


def cut(blocks: Iterable[Block]) -> Iterator[Chunk]:
    """Pieces in the order of the text; none is empty."""
    path: list[Block] = []
    held: list[str] = []
    length = 0

    def done() -> Iterator[Chunk]:
        nonlocal length
        if held:
            yield Chunk(_title(path), "\n\n".join(held))
        held.clear()
        length = 0

    for block in blocks:
        text = _tidy(block.text)
        if not text:
            continue
        if block.level:
            yield from done()
            path = [p for p in path if p.level < block.level]
            path.append(Block(text, block.level))
            continue
        for part in _parts(text):
            if held and length + len(part) > SIZE:
                yield from done()
            held.append(part)
            length += len(part) + 2
    yield from done()


def _title(path: list[Block]) -> str:
    return " > ".join(block.text for block in path)[:MAX_HEADING]


def _tidy(text: str) -> str:
    """No blanks at the ends of lines, no controls, at most one blank in a row."""
    text = re.sub(r"[^\S\n]+", " ", text)
    text = "".join(c for c in text if c == "\n" or c.isprintable())
    return re.sub(r" ?\n ?", "\n", text).strip()


def _parts(text: str) -> Iterator[str]:
    """A paragraph, cut behind sentences or else words where it is too long for one piece."""
    start = 0
    while len(text) - start > SIZE:
        window = text[start : start + SIZE]
        ends = [m.end() for m in re.finditer(r"[.!?…。！？]\s|\n", window)]
        end = next((e for e in reversed(ends) if e > SIZE // 2), 0)
        end = end or window.rfind(" ", SIZE // 2) + 1 or SIZE
        yield window[:end].strip()
        # What is repeated begins with a word.
        back = start + end - OVERLAP
        blank = text.find(" ", back, start + end - 1)
        start = blank + 1 if blank >= 0 else back
    yield text[start:].strip()
