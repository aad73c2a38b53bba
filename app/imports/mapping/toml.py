"""Write a mapping as the file that would state it."""

import json

from app.imports.mapping.model import ColumnRule, Mapping


def to_toml(mapping: Mapping) -> str:
    """The mapping in TOML: its file form, columns and kinds of rows, which is all that a guess has."""
    lines = ["mapping = 1", f'name = "{mapping.name}"', f'table = "{mapping.table}"']
    form = mapping.file.model_dump(exclude_none=True)
    if form:
        lines += ["", "[file]", *(f"{name} = {_value(value)}" for name, value in form.items())]
    lines += ["", "[columns]", *(f"{name} = {_rule(rule)}" for name, rule in mapping.columns.items())]
    for rule in mapping.rows:
        lines += ["", "[[rows]]", f"column = {_value(rule.column)}"]
        lines += [
            f"{name} = {_value(value)}"
            for name, value in rule.model_dump(exclude_defaults=True).items()
            if name != "column"
        ]
    return "\n".join(lines) + "\n"


def _rule(rule: ColumnRule) -> str:
    given = rule.model_dump(exclude_defaults=True)
    if set(given) == {"column"}:
        return _value(rule.column[0] if len(rule.column) == 1 else rule.column)
    return _value(given)


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(name)} = {_value(each)}" for name, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    # A string of JSON is one of TOML.
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    return name if name.replace("_", "").isalnum() and name.isascii() else json.dumps(name, ensure_ascii=False)
