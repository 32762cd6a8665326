"""The GitHub Action and the GitLab job: valid, free of injection, their steps run for real against local servers."""

from __future__ import annotations

import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from evals import ci
from evals.ci_comment import GitHub, forge_of, upsert
from guard.errors import ConfigError, ToolError
from tests.small_command import write_inputs

ROOT = Path(__file__).resolve().parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
GITLAB = yaml.safe_load((ROOT / "docs" / "guide" / "gitlab-ci.yml").read_text(encoding="utf-8"))
STEPS = ACTION["runs"]["steps"]
SHELL = [step for step in STEPS if "run" in step]


def validator(name: str) -> Any:
    text = (resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / name).read_text(encoding="utf-8")
    schema = json.loads(text)
    return jsonschema.validators.validator_for(schema)(schema)


@pytest.mark.parametrize(
    ("document", "schema"), [(ACTION, "github-actions.json"), (GITLAB, "gitlab-ci.json")], ids=["github", "gitlab"]
)
def test_document_keeps_the_schema_of_its_service(document: Any, schema: str) -> None:
    assert [error.message for error in validator(schema).iter_errors(document)] == []


def test_no_input_is_part_of_a_shell_program() -> None:
    assert [step["name"] for step in SHELL if "${{" in step["run"]] == []
    assert all(step["shell"] == "bash" for step in SHELL)


def test_shell_steps_hold_no_logic() -> None:
    for step in SHELL:
        assert "\n" not in step["run"].strip()
        assert not re.search(r"\b(if|for|while|case)\b|&&|\|\||;", step["run"])
    for line in (*GITLAB["assay"]["script"], *GITLAB["assay"]["before_script"], *GITLAB["assay"]["after_script"]):
        assert not re.search(r"\b(if|for|while|case)\b|&&|\|\||;", line)


def test_every_input_is_used_and_every_use_is_an_input() -> None:
    used = set(re.findall(r"inputs\.([a-z-]+)", json.dumps(STEPS)))
    assert used == set(ACTION["inputs"])
    assert all(one["description"] and "default" in one for one in ACTION["inputs"].values())


def test_every_output_is_written_by_the_audit_step(tmp_path: Path) -> None:
    environ = {**workflow(tmp_path), "ASSAY_OUT": str(tmp_path / "out")}
    ci.audit(environ, program=fake(tmp_path, 0))
    written = outputs(tmp_path)
    assert set(ACTION["outputs"]) == set(written)
    values = {name: one["value"] for name, one in ACTION["outputs"].items()}
    assert values == {name: f"${{{{ steps.audit.outputs.{name} }}}}" for name in values}


def test_what_reports_runs_after_a_failed_audit() -> None:
    after = STEPS[[step.get("id") for step in STEPS].index("audit") + 1 :]
    assert len(after) == 3
    assert all("always()" in step["if"] for step in after)
    assert not any(step.get("continue-on-error") for step in STEPS)


def test_actions_of_others_are_pinned_to_a_version() -> None:
    used = [step["uses"] for step in STEPS if "uses" in step]
    assert [one for one in used if not re.fullmatch(r"[\w.-]+/[\w./-]+@v\d+", one)] == []


def test_documented_inputs_are_those_of_the_action() -> None:
    guide = (ROOT / "docs" / "guide" / "ci.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \|", guide.partition("## Inputs")[2].partition("\n## ")[0], re.MULTILINE)
    assert rows == list(ACTION["inputs"])
    outputs_told = re.findall(
        r"^\| `([a-z-]+)` \|", guide.partition("## Outputs")[2].partition("\n## ")[0], re.MULTILINE
    )
    assert outputs_told == list(ACTION["outputs"])


def workflow(folder: Path, event: object = None) -> dict[str, str]:
    """Return the variables that a runner sets, with their files."""
    (folder / "event.json").write_text(json.dumps(event), encoding="utf-8")
    return {
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_STEP_SUMMARY": str(folder / "step.md"),
        "GITHUB_EVENT_PATH": str(folder / "event.json"),
        "GITHUB_REPOSITORY": "us/ours",
        "GITHUB_TOKEN": "secret",
    }


