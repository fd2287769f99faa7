"""A session with PostgreSQL, by the library that every client of it stands on; for tests that want
nothing of Earshot between them and a cluster. Every statement has a deadline of its own."""

import ctypes
import ctypes.util
import select
import time

CONNECTION_OK, COMMAND_OK, TUPLES_OK = 0, 1, 2


NOTICE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)


def load_library():
    library = ctypes.CDLL(ctypes.util.find_library("pq") or "libpq.so.5")
    for name, result, *arguments in (
        ("PQconnectdb", ctypes.c_void_p, ctypes.c_char_p),
        ("PQstatus", ctypes.c_int, ctypes.c_void_p),
        ("PQerrorMessage", ctypes.c_char_p, ctypes.c_void_p),
        ("PQsendQuery", ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p),
        ("PQsocket", ctypes.c_int, ctypes.c_void_p),
        ("PQconsumeInput", ctypes.c_int, ctypes.c_void_p),
        ("PQisBusy", ctypes.c_int, ctypes.c_void_p),
        ("PQgetResult", ctypes.c_void_p, ctypes.c_void_p),
        ("PQresultStatus", ctypes.c_int, ctypes.c_void_p),
        ("PQresultErrorField", ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int),
        ("PQclear", None, ctypes.c_void_p),
        ("PQsetNoticeProcessor", ctypes.c_void_p, ctypes.c_void_p, NOTICE, ctypes.c_void_p),
        ("PQfinish", None, ctypes.c_void_p),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


PQ = load_library()
IGNORE_NOTICE = NOTICE(lambda _argument, _text: None)  # else they are printed


class NotDone(Exception):
    """The statement was refused: it did nothing."""


class Unknown(Exception):
    """The session ended or the time was over: the statement may have done its work or not."""


class Session:
    def __init__(self, url):
        self.connection = PQ.PQconnectdb(url.encode())
        if PQ.PQstatus(self.connection) != CONNECTION_OK:
            text = PQ.PQerrorMessage(self.connection).decode(errors="replace")
            self.close()
            raise NotDone(text)
        PQ.PQsetNoticeProcessor(self.connection, IGNORE_NOTICE, None)

    def close(self):
        """Ends it without a word to a statement under way: a COMMIT must never be cancelled."""
        if self.connection:
            PQ.PQfinish(self.connection)
            self.connection = None

    def execute(self, statement, seconds):
        deadline = time.monotonic() + seconds
        if not PQ.PQsendQuery(self.connection, statement.encode()):
            raise Unknown(PQ.PQerrorMessage(self.connection).decode(errors="replace"))
        while PQ.PQisBusy(self.connection):
            left = deadline - time.monotonic()
            readable = left > 0 and select.select([PQ.PQsocket(self.connection)], [], [], left)[0]
            if not readable:
                raise Unknown(f"no answer in {seconds} s")
            if not PQ.PQconsumeInput(self.connection):
                raise Unknown(PQ.PQerrorMessage(self.connection).decode(errors="replace"))
        self._judge()

    def _judge(self):
        error = None
        while result := PQ.PQgetResult(self.connection):
            if PQ.PQresultStatus(result) not in (COMMAND_OK, TUPLES_OK):
                state = PQ.PQresultErrorField(result, ord("C"))
                error = state.decode() if state else "lost"
            PQ.PQclear(result)
        # Without a code the session was lost; these say the same of a server that goes down.
        if error in ("lost", "57P01", "57P02", "40003") or (error or "").startswith("08"):
            raise Unknown(error)
        if error:
            raise NotDone(error)
