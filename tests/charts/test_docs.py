"""The pages of docs/kubernetes: every `helm` command that names a chart of ours is rendered with the values
that it says, and what the pages point to is there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts import checks, helm, schemas
from tests.charts.checks.renders import merged
from tests.charts.objects import named, of_kind

_ROOT = Path(__file__).resolve().parents[2]
_PAGES = [*sorted((_ROOT / "docs" / "kubernetes").glob("*.md")), _ROOT / "docs" / "foreign-inference.md"]
_READMES = [helm.CHARTS / name / "README.md" for name in ("trireme", "trireme-nodepools")]
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_REUSE = {"--reuse-values", "--reset-then-reuse-values"}
_WITH_VALUE = {"--namespace", "-n", "--timeout", "--version", "-f", "--values", "--set", "--set-json"}


@dataclass(frozen=True)
class Command:
    """One `helm install` or `helm upgrade`, in the order of its page."""

    page: Path
    release: str
    chart: str
    words: tuple[str, ...] = field(repr=False)

    def options(self, *names: str) -> list[tuple[str, str]]:
        """Name and value of the options of these names, in their order."""
        return [(one, value) for one, value in zip(self.words, self.words[1:], strict=False) if one in names]

    def __str__(self) -> str:
        return f"{self.page.stem}-{self.release}"


def _blocks(page: Path, language: str) -> Iterator[str]:
    for indent, found, text in _FENCE.findall(page.read_text()):
        if found == language:
            yield "\n".join(line.removeprefix(indent) for line in text.splitlines())


def _commands(page: Path) -> Iterator[list[str]]:
    """Words of every command line that a page shows, with `$REGISTRY` and the like filled in."""
    for block in _blocks(page, "console"):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            if line.startswith("$ helm "):
                text = line.removeprefix("$ ").replace("$REGISTRY", helm.REGISTRY)
                yield shlex.split(re.sub(r"\$\w+", "trireme", text), comments=True)


def _helm(page: Path) -> Iterator[Command]:
    for words in _commands(page):
        if words[1] not in ("install", "upgrade"):
            continue
        places = iter(words[2:])
        named_ones = []
        for word in places:
            if word in _WITH_VALUE:
                next(places)
            elif not word.startswith("-"):
                named_ones.append(word)
        yield Command(page, named_ones[0], named_ones[1], tuple(words))


def _ours(page: Path) -> list[Command]:
    return [one for one in _helm(page) if one.chart.startswith("deploy/")]


def _file(page: Path, name: str) -> dict[str, Any]:
    """A file of values: of the repository, or the page's own, whose first line is its name."""
    if (_ROOT / name).is_file():
        text = (_ROOT / name).read_text()
    else:
        found = [block for block in _blocks(page, "yaml") if block.startswith(f"# {name}\n")]
        # What somebody has read from a cluster before: values of theirs.
        text = found[0] if found else "{}"
        assert found or f"> {name}" in page.read_text(), f"{page.name}: nothing says what {name} holds"
    values: dict[str, Any] = yaml.safe_load(text) or {}
    return values


def _set(expression: str) -> dict[str, Any]:
    """`a.b\\.c=d` as values. Raises ValueError for what is no assignment."""
    path, equals, text = expression.partition("=")
    if not (path and equals):
        raise ValueError(f"{expression!r} is no assignment")
    *above, last = [one.replace("\\.", ".") for one in re.split(r"(?<!\\)\.", path)]
    values: dict[str, Any] = {last: yaml.safe_load(text)}
    for key in reversed(above):
        values = {key: values}
    return values


def _values(page: Path) -> list[tuple[Command, dict[str, Any]]]:
    """The commands of a page, each with what its release then has."""
    states: dict[str, dict[str, Any]] = {}
    found = []
    for command in _ours(page):
        values = states.get(command.release, {}) if _REUSE & set(command.words) else {}
        for _, name in command.options("-f", "--values"):
            values = merged(values, _file(page, name))
        for _, expression in command.options("--set"):
            values = merged(values, _set(expression))
        values = _without_nulls(values)
        states[command.release] = values
        found.append((command, values))
    return found


