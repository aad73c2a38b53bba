"""An `endcap …` command line of an example, as the program takes it."""

from collections.abc import Mapping, Sequence

import typer

from app.cli import cli


def understood(words: Sequence[str]) -> Mapping[str, object]:
    """The options as the command line takes them; what it does not know, it refuses."""
    program, name, *options = words
    assert program == "endcap"
    commands = typer.main.get_command(cli).commands  # type: ignore[attr-defined]  # cli is a group
    taken: Mapping[str, object] = commands[name].make_context(name, list(options)).params
    return taken
