"""The image: it builds, is small, and the hosted demo answers from it as an ordinary user."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAME = "localhost/tacit-studio"
LARGEST = 2.5e9
"""Bytes of an image for the CPU."""
SOON = 10.0
"""Seconds until the demo answers."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("buildah") is None, reason="needs buildah: apt-get install buildah"),
]


def buildah(*given: str) -> str:
    return subprocess.run(["buildah", *given], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def container() -> Iterator[str]:
    """A container of an image that was built just now. BUILD_FLAGS and BASE_FROM go to scripts/image.sh."""
    subprocess.run(["scripts/image.sh", NAME], cwd=ROOT, check=True, env=os.environ | {"BUILDER": "buildah"})
    name = buildah("from", NAME).strip()
    yield name
    buildah("rm", name)


@pytest.fixture
def address(container: str) -> Iterator[str]:
    """Where the hosted demo is served from the container, by the image's own command and user."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    config = json.loads(buildah("inspect", container))["Docker"]["config"]
    command = [*config["Entrypoint"], *config["Cmd"]]
    command[command.index("--port") + 1] = port
    isolation = "chroot" if os.geteuid() == 0 else "rootless"
    run = ["buildah", "run", "--isolation", isolation, "--network", "host", container, "--", *command]
    process = subprocess.Popen(run, start_new_session=True)
    yield f"http://127.0.0.1:{port}/"
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(30)


def test_the_image_is_small_and_keeps_its_health_check(container: str) -> None:
    config = json.loads(buildah("inspect", "--type", "image", NAME))
    assert config["Docker"]["config"]["Healthcheck"]["Test"][-1] == "http://127.0.0.1:7860/"
    (image,) = json.loads(buildah("images", "--json", NAME))
    assert _bytes(image["size"]) < LARGEST


def test_the_demo_answers_soon_as_an_ordinary_user(container: str, address: str) -> None:
    began = time.monotonic()
    assert _first_answer(address) == 200
    assert time.monotonic() - began < SOON
    run = ("run", "--isolation", "chroot" if os.geteuid() == 0 else "rootless", container, "--")
    assert buildah(*run, "id", "-u").strip() == "1000"
    assert buildah(*run, "python", "scripts/healthy.py", address) == ""


def _first_answer(address: str) -> int:
    end = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return int(answer.status)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def _bytes(size: str) -> float:
    number, unit = size.split()
    return float(number) * {"MB": 1e6, "GB": 1e9}[unit]
