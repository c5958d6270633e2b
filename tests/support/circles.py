"""Finds circles in a graph of files or modules."""

from __future__ import annotations

from collections.abc import Mapping

# The nodes that each node uses.
Graph = Mapping[str, set[str]]


def circles(graph: Graph) -> list[list[str]]:
    """Every group of nodes that reach each other, sorted: the strongly connected
    components of more than one node (R. Tarjan, "Depth-First Search and Linear Graph
    Algorithms", SIAM Journal on Computing, 1972)."""
    found: list[list[str]] = []
    numbers: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []

    def visit(name: str) -> None:
        numbers[name] = lowest[name] = len(numbers)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in numbers:
                visit(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in stack:
                lowest[name] = min(lowest[name], numbers[other])
        if lowest[name] == numbers[name]:
            start = stack.index(name)
            if len(stack) - start > 1:
                found.append(sorted(stack[start:]))
            del stack[start:]

    for name in sorted(graph):
        if name not in numbers:
            visit(name)
    return sorted(found)
