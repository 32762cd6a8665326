"""A small language model from nothing: sizes by name or from TOML, a tokenizer made from the texts, random weights."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from guard.errors import ConfigError

__all__ = ["SIZES", "ScratchSize", "write_scratch"]

_END = "<|endoftext|>"
_ROLES = ("<|user|>", "<|assistant|>", "<|system|>")
# Turns behind their roles: a model from nothing has no template of its own.
_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|endoftext|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@dataclass(frozen=True)
class ScratchSize:
    """How large a model from nothing is; its build is that of Llama (Touvron et al. 2023, arXiv 2302.13971).

    Parameters
    ----------
    layers, width, heads : int
        `heads` divides `width`.
    inner : int
        Width of the feed-forward layers.
    vocabulary : int
        Most entries of the tokenizer; at least 300.
    context : int
        Ids.
    """

    layers: int = 4
    width: int = 256
    heads: int = 4
    inner: int = 768
    vocabulary: int = 4096
    context: int = 512

    def __post_init__(self) -> None:
        numbers = asdict(self)
        wrong = [name for name, value in numbers.items() if not isinstance(value, int) or value < 1]
        if wrong or self.width % (2 * self.heads) or self.vocabulary < 300:
            raise ConfigError(
                f"{self}: give whole numbers of at least 1, a width that twice the heads divides, and a vocabulary of"
                " at least 300"
            )

    @classmethod
    def named(cls, name: str) -> ScratchSize:
        """Return a size of :data:`SIZES`, or that of a TOML file with the fields of this class.

        Raises
        ------
        ConfigError
            No such size or file, or an unknown field.
        """
        if name in SIZES:
            return SIZES[name]
        try:
            found = tomllib.loads(Path(name).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(
                f"{name!r} is no size ({', '.join(SIZES)}) and no TOML file that can be read ({error.strerror})"
            ) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{name} is not TOML ({error})") from error
        unknown = set(found) - {field.name for field in fields(cls)}
        if unknown:
            raise ConfigError(f"{name} has unknown fields ({', '.join(sorted(unknown))}): see ScratchSize")
        return cls(**found)


SIZES: Mapping[str, ScratchSize] = MappingProxyType(
    {
        "tiny": ScratchSize(layers=2, width=128, heads=2, inner=384, vocabulary=2048, context=256),
        "small": ScratchSize(),
        "medium": ScratchSize(layers=8, width=512, heads=8, inner=1408, vocabulary=8192, context=1024),
    }
)
"""About 0.7, 4 and 30 million weights."""


def write_scratch(folder: Path, texts: Iterable[str], size: ScratchSize, *, seed: int) -> None:
    """Write a Transformers folder with random weights and a byte-level tokenizer trained on `texts`.

    Parameters
    ----------
    folder : pathlib.Path
    texts : iterable of str
        Those that are learnt from and no others: a tokenizer that saw the validation rows would flatter them.
    size : ScratchSize
    seed : int
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _tokenizer(texts, size)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.width,
        intermediate_size=size.inner,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=size.context,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # inside the fork, so that nobody else's draws change
        model = LlamaForCausalLM(config)
    model.save_pretrained(str(folder), safe_serialization=True)
    tokenizer.save_pretrained(str(folder))


def _tokenizer(texts: Iterable[str], size: ScratchSize) -> Any:
    """Train byte-pair merges (Sennrich et al. 2016, arXiv 1508.07909) over bytes, so that no text is unknown."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size.vocabulary,
        special_tokens=[_END, *_ROLES],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator((text.encode("utf-8", "replace").decode() for text in texts), trainer)
    # Every text begins behind the mark, so that its first word is learnt too.
    made.post_processor = processors.TemplateProcessing(
        single=f"{_END} $A", pair=f"{_END} $A $B", special_tokens=[(_END, made.token_to_id(_END))]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token=_END,
        eos_token=_END,
        pad_token=_END,
        model_max_length=size.context,
        model_input_names=["input_ids", "attention_mask"],
    )
    fast.chat_template = _TEMPLATE
    return fast
