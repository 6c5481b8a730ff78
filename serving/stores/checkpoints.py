"""Moving what was written from SQLite's write-ahead log into its file, beside the writer."""

from __future__ import annotations

import logging
import threading

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from serving.stores.engine import cause

logger = logging.getLogger("onepoint.serving")
EVERY_S = 0.2
LONG = 2_000
"""Of a log of more pages (8 MB) the writer itself moves the last."""


class Checkpoints:
    """A thread that empties the log of a SQLite file soon after something was written to it.

    Left to itself SQLite does so within the commit that fills a thousand pages, which is every
    eightieth decision: that one waits for two more syncs of the disk, ten times its own. Done from
    another connection, it holds up neither readers nor the writer. The log begins again only where
    all of it was moved, which this thread never sees while writes come close upon each other: then
    the few pages that are left are moved between two of them.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._connection: Connection | None = None
        self._moving = threading.Lock()
        self._written = threading.Event()
        self._closing = threading.Event()
        self._long = False
        self._thread = threading.Thread(target=self._run, name="onepoint-checkpoints", daemon=True)
        self._thread.start()

    def written(self) -> None:
        """Say, from the thread that writes, that there is something in the log."""
        if self._long:
            self._move()
            self._long = False
        self._written.set()

    def close(self) -> None:
        """Stop; the last connection that is closed moves the rest."""
        self._closing.set()
        self._written.set()
        self._thread.join()
        with self._moving:
            self._drop()

    def _run(self) -> None:
        while self._written.wait():
            self._written.clear()
            if self._closing.wait(EVERY_S):
                return
            self._long = self._move() > LONG

    def _move(self) -> int:
        """Move what there is into the file; give the pages of the log."""
        with self._moving:
            try:
                if self._connection is None:
                    self._connection = self._engine.connect()
                    # It ends here and not in the pool, whose connections have transactions.
                    self._connection.detach()
                pragma = "PRAGMA wal_checkpoint(PASSIVE)"
                return int(self._connection.exec_driver_sql(pragma).one()[1])
            except SQLAlchemyError as error:
                # nothing is lost: it stays in the log, and the next write asks again
                logger.warning("the decision store's log was not emptied: %s", cause(error))
                self._drop()
                return 0

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
