# SPDX-License-Identifier: MIT
"""Clients of a coordinator that keeps batches, each with a diary of what it was told.

A Diary is what is known of one submission, across all connections and all lives of the coordinator. A
Connection lives as long as the coordinator does, at most. What contradicts what was told before is an
AssertionError at once; what has to be on disk is for inspector.py to see.
"""
import os

import zmq

import foreign_client
import foreign_protocol as protocol

SPAN = 1000  # arguments of a submission are SPAN * its number + 1 and so on
RETRY_MS = 2  # until a connection is tried again
RANGE, LIST = protocol.RANGE, protocol.LIST
ATTACHED_MAX = 1 << 20
REQUEST_BATCHES, REQUEST_WORKERS, REQUEST_CANCEL, REQUEST_RETRY, REQUEST_FORGET = 2, 3, 4, 5, 6
STATE_OF_REQUEST = (0, -protocol.STATE, -protocol.NOTFOUND)


def value_of(argument):
    return 3 * argument + 1


def fails(argument):
    return argument % 17 == 0


class Diary:
    """A submission, and what its clients know of it."""

    def __init__(self, number, jobs, kind):
        self.number = number
        self.jobs = jobs
        self.kind = kind
        self.arguments = range(SPAN * number + 1, SPAN * number + jobs + 1)
        self.outcomes = {}  # of jobs that have a result on disk: whether it is a failure
        self.retried = False  # somebody asked for that,
        self.retries = set()  # and was told these numbers
        self.batch = 0  # as ACCEPTED told
        self.hold = True
        self.complete = False  # its client said all of it, perhaps
        self.refused = False
        self.cancelled = False  # somebody asked for that; and which life answered that it is done
        self.told_cancelled = 0
        self.forgotten = self.told_forgotten = False
        self.taken = False  # its client may have had all of it: without `hold` it may be gone
        self.after = None  # another diary that it waits for
        self.after_ok = False
        self.closed = False  # no more results can come: it was cancelled in a life that is over
        self.ended = False  # told
        self.told = set()  # jobs of which a result was told
        self.pieces = []  # first jobs of RESULTS, in the order in which they are recorded

    def shrink(self, jobs):
        """A list that its client cancelled ahead of its SEAL is as long as it was then."""
        if self.cancelled and self.kind == LIST:
            self.jobs = min(jobs, self.jobs)

    def __repr__(self):
        return f"submission {self.number} (batch {self.batch or 'not accepted'}, {self.jobs} jobs)"


class Use:
    """What a connection uses a ticket for."""

    def __init__(self, diary, what, ordered=False, follow=True, results=True, window=1, first=1):
        self.diary = diary
        self.what = what  # "submit", "attach", "cancel", "forget", "look"
        self.ordered, self.follow, self.results = ordered, follow, results
        self.accepted = False
        self.sent = 0  # arguments
        self.sealed = True
        self.next = first  # what comes next: which job, or which of the pieces
        self.told = set()
        self.failed = 0
        self.cost = self.consumed = 0
        self.window = window
        self.first = first


