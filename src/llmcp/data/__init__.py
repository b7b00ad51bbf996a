"""Facts that come with llmcp as files, read once by whoever wires the daemon.

`prices.json` is written by `scripts/build_prices.py` from the `genai-prices` project's data (MIT licence, credited in the file).
"""

from __future__ import annotations

from importlib.resources import files


def prices() -> bytes:
    """Return the bundled price table, for `PriceTable.load`."""
    return files(__name__).joinpath("prices.json").read_bytes()
