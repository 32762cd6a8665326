from __future__ import annotations

import importlib.metadata
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from guard.errors import ConfigError
from guard.generators.endpoint import EndpointGenerator, Limits, Price
from guard.generators.scripted import ScriptedGenerator
from guard.generators.table import GeneratorOptions, find_generator
from guard.schema import Decoding
from tests.guard.generators.endpoint_server import serve

KEY = "sk-secret-1"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ASSAY_ENDPOINT_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def _key_sent(spec: str, options: GeneratorOptions | None = None) -> str:
    """Return the header that the endpoint of a spec, with URL in place of its own, gets."""
    with serve() as server:
        url = server.url
        found = find_generator(spec.replace("URL", url), options)
        with found.load() as model:  # type: ignore[attr-defined]
            assert model.generate(["a"], seed=1) == ["a / 1"]
        return server.keys[0]


def test_an_endpoint_is_named_by_url_and_model() -> None:
    options = GeneratorOptions(batch_size=5, limits=Limits(concurrency=3), price=Price(1, 2), endpoint={"api": "auto"})
    found = find_generator("endpoint:http://localhost:8000/v1#org/llama-3:8b", options)
    model = found.load()
    assert isinstance(model, EndpointGenerator)
    assert (found.name, found.digest) == ("endpoint:http://localhost:8000/v1#org/llama-3:8b", model.name)
    assert (model.endpoint.model, model.endpoint.api, model.batch_size) == ("org/llama-3:8b", "auto", 5)
    assert (model.limits.concurrency, model.price) == (3, Price(1, 2))
    assert len(found.notes) == 1
    assert "weights cannot be named" in found.notes[0]


def test_chat_only_is_said() -> None:
    assert "chat interface only" in find_generator("endpoint:http://localhost:8000/v1#m").notes[1]


def test_openai_takes_its_url_from_option_environment_or_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def url(options: GeneratorOptions | None = None) -> str:
        model = find_generator("openai:gpt-x", options).load()
        assert isinstance(model, EndpointGenerator)
        return model.endpoint.base_url

    assert url() == "https://api.openai.com/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://here/v1/")
    assert url() == "http://here/v1"
    assert url(GeneratorOptions(base_url="http://there/v1")) == "http://there/v1"


def test_a_key_goes_only_where_it_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert _key_sent("endpoint:URL#m") == "Bearer none"
    assert _key_sent("endpoint:URL#m", GeneratorOptions(key_env="OPENAI_API_KEY")) == f"Bearer {KEY}"
    monkeypatch.setenv("ASSAY_ENDPOINT_KEY", "other")
    assert _key_sent("endpoint:URL#m") == "Bearer other"
    with serve() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        for spec in (f"endpoint:{server.url}#m", "openai:m"):
            with find_generator(spec).load() as model:  # type: ignore[attr-defined]
                model.generate(["a"], seed=0)
        assert server.keys == [f"Bearer {KEY}"] * 2


def test_a_key_that_was_named_must_be_there() -> None:
    with pytest.raises(ConfigError, match="no MY_KEY"):
        find_generator("openai:m", GeneratorOptions(key_env="MY_KEY"))


def test_what_is_found_can_travel_to_a_worker() -> None:
    found = pickle.loads(pickle.dumps(find_generator("endpoint:http://localhost:8000/v1#m")))
    assert found.load().name == found.digest


def test_nothing_found_shows_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    found = find_generator("openai:m")
    assert KEY not in f"{found.name} {found.digest} {found.notes} {found.load()!r}"


@pytest.mark.parametrize(
    ("spec", "options", "said"),
    [
        ("endpoint:http://a/v1", {}, "endpoint:URL#MODEL"),
        ("endpoint:http://a/v1#", {}, "needs the name of a model"),
        ("endpoint:nowhere#m", {}, "no URL of an endpoint"),
        ("endpoint:http://me:hunter2@a/v1#m", {}, "bare URL"),
        ("openai:", {}, "needs the name of a model"),
        ("openai:m", {"endpoint": {"colour": 1}}, "unknown setting of an endpoint"),
        ("python:nowhere", {}, "names no function"),
        ("endpont:http://a/v1#m", {}, "did you mean endpoint:"),
        ("no/such-model-anywhere", {}, "unknown model"),
    ],
)
def test_what_is_not_there_is_refused(
    spec: str, options: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ConfigError, match=said) as caught:
        find_generator(spec, GeneratorOptions(**options))
    assert "hunter2" not in str(caught.value)


def test_a_function_is_found_by_its_path() -> None:
    found = find_generator("python:os.path:basename", GeneratorOptions(batch_size=3))
    model = found.load()
    assert (found.digest, model.batch_size) == (model.name, 3)
    assert model.with_decoding(Decoding()).generate(["a/b"], seed=0) == ["b"]
    assert "a function" in found.notes[0]


def test_a_folder_is_a_model_for_transformers(tiny_llama: Path) -> None:
    found = find_generator(str(tiny_llama), GeneratorOptions(device="cpu", dtype="float32", batch_size=2))
    model = found.load()
    assert found.source is not None
    assert (found.digest, model.batch_size, found.notes) == (model.name, 2, ())
    assert found.digest.startswith("transformers@")


def test_a_folder_may_be_called_like_a_kind(tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vllm").symlink_to(tiny_llama)
    monkeypatch.chdir(tmp_path)
    assert find_generator("vllm").digest == find_generator(str(tiny_llama)).digest


def test_vllm_gets_the_same_folder(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = find_generator(f"vllm:{tiny_llama}")
    assert found.digest == find_generator(str(tiny_llama)).digest.replace("transformers", "vllm")
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ConfigError, match="vLLM is not installed"):
        found.load()


class _Entry:
    """An entry point of another distribution."""

    name, value = "shop", "shop.models:make"

    def __init__(self, made: Any) -> None:
        self._made = made

    def load(self) -> Any:
        return self._made


def _with_entry(monkeypatch: pytest.MonkeyPatch, made: Any) -> None:
    entries = {"assay.generators": [_Entry(made)]}
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: entries.get(group, []))


def test_other_distributions_add_generators(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_entry(monkeypatch, lambda text="plain": ScriptedGenerator([text]))
    for spec, text in (("shop", "plain"), ("shop:sale", "sale")):
        found = find_generator(spec)
        assert found.load().with_decoding(Decoding()).generate(["a"], seed=0) == [text]
        assert found.digest == found.load().name == ScriptedGenerator([text]).name
        assert found.load().batch_size == 32


@pytest.mark.parametrize(("made", "said"), [(lambda: 3, "gave int"), (lambda: 1 / 0, "ZeroDivisionError")])
def test_a_broken_entry_point_is_refused(monkeypatch: pytest.MonkeyPatch, made: Any, said: str) -> None:
    _with_entry(monkeypatch, made)
    with pytest.raises(ConfigError, match=said):
        find_generator("shop")
