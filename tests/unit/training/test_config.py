"""A training's file of keys: what it may say, what is refused and how, and what it changes."""

import tomllib
from pathlib import Path

import pytest

from app.errors import BadInput, BadSetting
from app.model.bundle import load_bundle
from tests.support.world import World, train_unpublished
from tests.test_docs import DOCS, table_rows
from training.config import EnabledParts, ModelConfig, SearchSpace, TrainConfig, keys, read_config
from training.learners.factors import AlsSettings

EXAMPLE = DOCS / "examples" / "train.toml"


def written(folder: Path, text: str) -> Path:
    """A file of that content."""
    path = folder / "train.toml"
    path.write_text(text)
    return path


def test_no_file_and_no_option_is_the_default() -> None:
    assert read_config(None) == TrainConfig()


def test_file_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, "budget_minutes = 3\n[search_space]\nfactors = 32\npenalties = [10, 20.5]"))
    assert config.budget_minutes == 3
    assert config.search_space.start() == AlsSettings(factors=32)
    assert config.search_space.penalties == (10, 20.5)
    assert config.model_dump(exclude={"budget_minutes", "search_space"}) == TrainConfig().model_dump(
        exclude={"budget_minutes", "search_space"}
    )


def test_option_wins_over_the_file_and_what_is_not_given_does_not(tmp_path: Path) -> None:
    path = written(tmp_path, "budget_minutes = 3\nseed = 7\npublish = false")
    config = read_config(path, budget_minutes=0.5, seed=None, publish=True)
    assert (config.budget_minutes, config.seed, config.publish) == (0.5, 7, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("buget_minutes = 3", "buget_minutes = 3: there is no such key; did you mean budget_minutes?"),
        (
            "[search_space]\nfactor = 3",
            "search_space.factor = 3: there is no such key; did you mean search_space.factors?",
        ),
        ("colour = 'red'", "colour = 'red': there is no such key; take it out, the keys are in docs/training.md"),
        ("seed = -1", "seed = -1: Input should be greater than or equal to 0; see docs/training.md"),
        ("publish = 'yes'", "publish = 'yes': Input should be a valid boolean; see docs/training.md"),
        ("budget_minutes = inf", "budget_minutes = inf: Input should be a finite number; see docs/training.md"),
        ("[search_space]\nalpha = 0", "search_space.alpha = 0: Input should be greater than 0; see docs/training.md"),
        (
            "[search_space]\nweighting = 'log'",
            "search_space.weighting = 'log': Input should be 'binary', 'count' or 'decayed'",
        ),
        (
            "[search_space]\npenalties = ['10']",
            "search_space.penalties.0 = '10': Input should be a valid number; see docs/training.md",
        ),
        (
            "[search_space]\nfactors = 300",
            "max_factors = 256 is less than factors = 300: raise it; see docs/training.md",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line_that_names_key_value_and_remedy(
    tmp_path: Path, text: str, message: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(BadSetting) as refused:
        read_config(path)
    assert refused.value.message.startswith(f"{path}: ")
    assert message in refused.value.message
    assert "\n" not in refused.value.message


def test_file_that_is_missing_or_no_toml_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.toml cannot be read \(No such file or directory\)"):
        read_config(tmp_path / "none.toml")
    with pytest.raises(BadInput, match=r"train\.toml is no TOML: .*docs/training\.md"):
        read_config(written(tmp_path, "seed: 1"))


def test_example_is_the_defaults_but_for_its_budget() -> None:
    assert read_config(EXAMPLE, budget_minutes=1.0) == TrainConfig()


def test_example_names_every_key() -> None:
    text = "\n".join(
        line.removeprefix("# ") if "mlflow_" in line else line for line in EXAMPLE.read_text().splitlines()
    )
    stated = tomllib.loads(text)
    nested = {f"{table}.{key}" for table, inner in stated.items() if isinstance(inner, dict) for key in inner}
    assert nested | {key for key, value in stated.items() if not isinstance(value, dict)} == set(keys())


def test_every_key_is_documented_with_its_default() -> None:
    rows = {cells[0].strip("`"): cells for cells in table_rows(DOCS / "training.md") if cells[0].startswith("`")}
    documented = {name: cells[1].strip("`") for name, cells in rows.items() if name in keys()}
    assert documented == {name: in_toml(value) for name, value in keys().items()}


def in_toml(value: object) -> str:
    """The value as the page writes it; – for none."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    return str(list(value)) if isinstance(value, tuple) else str(value)


def test_parts_that_are_switched_off_are_not_in_the_bundle(own_world: World) -> None:
    config = ModelConfig(
        max_windows=1,
        parts=EnabledParts(linear=False, trees=False, replenishment=False),
        search_space=SearchSpace(factors=8, max_factors=8, iterations=3),
    )
    report = train_unpublished(own_world, config)
    bundle = load_bundle(own_world.settings.bundles_dir / report.version)
    assert (len(bundle.linear_idx), bundle.ranker, dict(bundle.rebuy)) == (0, None, {})
    assert bundle.item_factors.shape[1] == 8
    assert bundle.manifest["config"]["model"]["search_space"]["factors"] == 8
