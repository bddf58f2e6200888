# SPDX-License-Identifier: MIT
"""muster's protocol in another language, written from proto/PROTOCOL.md alone: the tables of
that page, frames to messages and back, and a DEALER socket that sends and receives them.

Nothing here comes from muster's code, so that what the page forgets to say fails a test.
Every message is checked by the tables on its way out as on its way in. Values stay encoded
(`bytes`) until somebody looks at them: what passes through is passed through byte by byte.
"""
import fcntl
import os
import struct
import types

import msgpack
import zmq

VERSION = 5
CLIENT, WORKER = 1, 2
RANGE, LIST = 1, 2
SOON, NOW, RETURN = 1, 2, 3
TIMINGS = 5  # numbers for each job
INVALID, PROTOCOL, VERSION_ERROR, NOTFOUND, CANCELLED = 1, 4, 5, 6, 10
FAILED, TIMEOUT, QUARANTINED, LOST, STATE = 11, 13, 14, 15, 16

UINT_MAX = 2**64 - 1
CHUNK_JOBS_MAX = 65536
BLOCK_JOBS_MAX = 4096
BATCH_JOBS_MAX = 2**62
MESSAGE_COST_BYTES = 3072
FAILURE_COST_BYTES = 64
SHARED_EXT = 77
SHARED_BYTES_MAX = 2**48
TEXT_MAX = 1000
WORKERS_MAX = 16384
HOST_WORKERS_MAX = 1024
NAME_MAX, USER_MAX, AFTER_MAX = 200, 64, 64
PRIORITY_MAX = 1000
MEMORY_BYTES_MAX = 2**48
BEGIN_MS_MAX = 253402300799999
EPOCH_MAX = 2**24 - 1
OK, ANY = 1, 2  # what must become of a batch that another waits for
STATUS = 1  # of REQUEST's operations
CONCURRENCY_MAX = 20000
CREDIT_MAX = 20016
STANDING_MAX = 41862
TIMEOUT_MS_MAX = 2147483647
SHARED_REFERENCE = struct.Struct(">BIIQIQQ")  # kind, pid, fd, heap, block, offset, size
STR, BIN = 1, 2
HEAP_NAME = "muster-heap"
HEAP_HEAD = struct.Struct("=QQQ")  # magic, heap, bytes
HEAP_MAGIC = 0x7061656872747375
HEAP_DATA_OFFSET = 65536
F_ADD_SEALS, F_GET_SEALS = 1033, 1034
HEAP_SEALS = 1 | 2 | 4  # seal, shrink, grow
LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Malformed(Exception):
    """A message that is not as the page says."""


def uint(least=0, most=UINT_MAX):
    return lambda value: type(value) is int and least <= value <= most


def signed(value):
    return type(value) is int and -2**63 <= value < 2**63


def boolean(value):
    return type(value) is bool


def text_of(most):
    return lambda value: (type(value) is str and "\n" not in value
                          and len(value.encode(errors="surrogateescape")) <= most)


text = text_of(TEXT_MAX)


def name(value):
    return (type(value) is str and 1 <= len(value) <= 64 and value[0] in LETTERS
            and set(value) <= set(LETTERS + "0123456789_.-"))


def code(value):
    return type(value) is int and value < 0


def code_or_zero(value):
    return type(value) is int and value <= 0


def failure(entry):
    return (type(entry) is list and len(entry) in (3, 4) and uint(1)(entry[0]) and code(entry[1]) and text(entry[2])
            and all(valued is True for valued in entry[3:]))


def failures(value):
    return type(value) is list and all(map(failure, value))


def after(value):
    return type(value) is list and len(value) <= AFTER_MAX and all(
        type(entry) is list and len(entry) == 2 and uint(1)(entry[0]) and uint(OK, ANY)(entry[1]) for entry in value)


def timings(value):
    return value is None or type(value) is list and value and len(value) % TIMINGS == 0 and all(map(uint(), value))


def plugins(value):
    return type(value) is list and len(value) <= 64 and all(
        type(entry) is list and len(entry) == 2 and text_of(NAME_MAX)(entry[0]) and type(entry[1]) is str
        and len(entry[1]) == 64 and set(entry[1]) <= set("0123456789abcdef") for entry in value)


