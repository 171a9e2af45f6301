"""Every set of values that comes with the charts, on every Kubernetes version: what must hold."""

from __future__ import annotations

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from scripts.chart_images import rendered as chart_images
from tests.charts import checks, helm, schemas
from tests.charts.cases import Case, cases, charts, every, objects, rendered
from tests.charts.checks import renders
from tests.charts.checks.images import of as images_of
from tests.charts.checks.renders import BASE, RENDER_CHECKS, Renderer
from tests.charts.helm import KUBE_VERSIONS
from tests.charts.objects import all_pods, env, of_kind, quantity, title

_LONG_NAME = "a-release-name-of-fifty-three-characters-as-helm-allow"[:53]
_ALL = [case for chart in charts() for case in cases(chart)]
_PRESETS = [case for case in cases(helm.CHART) if case.name.startswith(("default", "presets"))]

every_case = pytest.mark.parametrize("case", _ALL, ids=str)
every_render = pytest.mark.parametrize(("case", "kube_version"), every(), ids=str)


@every_render
def test_1_lint_and_client_dry_run_find_nothing(case: Case, kube_version: str) -> None:
    options: dict[str, Any] = {"kube_version": kube_version, "chart": case.chart}
    # Side by side, because both take a while outside of Python.
    with ThreadPoolExecutor(1) as aside:
        found = aside.submit(helm.lint, case.values, **options)
        manifest = helm.dry_run(case.values, api_versions=helm.API_VERSIONS, **options)
        made = objects(case, kube_version)
    assert found.result() == []
    assert ("kind: " in manifest) == bool(made)


@every_render
def test_1_objects_follow_strict_schemas(case: Case, kube_version: str) -> None:
    # A chart of node pools makes none before it is told where it is.
    assert objects(case, kube_version) or (case.chart != helm.CHART and case.name == "default")
    assert list(schemas.invalid(objects(case, kube_version), kube_version)) == []


@every_render
def test_2_to_16_checks_find_nothing(case: Case, kube_version: str) -> None:
    found = checks.findings(objects(case, kube_version), rendered(case, kube_version), chart=case.chart.name)
    assert found == []


@pytest.mark.parametrize("case", [case for case in _ALL if case.since], ids=str)
def test_1_what_an_old_cluster_cannot_do_is_refused(case: Case) -> None:
    with pytest.raises(helm.HelmError, match=r"Kubernetes 1\.\d+"):
        case.render(f"1.{case.since - 1}.0")


@every_case
def test_10_two_renders_are_byte_identical(case: Case) -> None:
    kube_version = KUBE_VERSIONS[-1]
    assert case.render(kube_version) == rendered(case, kube_version)


@every_case
def test_16_nothing_is_skipped_where_a_cluster_lacks_its_api(case: Case) -> None:
    kube_version = KUBE_VERSIONS[-1]
    wanted = [title(one) for one in objects(case, kube_version)]
    try:
        found = [title(one) for one in helm.documents(case.render(kube_version, api_versions=()))]
    except helm.HelmError as refused:
        found = wanted if "which this cluster lacks" in str(refused) else [str(refused)]
    assert found == wanted


@pytest.mark.parametrize("check", RENDER_CHECKS, ids=lambda check: str(check.__name__))
def test_renders_of_changed_values(check: Any) -> None:
    assert list(check(renderer(helm.CHART))) == []


@pytest.mark.parametrize(("turn", "case"), list(enumerate(_PRESETS)), ids=str)
def test_11_12_renders_of_changed_values_over_a_preset(turn: int, case: Case) -> None:
    # A render takes a while: over six presets, each version and each change has its turn twice.
    render = renderer(helm.CHART, case.values, kube_version=KUBE_VERSIONS[turn % 3])
    assert list(renders.point_11_only_the_concerned_roll(render, renders.ROLLS[turn % 3 :: 3])) == []
    assert list(renders.point_12_digests_win(render)) == []