def _without_nulls(values: dict[str, Any]) -> dict[str, Any]:
    """Values as an upgrade leaves them: null takes away what was there before."""
    return {
        key: _without_nulls(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not None
    }


_ALL = [one for page in [*_PAGES, *_READMES] for one in _values(page)]


@pytest.mark.parametrize(("command", "values"), _ALL, ids=[str(command) for command, _ in _ALL])
def test_a_command_of_a_page_gives_objects_that_a_cluster_takes(
    command: Command, values: dict[str, Any]
) -> None:
    assert command.options("--namespace") or command.page.name == "README.md"
    chart = _ROOT / command.chart
    rendered = helm.render(values, name=command.release, api_versions=helm.API_VERSIONS, chart=chart)
    documents = helm.documents(rendered)
    assert checks.findings(documents, rendered, chart=chart.name) == []
    assert list(schemas.invalid(documents, helm.KUBE_VERSIONS[1])) == []


def test_every_platform_has_its_page_and_every_page_installs() -> None:
    presets = {path.name.removesuffix("-values.yaml") for path in (helm.CHART / "presets").iterdir()}
    assert presets == {"aks", "eks", "gke", "kind", "on-prem"}
    for name in presets:
        page = _ROOT / "docs" / "kubernetes" / f"{name}.md"
        files = [name for one in _ours(page) for _, name in one.options("-f")]
        assert f"deploy/helm/trireme/presets/{name}-values.yaml" in files
        text = page.read_text()
        for step in ("make images", "helm -n trireme test", "/predict", "helm uninstall trireme"):
            assert step in text, f"{page.name} says nothing of {step}"


@pytest.mark.parametrize("platform", ["eks", "gke", "aks"])
def test_the_pods_of_a_page_come_to_its_pool(platform: str) -> None:
    made = _values(_ROOT / "docs" / "kubernetes" / f"{platform}.md")
    (nodes, pods) = (
        next(one for one in made if one[0].chart.endswith(chart)) for chart in ("nodepools", "trireme")
    )
    pool = helm.documents(
        helm.render(
            nodes[1],
            name=nodes[0].release,
            api_versions=helm.API_VERSIONS,
            chart=_ROOT / nodes[0].chart,
        )
    )
    app = helm.documents(helm.render(pods[1], name=pods[0].release, api_versions=helm.API_VERSIONS))
    pod = named(app, "Deployment", "trireme-inference-default")["spec"]["template"]["spec"]
    assert pod["nodeSelector"].items() <= _labels(pool).items()
    assert pod["priorityClassName"] in [one["metadata"]["name"] for one in of_kind(pool, "PriorityClass")]
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in pod["tolerations"]


def _labels(documents: list[helm.Document]) -> dict[str, str]:
    """Labels of the nodes that the only pool makes."""
    for pool in of_kind(documents, "NodePool"):
        labels: dict[str, str] = pool["spec"]["template"]["metadata"]["labels"]
        return labels
    (pool,) = of_kind(documents, "ComputeClass")
    return {"cloud.google.com/compute-class": pool["metadata"]["name"]}


@pytest.mark.parametrize("page", [*_PAGES, *_READMES], ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_what_is_installed_beside_has_one_version_everywhere(page: Path) -> None:
    overview = (_ROOT / "docs" / "kubernetes" / "README.md").read_text()
    for command in _helm(page):
        if command.chart.startswith("deploy/"):
            continue
        (version,) = [value for _, value in command.options("--version")]
        assert f"| {version} " in overview, f"{page.name}: {command.chart} {version}"


@pytest.mark.parametrize("page", [*_PAGES, *_READMES], ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), f"{page.name}: {target}"
        if anchor:
            titles = re.findall(r"^#+ (.*)$", place.read_text(), re.MULTILINE)
            assert anchor in {_anchor(title) for title in titles}, f"{page.name}: {target}"


def _anchor(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.stem))
def test_make_and_scripts_that_a_page_calls_are_there(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (_ROOT / "Makefile").read_text(), re.MULTILINE))
    for block in _blocks(page, "console"):
        for words in re.findall(r"(?:^\$ |\()make ((?:-\w+ )*(?:[a-z][a-z-]* ?)+)", block, re.MULTILINE):
            assert {one for one in words.split() if not one.startswith("-")} <= targets, words
        for script in re.findall(r"scripts/[\w.]+", block):
            assert (_ROOT / script).is_file(), script


def _renamed() -> list[str]:
    page = _ROOT / "docs" / "kubernetes" / "upgrade.md"
    _, _, table = page.read_text().partition("## Names that changed")
    return re.findall(r"^\| `([\w<>.]+)` \| `", table, re.MULTILINE)


@pytest.mark.parametrize("name", _renamed())
def test_a_name_that_changed_is_refused(name: str) -> None:
    path = name.replace("<service>", "gateway")
    with pytest.raises(helm.HelmError, match=f"(?s)schema.*{path.rpartition('.')[2]}"):
        helm.manifests(_set(f"{path}=70"))


def test_a_value_on_a_command_line_may_have_dots_in_its_key() -> None:
    assert _set("a.b\\.c/d=1") == {"a": {"b.c/d": 1}}
    with pytest.raises(ValueError, match="no assignment"):
        _set("")