ID = uint(1)
PLACE = uint(1, HOST_WORKERS_MAX)


def peer_name(value):
    return text_of(64)(value) and 0 < len(value) and "\0" not in value


def residents(value):
    return type(value) is list and len(value) <= HOST_WORKERS_MAX and all(
        type(entry) is list and len(entry) == 2 and PLACE(entry[0]) and peer_name(entry[1]) for entry in value) and all(
        before[0] < behind[0] for before, behind in zip(value, value[1:]))


OUTCOME = {"first": uint(1, BATCH_JOBS_MAX + 1), "count": uint(0, CHUNK_JOBS_MAX), "attempt": uint(1, 2**32 - 1),
           "arrived_ns": uint(), "began_ns": uint(), "reported_ns": uint(), "split": boolean, "decode_ns": uint(),
           "execute_ns": uint(), "encode_ns": uint(), "cpu_ns": uint(), "shared_bytes": uint(0, SHARED_BYTES_MAX),
           "failures": failures, "timings": timings}
FIELDS = {
    "HELLO": {"version": uint(0, 2**32 - 1), "role": uint(1, 2), "pid": uint(), "credit": uint(0, CREDIT_MAX),
              "concurrency": uint(0, CONCURRENCY_MAX), "software": text, "user": text_of(USER_MAX),
              "standing": uint(0, STANDING_MAX)},
    "WELCOME": {"version": uint(0, 2**32 - 1), "workers": uint(0, WORKERS_MAX), "host": uint(),
                "keeps": uint(0, 2), "epoch": uint(0, EPOCH_MAX)},
    "ERROR": {"ticket": uint(), "code": code, "text": text},
    "SUBMIT": {"ticket": ID, "function": name, "kind": uint(1, 2), "first": signed, "last": signed,
               "chunk_jobs": uint(0, CHUNK_JOBS_MAX), "timeout_ms": uint(0, TIMEOUT_MS_MAX),
               "retries": uint(0, 1000), "crash_limit": uint(1, 1000), "timings": boolean, "shared": boolean,
               "window_bytes": uint(1), "count": uint(0, BLOCK_JOBS_MAX), "keep": boolean, "hold": boolean,
               "attach": boolean, "ordered": boolean, "name": text_of(NAME_MAX),
               "priority": lambda value: signed(value) and abs(value) <= PRIORITY_MAX,
               "most_running": uint(0, 2**32 - 1), "cpus": uint(1, WORKERS_MAX),
               "memory_bytes": uint(0, MEMORY_BYTES_MAX), "begin_ms": uint(0, BEGIN_MS_MAX),
               "backoff_ms": uint(0, TIMEOUT_MS_MAX), "after": after},
    "ACCEPTED": {"ticket": ID, "batch": ID},
    "ARGUMENTS": {"ticket": ID, "first": uint(1, BATCH_JOBS_MAX), "count": uint(1, BLOCK_JOBS_MAX),
                  "shared_bytes": uint(0, SHARED_BYTES_MAX)},
    "SEAL": {"ticket": ID, "total": uint(0, BATCH_JOBS_MAX)},
    "GRANT": {"ticket": ID, "bytes": uint()},
    "RESULTS": {"ticket": ID, "worker": uint(0, WORKERS_MAX), "queued_ns": uint(), "assigned_ns": uint(),
                **OUTCOME},
    "CONSUMED": {"ticket": ID, "bytes": uint()},
    "ENDED": {"ticket": ID, "code": code_or_zero, "succeeded": uint(), "failed": uint(), "cancelled": uint(),
              "retried": uint(), "crashes": uint(), "late": uint(), "chunks": uint(), "bytes_in": uint(),
              "bytes_out": uint(), "execute_ns": uint(), "cpu_ns": uint(), "process_cpu_ns": uint(),
              "voluntary": uint(), "involuntary": uint(), "text": text},
    "CANCEL": {"id": ID, "mode": uint(1, 3), "first": uint(0, BATCH_JOBS_MAX), "count": uint(0, BATCH_JOBS_MAX)},
    "CHUNK": {"batch": ID, "chunk": ID, "function": name, "first": uint(1, BATCH_JOBS_MAX),
              "count": uint(1, CHUNK_JOBS_MAX), "attempt": uint(1, 2**32 - 1), "timeout_ms": uint(0, TIMEOUT_MS_MAX),
              "timings": boolean, "reader": uint(), "shared_bytes": uint(0, SHARED_BYTES_MAX), "kind": uint(1, 2),
              "argument": signed},
    "RESULT": {"batch": ID, "chunk": ID, "number": uint(), "final": boolean, "process_cpu_ns": uint(), "process_voluntary": uint(),
               "process_involuntary": uint(), **OUTCOME},
    "PING": {"nonce": uint()},
    "PONG": {"nonce": uint()},
    "STOP": {},
    "RETURNED": {"batch": ID, "chunk": ID, "first": uint(1, BATCH_JOBS_MAX), "count": uint(1, CHUNK_JOBS_MAX)},
    "ATTACH": {"ticket": ID, "batch": ID, "first": uint(1, BATCH_JOBS_MAX), "ordered": boolean, "follow": boolean,
               "arguments": boolean, "results": boolean, "window_bytes": uint()},
    "ATTACHED": {"ticket": ID, "batch": ID, "function": name, "kind": uint(1, 2), "first": signed, "last": signed,
                 "total": uint(0, BATCH_JOBS_MAX), "sealed": boolean},
    "DETACH": {"ticket": ID},
    "REQUEST": {"ticket": ID, "operation": uint(1, 9), "batch": uint(), "number": uint(), "text": text},
    "ANSWER": {"ticket": ID, "code": code_or_zero, "more": boolean, "text": text},
    "STANDING": {"batch": ID, "chunk": ID, "first": uint(1, BATCH_JOBS_MAX), "count": uint(1, CHUNK_JOBS_MAX),
                 "attempt": uint(1, 2**32 - 1)},
    "KEPT": {"number": ID},
    "JOIN": {"version": uint(0, 2**32 - 1), "pid": uint(), "session": uint(1), "state": uint(), "epoch": uint(0, 2**24 - 1),
             "connection": uint(1, 2**32 - 1), "workers": uint(1, HOST_WORKERS_MAX), "host": text_of(64),
             "software": text, "sandbox": text_of(NAME_MAX), "plugins": plugins, "residents": residents},
    "JOINED": {"version": uint(0, 2**32 - 1), "beat_ms": uint(1, 60000), "state": uint(1), "epoch": uint(0, 2**24 - 1),
               "hold_ms": uint(0, 2**32 - 1)},
    "SPAWN": {"place": PLACE, "name": peer_name},
    "KILL": {"place": PLACE},
    "EXITED": {"place": PLACE, "killed": boolean, "executing": boolean, "timed_out": boolean,
               "progress": uint(0, 1000), "chunk": uint(), "index": uint(), "batch": uint(),
               "attempt": uint(0, 2**32 - 1), "reason": text_of(767)},
    "BEAT": {"nonce": uint(), "clock_ns": uint()},
}
LAST = {"SUBMIT": "common", "CHUNK": "common"}  # fields that may be left out
NUMBERS = {kind: number for number, kind in enumerate(FIELDS, 1)}
KINDS = {number: kind for kind, number in NUMBERS.items()}


