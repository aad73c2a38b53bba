"""Bundles spoiled in every way that a disk, a person or an attacker may spoil one, each from a seed."""

import hashlib
import io
import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import orjson

from app.model.verification.manifest import MANIFEST, sealed

PAGE_BYTES = 4096
OUT_OF_RANGE = (-5, 2**30)
"""No position, price or code of a bundle is as low, and no position is as high."""
OPTIONAL = ("currency", "calibration_by_kind", "exclude_purchased", "ranker", "linear", "measured", "iterations")
"""Fields without which serving goes on."""
Change = Callable[[bytes, Random], bytes]


@dataclass(frozen=True, slots=True)
class Mutation:
    """One way to spoil one file; `spoil` changes the folder of a bundle."""

    kind: str
    file: str
    spoil: Callable[[Path, Random], None]


def mutations(folder: Path, *, count: int, seed: int) -> Iterator[tuple[Mutation, Random]]:
    """So many mutations of the bundle in `folder`, each with its own random numbers: every kind first, then more."""
    random = Random(seed)
    every = [*_of_bytes(folder), *_of_the_manifest(folder), *_of_arrays(folder), *_of_documents(folder)]
    random.shuffle(every)
    firsts = list({one.kind: one for one in reversed(every)}.values())
    others = [one for one in every if one not in firsts]
    ordered = [*firsts, *others]
    for number in range(count):
        yield ordered[number % len(ordered)], Random(random.random())


def _of_bytes(folder: Path) -> Iterator[Mutation]:
    """Damage that leaves the checksums as they are."""
    for path in sorted(folder.iterdir()):
        for change in (truncated, with_a_flipped_bit, with_a_zeroed_page, longer, emptied):
            yield Mutation(change.__name__, path.name, partial(_rewritten, name=path.name, change=change))
        for replace in (_missing, _symbolic_link, _named_pipe, _folder, _swapped):
            yield Mutation(replace.__name__, path.name, partial(replace, name=path.name))


def _of_the_manifest(folder: Path) -> Iterator[Mutation]:
    """A manifest that says something else, under a new seal."""
    document = orjson.loads((folder / MANIFEST).read_bytes())
    for field in set(document) - {"releases", "sha256"}:
        yield Mutation("field_missing", MANIFEST, partial(_resealed, change=partial(_without, field=field)))
        yield Mutation("field_of_another_kind", MANIFEST, partial(_resealed, change=partial(_with, field=field)))
    for name in ("../stolen", "/etc/hostname", "a/b", ".", "..\\stolen"):
        yield Mutation("name_outside", MANIFEST, partial(_resealed, change=partial(_naming, name=name)))
    for name in _array_names(folder):
        yield Mutation("file_forgotten", MANIFEST, partial(_resealed, change=partial(_forgetting, name=name)))


def _of_arrays(folder: Path) -> Iterator[Mutation]:
    """Arrays that do not fit, whose checksums are right."""
    for name in _array_names(folder):
        array = np.load(folder / name)
        changes: list[Callable[[Any, Random], Any]] = [_of_another_type, _with_one_dimension_more]
        if array.size:
            changes += [_with_one_row_less, _with_one_row_more]
        if array.size and np.issubdtype(array.dtype, np.inexact):
            changes.append(_not_finite)
        if array.size and np.issubdtype(array.dtype, np.signedinteger):
            changes.append(_out_of_range)
        for change in changes:
            yield Mutation(change.__name__, name, partial(_resaved, name=name, change=change))
        for other in (_as_pickle, _as_archive, _claiming_to_be_huge):
            yield Mutation(other.__name__, name, partial(_stored, name=name, change=other))


def _of_documents(folder: Path) -> Iterator[Mutation]:
    """Documents that lack or repeat something, whose checksums are right."""
    for path in sorted(folder.glob("*.json")):
        if path.name == MANIFEST:
            continue
        document = orjson.loads(path.read_bytes())
        changes: list[Change] = [_no_json, _another_kind]
        if isinstance(document, list):
            changes += [_one_entry_less, _one_entry_twice, _one_entry_a_number]
        else:
            changes += [partial(_without_bytes, field=field) for field in sorted(set(document) - set(OPTIONAL))]
        for change in changes:
            kind = getattr(change, "__name__", "field_of_a_document_missing")
            yield Mutation(kind, path.name, partial(_stored, name=path.name, change=change))


def _array_names(folder: Path) -> list[str]:
    # Without these two a bundle is one of a retailer without prices.
    return sorted({path.name for path in folder.glob("*.npy")} - {"price_listed.npy", "unit_cost_minor.npy"})


def truncated(content: bytes, random: Random) -> bytes:
    """The file up to somewhere."""
    return content[: random.randrange(len(content))]


def with_a_flipped_bit(content: bytes, random: Random) -> bytes:
    """One bit of it is another."""
    place = random.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << random.randrange(8)]) + content[place + 1 :]


def with_a_zeroed_page(content: bytes, random: Random) -> bytes:
    """A page of it was never written."""
    # Somewhere that is not all zeros already.
    place = random.choice([at for at in range(0, len(content), PAGE_BYTES) if any(content[at : at + PAGE_BYTES])])
    size = min(PAGE_BYTES, len(content) - place)
    return content[:place] + bytes(size) + content[place + size :]


