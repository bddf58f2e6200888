# SPDX-License-Identifier: MIT
"""What the integration tests share: run the command with a limit, look at all it did.

A test is a script that ends in `harness.main()`, with classes derived from Case; ctest gives
it MUSTER (the command) and MUSTER_TEST_PLUGINS (where the test plug-ins are). After every
test two things are checked without being asked: no process of the test lives on, and
nothing is left in its temporary directory. Nothing here sleeps to synchronise: waits are for
an event (a line, a process's end, a condition) and fail at their limit.
"""
import errno
import os
import pathlib
import re
import resource
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import uuid

MUSTER = os.environ.get("MUSTER", "")
PLUGINS = pathlib.Path(os.environ.get("MUSTER_TEST_PLUGINS", "."))
SANITIZE = os.environ.get("MUSTER_SANITIZE", "")
SANITIZER_OPTIONS = {name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}

# Reached by what hangs only: a machine that others use, too, is ten times as slow now and then.
LIMIT_S = 120  # of one run; a test that needs more says so
GONE_LIMIT_S = 10  # until all processes are gone after a run
COVERAGE = os.environ.get("MUSTER_COVERAGE") == "ON"
# What libgcov (tests/run --coverage) says where it cannot write: in a sandbox, or without a descriptor.
COUNTS = re.compile(rb"^(?:profiling|libgcov profiling error):.*\n", re.M) if COVERAGE else re.compile(rb"(?!)")
MARK = "MUSTER_TEST_CASE"  # in the environment of all that a test starts


def plugin(name):
    """The path of a test plug-in."""
    return str(PLUGINS / f"{name}.so")


def as_root(mount, *command):
    """A shell command line in a mount namespace of its own, after `mount`; None where that is not allowed."""
    words = ["unshare", "--mount", "--map-root-user", "sh", "-c", f'{mount} && exec "$0" "$@"', *map(str, command)]
    probe = ["unshare", "--mount", "--map-root-user", "sh", "-c", mount]
    return words if subprocess.run(probe, capture_output=True, check=False).returncode == 0 else None


class Result:
    """How a run ended: status as the shell says it (128 + signal), output as text."""

    def __init__(self, command, status, out, err, seconds):
        self.command = command
        self.status = status if status >= 0 else 128 - status
        self.out = out.decode(errors="surrogateescape")
        self.err = COUNTS.sub(b"", err).decode(errors="surrogateescape")
        self.seconds = seconds

    def __str__(self):
        def show(text):
            return text if len(text) < 4000 else f"{text[:2000]}\n[...]\n{text[-2000:]}"

        return (f"\n$ {shlex.join(map(str, self.command))}\nstatus {self.status} after {self.seconds:.2f} s"
                f"\n--- standard output\n{show(self.out)}\n--- standard error\n{show(self.err)}\n---")


class Running:
    """A command under way."""

    def __init__(self, case, command, env, limits, **streams):
        def set_limits():
            for kind, value in (limits or {}).items():
                resource.setrlimit(kind, (value, value))

        self.command = command
        self.begin = time.monotonic()
        self.case = case
        # A session of its own: signals of the test reach all of it and nothing else.
        self.process = subprocess.Popen(command, env=env, start_new_session=True, preexec_fn=set_limits, **streams)
        self.pid = self.process.pid
        self.unread = b""

    def signal(self, number):
        """To the command alone."""
        self.process.send_signal(number)

    def interrupt(self):
        """Ctrl-C: the terminal sends it to the whole foreground group."""
        os.killpg(self.pid, signal.SIGINT)

    def children(self):
        """Its workers, and what else it started itself, without zombies."""
        server = self.fork_server()
        return [pid for pid, parent, state in processes()
                if parent in (self.pid, *server) and state != "Z" and pid not in server]

    def fork_server(self):
        """The process that forks its workers, if there is one."""
        return [pid for pid, parent, _ in processes() if parent == self.pid and name(pid) == "muster-fork"]

    def line(self, limit=LIMIT_S):
        """The next line of standard output, without its newline; fails when none comes in time."""
        line = self.read_line(limit)
        while COUNTS.match(line):
            line = self.read_line(limit)
        return line[:-1].decode()

    def read_line(self, limit):
        deadline = time.monotonic() + limit
        out = self.process.stdout.fileno()
        while b"\n" not in self.unread:
            ready, _, _ = select.select([out], [], [], max(0, deadline - time.monotonic()))
            part = os.read(out, 65536) if ready else b""
            if not part:
                self.case.fail(f"no line from {shlex.join(map(str, self.command))} "
                               f"({'end of output' if ready else f'within {limit} s'})")
            self.unread += part
        end = self.unread.index(b"\n") + 1
        line, self.unread = self.unread[:end], self.unread[end:]
        return line

    def write(self, text):
        """To standard input, at once."""
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def end(self, limit=LIMIT_S):
        """Closes standard input, waits for the end; the Result holds what was not read by line()."""
        try:
            out, err = self.process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGABRT)
            out, err = self.process.communicate()
            self.case.fail(f"not over within {limit} s: "
                           f"{Result(self.command, self.process.returncode, out or b'', err or b'', limit)}")
        return Result(self.command, self.process.returncode, self.unread + (out or b""), err or b"",
                      time.monotonic() - self.begin)


