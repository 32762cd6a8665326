"""Thresholds and actions, and the pure decision from scores to a verdict."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from guard.certificate import Certificate
from guard.errors import ConfigError, FilterError
from guard.policy_file import MOST_REGENERATIONS, parse_policy, read_policy
from guard.policy_values import (
    STAGES,
    check_integer,
    check_one_of,
    check_seconds,
    check_text,
    check_threshold,
    short,
    shown,
)
from guard.schema import Action, Stage, Verdict

__all__ = ["Policy", "Rule"]

Rule = tuple[float, Action]
"""A threshold in [0, 1], and what happens at or over it."""

_MESSAGE = "This request was stopped by the content policy."
_NOTE = "Your last answer was withheld ({reasons}). Answer again without that, or say that you cannot."


@dataclass(frozen=True)
class Policy:
    """What happens at which score.

    Parameters
    ----------
    name : str
    thresholds : mapping of (stage, category) to (threshold, Action)
        A rule fires when the score is at or over its threshold, which lies in [0, 1].
    on_error : Action
        What happens to a text that a filter failed to score. Blocks unless told otherwise: fail closed.
    message : str
        What the user reads in place of a blocked text.
    filter_timeout_s : float or None
        How long a filter may take over a batch before it counts as hung, in seconds, see
        :class:`guard.guard.Guard`; at most ``threading.TIMEOUT_MAX``. None leaves it to the guard.
    regenerations : int
        How often an output on which a rule with the action REGENERATE fires is drawn again before it is blocked,
        0 to 10.
    regenerate_note : str
        What the model is told before it writes again; each ``{reasons}`` stands for the names of the categories
        that fired. Empty: nothing, only the seed differs.
    on_error_for : mapping of str to Action
        In place of `on_error` for single kinds of filters; the kind is a filter's name before the ``@``.
    notices : mapping of (stage, category) to str
        What is appended to the released text when that rule fires and the text is not blocked.
    certificates : mapping of (stage, category) to Certificate
        What a calibrated threshold promises. Decides nothing.

    Raises
    ------
    ConfigError
        When a value is impossible, a notice or certificate belongs to no rule, or a certificate is of another
        threshold than its rule's.

    Examples
    --------
    >>> policy = Policy("mine", {("output", "toxicity"): (0.5, Action.BLOCK)})
    >>> policy.decide({"toxicity": 0.7}, "output").action.name
    'BLOCK'
    """

    name: str
    thresholds: Mapping[tuple[Stage, str], Rule] = field(default_factory=dict)
    on_error: Action = Action.BLOCK
    message: str = _MESSAGE
    filter_timeout_s: float | None = None
    regenerations: int = 2
    regenerate_note: str = _NOTE
    on_error_for: Mapping[str, Action] = field(default_factory=dict)
    notices: Mapping[tuple[Stage, str], str] = field(default_factory=dict)
    certificates: Mapping[tuple[Stage, str], Certificate] = field(default_factory=dict)

    def __post_init__(self) -> None:
        where = f"policy {short(self.name)}"
        for (stage, category), (threshold, action) in self.thresholds.items():
            rule = _rule_name(where, stage, category)
            check_one_of(stage, STAGES, "stage", rule)
            _check_is_action(action, f"{rule}.action")
            check_threshold(threshold, f"{rule}.threshold")
        _check_is_action(self.on_error, f"{where}: on_error")
        if self.filter_timeout_s is not None:
            check_seconds(self.filter_timeout_s, f"{where}: filter_timeout_s")
        check_integer(self.regenerations, f"{where}: regenerations", 0, MOST_REGENERATIONS)
        check_text(self.regenerate_note, f"{where}: regenerate_note", may_be_empty=True)
        self._check_kinds(where)
        self._check_notices(where)
        self._check_certificates(where)
        for key in ("thresholds", "on_error_for", "notices", "certificates"):
            object.__setattr__(self, key, dict(getattr(self, key)))

    def _check_kinds(self, where: str) -> None:
        for kind, action in self.on_error_for.items():
            _check_is_action(action, f"{where}: on_error_for.{short(kind)}")
            if not kind.strip() or "@" in kind or ":" in kind:
                raise ConfigError(
                    f"{where}: on_error_for has the key {shown(kind)}: expected the kind of a filter, such as 'encoder'"
                )

    def _check_notices(self, where: str) -> None:
        for key, notice in self.notices.items():
            rule = _rule_name(where, *key)
            check_text(notice, f"{rule}.notice")
            if key not in self.thresholds:
                raise ConfigError(f"{rule} has a notice and no threshold: give it a rule")

    def _check_certificates(self, where: str) -> None:
        for key, certificate in self.certificates.items():
            rule = _rule_name(where, *key)
            if key not in self.thresholds:
                raise ConfigError(f"{rule} has a certificate and no threshold: delete the certificate")
            threshold = self.thresholds[key][0]
            if certificate.threshold != threshold:
                raise ConfigError(
                    f"{rule}: threshold is {threshold!r}, and its certificate is of {certificate.threshold!r}: "
                    f"delete the certificate or calibrate again"
                )

    @classmethod
    def load(cls, name_or_path: str | Path) -> Policy:
        """Read a policy that ships with the package, or a TOML file.

        Parameters
        ----------
        name_or_path : str or Path
            ``standard``, ``permissive``, or the path of a TOML file.

        Raises
        ------
        ConfigError
            See :meth:`from_toml`.
        """
        return cls.parse(*read_policy(name_or_path))

    @classmethod
    def from_toml(cls, path: str | Path) -> Policy:
        """Read a policy from a TOML file.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        Policy

        Raises
        ------
        ConfigError
            When the file is missing or not TOML, or a key or value is unknown; the message names the file, the
            key, and the nearest key that exists.
        """
        return cls.parse(*read_policy(Path(path)))

    @classmethod
    def parse(cls, data: bytes, source: str) -> Policy:
        """Read a policy from the bytes of a TOML file, which messages call `source`.

        Raises
        ------
        ConfigError
            See :meth:`from_toml`.
        """
        fields = parse_policy(data, source)
        try:
            return cls(**fields)
        except ConfigError as error:  # of two values that contradict each other; it knows the name, not the file
            detail = str(error).removeprefix(f"policy {short(fields['name'])}")
            raise ConfigError(f"policy {source}{detail}") from error

    def categories(self, stage: Stage) -> tuple[str, ...]:
        """Return the categories that have a threshold in `stage`, sorted."""
        return tuple(sorted(category for at, category in self.thresholds if at == stage))

    def threshold_on(self, category: str) -> float:
        """Return the threshold on a category, of prompts or else of outputs.

        Raises
        ------
        ConfigError
            The policy has none.
        """
        for stage in ("input", "output"):
            rule = self.thresholds.get((stage, category))
            if rule is not None:
                return float(rule[0])
        known = ", ".join(sorted({name for _, name in self.thresholds})) or "none at all"
        raise ConfigError(
            f"policy {self.name} has no threshold on {category!r} (it has {known}): name another category or policy"
        )

    def on_error_of(self, filter_name: str) -> Action:
        """Return what happens when the filter of this name, ``kind@digest``, fails."""
        return self.on_error_for.get(filter_name.partition("@")[0], self.on_error)

    def note_for(self, categories: Sequence[str]) -> str:
        """Return what the model is told before it writes again, with the categories that fired; empty for nothing."""
        return self.regenerate_note.replace("{reasons}", ", ".join(categories))

    def notices_for(self, verdict: Verdict) -> tuple[str, ...]:
        """Return what is to be appended to a released text: each notice of a rule that fired once, worst first.

        None where the verdict is to block.
        """
        if verdict.action == Action.BLOCK:
            return ()
        found = (self.notices.get((verdict.stage, category)) for category in verdict.triggered)
        return tuple(dict.fromkeys(notice for notice in found if notice is not None))

    def decide(self, scores: Mapping[str, float], stage: Stage) -> Verdict:
        """Turn the scores of one text into a verdict.

        The strictest action of all rules that fire wins, so that a higher score never lowers the action.

        Parameters
        ----------
        scores : mapping of str to float
            One number in [0, 1] a category. Categories without a rule are recorded and decide nothing.
        stage : {"input", "output"}

        Returns
        -------
        Verdict
            ``triggered`` holds the categories that fired, the one furthest over its threshold first.

        Raises
        ------
        FilterError
            When a score is NaN or outside [0, 1], or a category with a threshold has no score: either would let
            a text pass unjudged.
        """
        for category, score in scores.items():
            if not 0.0 <= score <= 1.0:
                raise FilterError(f"score of {category} is {score}: expected a number in [0, 1]")
        fired: list[tuple[float, str, Action]] = []
        for (at, category), (threshold, action) in self.thresholds.items():
            if at != stage:
                continue
            if category not in scores:
                raise FilterError(f"no score for {category}, on which policy {self.name} has a threshold for {stage}")
            if scores[category] >= threshold:
                fired.append((scores[category] - threshold, category, action))
        fired.sort(key=lambda rule: (-rule[0], rule[1]))
        action = max((rule[2] for rule in fired), default=Action.ALLOW)
        return Verdict(action, stage, dict(scores), tuple(category for _, category, _ in fired))

    @property
    def digest(self) -> str:
        """SHA-256 of everything that decides, as 64 hexadecimal digits; name and certificates are no part of it."""
        parts: list[Any] = [
            sorted([*key, float(rule[0]), rule[1].name] for key, rule in self.thresholds.items()),
            [self.on_error.name, sorted([kind, action.name] for kind, action in self.on_error_for.items())],
            [self.message, self.filter_timeout_s, self.regenerations, self.regenerate_note],
            sorted([*key, notice] for key, notice in self.notices.items()),
        ]
        return hashlib.sha256(json.dumps(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _check_is_action(value: object, where: str) -> None:
    if not isinstance(value, Action):
        raise ConfigError(f"{where}: {shown(value)} is not an Action")


def _rule_name(where: str, stage: str, category: str) -> str:
    return f"{where}: {short(str(stage))}.{short(str(category))}"
