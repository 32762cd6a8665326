"""The one table from the names of methods, as people write them, to explainers of a filter."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from guard.errors import ConfigError, FilterError
from guard.explain.filters.embedded import Baseline, EmbeddedModel
from guard.explain.filters.gradients import (
    gradient_on_path,
    gradient_on_states,
    integrated_gradients,
    integrated_gradients_fixed,
)
from guard.explain.filters.linear import LinearFilter, exact
from guard.explain.filters.occlusion import occlusion
from guard.explain.filters.parts import Unit, checked_unit
from guard.explain.filters.presence import EmbeddedPresence, FilterPresence, Presence
from guard.explain.filters.quadrature import Rule
from guard.explain.filters.shapley import exact_shapley, sampled_shapley
from guard.explain.schema import Attribution, Explainer
from guard.filters.differentiable import Differentiable, Sloped
from guard.schema import Filter

__all__ = ["FilterExplainer", "Settings", "default_method", "explainer", "methods"]


@dataclass(frozen=True)
class Settings:
    """What the methods may be told; each takes what concerns it.

    Parameters
    ----------
    unit : {"word", "token"}
        What is valued. Tokens only of models that show theirs.
    baseline : {"auto", "mask", "pad", "zero"}
        What stands in place of a token that is not there. ``auto`` is the mask where the vocabulary has one, else
        padding, else zeros. A filter that is asked by text has words cut out instead.
    gap : float
        Integrated gradients end at this convergence gap, in log-odds.
    most_steps : int
        Where a text is given up that does not get there.
    rule, n_steps : optional
        Both given: that many steps of that rule for every text, whatever gap they leave.
    width, stride : int
        Of occlusion, in parts.
    error : float or None
        Shapley sampling ends at this standard error, in the number's unit. None is 0.1 of log-odds, 0.01 of scores.
    most_pairs : int
        Where it gives up.
    """

    unit: Unit = "word"
    baseline: Baseline = "auto"
    gap: float = 0.05
    most_steps: int = 129
    rule: Rule | None = None
    n_steps: int | None = None
    width: int = 1
    stride: int = 1
    error: float | None = None
    most_pairs: int = 64

    def __post_init__(self) -> None:
        """Refuse what no method could mean."""
        checked_unit(self.unit)
        if (self.rule is None) != (self.n_steps is None):
            raise ConfigError(f"rule={self.rule!r}, n_steps={self.n_steps}: give both or neither")


@dataclass(frozen=True)
class FilterExplainer:
    """Explains the scores of one filter by one method; made by :func:`explainer`.

    Parameters
    ----------
    filter_ : Filter
    method : str
    settings : Settings
    """

    filter_: Filter[str]
    method: str
    settings: Settings

    def explain(self, texts: Sequence[str], category: str, *, seed: int = 0) -> list[Attribution]:
        """Explain one category's score of every text; see :class:`guard.explain.schema.Explainer`."""
        if category not in self.filter_.categories:
            known = ", ".join(self.filter_.categories)
            raise FilterError(f"filter {self.filter_.name} has no category {category!r}; it has {known}")
        if not texts:
            return []
        try:
            return _METHODS[self.method](_Order(self.filter_, list(texts), category, self.settings, seed))
        except (ConfigError, FilterError):
            raise
        except Exception as error:
            raise FilterError(
                f"filter {self.filter_.name}: cannot explain {len(texts)} texts by {self.method} ({error})"
            ) from error


@dataclass(frozen=True)
class _Order:
    """What is asked of a method."""

    filter_: Filter[str]
    texts: list[str]
    category: str
    settings: Settings
    seed: int

    def embedded(self) -> EmbeddedModel:
        """Return the filter by its embeddings, in float32."""
        model = _widened(self.filter_)
        assert isinstance(model, Differentiable)
        settings = self.settings
        return EmbeddedModel(model, self.filter_.categories.index(self.category), baseline=settings.baseline)

    def presence(self) -> Presence:
        """Return the filter as a function of which parts are there."""
        if isinstance(self.filter_, Differentiable):
            return EmbeddedPresence(self.embedded(), self.texts, self.settings.unit)
        return FilterPresence(self.filter_, self.category, self.texts, self.settings.unit)

    @property
    def error(self) -> float:
        """Where sampling ends."""
        usual = 0.1 if isinstance(self.filter_, Differentiable) else 0.01
        return usual if self.settings.error is None else self.settings.error


def _widened(filter_: Filter[str]) -> Filter[str]:
    """Return a filter whose gradients are fine enough: of one that knows how, the same in float32."""
    widened = getattr(filter_, "widened", None)
    made: Filter[str] = filter_ if widened is None else widened()
    return made


def _gradient(order: _Order) -> list[Attribution]:
    return gradient_on_path(order.embedded(), order.texts, order.category, unit=order.settings.unit)


def _path_gradient(order: _Order) -> list[Attribution]:
    unit = order.settings.unit
    return gradient_on_path(order.embedded(), order.texts, order.category, unit=unit, point=_PATH_POINT)


