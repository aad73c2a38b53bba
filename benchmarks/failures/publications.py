"""Whether publishing under load fails no answer, and whether spoiled bundles are refused while the old one serves."""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from time import monotonic, sleep

import orjson

from app.model.bundle import POINTER, current_version
from app.model.verification.manifest import MANIFEST, sealed
from app.settings import Settings
from benchmarks.failures.mutations import Mutation, mutations, rewrite
from benchmarks.support.questions import known_customers
from benchmarks.support.servers import Server, Service, endcap_up, status_of
from benchmarks.support.traffic import Answer, traffic

PER_S = 100.0
LIVE_TIMEOUT_S = 30.0


@dataclass(slots=True)
class Copies:
    """Bundles made from one sound bundle under names of their own; hard links, as nobody writes to a bundle."""

    bundles_dir: Path
    source: str
    versions: list[str] = field(default_factory=list)
    made_count: int = 0

    def make(self, *, change: Callable[[Path], None] | None = None) -> str:
        """A copy that is not yet published; `change` may then damage its folder."""
        self.made_count += 1
        version = f"{self.source}-{self.made_count:03d}"
        folder = self.bundles_dir / f".tmp-{version}"
        shutil.copytree(self.bundles_dir / self.source, folder, copy_function=os.link)
        manifest = orjson.loads((folder / MANIFEST).read_bytes())
        rewrite(folder / MANIFEST, sealed({**manifest, "version": version}))
        if change is not None:
            change(folder)
        folder.rename(self.bundles_dir / version)
        self.versions.append(version)
        return version

    def publish(self, version: str) -> None:
        """Moves the pointer in one step."""
        waiting = self.bundles_dir / ".tmp-pointer"
        waiting.write_text(version)
        waiting.replace(self.bundles_dir / POINTER)

    def forget(self, version: str) -> None:
        """Deletes a copy, and whatever a change put next to it; the pointer keeps its name for a moment."""
        self.publish(self.source)
        for path in self.bundles_dir.glob(f"*{version}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.versions.remove(version)

    def remove(self) -> None:
        """Points to the source again and deletes all copies."""
        self.publish(self.source)
        for version in self.versions:
            shutil.rmtree(self.bundles_dir / version)


@contextmanager
def copies_of_live_bundle(settings: Settings) -> Iterator[Copies]:
    """Copies of the bundle that is live now; afterwards everything is as it was."""
    copies = Copies(settings.bundles_dir, current_version(settings.bundles_dir))
    try:
        yield copies
    finally:
        copies.remove()


def publish_under_load(settings: Settings, *, count: int) -> dict[str, object]:
    """One publication after the other, each as soon as the one before is live."""
    with copies_of_live_bundle(settings) as copies, endcap_up(settings.data_dir) as service:
        start_bytes = _resident(service)
        with traffic(service.server, known_customers(settings), per_s=PER_S) as seen:
            live_after_s = []
            for _ in range(count):
                version = copies.make()
                copies.publish(version)
                live_after_s.append(_wait_until_live(service, version))
            sleep(1)
        end_bytes = _resident(service)
        decisions = sorted((answer for answer in seen.answers if answer.is_decision), key=lambda one: one.sent_at)
        return {
            "publications": count,
            "live_after_s": {"mean": round(sum(live_after_s) / count, 2), "max": round(max(live_after_s), 2)},
            **_decision_facts(decisions, [copies.source, *copies.versions]),
            "failed_answers": sum(answer.status not in (200, 202) for answer in seen.answers),
            "resident_mib": {"start": round(start_bytes / 2**20), "end": round(end_bytes / 2**20)},
        }


def _resident(service: Service) -> int:
    return Server(service.server.port, service.part("serve")).resident_bytes()


def _decision_facts(decisions: Sequence[Answer], published: Sequence[str]) -> dict[str, object]:
    position = {version: number for number, version in enumerate(published)}
    known = [answer for answer in decisions if answer.model_version in position]
    taken_ms = sorted(answer.taken_s * 1000 for answer in decisions)
    return {
        "decisions": len(decisions),
        "versions_seen": len({answer.model_version for answer in known}),
        "answers_naming_no_published_version": len(decisions) - len(known),
        "answers_going_back_a_version": _steps_back([(one, position[str(one.model_version)]) for one in known]),
        "p50_ms": round(taken_ms[len(taken_ms) // 2], 2),
        "p99_ms": round(taken_ms[int(0.99 * len(taken_ms))], 2),
        "max_ms": round(taken_ms[-1], 1),
    }


def _steps_back(placed: Sequence[tuple[Answer, int]]) -> int:
    """How many answers name an older version than an answer that was complete before they were sent."""
    finished = sorted(placed, key=lambda one: one[0].answered_at)
    steps_back = newest = done = 0
    for answer, version in sorted(placed, key=lambda one: one[0].sent_at):
        while done < len(finished) and finished[done][0].answered_at <= answer.sent_at:
            newest = max(newest, finished[done][1])
            done += 1
        steps_back += version < newest
    return steps_back


def _wait_until_live(service: Service, version: str) -> float:
    started = monotonic()
    while monotonic() - started < LIVE_TIMEOUT_S:
        if _ready(service.server).get("model_version") == version:
            return monotonic() - started
        sleep(0.02)
    raise RuntimeError(
        f"bundle {version} did not go live: {_ready(service.server)} {service.log_path.read_text()[-3000:]}"
    )


def _ready(server: Server) -> dict[str, str]:
    status, body = status_of(server, "/readyz")
    answer: dict[str, str] = orjson.loads(body) if status else {}
    return answer


def refuse_damage(settings: Settings, *, count: int, seed: int = 0) -> dict[str, object]:
    """Publishes so many spoiled bundles, of every kind, then a sound one again."""
    missed: list[str] = []
    with copies_of_live_bundle(settings) as copies, endcap_up(settings.data_dir) as service:
        with traffic(service.server, known_customers(settings), per_s=PER_S) as seen:
            for mutation, random in mutations(settings.bundles_dir / copies.source, count=count, seed=seed):
                version = copies.make(change=partial(_spoiled, mutation=mutation, random=random))
                copies.publish(version)
                if not _is_refused(service, copies.source, version):
                    missed.append(f"{mutation.kind} {mutation.file}: {_ready(service.server)}")
                copies.forget(version)
            counted = _refusals(service)
            sent_at = monotonic()
            sound = copies.make()
            copies.publish(sound)
            sound_after_s = _wait_until_live(service, sound)
        before = [answer for answer in seen.answers if answer.is_decision and answer.answered_at < sent_at]
        return {
            "spoiled_bundles": count,
            "refused": count - len(missed),
            "refusals_counted": counted,
            "missed": missed,
            "deaths": sum(line.get("message") == "part died, starting it again" for line in service.log_lines()),
            "decisions_meanwhile": len(before),
            "of_the_old_version": sum(answer.model_version == copies.source for answer in before),
            "failed_answers": sum(answer.status not in (200, 202) for answer in seen.answers),
            "sound_bundle_live_after_s": round(sound_after_s, 2),
        }


def _spoiled(folder: Path, *, mutation: Mutation, random: Random) -> None:
    mutation.spoil(folder, random)


def _is_refused(service: Service, old: str, version: str) -> bool:
    """True once /readyz says why this version is refused while the old one serves on."""
    deadline = monotonic() + LIVE_TIMEOUT_S
    while monotonic() < deadline:
        ready = _ready(service.server)
        if ready.get("model_version") != old:
            return False
        if version in ready.get("detail", ""):
            return True
        sleep(0.02)
    return False


def _refusals(service: Service) -> dict[str, int]:
    """How many refusals the service counted, by reason."""
    _, body = status_of(service.server, "/metrics")
    found = re.findall(r'^endcap_bundle_refusals_total\{reason="(\w+)"\} ([\d.]+)$', body.decode(), re.MULTILINE)
    return {reason: int(float(number)) for reason, number in found}
