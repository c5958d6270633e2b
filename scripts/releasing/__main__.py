"""The command scripts/release."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from . import building, checks, installing, names, platforms
from .problems import NotReady

ROOT = Path(__file__).resolve().parents[2]


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/release",
        description="Builds and checks a release of all packages. Publishes nothing: the "
        "workflow release.yml does, when a tag is pushed (docs/releasing.md).",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--dry-run", action="store_true", help="does all but publish")
    what.add_argument(
        "--try",
        dest="built",
        type=Path,
        metavar="FOLDER",
        help="installs the files of an earlier run in a new environment, and runs a task",
    )
    parser.add_argument("--image", help="where --try does that: a container with Python and pip")
    parser.add_argument("--core-wheels", type=Path, metavar="FOLDER", help="wheels of the core")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="an empty folder for the files")
    parser.add_argument("--tag", help="the tag to publish: then nothing may be open")
    options = parser.parse_args(argv)
    if options.image and not options.built:
        parser.error("--image goes with --try FOLDER")
    if not (options.dry_run or options.built):
        parser.error(
            "this script publishes nothing; --dry-run does the rest, and to publish, push a tag "
            "as docs/releasing.md says"
        )
    if options.tag and not options.core_wheels:
        parser.error("--tag needs --core-wheels: one machine builds for its own system only")
    if options.out and options.out.exists() and any(options.out.iterdir()):
        parser.error(f"--out {options.out} is not empty; name a new folder")
    return options


def step(text: str) -> None:
    print(f"=== {text}", flush=True)


def core_points(folder: Path) -> list[str]:
    return building.check_core(folder) + platforms.missing(folder)


def release(root: Path, options: argparse.Namespace, folder: Path) -> None:
    step("checking the commit")
    commit = checks.check_clean(root)
    version = checks.one_version(root)
    if options.tag:
        checks.check_tag(options.tag, version)
    open_points = checks.check_changelog(root, version)
    print(f"version {version}, commit {commit}")
    if options.core_wheels:
        step("checking the wheels of the core with auditwheel")
        open_points += core_points(options.core_wheels)
    if options.tag and open_points:
        raise NotReady("\n".join(["not ready for the tag:", *open_points]))

    out: Path = options.out or folder / "dist"
    out.mkdir(parents=True, exist_ok=True)
    step("building sdists and wheels")
    names.export(root, commit, folder / "tree")
    target = root / checks.CORE / "target"
    building.build(folder / "tree", out, options.core_wheels, target)
    if not options.core_wheels:
        open_points += core_points(out)
    step("twine check --strict")
    building.check(out, version)

    step("installing the files in a new environment, and running a task")
    print(installing.try_out(out, folder))

    step("SHA-256")
    print("\n".join(building.sums(out)))
    step("the plan")
    for name, on_index in names.ON_INDEX.items():
        files = len(list(out.glob(f"{on_index.replace('-', '_')}-{version}[-.]*")))
        print(f"{on_index}=={version}: {files} files, imported as {name.replace('-', '_')}")
    for point in open_points:
        print(f"open: {point}")
    first = "close what is open, then " if open_points else ""
    print(f"to publish: {first}git tag v{version} {commit[:12]}, and push it; nothing is published")


def main() -> None:
    options = parse(sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="fluxqueue-release-") as folder:
        try:
            if not options.built:
                release(ROOT, options, Path(folder))
            elif options.image:
                print(installing.try_in_container(options.built, Path(folder), options.image))
            else:
                print(installing.try_out(options.built, Path(folder)))
        except NotReady as problem:
            sys.exit(f"scripts/release: {problem}")


main()
