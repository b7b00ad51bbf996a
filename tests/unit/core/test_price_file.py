"""The bundled price file is what the script writes from the locked reference data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_price_file_is_current() -> None:
    """Nobody edits it by hand, and an upgrade of the reference is an upgrade of the file."""
    check = subprocess.run(
        [sys.executable, ROOT / "scripts" / "build_prices.py", "--check"], capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stderr


def test_the_reference_is_credited_with_its_licence() -> None:
    """MIT asks for its notice beside the data."""
    folder = ROOT / "src" / "llmcp" / "data"
    assert "MIT License" in (folder / "LICENSE.genai-prices").read_text("utf-8")
    assert "genai-prices" in (folder / "prices.json").read_text("utf-8")[:300]
