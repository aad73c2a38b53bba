"""The error tree as its module shows it, compared with the classes that exist."""

import importlib
import pkgutil
import re

import app
import training
from app import errors

ENTRY = re.compile(r"^((?:│   |    )*)[├└]── (\w+)")


def test_error_tree_of_the_docstring_is_complete() -> None:
    load_everything()
    assert shown_parents() == dict(sorted(real_parents(errors.EndcapError)))


def load_everything() -> None:
    """Imports every module that may define an error; migrations and additions run under alembic alone."""
    for package in (app, training):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".database.migrations" not in module.name and ".database.additions" not in module.name:
                importlib.import_module(module.name)


def shown_parents() -> dict[str, str]:
    """Each error of the docstring's tree with the one above it."""
    path = ["EndcapError"]
    parents = {}
    for line in (errors.__doc__ or "").splitlines():
        if entry := ENTRY.match(line):
            depth = len(entry[1]) // 4 + 1
            path[depth:] = [entry[2]]
            parents[entry[2]] = path[depth - 1]
    return dict(sorted(parents.items()))


def real_parents(error: type[Exception]) -> list[tuple[str, str]]:
    """Each subclass, however deep, with its base."""
    below = error.__subclasses__()
    return [(one.__name__, error.__name__) for one in below] + [pair for one in below for pair in real_parents(one)]
