"""The declaration of dependencies: what callers see, and what is refused."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import fastapi
import pytest
from fastapi.security import OAuth2PasswordBearer, SecurityScopes
from fluxqueue import BrokerUnavailable, Context, Depends, FluxQueue, Shared
from fluxqueue.errors import ConfigurationError
from fluxqueue_worker.registered_task import RegisteredTask
from support.injecting import run

if TYPE_CHECKING:
    import a_module_that_does_not_exist as orm  # type: ignore[import-not-found]

fluxqueue = FluxQueue("redis://127.0.0.1:1?timeout=0.1")


@pytest.fixture(autouse=True)
def _declares_anew() -> Iterator[None]:
    yield
    fluxqueue._tasks.clear()


def value() -> str:
    return "value"


async def value_async() -> str:
    return "value"


Value = Annotated[str, Depends(value)]


def parameters(task: Any) -> list[str]:
    return list(inspect.signature(task).parameters)


def test_callers_do_not_see_dependencies() -> None:
    @fluxqueue.task_with_context()
    def work(ctx: Context, a: Value, user: int, *, b: str = Depends(value), c=Shared(value)): ...  # type: ignore[no-untyped-def]

    assert parameters(work) == ["user"]
    with pytest.raises(BrokerUnavailable):
        work(5)
    with pytest.raises(BrokerUnavailable):
        work.options(delay=1).enqueue(user=5)
    for call in (work, work.enqueue, work.options(delay=1).enqueue, work.call):
        with pytest.raises(TypeError, match=r"work\(\) got 'b', which is Depends\(value\): the"):
            call(5, b="mine")
        with pytest.raises(TypeError, match="takes 1 positional argument but 2 were given"):
            call(5, "mine")
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'user'"):
            call()


def test_keyword_arguments_of_any_name_do_not_hide_a_dependency() -> None:
    @fluxqueue.task()
    def work(user: int, b: str = Depends(value), **more: int) -> None: ...

    with pytest.raises(TypeError, match="got 'b'"):
        work(5, b="mine")
    with pytest.raises(BrokerUnavailable):
        work(5, c=6)


def test_declare_hides_them_too() -> None:
    def work(user: int, b: str = Depends(value)) -> None: ...

    assert parameters(fluxqueue.declare("declared", signature=work)) == ["user"]


def test_a_periodic_task_takes_the_arguments_of_callers() -> None:
    def work(user: int, b: str = Depends(value)) -> None: ...

    fluxqueue.periodic("0 3 * * *", args=(5,))(fluxqueue.task(name="nightly")(work))
    with pytest.raises(TypeError, match="got 'b'"):
        fluxqueue.periodic("0 3 * * *", id="x", args=(5,), kwargs={"b": 1})(
            fluxqueue.task(name="nightly")(work)
        )


@pytest.mark.parametrize("option", ["unique", "limit_key"])
@pytest.mark.parametrize("names", ["b", ("user", "b")])
def test_a_key_made_of_a_dependency_is_refused(option: str, names: Any) -> None:
    def work(user: int, b: str = Depends(value), **more: int) -> None: ...

    if option == "unique":
        options: Any = {"unique": names if isinstance(names, tuple) else (names,)}
    else:
        options = {"limit_key": names, "concurrency": 1}
    with pytest.raises(ConfigurationError, match=f"{option} names 'b', which is a dependency"):
        fluxqueue.task(**options)(work)


def test_a_key_of_all_arguments_leaves_them_out() -> None:
    @fluxqueue.task(unique=True)
    def work(user: int, b: str = Depends(value)) -> None: ...

    with pytest.raises(BrokerUnavailable):
        work(5)


def test_a_type_that_only_type_checkers_know_does_no_harm() -> None:
    @fluxqueue.task()
    def work(
        user: int,
        a: Annotated[orm.Session, Depends(value)],
        b: Annotated[orm.Pool[int] | None, Shared(value)],
    ) -> Any:
        return a, b

    assert parameters(work) == ["user"]
    assert run(work, 5) == ("value", "value")


def test_a_function_that_is_local_to_another_is_found() -> None:
    def local() -> int:
        return 7

    @fluxqueue.task()
    def work(a: Annotated[int, Depends(local)]) -> int:
        return a

    assert run(work) == 7


LATE = """
from __future__ import annotations
from typing import Annotated
from fluxqueue import Depends
def declare(queue):
    @queue.task()
    def work(a: {}): ...
    return work
