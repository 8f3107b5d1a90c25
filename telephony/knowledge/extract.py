"""The text of a document, by its form. Runs in the worker only: files are anybody's."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import IO
from xml.etree.ElementTree import ParseError, XMLParser

from telephony.accounts.knowledge import Form
from telephony.knowledge.cut import Block

MAX_XML = 64 * 1024 * 1024
"""Octets of a .docx's text once it is unpacked."""
MAX_PAGES = 2000


class Unreadable(Exception):
    """Why there is no text to be had, in words for whoever sent the file."""


def blocks(form: Form, path: Path) -> Iterator[Block]:
    """Headings and paragraphs, in order. Raises Unreadable."""
    if form is Form.PDF:
        return _pdf(path)
    if form is Form.DOCX:
        return _docx(path)
    text = _decode(path.read_bytes())
    if form is Form.MARKDOWN:
        return _markdown(text)
    if form is Form.HTML:
        return _html(text)
    return (Block(part) for part in re.split(r"\n\s*\n", text))


def _decode(raw: bytes) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    else:
        encoding = "utf-8-sig"
    if encoding == "utf-8-sig" and b"\x00" in raw:
        raise Unreadable("this is no text: it holds NUL bytes")
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        text = raw.decode("cp1252", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _markdown(text: str) -> Iterator[Block]:
    held: list[str] = []
    fence = ""
    for line in text.split("\n"):
        bare = line.strip()
        if fence:
            held.append(line)
            fence = "" if bare.startswith(fence) else fence
            continue
        heading = re.fullmatch(r" {0,3}(#{1,6})[ \t]+(.*?)[ \t#]*", line)
        if heading is None and bare:
            held.append(line)
            fence = bare[:3] if bare[:3] in ("```", "~~~") else ""
            continue
        yield Block("\n".join(held))
        held.clear()
        if heading is not None:
            yield Block(heading[2], len(heading[1]))
    yield Block("\n".join(held))


_SILENT = frozenset({"script", "style", "template", "noscript", "svg", "title"})
_INLINE = frozenset(
    {
        "a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "dfn", "em", "font", "i", "kbd",
        "mark", "q", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "u", "var",
        "wbr", "label",
    }
)  # fmt: skip


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Block] = []
        self._held: list[str] = []
        self._silent = ""
        self._level = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._silent or tag in _INLINE:
            return
        if tag in _SILENT:
            self._silent = tag
            return
        if tag in ("br", "td", "th"):
            self._held.append("\n" if tag == "br" else " ")
            return
        self.end()
        self._level = int(tag[1]) if re.fullmatch("h[1-6]", tag) else 0

    def handle_endtag(self, tag: str) -> None:
        if self._silent:
            self._silent = "" if tag == self._silent else self._silent
        elif tag not in _INLINE and tag not in ("td", "th"):
            self.end()

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._held.append(re.sub(r"\s+", " ", data))

    def end(self) -> None:
        """What was said is a paragraph, or the heading that was begun."""
        self.found.append(Block("".join(self._held), self._level))
        self._held.clear()
        self._level = 0


def _html(text: str) -> Iterator[Block]:
    page = _Page()
    page.feed(text)
    page.close()
    page.end()
    yield from page.found


def _pdf(path: Path) -> Iterator[Block]:
    # Imported here: the other forms need not wait for it.
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("this PDF is locked with a password")
        if len(reader.pages) > MAX_PAGES:
            raise Unreadable(f"this PDF has more than {MAX_PAGES} pages")
        for page in reader.pages:
            for part in re.split(r"\n\s*\n", page.extract_text()):
                yield Block(part)
    except (Unreadable, MemoryError):
        raise
    except PyPdfError as error:
        raise Unreadable(f"this is no PDF that can be read: {str(error)[:200]}") from None
    except Exception as error:
        # A damaged file makes the library fall over in every way there is.
        raise Unreadable(f"this PDF is damaged ({type(error).__name__})") from None


_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


def _docx(path: Path) -> Iterator[Block]:
    try:
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo("word/document.xml")
            if info.flag_bits & 1:
                raise Unreadable("this document is locked with a password")
            # What the archive says of its sizes is its own word: what comes out is counted too.
            with archive.open(info) as stream:
                yield from _paragraphs(stream)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, KeyError, OSError):
        raise Unreadable("this is no .docx that can be read") from None
    except ParseError:
        raise Unreadable("this .docx is damaged") from None
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable(f"this .docx is damaged ({type(error).__name__})") from None


class _Body:
    """The target of an XML parser: paragraphs as they end, and no tree."""

    def __init__(self) -> None:
        self.found: list[Block] = []
        self._held: list[str] = []
        self._level = 0
        self._speaks = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._speaks = tag == f"{_W}t"
        if tag in (f"{_W}br", f"{_W}cr"):
            self._held.append("\n")
        elif tag == f"{_W}tab":
            self._held.append(" ")
        elif tag == f"{_W}pStyle":
            named = re.fullmatch(r"(?i)heading\s?([1-6])", attributes.get(f"{_W}val", ""))
            self._level = int(named[1]) if named else self._level

    def data(self, text: str) -> None:
        if self._speaks:
            self._held.append(text)

    def end(self, tag: str) -> None:
        self._speaks = False
        if tag == f"{_W}p":
            self.found.append(Block("".join(self._held), self._level))
            self._held.clear()
            self._level = 0

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        # Word writes none, and only there are entities made.
        raise Unreadable("this .docx defines a document type")

    def close(self) -> None:
        """What XMLParser asks for at the end."""


def _paragraphs(stream: IO[bytes]) -> Iterator[Block]:
    body = _Body()
    parser = XMLParser(target=body)
    taken = 0
    while data := stream.read(65536):
        taken += len(data)
        if taken > MAX_XML:
            raise Unreadable(f"this .docx unpacks to more than {MAX_XML} bytes")
        parser.feed(data)
        yield from body.found
        body.found.clear()
    parser.close()
    yield from body.found
