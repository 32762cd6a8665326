"""What decides the rounding on a processor is named, and AMX tiles are told from the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from evals.provenance import has_tiles, numerics


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


def test_numerics_name_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
    found = numerics()
    assert found["ONEDNN_MAX_CPU_ISA"] == "AVX512_CORE_BF16"
    assert "AMX" not in found["cpu"]
