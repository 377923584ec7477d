"""The thread that takes batches from the outbox and delivers them."""

from __future__ import annotations

import logging
import threading

from millrace_client.delivery import Delivery, Report
from millrace_client.outbox import Outbox
from millrace_client.processes import watch_exit
from millrace_client.transport import Transport

#: How long an aborted request may take to end.
_GRACE_S = 1.0

log = logging.getLogger("millrace")


class Worker:
    """Deliver what the outbox holds, in one daemon thread that starts with the first event."""

    def __init__(
        self,
        outbox: Outbox,
        delivery: Delivery,
        transport: Transport,
        *,
        retry_for_s: float,
        report: Report,
    ) -> None:
        self._outbox = outbox
        self._delivery = delivery
        self._transport = transport
        self._retry_for_s = retry_for_s
        self._report = report
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None

    def ensure_started(self) -> bool:
        """Start the thread, unless it runs; False when the interpreter is ending.

        It starts no threads then; what waits is sent by `stop`, in the thread that ends it.
        """
        if self._thread is not None:
            return True
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="millrace", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:
                    self._thread = None
                    return False
                watch_exit()
        return True

    @property
    def is_current(self) -> bool:
        """Tell whether the caller runs in this thread: a callback of the application does."""
        return self._thread is threading.current_thread()

    def stop(self, timeout_s: float) -> None:
        """Deliver what waits, for up to `timeout_s`, and end the thread."""
        self._outbox.close(within_s=timeout_s)
        with self._lock:
            thread = self._thread
        if thread is None or thread is threading.current_thread():
            self._run()
        else:
            thread.join(timeout_s)
            if thread.is_alive():
                self._transport.abort()
                thread.join(_GRACE_S)
        self._transport.close()

    def _run(self) -> None:
        while batch := self._outbox.take():
            try:
                self._delivery.deliver(
                    [entry.body for entry in batch],
                    give_up_at=batch[0].put_at + self._retry_for_s,
                    pacing=self._outbox,
                    report=self._report,
                )
            except Exception:
                # A fault of ours must not end the thread; the batch's events stay uncounted.
                log.exception("a batch of %d events was lost", len(batch))
            finally:
                self._outbox.settle(batch)
