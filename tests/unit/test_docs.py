"""What the documents say is what the code does."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

import engine

PROJECT = Path(__file__).resolve().parents[2]
NAME = re.compile(r"(?:HAVRE_[A-Z0-9]+(?:_[A-Z0-9]+)*|DATABASE_URL|REDIS_URL)")
QUOTED = re.compile(rf"""["']({NAME.pattern})["']""")
ROW = re.compile(rf"^\| `({NAME.pattern})` \|", re.MULTILINE)
NAMED = re.compile(r"`([a-z_*/]+(?:\.py|/))`")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def test_the_table_of_variables_is_complete_and_true() -> None:
    documented = set(ROW.findall((PROJECT / "README.md").read_text()))
    read = {name for path in _programs() for name in QUOTED.findall(path.read_text())}
    assert documented == read


def test_links_of_the_documents_lead_somewhere() -> None:
    documents = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docker-compose-free/README.md", "webui/README.md")
    for place in (*(PROJECT / name for name in documents), *PROJECT.glob("engine/**/README.md")):
        missing = [target for target in LINK.findall(place.read_text()) if not (place.parent / target).exists()]
        assert not missing, place


@pytest.mark.parametrize("readme", sorted(PROJECT.glob("engine/*/README.md")), ids=lambda readme: readme.parent.name)
def test_a_package_tells_of_all_its_modules_and_of_no_others(readme: Path) -> None:
    package, told = readme.parent, set(NAMED.findall(readme.read_text()))
    modules = [path.relative_to(package) for path in package.rglob("*.py") if path.name != "__init__.py"]
    assert [
        module
        for module in modules
        if not any(fnmatch(module.name, name) or str(module).startswith(name) for name in told)
    ] == []
    assert [
        name
        for name in sorted(told)
        if not any(list(top.glob(f"**/{name}")) for top in (PROJECT / "engine", PROJECT / "tests"))
    ] == []


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    front_end = json.loads((PROJECT / "static/package.json").read_text())["version"]
    assert {project, front_end} == {engine.__version__}


def test_no_module_outgrows_the_rule_of_contributing() -> None:
    long = {
        path.relative_to(PROJECT): lines
        for directory in ("engine", "webui", "docker-compose-free", "tests")
        for path in (PROJECT / directory).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) >= 600
    }
    assert not long


def _programs() -> Iterator[Path]:
    for directory in ("engine", "webui", "docker-compose-free/bringup"):
        yield from (PROJECT / directory).rglob("*.py")
    tests = ["tests/fixtures/cache.py"]
    tests += [f"tests/engine/test_{name}.py" for name in ("crash", "crash_points", "hostile_requests", "races")]
    yield from (PROJECT / name for name in ("manage.py", "docker-compose-free/up", *tests))