"""


def test_a_function_that_is_defined_further_down_is_refused() -> None:
    names: dict[str, Any] = {}
    exec(LATE.format("Annotated[int, Depends(later)]"), names)
    with pytest.raises(TypeError, match=r"'a' of .*work\(\).*not defined here; define it above"):
        names["declare"](fluxqueue)


def test_an_alias_that_is_defined_further_down_is_refused_when_it_is_known() -> None:
    names: dict[str, Any] = {}
    exec(LATE.format("Later"), names)
    task = names["declare"](fluxqueue)
    names["Later"] = Value
    with pytest.raises(TypeError, match="was not defined when the task was declared"):
        task.enqueue(5)


def passes_on(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def adds(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function("session", *args, **kwargs)

    return wrapper


def test_a_decorator_that_passes_on_its_arguments_passes_on_dependencies() -> None:
    @fluxqueue.task()
    @passes_on
    def work(a: Value, user: int, b: str = Depends(value)) -> Any:
        return a, user, b

    assert parameters(work) == ["user"]
    assert run(work, 5) == run(work, user=5) == ("value", 5, "value")


def test_a_decorator_that_may_add_arguments_is_refused() -> None:
    def work(session: str, user: int, b: str = Depends(value)) -> None: ...

    with pytest.raises(TypeError, match=r"'b' of .*work\(\) is a dependency, and a dec"):
        fluxqueue.task()(adds(work))


def needs(thing: int) -> int:
    return thing


def needs_itself(inner: Any = None) -> None: ...


needs_itself.__defaults__ = (Depends(needs_itself),)


def needs_async(inner: str = Depends(value_async)) -> str:
    return inner


def positional(inner: Value, /) -> None: ...


class OneContext(Context): ...


class OtherContext(Context): ...


def needs_one(ctx: OneContext) -> None: ...


def needs_other(ctx: OtherContext, one: None = Depends(needs_one)) -> None: ...


def shares_too_much(inner: str = Depends(value)) -> str:
    return inner


def shares_nothing(inner: str) -> str:
    return inner


async def shared_async() -> AsyncIterator[int]:
    yield 1


def shares_async(inner: int = Shared(shared_async)) -> int:
    return inner


def with_request(request: fastapi.Request) -> None: ...


def with_optional_request(request: fastapi.Request | None = None) -> None: ...


def with_query(page: int = fastapi.Query(1)) -> None: ...


def with_header(user_agent: Annotated[str, fastapi.Header()] = "") -> None: ...


def with_nested_request(inner: Annotated[None, fastapi.Depends(with_request)]) -> None: ...


def with_scopes(scopes: SecurityScopes) -> None: ...


def with_response(response: fastapi.Response, background: fastapi.BackgroundTasks) -> None: ...


REFUSED: list[tuple[Any, str]] = [
    (Depends(needs), r"'thing' of the dependency needs\(\) has no value: it is not an argument of"),
    (Depends(needs_itself), r"needs_itself\(\) depends on itself"),
    (Depends(value_async), r"value_async\(\) is async, and the task 'work' is not; make the task"),
    (Depends(needs_async), r"value_async\(\) is async, and the task 'work' is not"),
    (Depends(positional), r"'inner' of the dependency positional\(\) can't be passed by name"),
    (Depends(needs_other), "'ctx'.*is annotated OneContext, and the context.*is OtherContext"),
    (Shared(shares_too_much), r"'inner'.*is Depends\(value\), made for each attempt"),
    (Shared(shares_nothing), "'inner'.*has no value: a shared value lives longer"),
    (Shared(shared_async), r"shared_async\(\) is async, and the task 'work' is not"),
    (Shared(shares_async), r"'inner' of shares_async\(\) is async|is async, and the task"),
    (fastapi.Depends(with_request), "'request' of the dependency with_request.*HTTP request"),
    (fastapi.Depends(with_optional_request), "'request' of.*with_optional_request.*HTTP request"),
    (fastapi.Depends(with_nested_request), "'request' of the dependency with_request"),
    (fastapi.Depends(with_query), "'page' of the dependency with_query.*is of an HTTP request"),
    (fastapi.Depends(with_header), "'user_agent' of the dependency with_header"),
    (fastapi.Depends(with_scopes), "'scopes' of the dependency with_scopes"),
    (fastapi.Depends(with_response), "'response' of the dependency with_response"),
    (fastapi.Depends(OAuth2PasswordBearer("token")), "'request' of the dependency OAuth2Pass"),
    (fastapi.Depends(value, max_concurrency=2), "max_concurrency.*its option concurrency"),
    (fastapi.Security(value), r"Security\(\) needs a request"),
]


@pytest.mark.parametrize(("mark", "text"), REFUSED, ids=[text[:24] for _, text in REFUSED])
@pytest.mark.parametrize("form", ["default", "annotated"])
def test_a_dependency_without_a_value_is_refused(mark: Any, text: str, form: str) -> None:
    def work(user: int, a: Any = None) -> None: ...

    if form == "default":
        work.__defaults__ = (mark,)
    else:
        work.__annotations__["a"] = Annotated[Any, mark]
    with pytest.raises(TypeError, match=text):
        fluxqueue.task()(work)


def two_marks(a: Value = Depends(value)) -> None: ...


def part_of_annotation(a: Value | None = None) -> None: ...


def instead_of_a_type(user: int, a: Depends(value)) -> None: ...  # type: ignore[valid-type]


def positional_only(a: Value, /, user: int) -> None: ...


def variadic(*a: Value) -> None: ...


@pytest.mark.parametrize(
    ("func", "text"),
    [
        (two_marks, r"'a' of two_marks\(\): Depends\(value\) and Depends\(value\) mark one"),
        (part_of_annotation, r"Depends\(value\) marks a part of the annotation"),
        (instead_of_a_type, r"'a'.*: Depends\(value\) stands in the place of a type; write it"),
        (positional_only, r"'a' of positional_only\(\) is a dependency, which is passed by name"),
        (variadic, r"'a' of variadic\(\) is a dependency, which is passed by name"),
    ],
)
def test_a_mark_in_the_wrong_place_is_refused(func: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        fluxqueue.task()(func)


@pytest.mark.parametrize("mark", [Depends, Shared])
def test_a_mark_takes_a_function(mark: Any) -> None:
    task = fluxqueue.task(name="is_a_task")(value)
    with pytest.raises(TypeError, match="can't take a task"):
        mark(task)
    with pytest.raises(TypeError, match="takes a function or a class that makes the value, not"):
        mark("value")


class Service:
    def __init__(self, inner: Annotated[str, fastapi.Depends(value)], size: int = 3) -> None:
        self.values = inner, size


def by_fastapi(
    inner: str = fastapi.Depends(value), skip: int = 0, service: Service = fastapi.Depends()
) -> Any:
    return inner, skip, service.values


def test_dependencies_of_fastapi_run_if_they_need_no_request() -> None:
    @fluxqueue.task()
    async def work(
        user: int,
        service: Annotated[Service, fastapi.Depends()],
        both: Any = fastapi.Depends(by_fastapi),
        later: Annotated[str, fastapi.Depends(value_async, use_cache=False)] = "",
    ) -> Any:
        return user, service.values, both, later

    found = run(work, 5)
    assert found == (5, ("value", 3), ("value", 0, ("value", 3)), "value")


def test_a_lifespan_is_a_generator_function() -> None:
    with pytest.raises(TypeError, match=r"can't decorate.*value.*with one `yield`"):
        fluxqueue.lifespan(value)  # type: ignore[type-var]

    def takes(number: int) -> Iterator[None]:
        yield

    with pytest.raises(TypeError, match=r"'number'.*has no value"):
        fluxqueue.lifespan(takes)

    def one() -> Iterator[int]:
        yield 1

    queue = FluxQueue("redis://127.0.0.1:1")
    assert queue.lifespan(one) is one
    with pytest.raises(ConfigurationError, match="is a lifespan of this object"):
        queue.lifespan(one)


def test_a_plain_call_checks_as_before() -> None:
    @fluxqueue.task()
    def work(user: int, a: str = "") -> None: ...

    assert work.dependencies is None
    assert work._check.__code__.co_varnames == ("user", "a")
    assert RegisteredTask(work).func is work.func
