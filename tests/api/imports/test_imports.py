"""Files over HTTP: taken bit by bit, worked on one after the other in processes of their own, looked up, taken back."""

import json
import os
import socket
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.imports.run import Sources, planned
from app.settings import Settings
from app.stores.jobs.folder import MAX_WAITING_COUNT, Jobs
from tests.support.server import serving, wait_until

PATH = "/v1/imports"
SALES = b"customer_id,product_id,timestamp,amount\nanna,tea,2026-10-01,1.99\nbob,mug,2026-10-02,5.00\n"
UNCLEAR = b"client;article;date;price\nanna;tee;01/10/2026;9,90\nbob;mug;02/10/2026;5,00\n"
LIMIT = 300_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path, currency="USD", import_max_bytes=LIMIT)


@pytest.fixture
def client(settings: Settings, valkey: str) -> Iterator[httpx.Client]:
    with serving(settings, valkey) as client:
        yield client


def sent(client: httpx.Client, content: bytes, **options: object) -> dict[str, Any]:
    """What became of the file in the end."""
    answer = client.post(PATH, content=content, params={name: str(value) for name, value in options.items()})
    assert answer.status_code == 202, answer.text
    return ended(client, answer)


def ended(client: httpx.Client, answer: httpx.Response) -> dict[str, Any]:
    """The job that an answer names, once it is over, without what holds nothing."""
    assert answer.json()["status"] in {"queued", "running"}
    found: dict[str, Any] = {}

    def is_over() -> bool:
        found.update(client.get(answer.headers["location"]).json())
        return found["status"] not in {"queued", "running"}

    wait_until(is_over, "the job is over")
    return {name: value for name, value in found.items() if value is not None}


def test_stock_of_stores_comes_in_and_says_what_was_known_otherwise(client: httpx.Client) -> None:
    sent(client, b"store_id,name\ns1,Mitte\n", table="stores")
    head = b"store_id,product_id,quantity\n"
    sent(client, head + b"s1,tea,5\ns1,mug,2\n")
    [report] = sent(client, head + b"s1,tea,4\ns9,tea,1\n", table="stock", partial_stock=True)["reports"]
    assert report["differences"] == {
        "same": 0, "differing": 1, "superseded": 0, "missing": 0, "emptied": 0,
        "first": [{"store_id": "s1", "product_id": "tea", "was": 5.0, "now": 4.0}],
    }  # fmt: skip
    assert (report["rows_added"], report["rows_rejected"]) == (1, 1)
    [preview] = sent(client, head + b"s1,tea,4\n", table="stock", preview=True)["previews"]
    assert (preview["differences"]["same"], preview["differences"]["emptied"]) == (1, 1)
    left = {product_id: client.get(f"/v1/stock/{product_id}").json()["available"] for product_id in ("tea", "mug")}
    assert left == {"tea": 4.0, "mug": 2.0}
    [prices] = sent(client, b"store_id,product_id,price\ns1,tea,2.50\n,tea,1.99\n")["reports"]
    assert (prices["table"], prices["rows_added"], prices["differences"]) == ("prices", 2, None)
    [undo] = [one["import_id"] for one in client.get(PATH).json()["imports"] if one["table"] == "prices"]
    assert "import the right file on top of it" in ended(client, client.post(f"{PATH}/{undo}/undo"))["detail"]


def test_file_comes_in_and_is_listed_and_taken_back(client: httpx.Client, settings: Settings) -> None:
    done = sent(client, zlib.compress(SALES, wbits=31), file_name="sales.csv.gz")
    [report] = done["reports"]
    assert (done["status"], done["file"], done["kind"]) == ("done", "sales.csv.gz", "import")
    assert (report["table"], report["rows_read"], report["rows_added"]) == ("transactions", 2, 2)
    [listed] = client.get(PATH).json()["imports"]
    assert (listed["import_id"], listed["by"], listed["status"]) == (report["import_id"], "local", "done")
    undone = ended(client, client.post(f"{PATH}/{report['import_id']}/undo"))
    assert (undone["status"], undone["kind"], undone["rows_gone"]) == ("done", "undo", 2)
    assert [one["status"] for one in client.get(PATH).json()["imports"]] == ["undone"]
    # Nothing of the file is left, and no folder of this machine is in any answer.
    assert not list(settings.uploads_dir.rglob("*sales*"))
    assert str(settings.data_dir) not in json.dumps([done, undone])


