"""Rules of `llmcp.wiring.last_good`."""

from __future__ import annotations

import stat
from pathlib import Path

from llmcp.wiring.last_good import LastGood


def texts(kept: LastGood) -> list[str]:
    """Return what is kept."""
    directory = kept.directory()
    return [path.read_text() for path in sorted(directory.iterdir())] if directory else []


def test_what_was_saved_last_is_kept_and_nothing_else(tmp_path: Path) -> None:
    """Rule 1; former copies go."""
    kept = LastGood(tmp_path / "last-good")
    assert (kept.directory(), kept.policies()) == (None, 0)
    kept.save("sha256:aa", ["one", "two"], 2)
    kept.save("sha256:bb", ["three"], 1)
    assert (texts(kept), kept.policies()) == (["three"], 1)
    assert len(list((tmp_path / "last-good").iterdir())) == 2


def test_a_crash_before_the_pointer_leaves_the_former_copy(tmp_path: Path) -> None:
    """Rule 1: a half-written copy is not believed, and the next save begins it anew."""
    root = tmp_path / "last-good"
    kept = LastGood(root)
    kept.save("sha256:aa", ["one"], 1)
    (root / "sha256bb").mkdir()
    (root / "sha256bb" / "00007.yaml").write_text("half")
    assert texts(kept) == ["one"]
    kept.save("sha256:bb", ["whole"], 1)
    assert texts(kept) == ["whole"]


def test_a_torn_pointer_is_no_copy(tmp_path: Path) -> None:
    """Whatever stands there, nothing is raised."""
    root = tmp_path / "last-good"
    root.mkdir()
    for text in ("", "{", "[]", '{"name": 3}', '{"name": "gone", "policies": "x"}'):
        (root / "current.json").write_text(text)
        kept = LastGood(root)
        assert (kept.directory(), kept.policies()) == (None, 0)


def test_copies_are_private(tmp_path: Path) -> None:
    """Rule 3."""
    LastGood(tmp_path / "last-good").save("sha256:aa", ["one"], 1)
    for path in (tmp_path / "last-good").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
