"""The contents of the wheels and the sdists."""

from __future__ import annotations

import email
import email.message
import re
import tarfile
import zipfile
from pathlib import Path

import pytest
from support.distributions import CARGO, PACKAGES, ROOT, Built, Package, version

pytestmark = [pytest.mark.xdist_group("packaging"), pytest.mark.timeout(1800)]

BINARY = (".so", ".pyd")

each_package = pytest.mark.parametrize("name", PACKAGES)


def wheel_files(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name[-1] != "/"}


def sdist_files(sdist: Path) -> dict[str, bytes]:
    """By path inside the one folder; everything must be a real file there."""
    files: dict[str, bytes] = {}
    with tarfile.open(sdist) as archive:
        for member in archive.getmembers():
            if member.isdir():
                continue
            content = archive.extractfile(member) if member.isfile() else None
            assert content is not None, f"{member.name} is not a plain file"
            files[member.name.partition("/")[2]] = content.read()
    return files


def metadata(files: dict[str, bytes]) -> email.message.Message:
    (text,) = [content for name, content in files.items() if name.endswith(".dist-info/METADATA")]
    return email.message_from_bytes(text)


def source_files(package: Package) -> set[str]:
    """The sources that belong in a wheel."""
    return {
        str(file.relative_to(package.sources))
        for file in (package.sources / package.module).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and file.suffix not in BINARY
    }


@each_package
def test_a_wheel_has_the_sources_and_nothing_else(built: Built, name: str) -> None:
    package = PACKAGES[name]
    files = {n for n in wheel_files(built.wheels[name]) if ".dist-info/" not in n}
    compiled = {n for n in files if n.endswith(BINARY)}
    assert files - compiled == source_files(package)
    assert len(compiled) == (1 if package.has_rust else 0)


@each_package
def test_a_wheel_has_license_and_type_marker(built: Built, name: str) -> None:
    package = PACKAGES[name]
    files = wheel_files(built.wheels[name])
    assert f"{package.module}/py.typed" in files
    licenses = [content for n, content in files.items() if n.endswith("/licenses/LICENSE")]
    assert licenses == [(ROOT / "LICENSE").read_bytes()]


def test_the_clients_telemetry_needs_the_api_alone(built: Built) -> None:
    wants = metadata(wheel_files(built.wheels["fluxqueue"])).get_all("Requires-Dist") or []
    otel = [w.partition(";")[0] for w in wants if re.search(r"extra == .otel", w)]
    assert [re.split(r"[<>=~! ]", w)[0] for w in otel] == ["opentelemetry-api"]


def test_the_core_has_its_stub_and_its_scripts(built: Built) -> None:
    files = wheel_files(built.wheels["fluxqueue-core"])
    sources = PACKAGES["fluxqueue-core"].sources
    stubs = {f"fluxqueue_core/_core/{file.name}" for file in sources.rglob("_core/*.pyi")}
    assert {n for n in files if n.endswith(".pyi")} == stubs
    assert "fluxqueue_core/_core/__init__.pyi" in stubs
    scripts = {file.name for file in sources.rglob("*.lua")}
    assert {Path(n).name for n in files if n.endswith(".lua")} == scripts
    assert len(scripts) >= 9


@each_package
def test_all_versions_are_the_one_in_cargo_toml(built: Built, name: str) -> None:
    files = wheel_files(built.wheels[name])
    assert metadata(files)["Version"] == version()
    required = metadata(files).get_all("Requires-Dist") or []
    ours = {r for r in required if re.split(r"[^\w-]", r)[0] in PACKAGES}
    assert ours == {f"{sibling}=={version()}" for sibling in PACKAGES[name].siblings}


@each_package
def test_metadata(built: Built, name: str) -> None:
    found = metadata(wheel_files(built.wheels[name]))
    assert found["Name"] == name
    assert found["Requires-Python"] == ">=3.11"
    # The dashboard has a copy of htmx in it.
    copied = " AND 0BSD" if name == "fluxqueue-dashboard" else ""
    assert found["License-Expression"] == f"MIT{copied}"
    assert found["Summary"]
    assert found.get_payload(), "there is no README in it"


@each_package
def test_an_sdist_has_real_files_where_the_repository_has_links(built: Built, name: str) -> None:
    files = sdist_files(built.sdists[name])
    assert files["LICENSE"] == (ROOT / "LICENSE").read_bytes()
    if PACKAGES[name].has_rust:
        assert files["Cargo.lock"] == CARGO.with_name("Cargo.lock").read_bytes()
    else:
        assert files["VERSION.toml"] == CARGO.read_bytes()


@each_package
def test_the_sdist_makes_the_same_wheel_in_isolation(
    built: Built, isolated_wheels: dict[str, Path], name: str
) -> None:
    here, there = wheel_files(built.wheels[name]), wheel_files(isolated_wheels[name])
    assert there.keys() == here.keys()
    # The build tools' own files may differ with their versions.
    differ = {n for n in here if here[n] != there[n] and not n.endswith(BINARY)}
    assert {Path(n).name for n in differ} <= {"RECORD", "WHEEL", "METADATA"}


@each_package
def test_no_path_of_this_machine_is_in_a_text_file(built: Built, name: str) -> None:
    archives = wheel_files(built.wheels[name]) | sdist_files(built.sdists[name])
    texts = {n: content for n, content in archives.items() if not n.endswith(BINARY)}
    assert len(texts) > 5
    for place in (ROOT, Path.home()):
        assert [n for n, content in texts.items() if f"{place}/".encode() in content] == []
