# SPDX-License-Identifier: MIT
"""What a state file has to hold, whatever was killed: looks at it with SQLite alone, between the lives of a
coordinator and at the end, and compares it with the diaries of clients (diaries.py) and with the file in which
every job leaves a line when it starts."""
import contextlib
import sqlite3

import diaries
import foreign_protocol as protocol

ENDS = ("succeeded", "failed", "cancelled")


class Inspector:
    def __init__(self, state, trace):
        self.state, self.trace = state, trace
        self.diaries = {}  # by number
        self.sequences = {}  # of the last record of each batch that was looked at
        self.by_batch = {}  # diaries, of those that were ever there
        self.recorded = {}  # argument: how far the trace had come when its result was seen on disk

    def add(self, diary):
        self.diaries[diary.number] = diary

    def read(self, query, *words):
        with contextlib.closing(sqlite3.connect(f"file:{self.state}?mode=ro", uri=True)) as database:
            return database.execute(query, words).fetchall()

    def diary_of(self, batch, name, first):
        """Whose batch this is: its name says so, or its first argument."""
        number = int(name) if name else (first or 0) // diaries.SPAN
        assert number in self.diaries, f"batch {batch}, {name!r}, is nobody's"
        return self.diaries[number]

    def retry_of(self, batch, origin, jobs):
        """A batch of the jobs of another: all of them, or those that did not succeed."""
        old = self.by_batch.get(origin) or next(diary for diary in self.diaries.values() if diary.batch == origin)
        assert old.retried, f"batch {batch} tries {old} again, which nobody asked for"
        diary = diaries.Diary(old.number, jobs, diaries.LIST)
        left = [old.arguments[i - 1] for i in range(1, old.jobs + 1) if old.outcomes.get(i, True)]
        diary.arguments = list(old.arguments[:jobs]) if jobs == old.jobs else left
        if len(diary.arguments) != jobs:
            assert old.forgotten or not old.hold, \
                f"batch {batch} tries {jobs} jobs of {old}, where {len(left)} are left: {self.known(batch, old)}"
            diary.arguments = []  # not known: those of which a result was recorded and forgotten unseen are missing
        diary.batch, diary.complete, diary.retried = batch, True, True
        return diary

    def known(self, batch, old):
        """What there is to know of a batch and the one that it tries again."""
        rows = self.read("SELECT batch, state, jobs, succeeded, failed, cancelled, origin FROM batches WHERE batch IN (?, ?)",
                         batch, old.batch)
        records = self.read("SELECT sequence, batch, first, count, failed FROM record WHERE batch IN (?, ?)", batch, old.batch)
        return f"{vars(old)}; {rows}; {records}, up to {self.sequences.get(old.batch)} looked at"

    def new_records(self):
        """In the order in which they were written. Numbers of records that were forgotten are used again, but not
        below one of the same batch."""
        new = {sequence for sequence, batch in self.read("SELECT sequence, batch FROM record")
               if sequence > self.sequences.get(batch, 0)}
        rows = self.read("SELECT sequence, batch, first, count, header, payload FROM record WHERE sequence >= ? "
                         "ORDER BY sequence", min(new, default=1 << 62))
        return [row for row in rows if row[0] in new]

    def batches(self):
        """The rows of all batches. Those that try no other again get their diaries."""
        rows = {row[0]: row for row in self.read("SELECT batch, name, first, state, jobs, succeeded, failed, cancelled, "
                                                 "origin FROM batches ORDER BY batch")}
        for batch, name, first, _, jobs, *_, origin in rows.values():
            if not origin:
                diary = self.by_batch[batch] = self.diary_of(batch, name, first)
                if jobs is not None:  # ahead of a batch that tries this one again
                    diary.shrink(jobs)
        return rows

    def find(self, row):
        """The diary of a batch. All results of the one that it tries again, if it does, were looked at."""
        batch, _, _, _, jobs, *_, origin = row
        if batch not in self.by_batch and jobs is not None:
            self.by_batch[batch] = self.retry_of(batch, origin, jobs)
        return self.by_batch.get(batch)

    def look(self):
        """While nobody has the file open: what was recorded since, of which nothing may start any more."""
        # The first one may have died too soon, or amid its change to the log (-wal): a journal is of before, and
        # only who may write to the file can roll it back.
        journal = self.state.with_name(f"{self.state.name}-journal")
        if not self.state.exists() or journal.exists() or not self.read("SELECT name FROM sqlite_schema"):
            assert not any(diary.batch for diary in self.diaries.values())
            return
        rows = self.batches()
        size = self.trace.stat().st_size
        for sequence, batch, first, count, header, payload in self.new_records():
            assert batch in rows, f"a result of batch {batch}, which is not there"
            diary = self.find(rows[batch])
            assert not diary.closed, f"{diary} was cancelled, and has results of a later life"
            self.look_at_record(diary, first, count, header, payload, size)
            self.sequences[batch] = sequence
        for row in rows.values():
            diary = self.find(row)
            if diary:  # else it is a copy under way
                self.look_at_batch(diary, row)
                diary.closed = bool(diary.told_cancelled)
        for diary in self.diaries.values():
            assert diary.batch in rows or not diary.batch or diary.forgotten or not diary.hold, f"{diary} is gone"
            assert diary.retries <= set(rows), f"{diary}: {diary.retries - set(rows)} were to try it again"

    def look_at_record(self, diary, first, count, header, payload, size):
        message = protocol.decode([header, payload])
        assert (message.type, message.first, message.count) == ("RESULTS", first, count), f"{diary}: {message}"
        values = iter(message.values)
        failed = {index for index, *_ in message.failures}
        for index in range(first, first + count):
            assert index <= diary.jobs, f"{diary} has a result of job {index}"
            diary.outcomes[index] = index in failed
            if not diary.arguments:
                continue
            argument = diary.arguments[index - 1]
            assert (index in failed) == diaries.fails(argument), f"{diary}, job {index}: {message}"
            assert index in failed or protocol.unpack(next(values)) == diaries.value_of(argument), f"{diary}: {message}"
            self.recorded.setdefault(argument, size)

    def look_at_batch(self, diary, row):
        batch, _, first, state, jobs, succeeded, failed, cancelled, _ = row
        assert diary.batch in (0, batch), f"{diary} is batch {batch}"
        assert not diary.told_forgotten, f"{diary} was forgotten, and is there"
        if jobs is None:
            assert not diary.batch, f"{diary} was accepted, and is not whole"
        else:
            assert (diary.complete or diary.cancelled) and jobs == diary.jobs, f"{diary} has {jobs} jobs"
            assert first is None or first == diary.arguments[0], f"{diary} begins with {first}"
        assert not diary.ended or state in ENDS, f"{diary} is {state}, and its client was told that it has ended"
        if state in ENDS:
            assert succeeded + failed + cancelled == jobs, f"{diary}: {row}"
            expected = "cancelled" if cancelled else "failed" if failed else "succeeded"
            assert state == expected or not jobs, f"{diary}: {row}"
            assert not cancelled or diary.cancelled or diary.after_ok, f"{diary} is cancelled, which nobody asked for"

    def look_at_all(self):
        """At the end: every batch is over, with each result once; all that was told is there."""
        assert self.read("PRAGMA integrity_check") == [("ok",)]
        self.look()
        results = {}
        for batch, first, count, failed in self.read("SELECT batch, first, count, failed FROM record ORDER BY batch, first"):
            jobs, failures = results.setdefault(batch, ([], []))
            jobs.extend(range(first, first + count))
            failures.append(failed)
        for row in self.batches().values():
            diary, (batch, _, _, state, jobs, succeeded, failed, _, _) = self.find(row), row
            recorded, failures = results.pop(batch, ([], []))
            assert state in ENDS, f"{diary} is {state}"
            assert len(recorded) == len(set(recorded)), f"{diary}: a job has two results"
            assert (succeeded + failed, failed) == (len(recorded), sum(failures)), f"{diary}: {succeeded}, {failed}"
            assert state == "cancelled" or len(recorded) == jobs, f"{diary} is {state} with {len(recorded)} results"
            assert diary.told <= set(recorded), f"{diary}: {diary.told - set(recorded)} were told, and are not there"
        assert not results, f"results of nobody's batches: {list(results)}"
        self.look_at_starts()

    def look_at_starts(self):
        """No job whose result was seen on disk started after that, and none that nobody submitted."""
        position = 0
        for line in self.trace.read_bytes().splitlines(keepends=True):
            argument = int(line)
            diary = self.diaries.get(argument // diaries.SPAN)
            assert diary and argument in diary.arguments, f"{argument} ran, which nobody submitted"
            assert position < self.recorded.get(argument, position + 1) or diary.retried, f"{argument} of {diary} ran again"
            position += len(line)