def renderer(chart: Path, below: dict[str, Any] | None = None, **defaults: Any) -> Renderer:
    """Renders a chart over a registry, on a cluster that has every API; values lie over those `below`."""

    def render(values: dict[str, Any], **options: Any) -> dict[str, str]:
        options = {"api_versions": helm.API_VERSIONS, "chart": chart, **defaults, **options}
        return helm.render(helm.with_registry(renders.merged(below or {}, values)), **options)

    return render


def test_11_a_new_version_of_the_chart_rolls_nothing_by_itself(tmp_path: Path) -> None:
    chart = tmp_path / "trireme"
    shutil.copytree(helm.CHART, chart)
    meta = (chart / "Chart.yaml").read_text()
    (chart / "Chart.yaml").write_text(re.sub(r"(?m)^version: .*", "version: 9.9.9", meta))
    before, after = (helm.documents(renderer(one)(BASE)) for one in (helm.CHART, chart))
    templates = [[one["spec"]["template"] for one in of_kind(made, "Deployment")] for made in (before, after)]
    assert templates[0] == templates[1]
    assert before != after


@pytest.mark.parametrize("name", [_LONG_NAME, "1234", "true"])
def test_14_odd_release_names_give_valid_objects(name: str) -> None:
    assert len(_LONG_NAME) == 53
    values = {**BASE, "inference": {"pools": {**BASE["inference"]["pools"], "fifteen-letters": {}}}}
    text = renderer(helm.CHART)(values, name=name)
    documents = helm.documents(text)
    assert checks.findings(documents, text) == []
    assert list(schemas.invalid(documents, KUBE_VERSIONS[1])) == []


@pytest.mark.parametrize("case", [case for case in _ALL if not case.name.startswith("ci")], ids=str)
def test_14_a_preset_takes_the_longest_release_name(case: Case) -> None:
    text = case.render(name=_LONG_NAME)
    documents = helm.documents(text)
    assert checks.findings(documents, text, chart=case.chart.name) == []
    assert list(schemas.invalid(documents, KUBE_VERSIONS[1])) == []


def test_14_releases_whose_names_differ_late_share_no_object() -> None:
    one, two = ({title(document) for document in helm.manifests(name=_LONG_NAME[:-1] + end)} for end in "xy")
    assert not one & two


@pytest.mark.parametrize("case", cases(helm.CHART), ids=str)
def test_12_the_list_of_images_for_a_mirror_names_what_runs(case: Case) -> None:
    assert chart_images(case.values) == sorted(
        {image for _, image in images_of(objects(case, KUBE_VERSIONS[-1]))}
    )


def _kind() -> list[helm.Document]:
    (case,) = [case for case in cases(helm.CHART) if case.name == "presets-kind"]
    return objects(case, KUBE_VERSIONS[1])


def test_preset_kind_fits_a_small_machine() -> None:
    workloads = [pod for pod in all_pods(_kind()) if pod.owner["kind"] == "Deployment"]
    asked = [container["resources"]["requests"] for pod in workloads for container in pod.containers]
    assert all(pod.owner["spec"]["replicas"] == 1 for pod in workloads)
    assert sum(quantity(one["cpu"]) for one in asked) <= 1.2
    assert sum(quantity(one["memory"]) for one in asked) <= 3 * 2**30


def test_preset_kind_needs_no_gpu_no_storage_and_nothing_installed_before() -> None:
    documents = _kind()
    (case,) = [case for case in cases(helm.CHART) if case.name == "presets-kind"]
    assert helm.documents(case.render(api_versions=())) == documents
    text = json.dumps(documents)
    assert "nvidia" not in text
    assert "persistentVolumeClaim" not in text
    for pod in all_pods(documents):
        assert "nodeSelector" not in pod.spec
        assert env(pod.main).get("TRIREME_INFERENCE_DEVICE", "cpu") == "cpu"
    kinds = {document["apiVersion"].partition("/")[0] for document in documents}
    assert kinds <= {"v1", "apps", "policy", "networking.k8s.io"}


@pytest.mark.parametrize("case", _PRESETS, ids=str)
def test_9_every_preset_closes_the_network(case: Case) -> None:
    assert len(of_kind(objects(case, KUBE_VERSIONS[1]), "NetworkPolicy")) > 4
