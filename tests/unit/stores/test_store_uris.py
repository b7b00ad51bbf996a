"""Which store a URI names."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmcp.errors import UsageError
from llmcp.stores import open_audit_log


@pytest.mark.parametrize("uri", ["", "sqlite:///llmcp.db", "sqlite:///./llmcp.db"])
def test_a_relative_path_is_relative_to_the_home(tmp_path: Path, uri: str) -> None:
    """Never to the directory that the daemon happened to start in."""
    open_audit_log(uri, tmp_path).close()
    assert (tmp_path / "llmcp.db").exists()


def test_four_slashes_name_an_absolute_path(tmp_path: Path) -> None:
    """As everywhere in the field."""
    open_audit_log(f"sqlite:///{tmp_path}/elsewhere.db", tmp_path / "home").close()
    assert (tmp_path / "elsewhere.db").exists()


@pytest.mark.parametrize(
    "uri", ["postgresql://host/db", "llmcp.db", "sqlite:", "sqlite://", "sqlite:///", "sqlite:///a?mode=ro", "://x"]
)
def test_what_this_version_does_not_have_is_refused_by_name(tmp_path: Path, uri: str) -> None:
    """And nothing is created."""
    with pytest.raises(UsageError):
        open_audit_log(uri, tmp_path)
    assert list(tmp_path.iterdir()) == []
