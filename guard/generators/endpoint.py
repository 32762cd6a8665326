"""A model behind an OpenAI-compatible endpoint as a generator: concurrent, patient, and counted."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from guard.errors import ConfigError, GeneratorError
from guard.generators.endpoint_costs import Price, Spent
from guard.generators.endpoint_link import Link
from guard.generators.endpoint_requests import Endpoint, read_answer, request_of
from guard.generators.endpoint_retries import Fault, Limits, Trial
from guard.generators.failures import Row, texts_of
from guard.schema import Decoding

__all__ = ["Endpoint", "EndpointGenerator", "Limits", "Price", "Spent"]

_log = logging.getLogger(__name__)

_ROWS_A_SLOT = 4
"""A batch ends with its slowest row: this many rows for each slot keep the slots busy until then."""


class EndpointGenerator:
    """Asks an endpoint for one output a prompt.

    Parameters
    ----------
    endpoint : Endpoint
    key : str or None
        Sent as a bearer token. It stands in no name, message, representation or record.
    limits : Limits
    price : Price or None
    decoding : Decoding or None
    batch_size : int or None
        Prompts that a run should hand over at once; None takes four for each request under way.

    Attributes
    ----------
    batch_size : int
    spent : Spent
        Of this generator and all that :meth:`with_decoding` made from it.

    Raises
    ------
    ConfigError
        The package ``openai`` is missing, or the key cannot be one.

    Notes
    -----
    The output is no function of (prompt, seed): the seed is passed on, but what serves the model, and what else runs
    in its batch, is the endpoint's affair. A run is repeated from its journal, not from the endpoint; the name says
    which endpoint and model were asked, and nothing about weights.

    A row that fails costs no other row: after its tries it is a failure of its own (:mod:`guard.generators.failures`).
    Only what no request can mend ends the run: a refused key, a model that is not there, a quota that is used up, or so
    many failures in a row that the endpoint is gone.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        key: str | None = None,
        limits: Limits | None = None,
        price: Price | None = None,
        decoding: Decoding | None = None,
        batch_size: int | None = None,
    ) -> None:
        limits = limits or Limits()
        self.endpoint, self.price = endpoint, price
        self.batch_size = batch_size or _ROWS_A_SLOT * limits.concurrency
        self.spent = Spent()
        self._decoding = decoding or Decoding()
        self._link = Link(endpoint.base_url, key=key, limits=limits)

    @property
    def name(self) -> str:
        """``endpoint@<12 hex digits over URL, model and settings>``: which endpoint, not which weights."""
        return f"endpoint@{self.endpoint.digest[:12]}"

    @property
    def decoding(self) -> Decoding:
        """How it is asked to decode."""
        return self._decoding

    @property
    def limits(self) -> Limits:
        """How hard the endpoint is pressed."""
        return self._link.limits

    @property
    def n_tokens(self) -> int:
        """Tokens written so far, as the answers state them."""
        return self.spent.tokens_out

    @property
    def n_tokens_in(self) -> int:
        """Tokens of prompts so far, as the answers state them."""
        return self.spent.tokens_in

    @property
    def n_without_usage(self) -> int:
        """Requests so far of which nobody said what they used; they may have been charged for."""
        return self.spent.without_usage

    @property
    def cost(self) -> float | None:
        """What was spent so far, in the currency of the price; None without a price."""
        return None if self.price is None else self.price.of(self.spent.tokens_in, self.spent.tokens_out)

    def with_decoding(self, decoding: Decoding) -> EndpointGenerator:
        """Return a generator on the same connection, limits and accounts that decodes otherwise."""
        other = copy.copy(self)
        other._decoding = decoding
        return other

    def generate(self, prompts: Sequence[str], *, seed: int | Sequence[int]) -> list[str]:
        """Return one output for each prompt.

        Parameters
        ----------
        prompts : sequence of str
        seed : int or sequence of int
            One for all prompts, or one a prompt. Passed on to the endpoint.

        Raises
        ------
        OutputMissingError
            A prompt has none after all tries; the others are lost with it, which :meth:`generate_rows` avoids.
        ConfigError, GeneratorError
            As :meth:`generate_rows`.
        """
        return texts_of(self.generate_rows(prompts, seed=seed), name=self.name)

    def generate_rows(self, prompts: Sequence[str], *, seed: int | Sequence[int]) -> list[Row]:
        """Return one output, or why there is none, for each prompt.

        Parameters
        ----------
        prompts : sequence of str
        seed : int or sequence of int

        Returns
        -------
        list of (str or GenerationFailure)
            In the order of the prompts.

        Raises
        ------
        ConfigError
            The endpoint refuses the key, or has no such model.
        GeneratorError
            The quota is used up, or the endpoint failed too often in a row.
        """
        seeds = [seed] * len(prompts) if isinstance(seed, int) else list(seed)
        if len(seeds) != len(prompts):
            raise GeneratorError(f"{len(prompts)} prompts came with {len(seeds)} seeds: give one seed, or one a prompt")
        return self._link.run(self._rows(list(prompts), seeds))

    def close(self) -> None:
        """Close the connections; a later call opens others."""
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"EndpointGenerator({self.endpoint!r}, limits={self.limits!r}, price={self.price!r})"

    async def _rows(self, prompts: list[str], seeds: list[int]) -> list[Row]:
        tasks = [asyncio.ensure_future(self._row(*given)) for given in zip(prompts, seeds, strict=True)]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _row(self, prompt: str, seed: int) -> Row:
        body, n_tokens = request_of(self.endpoint, prompt, seed, self._decoding)
        here = self._link.here
        async with here.slots:
            row = await self._tried(body, n_tokens)
            here.streak.note(row)
            return row

    async def _tried(self, body: dict[str, Any], n_tokens: int) -> Row:
        """Ask until there is a text, or no further try may help."""
        here, trial = self._link.here, Trial(self.limits)
        while True:
            await here.turn(n_tokens)
            allowed_s = trial.begin(here.loop.time())
            if allowed_s <= 0:
                return trial.failure(here.loop.time())
            found = await self._asked(body, n_tokens, allowed_s)
            if isinstance(found, str):
                return found
            if found.fatal:
                raise self._end_of_run(found)
            wait_s = trial.wait_after(found, here.loop.time())
            if wait_s is None:
                return trial.failure(here.loop.time())
            if found.kind == "rate_limit" and found.after_s is not None:
                here.pause(found.after_s)
            self.spent.retries += 1
            _log.info("%s: %s; again in %.1f s", self.endpoint.base_url, found.reason, wait_s)
            await asyncio.sleep(wait_s)

    async def _asked(self, body: dict[str, Any], n_tokens: int, timeout_s: float) -> str | Fault:
        """Send one request and book what it used."""
        self.spent.requests += 1
        try:
            answer = read_answer(await self._link.post(body, timeout_s=timeout_s))
        except Fault as fault:
            self.spent.faults[fault.kind] += 1
            if fault.kind in ("timeout", "connection", "malformed"):
                self.spent.add(None, None)  # it may have been answered, and charged, all the same
            return fault
        self.spent.add(answer.tokens_in, answer.tokens_out)
        if answer.tokens_in is not None and answer.tokens_out is not None:
            self._link.here.correct(answer.tokens_in + answer.tokens_out - n_tokens)
        if answer.fault is not None:
            self.spent.faults[answer.fault.kind] += 1
            return answer.fault
        return answer.text or ""

    def _end_of_run(self, fault: Fault) -> Exception:
        line = f"{self.endpoint.base_url}, model {self.endpoint.model!r}: {fault.reason}"
        if fault.kind == "rate_limit":
            return GeneratorError(f"{line}; go on with --resume once there is quota")
        return ConfigError(f"{line}; check the URL, the model and the key in the environment")
