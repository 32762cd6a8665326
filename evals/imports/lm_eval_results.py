"""What the results file of lm-evaluation-harness says: figures by task and metric, groups, directions, counts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from evals.imports.imported import Key
from evals.imports.reading import mapping, number
from guard.errors import DataError

__all__ = ["Results"]

_RATE = re.compile(r"acc|acc_.*|.*_acc|.*accuracy|exact_match|em|contains|pass(@|_at_)\d+|pct_stereotype")
"""Metrics that are a share of documents: so many hits of so many."""

_SHARE = re.compile(r"f1|mc[12]|.*_f1|rouge.*|recall|precision")
"""Metrics of which a sample's value lies in [0, 1] without being a hit or a miss."""

_LOWER = re.compile(r"perplexity|bits_per|brier|_err(or)?\b|wer\b|\bter\b|toxicity|pct_stereotype|likelihood_diff")
"""Metrics that are better when lower, where the results do not say."""

_NO_METRIC = frozenset({"alias", "name", "sample_count", "sample_len", "samples"})


class Results:
    """The results of a run.

    Parameters
    ----------
    document : mapping
        Empty where only samples are there.
    where : str
        Named in errors.
    only : str, optional
        The task to which the figures are held; the others are left out.

    Raises
    ------
    DataError
        The document is there and has no table of results.
    """

    def __init__(self, document: Mapping[str, object], where: str, *, only: str | None = None) -> None:
        if document and not isinstance(document.get("results"), dict):
            raise DataError(f"{where}: no table 'results', so it is no results file of lm-evaluation-harness")
        self._document = document
        self._only = only
        config = mapping(document.get("config"))
        self.version = str(document.get("lm_eval_version") or document.get("git_hash") or "unknown")
        self.model = str(document.get("model_name") or _weights(config.get("model_args")) or config.get("model") or "")
        self.date = number(document.get("date"))
        self.seed = int(number(config.get("random_seed")) or 0)
        self._stated = dict(self._figures())

    def stated(self) -> Mapping[Key, float]:
        """Return every figure by task and metric; the metric has its filter behind a comma, unless that is ``none``."""
        return self._stated

    def _figures(self) -> Iterator[tuple[Key, float]]:
        tables = {**mapping(self._document.get("groups")), **mapping(self._document.get("results"))}
        for task, table in tables.items():
            for key, raw in mapping(table).items() if self._only in (None, task) else ():
                name, _, filter_ = key.rpartition(",") if "," in key else (key, "", "none")
                value = number(raw)
                if value is not None and name not in _NO_METRIC and not name.endswith("_stderr"):
                    yield (task, name if filter_ == "none" else f"{name},{filter_}"), value

    def groups(self) -> Mapping[str, list[str]]:
        """Return each group with the tasks at its leaves."""
        table = mapping(self._document.get("group_subtasks"))
        return {group: self._leaves(group, table) for group, children in table.items() if children and not self._only}

    def _leaves(self, group: str, table: Mapping[str, object]) -> list[str]:
        open_, seen, leaves = [group], {group}, []
        while open_:
            name = open_.pop(0)
            children = table.get(name)
            below = [str(child) for child in children] if isinstance(children, list) else []
            if not below:
                leaves.append(name)
            open_ += [child for child in dict.fromkeys(below) if child not in seen]
            seen |= set(below)
        return leaves

    def samples(self) -> Iterator[tuple[str, list[Mapping[str, object]]]]:
        """Yield the samples that stand in the document itself, by task."""
        for task, listed in mapping(self._document.get("samples")).items():
            if isinstance(listed, list):
                yield task, [sample for sample in map(mapping, listed) if "doc_id" in sample]

    def n_samples(self, task: str) -> int | None:
        """Return how many documents are behind the figures of a task or a group, where the results say."""
        counted = number(mapping(mapping(self._document.get("n-samples")).get(task)).get("effective"))
        if counted is None:
            counted = number(mapping(mapping(self._document.get("results")).get(task)).get("sample_len"))
        if counted is None:
            counts = [self.n_samples(leaf) for leaf in self.groups().get(task, []) if leaf != task]
            counted = sum(n for n in counts if n) if counts and all(counts) else None
        return None if counted is None else int(counted)

    def higher_is_better(self, key: Key) -> bool:
        """Return whether a metric is better when higher, by the results or else by its name."""
        name = key[1].partition(",")[0]
        said = mapping(mapping(self._document.get("higher_is_better")).get(key[0])).get(name)
        return said if isinstance(said, bool) else _LOWER.search(name) is None

    def is_rate(self, metric: str) -> bool:
        """Return whether a metric is a share of documents by its definition."""
        return _RATE.fullmatch(metric.partition(",")[0]) is not None

    def is_share(self, metric: str) -> bool:
        """Return whether the values of a metric lie in [0, 1] by its definition."""
        return self.is_rate(metric) or _SHARE.fullmatch(metric.partition(",")[0]) is not None

    def settings(self) -> dict[str, str]:
        """Return what the figures depend on besides the model."""
        config = mapping(self._document.get("config"))
        shots = mapping(self._document.get("n-shot"))
        found = {"limit": config.get("limit"), "chat template": self._document.get("chat_template_sha")}
        told = {name: str(value) for name, value in found.items() if value is not None}
        return told | {f"shots.{task}": str(n) for task, n in shots.items() if self._only in (None, task)}


def _weights(raw: object) -> str:
    """Return the model among the arguments of a run, which are an object or a text."""
    if isinstance(raw, str):
        found = re.search(r"(?:^|,)(?:pretrained|model)=([^,]+)", raw)
        return found.group(1) if found else ""
    return str(mapping(raw).get("pretrained") or mapping(raw).get("model") or "")
