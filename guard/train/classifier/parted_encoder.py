"""The encoder filter in two parts: frozen lower layers, run once a text, and upper ones to train with a head."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from guard.errors import ConfigError, FilterError
from guard.filters.bert import BertShape, embedded_tokens, encoder_layers, linear_names, load_bert
from guard.filters.encoder_text import encoder_text
from guard.filters.encoder_weights import merged
from guard.filters.heads import head_attention
from guard.filters.windows import length_batches
from guard.train.lora import LoraEncoder, LoraSettings

__all__ = ["PartedEncoder", "States", "fresh_config"]

States = Sequence[Tensor]
"""What the upper layers read of each text: float16, shape (tokens, hidden)."""

_TOKEN_BUDGET = 4096
_FRESH = LoraSettings(rank=16)


def fresh_config() -> dict[str, object]:
    """Return the ``config.json`` of a filter without updates and heads."""
    return {
        "categories": [],
        "rank": _FRESH.rank,
        "scale": _FRESH.scale,
        "pooling": "attention",
        "window": 126,
        "stride": 96,
        "emoji_names": True,
    }


class PartedEncoder:
    """An encoder filter of which one head and the updates of the upper layers are trained.

    Parameters
    ----------
    network : LoraEncoder
        With the heads of `config`.
    tokenizer : Tokenizer
    config : mapping
        ``config.json`` of the filter.
    category : str
        One of the categories in `config`.
    upper : int
        Layers, from the top, whose updates are trained; 0 trains the head alone.
    max_tokens : int
        Longest text in training, special tokens included; of a longer one its beginning is read.
    bfloat16 : bool
        Multiply matrices in bfloat16. Weights stay float32.

    Notes
    -----
    What lies below the trained layers is a function of the text alone, so it is computed once and kept. Heads of other
    categories are not trained; where no layer is, their scores stay as they are to the last bit.
    """

    def __init__(
        self,
        network: LoraEncoder,
        tokenizer: Tokenizer,
        config: Mapping[str, object],
        *,
        category: str,
        upper: int,
        max_tokens: int = 96,
        bfloat16: bool = False,
    ) -> None:
        if not 0 <= upper <= network.shape.n_layers:
            raise ConfigError(f"{upper} layers to train: the encoder has {network.shape.n_layers}, give 0 to that many")
        self._network, self._tokenizer, self.config = network, tokenizer, dict(config)
        self.column = self.categories.index(category)
        self._split = network.shape.n_layers - upper
        self._max_tokens, self._bfloat16 = min(max_tokens, network.shape.max_positions), bfloat16
        self._below = _merged_below(network, self._split)
        heads = (network.query, network.value, network.bias)
        self._others = tuple(part.detach().clone() for part in heads)
        self._own = [nn.Parameter(part.detach()[self.column].clone()) for part in heads]
        self._updates = _updates_above(network, self._split)

    @classmethod
    def load(
        cls,
        base: Path,
        weights: Path | None,
        *,
        category: str,
        upper: int,
        seed: int = 0,
        max_tokens: int = 96,
        bfloat16: bool = False,
    ) -> PartedEncoder:
        """Read the frozen encoder and a filter on it; a category that the filter lacks gets a new head.

        Parameters
        ----------
        base : Path
            Folder of the frozen encoder.
        weights : Path or None
            Folder of the filter to start from; None starts without updates and with this head alone.
        category : str
        upper, max_tokens, bfloat16
            As above.
        seed : int
            Of fresh updates.

        Raises
        ------
        FilterError
            A file is missing or broken, or the adapter does not fit the encoder.
        ConfigError
            More layers than there are.
        """
        shape, frozen = load_bert(base)
        try:
            config = fresh_config() if weights is None else _read_config(weights)
            tensors = {} if weights is None else load_file(weights / "encoder.safetensors")
            tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
            network = _network(frozen, shape, tensors, config, category, seed)
        except Exception as error:
            where = f"{weights} on top of {base}" if weights else base
            raise FilterError(f"cannot train on {where} ({error}): give a filter's folder") from error
        tokenizer.no_truncation()
        tokenizer.no_padding()
        made = cls(network, tokenizer, config, category=category, upper=upper, max_tokens=max_tokens, bfloat16=bfloat16)
        made.is_new = weights is None or len(tensors["heads.bias"]) < len(made.categories)
        return made

    is_new = True
    """Whether the head that is trained was not there before."""

    @property
    def categories(self) -> tuple[str, ...]:
        """Column order of :meth:`read`."""
        names = self.config["categories"]
        return tuple(map(str, names)) if isinstance(names, list) else ()

    @property
    def trains_layers(self) -> bool:
        """Whether more than the head is trained."""
        return self._split < self._network.shape.n_layers

    def states(self, texts: Sequence[str], *, on_progress: Callable[[int, int], None] | None = None) -> list[Tensor]:
        """Run texts through the frozen layers, batches of like length.

        The batches depend on `texts` alone, so the same texts give the same states to the last bit.
        """
        rows = self._token_ids(texts)
        found: list[Tensor] = [torch.empty(0)] * len(rows)
        done = 0
        for group in length_batches([len(row) for row in rows], token_budget=_TOKEN_BUDGET):
            ids, mask = _padded_ids([rows[at] for at in group])
            with torch.inference_mode(), self._autocast():
                below = self._run_below(ids, mask).half()
            for place, at in enumerate(group):
                found[at] = below[place, : len(rows[at])].clone()
            done += len(group)
            if on_progress is not None:
                on_progress(done, len(rows))
        return found

    def read(self, states: States) -> tuple[Tensor, Tensor]:
        """Run the upper layers and the heads.

        Returns
        -------
        logits : Tensor
            float32, shape (n, n_categories).
        pooled : Tensor
            float32, shape (n, hidden): what the trained head reads.
        """
        x, mask = _padded_states(states)
        with self._autocast():
            hidden = self._network.layers(x, mask, layers=range(self._split, self._network.shape.n_layers)).float()
        query, value, bias = self._heads()
        attention = head_attention(hidden, mask, query=query)
        pooled = torch.einsum("ntk,ntd->nkd", attention, hidden)
        return (pooled * value).sum(-1) + bias, pooled[:, self.column]

    def read_all(self, states: States) -> tuple[Tensor, Tensor]:
        """Return :meth:`read` of any number of texts, in their order, without a gradient."""
        n, hidden = len(states), self._own[0].shape[0]
        logits, pooled = torch.zeros(n, len(self.categories)), torch.zeros(n, hidden)
        with torch.inference_mode():
            for group in length_batches([len(one) for one in states], token_budget=_TOKEN_BUDGET):
                logits[group], pooled[group] = self.read([states[at] for at in group])
        return logits, pooled

    def parameters(self) -> dict[str, nn.Parameter]:
        """Return what is trained, by name."""
        return dict(zip(("head.query", "head.value", "head.bias"), self._own, strict=True)) | self._updates

    def set_head(self, value: Tensor, bias: float) -> None:
        """Let the trained head read the mean of the states with these weights."""
        with torch.no_grad():
            self._own[0].zero_()
            self._own[1].copy_(value)
            self._own[2].fill_(bias)

    def tensors(self, *, slope: float = 1.0, shift: float = 0.0) -> dict[str, Tensor]:
        """Return what the filter's folder holds, float32, with the trained head's log-odds scaled and shifted."""
        query, value, bias = (part.detach().clone() for part in self._heads())
        value[self.column] *= slope
        bias[self.column] = bias[self.column] * slope + shift
        return self._network.tensors() | {"heads.query": query, "heads.value": value, "heads.bias": bias}

    def _heads(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return query, value and bias of all heads, through the trained ones of which a gradient flows."""
        here = torch.arange(len(self.categories)) == self.column
        whole = [
            torch.where(here if own.dim() == 0 else here[:, None], own, other)
            for own, other in zip(self._own, self._others, strict=True)
        ]
        return whole[0], whole[1], whole[2]

    def _autocast(self) -> Any:
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._bfloat16)

    def _token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Read texts in their canonical form; of one that is too long, its beginning."""
        names = bool(self.config.get("emoji_names", False))
        forms = [encoder_text(text, emoji_names=names).text for text in texts]
        begin, end = self._tokenizer.token_to_id("[CLS]"), self._tokenizer.token_to_id("[SEP]")
        kept = self._max_tokens - 2
        encodings = self._tokenizer.encode_batch(forms, add_special_tokens=False)
        return [[begin, *encoding.ids[:kept], end] for encoding in encodings]

    def _run_below(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Run the layers below the trained ones, their updates merged."""
        frozen, shape = self._network.frozen, self._network.shape

        def linear(name: str, x: Tensor) -> Tensor:
            return nn.functional.linear(x, self._below[f"{name}.weight"], frozen[f"{name}.bias"])

        x = embedded_tokens(ids, weights=frozen, shape=shape)
        return encoder_layers(x, mask, weights=frozen, shape=shape, linear=linear, layers=range(self._split))