def test_look_shows_what_would_be_and_writes_nothing(client: httpx.Client, settings: Settings) -> None:
    [preview] = sent(client, SALES, preview=True)["previews"]
    assert (preview["table"], preview["rows"], preview["totals"]) == ("transactions", {"purchase": 2}, {"USD": "6.99"})
    assert not settings.history_dir.exists()


def test_unclear_file_fails_with_the_parameter_that_says_how_to_read_it(client: httpx.Client) -> None:
    failed = sent(client, UNCLEAR, table="transactions")
    assert (failed["status"], failed["code"], failed["parameter"]) == ("failed", "bad_input", "date_order")
    stated = sent(client, UNCLEAR, table="transactions", **{failed["parameter"]: failed["choices"][0]})
    assert stated["status"] == "done"


def test_mapping_is_a_known_source_and_never_a_file_of_the_server(client: httpx.Client, settings: Settings) -> None:
    secret = settings.data_dir / "secret.toml"
    secret.write_text("password = 1")
    failed = sent(client, SALES, mapping=str(secret))
    assert (failed["status"], failed["code"]) == ("failed", "bad_input")
    assert "shopify-orders" in failed["detail"]
    assert "password" not in failed["detail"]


OWN_WORDS = b"Bon;Kunde;Ware;Wann;Summe\n1;anna;tee;01.10.2026;1,99\n2;bob;mug;13.10.2026;5,00\n"
OWN_MAPPING = b"""
mapping = 1
name = "till of 1998"
table = "transactions"
columns = { customer_id = "Kunde", product_id = "Ware", basket_id = "Bon", timestamp = "Wann", amount = "Summe" }
"""


def kept(client: httpx.Client, name: str, mapping: bytes) -> dict[str, Any]:
    """What became of a mapping that was sent."""
    return ended(client, client.put(f"{PATH}/mappings/{name}", content=mapping))


def test_own_mapping_is_sent_once_and_named_by_later_files(client: httpx.Client, settings: Settings) -> None:
    failed = sent(client, OWN_WORDS, mapping="old-till")
    assert (failed["status"], "'old-till' is no known source" in failed["detail"]) == ("failed", True)
    assert (kept(client, "old-till", OWN_MAPPING)["status"]) == "done"
    done = sent(client, OWN_WORDS, mapping="old-till")
    assert done["reports"][0]["rows_added"] == 2
    assert client.get(PATH).json()["imports"][0]["mapping"].startswith("till of 1998")
    # The command line knows it by the same name.
    with planned(settings, Sources(files=(sales_file(settings),), mapping="old-till")) as plans:
        assert [plan.mapping.name for plan in plans] == ["till of 1998"]


def sales_file(settings: Settings) -> Path:
    """The same file on the disk."""
    path = settings.data_dir / "sales.csv"
    path.write_bytes(OWN_WORDS)
    return path


@pytest.mark.parametrize(
    ("name", "mapping", "detail"),
    [
        ("till", OWN_MAPPING.replace(b'"Kunde"', b"1"), "columns.customer_id"),
        ("till", b"mapping", "is not TOML"),
        ("till", b"\xff", "is not UTF-8"),
        ("shopify-orders", OWN_MAPPING, "shopify-orders is a known source; give the mapping another name"),
    ],
)
def test_mapping_with_a_fault_is_refused_with_its_place(
    client: httpx.Client, settings: Settings, name: str, mapping: bytes, detail: str
) -> None:
    failed = kept(client, name, mapping)
    assert (failed["status"], failed["kind"], failed["code"]) == ("failed", "mapping", "bad_input")
    assert detail in failed["detail"]
    assert not list(settings.tables_dir.rglob("*.toml"))


@pytest.mark.parametrize("name", ["..", "a%2Fb", "Till", "%2E%2E%2Fkeys"])
def test_name_of_a_mapping_leads_nowhere(client: httpx.Client, name: str) -> None:
    assert client.put(f"{PATH}/mappings/{name}", content=OWN_MAPPING).status_code in {404, 405, 415, 422}


def test_mapping_may_not_be_large(client: httpx.Client) -> None:
    answer = client.put(f"{PATH}/mappings/till", content=OWN_MAPPING + b"#" * 100_000)
    assert (answer.status_code, answer.json()["code"]) == (413, "request_too_large")