def check(condition, what):
    if not condition:
        raise Malformed(what)


def fields_of(kind, given):
    """The names of a message's fields, with the one that may be left out if it is given."""
    return [*FIELDS[kind], *([LAST[kind]] if given else [])]


def check_fields(message):
    """Every field in its range, and the ranges that depend on another field."""
    for field, in_range in FIELDS[message.type].items():
        check(in_range(getattr(message, field)), f"{message.type}.{field}: {getattr(message, field)!r}")
    if hasattr(message, "common"):
        check(type(message.common) is bytes and len(split(message.common, 1)) == 1, f"{message.type}.common")
    if message.type in ("SUBMIT", "CHUNK") and message.kind == LIST:
        check(getattr(message, "argument", 0) == 0, "CHUNK.argument")
    if message.type == "CHUNK":
        check(message.kind == LIST or message.shared_bytes == 0, "CHUNK.shared_bytes")
    if message.type in ("SUBMIT", "ATTACHED"):
        check(message.first <= message.last and message.last - message.first < BATCH_JOBS_MAX, f"{message.type}.last")
        check(message.kind == RANGE or message.first == message.last == 0, f"{message.type}.first")
    if message.type == "SUBMIT":
        check(message.kind == LIST or message.count == 0, "SUBMIT.count")
        check(message.keep or not message.hold, "SUBMIT.hold")
        check(message.keep or message.attach, "SUBMIT.attach")
    if message.type == "ATTACH":
        check(message.results == (message.window_bytes > 0), "ATTACH.window_bytes")
        check(message.results or not message.arguments, "ATTACH.arguments")
    if message.type == "HELLO":
        check((message.role == WORKER) == (message.concurrency > 0) == (message.credit > 0), "HELLO: of a worker")
        check(message.role == WORKER or message.standing == 0, "HELLO.standing")
        check(message.role == CLIENT or message.user == "", "HELLO.user")
    if message.type == "CANCEL":
        check((message.first == 0) == (message.count == 0), "CANCEL.first")
        check(message.first + message.count <= BATCH_JOBS_MAX + 1, "CANCEL.count")
        check(message.mode != RETURN or message.count > 0, "CANCEL.mode")
    if message.type in ("RESULT", "RESULTS"):
        indexes = [entry[0] for entry in message.failures]
        check(message.count > 0 or message.type == "RESULT" and message.final, f"{message.type}.count")
        check(indexes == sorted(set(indexes)), f"{message.type}.failures: the order")
        check(not indexes or message.first <= indexes[0] and indexes[-1] < message.first + message.count,
              f"{message.type}.failures: an index")
        check(message.timings is None or len(message.timings) == TIMINGS * message.count, f"{message.type}.timings: length")


