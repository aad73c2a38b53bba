"""`endcap recommend`: a file of requests through the pipeline that serves, one answer a line, in order."""

from codecs import BOM_UTF8
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import BinaryIO

from pydantic import ValidationError

from app.api.decisions.wire import DecisionRequest, answer_body, to_query
from app.api.problems import problem
from app.api.state import Service
from app.composition.customers import customers_follower_of
from app.composition.places import follower_of
from app.composition.service import build_service, close_service
from app.errors import BadInput, BundleMissing, EndcapError, pointer_to
from app.ports import Progress
from app.settings import Settings
from app.stores.sql.database.schema import upgrade
from app.telemetry import no_timer

PATIENT_TIMEOUT_MS = 5000
"""Nobody waits at a screen: a slow store costs time here, not quality."""
PROGRESS_EVERY = 100


@dataclass(frozen=True, slots=True)
class RecommendReport:
    """How many requests were answered, how many of them less than fully, and how many were invalid."""

    answered_count: int
    degraded_count: int
    invalid_count: int
    seconds: float
    output: Path

    def to_dict(self) -> dict[str, object]:
        """The report in plain JSON types."""
        return asdict(self) | {"output": str(self.output)}

    def to_text(self) -> str:
        """The report in one line."""
        return (
            f"{self.answered_count:,} answered ({self.degraded_count:,} flagged), {self.invalid_count:,} invalid, "
            f"{self.seconds:.1f} s → {self.output}"
        )


async def recommend(
    settings: Settings, redis_url: str, requests: Path, output: Path, *, progress: Progress
) -> RecommendReport:
    """Answers every line of `requests` on the same line; an invalid one gets its problem there, a blank one nothing.

    Raises BundleMissing before the first training, and BadInput when a file cannot be used.
    """
    patient = settings.model_copy(update={"feature_timeout_ms": PATIENT_TIMEOUT_MS})
    service, connections = build_service(patient, redis_url)
    upgrade(service.ledger)
    service.offer_indexes.refresh()
    customers_follower = customers_follower_of(service)
    await customers_follower.ensure_documents()
    follower = follower_of(service)
    follower.load()
    await follower.follow()
    if not service.live.refresh() or service.live.bundle is None:
        raise BundleMissing(service.live.problem or f"no bundle in {settings.bundles_dir}; run `endcap train` first")
    started = perf_counter()
    unfinished = output.with_name(f".{output.name}.unfinished")
    answered = degraded = invalid = 0
    try:
        with _opened(requests, "rb") as source, _opened(unfinished, "wb") as sink:
            total = sum(1 for _ in source)
            source.seek(0)
            for number, line in enumerate(source, start=1):
                if not line.strip():
                    # Answers stay on the lines of their requests.
                    sink.write(b"\n")
                    continue
                await follower.follow_where_due()
                await customers_follower.follow_where_due()
                body, flags = await _answer(service, line.removeprefix(BOM_UTF8) if number == 1 else line)
                sink.write(body + b"\n")
                invalid += flags is None
                answered += flags is not None
                degraded += bool(flags)
                if number % PROGRESS_EVERY == 0 or number == total:
                    progress("recommend", number, total)
        # Moved at the end: the output is complete or not there.
        unfinished.replace(output)
    finally:
        unfinished.unlink(missing_ok=True)
        await close_service(service, connections)
    return RecommendReport(answered, degraded, invalid, perf_counter() - started, output)


async def _answer(service: Service, line: bytes) -> tuple[bytes, int | None]:
    """The answer's body and how many flags it carries; a problem's body and None for an invalid request."""
    try:
        query = to_query(DecisionRequest.model_validate_json(line), service.placements)
        slate = await service.fallback_chain.answer(query, no_timer)
    except ValidationError as error:
        first = error.errors()[0]
        pointer = pointer_to(first["loc"])
        return bytes(
            problem(422, "invalid_request", f"{pointer or 'body'}: {first['msg']}", pointer=pointer).body
        ), None
    except EndcapError as error:
        return bytes(problem(422, error.code, error.message, pointer=error.pointer).body), None
    body = answer_body(
        slate,
        currency=service.settings.currency,
        with_trace=query.explain,
        keep_s=service.settings.decision_keep_s,
    )
    return body, len(slate.degraded)


def _opened(path: Path, mode: str) -> BinaryIO:
    try:
        return path.open(mode)  # type: ignore[return-value]  # both modes are binary
    except OSError as error:
        raise BadInput(
            f"{path} cannot be opened ({error.strerror}); name a readable file and a writable place"
        ) from None
