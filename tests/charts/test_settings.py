"""Every variable of ours that the chart sets is a setting of the service that gets it."""

from __future__ import annotations

import pytest

from scripts.generate_settings_doc import variable
from tests.charts import helm
from tests.charts.cases import Case, cases, objects
from tests.charts.checks.renders import BASE
from tests.charts.objects import Pod, env, services
from tests.charts.test_manifests import renderer
from trireme_common.settings import ServiceSettings
from trireme_gateway.settings import GatewaySettings
from trireme_inference.settings import InferenceSettings
from trireme_postprocess.settings import PostprocessSettings
from trireme_preprocess.settings import PreprocessSettings

_SETTINGS: dict[str, type[ServiceSettings]] = {
    "gateway": GatewaySettings,
    "preprocess": PreprocessSettings,
    "inference": InferenceSettings,
    "postprocess": PostprocessSettings,
}


def _unknown(pod: Pod) -> set[str]:
    settings = _SETTINGS[pod.component]
    known = {variable(settings, name, field) for name, field in settings.model_fields.items()}
    told = {name for container in pod.containers for name in env(container) if name.startswith("TRIREME_")}
    return told - known


@pytest.mark.parametrize("case", cases(helm.CHART), ids=str)
def test_variables_are_settings(case: Case) -> None:
    pods = services(objects(case, helm.KUBE_VERSIONS[-1]))
    assert {pod.title: _unknown(pod) for pod in pods if _unknown(pod)} == {}


def test_variables_of_a_pool_that_goes_to_zero_are_settings() -> None:
    pods = services(helm.documents(renderer(helm.CHART)(BASE)))
    assert {pod.title: _unknown(pod) for pod in pods if _unknown(pod)} == {}
