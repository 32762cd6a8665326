"""AMX tiles are told from the rest, and the encoder filter does not compute on them by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from guard.filters import encoder_weights
from guard.numerics import has_tiles


@pytest.mark.parametrize(
    ("flags", "setting", "tiles"),
    [
        ("flags : avx512f amx_bf16 amx_tile", None, True),
        ("flags : avx512f amx_bf16", "ALL", True),
        ("flags : avx512f amx_bf16", "AVX512_CORE_AMX", True),
        ("flags : avx512f amx_bf16", "AVX512_CORE_BF16", False),
        ("flags : avx512f amx_int8", None, False),
        (None, None, False),
    ],
)
def test_tiles_are_told_by_flag_and_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str | None, setting: str | None, tiles: bool
) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    if setting is not None:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", setting)
    if flags is not None:
        (tmp_path / "cpuinfo").write_text(flags, encoding="utf-8")
    assert has_tiles(tmp_path / "cpuinfo") is tiles


@pytest.mark.parametrize(("tiles", "dtype"), [(True, torch.float32), (False, torch.bfloat16)])
@pytest.mark.parametrize("setting", ["ALL", "AVX512_CORE_BF16"])
def test_encoder_computes_in_bfloat16_only_where_a_row_does_not_depend_on_its_batch_and_it_is_faster(
    monkeypatch: pytest.MonkeyPatch, tiles: bool, dtype: torch.dtype, setting: str
) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", setting)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles, raising=False)
    assert encoder_weights.dtype_of("auto", torch.device("cpu")) is dtype
