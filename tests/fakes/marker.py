"""A secret that is planted, and the search for it in every form that it may have been written in."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from urllib.parse import quote


def forms(secret: str) -> tuple[bytes, ...]:
    """Return what would betray `secret`: itself, reversed, hex, quoted, and base64 at each of the three alignments."""
    data = secret.encode()
    found = {data, data[::-1], data.hex().encode(), data.hex().upper().encode(), quote(secret, safe="").encode()}
    found.add(secret.encode("utf-16-le"))
    for shift in range(3):
        # The first and last characters depend on their neighbours; what lies between does not.
        text = base64.b64encode(b"\0" * shift + data)[4 * bool(shift) : -4]
        found |= {text, text.translate(bytes.maketrans(b"+/", b"-_"))}
    found.add(zlib.compress(data)[2:-4])
    return tuple(found)


def places(root: Path, secret: str, *more: bytes) -> list[str]:
    """Return the files under `root`, and the numbers of the texts in `more`, where a form of `secret` stands."""
    wanted = forms(secret)
    texts = {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    texts |= {f"text {number}": text for number, text in enumerate(more)}
    return [name for name, text in texts.items() if any(form in text for form in wanted)]
