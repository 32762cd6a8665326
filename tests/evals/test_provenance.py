"""What decides the rounding on a processor is named."""

from __future__ import annotations

import pytest

from evals.provenance import numerics


def test_numerics_name_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
    found = numerics()
    assert found["ONEDNN_MAX_CPU_ISA"] == "AVX512_CORE_BF16"
    assert "AMX" not in found["cpu"]
