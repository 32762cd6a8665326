"""What every test shares: a fixed numeric mode, no network, and the data beside the project where it is there."""

from __future__ import annotations

import os
from pathlib import Path

# Before torch is first imported: the mode in which a row does not depend on its batch (docs/design/determinism.md).
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Models in tests are tiny: a second thread only waits for the first.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the labelled public sets; the test is skipped where it is missing."""
    if not SHARED.is_dir():
        pytest.skip("the labelled data beside the project is not here")
    return SHARED


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a small random language model."""
    from tests.tiny_llama import write_tiny_llama

    return write_tiny_llama(tmp_path_factory.mktemp("models") / "tiny-llama")