def _read_config(folder: Path) -> dict[str, object]:
    config: dict[str, object] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return config


def _network(
    frozen: Mapping[str, Tensor],
    shape: BertShape,
    tensors: Mapping[str, Tensor],
    config: dict[str, object],
    category: str,
    seed: int,
) -> LoraEncoder:
    """Build the network around trained tensors, with a head more where the category is new; `config` learns of it."""
    names = [str(name) for name in config["categories"]]  # type: ignore[attr-defined]
    ranks = [int(value.shape[0]) for name, value in tensors.items() if name.endswith(".a")]
    settings = LoraSettings(rank=max(ranks, default=_FRESH.rank), scale=float(str(config["scale"])))
    if category not in names:
        config["categories"] = names = [*names, category]
    network = LoraEncoder(frozen, shape, n_heads=len(names), settings=settings, seed=seed)
    if tensors:
        fresh = network.tensors()
        heads = {
            f"heads.{part}": torch.cat((tensors[f"heads.{part}"].float(), fresh[f"heads.{part}"][_n(tensors) :]))
            for part in ("query", "value", "bias")
        }
        network.load_tensors({**tensors, **heads})
    return network


def _n(tensors: Mapping[str, Tensor]) -> int:
    return len(tensors["heads.bias"])


def _merged_below(network: LoraEncoder, split: int) -> dict[str, Tensor]:
    """Merge the updates of the layers below the trained ones."""
    names = [name for name in linear_names(network.shape) if _layer(name) < split]
    chosen = ((f"{name}.weight", network.frozen[f"{name}.weight"]) for name in names)
    whole = merged(chosen, network.tensors(), names=names, scale=network.settings.scale)
    return {name: value.clone() for name, value in whole}


def _updates_above(network: LoraEncoder, split: int) -> dict[str, nn.Parameter]:
    """Return the updates of the trained layers; those below take no gradient."""
    found: dict[str, nn.Parameter] = {}
    for name, a, b in zip(network.names, network.a, network.b, strict=True):
        trained = _layer(name) >= split
        a.requires_grad_(trained)
        b.requires_grad_(trained)
        if trained:
            found |= {f"lora.{name}.a": a, f"lora.{name}.b": b}
    return found


def _layer(name: str) -> int:
    return int(name.split(".")[2])


def _padded_ids(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    return ids, torch.arange(width)[None, :] < lengths[:, None]


def _padded_states(states: States) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([len(one) for one in states])
    x = nn.utils.rnn.pad_sequence([one.float() for one in states], batch_first=True)
    return x, torch.arange(x.shape[1])[None, :] < lengths[:, None]
