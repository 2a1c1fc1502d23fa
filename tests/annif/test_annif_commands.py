"""Annif's commands, and its REST service, with the backend of examples/annif."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from annif_files import EXAMPLE, write_projects

pytest.importorskip("annif.backend")

TEXT = "Venice: the Grand Canal, with boats and a bridge, watercolour"


@pytest.fixture(scope="module")
def annif(environment, tate, tmp_path_factory):
    """A function that runs a command of Annif in a folder with a trained project."""
    folder = tmp_path_factory.mktemp("annif")
    write_projects(folder)

    def run(*args, text=None):
        return subprocess.run(
            [sys.executable, EXAMPLE, *map(str, args)],
            env=environment(folder),
            input=text,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    run.folder = folder
    checked(run("load-vocab", "tate", tate.folder / "tate.csv"))
    checked(run("train", "tate-xmr", tate.folder / "train.tsv", "--jobs", 1))
    return run


def checked(done):
    """What a command printed, if it went well."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_list_projects_says_that_it_is_trained(annif):
    assert re.search(r"tate-xmr .* True ", checked(annif("list-projects")))
    assert "Backend:           xmr" in checked(annif("show-project", "tate-xmr"))


def test_suggest(annif):
    lines = checked(annif("suggest", "tate-xmr", "--limit", 5, text=TEXT)).splitlines()
    assert len(lines) == 5
    for line in lines:
        assert re.fullmatch(r"<http://example.org/tate/\d+>\t.+\t[01]\.\d{4}", line)


@pytest.mark.parametrize("jobs", [1, 2])  # 2: in processes forked from a trained one
def test_eval(annif, tate, jobs):
    test = tate.folder / "test.tsv"
    said = checked(annif("eval", "tate-xmr", test, "-m", "F1@5", "--jobs", jobs))
    assert float(re.search(r"F1@5:\s+([\d.]+)", said)[1]) > 0.3


def test_optimize_and_index(annif, tate, tmp_path):
    said = checked(annif("optimize", "tate-xmr", "-d", 50, tate.folder / "test.tsv"))
    assert "Best" in said
    (tmp_path / "one.txt").write_text(TEXT, encoding="utf-8")
    checked(annif("index", "tate-xmr", tmp_path))
    assert (tmp_path / "one.annif").read_text().count("\n") == 10


def test_train_cached_with_other_parameters(annif):
    checked(annif("train", "tate-xmr", "--cached", "-b", "xmr.min_df=2"))
    assert checked(annif("suggest", "tate-xmr", text=TEXT))


def test_learn(annif, tate):
    cached = annif.folder / "data" / "projects" / "tate-xmr" / "xmr-train.tsv"
    before = cached.read_text().count("\n")
    checked(annif("learn", "tate-xmr", tate.folder / "more.tsv"))
    assert cached.read_text().count("\n") > before + 100


def test_wrong_parameters_end_with_a_reason(annif):
    done = annif("train", "tate-xmr", "--cached", "-b", "xmr.trees=none")
    assert done.returncode == 1
    assert "trees must be a whole number from 1, got 'none'" in done.stderr
    assert "Traceback" not in done.stderr


def test_annifs_own_command_finds_the_installed_backend(annif, environment):
    if not entry_points(group="flask.commands", name="xmr"):
        pytest.skip("examples/annif is not installed")
    done = subprocess.run(
        [Path(sys.executable).parent / "annif", "suggest", "tate-xmr"],
        env=environment(annif.folder),
        input=TEXT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "http://example.org/tate/" in checked(done)


# --- REST --------------------------------------------------------------------------


def commands(port):
    """How the service is started: by Annif, and by a server of its own."""
    address = ["--bind", f"127.0.0.1:{port}"]
    worker = ["--worker-class", "uvicorn.workers.UvicornWorker"]
    gunicorn = [sys.executable, "-m", "gunicorn", *address, *worker]
    return {
        "annif run": [sys.executable, EXAMPLE, "run", "--port", str(port)],
        "gunicorn": [*gunicorn, "annif_xmr:create_app()"],
    }


@pytest.fixture(scope="module", params=["annif run", "gunicorn"])
def ask(request, annif, environment):
    """A function that asks a running service: status and answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = environment(annif.folder)
    paths = [str(EXAMPLE.parent), env.get("PYTHONPATH", "")]
    server = subprocess.Popen(
        commands(port)[request.param],
        env={**env, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )

    def ask(method, path, body=None, kind="application/json"):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        headers = {} if body is None else {"Content-Type": kind}
        connection.request(method, f"/v1/{path}", body, headers)
        answer = connection.getresponse()
        read = answer.read()
        return answer.status, json.loads(read) if read else None

    try:
        wait_until_it_answers(ask, server)
        yield ask
    finally:
        server.terminate()
        server.wait(30)


def wait_until_it_answers(ask, server):
    for _ in range(600):
        assert server.poll() is None
        try:
            return ask("GET", "projects")
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("annif run does not answer")


def test_rest_project(ask):
    status, project = ask("GET", "projects/tate-xmr")
    assert status == 200
    assert project["backend"]["backend_id"] == "xmr"
    assert project["is_trained"] is True


def test_rest_suggest(ask, annif):
    form = "application/x-www-form-urlencoded"
    body = "limit=5&text=" + TEXT.replace(" ", "+")
    status, answer = ask("POST", "projects/tate-xmr/suggest", body, form)
    assert status == 200
    assert len(answer["results"]) == 5
    shown = checked(annif("suggest", "tate-xmr", "--limit", 5, text=TEXT))
    assert [hit["uri"] for hit in answer["results"]] == re.findall(r"<(.*)>", shown)


def test_rest_batch_with_an_empty_text(ask):
    texts = [TEXT, "", "a storm at sea"]
    body = json.dumps({"documents": [{"text": text} for text in texts]})
    status, answers = ask("POST", "projects/tate-xmr/suggest-batch?limit=3", body)
    assert status == 200
    assert [len(answer["results"]) for answer in answers] == [3, 0, 3]


def test_rest_learn(ask):
    uri = "http://example.org/tate/0"
    document = {"text": "zeppelins over Venice", "subjects": [{"uri": uri}]}
    status, _ = ask("POST", "projects/tate-xmr/learn", json.dumps([document]))
    assert status == 204
    body = json.dumps({"documents": [{"text": "Venice"}]})
    assert ask("POST", "projects/tate-xmr/suggest-batch", body)[0] == 200