class Connection:
    """A client that is connected."""

    def __init__(self, context, endpoint, name, life):
        self.life = life
        self.socket = context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.ROUTING_ID, name.encode())
        for option, value in ((zmq.SNDHWM, 0), (zmq.RCVHWM, 0), (zmq.LINGER, 0), (zmq.RECONNECT_IVL, RETRY_MS)):
            self.socket.setsockopt(option, value)
        self.socket.connect(endpoint)
        self.name = name
        self.uses = {}
        self.tickets = 0
        self.welcome = None
        self.send("HELLO", version=protocol.VERSION, role=protocol.CLIENT, pid=os.getpid(), credit=0, concurrency=0,
                  software="a client of a test", user=name.split("-")[0], standing=0)

    def send(self, kind, values=(), /, **fields):
        self.socket.send_multipart(protocol.encode(kind, values, **fields))

    def close(self):
        self.socket.close()

    def ticket(self, use):
        self.tickets += 1
        self.uses[self.tickets] = use
        return self.tickets

    # --- what it says

    def submit(self, diary, whole=True, attach=True, ordered=True, window=1 << 20, begin_ms=0, priority=0):
        """The submission; of a list that is not whole, what follows is for go_on()."""
        use = Use(diary, "submit", ordered=ordered, results=attach, window=window)
        listed = diary.kind == LIST
        count = diary.jobs if listed and whole else 0
        use.sealed = not listed or count > 0
        diary.complete = use.sealed
        after = [[diary.after.batch, protocol.OK if diary.after_ok else protocol.ANY]] if diary.after else []
        fields = {**foreign_client.PLAIN, "keep": True, "hold": diary.hold, "attach": attach, "ordered": ordered,
                  "name": str(diary.number), "count": count, "begin_ms": begin_ms, "priority": priority, "after": after}
        self.send("SUBMIT", [protocol.pack(argument) for argument in diary.arguments[:count]], ticket=self.ticket(use),
                  function="traced", kind=diary.kind, first=0 if listed else diary.arguments[0],
                  last=0 if listed else diary.arguments[-1], chunk_jobs=1 + diary.jobs // 6, timeout_ms=0, retries=0,
                  crash_limit=1000, timings=False, shared=False, window_bytes=window, **fields)
        return use

    def go_on(self, size):
        """So many more arguments of a list that is not complete, or its SEAL. Whether there is one."""
        for ticket, use in self.uses.items():
            diary = use.diary
            if use.what != "submit" or use.sealed:
                continue
            values = [protocol.pack(argument) for argument in diary.arguments[use.sent:use.sent + size]]
            if values:
                self.send("ARGUMENTS", values, ticket=ticket, first=use.sent + 1, count=len(values), shared_bytes=0)
                use.sent += len(values)
            else:
                use.sealed = diary.complete = True
                self.send("SEAL", ticket=ticket, total=diary.jobs)
            return True
        return False

    def attach(self, diary, ordered=True, follow=True, results=True, window=1 << 20, first=1):
        use = Use(diary, "attach", ordered, follow, results, window, first)
        self.send("ATTACH", ticket=self.ticket(use), batch=diary.batch, first=first, ordered=ordered, follow=follow,
                  arguments=False, results=results, window_bytes=window if results else 0)
        return use

    def request(self, diary, what, operation, number=0):
        diary.cancelled |= what == "cancel"
        diary.forgotten |= what == "forget"
        diary.retried |= what == "retry"
        self.send("REQUEST", ticket=self.ticket(Use(diary, what)), operation=operation, batch=diary.batch, number=number,
                  text="")

    def cancel(self, ticket):
        self.uses[ticket].diary.cancelled = True
        self.send("CANCEL", id=ticket, mode=protocol.NOW, first=0, count=0)

    def consume(self):
        """Says that it is done with what came."""
        for ticket, use in self.uses.items():
            if use.consumed < use.cost:
                use.consumed = use.cost
                self.send("CONSUMED", ticket=ticket, bytes=use.cost)

    # --- what it hears

    def listen(self, most=1000):
        """Takes what is there. How many messages that was."""
        for count in range(most):
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return count
            self.hear(protocol.decode(frames))
        return most

    def hear(self, message):
        if message.type == "WELCOME":
            assert message.keeps == 2, f"{message}"
            self.welcome = message
            return
        use = self.uses.get(message.ticket)
        assert use, f"{self.name} was told {message} of no ticket"
        getattr(self, "hear_" + message.type.lower())(message, use)

    def drop(self, message):
        del self.uses[message.ticket]

    def hear_accepted(self, message, use):
        diary = use.diary
        assert diary.complete or diary.cancelled, f"{diary} is accepted ahead of its end"
        assert diary.batch in (0, message.batch), f"{diary} is accepted as {message.batch}"
        diary.batch = message.batch
        use.sealed = True
        use.accepted = True
        if not use.results:
            self.drop(message)

    def hear_error(self, message, use):
        diary = use.diary
        assert message.ticket, f"{self.name}: {message}"
        allowed = message.code == -protocol.NOTFOUND and (use.what == "submit" and diary.after or diary.forgotten
                                                          or diary.taken or diary.after and diary.after.forgotten)
        allowed = allowed or diary.cancelled and message.code == -protocol.CANCELLED and not use.accepted
        assert allowed, f"{self.name}, {use.what} of {diary}: {message}"
        diary.refused |= use.what == "submit"
        self.drop(message)

    def hear_grant(self, message, use):
        assert use.what == "submit" and not use.accepted, f"{use.diary}: {message}"

    def hear_attached(self, message, use):
        diary = use.diary
        diary.shrink(message.total)
        assert message.sealed and message.total == diary.jobs and message.kind == diary.kind, f"{diary}: {message}"

    def hear_results(self, message, use):
        diary, values = use.diary, iter(message.values)
        failed = {index: code for index, code, *_ in message.failures}
        assert use.results and not use.told & set(range(message.first, message.first + message.count)), \
            f"{self.name} is told twice: {message} of {diary}"
        if use.ordered:
            began = not use.told and message.first < use.next < message.first + message.count  # in the midst of a piece
            assert message.first == use.next or message.first > use.next and diary.cancelled or began, \
                f"{self.name} expected job {use.next} of {diary}: {message}"
            use.next = message.first + message.count
        elif use.what == "attach":
            diary.pieces.extend([None] * (use.next - len(diary.pieces)))
            assert diary.pieces[use.next - 1] in (None, message.first), \
                f"{self.name} has another piece {use.next} of {diary} than {diary.pieces[use.next - 1]}: {message}"
            diary.pieces[use.next - 1] = message.first
            use.next += 1
        for index in range(message.first, message.first + message.count):
            argument = diary.arguments[index - 1]
            assert (index in failed) == fails(argument), f"job {index} of {diary}: {message}"
            assert index in failed or protocol.unpack(next(values)) == value_of(argument), f"{index} of {diary}: {message}"
        use.told.update(range(message.first, message.first + message.count))
        use.failed += len(failed)
        use.cost += protocol.cost(message.payload_bytes, message.failures)
        if use.what == "attach" or use.accepted:
            diary.told.update(use.told)
            diary.taken |= use.what == "submit" and (len(use.told) == diary.jobs or diary.cancelled)

    def hear_ended(self, message, use):
        diary = use.diary
        if message.code == -8 and not use.follow:  # AGAIN
            self.drop(message)
            return
        assert message.code == 0 or message.code == -protocol.CANCELLED and diary.after_ok, f"{diary}: {message}"
        diary.shrink(message.succeeded + message.failed + message.cancelled)
        assert message.succeeded + message.failed + message.cancelled == diary.jobs, f"{diary}: {message}"
        assert message.cancelled == 0 or diary.cancelled or diary.after_ok, f"{diary}: {message}"
        if use.results and use.first == 1:
            assert (message.succeeded, message.failed) == (len(use.told) - use.failed, use.failed), \
                f"{diary}: {len(use.told)} results came, and {message}"
        diary.ended = True
        diary.taken |= use.what == "submit"
        self.drop(message)

    def hear_answer(self, message, use):
        diary = use.diary
        if use.what == "look":
            found = [protocol.unpack(value) for value in message.values]
            assert message.code == 0 or diary.forgotten or diary.taken, f"{diary}: {message} {found}"
        if use.what == "retry" and message.code == 0:
            diary.retries.add(protocol.unpack(message.values[0])["batch"])
        assert message.code in STATE_OF_REQUEST, f"{use.what} of {diary}: {message}"
        if message.code == 0 and use.what == "cancel":
            diary.told_cancelled = diary.told_cancelled or self.life
        if message.code == 0 and use.what == "forget":
            diary.told_forgotten = True
        if not message.more:
            self.drop(message)
