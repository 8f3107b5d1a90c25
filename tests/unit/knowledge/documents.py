"""Documents as files are, made by hand; some of them meant ill."""

from __future__ import annotations

import io
import zipfile

_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def docx(xml: str, name: str = "word/document.xml") -> bytes:
    """An archive with one part."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, xml)
    return made.getvalue()


def word(*paragraphs: str, heading: str = "Hours") -> bytes:
    """A .docx of a heading and paragraphs."""
    said = "".join(f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>" for text in paragraphs)
    style = '<w:pPr><w:pStyle w:val="Heading1"/></w:pPr>'
    head = f"<w:p>{style}<w:r><w:t>{heading}</w:t></w:r></w:p>"
    return docx(f"<w:document {_W}><w:body>{head}{said}</w:body></w:document>")


def bomb() -> bytes:
    """Some 200 kB that unpack to 200 MB."""
    return docx(f"<w:document {_W}><w:body>{' ' * 200_000_000}</w:body></w:document>")


def pdf(text: str) -> bytes:
    """A page with one line."""
    drawn = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()
    parts = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R"
        b"/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(drawn), drawn),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    out, places = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, 1):
        places.append(len(out))
        out += b"%d 0 obj%sendobj\n" % (number, part)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % len(out)
    return out + b"xref\n0 6\n0000000000 65535 f \n" + table + end


def circle() -> bytes:
    """A PDF whose pages are each other's parents."""
    return pdf("x").replace(b"/Kids[3 0 R]/Count 1", b"/Kids[2 0 R]/Count 1")
