"""The report as a file: whole, self-contained, the same for the same results, whatever names it has to show."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.unit.training.report.sample_results import HOSTILE, sample_results
from training.evaluation.results import MetricEstimate
from training.metrics.exposure import PopularityGroup
from training.release.bundle_facts import BundleFacts, read_bundle_facts
from training.report.formatting import difference_in_words
from training.report.write import html_document, json_document, write_report

VOID = {"meta", "br", "hr", "img", "input", "link"}
FETCHING = {"src", "srcset", "data", "action", "poster", "background", "style-src"}
MANIFEST = {
    "version": "v1",
    "created_at": "2026-09-01T10:00:00+00:00",
    "commit": "abc",
    "data_window": {"start": "2026-01-01T00:00:00+00:00", "end": "2026-09-01T00:00:00+00:00"},
    "config": {
        "seed": 0,
        "shop": HOSTILE,
        "data": {"lines": 5, "has_time": True},
        "trials": [{"settings": {"factors": 64}, "ndcg": 0.1}, {"settings": {"factors": 128}, "ndcg": 0.2}],
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle's folder, as far as a report reads it."""
    made = tmp_path_factory.mktemp("bundles") / "v1"
    made.mkdir()
    documents = {
        "manifest": MANIFEST,
        "scoring": {"weights": {"als": 0.5, HOSTILE: -2.0}, "calibration": {"slope": 1.5, "knots": list(range(40))}},
        "als": {"factors": 128, "weighting": "decayed"},
        "ranker": {"importances": {f"feature {number}": number / 10 for number in range(40)}},
        "catalogue": {"names": ["never shown"]},
        "groups": ["all"],
    }
    for name, document in documents.items():
        (made / f"{name}.json").write_text(json.dumps(document))
    return made


@pytest.fixture(scope="module")
def facts(folder: Path) -> BundleFacts:
    return read_bundle_facts(folder)


@pytest.fixture(scope="module")
def document(facts: BundleFacts) -> str:
    return html_document(facts, sample_results())


class Page(HTMLParser):
    """Checks that what is opened is closed, and notes ids, links, what would be fetched, and words."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.fetched: list[str] = []
        self.words = ""
        self.feed(document)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            if name in {"href", "xlink:href"}:
                self.targets.append(str(value))
            if name in FETCHING or tag in {"script", "link", "iframe", "object"}:
                self.fetched.append(f"{tag} {name}={value}")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_page_fetches_nothing_and_refers_only_to_itself(document: str) -> None:
    page = Page(document)
    assert not page.fetched
    assert len(page.ids) == len(set(page.ids))
    assert page.targets
    assert {target.removeprefix("#") for target in page.targets} <= set(page.ids)
    assert "@import" not in document
    assert not re.search(r"url\((?!#)", document)
    assert "://" not in document


def test_same_results_make_the_same_bytes(facts: BundleFacts, document: str) -> None:
    assert html_document(facts, sample_results()) == document


def test_names_are_words_never_markup_nor_mathematics(document: str) -> None:
    page = Page(document)
    assert page.words.count(HOSTILE) >= 5
    assert "never shown" not in page.words


def test_every_picture_has_words_and_a_table_behind_it(document: str) -> None:
    figures = re.findall(r"<figure>.*?</figure>", document, re.DOTALL)
    assert len(figures) >= 10
    for figure in figures:
        assert re.search(r'<svg role="img" aria-label="[^"]+"', figure)
        assert "<figcaption>" in figure
        assert "<table>" in figure
    assert document.count("<svg ") == len(figures)


def test_pictures_leave_all_colours_to_the_page(document: str) -> None:
    pictures = "".join(re.findall(r"<svg .*?</svg>", document, re.DOTALL))
    assert set(re.findall(r"#[0-9a-f]{6}\b", pictures)) == set()
    assert "var(--series-1)" in pictures


def test_weights_trials_and_parameters_of_a_bundle_are_read_by_one_rule(facts: BundleFacts) -> None:
    assert list(facts.weights) == ["ranker.importances", "scoring.weights"]
    assert [trial["factors"] for trial in facts.trials] == [64, 128]
    shown = dict(facts.parameters)
    assert (shown["als.weighting"], shown["config.data.has_time"], shown["scoring.calibration.slope"]) == (
        "decayed",
        "True",
        "1.5",
    )
    assert shown["scoring.calibration.knots"] == "40 entries"


def test_bundle_without_trials_and_window_has_a_report_as_well(tmp_path: Path) -> None:
    bare = MANIFEST | {"config": {}, "data_window": {"start": None}}
    (tmp_path / "manifest.json").write_text(json.dumps(bare))
    facts = read_bundle_facts(tmp_path)
    assert "no timestamps" in Page(html_document(facts, sample_results())).words


def test_json_holds_the_same_figures(facts: BundleFacts) -> None:
    shown = json.loads(json_document(facts, sample_results()))
    assert shown["bundle"]["version"] == "v1"
    assert shown["results"]["rankings"]["endcap"]["figures"]["ndcg@10"] == {"mean": 0.2, "low": 0.1, "high": 0.3}
    assert shown["results"]["protocol"]["cut_at"] == "2026-09-01T00:00:00+00:00"


def test_later_report_replaces_both_files_and_leaves_nothing_else_behind(folder: Path, tmp_path: Path) -> None:
    for name in ("v1.html", "v1.json"):
        (tmp_path / name).write_text("older")
    assert write_report(tmp_path, folder, sample_results()) == tmp_path / "v1.html"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v1.html", "v1.json"]
    assert all("older" not in path.read_text() for path in tmp_path.iterdir())


def test_figure_that_is_no_number_is_refused_before_anything_is_written(folder: Path, tmp_path: Path) -> None:
    broken = replace(sample_results(), popularity_groups=[PopularityGroup(1, float("nan"), 1.0)])
    with pytest.raises(ValueError, match="JSON"):
        write_report(tmp_path, folder, broken)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("difference", "meant"),
    [
        (
            MetricEstimate(0.01, 0.005, 0.015),
            "0.0100 above x (95 % interval of the difference +0.0050 to +0.0150): more than",
        ),
        (
            MetricEstimate(-0.01, -0.015, -0.005),
            "0.0100 below x (95 % interval of the difference -0.0150 to -0.0050): more",
        ),
        (MetricEstimate(0.01, -0.005, 0.025), "within noise"),
        (MetricEstimate(0, 0, 0), "NDCG@10 is that of x, customer by customer."),
    ],
)
def test_words_say_whether_a_difference_is_noise(difference: MetricEstimate, meant: str) -> None:
    assert meant in difference_in_words("x", difference)
