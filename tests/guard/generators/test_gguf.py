"""The conversion of GGUF files: right ids, right weights, once, whole or not at all."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import resource
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guard import assets
from guard.errors import AssayError, AssetError, DataError, GeneratorError
from guard.generators.gguf import convert
from tests.guard.generators.gguf_files import CONTEXT, ROPE_BASE, write_tiny_gguf

KNOWN_IDS = {
    "Hello world": [19556, 905],
    "  two leading spaces": [216, 827, 2899, 5600],
    "line one\nline two\n\n\nline five\ttab": [1311, 582, 198, 1311, 827, 1116, 198, 1311, 2531, 197, 15999],
    "def f(x):\n    return x ** 2  # square\n": [
        *(1604, 275, 24, 104, 727, 472, 1003, 1792, 1903, 216, 34, 216, 907, 5222, 198),
    ],
    "1234567890 and 3.14": [33, 34, 35, 36, 37, 38, 39, 40, 41, 32, 284, 216, 35, 30, 33, 36],
    "你好，世界": [18645, 250, 48392, 138, 12831, 7906, 240, 178, 239, 230],
    "👍🏽 emoji 🎉 ok": [10813, 235, 231, 10813, 233, 138, 649, 33777, 15107, 232, 227, 10907],
    "<|im_start|>user\nhi<|im_end|>\n": [1, 4093, 198, 6004, 2, 198],
    "naïve café": [3546, 46494, 37366],
    # Digits are cut off first, so two blanks before one stay together.
    "x  2": [104, 256, 34],
    "": [],
}
KNOWN_GEMMA_IDS = {
    "Hello world": [2, 9259, 1902],
    "  two leading spaces": [2, 138, 13498, 5830, 9952],
    "line one\nline two\n\n\nline five\ttab": [2, 1257, 886, 107, 1257, 1156, 109, 1257, 3493, 255968, 4823],
    "1234 and": [2, 236770, 236778, 236800, 236812, 532],
    "你好，世界": [2, 144626, 236900, 12811],
    "👍🏽 emoji 🎉 ok": [2, 240493, 242713, 64334, 204906, 7546],
    "<html>&amp;</html>": [2, 217, 236880, 1414, 236793, 228],
    "    four\n        eight": [2, 140, 19025, 107, 144, 44622],
    "": [2],
}
TEXT = (
    "Machine learning is a field of artificial intelligence that uses statistical techniques to give computer systems "
    "the ability to learn from data, without being explicitly programmed. The name was coined in 1959 by Arthur "
    "Samuel. It explores the study and construction of algorithms that can learn from and make predictions on data."
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="module")
def converted(tiny: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_CACHE", str(tiny.parent / "cache"))
        return convert(tiny)


@pytest.fixture
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "converted"


def _left_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.name != ".lock") if folder.is_dir() else []


def test_conversion_opens_with_plain_transformers(converted: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(converted)
    model = AutoModelForCausalLM.from_pretrained(converted, dtype="auto")
    assert model.dtype == torch.bfloat16
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 2)
    assert tokenizer.model_max_length == CONTEXT
    assert tokenizer.padding_side == "left"
    # "t" is byte 0x74: after three control tokens its id is 3 + 0x74; "he" and " a" are merged.
    assert tokenizer("the a")["input_ids"] == [3 + 0x74, 3 + 256 + 1, 3 + 256]
    chat = tokenizer.apply_chat_template([{"role": "user", "content": "a"}], tokenize=False)
    assert chat == "<|im_start|>a<|im_end|>"
    assert model.generation_config.eos_token_id == 2
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_conversion_keeps_the_rotary_base_at_the_top_level(converted: Path) -> None:
    config = json.loads((converted / "config.json").read_text())
    assert config["rope_theta"] == ROPE_BASE
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert not {"rope_parameters", "quantization_config", "_name_or_path"} & config.keys()


def test_conversion_weights_are_those_of_the_file(converted: Path, tiny: Path) -> None:
    import gguf
    import torch
    from transformers import AutoModelForCausalLM

    tensors = {tensor.name: tensor.data for tensor in gguf.GGUFReader(tiny).tensors}
    weights = AutoModelForCausalLM.from_pretrained(converted, dtype="auto").state_dict()
    down = torch.tensor(tensors["blk.0.ffn_down.weight"]).reshape(32, 64).to(torch.bfloat16)
    assert torch.equal(weights["model.layers.0.mlp.down_proj.weight"], down)


def test_second_conversion_reads_nothing(
    converted: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tiny.parent / "cache"))
    before = {file: file.stat().st_mtime_ns for file in converted.iterdir()}
    copy = tmp_path / "renamed.gguf"
    copy.write_bytes(tiny.read_bytes())
    assert convert(copy) == converted
    assert {file: file.stat().st_mtime_ns for file in converted.iterdir()} == before


def test_damaged_conversion_is_made_again(tiny: Path, private_cache: Path) -> None:
    folder = convert(tiny)
    (folder / "model.safetensors").write_bytes(b"cut")
    assert convert(tiny) == folder
    assert (folder / "model.safetensors").stat().st_size > 1000
    (folder / "conversion.json").write_text("{")
    convert(tiny)
    assert json.loads((folder / "conversion.json").read_text())["source"] == "tiny.gguf"
    assert _left_in(private_cache) == [folder.name]


def test_out_folder_of_other_things_is_refused(tiny: Path, tmp_path: Path, private_cache: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert convert(tiny, out) == out
    (out / "thesis.tex").write_text("dear to me")
    assert convert(tiny, out) == out
    (out / "config.json").unlink()
    with pytest.raises(DataError, match="name another folder"):
        convert(tiny, out)
    assert (out / "thesis.tex").exists()


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:2000], "damaged GGUF file"),
        (_cut, "damaged GGUF file"),
        (lambda content: content[:-500], "damaged GGUF file"),
        (lambda content: content[:4], "damaged GGUF file"),
        (lambda content: content[:4] + b"\xff" * 100, "damaged GGUF file"),
        (lambda content: b"GGML" + content[4:], "no GGUF file: it begins with b'GGML'"),
        (lambda content: b"Just some text.\n", "no GGUF file"),
        (lambda content: b"", "no GGUF file"),
    ],
)
def test_broken_file_is_one_clear_line(
    tiny: Path, tmp_path: Path, private_cache: Path, damage: Callable[[bytes], bytes], message: str
) -> None:
    file = tmp_path / "broken.gguf"
    file.write_bytes(damage(tiny.read_bytes()))
    with pytest.raises(DataError, match=message) as caught:
        convert(file)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    assert _left_in(private_cache) == []


def test_flipped_header_byte_is_refused_or_read_in_no_time(
    tiny: Path, tmp_path: Path, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise GeneratorError("the header was read")

    monkeypatch.setattr("guard.generators.gguf._save_model", stop)
    content = tiny.read_bytes()
    header = content.index(b"blk.0.ffn_down.weight") + 60
    said: list[str] = []
    # The first 100 bytes hold the counts and the first keys; from there on every 37th, of all parts of the header.
    for place in [*range(4, 104), *range(104, header, 37)]:
        for flip in (0x01, 0x80):
            file = tmp_path / "flipped.gguf"
            file.write_bytes(content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :])
            start = time.perf_counter()
            with pytest.raises((DataError, GeneratorError)) as caught:
                convert(file)
            assert time.perf_counter() - start < 5
            said.append(str(caught.value))
    assert not any("\n" in line for line in said)
    assert sum("damaged GGUF file" in line for line in said) > 50
    assert "the header was read" in said


def _with_array_count(content: bytes, key: bytes, count: int) -> bytes:
    place = content.index(key) + len(key) + 4 + 4  # the type of the value, the type of its elements
    return content[:place] + struct.pack("<Q", count) + content[place + 8 :]


@pytest.mark.parametrize("count", [1 << 16, 1 << 40, (1 << 64) - 1])
def test_array_longer_than_the_file_is_refused_unread(
    tiny: Path, tmp_path: Path, private_cache: Path, count: int
) -> None:
    file = tmp_path / "long.gguf"
    file.write_bytes(_with_array_count(tiny.read_bytes(), b"tokenizer.ggml.tokens", count))
    with pytest.raises(DataError, match=f"announces {count} values"):
        convert(file)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (struct.pack("<IIQ", 9, 9, 1) + struct.pack("<IQ", 9, 1) + struct.pack("<IQ", 0, 0), "nested more than 2"),
        (struct.pack("<II", 77, 0), "unknown type 77"),
        (struct.pack("<IIQ", 9, 77, 1), "unknown type 77"),
        (struct.pack("<IQ", 8, 99), "announces 99 bytes of text"),
    ],
)
def test_impossible_value_is_refused(tmp_path: Path, private_cache: Path, value: bytes, message: str) -> None:
    file = tmp_path / "odd.gguf"
    file.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"k" + value)
    with pytest.raises(DataError, match=message):
        convert(file)


def test_more_layers_than_tensors_are_refused(tiny: Path, tmp_path: Path, private_cache: Path) -> None:
    content, key = tiny.read_bytes(), b"llama.block_count"
    place = content.index(key) + len(key) + 4
    file = tmp_path / "deep.gguf"
    file.write_bytes(content[:place] + struct.pack("<I", 1 << 20) + content[place + 4 :])
    with pytest.raises(DataError, match="block_count is 1048576"):
        convert(file)


def test_what_a_killed_conversion_left_is_swept_from_the_out_folder(
    tiny: Path, tmp_path: Path, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise GeneratorError("stop here")

    monkeypatch.setattr("guard.generators.gguf._save_model", refuse)
    left = tmp_path / "mine" / ".assay-tmp-killed" / "model"
    left.mkdir(parents=True)
    (left / "model.safetensors").write_bytes(b"half")
    (tmp_path / "mine" / "thesis.tex").write_text("dear to me")
    with pytest.raises(GeneratorError, match="stop here"):
        convert(tiny, tmp_path / "mine" / "out")
    assert _left_in(tmp_path / "mine") == ["thesis.tex"]


@pytest.mark.parametrize("name", ["missing.gguf", "."])
def test_missing_file_or_folder_is_one_clear_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="cannot read the GGUF file"):
        convert(tmp_path / name)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"pre": "martian"}, "'martian' way"), ({"architecture": "martian"}, "cannot convert odd.gguf")],
)
def test_unknown_kind_is_refused_and_leaves_nothing(
    tmp_path: Path, private_cache: Path, options: dict[str, Any], message: str
) -> None:
    file = write_tiny_gguf(tmp_path / "odd.gguf", **options)
    with pytest.raises(GeneratorError, match=message) as caught:
        convert(file)
    assert "\n" not in str(caught.value)
    assert _left_in(private_cache) == []


def _convert_in_turn(tiny: Path, limit: int | None) -> None:
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        convert(tiny)
    except AssayError as error:
        clear = isinstance(error, AssetError) and "no room left" in str(error) and "\n" not in str(error)
        os._exit(7 if clear else 1)


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "code"), [(None, 0), (5_000, 7), (20_000, 7)])
def test_processes_at_once_with_and_without_room(tiny: Path, private_cache: Path, limit: int | None, code: int) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_convert_in_turn, args=(tiny, limit)) for _ in range(2 if limit is None else 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert {worker.exitcode for worker in workers} == {code}
    assert len(_left_in(private_cache)) == (1 if code == 0 else 0)


def _model_folder(name: str) -> Path:
    try:
        return convert(assets.path(name))
    except AssetError as error:
        pytest.skip(str(error))


@pytest.mark.model
def test_smollm2_reads_known_strings_and_a_known_text() -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = _model_folder("smollm2-135m")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert {text: tokenizer(text)["input_ids"] for text in KNOWN_IDS} == KNOWN_IDS
    assert all(tokenizer.decode(ids) == text for text, ids in KNOWN_IDS.items())
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": "hi"}], tokenize=False, add_generation_prompt=True
    )
    assert chat == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    )
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 2)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    ids = torch.tensor([tokenizer(TEXT)["input_ids"]])
    with torch.inference_mode():
        perplexity = math.exp(model(ids, labels=ids).loss)
    # 9.74 as measured with 4.57.6 and 5.24.0 alike; the tokenizer that 4.57 derives by itself gives 13.75.
    assert 9.4 < perplexity < 10.1


@pytest.mark.model
@pytest.mark.slow
def test_gemma3_reads_known_strings() -> None:
    from transformers import AutoTokenizer

    if assets.status("gemma3-270m") != "ready":
        pytest.skip("240 MB are not downloaded for a test: `assay assets pull gemma3-270m` runs it")
    tokenizer = AutoTokenizer.from_pretrained(_model_folder("gemma3-270m"))
    assert {text: tokenizer(text)["input_ids"] for text in KNOWN_GEMMA_IDS} == KNOWN_GEMMA_IDS
