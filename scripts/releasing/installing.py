"""Installs a release in a new environment, from its files alone, and runs a task there."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import parse_wheel_filename

from .building import run
from .problems import NotReady

TRIAL = Path(__file__).with_name("trial.py")


def ours(out: Path) -> list[str]:
    """The names of the distributions that have a wheel in the folder."""
    return sorted({parse_wheel_filename(wheel.name)[0] for wheel in out.glob("*.whl")})


def third_party(out: Path) -> list[str]:
    """The requirements of the wheels, without their extras and without our packages."""
    found, names = set(), ours(out)
    for wheel in out.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
            metadata = message_from_bytes(archive.read(name))
        for line in metadata.get_all("Requires-Dist", []):
            if Requirement(line).name not in names and "extra ==" not in line:
                found.add(line)
    return sorted(found)


@contextmanager
def a_redis(folder: Path) -> Iterator[str]:
    """A Redis for a moment; gives its URL.

    Raises:
        NotReady: there is no redis-server, or it does not start.
    """
    program = shutil.which("redis-server")
    if program is None:
        raise NotReady("there is no redis-server on PATH; Debian: apt-get install redis-server")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder))
    redis = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if redis.poll() is not None or time.monotonic() > deadline:
                    raise NotReady(f"{program} did not start on port {port}") from None
                time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}"
    finally:
        redis.terminate()
        redis.wait()


def try_out(out: Path, folder: Path) -> str:
    """Installs all packages in a new environment, and runs the trial with it.

    Returns what the trial said. pip takes our packages from the built files alone, and
    other packages as it is configured: from an index, or from PIP_FIND_LINKS.
    """
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    python = folder / "venv/bin/python"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    run(*pip, "install", "--only-binary", ":all:", *third_party(out))
    run(*pip, "install", "--no-index", "--find-links", out, *ours(out), PIP_FIND_LINKS="")
    run(*pip, "check")
    with a_redis(folder) as url:
        return run(python, "-I", TRIAL, url).strip()


# Besides Python and pip, the image needs nothing. Its network is the host's: Redis is there.
IN_CONTAINER = """
python3 -m venv --without-pip /tmp/venv
pip="python3 -m pip --disable-pip-version-check --quiet --python /tmp/venv/bin/python"
$pip install --only-binary :all: --requirement /trial/requirements.txt
$pip install --no-index --find-links /dist "$@"
$pip check
exec /tmp/venv/bin/python -I /trial/trial.py "$URL"
"""


def try_in_container(out: Path, folder: Path, image: str) -> str:
    """Does what `try_out` does in a new container of an image, and returns what it said."""
    if shutil.which("docker") is None:
        raise NotReady("--image needs docker, which is not on PATH")
    trial = folder / "trial"
    trial.mkdir()
    shutil.copy(TRIAL, trial)
    (trial / "requirements.txt").write_text("\n".join(third_party(out)))
    mounts = ("--volume", f"{out.resolve()}:/dist:ro", "--volume", f"{trial}:/trial:ro")
    with a_redis(folder) as url:
        options = ("--rm", "--network", "host", "--env", f"URL={url}", *mounts)
        command = ("sh", "-ec", IN_CONTAINER, "sh", *ours(out))
        return run("docker", "run", *options, image, *command).strip()
