"""A bundle spoiled in any way, with right checksums or wrong ones, never goes live; what serves goes on serving."""

import shutil
from pathlib import Path

import numpy as np
import orjson
import pytest

from app.errors import REFUSAL_REASONS, BundleRefused
from app.model.bundle import POINTER, current_version, load_bundle
from app.model.reloader import LiveBundle
from app.model.verification.manifest import MANIFEST, REMEDY, SEAL
from benchmarks.failures.mutations import Mutation, mutations
from tests.support.bundles import array_of, copied
from tests.support.world import World
from training.release.publish import point_to

COUPONS = {"columns": ["a"], "mean": [0], "scale": [1], "weights": {"a": 1}, "intercept": 0, "measured": {}}
COUNT, SEED = 120, 20261224


def test_every_spoiled_bundle_is_refused_with_one_line_and_the_old_one_serves(own_world: World) -> None:
    bundles = own_world.settings.bundles_dir
    point_to(bundles, copied(bundles, "with-coupons", documents={"coupons.json": COUPONS}))
    reasons: list[str] = []
    live = LiveBundle(bundles, tables_dir=own_world.settings.tables_dir, warm=lambda _: None, on_refused=reasons.append)
    assert live.refresh()
    serving = live.bundle
    faults = []
    for number, (mutation, random) in enumerate(mutations(bundles / current_version(bundles), count=COUNT, seed=SEED)):
        version = copied(bundles, f"{number:03}")
        mutation.spoil(bundles / version, random)
        (bundles / POINTER).write_text(version)
        live.refresh()
        assert live.bundle is serving, f"{mutation.kind} of {mutation.file} went live"
        faults += what_is_unclear(mutation, live.problem or "", version)
        point_to(bundles, serving.version if serving else "")
        shutil.rmtree(bundles / version)
    assert not faults, "\n".join(faults)
    assert len(reasons) == COUNT
    assert set(reasons) <= set(REFUSAL_REASONS)


def what_is_unclear(mutation: Mutation, problem: str, version: str) -> list[str]:
    """The refusal, where an operator could not read in one line which bundle it is, what is wrong and what helps."""
    is_clear = version in problem and REMEDY in problem and "\n" not in problem and "Error(" not in problem
    return [] if is_clear else [f"{mutation.kind} of {mutation.file}: {problem!r}"]


@pytest.mark.parametrize("pointer", ["", "../tables", "/etc", ".tmp-1", "no\nbundle", "\udcff"])
def test_pointer_to_what_is_no_bundle_is_refused(own_world: World, pointer: str, tmp_path: Path) -> None:
    bundles = own_world.settings.bundles_dir
    reasons: list[str] = []
    live = LiveBundle(bundles, tables_dir=tmp_path, warm=lambda _: None, on_refused=reasons.append)
    assert live.refresh()
    (bundles / POINTER).write_bytes(pointer.encode(errors="surrogateescape"))
    assert live.refresh() is False
    assert reasons == ["pointer"]
    assert live.bundle is not None


def test_index_of_a_product_that_has_no_vector_is_refused_by_its_name(own_world: World) -> None:
    bundles = own_world.settings.bundles_dir
    items = np.arange(len(array_of(bundles, "item_factors.npy")) + 1, dtype=np.int32)
    version = copied(bundles, "astray", arrays={"index_items.npy": items})
    with pytest.raises(BundleRefused, match=r"index_items.npy does not hold each of the first products once"):
        load_bundle(bundles / version)


def test_bundle_from_before_the_seal_serves_on(own_world: World, tmp_path: Path) -> None:
    bundles = own_world.settings.bundles_dir
    version = copied(bundles, "old", documents={"index.faiss": "bytes"}, manifest={"schema_version": 2})
    manifest = orjson.loads((bundles / version / MANIFEST).read_bytes())
    del manifest[SEAL]
    (bundles / version / MANIFEST).write_bytes(orjson.dumps(manifest))
    point_to(bundles, version)
    live = LiveBundle(bundles, tables_dir=tmp_path, warm=lambda _: None, on_refused=lambda _: None)
    assert live.refresh(), live.problem
