"""What a plain scalar means under the YAML 1.2 core schema, and the forms that other YAML versions would read otherwise.

Rules:
1. Only plain scalars have a type; a quoted or block scalar is a string.
2. A date is a string. `yes`, `on`, `12:30` and `1_000` are strings too; the last is reported, because nobody means the string.
3. `.inf` and `.nan` are numbers of the core schema that no policy can use: reported.
"""

from __future__ import annotations

import re

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_UNDERSCORED = re.compile(r"[-+]?[0-9]+(?:_[0-9]+)+(?:\.[0-9_]*)?")
_LONGEST_NUMBER = 40

OLD_BOOLEANS = frozenset({"yes", "no", "on", "off", "y", "n"})
"""Booleans of YAML 1.1, in lower case: strings here."""


def read_plain(text: str) -> tuple[str | int | float | bool | None, str]:
    """Return a plain scalar's value and the code of what is wrong with it, or ''."""
    if text in _NULL:
        return None, ""
    if text in _TRUE or text in _FALSE:
        return text in _TRUE, ""
    if text[0] not in "+-.0123456789":
        return text, ""
    if _SPECIAL.fullmatch(text):
        return text, "P012"
    if _UNDERSCORED.fullmatch(text):
        return text, "P013"
    return _number(text)


def _number(text: str) -> tuple[str | int | float, str]:
    if len(text) > _LONGEST_NUMBER:
        return text, ""
    if _INT.fullmatch(text):
        return int(text), "P014" if text.lstrip("+-").startswith("0") and len(text.lstrip("+-")) > 1 else ""
    if _OCTAL.fullmatch(text) or _HEX.fullmatch(text):
        return int(text, 0), ""
    if _FLOAT.fullmatch(text):
        value = float(text)
        return (text, "P012") if value in {float("inf"), float("-inf")} else (value, "")
    return text, ""
