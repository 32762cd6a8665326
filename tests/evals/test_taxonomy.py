"""One table of what each metric is evidence for: complete, exact, and silent on what it does not know."""

from __future__ import annotations

import re

import pytest

from evals.directions import DIRECTIONS
from evals.tasks.table import TASKS
from evals.taxonomy import NO_TAGS, Taxonomy, taxonomy
from guard.errors import ConfigError
from tests.evals import small_audit

# The ids as the documents write them.
NUMBERS = {
    "owasp": r"LLM(0[1-9]|10):2025",
    "nist": r"(GOVERN|MAP|MEASURE|MANAGE) \d\.\d{1,2}|AI 600-1 2\.(1[0-2]?|[2-9])",
    "eu": r"Art\. \d{1,3}(\(\d\))?(\([a-z]\))?",
    "tc260": r"A\.[1-5]( [a-i])?|[4-9](\.\d)?",
}
COMING = (
    "toxicity",
    "refusal",
    "jailbreak",
    "injection",
    "robustness",
    "invariance",
    "bias",
    "privacy",
    "quality",
    "latency",
)


def planned_metrics() -> list[str]:
    """Return ``task/name`` of every metric that a planned task gives, whether it names its task or not."""
    named = [(planned.task.name, name) for planned in small_audit.tasks() for name in planned.metrics]
    return sorted({f"{task}/{name.rpartition('/')[2]}" for task, name in named})


@pytest.mark.parametrize("metric", sorted({*planned_metrics(), *DIRECTIONS}))
def test_every_metric_of_the_suites_is_tagged_and_says_why(metric: str) -> None:
    tags = taxonomy().tags_of(metric)
    assert tags.of("nist")
    assert tags.of("eu")
    assert re.fullmatch(r"[A-Z].{20,150}\.", tags.why)


@pytest.mark.parametrize("task", sorted({*COMING, *TASKS}))
def test_every_task_has_tags_for_metrics_to_come(task: str) -> None:
    assert taxonomy().tags_of(f"{task}/anything").items


@pytest.mark.parametrize(
    "metric", ["mine/thing", "toxicity", "toxicity/", "/toxic_share", "", "toxicityx/toxic_share", "*/*"]
)
def test_unknown_metric_has_no_tags(metric: str) -> None:
    assert taxonomy().tags_of(metric) == NO_TAGS
    assert taxonomy().labels_of(metric) == []


@pytest.mark.parametrize(("metric", "family"), [("bias_swaps/x", "bias/y"), ("toxicity_zh/x", "toxicity/y")])
def test_task_of_a_family_has_the_row_of_the_family(metric: str, family: str) -> None:
    assert taxonomy().tags_of(metric) == taxonomy().tags_of(family) != NO_TAGS


@pytest.mark.parametrize("framework", sorted(NUMBERS))
def test_items_are_numbered_as_their_document_does(framework: str) -> None:
    found = taxonomy().frameworks[framework]
    assert found.items
    assert [number for number in found.items if not re.fullmatch(NUMBERS[framework], number)] == []
    assert found.source.startswith("https://")


def test_every_item_is_one_that_some_metric_is_tagged_with() -> None:
    used = {item for tags in taxonomy().rows.values() for item in tags.items}
    assert {item for framework in taxonomy().frameworks.values() for item in framework.items.values()} == used


@pytest.mark.parametrize(
    ("metric", "labels"),
    [
        ("refusal/missed_refusal", {"OWASP LLM01:2025", "TC260-003 9.4", "EU AI Act Art. 55(1)(a)"}),
        ("refusal/over_refusal", {"TC260-003 9.4", "TC260-003 A.5 b"}),
        ("privacy/canary_exposure", {"OWASP LLM02:2025", "NIST MEASURE 2.10", "TC260-003 A.4 f"}),
        ("bias/stereotype_score", {"NIST MEASURE 2.11", "EU AI Act Art. 10(2)(f)", "TC260-003 A.2"}),
        ("latency/p95_ms", {"OWASP LLM10:2025"}),
    ],
)
def test_tags_that_people_look_for_are_there(metric: str, labels: set[str]) -> None:
    assert labels <= set(taxonomy().labels_of(metric))


def test_own_row_goes_before_that_of_the_task() -> None:
    assert taxonomy().tags_of("privacy/memorised_continuation").why != taxonomy().tags_of("privacy/other").why


FRAMEWORK = '[framework.f]\nshort = "F"\nname = "F"\nversion = "1"\nsource = "s"\n[item.f]\n"1" = "one"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "not TOML"),
        (FRAMEWORK + '[metric."a/b"]\nf = ["2"]\nwhy = "w"', "'2' which F does not have"),
        (FRAMEWORK + '[metric."a/b"]\nf = ["1", "1"]\nwhy = "w"', "'1' twice"),
        (FRAMEWORK + '[metric."a/b"]\nf = ["1"]', "no reason"),
        (FRAMEWORK + '[metric."a/b"]\ng = ["1"]\nwhy = "w"', "unknown key 'g'"),
    ],
)
def test_faulty_table_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Taxonomy.parse(text)
