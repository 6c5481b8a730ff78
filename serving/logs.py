"""The log: one JSON object a line, and no customer in it but by a pseudonym."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path

from pydantic_core import to_json

from serving.errors import StartError

PSEUDONYM_VARIABLE = "ONEPOINT_PSEUDONYM_KEY"
FACTS = "facts"
"""Attribute of a log record that holds more fields of its line."""
NOISY = ("bentoml", "uvicorn.error", "circus", "onepoint")


class JsonLines(logging.Formatter):
    """Writes a record as one JSON object: `time`, `level`, `event` and the record's facts.

    A traceback is its places in the code; the text of an exception may quote a customer.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Write one line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, FACTS, {}),
        }
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
            line["places"] = _places(record)
        return to_json(line, fallback=str).decode("utf-8")


def _places(record: logging.LogRecord) -> list[str]:
    places, trace = [], record.exc_info[2] if record.exc_info else None
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{Path(code.co_filename).name}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return places


def write_json_lines() -> None:
    """Let everything this process logs, ours and the server's, leave as JSON lines on stdout."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.getLogger().handlers = [handler]
    for name in NOISY:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    logging.getLogger("onepoint").setLevel(logging.INFO)
    # what no line says need not be found out for each (see Python's "Logging HOWTO: Optimization")
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


class Pseudonyms:
    """Stands a keyed code in for a customer id: the same for one customer, and no way back.

    >>> Pseudonyms(b"secret").of("C0000042")
    'p-dd5ccfb596c3c2ae'
    """

    def __init__(self, key: bytes) -> None:
        self._keyed = hmac.new(key, digestmod=hashlib.sha256)

    def of(self, customer_id: str) -> str:
        """HMAC-SHA256 of the id under the key, its first 64 bits in hexadecimal."""
        code = self._keyed.copy()
        code.update(customer_id.encode("utf-8", "surrogateescape"))
        return f"p-{code.hexdigest()[:16]}"


def pseudonym_key(file: Path) -> bytes:
    """Take the key from `ONEPOINT_PSEUDONYM_KEY`, else from ``file``, made where it is new.

    Who loses it can no longer tell which lines speak of one customer; nothing else breaks.
    """
    given = os.environ.get(PSEUDONYM_VARIABLE)
    if given is None:
        if not file.exists():
            _draw(file)
        given = file.read_text("ascii").strip()
    if len(given) < 32:
        where = PSEUDONYM_VARIABLE if PSEUDONYM_VARIABLE in os.environ else file
        raise StartError(f"{where}: a pseudonym key has 32 characters or more; draw a random one")
    return given.encode("utf-8")


def _draw(file: Path) -> None:
    """Write a key whole or not at all; of several workers one wins."""
    temporary = file.with_name(f"{file.name}.{os.getpid()}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
        handle.write(secrets.token_hex(32) + "\n")
    try:
        os.link(temporary, file)
    except FileExistsError:
        pass  # another worker was first, and both read his
    finally:
        temporary.unlink()
