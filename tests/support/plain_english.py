"""The rules of docs/style.md that a pattern can check, and the prose in a file.

Prose is Markdown outside code, comments, docstrings, the names of tests and the
help texts of command lines. Error messages and other strings are not read.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import PurePath
from typing import NamedTuple

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DOCUMENTED = (ast.Module, ast.ClassDef, *_FUNCTIONS)
# The start of a sentence, a list item or a table cell.
_START = r"(?:\A|(?<=[.!?:])['\")*_]* |^[ \t]*(?:[-*|>]|\d+\.) )"


class Rule(NamedTuple):
    """A tic: a pattern, what to write instead, and an example of each.

    A space in the pattern stands for any white space, a line break included.
    """

    pattern: str
    hint: str
    bad: str
    good: str


RULES = {
    "nobody": Rule(
        r"(?i:\b(?:nobody|somebody|anybody|everybody|whoever|whomever)\b)",
        "name the one who acts: the caller, the worker, the operator, you",
        "Nobody reads the log.",
        "The log has no reader.",
    ),
    "someone": Rule(
        r"(?i:\b(?:someone|anyone|everyone|no one)\b)(?!: )",
        "name the one who acts: the caller, the worker, the operator, you",
        "A net, if someone has removed the task.",
        "A safety net for tasks removed by hand.",
    ),
    "whom": Rule(
        r"(?i:\bwhom\b)",
        "say which caller, thread or process",
        "The callers whom it was for have gone.",
        "Its callers have given up.",
    ),
    "of its own": Rule(
        r"(?i:\bof (?:one's|its|their|our|your) own\b)",
        "`its own thread`, or `a separate thread`",
        "It runs in a thread of its own.",
        "It runs in its own thread.",
    ),
    "so many": Rule(
        r"(?i:\bso many\b)",
        "name the number: `timeout` seconds, up to `count` tasks",
        "Waits so many seconds.",
        "Waits up to `timeout` seconds.",
    ),
    "is none": Rule(
        r"(?<!there\s)\b(?:is|are|was|were) none\b",
        "say what is missing: `there is no reply`, `it has no key`",
        "An error where what comes is none.",
        "Raises an error if there is no reply.",
    ),
    "also where": Rule(
        r"(?i:\balso (?:where|when|while|if|after|before|beside|without)\b)",
        "`even if`, `including when`, or leave `also` out",
        "This holds also where Redis restarts.",
        "This holds even if Redis restarts.",
    ),
    "no more": Rule(
        r"(?i:\bfor long no more\b|\bno more\b(?=[.,;:)]))",
        "`no longer`",
        "It is used for long no more.",
        "It is no longer used.",
    ),
    "what": Rule(
        _START + r"What (?![^.]*\?)",
        "begin with the noun: `a task that ends alone`, `the error that ...`",
        "What ends alone is sent at once.",
        "A lone outcome is sent immediately.",
    ),
    "who": Rule(
        _START + r"Who (?![^.]*\?)",
        "`if you`, `when you`, or the role",
        "Who raises the version writes it down.",
        "When you raise the version, write it down.",
    ),
    "where": Rule(
        _START + r"Where [^.?|:,]*, (?!and |or )",
        "`if` for a condition",
        "Where all have given up, a later call asks again.",
        "If every caller has given up, the next call asks again.",
    ),
    "relative clause": Rule(
        r"; (?:what|who) (?![^.]*\?)"
        r"|[:,(] what (?:(?:is|are|was|were|has|had) (?:\w+ ){1,4}|\w+s )"
        r"(?:is|are|was|were|may|must|goes|has|no longer)\b",
        "name the thing: `the outcomes that ...`, `a message that ...`",
        "Outcomes come first: what was released is claimed next.",
        "Outcomes come first: the script claims released messages next.",
    ),
    "None where": Rule(
        r"\b(?:None|False|True|[Nn]othing|[Rr]aises|[Nn]umber|[012]|it) where\b"
        r"(?! (?:it|they) (?:is|are|was|were)\b)",
        "`if`",
        "Returns None where there is no reply.",
        "Returns None if there is no reply.",
    ),
    "empty where": Rule(
        r"\b(?:empty|absent|missing) where (?:there|it|no)\b",
        "`if`",
        "The traceback is empty where there is none.",
        "The traceback is empty if there is none.",
    ),
    "look-out": Rule(
        r"(?i:\blook(?:s|ed|ing)? out\b|\blook-?outs?\b)",
        "`spin`, `poll`",
        "The thread looks out for a reply.",
        "The thread spins until a reply arrives.",
    ),
    "so long": Rule(
        r"(?i:\bfor so long\b|\bso long until\b)",
        "give the time, or `until`",
        "It stays busy for so long that clients give up.",
        "It stays busy until clients give up.",
    ),
    "all the same": Rule(
        r"(?i:\ball the same\b(?! \w)|\bin vain\b)",
        "`still`, `anyway`; `without success`",
        "The line is written all the same.",
        "The line is still written.",
    ),
    "is told": Rule(
        r"\b(?:is|are|been) told\b(?! (?:apart|to|that|of|when|about|once|yet))",
        "`is reported`, `the log says`, `the error names`",
        "A wrong option is told.",
        "The error names a wrong option.",
    ),
    "is no": Rule(
        r"(?<!there\s)(?<!There\s)\b(?:is|are|was|were) no "
        r"(?!(?:longer|more|less|fewer|sooner|later|reason|sign|such|news)\b)\w",
        "`is not a`, `does not`",
        "A byte that is no digit ends the number.",
        "A byte that is not a digit ends the number.",
    ),
    "just so": Rule(
        r"(?i:\bthe same again\b|\bjust so\b(?! that))",
        "`again`, `in the same way`",
        "Async calls wait just so.",
        "Async calls wait in the same way.",
    ),
    "home": Rule(
        r"(?i:\b(?:go|goes|went|gone|come|comes|came|sent|brought) home\b)",
        "`returns to its list`",
        "The message goes home.",
        "The message returns to its list.",
    ),
    "it is said": Rule(
        r"(?i:\bit is (?:said|waited|tried|looked|noted)\b)",
        "say who does it",
        "It is waited for the reply.",
        "The driver waits for the reply.",
    ),
    "let go of": Rule(
        r"(?i:\b(?:lets?|letting) go of\b)",
        "`release`",
        "The task lets go of the GIL.",
        "The task releases the GIL.",
    ),
    "come of": Rule(
        r"(?i:\b(?:come|comes|came|becomes|became|become) of (?!age\b))",
        "`come from`, `result from`, `happens to`",
        "These are the tasks that came of it.",
        "These are the tasks that it created.",
    ),
    "is to": Rule(
        r"\b(?:is|are|was|were) to (?:be|run|go|have|end|say|take|give|get|come|succeed|wait)\b",
        "`must`, `will`, `should`",
        "The task that is to run next.",
        "The next task.",
    ),
    "stands": Rule(
        r"\b(?:stands?|stood) (?:in|behind|above|below|before|first|beside|here|there|at)\b",
        "`is`, `are`",
        "The due time stands in the score.",
        "The score is the due time.",
    ),
    "away": Rule(
        r"\b(?:is|are|was|were|being|be) away\b",
        "`down`, `unreachable`",
        "Redis is away.",
        "Redis is unreachable.",
    ),
    "anew": Rule(
        r"(?i:\banew\b|\bever and again\b|\bagain and again\b|\bfor ever\b)",
        "`again`, `repeatedly`, `forever`",
        "The rate is measured anew.",
        "The rate is measured again.",
    ),
    "lest": Rule(
        r"(?i:\b(?:lest|hence|thereof|whereof|therein|wherein|hitherto)\b)",
        "`so that it does not`, `so`, `of it`",
        "It waits lest it wake them all.",
        "It waits so that it does not wake them all.",
    ),
}
_COMPILED = {
    name: re.compile(rule.pattern.replace(" ", r"\s+"), re.MULTILINE)
    for name, rule in RULES.items()
}


class Text(NamedTuple):
    """A piece of prose and the line it begins at."""

    line: int
    words: str


class Tic(NamedTuple):
    line: int
    rule: str
    words: str


def find(text: Text) -> Iterator[Tic]:
    """The tics in a piece of prose."""
    for name, pattern in _COMPILED.items():
        for found in pattern.finditer(text.words):
            # A pattern may begin with the white space of the line before.
            at = found.start() + len(found[0]) - len(found[0].lstrip())
            line = text.line + text.words.count("\n", 0, at)
            yield Tic(line, name, " ".join(found[0].split())[:60])


def read(name: str, source: str) -> Iterator[Text]:
    """The prose in a file's source, by the file's name."""
    return _READERS.get(PurePath(name).suffix, _shell)(source)


def _without_code(words: str) -> str:
    """The text with each `code span` as one word, and without the targets of links."""
    words = re.sub(r"\]\([^)\s]*\)", "]", words)
    return re.sub(r"(`+)(?:(?!\1).)+\1", "`code`", words, flags=re.DOTALL)


def _markdown(source: str) -> Iterator[Text]:
    # Code blocks keep their line breaks, so that the numbers of lines stay true.
    plain = (
        re.sub(
            r"^ *```.*?^ *```|^(?: {4}|\t).*$",
            lambda found: "\n" * found[0].count("\n"),
            source,
            flags=re.MULTILINE | re.DOTALL,
        )
        if "```" in source
        else source
    )
    yield from _paragraphs(1, plain.splitlines())


def _paragraphs(first: int, lines: list[str]) -> Iterator[Text]:
    """The headings, and the paragraphs between them and empty lines."""
    start, block = first, list[str]()
    for at, line in enumerate([*lines, ""], first):
        if line.strip() and not line.startswith("#"):
            if not block:
                start = at
            block.append(line)
            continue
        if block:
            yield Text(start, _without_code("\n".join(block)))
            block = []
        if line.strip():
            yield Text(at, _without_code(line.lstrip("# ")))


def _comments(lines: Iterator[tuple[int, str]]) -> Iterator[Text]:
    """The comments of consecutive lines as paragraphs."""
    block: list[str] = []
    last = 0
    for at, words in lines:
        if block and at != last + 1:
            yield from _paragraphs(last - len(block) + 1, block)
            block = []
        block.append(words)
        last = at
    yield from _paragraphs(last - len(block) + 1, block)


def _python(source: str) -> Iterator[Text]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    yield from _comments(
        (token.start[0], token.string.lstrip("#! "))
        for token in tokens
        if token.type == tokenize.COMMENT
    )
    tree = ast.parse(source)
    imported = {node.name for node in ast.walk(tree) if isinstance(node, ast.alias)}
    if imported & {"argparse", "parser_of", "Parser", "Setting"}:
        yield from _texts_of_help(tree)
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and (words := ast.get_docstring(node)):
            yield from _paragraphs(node.body[0].lineno, words.splitlines())
        if isinstance(node, _FUNCTIONS) and node.name.startswith("test_"):
            yield _name(node.lineno, node.name)
        if isinstance(node, ast.keyword) and node.arg in ("help", "description", "epilog"):
            yield Text(node.value.lineno, _string(node.value))


def _texts_of_help(tree: ast.Module) -> Iterator[Text]:
    """The texts in a module with a command line that are not keywords: the arguments of
    `parser_of`, and the tables and constants of the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("parser_of", "change"):
            within: list[ast.AST] = [*node.args]
        elif isinstance(node, ast.Assign) and isinstance(
            node.value, (ast.Constant, ast.Dict, ast.Tuple)
        ):
            within = [*ast.walk(node.value)]
        else:
            continue
        for part in within:
            if " " in (words := _string(part)):
                yield Text(part.lineno, words)  # type: ignore[attr-defined]


