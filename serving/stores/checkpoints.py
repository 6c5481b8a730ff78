"""Moving what was written from SQLite's write-ahead log into its file, beside the writer."""

from __future__ import annotations

import logging
import threading

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from serving.stores.engine import cause

logger = logging.getLogger("onepoint.serving")
EVERY_S = 0.2


class Checkpoints:
    """A thread that empties the log of a SQLite file soon after something was written to it.

    Left to itself SQLite does so within the commit that fills a thousand pages, which is every
    eightieth decision: that one waits for two more syncs of the disk, ten times its own. Done from
    another connection (`PASSIVE`), it holds up neither readers nor the writer.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._written = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="onepoint-checkpoints", daemon=True)
        self._thread.start()

    def written(self) -> None:
        """Say that there is something in the log."""
        self._written.set()

    def close(self) -> None:
        """Stop; the last connection that is closed moves the rest."""
        self._closing.set()
        self._written.set()
        self._thread.join()

    def _run(self) -> None:
        while self._written.wait() and not self._closing.wait(EVERY_S):
            self._written.clear()
            try:
                with self._engine.connect() as connection:
                    connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")
            except SQLAlchemyError as error:
                # nothing is lost: it stays in the log, and the next write asks again
                logger.warning("the decision store's log was not emptied: %s", cause(error))
