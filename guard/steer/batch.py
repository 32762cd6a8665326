"""One batch of rows that are written, checked and rewound together, and yet apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from guard.generators.decoding_loop import DecodingLoop
from guard.generators.seeding import draw_tokens
from guard.generators.transformers import TransformersGenerator
from guard.steer.checks import CheckRunner
from guard.steer.experts import ExpertLoops, Experts
from guard.steer.phrases import BannedPhrases
from guard.steer.rows import Row

__all__ = ["Plan", "SteeredBatch"]


@dataclass(frozen=True)
class Plan:
    """How to steer.

    Parameters
    ----------
    check_every : int
    max_rewinds : int
    phrases : BannedPhrases or None
    experts : Experts or None
    """

    check_every: int
    max_rewinds: int
    phrases: BannedPhrases | None = None
    experts: Experts | None = None

    def n_steps(self, generator: TransformersGenerator) -> int:
        """Return the most steps a batch takes: each rewind costs what lies between two checks."""
        new = generator.decoding.max_new_tokens
        return new + (self.max_rewinds + 1) * self.check_every if self.max_rewinds else new

    def names(self) -> tuple[object, ...]:
        """Return what tells this plan from others."""
        experts = self.experts
        models = (experts.expert, experts.anti_expert) if experts else ()
        return (
            *(self.check_every, self.max_rewinds, self.phrases.digest if self.phrases else ""),
            *((experts.alpha,) if experts else ()),
            *(model.name if model else "" for model in models),
        )


class SteeredBatch:
    """Writes the rows of one batch.

    Parameters
    ----------
    generator : TransformersGenerator
    plan : Plan
    runner : CheckRunner
    prompts : list of list of int
        Ids of each prompt.
    seeds : list of int

    Notes
    -----
    All rows are checked at the same steps, whatever the others do, and a row that goes on after its end was found
    violated waits for the next of those steps. So where a row's keys lie depends on the row alone.
    """

    def __init__(
        self,
        generator: TransformersGenerator,
        plan: Plan,
        runner: CheckRunner,
        prompts: list[list[int]],
        seeds: list[int],
    ) -> None:
        self._generator, self._plan, self._runner = generator, plan, runner
        new, n_steps = generator.decoding.max_new_tokens, plan.n_steps(generator)
        self.rows = [Row(prompt, seed, new) for prompt, seed in zip(prompts, seeds, strict=True)]
        self._loop = DecodingLoop(generator.model, prompts, pad_id=generator.pad_id, n_steps=n_steps)
        self._experts: ExpertLoops | None = None
        if plan.experts is not None and plan.experts.alpha > 0:
            self._experts = ExpertLoops(plan.experts, prompts, n_steps=n_steps, decoding=generator.decoding)
        self._n_steps = 0

    def advance(self) -> bool:
        """Write up to the next check, and check; False when all rows are done."""
        while any(row.writes for row in self.rows):
            self._step()
            if self._n_steps % self._plan.check_every == 0:
                break
        self._judge()
        return not all(row.done for row in self.rows)

    def _step(self) -> None:
        """Write one token of every row that goes on."""
        going = [place for place, row in enumerate(self.rows) if row.writes and row.resume_at <= self._n_steps]
        fed = {place: self.rows[place].last for place in going}
        logits = self._loop.step(fed)
        if self._experts is not None:
            logits = self._experts.steer(logits, fed)
        self._n_steps += 1
        if not going:
            return
        rows = [self.rows[place] for place in going]
        for row, token in zip(rows, self._draw(logits[going], rows), strict=True):
            row.n_fed += 1
            self._generator.n_tokens += token != self._generator.pad_id
            if token in self._generator.end_ids:
                row.at_end = True
            else:
                row.add(token, self._plan.phrases.advance if self._plan.phrases else None)

    def _draw(self, logits: torch.Tensor, rows: Sequence[Row]) -> list[int]:
        """Draw the next token of each row from logits of shape (len(rows), n_vocabulary)."""
        for place, row in enumerate(rows):
            if row.banned and len(row.tokens) == row.n_clean:
                logits[place, sorted(row.banned)] = float("-inf")
        if self._plan.phrases is not None:
            logits = self._plan.phrases.mask(logits, [row.trails[-1] for row in rows])
        if self._generator.decoding.temperature == 0:
            return [int(token) for token in logits.argmax(-1).tolist()]
        numbers = torch.tensor([row.uniform() for row in rows], dtype=torch.float64)
        return [int(token) for token in draw_tokens(logits, numbers, self._generator.decoding).tolist()]

    def _judge(self) -> None:
        """Check every row that has something new, and settle, rewind or stop it."""
        fresh = [place for place, row in enumerate(self.rows) if not row.done and len(row.tokens) > row.n_clean]
        answers = self._runner.ask(self._texts(fresh)) if fresh else []
        for place, answer in zip(fresh, answers, strict=True):
            row = self.rows[place]
            row.n_checks += 1
            row.n_faults += answer.fault
            if answer.violated:
                self._rewind(place)
            else:
                row.settle()
        for row in self.rows:
            if row.at_end and len(row.tokens) == row.n_clean:
                row.done = True

    def _rewind(self, place: int) -> None:
        every = self._plan.check_every
        next_check = -(-self._n_steps // every) * every
        lost = self.rows[place].rewind(most=self._plan.max_rewinds, resume_at=next_check)
        if lost:
            self._loop.take_back(place, lost)
            if self._experts is not None:
                self._experts.take_back(place, lost)

    def _texts(self, places: Sequence[int]) -> list[str]:
        """Return the texts so far, without the beginning of a character that is not whole yet."""
        ids = [self.rows[place].tokens for place in places]
        texts = self._generator.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [
            str(text) if self.rows[place].at_end else str(text).rstrip("\ufffd")
            for place, text in zip(places, texts, strict=True)
        ]