def _state_gradient(order: _Order) -> list[Attribution]:
    sloped = _widened(order.filter_)
    assert isinstance(sloped, Sloped)
    return gradient_on_states(order.embedded(), sloped, order.texts, order.category, unit=order.settings.unit)


def _integrated(order: _Order) -> list[Attribution]:
    settings, model = order.settings, order.embedded()
    if settings.rule is not None and settings.n_steps is not None:
        return integrated_gradients_fixed(
            model, order.texts, order.category, unit=settings.unit, rule=settings.rule, n_steps=settings.n_steps
        )
    return integrated_gradients(
        model, order.texts, order.category, unit=settings.unit, gap=settings.gap, most_steps=settings.most_steps
    )


def _occlusion(order: _Order) -> list[Attribution]:
    settings = order.settings
    return occlusion(order.presence(), order.texts, order.category, width=settings.width, stride=settings.stride)


def _shapley(order: _Order) -> list[Attribution]:
    return sampled_shapley(
        order.presence(),
        order.texts,
        order.category,
        error=order.error,
        most_pairs=order.settings.most_pairs,
        seed=order.seed,
    )


def _shapley_exact(order: _Order) -> list[Attribution]:
    return exact_shapley(order.presence(), order.texts, order.category)


def _exact(order: _Order) -> list[Attribution]:
    assert isinstance(order.filter_, LinearFilter)
    return exact(order.filter_, order.texts, order.category, unit=order.settings.unit)


_METHODS: Mapping[str, Callable[[_Order], list[Attribution]]] = MappingProxyType(
    {
        "exact": _exact,
        "gradient-x-input": _gradient,
        "integrated-gradients": _integrated,
        "occlusion": _occlusion,
        "path-gradient": _path_gradient,
        "shapley": _shapley,
        "shapley-exact": _shapley_exact,
        "state-gradient": _state_gradient,
    }
)

_PATH_POINT = 0.35  # where on the way to the embeddings one gradient says most: docs/design/explain.md
_BY_TEXT = ("occlusion", "shapley", "shapley-exact")
_BY_GRADIENT = ("gradient-x-input", "integrated-gradients", "path-gradient")
_SLOW_KINDS = ("detoxify", "llama-guard", "shieldgemma", "granite-guardian", "qwen3guard")


def methods(filter_: Filter[str]) -> tuple[str, ...]:
    """Return the methods that can explain a filter, its default first.

    Parameters
    ----------
    filter_ : Filter
        A model that takes word embeddings can be explained by gradients, a linear one exactly, and every one by
        leaving words out.
    """
    usual = default_method(filter_)
    able = [*_BY_TEXT]
    able += _BY_GRADIENT if isinstance(filter_, Differentiable) else ()
    able += ("state-gradient",) if isinstance(filter_, Sloped) else ()
    able += ("exact",) if isinstance(filter_, LinearFilter) else ()
    return (usual, *(name for name in sorted(able) if name != usual))


def default_method(filter_: Filter[str]) -> str:
    """Return the method that is taken where none is named.

    Exact values where the filter is linear; integrated gradients where it has gradients; occlusion of models whose
    score takes long; Shapley values of all others: their scores are often the highest of several findings, and leaving
    out one of two changes nothing.
    """
    if isinstance(filter_, LinearFilter):
        return "exact"
    if isinstance(filter_, Differentiable):
        return "integrated-gradients"
    return "occlusion" if filter_.name.partition("@")[0] in _SLOW_KINDS else "shapley"


def explainer(filter_: Filter[str], method: str | None = None, **settings: object) -> Explainer:
    """Return what explains a filter's scores.

    Parameters
    ----------
    filter_ : Filter
    method : str, optional
        One of :func:`methods`; None is :func:`default_method`.
    **settings
        Of :class:`Settings`.

    Raises
    ------
    ConfigError
        The method is unknown or cannot explain this filter, or a setting is unknown.

    Examples
    --------
    >>> from guard.filters.callable import CallableFilter
    >>> shouting = CallableFilter(lambda text: sum(c.isupper() for c in text) / 100, categories=["shouting"])
    >>> found = explainer(shouting).explain(["HELLO there"], "shouting")[0]
    >>> found.method, found.parts, found.values.round(3).tolist()
    ('shapley', ((0, 5), (6, 11)), [0.05, 0.0])
    """
    known = methods(filter_)
    chosen = known[0] if method is None else method
    if chosen not in known:
        rest = "" if chosen not in _METHODS else ", which this filter does not allow"
        raise ConfigError(f"method {chosen!r}{rest}; filter {filter_.name} is explained by {', '.join(known)}")
    names = {field.name for field in dataclasses.fields(Settings)}
    if unknown := sorted(set(settings) - names):
        raise ConfigError(f"setting {unknown[0]!r} is unknown; give one of {', '.join(sorted(names))}")
    return FilterExplainer(filter_, chosen, Settings(**settings))  # type: ignore[arg-type]
