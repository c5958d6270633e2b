"""No files of the Rust core use each other in a circle."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.circles import circles
from support.rust_modules import used_files

CORE = Path(__file__).parents[3] / "packages/fluxqueue-core-rs/src"


def test_no_files_of_the_core_use_each_other_in_a_circle() -> None:
    graph = used_files(CORE)
    assert graph["consumer/driver.rs"] >= {"consumer/conversation.rs", "errors.rs"}
    assert circles(graph) == []


@pytest.fixture
def crate(tmp_path: Path) -> Path:
    """A small crate without a circle."""
    write(tmp_path, "lib.rs", "pub mod errors;\npub mod net;\npub use net::Link;\n")
    write(tmp_path, "errors.rs", "pub enum Error {}\n")
    write(tmp_path, "net/mod.rs", "mod link;\nmod reply;\npub use link::Link;\n")
    write(tmp_path, "net/link.rs", "use super::reply::{self, Reply};\npub struct Link;\n")
    write(tmp_path, "net/reply.rs", "use crate::errors::Error;\npub enum Reply {}\n")
    return tmp_path


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text(text)


def test_a_crate_whose_parents_offer_the_names_of_their_children_has_no_circle(crate: Path) -> None:
    assert used_files(crate) == {
        "lib.rs": {"net/link.rs"},
        "errors.rs": set(),
        "net/mod.rs": {"net/link.rs"},
        "net/link.rs": {"net/reply.rs"},
        "net/reply.rs": {"errors.rs"},
    }
    assert circles(used_files(crate)) == []


@pytest.mark.parametrize(
    "line",
    [
        "use super::link::Link;",
        "pub(crate) use super::{\n    reply,\n    link::{Link as Chain},\n};",
        "use crate::net::Link;",
        "use crate::Link;",
        "fn close(link: &super::link::Link) {}",
        "fn close() { crate::net::link::Link::close() }",
    ],
)
def test_two_files_that_use_each_other_are_found(crate: Path, line: str) -> None:
    write(crate, "net/reply.rs", f"{line}\npub enum Reply {{}}\n")
    assert circles(used_files(crate)) == [["net/link.rs", "net/reply.rs"]]


def test_a_child_that_uses_what_its_parent_defines_is_found(crate: Path) -> None:
    write(crate, "net/mod.rs", "mod link;\nmod reply;\npub use link::Link;\npub type Id = u64;\n")
    write(crate, "net/link.rs", "use super::{reply::Reply, Id};\npub struct Link;\n")
    assert circles(used_files(crate)) == [["net/link.rs", "net/mod.rs"]]


def test_a_circle_of_three_files_is_found(crate: Path) -> None:
    write(crate, "errors.rs", "use crate::net::Link;\npub enum Error {}\n")
    assert circles(used_files(crate)) == [["errors.rs", "net/link.rs", "net/reply.rs"]]


@pytest.mark.parametrize(
    "line",
    [
        "// use super::link::Link;",
        "/* use super::link::Link; */",
        'const TEXT: &str = "use super::link::Link;";',
        'const TEXT: &str = r#"super::link::Link"#;',
        "const QUOTE: char = '\"'; // super::link::Link \"",
        "#[cfg(test)]\nmod tests {\n    use super::super::link::Link;\n}",
    ],
)
def test_comments_text_and_tests_are_ignored(crate: Path, line: str) -> None:
    write(crate, "net/reply.rs", f"pub enum Reply {{}}\n{line}\n")
    assert circles(used_files(crate)) == []


@pytest.mark.parametrize("public", ["", "pub(crate) "])
def test_code_after_a_module_of_tests_is_read(crate: Path, public: str) -> None:
    tests = f"#[cfg(test)]\n{public}mod tests {{\n    fn braces() {{ if true {{}} }}\n}}\n"
    use = "use super::link::Link;\n"
    write(crate, "net/reply.rs", f"{tests}pub enum Reply {{}}\n{tests}{use}{tests}")
    assert circles(used_files(crate)) == [["net/link.rs", "net/reply.rs"]]


def test_a_file_of_tests_is_left_out(crate: Path) -> None:
    write(crate, "net/reply.rs", "#[cfg(test)]\nmod cases;\npub enum Reply {}\n")
    write(crate, "net/reply/cases.rs", "use crate::net::Link;\n")
    assert "net/reply/cases.rs" not in used_files(crate)
