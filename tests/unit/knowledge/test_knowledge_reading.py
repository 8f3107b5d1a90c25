"""Text out of files, by a process of its own; what a file means ill ends that process only."""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path

import pytest

from telephony.accounts.knowledge import Chunk, Form, form_of, words
from telephony.knowledge.cut import OVERLAP, SIZE, Block, cut
from telephony.knowledge.reader import ReadingFailed, read_document
from tests.unit.knowledge.documents import bomb, circle, docx, pdf, word

HTML = b"""<html><head><title>t</title><script>if (a<b) x</script><style>p{}</style></head>
<body><h1>Hours</h1><p>We are <b>op</b>en.<p>Never on<br>Sunday.<!-- not said --></body>"""
MARKDOWN = b"# Hours\n\nWe are open.\n\n## Sunday ##\n```\n# no heading\n```\n# Fees\nNone.\n"


async def read(tmp_path: Path, form: Form, raw: bytes) -> list[Chunk]:
    path = tmp_path / "document"
    path.write_bytes(raw)
    return await read_document(form, path)


@pytest.mark.parametrize(
    ("form", "raw", "expected"),
    [
        (Form.TEXT, b"Hello\r\n\r\nworld\x07", [("", "Hello\n\nworld")]),
        (Form.TEXT, "Grüße".encode("utf-16"), [("", "Grüße")]),
        (Form.TEXT, "Grüße €".encode("cp1252"), [("", "Grüße €")]),
        (
            Form.MARKDOWN,
            MARKDOWN,
            [
                ("Hours", "We are open."),
                ("Hours > Sunday", "```\n# no heading\n```"),
                ("Fees", "None."),
            ],
        ),
        (Form.HTML, HTML, [("Hours", "We are open.\n\nNever on\nSunday.")]),
        (Form.PDF, pdf("Refunds take nine days"), [("", "Refunds take nine days")]),
        (Form.DOCX, word("We are open", "a &amp; b"), [("Hours", "We are open\n\na & b")]),
    ],
)
async def test_the_text_of_a_document(
    tmp_path: Path, form: Form, raw: bytes, expected: list[tuple[str, str]]
) -> None:
    assert await read(tmp_path, form, raw) == [Chunk(*one) for one in expected]


@pytest.mark.parametrize(
    ("form", "raw", "why"),
    [
        (Form.TEXT, b"", "no text"),
        (Form.TEXT, b"a\x00b", "NUL"),
        (Form.TEXT, b"word " * 500_000, "more than 2000000 characters"),
        (Form.HTML, b"<script>alert(1)</script>", "no text"),
        (Form.HTML, b"<a " * 8_000_000, "more memory"),
        (Form.PDF, b"%PDF-no", "no PDF"),
        (Form.PDF, pdf("x")[:200], "no PDF"),
        (Form.PDF, circle(), "damaged|no text|no PDF"),
        (Form.DOCX, b"PK\x03\x04no", "no .docx"),
        (Form.DOCX, word("x" * 5000)[:300], "no .docx"),
        (Form.DOCX, docx("<a/>", "other.xml"), "no .docx"),
        (Form.DOCX, docx("<a>"), "damaged"),
        (Form.DOCX, docx('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'), "document type"),
        (Form.DOCX, bomb(), "unpacks to more"),
    ],
)
async def test_what_cannot_be_read_says_why(
    tmp_path: Path, form: Form, raw: bytes, why: str
) -> None:
    with pytest.raises(ReadingFailed, match=why):
        await read(tmp_path, form, raw)


async def test_a_reader_that_hangs_is_ended(tmp_path: Path) -> None:
    command = (sys.executable, "-c", "import time; time.sleep(60)")
    before = asyncio.get_running_loop().time()
    with pytest.raises(ReadingFailed, match=r"within 0\.2 seconds"):
        await read_document(Form.TEXT, tmp_path / "x", 0.2, command)
    assert asyncio.get_running_loop().time() - before < 10


async def test_a_reader_that_dies_is_a_failure(tmp_path: Path) -> None:
    command = (sys.executable, "-c", "import os; os.abort()")
    with pytest.raises(ReadingFailed, match="more time or memory"):
        await read_document(Form.TEXT, tmp_path / "x", 10, command)


def test_a_long_paragraph_is_cut_behind_sentences_and_repeats_a_little() -> None:
    text = " ".join(f"Sentence number {n} is here." for n in range(200))
    pieces = [chunk.text for chunk in cut([Block("Long", 1), Block(text)])]
    assert all(len(piece) <= SIZE for piece in pieces)
    assert all(piece.endswith(".") for piece in pieces)
    for before, after in itertools.pairwise(pieces):
        # Words of the end of one are the beginning of the next.
        shared = next(n for n in range(OVERLAP, 0, -1) if before.endswith(after[:n]))
        assert shared > OVERLAP // 2
    joined = " ".join(pieces)
    assert all(f"number {n} is" in joined for n in range(200))


def test_what_has_no_blank_is_cut_all_the_same() -> None:
    pieces = [chunk.text for chunk in cut([Block("x" * 5000)])]
    assert [len(p) for p in pieces][:2] == [SIZE, SIZE]
    assert sum(len(p) for p in pieces) == 5000 + OVERLAP * (len(pieces) - 1)


def test_forms_and_words() -> None:
    assert form_of("Text/HTML; charset=utf-8") is Form.HTML
    with pytest.raises(ValueError, match="must be one of"):
        form_of("image/png")
    assert words("What's the Größe, the 2nd_one? \" OR *") == (
        "what", "s", "the", "größe", "2nd", "one", "or",
    )  # fmt: skip
    assert len(words(" ".join(map(str, range(100))))) == 32
