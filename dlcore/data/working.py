"""Work done by threads ahead of when it is asked for, whose results come in order all the same."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextvars import copy_context
from threading import Event, get_ident
from typing import Any

Work = Callable[[int, Event], Any]
"""Makes what belongs to a number, or raises :class:`Stopped` once the event is set."""


def in_order(work: Work, numbers: Iterable[int], workers: int, ahead: int, finish: Callable[[Any], Any]
             ) -> Generator[Any, None, None]:
    """``finish(work(n))`` for each number in order; up to ``ahead`` are begun before they are asked for.

    Args:
        work: runs in a copy of the caller's context, so it sees the caller's ``use_backend``.
        numbers: what is to be done.
        workers: how many threads; with 0 the caller's own does all of it.
        ahead: how many results may wait.
        finish: runs in the caller's thread, as soon as that comes by, for what belongs to one thread.

    What fails is raised in its turn.  However the iterator ends, by a break, an error, Ctrl-C or
    because nobody holds it any more, no thread is left when it has ended.
    """
    stopped = Event()
    if not ahead:
        for n in numbers:
            yield finish(work(n, stopped))
        return
    from concurrent.futures import ThreadPoolExecutor  # 15 ms, needed only here

    waiting, own = deque[_Result](), set[int]()
    pool: Any = (ThreadPoolExecutor(workers, "dlcore-loader", lambda: own.add(get_ident())) if workers
            else _CallersThread())
    try:
        for n in numbers:
            waiting.append(_Result(pool.submit(copy_context().run, work, n, stopped)))
            if len(waiting) > ahead:
                yield _next(waiting, finish)
        while waiting:
            yield _next(waiting, finish)
    finally:
        stopped.set()
        # A garbage collection in one of the threads may be what ends it, and none can wait for itself.
        pool.shutdown(wait=get_ident() not in own, cancel_futures=True)


class Stopped(Exception):  # noqa: N818  nothing is wrong
    """Nobody waits any more for what is being made."""


class _Result:
    """What work gives: first as a promise, then finished."""

    def __init__(self, future: Any) -> None:
        self.future, self.value, self.finished = future, None, False

    def finish(self, finish: Callable[[Any], Any]) -> Any:
        if not self.finished:
            self.value, self.finished = finish(self.future.result()), True
        return self.value


def _next(waiting: deque[_Result], finish: Callable[[Any], Any]) -> Any:
    """The first result; of those behind it, what is done by now is finished too."""
    first = waiting.popleft().finish(finish)
    for result in waiting:
        if not result.future.done() or result.future.exception() is not None:
            break
        result.finish(finish)
    return first


class _CallersThread:
    """Does at once what it is given; otherwise like a pool of threads."""

    def submit(self, work: Callable[..., Any], *args: Any) -> Any:
        from concurrent.futures import Future

        future: Future[Any] = Future()
        try:
            future.set_result(work(*args))
        except Exception as error:  # noqa: BLE001  raised when the result is asked for
            future.set_exception(error)
        return future

    def shutdown(self, **how: bool) -> None:
        """There is nothing to end."""