def value_count(message):
    """How many values the payload has; None: the message has no payload frame."""
    if message.type == "ARGUMENTS" or message.type == "CHUNK" and message.kind == LIST:
        return message.count
    if message.type == "SUBMIT":
        return message.count
    if message.type == "ANSWER":
        return 1
    if message.type in ("RESULTS", "RESULT"):
        return message.count - sum(len(entry) == 3 for entry in message.failures)
    return None


def pack(value):
    """The encoded value; raises what msgpack raises if it is none."""
    return msgpack.packb(value, use_bin_type=True, unicode_errors="surrogateescape")


def unpack(encoded, ext_hook=msgpack.ExtType):
    """The value of these bytes."""
    return msgpack.unpackb(encoded, raw=False, strict_map_key=False, unicode_errors="surrogateescape",
                           ext_hook=ext_hook)


def follow(kind, data):
    """What stands in the place of an ext: a reference is replaced by the bytes that it leads to."""
    if kind != SHARED_EXT:
        return msgpack.ExtType(kind, data)
    check(len(data) == SHARED_REFERENCE.size, "a reference of another length")
    what, pid, fd, heap, _, offset, size = SHARED_REFERENCE.unpack(data)
    path = f"/proc/{pid}/fd/{fd}"
    check(os.readlink(path).startswith(f"/memfd:{HEAP_NAME}"), "a reference to another file")
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        total = os.fstat(file).st_size
        check(fcntl.fcntl(file, F_GET_SEALS) & HEAP_SEALS == HEAP_SEALS, "a heap that may shrink")
        check(HEAP_HEAD.unpack(os.pread(file, HEAP_HEAD.size, 0)) == (HEAP_MAGIC, heap, total), "another heap")
        check(what in (STR, BIN) and heap and 0 < size <= total and HEAP_DATA_OFFSET <= offset <= total - size,
              "a reference out of range")
        found = os.pread(file, size, offset)
    finally:
        os.close(file)
    return found.decode(errors="surrogateescape") if what == STR else found


class Heap:
    """Memory that this process lends. Nothing in it is ever freed or used again."""
    NUMBER = 0x1234567812345678

    def __init__(self, size):
        self.file = os.memfd_create(HEAP_NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.file, size)
        fcntl.fcntl(self.file, F_ADD_SEALS, HEAP_SEALS)
        os.pwrite(self.file, HEAP_HEAD.pack(HEAP_MAGIC, self.NUMBER, size), 0)
        self.blocks, self.used = 0, HEAP_DATA_OFFSET

    def lend(self, value):
        """A reference to the bytes of a str or a bin."""
        data = value.encode() if isinstance(value, str) else value
        os.pwrite(self.file, data, self.used)
        self.blocks += 1
        reference = SHARED_REFERENCE.pack(STR if isinstance(value, str) else BIN, os.getpid(), self.file, self.NUMBER,
                                          self.blocks, self.used, len(data))
        self.used += len(data)
        return msgpack.ExtType(SHARED_EXT, reference)

    def close(self):
        os.close(self.file)


