"""The Detoxify package as a filter: any checkpoint of it, long texts in windows, batches by length."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from guard.canonical import canonicalize
from guard.errors import AssetError, ConfigError, FilterError
from guard.filters.windows import length_batches, window_token_ids
from guard.schema import Scores

__all__ = ["DetoxifyFilter"]

# Detoxify's own spelling of the classes differs between its models; these are the names a policy uses.
_CATEGORIES = {"toxic": "toxicity", "severe_toxic": "severe_toxicity", "identity_hate": "identity_attack"}
_POSITION_OFFSET = {"roberta": 2, "xlm-roberta": 2}  # positions that these families keep for padding
_OVERLAP = 8  # consecutive windows share an eighth


class Detector(Protocol):
    """What is used of ``detoxify.Detoxify``."""

    model: Any
    tokenizer: Any
    class_names: Sequence[str]


class DetoxifyFilter:
    """Scores texts with a Detoxify model (Hanu and Unitary, 2020).

    Detoxify's own ``predict`` cuts a text off at the length of the model, pads a batch to its longest text, and
    returns a bare number for a single text; here nothing is cut off, batches are of like length, and the result is
    always a matrix. Categories are Detoxify's, with ``toxic``, ``severe_toxic`` and ``identity_hate`` called
    ``toxicity``, ``severe_toxicity`` and ``identity_attack``.

    Parameters
    ----------
    detector : detoxify.Detoxify
        Or any object with its ``model``, ``tokenizer`` and ``class_names``.
    name : str
    token_budget : int
        Most tokens of a padded batch.

    Notes
    -----
    The score of a long text is the highest of its windows, category by category.
    """

    def __init__(self, detector: Detector, *, name: str = "detoxify@unknown", token_budget: int = 1024) -> None:
        self._model = detector.model.eval()
        self._tokenizer = detector.tokenizer
        self._categories = tuple(_CATEGORIES.get(label, label) for label in detector.class_names)
        self._name = name
        self._token_budget = token_budget
        self._frame: list[int] = detector.tokenizer("")["input_ids"]
        self._window = _longest_input(detector) - len(self._frame)

    @classmethod
    def load(
        cls,
        checkpoint: str | Path | None = None,
        *,
        model_type: str = "original",
        huggingface_config_path: str | Path | None = None,
        device: str = "cpu",
        token_budget: int = 1024,
    ) -> DetoxifyFilter:
        """Load a Detoxify model.

        A checkpoint is unpickled (``weights_only=False``, which is how Detoxify stores them): it can run any code,
        so load only one that you would run as a program.

        Parameters
        ----------
        checkpoint : str, Path or None
            A file of Detoxify's own format; None downloads the weights of `model_type`.
        model_type : str
            ``original``, ``unbiased``, ``multilingual``, ``original-small`` or ``unbiased-small``. Not used when a
            checkpoint is given, since that says what it is.
        huggingface_config_path : str, Path or None
            Folder with configuration and tokenizer, for use without a network.
        device : str
        token_budget : int

        Raises
        ------
        AssetError
            When the weights, configuration or tokenizer cannot be had or do not fit each other.
        ConfigError
            When there is no such `model_type`.
        """
        from detoxify.detoxify import MODEL_URLS

        if checkpoint is None and model_type not in MODEL_URLS:
            raise ConfigError(f"Detoxify has no model {model_type!r}; known: {', '.join(MODEL_URLS)}")
        try:
            detector = _detector(checkpoint, model_type, huggingface_config_path, device)
        except Exception as error:  # of whatever kind unpickling, the hub client and the model raise
            what = f"checkpoint {checkpoint}" if checkpoint else f"model {model_type}"
            reason = " ".join(str(error).split())[:200]
            way_out = "give a local checkpoint and huggingface_config_path to load without a network"
            message = f"Detoxify {what} cannot be loaded ({type(error).__name__}: {reason}): {way_out}"
            raise AssetError(message) from error
        # Detoxify puts what it downloads into the folder of torch.hub.
        path = checkpoint or Path(torch.hub.get_dir(), "checkpoints", Path(MODEL_URLS[model_type]).name)
        return cls(detector, name=f"detoxify@{_file_digest(Path(path))}", token_budget=token_budget)

    @property
    def name(self) -> str:
        """``detoxify@`` and the first hexadecimal digits of the SHA-256 of the checkpoint."""
        return self._name

    @property
    def categories(self) -> tuple[str, ...]:
        """The model's classes, in its order."""
        return self._categories

    def score_batch(self, items: Sequence[str]) -> Scores:
        """Score every text.

        Parameters
        ----------
        items : sequence of str
            Of any length. Scored in canonical form.

        Returns
        -------
        Scores
            float32, shape (len(items), len(categories)), in [0, 1].

        Raises
        ------
        FilterError
            When the model fails.
        """
        scores = np.zeros((len(items), len(self._categories)), dtype=np.float32)
        if not items:
            return scores
        try:
            owners, windows = self._windows([canonicalize(item).text for item in items])
            for batch in length_batches([len(window) for window in windows], token_budget=self._token_budget):
                rows = self._forward([windows[i] for i in batch])
                np.maximum.at(scores, [owners[i] for i in batch], rows)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            raise FilterError(f"filter {self._name} raised {type(error).__name__}: {error}") from error
        return scores

    def _windows(self, texts: Sequence[str]) -> tuple[list[int], list[list[int]]]:
        """Token windows of all texts, with special tokens, and the text that each belongs to."""
        encoded = self._tokenizer(texts, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
        stride = self._window - self._window // _OVERLAP
        owners, windows = [], []
        for owner, ids in enumerate(encoded):
            for window in window_token_ids(ids, size=self._window, stride=stride):
                owners.append(owner)
                windows.append([*self._frame[:1], *window, *self._frame[1:]])
        return owners, windows

    @torch.inference_mode()
    def _forward(self, windows: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
        longest = max(map(len, windows))
        padding = self._tokenizer.pad_token_id
        ids = torch.tensor([[*window, *[padding] * (longest - len(window))] for window in windows])
        mask = torch.tensor([[1] * len(window) + [0] * (longest - len(window)) for window in windows])
        device = self._model.device
        logits = self._model(input_ids=ids.to(device), attention_mask=mask.to(device))[0]
        # Some models carry more outputs than named classes: the auxiliary targets of their training.
        rows: npt.NDArray[np.float32] = torch.sigmoid(logits[:, : len(self._categories)].float()).cpu().numpy()
        return rows


def _detector(checkpoint: str | Path | None, model_type: str, config_path: str | Path | None, device: str) -> Detector:
    import detoxify
    from detoxify.detoxify import Detoxify, get_model_and_tokenizer

    if checkpoint is None or config_path is None:
        loaded: Detector = Detoxify(
            model_type=model_type,
            checkpoint=None if checkpoint is None else str(checkpoint),
            device=device,
            huggingface_config_path=None if config_path is None else str(config_path),
        )
        return loaded
    # Detoxify asks the hub for the configuration even when it is given a folder for it: name the folder instead.
    stored = torch.load(checkpoint, map_location=device, weights_only=False)
    arguments = {**stored["config"]["arch"]["args"], "model_type": str(config_path)}
    detector: Detector = detoxify.Detoxify.__new__(Detoxify)
    detector.model, detector.tokenizer = get_model_and_tokenizer(**arguments, state_dict=stored["state_dict"])
    detector.class_names = stored["config"]["dataset"]["args"]["classes"]
    detector.model.to(device)
    return detector


def _longest_input(detector: Detector) -> int:
    config = detector.model.config
    positions = config.max_position_embeddings - _POSITION_OFFSET.get(config.model_type, 0)
    return int(min(positions, detector.tokenizer.model_max_length))


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
