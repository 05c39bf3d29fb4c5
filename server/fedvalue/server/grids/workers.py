"""Threads that do one thing at a time for each site, and do not outlive their work.

A SuperNode runs one ClientApp at a time, so a site never sees two of its own handlers at once; sites
run beside each other, as many as there are threads. A thread exists only while something waits to be
done. Threads are daemons: a handler that hangs must not keep the process alive after Ctrl-C.

One thread does short work fastest, because Python's threads take turns; several pay as soon as work
waits for a disk, a database or another process. So work starts on one thread, and whoever waits for it
calls `SiteWorkers.spread` when it has not ended at once.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable


class SiteWorkers:
    """A bounded set of threads with one queue for each site.

    Safe to call from several threads.
    """

    def __init__(self, limit: int) -> None:
        """Nothing runs yet.

        Args:
          limit: How many threads may exist at once, at least 1.
        """
        self._limit = limit
        self._changed = threading.Condition()
        self._waiting: dict[int, deque[Callable[[], None]]] = {}  # what each site has yet to do
        self._ready: deque[int] = deque()  # sites with work and no thread on them
        self._busy: set[int] = set()
        self._threads: set[threading.Thread] = set()

    def submit(self, work: Iterable[tuple[int, Callable[[], None]]]) -> None:
        """Have work done, each piece after everything submitted earlier for the same site.

        Args:
          work: Sites and what to do for them. It must not raise; what it raises ends its thread.
        """
        with self._changed:
            for site, piece in work:
                queue = self._waiting.setdefault(site, deque())
                queue.append(piece)
                if len(queue) == 1 and site not in self._busy:
                    self._ready.append(site)
            if self._ready and not self._threads:
                self._start()

    def spread(self) -> None:
        """Put a thread on every site that waits for one, as far as the limit allows."""
        with self._changed:
            for _ in range(min(len(self._ready), self._limit - len(self._threads))):
                self._start()

    def stop(self, grace: float) -> bool:
        """Drop what has not started and wait for what has.

        Args:
          grace: Longest wait, in seconds.

        Returns:
          Whether everything that had started is over.
        """
        until = time.monotonic() + grace
        with self._changed:
            self._waiting.clear()
            self._ready.clear()
            while self._busy:
                left = until - time.monotonic()
                if left <= 0.0:
                    return False
                self._changed.wait(left)
        return True

    def _start(self) -> None:
        thread = threading.Thread(target=self._work, name="site-worker", daemon=True)
        thread.start()
        self._threads.add(thread)

    def _work(self) -> None:
        me = threading.current_thread()
        while True:
            with self._changed:
                if not self._ready:
                    self._threads.discard(me)
                    return
                site = self._ready.popleft()
                work = self._waiting[site].popleft()
                self._busy.add(site)
            try:
                work()
            finally:
                with self._changed:
                    self._busy.discard(site)
                    if self._waiting.get(site):
                        self._ready.append(site)
                    self._changed.notify_all()
