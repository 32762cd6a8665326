"""Generative guard models as filters: asked in their own format, scored by the probability of their verdict."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from guard.canonical import canonicalize
from guard.errors import ConfigError, FilterError
from guard.filters.checkpoint import (
    Checkpoint,
    Encoder,
    in_halves,
    open_checkpoint,
    same_width_batches,
    settings_digest,
)
from guard.filters.guard_prompts import GUARD_FORMATS, GuardFormat
from guard.filters.guard_template import HARMLESS_TEXT, Prompter
from guard.filters.verdict_tokens import Answer, learn_answer
from guard.schema import Scores, Stage

__all__ = ["GenerativeGuardFilter"]

_WINDOW = 2048
_OVERLAP = 4  # consecutive windows share a quarter
_LEAST_MASS = 0.01


@dataclass(frozen=True)
class _Question:
    """What is asked about every text: one prompt a policy, or one that lists its categories."""

    categories: tuple[str, ...]
    policies: tuple[str | None, ...]
    codes: tuple[str, ...] = ()


class GenerativeGuardFilter:
    """Scores texts with a guard that writes its verdict: Llama Guard, ShieldGemma, Granite Guardian or Qwen3Guard.

    Parameters
    ----------
    checkpoint : Checkpoint
        A causal language model.
    prompter : Prompter
    form : GuardFormat
    question : _Question
    answer : Answer, optional
        Which tokens it answers with; learnt from the model where it is not given.
    name : str
    window : int
        Most tokens of a text in one prompt.
    token_budget : int
        Most padded tokens of one forward pass.
    least_mass : float
        In [0, 1). Least probability that the verdicts must have together in the model's own distribution.

    Notes
    -----
    Nothing is generated: the tokens that the answer begins with are put behind the prompt, one forward pass gives the
    logits at the verdict and, behind the worst verdict, at the first category that would be listed. The verdict's
    score is the softmax over the verdicts; a listed category's is the probability of the worst verdict times that of
    the category's first token among the categories'. So scores are the same on every run, and a threshold can be moved.
    A text that violates several categories shares the second factor among them: gate on ``unsafe``, and read the
    others as the reason.

    Where the verdicts together have less than `least_mass`, the model does not answer the question (a text may have
    talked it out of it) and the text is refused with a FilterError rather than given a score.

    Prompts are padded on the left. Text longer than the window is judged in windows that overlap by a quarter, and the
    highest score counts. In float32 on a CPU a row does not depend on its batch; half precision does not promise that.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        prompter: Prompter,
        form: GuardFormat,
        question: _Question,
        *,
        name: str,
        answer: Answer | None = None,
        window: int = _WINDOW,
        token_budget: int = 8192,
        least_mass: float = _LEAST_MASS,
    ) -> None:
        self._model, self._prompter, self._form, self._ask = checkpoint.model, prompter, form, question
        self._name, self._token_budget, self._least_mass = name, token_budget, least_mass
        self._encoder = Encoder(checkpoint.tokenizer, name=name)
        pads = (checkpoint.tokenizer.pad_token_id, checkpoint.tokenizer.eos_token_id, 0)
        self._pad = next(token for token in pads if token is not None)
        self._special = np.array(
            [index for index, token in checkpoint.tokenizer.added_tokens_decoder.items() if token.special], dtype=int
        )
        probe = prompter.render(HARMLESS_TEXT, question.policies[0])
        if answer is None:
            answer = learn_answer(
                checkpoint.model, checkpoint.tokenizer, self._encoder, probe, form=form, codes=question.codes, name=name
            )
        self._answer, self._tail = answer, [*answer.lead, *answer.path]
        self._code_tokens = sorted(set(answer.codes))
        self._code_places = [self._code_tokens.index(token) for token in answer.codes]
        self._keeps = {"logits_to_keep", "position_ids"} & set(inspect.signature(checkpoint.model.forward).parameters)
        self._n_special = [self._count_special(self._prompt(HARMLESS_TEXT, policy)) for policy in question.policies]
        self._longest = _context(checkpoint)
        overhead = max(len(self._prompt(HARMLESS_TEXT, policy)) for policy in question.policies)
        self._window = min(window, self._longest - overhead)
        if self._window < 1:
            raise ConfigError(
                f"filter {name}: window={window}, and the prompt takes {overhead} of {self._longest} tokens;"
                " give a window of at least 1 and a model with room for a text"
            )

    @classmethod
    def load(
        cls,
        kind: str,
        source: str | Path,
        *,
        stage: Stage = "input",
        question: str = "",
        policies: Mapping[str, str] | None = None,
        options: Mapping[str, object] | None = None,
        window: int = _WINDOW,
        device: str = "auto",
        dtype: str = "auto",
        token_budget: int = 8192,
    ) -> GenerativeGuardFilter:
        """Load a guard from a folder or the hub.

        Parameters
        ----------
        kind : {"llama-guard", "shieldgemma", "granite-guardian", "qwen3guard"}
        source : str or Path
            A folder, a hub id, or ``id@revision``.
        stage : {"input", "output"}
            Whether texts are prompts of a user or responses of an assistant.
        question : str
            For the stage "output", where a filter sees the response alone: what it is taken to answer. Empty by
            default, so that the response is judged for itself.
        policies : mapping of str to str, optional
            For guards that are asked one policy at a time: category to the guideline (ShieldGemma) or to the name of
            the risk (Granite Guardian). Each costs a forward pass a text. ShieldGemma depends on the wording; the
            default is ours, so give Google's own to repeat its published figures.
        options : mapping of str to object, optional
            More variables for the chat template, such as ``{"excluded_category_keys": ["S6"]}`` of Llama Guard 3-1B.
        window, token_budget
            See the class.
        device : str
            ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype : {"auto", "float32", "bfloat16", "float16"}
            ``auto`` is float32 on a CPU, else bfloat16. Scores are float32 whatever it is.

        Raises
        ------
        ConfigError
            No such kind, source or option, or a chat template of another model.
        DataError
            The folder holds no whole causal language model.
        FilterError
            The model does not answer in the format of its kind.
        """
        from transformers import AutoModelForCausalLM

        if kind not in GUARD_FORMATS:
            raise ConfigError(f"no generative guard is called {kind!r}; known: {', '.join(GUARD_FORMATS)}")
        if stage not in ("input", "output"):
            raise ConfigError(f"stage {stage!r} is unknown; give input or output")
        form = GUARD_FORMATS[kind]
        if policies is not None and (not form.policies or not policies):
            raise ConfigError(
                f"policies={dict(policies)!r}: {kind} {'needs at least one' if form.policies else 'takes none'}"
            )
        checkpoint = open_checkpoint(source, AutoModelForCausalLM, device=device, dtype=dtype, half_on_gpu=True)
        prompter = Prompter(
            checkpoint.tokenizer, form, stage=stage, question=question, options=options, name=f"{kind}:{source}"
        )
        ask = _ask(form, prompter, form.policies.get(stage, {}) if policies is None else policies, f"{kind}:{source}")
        settings = [stage, question, ask.categories, ask.policies, repr(options), window, str(checkpoint.model.dtype)]
        name = f"{kind}@{settings_digest(checkpoint, settings)}"
        return cls(checkpoint, prompter, form, ask, name=name, window=window, token_budget=token_budget)

    @property
    def name(self) -> str:
        """The kind, ``@`` and 12 hexadecimal digits over the folder and every setting that changes a score."""
        return self._name

    @property
    def categories(self) -> tuple[str, ...]:
        """``unsafe`` and the categories that the template lists, or one a policy."""
        return self._ask.categories

    def score_batch(self, items: Sequence[str]) -> Scores:
        """Score every text.

        Parameters
        ----------
        items : sequence of str
            Of any length and content. Judged in canonical form.

        Returns
        -------
        Scores
            float32, shape (len(items), len(categories)), in [0, 1].

        Raises
        ------
        FilterError
            When the model fails, answers with something else than a verdict, or one prompt does not fit memory.
        """
        scores = np.zeros((len(items), len(self.categories)))
        if not items:
            return scores.astype(np.float32)
        try:
            texts = [self._prompter.harmless(canonicalize(item).text) for item in items]
            owners, pieces = zip(
                *((row, piece) for row, text in enumerate(texts) for piece in self._pieces(text)), strict=True
            )
            np.maximum.at(scores, list(owners), self._judge(pieces))
        except FilterError:
            raise
        except Exception as error:
            raise FilterError(f"filter {self._name} raised {type(error).__name__}: {error}") from error
        return scores.astype(np.float32)

    def _pieces(self, text: str) -> Iterator[str]:
        """Cut a text into windows that overlap; an empty text is one."""
        offsets = self._encoder.offsets(text)
        stride = max(1, self._window - self._window // _OVERLAP)
        last = max(0, len(offsets) - self._window)
        for start in [*range(0, last, stride), last]:
            part = offsets[start : start + self._window]
            yield from self._fitting(text[part[0][0] : part[-1][1]] if part else text)

    def _fitting(self, piece: str) -> Iterator[str]:
        """Halve a piece that takes more tokens inside the prompt than it took by itself."""
        longest = max(len(self._prompt(piece, policy)) for policy in self._ask.policies)
        if longest <= self._longest or len(piece) < 2:
            yield piece
            return
        for half in (piece[: len(piece) // 2], piece[len(piece) // 2 :]):
            yield from self._fitting(half)

    def _prompt(self, piece: str, policy: str | None) -> list[int]:
        return [*self._encoder.marked(self._prompter.render(piece, policy)), *self._tail]

    def _count_special(self, ids: Sequence[int]) -> int:
        return int(np.isin(ids, self._special).sum())

    def _judge(self, pieces: Sequence[str]) -> npt.NDArray[np.float64]:
        """Score pieces; shape (n_pieces, n_categories)."""
        by_policy = []
        for policy, n_special in zip(self._ask.policies, self._n_special, strict=True):
            prompts = [self._prompt(piece, policy) for piece in pieces]
            if any(self._count_special(prompt) != n_special for prompt in prompts):
                raise FilterError(f"filter {self._name}: a text reaches the model as control tokens; it is not judged")
            by_policy.append(self._probabilities(prompts))
        if self._form.worst_category is None:
            return np.stack([verdicts[:, -1] for verdicts, _ in by_policy], axis=1)
        verdicts, codes = by_policy[0]
        also = [verdicts[:, list(members)].sum(axis=1) for _, members in self._form.also]
        worst = verdicts[:, -1]
        return np.column_stack([worst, *also, worst[:, None] * codes]).clip(0, 1)

    def _probabilities(self, prompts: Sequence[list[int]]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Probabilities of the verdicts, and of the listed categories given the worst; one row a prompt."""
        n_verdicts = len(self._answer.verdicts)
        rows = np.zeros((len(prompts), n_verdicts + len(self._answer.codes) + 1))
        lengths = [len(prompt) for prompt in prompts]
        for width, batch in same_width_batches(lengths, token_budget=self._token_budget, longest=self._longest):
            rows[batch] = in_halves(batch, partial(self._forward, prompts, width), name=self._name)
        silent = int((rows[:, -1] < self._least_mass).sum())
        if silent:
            raise FilterError(
                f"filter {self._name}: for {silent} of {len(prompts)} prompts the model's answer is no verdict"
                f" (the verdicts have under {self._least_mass:.0%} of its probability)"
            )
        return rows[:, :n_verdicts], rows[:, n_verdicts:-1]

    @torch.inference_mode()
    def _forward(self, prompts: Sequence[list[int]], width: int, rows: Sequence[int]) -> npt.NDArray[np.float64]:
        """Run some prompts, padded on the left; verdicts, categories and the verdicts' share of all probability."""
        device = self._model.device
        batch = [prompts[row] for row in rows]
        ids = torch.tensor([[self._pad] * (width - len(row)) + row for row in batch], device=device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in batch], device=device)
        extra: dict[str, Any] = {}
        if "position_ids" in self._keeps:
            extra["position_ids"] = (mask.cumsum(dim=1) - 1).clamp(min=0)
        if "logits_to_keep" in self._keeps:
            extra["logits_to_keep"] = len(self._answer.path) + 1
        logits = self._model(input_ids=ids, attention_mask=mask, use_cache=False, **extra).logits
        at_verdict = logits[:, -len(self._answer.path) - 1].float()
        verdicts = at_verdict[:, list(self._answer.verdicts)]
        share = (verdicts.logsumexp(dim=1) - at_verdict.logsumexp(dim=1)).exp()
        # Categories that share a token are one to the model, and each gets the probability of both.
        codes = logits[:, -1, self._code_tokens].float().softmax(dim=1)[:, self._code_places]
        return torch.cat([verdicts.softmax(dim=1), codes, share[:, None]], dim=1).double().cpu().numpy()


def _ask(form: GuardFormat, prompter: Prompter, policies: Mapping[str, str], name: str) -> _Question:
    """Read from the form, and from the prompt itself, what is asked and what may be listed."""
    if form.worst_category is None:
        asked: list[str | None] = list(policies.values())
        prompter.check(asked)
        return _Question(tuple(policies), tuple(asked))
    prompter.check([None])
    codes = _listed(form, prompter.render(HARMLESS_TEXT), name)
    categories = (form.worst_category, *(category for category, _ in form.also), *codes.values())
    if len(set(categories)) < len(categories):
        raise ConfigError(f"filter {name}: the template lists a category twice ({', '.join(categories)})")
    return _Question(categories, (None,), tuple(codes))


def _listed(form: GuardFormat, prompt: str, name: str) -> dict[str, str]:
    """Codes to category names, from the section of the prompt that lists them."""
    section = prompt.partition("<BEGIN UNSAFE CONTENT CATEGORIES>")[2].partition("<END")[0]
    found = form.listed.finditer(section) if form.listed is not None else iter(())
    codes = {match["code"]: _snake_case(match["name"]) for match in found}
    if not codes:
        raise ConfigError(f"filter {name}: the chat template lists no categories; it is another model's")
    return codes


def _snake_case(name: str) -> str:
    return re.sub(r"[^0-9a-z]+", "_", name.lower()).strip("_")


def _context(checkpoint: Checkpoint) -> int:
    """Return how many tokens the model takes."""
    config = checkpoint.model.config
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    positions = getattr(text, "max_position_embeddings", None) or checkpoint.tokenizer.model_max_length
    return int(min(positions, checkpoint.tokenizer.model_max_length))
