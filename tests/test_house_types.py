"""What the type checker cannot ask for: signatures that say something, and calls that read without a look-up."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.repository import ROOT
from tests.test_house_rules import SHIPPED_PYTHON, Definition, tree_of

VALUES_ALONE = {"documented", "replace"}
"""Takes as many values of one kind as one likes, as HTTP statuses, or is a method of str."""
HOT = {"Proposition", "WalletCoupon"}
"""Named tuples that a decision makes by the dozen: keywords would cost it two microseconds."""


def test_public_signature_says_more_than_any() -> None:
    vague = [
        f"{path}:{node.lineno} {node.name}"
        for path in SHIPPED_PYTHON
        for node in public_functions(tree_of(path))
        if any(isinstance(part, ast.Name) and part.id == "Any" for part in annotations(node))
    ]
    assert not vague, f"{vague}: name the type; a JSON object is app.domain.JsonObject"


def test_ignored_type_has_its_reason() -> None:
    bare = [
        f"{path}:{number}"
        for path in SHIPPED_PYTHON
        for number, (line, before) in enumerate(lines_with_the_one_before(path), start=1)
        if "type: ignore" in line
        and not re.search(r"type: ignore\[[\w, -]+\]\s+# \w", line)
        and not before.lstrip().startswith("#")
    ]
    assert not bare, f"{bare}: write the reason behind it or on the line above"


def test_third_argument_of_a_call_is_no_bare_number_or_flag() -> None:
    own = {node.name for path in SHIPPED_PYTHON for node in ast.walk(tree_of(path)) if isinstance(node, Definition)}
    unreadable = [
        f"{path}:{node.lineno} {ast.unparse(node)[:80]}"
        for path in SHIPPED_PYTHON
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and called_name(node) in own - VALUES_ALONE - HOT
        and any(
            isinstance(argument, ast.Constant) and not isinstance(argument.value, str | bytes)
            for argument in node.args[2:]
        )
    ]
    assert not unreadable, f"{unreadable}: give it by its name"


def called_name(call: ast.Call) -> str:
    """The last part of what is called."""
    return (
        call.func.id
        if isinstance(call.func, ast.Name)
        else call.func.attr
        if isinstance(call.func, ast.Attribute)
        else ""
    )


def public_functions(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Functions of a module and methods of its public classes that others may call."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from public_functions(child)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and not re.match(r"_(?!_)", child.name):
            yield child


def annotations(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.AST]:
    """Every part of what a signature says of its arguments and its result."""
    given = function.args
    arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    stated = [argument.annotation for argument in arguments if argument is not None] + [function.returns]
    for annotation in stated:
        if annotation is not None:
            yield from ast.walk(annotation)


def lines_with_the_one_before(path: Path) -> Iterator[tuple[str, str]]:
    """Each line of a file, and the line above it."""
    lines = (ROOT / path).read_text().splitlines()
    return zip(lines, ["", *lines], strict=False)
