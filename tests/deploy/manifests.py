"""The manifests of deploy/kubernetes as Kubernetes reads them, and what its schemas say of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from kubernetes_validate.utils import SchemaNotFoundError, ValidationError

from tests.support.repository import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
KUSTOMIZATION = FOLDER / "kustomization.yaml"
OLDEST = "1.29"
VERSIONS = [OLDEST, kubernetes_validate.latest_version()]
"""Of Kubernetes: what docs/deployment.md promises, and the newest that the schemas know."""


def files() -> list[Path]:
    """Those with documents for the cluster."""
    return sorted(path for path in FOLDER.glob("*.yaml") if path != KUSTOMIZATION)


def documents() -> list[dict[str, Any]]:
    """All of them."""
    return [document for path in files() for document in yaml.safe_load_all(path.read_text())]


def named(kind: str, name: str) -> dict[str, Any]:
    """One of them."""
    [found] = [one for one in documents() if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def pods(found: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The template of every pod that these documents make, and its document's name."""
    for document in found:
        spec = document.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template is not None:
            yield document["metadata"]["name"], template


def schema_errors(document: dict[str, Any], version: str) -> list[str]:
    """What this version of Kubernetes would refuse: unknown fields, wrong types, kinds that it does not have."""
    try:
        kubernetes_validate.validate(document, version, strict=True)
    except (ValidationError, SchemaNotFoundError) as error:
        return [str(error)]
    return []
