"""The notebook runs from first cell to last on a data directory and finds what it promises."""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from app.decision.ranking.features import COLUMNS
from tests.support.pages import Block, run_blocks
from tests.support.world import World
from tests.test_docs import DOCS

NOTEBOOK = DOCS / "notebooks" / "explore_a_bundle.ipynb"
LOOKING_INSIDE = DOCS / "training.md"
CELL_KEYS = {"code": {"cell_type", "id", "metadata", "source", "execution_count", "outputs"}}
OTHER_KEYS = {"cell_type", "id", "metadata", "source"}


def document() -> Any:
    """The notebook's JSON."""
    return json.loads(NOTEBOOK.read_text())


def code_cells() -> list[str]:
    """The code in its order."""
    return ["".join(cell["source"]) for cell in document()["cells"] if cell["cell_type"] == "code"]


@pytest.fixture(scope="module")
def found(trained_world: World) -> Iterator[dict[str, Any]]:
    """All names that the cells leave behind, run one after the other on the world's data directory."""
    names: dict[str, Any] = {}
    mpl.use("Agg")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ENDCAP_DATA_DIR", str(trained_world.settings.data_dir))
        for number, code in enumerate(code_cells()):
            exec(compile(code, f"{NOTEBOOK.name}[{number}]", "exec"), names)
    yield names
    plt.close("all")


def test_notebook_runs_as_its_page_says(trained_world: World, tmp_path: Path) -> None:
    page = LOOKING_INSIDE.read_text()
    [command] = re.findall(r"^    (ENDCAP_DATA_DIR=\S+ \.venv/bin/jupyter .*)$", page, re.MULTILINE)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "docs").symlink_to(DOCS)
    shutil.copytree(trained_world.settings.data_dir, tmp_path / "var")
    run_blocks([Block(command, "")], tmp_path)
    cells = json.loads((tmp_path / "var" / "explored.ipynb").read_text())["cells"]
    assert [cell["execution_count"] for cell in cells if cell["cell_type"] == "code"] == [1, 2, 3, 4, 5, 6, 7]
    assert any("image/png" in output.get("data", {}) for cell in cells for output in cell.get("outputs", []))


def test_notebook_is_valid_and_carries_nobodys_outputs() -> None:
    notebook = document()
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert {"kernelspec", "language_info"} <= set(notebook["metadata"])
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in ids)
    for cell in notebook["cells"]:
        assert set(cell) == CELL_KEYS.get(cell["cell_type"], OTHER_KEYS)
        assert all(line.endswith("\n") for line in cell["source"][:-1])
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_links_of_the_notebook_lead_somewhere() -> None:
    text = "".join(line for cell in document()["cells"] if cell["cell_type"] == "markdown" for line in cell["source"])
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    assert links
    assert not [link for link in links if not (NOTEBOOK.parent / link).exists()]


def test_summary_describes_the_bundle(found: dict[str, Any]) -> None:
    assert found["summary"]["version"] == found["bundle"].version
    assert found["summary"]["products"] == 61
    assert "endcap" in found["metrics"]["ranking"]


def test_neighbours_come_by_every_way_that_the_bundle_knows_and_share_the_products_taste(found: dict[str, Any]) -> None:
    near = found["near"]
    linear = {"linear"} if len(found["bundle"].linear_idx) else set()
    assert set(near["way"]) == {"taste", "together", "next"} | linear
    taste = found["product_id"].split("-")[0]
    for way in {"taste", "together"} | linear:
        names = near.filter(near["way"] == way)["product_id"]
        assert names.str.starts_with(taste).all(), way
        assert found["product_id"] not in names, way
    cosine = near.filter(near["way"] == "taste")["strength"].to_numpy()
    assert np.all(np.diff(cosine) <= 0)
    assert np.all(np.abs(cosine) <= 1 + 1e-6)


def test_decision_is_the_customers_own_with_its_factors(found: dict[str, Any]) -> None:
    shown, factors = found["shown"], found["factors"]
    assert shown["rank"].to_list() == list(range(1, 11))
    assert shown["product_id"].str.starts_with(found["customer_id"].split("-")[0]).all()
    assert len(factors) == 10
    assert set(COLUMNS) <= set(factors.columns)
    assert np.allclose(factors.sum_horizontal().to_numpy(), shown["score"].to_numpy(), atol=2e-3)


def test_plot_has_a_bar_per_product_and_column(found: dict[str, Any]) -> None:
    [axes] = found["figure"].axes
    assert len(axes.patches) == 10 * len(found["strongest"])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == found["strongest"]
