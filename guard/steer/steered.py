"""Generation that is checked every few tokens, and goes back to the last clean point where a check fires."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from guard.errors import AssayError, ConfigError, GeneratorError
from guard.generators.detokenizing import Detokenizer
from guard.generators.transformers import TransformersGenerator
from guard.steer.batch import Plan, SteeredBatch
from guard.steer.checks import Check, CheckRunner
from guard.steer.experts import Experts
from guard.steer.phrases import BannedPhrases
from guard.steer.rows import SteerReport

__all__ = ["SteeredGenerator", "SteeredText"]


@dataclass(frozen=True)
class SteeredText:
    """A text and what steering did to it.

    Parameters
    ----------
    text : str
        Judged clean as it stands, unless there is no check.
    report : SteerReport
    """

    text: str
    report: SteerReport


class SteeredGenerator:
    """A generator whose texts are steered while they are written.

    Parameters
    ----------
    generator : TransformersGenerator
    check : Check or None
        Gets the texts so far of all rows that wrote something, in one call, and says which are violated. An error, a
        wrong answer or a hang counts as a violation.
    check_every : int
        Tokens between two checks. A text that ends is always checked.
    max_rewinds : int
        How often a row may go back to where it was clean; then it ends there.
    check_timeout_s : float or None
        Seconds for one call of the check. None trusts it to end: for a check that has a limit of its own.
    phrases : BannedPhrases or None
    experts : Experts or None
    name : str or None
        Kind of the check for :attr:`name`, best with a digest of its weights; None takes that of the function.

    Raises
    ------
    ConfigError
        A number out of its range, a model without a cache to rewind, experts with another tokenizer, or nothing to
        steer by.

    Notes
    -----
    The text is a function of (prompt, seed) as for the generator alone: a violation in one row changes no other row,
    and a row without violations has the text that the generator alone would write, on a CPU bit by bit as long as
    prompt and all steps fit 512 tokens. After a rewind the row draws by another stream of random numbers, and may not
    begin with the token that began what was taken back.

    Examples
    --------
    >>> SteeredGenerator(generator, check=lambda texts: ["fool" in t for t in texts])  # doctest: +SKIP
    """

    def __init__(
        self,
        generator: TransformersGenerator,
        *,
        check: Check | None = None,
        check_every: int = 16,
        max_rewinds: int = 3,
        check_timeout_s: float | None = 30.0,
        phrases: BannedPhrases | None = None,
        experts: Experts | None = None,
        name: str | None = None,
    ) -> None:
        if check is None and phrases is None and experts is None:
            raise ConfigError("nothing to steer by: give a check, banned phrases or experts")
        if check_every < 1 or max_rewinds < 0 or not (check_timeout_s is None or check_timeout_s > 0):
            raise ConfigError(
                f"check_every {check_every}, max_rewinds {max_rewinds}, check_timeout_s {check_timeout_s}: at least 1, "
                "at least 0, and above 0"
            )
        if not generator.grows_a_cache:
            raise ConfigError(f"{generator.name} keeps no cache of keys and values that could be rewound")
        if experts is not None:
            experts.check(generator)
        self._generator, self._check, self._timeout_s = generator, check, check_timeout_s
        self._plan = Plan(check_every, max_rewinds if check else 0, phrases, experts)
        self._check_name = name or str(getattr(check, "__qualname__", type(check).__name__))

    @property
    def name(self) -> str:
        """``steered@<12 hex digits of the digest of the generator's name, the check's and the options>``."""
        parts = (self._generator.name, self._check_name, *self._plan.names())
        return f"steered@{hashlib.sha256(repr(parts).encode()).hexdigest()[:12]}"

    def generate(self, prompts: Sequence[str], *, seed: int | Sequence[int]) -> list[str]:
        """Generate one steered continuation for each prompt; see :meth:`steer`."""
        return [steered.text for steered in self.steer(prompts, seed=seed)]

    def steer(self, prompts: Sequence[str], *, seed: int | Sequence[int]) -> list[SteeredText]:
        """Generate one steered continuation for each prompt, and tell what was done to it.

        Parameters
        ----------
        prompts : sequence of str
        seed : int or sequence of int
            One for all prompts, or one a prompt.

        Raises
        ------
        DataError
            When a prompt with its continuation does not fit the model's context.
        GeneratorError
            When the model fails, or one row alone does not fit memory.
        """
        return self._generator.run_batches(prompts, seed, self._write, n_steps=self._plan.n_steps(self._generator))

    def stream(self, prompt: str, *, seed: int) -> Iterator[str]:
        """Yield the continuation of one prompt, after each check what is clean by then.

        The pieces add up to what :meth:`generate` returns. Nothing that was yielded is ever taken back.

        Raises
        ------
        DataError, GeneratorError
            As :meth:`steer` does.
        """
        row = self._generator.encode(prompt)
        text = Detokenizer(self._generator.tokenizer)
        n_given = 0
        with self._runner() as runner:
            try:
                batch = SteeredBatch(self._generator, self._plan, runner, [row], [seed])
                while batch.advance():
                    pieces = [text.add(token) for token in batch.rows[0].tokens[n_given : batch.rows[0].n_clean]]
                    n_given += len(pieces)
                    if piece := "".join(pieces):
                        yield piece
            except AssayError:
                raise
            except Exception as error:
                raise GeneratorError(f"{self.name} failed while generating: {error}") from error
        rest = "".join([*(text.add(token) for token in batch.rows[0].tokens[n_given:]), text.end()])
        if rest:
            yield rest

    def _runner(self) -> CheckRunner:
        return CheckRunner(self._check or _nothing, timeout_s=self._timeout_s if self._check else None)

    def _write(self, rows: list[list[int]], seeds: list[int]) -> list[SteeredText]:
        with self._runner() as runner:
            batch = SteeredBatch(self._generator, self._plan, runner, rows, seeds)
            while batch.advance():
                pass
        texts = self._generator.tokenizer.batch_decode([row.tokens for row in batch.rows], skip_special_tokens=True)
        return [SteeredText(str(text), row.report()) for text, row in zip(texts, batch.rows, strict=True)]


def _nothing(texts: Sequence[str]) -> list[bool]:
    return [False] * len(texts)