def _string(node: ast.AST) -> str:
    """The text of a string, or of an f-string with each value as a word; else nothing."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_string(part) or "value" for part in node.values)
    value = getattr(node, "value", None)
    return value if isinstance(value, str) else ""


def _name(line: int, name: str) -> Text:
    """The name of a test as a sentence."""
    return Text(line, name.removeprefix("test_").replace("_", " ").capitalize())


def _rust(source: str) -> Iterator[Text]:
    yield from _comments(_lines(source, r"^\s*//[/!]?\s?(.*)$|[;,{}()\w]\s+//\s(.*)$"))
    for found in re.finditer(r"#\[test\]\s+(?:#.*\s+)*fn (\w+)", source):
        yield _name(source.count("\n", 0, found.start(1)) + 1, found[1])


def _lua(source: str) -> Iterator[Text]:
    yield from _comments(_lines(source, r"^\s*--\s?(.*)$|\s--\s(.*)$"))


def _shell(source: str) -> Iterator[Text]:
    yield from _comments(_lines(source, r"^\s*#!?\s?(.*)$|\s#\s(.*)$"))


def _lines(source: str, comment: str) -> Iterator[tuple[int, str]]:
    """The numbers and words of the lines in which a pattern finds a comment."""
    for at, line in enumerate(source.splitlines(), 1):
        if found := re.search(comment, line):
            yield at, next(group for group in found.groups() if group is not None)


# Every other file that is read has comments like those of a shell.
_READERS = {
    ".md": _markdown,
    ".py": _python,
    ".pyi": _python,
    ".rs": _rust,
    ".lua": _lua,
}
