"""Statements of the pages that can be checked: links, records, verbs, dependencies, layout."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import typer

from docs.support import PAGES, ROOT, fenced, prose, script
from llmcp.admin.reading import READS
from llmcp.cli.app import NOT_BUILT, app
from llmcp.config.settings import validate_text
from llmcp.core import records
from llmcp.core.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_VERB = re.compile(r"\bllmcp ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)?)")


def _slugs(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """Files that pages name are there, and so are the headings."""
    missing = []
    for link in _LINK.findall(prose(page)):
        if link.startswith(("https://", "http://")):
            continue
        path, _, heading = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (heading and heading not in _slugs(target)):
            missing.append(link)
    assert missing == []


def _verbs(command: Any, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, child in command.commands.items():
        if hasattr(child, "commands"):
            yield from _verbs(child, (*prefix, name))
        else:
            yield (*prefix, name), child


_ALL_VERBS = dict(_verbs(typer.main.get_command(app)))


@pytest.mark.parametrize("verb", _ALL_VERBS, ids=" ".join)
def test_every_verb_has_a_sentence_and_an_example(verb: tuple[str, ...]) -> None:
    """Help begins with one sentence and shows how the verb is called."""
    text = _ALL_VERBS[verb].help or ""
    first = text.strip().splitlines()[0]
    assert first[0].isupper()
    assert first.endswith(".")
    assert re.search(rf"Example: .*llmcp {' '.join(verb)}\b", text, re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_that_a_page_shows_exist(page: Path) -> None:
    """Whoever types a command from a page is not told that there is no such command."""
    shown = [line.partition(" #")[0] for block in fenced(page, "sh") for line in block.splitlines()]
    text = "\n".join(shown + re.findall(r"`(llmcp [^`]*)`", prose(page)))
    nouns = {verb[0] for verb in _ALL_VERBS if len(verb) == 2}
    known = {" ".join(verb) for verb in _ALL_VERBS}
    later = set(NOT_BUILT[""])
    for said in _VERB.findall(text):
        first, _, second = said.partition(" ")
        if first in nouns:
            assert not second or f"{first} {second}" in known, said
        else:
            assert first in known or first in later, said


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_options_that_a_page_shows_exist(page: Path) -> None:
    """Every `--option` behind a verb is one of that verb's, in blocks as in the text."""
    lines = [line.partition(" #")[0] for block in fenced(page, "sh") for line in block.splitlines()]
    for said in (*lines, *re.findall(r"`(llmcp [^`]*)`", prose(page))):
        for one in re.split(r"[;&|]|\$\(", said):
            words = one.rstrip(")").split()
            if "llmcp" not in words:
                continue
            words = words[words.index("llmcp") + 1 :]
            verb = next((tuple(words[:n]) for n in (2, 1) if tuple(words[:n]) in _ALL_VERBS), None)
            if verb is None:
                continue
            known = {option for param in _ALL_VERBS[verb].params for option in (*param.opts, *param.secondary_opts)}
            assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known | {"--help"}, one


def test_dependencies_are_those_of_the_project() -> None:
    """The list with the reasons is the list that is installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.match(r"[A-Za-z0-9_.-]+", line).group(0) for line in project["dependencies"]}  # type: ignore[union-attr]
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)) == declared


def test_the_architecture_page_names_every_module_at_the_top() -> None:
    """A new folder has a place on the page, and the page names none that is gone."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = "\n".join(line for line in page.splitlines() if line.startswith("|"))
    named = {name.rstrip("/") for name in re.findall(r"`([a-z_]+(?:\.py|/))`", table)}
    source = ROOT / "src" / "llmcp"
    there = {p.name for p in source.iterdir() if (p.is_dir() or p.suffix == ".py") and not p.name.startswith("__")}
    assert named == there


def test_the_example_record_is_a_record() -> None:
    """It reads as one, says nothing that a record does not have, and leaves nothing out."""
    (text,) = fenced(ROOT / "docs" / "records.md", "json")
    shown = json.loads(text)
    record = records.parse(text.encode())
    assert json.loads(records.canonical(record)) == shown
    assert list(shown) == [field.name for field in msgspec.structs.fields(records.DecisionRecord)]


def test_the_readme_stays_short() -> None:
    """Whoever opens it reads it: prose and tables, the generated parts left out."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    own = re.sub(r"<!-- generated.*?<!-- /generated -->", "", text, flags=re.DOTALL)
    assert len(own.splitlines()) < 160


def test_the_conformance_page_adds_up() -> None:
    """The rows of its table sum to the exchanges that it speaks of."""
    page = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [a-z-]+ [\w.]+ \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", page, re.MULTILINE)
    total, agree, more, disagree = (sum(map(int, column)) for column in zip(*rows, strict=True))
    assert (total, agree + more + disagree) == (1081, 1081)
    assert f"({more} exchanges)" in page


def test_settings_that_a_page_shows_are_taken() -> None:
    """Every YAML block that is no policy is read as the daemon reads `llmcp.yaml`."""
    blocks = [(page.name, text) for page in PAGES for text in fenced(page, "yaml") if "apiVersion" not in text]
    shown = [(name, text) for name, text in blocks if text.partition(":")[0] in Settings.model_fields]
    assert {name for name, _ in shown} >= {"identities.md", "ledger.md", "adding-a-provider.md"}
    for name, text in shown:
        assert validate_text(text, name) != Settings(), name


def _words_of(folder: str, form: str) -> set[str]:
    source = ROOT / "src" / "llmcp" / folder
    return {word for path in source.rglob("*.py") for word in re.findall(rf'"({form})"', path.read_text(encoding="utf-8"))}


def test_every_reason_for_a_refused_credential_stands_in_its_page() -> None:
    """Whoever reads `error_type` in a record finds what it means."""
    page = (ROOT / "docs" / "identities.md").read_text(encoding="utf-8")
    reasons = _words_of(
        "engine", r"virtual_keys?_[a-z_]+|jwt_[a-z_]+|(?:org|app)_(?:disabled|unknown)|no_credential|outside_token_scope"
    )
    assert len(reasons) >= 12
    assert {reason for reason in reasons if f"`{reason}`" not in page} == set()


def test_every_error_of_the_store_stands_in_its_page() -> None:
    """And the page names none that does not exist."""
    page = (ROOT / "docs" / "store.md").read_text(encoding="utf-8")
    assert _words_of("stores", "store-[a-z]+") == set(re.findall(r"`(store-[a-z]+)`", page))


def test_every_read_path_stands_in_its_page() -> None:
    """With each of its parameters, or with the verb that has the same ones."""
    page = (ROOT / "docs" / "identities.md").read_text(encoding="utf-8")
    assert [route.path for route in READS if f"{route.path}`" not in page] == []


def test_no_meaning_is_blank() -> None:
    """A row without a sentence would say nothing."""
    meanings = script("meanings")
    for said in (meanings.RECORD, meanings.CONTROL, meanings.SETTINGS, meanings.OUTCOMES, meanings.REFUSALS, meanings.DAMAGES):
        assert all(text.strip() for text in said.values())


def test_every_benchmark_stands_in_its_list() -> None:
    """A script that nobody can find is not run."""
    page = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in (ROOT / "benchmarks").glob("*.py") if f"`{path.name}`" not in page] == []