def split(payload, count):
    """The `count` encoded values of a payload."""
    unpacker = msgpack.Unpacker(max_buffer_size=max(1, len(payload)))
    unpacker.feed(payload)
    ends = [0]
    try:
        for _ in range(count):
            unpacker.skip()
            ends.append(unpacker.tell())
    except (msgpack.UnpackException, ValueError) as error:
        raise Malformed(f"payload: value {len(ends)} of {count}: {error!r}") from error
    check(ends[-1] == len(payload), "payload: bytes behind the last value")
    return [payload[begin:end] for begin, end in zip(ends, ends[1:])]


def encode(kind, values=(), /, **fields):
    """The frames of a message."""
    message = types.SimpleNamespace(type=kind, **fields)
    names = fields_of(kind, LAST.get(kind) in fields)
    check(fields.keys() == set(names), f"{kind}: {sorted(fields)}")
    check_fields(message)
    header = pack([NUMBERS[kind], *(fields[field] for field in names)])
    count = value_count(message)
    check(len(values) == (count or 0), f"{kind}: {len(values)} values for {count}")
    return [header] if count is None else [header, b"".join(values)]


def decode(frames):
    """The message in these frames: its fields, `type`, `values` (encoded) and `payload_bytes`."""
    try:
        header = unpack(frames[0])
    except (msgpack.UnpackException, ValueError) as error:
        raise Malformed(f"header: {error!r}") from error
    check(type(header) is list and header and header[0] in KINDS, f"header: {header!r}")
    kind = KINDS[header[0]]
    names = fields_of(kind, kind in LAST and len(header) > 1 + len(FIELDS[kind]))
    check(type(header[0]) is int and len(header) == 1 + len(names), f"{kind}: {header!r}")
    message = types.SimpleNamespace(type=kind, **dict(zip(names, header[1:])))
    check_fields(message)
    count = value_count(message)
    check(len(frames) == (1 if count is None else 2), f"{kind}: {len(frames)} frames")
    message.values = [] if count is None else split(frames[1], count)
    message.payload_bytes = 0 if count is None else len(frames[1])
    return message


def cost(payload_bytes, failed=(), shared_bytes=0):
    """What ARGUMENTS or RESULTS count against a grant or a window."""
    texts = sum(len(why.encode(errors="surrogateescape")) + FAILURE_COST_BYTES for _, _, why, *_ in failed)
    return payload_bytes + MESSAGE_COST_BYTES + texts + shared_bytes


def golden(path):
    """The frames of a golden vector."""
    frames = []
    for line in path.read_text(encoding="utf-8").splitlines():
        words = line.split("#")[0].split()
        if words in (["header"], ["payload"]):
            frames.append(b"")
        elif words:
            frames[-1] += bytes.fromhex("".join(words))
    return frames


class Peer:
    """A DEALER socket that is connected to a coordinator under a name."""

    def __init__(self, endpoint, routing_id, keys=None):
        """`keys` are bytes: this side's public and secret one, and the coordinator's."""
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.ROUTING_ID, routing_id.encode())
        self.socket.setsockopt(zmq.SNDHWM, 0)
        self.socket.setsockopt(zmq.RCVHWM, 0)
        self.socket.setsockopt(zmq.LINGER, 1000)
        if keys:
            self.socket.curve_publickey, self.socket.curve_secretkey, self.socket.curve_serverkey = keys
        self.socket.connect(endpoint)

    def send(self, kind, values=(), /, **fields):
        self.socket.send_multipart(encode(kind, values, **fields))

    def receive(self):
        """The next message; waits for it."""
        return decode(self.socket.recv_multipart())

    def close(self):
        """What was sent has a second to leave."""
        self.socket.close()
        self.context.term()
