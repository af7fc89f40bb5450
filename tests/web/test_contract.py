"""The OpenAPI document, held against the bridge by schemathesis."""

import importlib.util
import subprocess
import sys

import pytest

from healthctl.web.api import BASE, ENDPOINTS
from healthctl.web.contract import document


def test_the_document_names_every_endpoint_and_is_served(web):
    served = web.ask(f"{BASE}/openapi.json").json
    assert served == document()
    assert set(served["paths"]) == {endpoint.path for endpoint in ENDPOINTS}
    issue = {"/status", "/snapshot", "/metrics-list", "/history", "/conditions", "/events"}
    assert issue <= set(served["paths"])


@pytest.mark.skipif(not importlib.util.find_spec("schemathesis"), reason="schemathesis is not installed")
def test_whatever_is_asked_the_answer_is_as_the_document_says(web, tmp_path):
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{web.url}{BASE}/openapi.json", "--checks", "all"),
        # A stream has no end to wait for.
        *(
            "--exclude-path",
            "/events",
            "--phases",
            "examples,coverage,fuzzing",
            "-n",
            "40",
            "--seed",
            "1",
            "--no-color",
        ),
    ]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=110, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