def shown_on(reader):
    """All that was written to a terminal, of which this is the other end, after its last writer ended.

    What was written need not arrive in one piece."""
    shown = b""
    try:
        while part := os.read(reader, 65536):
            shown += part
    except OSError as error:
        if error.errno != errno.EIO:  # the end of a terminal
            raise
    os.close(reader)
    return shown


def processes():
    """(pid, parent, state) of every process of this machine."""
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            stat = pathlib.Path(entry.path, "stat").read_text(errors="replace")
        except OSError:
            continue  # gone meanwhile
        state, parent = stat.rpartition(")")[2].split()[:2]
        yield int(entry.name), int(parent), state


def name(pid):
    """What a process calls itself; nothing where it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return ""


class Case(unittest.TestCase):
    """A test with a directory of its own and the command at hand."""

    may_leave_files = False  # a test that kills a coordinator says True

    def setUp(self):
        self.mark = uuid.uuid4().hex
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="muster-test-"))
        self.temporary = self.home / "tmp"
        self.temporary.mkdir()
        self.env = {**os.environ, MARK: self.mark, "TMPDIR": str(self.temporary), "LC_ALL": "C.UTF-8",
                    "SHELL": "/bin/sh"}  # the shell of commands, which differ
        for name in ("MUSTER_PLUGIN_PATH", "MUSTER_COORDINATOR", "XDG_RUNTIME_DIR"):
            self.env.pop(name, None)

    def tearDown(self):
        try:
            self.assert_processes_gone()
            # The user's own folder stays, for the next coordinator, and that of his daemon; what was inside goes.
            # The thread sanitizer begins with a file, which stays if it is killed then.
            left = {str(path.relative_to(self.temporary)) for path in self.temporary.rglob("*")
                    if not path.name.startswith("tsan.rodata.")}
            if not self.may_leave_files:
                kept = {f"muster-{os.getuid()}", f"muster-{os.getuid()}/daemon"}
                self.assertEqual(left - kept, set(), "left in the temporary directory")
        finally:
            for pid in self.marked():
                os.kill(pid, signal.SIGKILL)
            shutil.rmtree(self.home, ignore_errors=True)

    def start(self, *arguments, env=None, limits=None, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
              stderr=subprocess.PIPE, cwd=None, command=None):
        """Starts muster (or `command`) and returns while it runs. `limits` maps RLIMIT_x to a value."""
        command = [command or MUSTER, *map(str, arguments)]
        return Running(self, command, {**self.env, **(env or {})}, limits, stdin=stdin, stdout=stdout,
                       stderr=stderr, cwd=cwd)

    def muster(self, *arguments, text=None, limit=LIMIT_S, **options):
        """Runs muster to its end, with `text` (or nothing) as standard input."""
        with tempfile.TemporaryFile() as file:
            file.write((text or "").encode())
            file.seek(0)
            return self.start(*arguments, stdin=options.pop("stdin", file), **options).end(limit)

    def assert_ok(self, result, out=None):
        """Status 0, nothing on standard error, and this output."""
        self.assertEqual((result.status, result.err), (0, ""), str(result))
        if out is not None:
            self.assertEqual(result.out, out, str(result))

    def assert_fails(self, result, status, *words):
        """This status, and an error that says all these words."""
        self.assertEqual(result.status, status, str(result))
        for word in words:
            self.assertIn(word, result.err, str(result))

    def assert_one_line_error(self, result, *words):
        """Status 255, nothing on standard output, and one line that says what is wrong."""
        self.assert_fails(result, 255, *words)
        self.assertEqual(result.out, "", str(result))
        self.assertRegex(result.err, r"\Amuster: [^\n]+\n\Z", str(result))

    def until(self, condition, what, limit=LIMIT_S):
        """Waits for a condition that no descriptor announces; returns its first true value."""
        deadline = time.monotonic() + limit
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > deadline:
                self.fail(f"not within {limit} s: {what}")
            select.select([], [], [], 0.005)

    def marked(self):
        """The processes that this test started, directly or not, and that still live."""
        wanted = f"{MARK}={self.mark}".encode()
        for pid, _, state in list(processes()):
            try:
                if state != "Z" and wanted in pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    yield pid
            except OSError:
                continue  # gone meanwhile

    def assert_processes_gone(self, limit=GONE_LIMIT_S):
        """Every process of this test ends by itself, soon."""
        deadline = time.monotonic() + limit
        for pid in self.marked():
            self.assert_gone(pid, max(0.0, deadline - time.monotonic()))

    def assert_gone(self, pid, limit=GONE_LIMIT_S):
        """The process ends within the limit; its pidfd tells."""
        try:
            command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            descriptor = os.pidfd_open(pid)
        except OSError:
            return
        try:
            ready, _, _ = select.select([descriptor], [], [], limit)
        finally:
            os.close(descriptor)
        self.assertTrue(ready, f"process {pid} still runs: {command}")


def main():
    if not MUSTER:
        sys.exit("MUSTER is not set: run this by ctest, or say where the command is")
    # What runs tests in the background, or under nohup, ignores these, and so would all that they start.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    unittest.main(verbosity=2)