def fake(folder: Path, code: int, *, files: bool = True) -> list[str]:
    """Return a program in place of ``assay``: it keeps its arguments, writes the files they name, and exits."""
    script = folder / "fake.py"
    script.write_text(
        "import json, pathlib, sys\n"
        f"pathlib.Path({str(folder / 'arguments')!r}).write_text(json.dumps(sys.argv[1:]))\n"
        f"for name in ('--junit', '--sarif', '--summary') if {files} else ():\n"
        "    path = pathlib.Path(sys.argv[sys.argv.index(name) + 1])\n"
        "    path.parent.mkdir(parents=True, exist_ok=True)\n"
        "    path.write_text(f'<!-- m -->\\n{name}')\n"
        f"sys.exit({code})\n",
        encoding="utf-8",
    )
    return [sys.executable, str(script)]


def outputs(folder: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in (folder / "output").read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize(
    ("code", "inconclusive", "exit_code", "outcome"),
    [
        (0, "fail", 0, "pass"),
        (1, "fail", 1, "fail"),
        (1, "pass", 1, "fail"),
        (2, "pass", 2, "error"),
        (3, "fail", 3, "inconclusive"),
        (3, "", 3, "inconclusive"),
        (3, "pass", 0, "inconclusive"),
        (4, "pass", 4, "error"),
        (130, "fail", 4, "error"),
        (-9, "pass", 4, "error"),
    ],
)
def test_exit_code_of_the_audit_is_that_of_the_step(
    tmp_path: Path, code: int, inconclusive: str, exit_code: int, outcome: str, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {**workflow(tmp_path), "ASSAY_OUT": str(tmp_path / "out"), "ASSAY_INCONCLUSIVE": inconclusive}
    program = fake(tmp_path, code) if code >= 0 else [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]
    assert ci.audit(environ, program=program) == exit_code
    assert outputs(tmp_path)["outcome"] == outcome
    told = capsys.readouterr().out
    assert ("::warning" in told) is (code == 3 and inconclusive == "pass")


def test_summary_of_the_job_is_there_whatever_the_verdict(tmp_path: Path) -> None:
    environ = {**workflow(tmp_path), "ASSAY_OUT": str(tmp_path / "out")}
    assert ci.audit(environ, program=fake(tmp_path, 1)) == 1
    assert (tmp_path / "step.md").read_text(encoding="utf-8") == "<!-- m -->\n--summary"
    assert outputs(tmp_path)["sarif"] == str(tmp_path / "out" / "assay.sarif")


def test_files_of_an_earlier_step_are_not_taken_for_those_of_this_one(tmp_path: Path) -> None:
    environ = {**workflow(tmp_path), "ASSAY_OUT": str(tmp_path / "out")}
    ci.audit(environ, program=fake(tmp_path, 0))
    (tmp_path / "output").unlink()
    (tmp_path / "step.md").unlink()
    assert ci.audit(environ, program=fake(tmp_path, 4, files=False)) == 4
    assert {outputs(tmp_path)[name] for name in ("junit", "sarif", "summary")} == {""}
    assert not (tmp_path / "step.md").exists()


def test_inputs_become_arguments_and_stay_whole(tmp_path: Path) -> None:
    hostile = '"; touch /tmp/x; $(id) `id` --gate=other'
    environ = {
        "ASSAY_OUT": str(tmp_path / "out"),
        "ASSAY_MODEL": f"smollm2-135m\n\n  {hostile}\n",
        "ASSAY_GATE": "ci/my gate.toml",
        "ASSAY_LIMIT": "",
        "ASSAY_MAX_DROP": "a/b=0.03\n c/d@guarded=0.1\n",
        "ASSAY_ARGS": "--dtype float32 --column 'my text'",
    }
    ci.audit(environ, program=fake(tmp_path, 0))
    made = json.loads((tmp_path / "arguments").read_text(encoding="utf-8"))
    out = tmp_path / "out"
    assert made == [
        *("audit", "--out", str(out / "runs"), "--junit", str(out / "junit.xml"), "--sarif", str(out / "assay.sarif")),
        *("--summary", str(out / "summary.md"), "--gate=ci/my gate.toml", "--model=smollm2-135m", f"--model={hostile}"),
        *("--max-drop=a/b=0.03", "--max-drop=c/d@guarded=0.1"),
        *("--dtype", "float32", "--column", "my text"),
    ]


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"ASSAY_INCONCLUSIVE": "ignore"}, "inconclusive is 'ignore'; give fail or pass"),
        ({"ASSAY_ARGS": "'open"}, "close the quote"),
        ({"ASSAY_OUT": "a\nexit-code=0"}, "give the name of a folder"),
    ],
)
def test_wrong_input_is_a_usage_error_in_one_line(
    environ: dict[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ci.main(["audit"], environ) == 2
    told = capsys.readouterr().out
    assert told.startswith("::error title=Assay::")
    assert message in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["audit", "comment"]])
