"""Logs in the formats of Inspect 0.3, lm-evaluation-harness 0.4 and garak 0.17, written by code."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow

STORED, DEFLATED, ZSTANDARD = 0, 8, 93
DATE = "2026-11-25T04-28-09.342141"


def zip_of(members: Sequence[tuple[str, bytes]], *, method: int = ZSTANDARD, flags: int = 0) -> bytes:
    """A ZIP archive whose members are compressed by `method`, which Python's own writer cannot do for Zstandard."""
    body, directory = b"", b""
    for name, data in members:
        packed = _packed(data, method)
        common = struct.pack(
            "<HHHHHIIIHH", 20, flags, method, 0, 33, zlib.crc32(data), len(packed), len(data), len(name), 0
        )
        directory += b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, len(body))
        directory += name.encode()
        body += b"PK\x03\x04" + common + name.encode() + packed
    end = struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(directory), len(body), 0)
    return body + directory + b"PK\x05\x06" + end


def _packed(data: bytes, method: int) -> bytes:
    if method == ZSTANDARD:
        return bytes(pyarrow.Codec("zstd").compress(data, asbytes=True))
    if method == DEFLATED:
        squeezer = zlib.compressobj(wbits=-15)
        return squeezer.compress(data) + squeezer.flush()
    return data


def inspect_sample(number: int | str, epoch: int = 1, *, error: str | None = None, **scores: Any) -> dict[str, Any]:
    return {
        "id": number,
        "epoch": epoch,
        "input": f"question {number}",
        "target": "yes",
        "output": {"choices": [{"message": {"role": "assistant", "content": f"answer {number} {epoch}"}}]},
        "scores": {name: {"value": value, "history": []} for name, value in scores.items()},
        **({"error": {"message": error}} if error else {}),
    }


def inspect_header(*, n_samples: int, epochs: int = 1, status: str = "success", **accuracy: float) -> dict[str, Any]:
    scores = [
        {"name": name, "scorer": name, "metrics": {"accuracy": {"name": "accuracy", "value": value}}}
        for name, value in accuracy.items()
    ]
    return {
        "version": 2,
        "status": status,
        "eval": {
            "created": "2026-11-25T04:26:50+00:00",
            "task": "inspect_evals/tiny task",
            "model": "mockllm/model",
            "dataset": {"name": "tiny", "samples": n_samples},
            "config": {"epochs": epochs},
            "packages": {"inspect_ai": "0.3.285"},
        },
        "results": {"total_samples": n_samples * epochs, "scores": scores},
    }


def summary(sample: Mapping[str, Any]) -> dict[str, Any]:
    """What ``summaries.json`` says of a sample: its scores, and neither messages nor output."""
    kept = {key: sample[key] for key in ("id", "epoch", "input", "target", "scores")}
    return {**kept, **({"error": sample["error"]["message"]} if "error" in sample else {})}


def inspect_members(header: Mapping[str, Any], samples: Iterable[Mapping[str, Any]]) -> list[tuple[str, bytes]]:
    listed = list(samples)
    members = [("_journal/start.json", json.dumps({"version": 2, "eval": header["eval"]}).encode())]
    members += [(f"samples/{s['id']}_epoch_{s['epoch']}.json", json.dumps(s).encode()) for s in listed]
    members.append(("summaries.json", json.dumps([summary(s) for s in listed]).encode()))
    return [*members, ("header.json", json.dumps(header).encode())]


def write_inspect(path: Path, header: Mapping[str, Any], samples: Iterable[Mapping[str, Any]]) -> Path:
    """An ``.eval`` archive, or a JSON log where `path` ends so."""
    if path.suffix == ".json":
        path.write_text(json.dumps({**header, "samples": list(samples)}, indent=2))
    else:
        path.write_bytes(zip_of(inspect_members(header, samples)))
    return path


def lm_sample(doc: int, *, filter_: str = "none", **metrics: Any) -> dict[str, Any]:
    return {
        "doc_id": doc,
        "doc": {"q": f"{doc}+1="},
        "target": str(doc + 1),
        "arguments": {"gen_args_0": {"arg_0": f"{doc}+1=", "arg_1": {"until": ["\n"]}}},
        "resps": [[f"reply {doc}"]],
        "filtered_resps": [f"reply {doc}"],
        "filter": filter_,
        "metrics": list(metrics),
        "doc_hash": f"{doc:08x}{'0' * 56}",
        "prompt_hash": "1" * 64,
        "target_hash": "2" * 64,
        **metrics,
    }


def write_lm_samples(folder: Path, task: str, samples: Iterable[Mapping[str, Any]]) -> Path:
    path = folder / f"samples_{task}_{DATE}.jsonl"
    path.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    return path


def write_lm_results(
    folder: Path,
    results: Mapping[str, Mapping[str, Any]],
    *,
    n: Mapping[str, int] | None = None,
    better: Mapping[str, Mapping[str, bool]] | None = None,
    **rest: Any,
) -> Path:
    document = {
        "results": {task: {"alias": task, **table} for task, table in results.items()},
        "higher_is_better": better or {},
        "n-samples": {task: {"original": count, "effective": count} for task, count in (n or {}).items()},
        "n-shot": dict.fromkeys(results, 0),
        "config": {"model": "hf", "random_seed": 7, "limit": None},
        "date": 1795580886.48,
        "lm_eval_version": "0.4.13",
        "model_name": "org/model",
        **rest,
    }
    path = folder / f"results_{DATE}.json"
    path.write_text(json.dumps(document, indent=2))
    return path


def attempt(
    number: int, text: str, scores: Mapping[str, Sequence[float | None]], *, status: int = 2, **more: Any
) -> dict[str, Any]:
    n = max(map(len, scores.values()), default=0)
    return {
        "entry_type": "attempt",
        "uuid": f"00000000-0000-4000-8000-{number:012d}",
        "seq": number,
        "status": status,
        "probe_classname": "dan.Dan",
        "prompt": conversation(text),
        "outputs": [message(f"out {number}.{i}") for i in range(n)],
        "detector_results": dict(scores) if status == 2 else {},
        "notes": {},
        **more,
    }


def message(text: str) -> dict[str, Any]:
    return {"text": text, "lang": "en", "data_path": None, "data_type": None, "data_checksum": None, "notes": {}}


def conversation(text: str) -> dict[str, Any]:
    return {"turns": [{"role": "user", "content": message(text)}], "notes": {}}


def garak_eval(detector: str, passed: int, total: int, *, nones: int = 0, probe: str = "dan.Dan") -> dict[str, Any]:
    counts = {"passed": passed, "fails": total - passed, "nones": nones, "total_evaluated": total}
    return {"entry_type": "eval", "probe": probe, "detector": detector, **counts, "total_processed": total + nones}


def garak_lines(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    head = [
        {
            "entry_type": "start_run setup",
            "_config.version": "0.17.1",
            "run.generations": 3,
            "run.seed": None,
            "plugins.target_type": "huggingface",
            "plugins.target_name": "org/target",
        },
        {"entry_type": "init", "garak_version": "0.17.1", "start_time": "2026-11-25T04:42:23.563416", "run": "4272"},
    ]
    return [json.dumps(entry) + "\n" for entry in [*head, *entries, {"entry_type": "completion"}]]


def write_garak(path: Path, entries: Iterable[Mapping[str, Any]]) -> Path:
    path.write_text("".join(garak_lines(entries)), encoding="utf-8")
    return path


def repack(path: Path, members: Sequence[tuple[str, bytes]]) -> Path:
    """An archive by Python's own writer, which warns of nothing but repeated names."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path
