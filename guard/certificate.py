"""The record of what a calibrated threshold promises, and on which data the promise rests."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from guard.errors import ConfigError
from guard.policy_values import (
    check_integer,
    check_known,
    check_number,
    check_one_of,
    check_text,
    check_threshold,
    listed,
    shown,
)

__all__ = ["Certificate", "Method", "Risk", "Unit"]

Risk = Literal["miss", "false_alarm"]
"""Which error is bounded: a harmful text below the threshold, or a harmless one at or over it."""

Method = Literal["clopper-pearson", "conformal-risk-control"]
"""How the bound holds: with a stated confidence, or on average over calibrations."""

Unit = Literal["text", "group"]
"""What counts as one independent observation."""

_ROUNDING = 1e-6  # of a bound and a level that were both computed

_OPEN_UNIT = "a number between 0 and 1, neither included"


@dataclass(frozen=True)
class Certificate:
    """What a threshold promises. It decides nothing; it lets a reader check the promise.

    Parameters
    ----------
    method : {"clopper-pearson", "conformal-risk-control"}
        See :func:`guard.calibrate.calibrate`.
    risk : {"miss", "false_alarm"}
    level : float
        The rate asked for, between 0 and 1.
    confidence : float or None
        Probability, over the draw of the data, that the bound holds, between 0 and 1. None where the bound holds on
        average instead.
    future_n : int or None
        On the next `future_n` units the rate is at most `level` too, with the same confidence. 0: nothing is said of
        single sets. None where the bound holds on average.
    threshold : float
        The threshold that this certifies, in [0, 1].
    bound : float
        Upper bound of the rate, ``n_events / n <= bound <= level`` but for rounding.
    unit : {"text", "group"}
    n : int
        Units of the class at risk that were scored.
    n_events : int
        How many of them the threshold gets wrong.
    data : str
        ``sha256:`` and the digest of the labelled file.
    filters : tuple of str
        Names of the filters that scored, weights included.
    created_by : str
        Program and version.

    Raises
    ------
    ConfigError
        When a value is impossible, or two contradict each other.
    """

    method: Method
    risk: Risk
    level: float
    confidence: float | None
    future_n: int | None
    threshold: float
    bound: float
    unit: Unit
    n: int
    n_events: int
    data: str
    filters: tuple[str, ...]
    created_by: str

    def __post_init__(self) -> None:
        self._check("certificate")

    def _check(self, where: str) -> None:
        check_one_of(self.method, get_args(Method), "method", f"{where}.method")
        check_one_of(self.risk, get_args(Risk), "risk", f"{where}.risk")
        check_one_of(self.unit, get_args(Unit), "unit", f"{where}.unit")
        check_threshold(self.threshold, f"{where}.threshold")
        check_integer(self.n, f"{where}.n", 1)
        check_integer(self.n_events, f"{where}.n_events", 0, self.n)
        _between(self.level, f"{where}.level")
        _between(self.bound, f"{where}.bound")
        if not self.n_events / self.n <= self.bound <= self.level * (1 + _ROUNDING):
            raise ConfigError(
                f"{where}: bound {self.bound:g} is outside {self.n_events} of {self.n} to level {self.level:g}, "
                f"so no calibration wrote it: calibrate again"
            )
        self._check_confidence(where)
        for key in ("data", "created_by"):
            check_text(getattr(self, key), f"{where}.{key}")
        if not isinstance(self.filters, tuple) or not self.filters:
            raise ConfigError(f"{where}.filters is {shown(self.filters)}: expected the names of the filters")
        for name in self.filters:
            check_text(name, f"{where}.filters")

    def _check_confidence(self, where: str) -> None:
        given = [key for key in ("confidence", "future_n") if getattr(self, key) is not None]
        if self.method == "conformal-risk-control":
            if given:
                raise ConfigError(f"{where}: {given[0]} says nothing beside method {self.method!r}: leave it out")
            return
        if len(given) < 2:
            raise ConfigError(f"{where}: method {self.method!r} needs confidence and future_n")
        _between(self.confidence, f"{where}.confidence")
        check_integer(self.future_n, f"{where}.future_n", 0)

    @classmethod
    def from_table(cls, table: Mapping[str, Any], where: str) -> Certificate:
        """Read a certificate from a table of a policy file.

        Parameters
        ----------
        table : mapping
        where : str
            What messages call the table.

        Raises
        ------
        ConfigError
            An unknown or missing key, or an impossible value.
        """
        keys = tuple(key.name for key in dataclasses.fields(cls))
        check_known(table, keys, where)
        missing = [key for key in keys if key not in table and key not in ("confidence", "future_n")]
        if missing:
            raise ConfigError(f"{where} lacks {listed(missing)}: delete the certificate or calibrate again")
        values = {"confidence": None, "future_n": None, **table}
        if isinstance(values["filters"], list):
            values["filters"] = tuple(values["filters"])
        try:
            return cls(**values)
        except ConfigError as error:
            raise ConfigError(f"{where}{str(error).removeprefix('certificate')}") from error

    def table(self) -> dict[str, Any]:
        """Return the certificate as the table that :meth:`from_table` reads."""
        values = {key.name: getattr(self, key.name) for key in dataclasses.fields(self)}
        return {**{key: value for key, value in values.items() if value is not None}, "filters": list(self.filters)}


def _between(value: object, where: str) -> float:
    number = check_number(value, where, 0.0, 1.0, _OPEN_UNIT)
    if number in (0.0, 1.0):
        raise ConfigError(f"{where} is {number:g}: expected {_OPEN_UNIT}")
    return number
