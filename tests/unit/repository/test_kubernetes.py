"""The files in deploy/kubernetes belong together, and running tasks keep their workers."""

from __future__ import annotations

import shutil
import subprocess
from copy import deepcopy
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

FOLDER = Path(__file__).parents[3] / "deploy/kubernetes"


def documents() -> list[tuple[str, dict[str, Any]]]:
    return [
        (str(file.relative_to(FOLDER)), document)
        for file in sorted(FOLDER.rglob("*.yaml"))
        for document in yaml.safe_load_all(file.read_text())
    ]


def objects() -> list[dict[str, Any]]:
    return [document for _, document in documents() if document["kind"] != "Kustomization"]


def of_kind(kind: str, name: str) -> dict[str, Any]:
    [found] = [d for d in objects() if (d["kind"], d["metadata"]["name"]) == (kind, name)]
    return found


def test_each_object_has_a_kind_and_a_name() -> None:
    kinds = [document["kind"] for document in objects() if document["metadata"]["name"]]
    assert sorted(kinds) == ["Deployment", "Deployment", "Namespace", "ScaledObject", "Service"]


def test_a_kustomization_names_each_file_of_its_folder() -> None:
    for path, document in documents():
        if document["kind"] == "Kustomization":
            others = {file.name for file in (FOLDER / path).parent.glob("*.yaml")}
            named = {name for name in document["resources"] if name.endswith(".yaml")}
            assert named == others - {"kustomization.yaml"}


@pytest.mark.parametrize("release", ["1.30", "1.37"])
def test_they_match_the_schemas_of_kubernetes(release: str) -> None:
    # KEDA defines this kind.
    own = [each for each in objects() if each["kind"] != "ScaledObject"]
    for each in own:
        kubernetes_validate.validate(each, release, strict=True)
    misspelt = deepcopy(next(each for each in own if each["kind"] == "Deployment"))
    misspelt["spec"]["replica"] = misspelt["spec"].pop("replicas", 1)
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(misspelt, release, strict=True)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("folder", ["base", "keda"])
def test_kustomize_builds_them(folder: str) -> None:
    done = subprocess.run(
        ["kubectl", "kustomize", FOLDER / folder], capture_output=True, text=True, check=True
    )
    built = list(yaml.safe_load_all(done.stdout))
    kinds = sorted(document["kind"] for document in built)
    own = ["ConfigMap", "Deployment", "Deployment", "Namespace", "Secret", "Service"]
    assert kinds == sorted([*own, "ScaledObject"] if folder == "keda" else own)
    assert {document["metadata"].get("namespace", "fluxqueue") for document in built} == {
        "fluxqueue"
    }


def test_running_tasks_keep_their_worker() -> None:
    scaled, worker = of_kind("ScaledObject", "worker"), of_kind("Deployment", "worker")
    [trigger] = scaled["spec"]["triggers"]
    # `total` has the running tasks, so the last worker of a running task is never zero.
    assert trigger["type"] == "metrics-api"
    assert trigger["metadata"]["valueLocation"] == "total"
    assert scaled["spec"]["scaleTargetRef"]["name"] == worker["metadata"]["name"]
    pod = worker["spec"]["template"]["spec"]
    [container] = pod["containers"]
    environment = {e["name"]: e["value"] for e in container["env"]}
    assert trigger["metadata"]["targetValue"] == environment["FLUXQUEUE_CONCURRENCY"]
    # Kubernetes may choose a pod that has running tasks: it has a day for them.
    drain = int(environment["FLUXQUEUE_DRAIN_TIMEOUT"])
    assert drain == 86_400 and pod["terminationGracePeriodSeconds"] >= drain + 30
    annotations = worker["spec"]["template"]["metadata"]["annotations"]
    assert annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