def test_unknown_step_is_a_usage_error(arguments: list[str]) -> None:
    assert ci.main(arguments, {}) == 2


@pytest.mark.parametrize(("given", "names"), [("", []), ("minilm --x", ["minilm", "--x"]), ("none", None)])
def test_assets_are_pulled_by_name(tmp_path: Path, given: str, names: list[str] | None) -> None:
    assert ci.assets({"ASSAY_ASSETS": given}, program=fake(tmp_path, 0, files=False)) == 0
    if names is None:
        assert not (tmp_path / "arguments").exists()
    else:
        made = json.loads((tmp_path / "arguments").read_text(encoding="utf-8"))
        assert made == ["assets", "pull", "--", *names]


def test_repository_with_packages_of_the_same_names_is_not_run(tmp_path: Path) -> None:
    for name in ("evals", "cli", "guard"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('theirs')", encoding="utf-8")
    (tmp_path / "out").mkdir()
    line = next(step["run"] for step in SHELL if step.get("id") == "audit").replace("python", sys.executable, 1)
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "ASSAY_OUT": "out", "ASSAY_ARGS": "--help"}
    done = subprocess.run(["bash", "-ec", line], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert "theirs" not in done.stdout + done.stderr
    assert "Usage:" in done.stdout + done.stderr


class Forge(http.server.BaseHTTPRequestHandler):
    """Comments of one pull request, in both dialects."""

    server: Service

    def do_GET(self) -> None:
        if self.path == "/user":
            return self._answer(200, {"username": "assay-bot"})
        pages = [self.server.comments[start : start + 100] for start in range(0, 1000, 100)]
        page = int(re.findall(r"[?&]page=(\d+)", self.path)[0])
        return self._answer(self.server.status, pages[page - 1])

    def do_POST(self) -> None:
        self.server.seen.append(("create", self._body(), dict(self.headers)))
        self._answer(self.server.status, {})

    def do_PATCH(self) -> None:
        self.server.seen.append((self.path, self._body(), dict(self.headers)))
        self._answer(self.server.status, {})

    do_PUT = do_PATCH  # noqa: N815

    def _body(self) -> str:
        return str(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"])

    def _answer(self, status: int, body: object) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


class Service(http.server.ThreadingHTTPServer):
    comments: list[dict[str, Any]]
    seen: list[tuple[str, str, dict[str, str]]]
    status: int


@pytest.fixture
def service() -> Iterator[Service]:
    server = Service(("127.0.0.1", 0), Forge)
    server.comments, server.seen, server.status = [], [], 200
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def told_by(login: str, body: str, number: int = 7) -> dict[str, Any]:
    return {"id": number, "body": body, "user": {"login": login}, "author": {"username": login}}


def pull(folder: Path, service: Service, **more: str) -> dict[str, str]:
    summary = folder / "out" / "summary.md"
    summary.parent.mkdir(exist_ok=True)
    summary.write_text("<!-- assay-audit:quick -->\nnew", encoding="utf-8")
    url = f"http://127.0.0.1:{service.server_port}"
    made = workflow(folder, {"pull_request": {"number": 12}})
    return {**made, "ASSAY_OUT": str(folder / "out"), "GITHUB_API_URL": url, **more}


def merge(folder: Path, service: Service) -> dict[str, str]:
    base = {key: value for key, value in pull(folder, service).items() if not key.startswith("GITHUB")}
    url = f"http://127.0.0.1:{service.server_port}"
    ids = {"CI_MERGE_REQUEST_IID": "12", "CI_PROJECT_ID": "3", "CI_API_V4_URL": url}
    return {**base, **ids, "GITLAB_CI": "true", "ASSAY_GITLAB_TOKEN": "secret"}


MINE = "<!-- assay-audit:quick -->\nold"
OTHERS = [
    told_by("somebody", MINE, 1),
    told_by("github-actions[bot]", "<!-- assay-audit:nightly -->\nold", 2),
    told_by("github-actions[bot]", f"quoted: {MINE}", 3),
    {"id": 4, "body": None, "user": None, "author": None},
]


def test_first_comment_is_created_whatever_others_wrote(tmp_path: Path, service: Service) -> None:
    service.comments = OTHERS
    assert ci.main(["comment"], pull(tmp_path, service)) == 0
    ((what, body, headers),) = service.seen
    assert (what, body) == ("create", "<!-- assay-audit:quick -->\nnew")
    assert headers["Authorization"] == "Bearer secret"


@pytest.mark.parametrize("before", [0, 99, 100, 250])
def test_own_comment_is_updated_wherever_it_stands(tmp_path: Path, service: Service, before: int) -> None:
    service.comments = [*(told_by("a", "hello", i) for i in range(before)), told_by("github-actions[bot]", MINE, 777)]
    assert ci.main(["comment"], pull(tmp_path, service)) == 0
    assert [(what, body) for what, body, _ in service.seen] == [
        ("/repos/us/ours/issues/comments/777", "<!-- assay-audit:quick -->\nnew")
    ]


def test_owner_of_another_token_finds_its_own_comment(tmp_path: Path, service: Service) -> None:
    service.comments = [told_by("robot", MINE, 5)]
    assert ci.main(["comment"], pull(tmp_path, service, ASSAY_COMMENT_AUTHOR="robot")) == 0
    assert service.seen[0][0] == "/repos/us/ours/issues/comments/5"


@pytest.mark.parametrize(
    ("there", "what"), [([], "create"), ([told_by("assay-bot", MINE)], "/projects/3/merge_requests/12/notes/7")]
)
def test_merge_request_is_commented_on_too(
    tmp_path: Path, service: Service, there: list[dict[str, Any]], what: str
) -> None:
    service.comments = [told_by("somebody", MINE, 1), *there]
    assert ci.main(["comment"], merge(tmp_path, service)) == 0
    assert (service.seen[0][0], service.seen[0][1]) == (what, "<!-- assay-audit:quick -->\nnew")
    assert service.seen[0][2]["PRIVATE-TOKEN"] == "secret"


@pytest.mark.parametrize("status", [403, 404, 500])
def test_refused_comment_is_a_warning_and_not_a_failure(
    tmp_path: Path, service: Service, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = pull(tmp_path, service)
    service.status = status
    assert ci.main(["comment"], environ) == 0
    told = capsys.readouterr().out
    assert told.startswith(
        "::warning title=Assay::the comment was not written: GET /repos/us/ours/issues/12/comments was"
    )
    assert str(status) in told
    assert "secret" not in told


def test_service_that_is_not_there_is_a_warning(
    tmp_path: Path, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    for url in ("http://127.0.0.1:9", "ftp://x", "nothing"):
        assert ci.main(["comment"], {**pull(tmp_path, service), "GITHUB_API_URL": url}) == 0
        assert "::warning title=Assay::the comment was not written" in capsys.readouterr().out


@pytest.mark.parametrize("event", [None, [], {}, {"pull_request": None}, {"pull_request": {"number": "12"}}])
def test_job_without_a_pull_request_does_not_comment(
    tmp_path: Path, service: Service, event: object, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {**pull(tmp_path, service), **workflow(tmp_path, event)}
    assert ci.main(["comment"], environ) == 0
    assert "no pull request" in capsys.readouterr().out
    assert service.seen == []


def test_job_without_a_summary_does_not_comment(
    tmp_path: Path, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = pull(tmp_path, service)
    (tmp_path / "out" / "summary.md").unlink()
    assert ci.main(["comment"], environ) == 0
    assert "no summary" in capsys.readouterr().out


def test_gitlab_job_outside_of_a_merge_request_has_nothing_to_comment_on() -> None:
    assert forge_of({"GITLAB_CI": "true"}) is None


def test_refusal_raises_from_the_library(service: Service) -> None:
    service.status = 403
    forge = GitHub.of({"GITHUB_API_URL": f"http://127.0.0.1:{service.server_port}"}, 1)
    with pytest.raises(ToolError, match="403"):
        upsert(forge, "text")


def test_gitlab_job_names_the_inputs_that_the_program_reads() -> None:
    job = GITLAB["assay"]
    known = {*(f"ASSAY_{name.upper().replace('-', '_')}" for name in ACTION["inputs"]), "ASSAY_PACKAGE"}
    assert set(job["variables"]) <= known
    assert job["artifacts"]["reports"]["junit"] == f"{job['variables']['ASSAY_OUT']}/junit.xml"
    assert job["artifacts"]["when"] == "always"
    assert [line.rpartition(" ")[2] for part in ("script", "after_script") for line in job[part]] == [
        "audit",
        "comment",
    ]


def test_config_error_is_what_the_library_raises() -> None:
    with pytest.raises(ConfigError):
        ci.audit_arguments({"ASSAY_ARGS": '"'})


@pytest.mark.slow
def test_audit_step_on_a_real_model_leaves_every_file(tmp_path: Path, tiny_llama: Path) -> None:
    made = dict(zip(*[iter(write_inputs(tmp_path / "inputs", model=tiny_llama))] * 2, strict=True))
    inputs = {f"ASSAY_{option.removeprefix('--').upper()}": value for option, value in made.items()}
    environ = {
        **os.environ,
        **workflow(tmp_path),
        **inputs,
        "ASSAY_OUT": str(tmp_path / "out"),
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-P", "-m", "evals.ci", "audit"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1, 3), done.stderr
    told = outputs(tmp_path)
    assert told["exit-code"] == str(done.returncode)
    assert all(Path(told[name]).is_file() for name in ("junit", "sarif", "summary"))
    assert (tmp_path / "step.md").read_text(encoding="utf-8").startswith("<!-- assay-audit:small -->")
    (folder,) = (tmp_path / "out" / "runs").iterdir()
    assert json.loads((folder / "report.json").read_text(encoding="utf-8"))["suite"] == "small"


@pytest.mark.slow
def test_audit_step_against_a_baseline_writes_what_the_comment_step_sends(
    tmp_path: Path, tiny_llama: Path, service: Service
) -> None:
    """The shell lines of the action as they stand: audit, audit against that run, comment."""
    made = dict(zip(*[iter(write_inputs(tmp_path / "inputs", model=tiny_llama))] * 2, strict=True))
    inputs = {f"ASSAY_{option.removeprefix('--').upper()}": value for option, value in made.items()}
    environ = {**os.environ, **workflow(tmp_path, {"pull_request": {"number": 12}}), **inputs, "PYTHONPATH": str(ROOT)}
    lines = {step["name"]: step["run"].replace("python", sys.executable, 1) for step in SHELL}

    def step(name: str, **more: str) -> int:
        done = subprocess.run(["bash", "-ec", lines[name]], cwd=tmp_path, env={**environ, **more}, check=False)
        return done.returncode

    assert step("Audit", ASSAY_OUT="old") in (0, 1, 3)
    (baseline,) = (tmp_path / "old" / "runs").iterdir()
    held = {"ASSAY_OUT": "new", "ASSAY_BASELINE": str(baseline), "ASSAY_MAX_DROP": "toxicity/toxic_share=0.5"}
    assert step("Audit", **held) in (0, 1, 3)
    summary = (tmp_path / "new" / "summary.md").read_text(encoding="utf-8")
    assert "| Baseline | Change |" in summary
    assert "toxicity/toxic_share vs baseline" in summary
    url = f"http://127.0.0.1:{service.server_port}"
    assert step("Comment", ASSAY_OUT="new", GITHUB_API_URL=url, NO_PROXY="127.0.0.1") == 0
    assert [(what, body) for what, body, _ in service.seen] == [("create", summary)]
    assert step("Audit", ASSAY_OUT="bad", ASSAY_BASELINE=str(baseline)) == 2  # no allowed drop: a usage error