def test_promotions_come_in_as_well(client: httpx.Client) -> None:
    sent(client, SALES)
    [report] = sent(client, b"product_id,starts_at,flyer\ntea,2026-10-05,front\n", table="promotions")["reports"]
    assert (report["table"], report["rows_added"]) == ("promotions", 1)


@pytest.mark.parametrize("name", ["../../keys.json", ".hidden", "a/b"])
def test_file_name_leads_nowhere(client: httpx.Client, name: str) -> None:
    answer = client.post(PATH, content=SALES, params={"file_name": name})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize("is_declared", [True, False])
def test_file_that_is_too_large_is_refused_and_not_kept(
    client: httpx.Client, settings: Settings, is_declared: bool
) -> None:
    content = b"x" * (LIMIT + 1)
    answer = client.post(PATH, content=content if is_declared else iter([content]))
    assert (answer.status_code, answer.json()["code"]) == (413, "request_too_large")
    assert f"{LIMIT:,}" in answer.json()["detail"]
    wait_until(lambda: not list(settings.uploads_dir.glob("**/*")), "nothing is kept")


def test_file_larger_than_any_other_body_may_be_is_taken(settings: Settings, valkey: str) -> None:
    rows = b"".join(b"c%d,p%d\n" % (n, n % 100) for n in range(120_000))
    assert len(rows) > 1_000_000
    with serving(settings.model_copy(update={"import_max_bytes": 10_000_000}), valkey) as client:
        [report] = sent(client, b"customer_id,product_id\n" + rows)["reports"]
    assert report["rows_added"] == 120_000


def test_file_may_take_as_long_as_it_keeps_coming(settings: Settings, valkey: str) -> None:
    with serving(settings, valkey, body_s=0.4) as client:

        def slowly() -> Iterator[bytes]:
            for line in SALES.splitlines(keepends=True):
                yield line
                # Together longer than the time that a body has, each of them shorter.
                wait_s(0.25)

        answer = client.post(PATH, content=slowly())
        assert answer.status_code == 202
        # One who sends nothing more is cut off.
        with socket.create_connection((client.base_url.host, client.base_url.port or 80)) as connection:
            connection.sendall(b"POST /v1/imports HTTP/1.1\r\nhost: e\r\ncontent-length: 1000\r\n\r\na")
            assert b" 408 " in connection.recv(65536)


def wait_s(seconds: float) -> None:
    """Lets so much time pass."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        nobody.listen()
        nobody.settimeout(seconds)
        with pytest.raises(TimeoutError):
            nobody.accept()


def test_no_more_wait_than_may_and_they_are_worked_on_in_their_order(client: httpx.Client, settings: Settings) -> None:
    jobs = Jobs(settings.uploads_dir)
    with jobs.added({"kind": "import", "file": "f"}, None) as (first, lock):
        kept = os.dup(lock.fileno())
    files = {f"file-{n}": SALES.replace(b"tea", b"t%d" % n) for n in range(MAX_WAITING_COUNT - 1)}
    answers = [client.post(PATH, content=content, params={"file_name": name}) for name, content in files.items()]
    assert [one.status_code for one in answers] == [202] * (MAX_WAITING_COUNT - 1)
    refused = client.post(PATH, content=SALES)
    assert (refused.status_code, refused.json()["code"]) == (503, "import_queue_full")
    assert int(refused.headers["retry-after"]) > 1
    assert {client.get(one.headers["location"]).json()["status"] for one in answers} == {"queued"}
    first.end({"status": "done"})
    os.close(kept)
    assert [ended_later(client, one) for one in answers] == ["done"] * len(answers)
    assert [one["file"] for one in client.get(PATH).json()["imports"]] == list(files)


def ended_later(client: httpx.Client, answer: httpx.Response) -> str:
    """How the job ended."""
    return str(ended(client, answer)["status"])


def test_import_that_was_cut_off_says_so(client: httpx.Client, settings: Settings) -> None:
    with Jobs(settings.uploads_dir).added({"kind": "import", "file": "f"}, None) as (job, _):
        pass
    found = client.get(f"{PATH}/jobs/{job.job_id}").json()
    assert (found["status"], found["code"]) == ("failed", "import_interrupted")


@pytest.mark.parametrize("job_id", ["00000001", "nothing", "%2E%2E", "1%2F..", "9" * 300])
def test_job_that_is_not_kept_is_not_found(client: httpx.Client, job_id: str) -> None:
    assert client.get(f"{PATH}/jobs/{job_id}").status_code == 404
