"""The question before a change."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static


class Confirmation(ModalScreen[bool]):
    """Asks a question; the answer is whether the operator is sure.

    Args:
        question: what to ask.
    """

    CSS = """
    Confirmation { align: center middle; }
    #question { width: auto; height: auto; max-width: 80%; padding: 1 2; border: round $warning;
                background: $surface; }
    #question Static { width: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape", "answer(False)", "No"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """Lays out the question."""
        with Vertical(id="question"):
            yield Static(self._question, markup=False)
            yield Static("y: yes   n: no", markup=False)

    def action_answer(self, is_sure: bool) -> None:
        """Ends with the answer."""
        self.dismiss(is_sure)
