"""What a user asks of ``assay harden filter``, and what is wrong with it, told before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from evals.harden_filter.rows import Table
from guard.errors import ConfigError
from guard.policy import Policy
from guard.schema import Stage

__all__ = ["HardenRequest", "Limits", "weights_folder"]


@dataclass(frozen=True)
class Limits:
    """What hardening may cost and must bring, each held against the bad end of its paired 95% interval.

    Parameters
    ----------
    auroc_drop : float
        Most that the area under the ROC curve on clean text may fall.
    false_alarm_rise : float
        Most that a share of false alarms may rise.
    fall : float
        Share by which the success of every attack must fall; 0 asks that it falls at all.
    """

    auroc_drop: float = 0.01
    false_alarm_rise: float = 0.02
    fall: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        for name in ("auroc_drop", "false_alarm_rise", "fall"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: the rule is at least 0 and below 1")


@dataclass(frozen=True)
class HardenRequest:
    """What a user asks for.

    Parameters
    ----------
    table : Table
        Labelled texts of the user's own.
    out : pathlib.Path
        Folder to write; new or empty.
    filter_name : str
        ``encoder`` or ``encoder:FOLDER``.
    category : str
    policy : str
        Gives the threshold at which alarms and attacks are counted.
    stage : {"input", "output"}
        Of the policy's rule.
    threshold : float or None
        In place of the policy's.
    hooks : tuple of str
    attacks : tuple of str
        Recipes to measure with.
    attacked : int
        Most harmful test texts that are attacked.
    unlabelled : pathlib.Path or None
        More texts, without labels, for the hook ``virtual``.
    slips : bool
        Let the hardened filter read text with slips in its ordinary spelling too.
    minutes : float or None
    epochs : int
    seed : int
    device : str
        That the filter is measured on; it is trained on the CPU.
    limits : Limits
    """

    table: Table
    out: Path
    filter_name: str = "encoder"
    category: str = "toxicity"
    policy: str = "standard"
    stage: Stage = "output"
    threshold: float | None = None
    hooks: tuple[str, ...] = ("random",)
    attacks: tuple[str, ...] = ("deepwordbug", "pruthi")
    attacked: int = 100
    unlabelled: Path | None = None
    slips: bool = True
    minutes: float | None = 20.0
    epochs: int = 1
    seed: int = 0
    device: str = "auto"
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        if not self.hooks and not self.slips:
            raise ConfigError("without a hook and without --slips nothing is hardened: give --hook random, for example")
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise ConfigError(f"threshold is {self.threshold}: the rule is strictly between 0 and 1")

    def limit(self) -> float:
        """Return the threshold.

        Raises
        ------
        ConfigError
            The policy has no rule on the category.
        """
        if self.threshold is not None:
            return self.threshold
        rules = Policy.load(self.policy).thresholds
        rule = rules.get((self.stage, self.category))
        if rule is None:
            known = ", ".join(sorted({name for stage, name in rules if stage == self.stage}))
            raise ConfigError(
                f"policy {self.policy} has no {self.stage} rule on {self.category!r} (it has {known}): give --threshold"
            )
        return float(rule[0])


def weights_folder(name: str) -> Path:
    """Return the folder of an encoder filter's weights.

    Raises
    ------
    ConfigError
        Another kind of filter, or no such folder.
    """
    kind, _, argument = name.partition(":")
    if kind != "encoder":
        raise ConfigError(
            f"filter {name!r} cannot be hardened: give encoder, or encoder:FOLDER for weights of your own"
        )
    if not argument:
        from guard.filters.encoder import SHIPPED_WEIGHTS

        return SHIPPED_WEIGHTS
    if not (Path(argument) / "config.json").exists():
        raise ConfigError(f"filter {name!r}: {argument} holds no config.json; give the folder of an encoder filter")
    return Path(argument)
