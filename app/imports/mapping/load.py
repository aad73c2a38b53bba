"""Read mapping files: TOML, checked, each fault with the place where it stands."""

import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from app.errors import BadInput
from app.files import replace_durably
from app.imports.mapping.model import FileForm, Mapping

SHIPPED = files("app.imports") / "sources"
FOLDER = "mappings"
"""Below the tables: a retailer's own mappings, each known by the name of its file."""


def load_mapping(path: Path) -> Mapping:
    """The mapping in the file; raises BadInput that points to what is wrong."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInput(
            f"{path}: cannot be read ({error.strerror}); give a mapping in TOML, see docs/mapping.md"
        ) from None
    return _mapping_in(content, name=str(path))


def _mapping_in(content: bytes, *, name: str) -> Mapping:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise BadInput(f"{name}: is not UTF-8; save the mapping with that encoding") from None
    return parse_mapping(text, name=name)


def parse_mapping(text: str, *, name: str) -> Mapping:
    """The mapping that the TOML text holds; `name` is what errors call it."""
    try:
        return Mapping.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{name}: is not TOML ({error})") from None
    except ValidationError as error:
        words, where = _fault("", error)
        raise BadInput(f"{name}: {words}; see docs/mapping.md", pointer=where) from None


def keep_mapping(tables_dir: Path, name: str, content: bytes) -> None:
    """Keeps a mapping under a name, in the place of an earlier one; raises BadInput that points to what is wrong."""
    if name in shipped_mappings():
        raise BadInput(f"{name} is a known source; give the mapping another name")
    _mapping_in(content, name=name)
    path = tables_dir / FOLDER / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_durably(path, content)


def named_mapping(tables_dir: Path, name: str) -> Mapping | None:
    """The known source of this name, or the mapping that is kept under it."""
    own = _kept_mappings(tables_dir)
    return shipped_mappings().get(name) or (load_mapping(own[name]) if name in own else None)


def mapping_names(tables_dir: Path) -> list[str]:
    """Of all known sources and all mappings that are kept."""
    return sorted({*shipped_mappings(), *_kept_mappings(tables_dir)})


def _kept_mappings(tables_dir: Path) -> dict[str, Path]:
    return {path.stem: path for path in (tables_dir / FOLDER).glob("*.toml")}


def _fault(prefix: str, error: ValidationError) -> tuple[str, str]:
    """The first fault in words, and where it is."""
    fault = error.errors()[0]
    where = ".".join(str(part) for part in fault["loc"])
    words = fault["msg"].removeprefix("Value error, ")
    value = "" if fault["type"] == "missing" else f", is {fault['input']!r:.80}"
    return f"{prefix}{where}: {words}{value}", where


def file_form(**stated: object) -> FileForm:
    """What options state of a file; raises BadInput for what no file has."""
    try:
        return FileForm.model_validate(stated)
    except ValidationError as error:
        raise BadInput(_fault("--", error)[0].replace("_", "-")) from None


@cache
def shipped_mappings() -> dict[str, Mapping]:
    """The known sources by name, in the order of their names."""
    found = {}
    for folder in SHIPPED.iterdir():
        for file in folder.iterdir() if folder.is_dir() else ():
            if file.name.endswith(".toml"):
                mapping = parse_mapping(file.read_text(encoding="utf-8"), name=file.name)
                found[mapping.name] = mapping
    return dict(sorted(found.items()))