def longer(content: bytes, random: Random) -> bytes:
    """Something follows."""
    return content + random.randbytes(random.randrange(1, PAGE_BYTES))


def emptied(_content: bytes, _random: Random) -> bytes:
    """Nothing is left."""
    return b""


def rewrite(path: Path, content: bytes) -> None:
    """Puts a new file in the place of what may be a hard link."""
    path.unlink()
    path.write_bytes(content)


def _rewritten(folder: Path, random: Random, *, name: str, change: Change) -> None:
    rewrite(folder / name, change((folder / name).read_bytes(), random))


def _missing(folder: Path, _random: Random, *, name: str) -> None:
    (folder / name).unlink()


def _symbolic_link(folder: Path, _random: Random, *, name: str) -> None:
    # Where it leads lies the right content.
    elsewhere = folder.with_name(f".elsewhere-{folder.name}-{name}")
    (folder / name).rename(elsewhere)
    (folder / name).symlink_to(elsewhere)


def _named_pipe(folder: Path, _random: Random, *, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)


def _folder(folder: Path, _random: Random, *, name: str) -> None:
    (folder / name).unlink()
    (folder / name).mkdir()


def _swapped(folder: Path, random: Random, *, name: str) -> None:
    ours = (folder / name).read_bytes()
    others = [path for path in sorted(folder.iterdir()) if path.name != name and path.read_bytes() != ours]
    other = random.choice(others)
    theirs = other.read_bytes()
    rewrite(other, ours)
    rewrite(folder / name, theirs)


def _resealed(folder: Path, random: Random, *, change: Callable[[dict[str, Any], Random], dict[str, Any]]) -> None:
    document = orjson.loads((folder / MANIFEST).read_bytes())
    rewrite(folder / MANIFEST, sealed(change(document, random)))


def _without(document: dict[str, Any], _random: Random, *, field: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != field}


def _with(document: dict[str, Any], _random: Random, *, field: str) -> dict[str, Any]:
    return {**document, field: 1.5}


def _naming(document: dict[str, Any], random: Random, *, name: str) -> dict[str, Any]:
    files = dict(document["files"])
    files[name] = files.pop(random.choice(sorted(files)))
    return {**document, "files": files}


def _forgetting(document: dict[str, Any], _random: Random, *, name: str) -> dict[str, Any]:
    return {**document, "files": {known: facts for known, facts in document["files"].items() if known != name}}


def _stored(folder: Path, random: Random, *, name: str, change: Change) -> None:
    """The changed file, and a manifest that promises just that."""
    content = change((folder / name).read_bytes(), random)
    rewrite(folder / name, content)
    document = orjson.loads((folder / MANIFEST).read_bytes())
    document["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    rewrite(folder / MANIFEST, sealed(document))


def _resaved(folder: Path, random: Random, *, name: str, change: Callable[[Any, Random], Any]) -> None:
    def resaved(content: bytes, _random: Random) -> bytes:
        file = io.BytesIO()
        np.save(file, change(np.load(io.BytesIO(content)), random))
        return file.getvalue()

    _stored(folder, random, name=name, change=resaved)


def _of_another_type(array: Any, _random: Random) -> Any:
    others = {np.dtype(np.bool_): np.int8, np.dtype(np.float64): np.float32}
    return array.astype(others.get(array.dtype, np.float64))


def _with_one_dimension_more(array: Any, _random: Random) -> Any:
    return array[None]


def _with_one_row_less(array: Any, _random: Random) -> Any:
    return array[:-1]


def _with_one_row_more(array: Any, _random: Random) -> Any:
    return np.concatenate([array, array[:1]])


def _not_finite(array: Any, random: Random) -> Any:
    array.flat[random.randrange(array.size)] = random.choice([np.nan, np.inf, -np.inf])
    return array


def _out_of_range(array: Any, random: Random) -> Any:
    # A price may be as high as it likes.
    array.flat[random.randrange(array.size)] = OUT_OF_RANGE[0 if array.dtype == np.int64 else random.randrange(2)]
    return array


def _as_pickle(content: bytes, _random: Random) -> bytes:
    packed: bytes = pickle.dumps(np.load(io.BytesIO(content)))
    return packed


def _as_archive(content: bytes, _random: Random) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, array=np.load(io.BytesIO(content)))
    return file.getvalue()


def _claiming_to_be_huge(content: bytes, _random: Random) -> bytes:
    array, file = np.load(io.BytesIO(content)), io.BytesIO()
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": (2**50, *array.shape[1:])}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + bytes(array.data)


def _no_json(content: bytes, _random: Random) -> bytes:
    return content[:-1]


def _another_kind(content: bytes, _random: Random) -> bytes:
    return b"{}" if content.lstrip().startswith(b"[") else b"[]"


def _one_entry_less(content: bytes, _random: Random) -> bytes:
    return orjson.dumps(orjson.loads(content)[:-1])


def _one_entry_twice(content: bytes, _random: Random) -> bytes:
    entries = orjson.loads(content)
    return orjson.dumps([*entries[:-1], entries[0]])


def _one_entry_a_number(content: bytes, _random: Random) -> bytes:
    return orjson.dumps([*orjson.loads(content)[:-1], 7])


def _without_bytes(content: bytes, _random: Random, *, field: str) -> bytes:
    return orjson.dumps({name: value for name, value in orjson.loads(content).items() if name != field})
