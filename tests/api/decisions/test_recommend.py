"""`endcap recommend` and HTTP are one pipeline."""

import asyncio
from pathlib import Path

import httpx
import orjson

from app.commands.recommend import recommend
from tests.support.world import World, customer, no_progress, product

NOW = "2026-10-01T00:00:00Z"


def requests() -> list[dict[str, object]]:
    """Known, unknown and anonymous customers with all kinds of context."""
    known: list[dict[str, object]] = [
        {"customer_id": customer(taste, number), "placement": "app_home", "size": 15, "context": {"now": NOW}}
        for taste in ("tea", "coffee")
        for number in range(10)
    ]
    context = {
        "now": NOW,
        "recent": [product("tea", 1)],
        "basket": [{"product_id": product("tea", 2)}],
        "store_id": "s1",
    }
    return [
        *known,
        {"customer_id": "unknown", "placement": "cart", "context": context},
        {"anonymous_id": "nobody", "placement": "cart", "context": context, "explain": True},
        {"customer_id": customer("tea", 1), "placement": "cart", "exclude": ["purchased"], "context": context},
        {
            "customer_id": customer("tea", 1),
            "placement": "cart",
            "filters": {"department": ["COFFEE"]},
            "context": context,
        },
    ]


def test_file_and_http_give_the_same_slates_in_the_same_order(
    trained_world: World, api: httpx.Client, tmp_path: Path
) -> None:
    source, target = tmp_path / "requests.jsonl", tmp_path / "answers.jsonl"
    source.write_bytes(b"\n".join(map(orjson.dumps, requests())))
    report = asyncio.run(
        recommend(trained_world.settings, trained_world.redis_url, source, target, progress=no_progress)
    )
    assert report.answered_count == len(requests())
    for body, line in zip(requests(), target.read_bytes().splitlines(), strict=True):
        by_file, by_http = orjson.loads(line), api.post("/v1/decisions", json=body).json()
        for answer in (by_file, by_http):
            answer.pop("decision_id")
            answer.pop("expires_at")
        assert by_file == by_http


def test_answers_stay_on_the_lines_of_their_requests(trained_world: World, tmp_path: Path) -> None:
    source, target = tmp_path / "requests.jsonl", tmp_path / "answers.jsonl"
    first, second = (orjson.dumps(request) for request in requests()[:2])
    source.write_bytes(b"\xef\xbb\xbf" + b"\n".join([first, b"", b"  ", second]) + b"\n")
    report = asyncio.run(
        recommend(trained_world.settings, trained_world.redis_url, source, target, progress=no_progress)
    )
    assert (report.answered_count, report.invalid_count) == (2, 0)
    assert [bool(line) for line in target.read_bytes().splitlines()] == [True, False, False, True]


def test_invalid_line_gets_its_problem_in_its_place(trained_world: World, tmp_path: Path) -> None:
    source, target = tmp_path / "requests.jsonl", tmp_path / "answers.jsonl"
    good = orjson.dumps(requests()[0])
    source.write_bytes(b"\n".join([good, b"{broken", b'{"customer_id": "1", "placement": "moon"}', good]))
    report = asyncio.run(
        recommend(trained_world.settings, trained_world.redis_url, source, target, progress=no_progress)
    )
    assert (report.answered_count, report.invalid_count) == (2, 2)
    answers = [orjson.loads(line) for line in target.read_bytes().splitlines()]
    assert [answer.get("code") for answer in answers] == [None, "invalid_request", "unknown_placement", None]
