"""Telephone numbers: the contract's E.164 pattern, normalising by trunk rules, masking for logs."""

from __future__ import annotations

import re
from dataclasses import dataclass

import phonenumbers

E164 = re.compile(r"\+[1-9][0-9]{6,14}")


def is_e164(text: str) -> bool:
    """Whether ``text`` matches the contract's pattern, and no more is asked of it.

    ``phonenumbers`` calls test numbers such as +1555… invalid, and they must dial.
    """
    return E164.fullmatch(text) is not None


def mask(text: str) -> str:
    """A number or user part as a log may show it: at most the last two digits survive."""
    digits = sum(c.isdigit() for c in text)
    if digits < 5:
        return text
    kept = 2
    out: list[str] = []
    for char in reversed(text):
        if char.isdigit():
            out.append(char if kept > 0 else "*")
            kept -= 1
        else:
            out.append(char)
    return "".join(reversed(out))


@dataclass(frozen=True, slots=True)
class NumberRules:
    """How one trunk writes numbers: its country, what it puts in front, what must be put there."""

    country: str = ""
    strip: str = ""
    prefix: str = ""


def to_e164(text: str, rules: NumberRules) -> str | None:
    """The E.164 form of a number as a trunk writes it, or None where it is none.

    Order: ``strip`` is taken off the front, ``prefix`` is put there, and what is still not
    E.164 is read as a national number of ``country`` (ISO 3166 alpha-2).
    """
    number = re.sub(r"[\s().\-/]", "", text)
    if rules.strip and number.startswith(rules.strip):
        number = number[len(rules.strip) :]
    if rules.prefix and not number.startswith(rules.prefix):
        number = rules.prefix + number
    if is_e164(number):
        return number
    if not re.fullmatch(r"\+?\d{3,20}", number):
        return None
    try:
        parsed = phonenumbers.parse(number, rules.country.upper() or None)
    except phonenumbers.NumberParseException:
        parsed = None
    if parsed is not None and phonenumbers.is_possible_number(parsed):
        return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))
    # Many trunks send E.164 without its plus sign; only a trunk without a country means that.
    if not rules.country and is_e164("+" + number):
        return "+" + number
    return None


def to_trunk(number: str, rules: NumberRules) -> str:
    """An E.164 number as the trunk wants it: ``to_e164`` undone."""
    text = number
    if rules.prefix and text.startswith(rules.prefix):
        text = text[len(rules.prefix) :]
    return rules.strip + text
