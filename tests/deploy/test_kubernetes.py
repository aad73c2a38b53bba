"""The manifests are what Kubernetes takes, safe to run, and replaced without a refused request."""

import copy
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from app import __version__
from app.api.health import router
from app.processes.server import GRACE_S, KEEP_ALIVE_S
from app.settings import Settings
from tests.deploy.commands import understood
from tests.deploy.manifests import KUSTOMIZATION, VERSIONS, documents, files, named, pods, schema_errors
from tests.support.repository import ROOT, skip_unless_ci

PODS = dict(pods(documents()))
API = PODS["endcap-api"]
SETTINGS = {f"ENDCAP_{name.upper()}" for name in Settings.model_fields} | {"MLFLOW_TRACKING_URI"}
PAGE = (ROOT / "docs" / "deployment.md").read_text()


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_every_manifest(version: str) -> None:
    assert len(documents()) >= 9
    assert [error for document in documents() for error in schema_errors(document, version)] == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.template.spec.containers.0.livenesProbe", {}),
        ("spec.template.spec.containers.0.ports.0.containerPort", "http"),
        ("spec.template.spec.securityContext.runAsUser", "endcap"),
        ("spec.strategy.rollingUpdate.maxUnavailable", None),
        ("apiVersion", "apps/v1beta1"),
    ],
)
def test_manifest_with_a_mistake_is_found(path: str, value: object) -> None:
    broken = copy.deepcopy(named("Deployment", "endcap-api"))
    *parents, last = path.split(".")
    place: Any = broken
    for name in parents:
        place = place[int(name)] if isinstance(place, list) else place[name]
    place[last] = [] if value is None else value
    assert schema_errors(broken, VERSIONS[-1])


def test_kustomization_has_every_file() -> None:
    assert sorted(yaml.safe_load(KUSTOMIZATION.read_text())["resources"]) == [path.name for path in files()]


def test_overlay_changes_what_the_page_says_it_may(tmp_path: Path) -> None:
    program = shutil.which("kubectl")
    if program is None:
        skip_unless_ci("no kubectl on this machine (Debian: apt-get install kubernetes-client)")
    shutil.copytree(KUSTOMIZATION.parent, tmp_path / "deploy" / "kubernetes")
    [overlay] = re.findall(r"```yaml\n(apiVersion: kustomize.*?)```", PAGE, re.DOTALL)
    (tmp_path / "overlay").mkdir()
    (tmp_path / "overlay" / "kustomization.yaml").write_text(overlay)
    rendered = subprocess.run(
        [program, "kustomize", str(tmp_path / "overlay")], capture_output=True, text=True, check=True
    )
    found = list(yaml.safe_load_all(rendered.stdout))
    assert sorted(one["kind"] for one in found) == sorted(one["kind"] for one in documents())
    assert {one["metadata"]["namespace"] for one in found} == {"personalization"}
    images = {pod["spec"]["containers"][0]["image"] for _, pod in pods(found)}
    assert images == {f"registry.example.com/endcap:{__version__}"}
    assert not [error for one in found for error in schema_errors(one, VERSIONS[0])]


@pytest.mark.parametrize("name", PODS)
def test_pod_has_no_right_that_it_does_not_need(name: str) -> None:
    spec = PODS[name]["spec"]
    [container] = spec["containers"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    users = {spec["securityContext"][key] for key in ("runAsUser", "runAsGroup", "fsGroup")}
    assert f"USER {users.pop()}:" in (ROOT / "Dockerfile").read_text()
    assert not users
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize("name", PODS)
def test_pod_runs_a_command_that_exists_with_settings_that_are_read(name: str) -> None:
    [container] = PODS[name]["spec"]["containers"]
    understood(container["command"])
    assert {entry["name"] for entry in container["env"]} <= SETTINGS
    assert PODS[name]["spec"]["enableServiceLinks"] is False, "the Service's name would set ENDCAP_PORT"
    assert container["image"] == f"endcap:{__version__}"
    assert {"cpu", "memory"} <= set(container["resources"]["requests"])
    assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", PODS)
def test_pod_writes_where_a_volume_is_and_nowhere_else(name: str) -> None:
    [container] = PODS[name]["spec"]["containers"]
    writable = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    assert writable == {"/data", "/tmp"}
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        one["name"] for one in PODS[name]["spec"]["volumes"]
    }


def test_no_secret_is_in_a_file_and_each_is_on_the_page() -> None:
    assert "Secret" not in {document["kind"] for document in documents()}
    keys = set(re.findall(r"key: ([\w-]+)", json.dumps(documents()).replace('"', "")))
    rows = set(re.findall(r"^\| `([\w-]+)` \|", PAGE.partition("## Kubernetes")[2], re.MULTILINE))
    assert keys == rows


def test_old_pod_ends_after_a_new_one_is_ready_and_has_time_to() -> None:
    spec = named("Deployment", "endcap-api")["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    [container] = API["spec"]["containers"]
    [program, seconds] = container["lifecycle"]["preStop"]["exec"]["command"]
    assert program == "sleep"
    # Longer than a readiness probe and whoever follows the Service's addresses take, together.
    assert int(seconds) >= 5
    assert int(seconds) + KEEP_ALIVE_S + 1 + GRACE_S < API["spec"]["terminationGracePeriodSeconds"]


def test_probes_look_at_pages_that_exist_and_a_model_is_needed_for_traffic_alone() -> None:
    [container] = API["spec"]["containers"]
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
    assert {one["path"] for one in probes.values()} <= {getattr(route, "path", None) for route in router.routes}
    assert {name: one["path"] for name, one in probes.items()} == {
        "startup": "/healthz",
        "readiness": "/readyz",
        "liveness": "/healthz",
    }
    assert {one["port"] for one in probes.values()} == {port["name"] for port in container["ports"]}
    [port] = container["ports"]
    assert understood(container["command"])["port"] == port["containerPort"]


def test_every_selector_finds_its_pods() -> None:
    labels = API["metadata"]["labels"]
    for selector in (
        named("Service", "endcap")["spec"]["selector"],
        named("PodDisruptionBudget", "endcap-api")["spec"]["selector"]["matchLabels"],
        named("NetworkPolicy", "endcap-api")["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector == labels
    everything = named("NetworkPolicy", "endcap")["spec"]
    assert all(
        everything["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items() for pod in PODS.values()
    )
    assert everything["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in everything, "nothing comes in but what another policy lets in"
    assert len({json.dumps(pod["metadata"]["labels"]) for pod in PODS.values()}) == len(PODS)
