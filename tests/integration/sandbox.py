#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""--sandbox: what is forbidden fails, what is needed works, and what holds is what is told."""
import ctypes
import json
import os
import shutil
import signal
import unittest

import harness
from harness import plugin

ESCAPE = ("--plugin", plugin("escape"))

# A thread of the leak sanitizer traces the process at its end, which a sandbox forbids.
QUIET = {"ASAN_OPTIONS": harness.SANITIZER_OPTIONS.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}


def landlock():
    """The version of this kernel's Landlock; None where there is none."""
    version = ctypes.CDLL(None).syscall(444, None, 0, 1)
    return version if version > 0 else None


LANDLOCK = landlock()
LAYERS = {"no_new_privs": True, "landlock": LANDLOCK, "seccomp": True, "memory": None}


# The sanitizers' own memory is more than any limit that jobs would notice.
MEMORY = () if harness.SANITIZE else ("--memory", "256M")


# A name for the file that standard output is.
LINK = """import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
made = libc.linkat(-100, b"/proc/self/fd/1", -100, b"mine", 0x400)
print("linked" if made == 0 else os.strerror(ctypes.get_errno()))
"""


class Case(harness.Case):
    def setUp(self):
        super().setUp()
        self.work = self.home / "work"
        self.work.mkdir()
        self.secret = self.home / "user" / "secret"
        self.secret.parent.mkdir()
        self.secret.write_text("secret\n", encoding="ascii")
        (self.home / "other").write_text("other\n", encoding="ascii")
        sockets = self.home / "run"
        sockets.mkdir()
        self.env = {**self.env, **QUIET, "HOME": str(self.secret.parent), "XDG_RUNTIME_DIR": str(sockets)}

    def run_muster(self, *arguments, **options):
        return self.muster(*arguments, cwd=self.work, **options)


class Functions(Case):
    def tried(self, sandbox, *attempts):
        result = self.run_muster("map", "escape", sandbox, "-j1", *ESCAPE, ":::", *attempts)
        self.assertEqual(result.status, 0, result)
        return dict(zip(attempts, map(json.loads, result.out.splitlines())))

    def test_what_computing_does_not_need_is_refused(self):
        calls = ("ptrace", "read another", "mount", "unshare", "clone newuser", "bpf", "perf", "userfaultfd",
                 "keyctl", "kexec", "module", "io_uring", "terminal", "inet", "unix", "netlink", "core",
                 "open tree")
        self.assertEqual(self.tried("--sandbox", *calls), dict.fromkeys(calls, "EPERM"))
        self.assertEqual(self.tried("--sandbox", "clone", "clone3 newuser", "descriptors"),
                         {"clone": "allowed", "clone3 newuser": "ENOSYS", "descriptors": "allowed"})

    @unittest.skipIf(not LANDLOCK, "this kernel has no Landlock")
    def test_files_are_read_but_at_home_and_written_where_it_works(self):
        found = self.tried("--sandbox", f"read {self.home}/other", "read /etc/passwd", f"read {self.secret}",
                           f"write {self.home}/other", f"write {self.home}/new", "write here", "write /dev/null",
                           f"write {self.temporary}/in-temporary")
        self.assertEqual(list(found.values()), ["allowed", "allowed", "EACCES", "EACCES", "EACCES", "allowed",
                                                "allowed", "allowed"])
        self.assertTrue((self.work / "here").exists())
        (self.temporary / "in-temporary").unlink()
        self.assertEqual(self.tried("--sandbox=home", f"read {self.secret}", f"write {self.secret}"),
                         {f"read {self.secret}": "allowed", f"write {self.secret}": "EACCES"})

    def test_worker_of_root_keeps_no_capabilities(self):
        self.assertEqual(self.tried("--sandbox", "privileges"), {"privileges": "EPERM"})

    def test_nothing_is_done_to_other_processes(self):
        others = ("limit parent", "affinity parent", "scheduler parent", "priority parent", "priority user",
                  "ioprio parent", "ioprio user", "pidfd", "signal all", "shared memory", "semaphores", "messages",
                  "queue", "queue receive", "queue attributes")
        itself = ("limit self", "affinity self", "scheduler self", "priority self", "ioprio self", "pair stream")
        self.assertEqual(self.tried("--sandbox", *others, *itself),
                         {**dict.fromkeys(others, "EPERM"), **dict.fromkeys(itself, "allowed")})

    @unittest.skipIf(not LANDLOCK, "this kernel has no Landlock")
    def test_plugin_that_a_job_puts_in_the_place_of_its_own_is_confined_too(self):
        """The caller must not have it, and workers that come after must not load it unconfined."""
        shutil.copy(plugin("escape"), self.work / "mine.so")
        shutil.copy(plugin("intruder"), self.work / "intruder.so")
        result = self.run_muster("map", "escape", "--sandbox", "-j1", "--plugin", "./mine.so", ":::", "overwrite",
                                 env={"MUSTER_TEST_INTRUDER": str(self.home / "intruded")})
        self.assertEqual((result.status, result.out), (0, '"intruded"\n'), result)
        self.assertFalse((self.home / "intruded").exists())

    def test_program_that_a_job_puts_in_the_place_of_muster_is_not_started(self):
        shutil.copy(harness.MUSTER, self.work / "muster")
        intruder = self.work / "intruder"
        intruder.write_text(f"#!/bin/sh\ntouch {self.home}/intruded\n", encoding="ascii")
        intruder.chmod(0o755)
        result = self.run_muster("map", "escape", "--sandbox", "-j1", *ESCAPE, ":::", "replace",
                                 command=self.work / "muster")
        self.assertEqual((result.status, result.out), (0, '"ENOENT"\n'), result)
        self.assertFalse((self.home / "intruded").exists())

    @unittest.skipIf(not LANDLOCK, "this kernel has no Landlock")
    def test_plugin_at_home_is_loaded_and_nothing_else_there_is_read(self):
        mine = self.secret.parent / "mine.so"
        shutil.copy(plugin("escape"), mine)
        result = self.run_muster("map", "escape", "--sandbox", "--plugin", mine, ":::", f"read {self.secret}")
        self.assertEqual((result.status, result.out), (0, '"EACCES"\n'), result)

    @unittest.skipIf(not LANDLOCK, "this kernel has no Landlock")
    def test_sockets_of_the_coordinator_must_not_be_where_jobs_write(self):
        del self.env["XDG_RUNTIME_DIR"]
        for arguments in (("map", "noop", "--sandbox"), ("exec", "--sandbox", "true")):
            result = self.run_muster(*arguments, ":::", "1")
            self.assertNotEqual(result.status, 0, result)
            self.assertIn("set XDG_RUNTIME_DIR", result.err)

    @unittest.skipIf(not LANDLOCK, "this kernel has no Landlock")
    def test_state_and_keys_must_not_be_where_jobs_write(self):
        for variable, word in (("XDG_CONFIG_HOME", "muster's keys"), ("XDG_STATE_HOME", "the state of a coordinator")):
            for folder in (self.work, self.work / "not" / "there"):
                for arguments in (("map", "noop", "--sandbox"), ("exec", "--sandbox", "true")):
                    result = self.run_muster(*arguments, ":::", "1", env={variable: str(folder)})
                    self.assertNotEqual(result.status, 0, result)
                    self.assertIn(word, result.err)
                    self.assertIn(f"set {variable}", result.err)

    @unittest.skipIf(not LANDLOCK, "this kernel has no Landlock")
    def test_keys_by_a_chain_of_links_through_where_jobs_write_are_refused(self):
        """A job would have the one in the middle lead elsewhere."""
        (self.home / "keys").mkdir()
        (self.work / "middle").symlink_to(self.home / "keys")
        (self.home / "first").symlink_to("work/middle")
        for arguments in (("map", "noop", "--sandbox"), ("exec", "--sandbox", "true")):
            result = self.run_muster(*arguments, ":::", "1", env={"XDG_CONFIG_HOME": str(self.home / "first")})
            self.assertNotEqual(result.status, 0, result)
            self.assertIn("muster's keys", result.err)

    @unittest.skipIf(not LANDLOCK, "this kernel has no Landlock")
    def test_keys_and_state_outside_of_home_are_not_read(self):
        files = []
        for variable, name in (("XDG_CONFIG_HOME", "key"), ("XDG_STATE_HOME", "coordinator.db")):
            folder = self.home / variable / "muster"
            folder.mkdir(parents=True)
            files.append(folder / name)
            files[-1].write_text("secret\n", encoding="ascii")
            self.env[variable] = str(folder.parent)
        beside = self.home / "XDG_CONFIG_HOME" / "other"
        beside.touch()
        found = self.tried("--sandbox", *(f"read {path}" for path in (*files, beside)))
        self.assertEqual(list(found.values()), ["EACCES", "EACCES", "allowed"])

    @unittest.skipIf(not LANDLOCK, "this kernel has no Landlock")
    def test_locks_of_coordinators_cannot_be_held(self):
        """flock(2) wants a descriptor, and one to read with will do."""
        nest = self.home / "run" / f"muster-{os.geteuid()}"
        (nest / "daemon").mkdir(parents=True, mode=0o700)
        nest.chmod(0o700)
        lock = nest / "daemon" / "socket.lock"
        lock.touch()
        places = (lock, nest / "daemon", nest)
        found = self.tried("--sandbox", *(f"read {path}" for path in places))
        self.assertEqual(list(found.values()), ["EACCES"] * 3)
        for path in places:
            result = self.run_muster("exec", "--sandbox", "flock", "-n", path, "true", ":::", "1")
            self.assertNotEqual(result.status, 0, path)

    @unittest.skipIf(not LANDLOCK or LANDLOCK < 6, "this kernel's Landlock does not confine signals")
    def test_nobody_else_is_sent_signals(self):
        self.assertEqual(self.tried("--sandbox", "signal parent"), {"signal parent": "EPERM"})

    def test_network_is_there_when_asked_for(self):
        for words, allowed in (("net", ("inet",)), ("local", ("unix", "pair datagram")),
                               ("net,local", ("inet", "unix", "pair datagram"))):
            calls = ("inet", "unix", "pair datagram", "netlink", "ptrace")
            self.assertEqual(self.tried(f"--sandbox={words}", *calls),
                             {call: "allowed" if call in allowed else "EPERM" for call in calls}, words)

    def test_descriptors_of_the_caller_are_closed(self):
        (self.home / "stranger").touch()
        line = f"exec {harness.MUSTER} map escape --sandbox -j1 --plugin {plugin('escape')} ::: descriptors"
        self.assert_ok(self.run_muster("-c", f"{line} 9<{self.home}/stranger", command="/bin/sh"), '"allowed"\n')
        self.assert_ok(self.run_muster("-c", f"{line.replace('--sandbox', '')} 9<{self.home}/stranger",
                                       command="/bin/sh"), '"EMFILE"\n')

    def test_fetch_says_why_it_cannot(self):
        result = self.run_muster("map", "fetch", "--sandbox", ":::", "http://127.0.0.1:9/")
        self.assertEqual(result.status, 1, result)
        self.assertIn("--sandbox keeps jobs from the network, --sandbox=net lets them use it", result.err)
        result = self.run_muster("map", "fetch", "--sandbox=net", ":::", "http://127.0.0.1:9/")
        self.assertIn("Connection refused", result.err)

    def test_workers_work_as_ever(self):
        """Chunks, large values both ways, coroutines, limits, and crashes that are told."""
        self.assert_ok(self.run_muster("map", "noop", "--sandbox", "-o", "none", ":::", "1..100000"), "")
        large = json.dumps("x" * 3000000)
        self.assert_ok(self.run_muster("map", "echo", "--sandbox", text=large + "\n"), large + "\n")
        self.assert_ok(self.run_muster("map", "echo", "--sandbox", "--concurrency", "4", *MEMORY, ":::",
                                       "1..50"), "".join(f"{n}\n" for n in range(1, 51)))
        result = self.run_muster("map", "crash", "--sandbox", "--crash-limit", "1", "--plugin", plugin("faulty"),
                                 ":::", "1", "false")
        self.assertEqual(result.status, 1, result)
        self.assertIn("killed by SIGSEGV", result.err)
        result = self.run_muster("map", "spin", "--sandbox", "--timeout", "0.2", ":::", "1000")
        self.assertIn("timed out", result.err)

    def test_thread_of_a_plugin_would_not_be_confined(self):
        if "thread" in harness.SANITIZE:
            self.skipTest("its own threads cannot be told from others")
        result = self.run_muster("map", "echo", "--sandbox", "--plugin", plugin("constructor_thread"), ":::", "1")
        self.assertEqual(result.status, 255, result)
        self.assertIn("started a thread", result.err)

    def test_stats_say_which_layers_held(self):
        result = self.run_muster("map", "noop", "--sandbox", "--stats", "-", ":::", "1")
        self.assertEqual(json.loads(result.err)["sandbox"], LAYERS)
        result = self.run_muster("map", "noop", "--sandbox=strict,net", *MEMORY, "--stats", "-", ":::", "1")
        self.assertEqual(json.loads(result.err)["sandbox"], {**LAYERS, "memory": "rlimit" if MEMORY else None})
        result = self.run_muster("map", "noop", "--stats", "-", ":::", "1")
        self.assertNotIn("sandbox", json.loads(result.err))

    @unittest.skipIf(not LANDLOCK, "this kernel has no Landlock")
    def test_folder_that_holds_home_is_refused(self):
        result = self.muster("map", "noop", "--sandbox", ":::", "1", cwd=self.secret.parent)
        self.assertEqual(result.status, 255, result)
        self.assertIn("--sandbox=home", result.err)
        self.assert_ok(self.muster("map", "noop", "--sandbox=home", "-o", "none", ":::", "1", cwd=self.secret.parent))

    def test_words_and_models_are_checked(self):
        self.assert_one_line_error(self.run_muster("map", "noop", "--sandbox=nets", ":::", "1"), "strict, net, local and home")
        self.assert_one_line_error(self.run_muster("map", "noop", "--sandbox", "--model", "threads", ":::", "1"),
                                   "'processes'")


class Missing(Case):
    """A host without libseccomp: a folder of libraries that cannot be loaded is put before it."""

    def setUp(self):
        super().setUp()
        if harness.SANITIZE:
            self.skipTest("the sanitizers look for libraries themselves")
        folder = self.home / "libraries"
        folder.mkdir()
        (folder / "libseccomp.so.2").write_bytes(b"")
        self.env["LD_LIBRARY_PATH"] = str(folder)

    def test_missing_layer_is_told(self):
        result = self.run_muster("map", "echo", "--sandbox", "--stats", self.home / "stats", ":::", "1")
        self.assert_ok_with(result, "1\n", "seccomp")
        stats = json.loads((self.home / "stats").read_text(encoding="ascii"))
        self.assertEqual(stats["sandbox"], {**LAYERS, "seccomp": False})
        result = self.run_muster("exec", "--sandbox", "-o", "json", "true", ":::", "1")
        self.assertEqual(json.loads(result.out)["sandbox"]["seccomp"], False)

    def assert_ok_with(self, result, out, word):
        self.assertEqual((result.status, result.out), (0, out), result)
        self.assertRegex(result.err, rf"\Amuster: --sandbox: [^\n]*{word}[^\n]*\n\Z")

    def test_strict_does_not_do_without(self):
        self.assert_one_line_error(self.run_muster("map", "echo", "--sandbox=strict", ":::", "1"), "seccomp")
        self.assert_one_line_error(self.run_muster("exec", "--sandbox=strict", "true", ":::", "1"), "seccomp")


class Commands(Case):
    def exec(self, *arguments, **options):
        return self.run_muster("exec", *arguments, **options)

    @unittest.skipIf(not LANDLOCK, "this kernel has no Landlock")
    def test_files(self):
        other, secret = self.home / "other", self.secret
        self.assert_ok(self.exec("--sandbox", "echo here >new; cat new", str(other), "#", ":::", "x"), "here\nother\n")
        for line in (f"cat {secret}", f"echo x >{other}", f"rm {other}", f"mkdir {self.home}/new", f"mv new {self.home}",
                     f"ln {other} link"):
            self.assertNotEqual(self.exec("--sandbox", f"{line} #", ":::", "x").status, 0, line)
        self.assertEqual(other.read_text(encoding="ascii"), "other\n")
        self.assert_ok(self.exec("--sandbox=home", "cat", ":::", secret), "secret\n")
        result = self.exec("--sandbox", "echo err >/dev/stderr; echo out >/dev/stdout #", ":::", "x")
        self.assertEqual((result.status, result.out, result.err), (0, "out\n", "err\n"))

    def test_calls(self):
        script = ("import ctypes, os, socket\n"
                  "libc = ctypes.CDLL(None, use_errno=True)\n"
                  "def errno(*words):\n"
                  "    return 0 if libc.syscall(*words) >= 0 else ctypes.get_errno()\n"
                  "print(errno(101, 0, 0, 0, 0), errno(272, 0x10000000), errno(250, 0, -3, 1))\n"
                  "try:\n    socket.socket()\nexcept OSError as error:\n    print(error.errno)\n")
        if os.uname().machine != "x86_64":
            self.skipTest("the numbers are those of x86-64")
        (self.work / "calls.py").write_text(script, encoding="ascii")
        self.assert_ok(self.exec("--sandbox", "python3", ":::", "calls.py"), "1 1 1\n1\n")
        self.assert_ok(self.exec("--sandbox", "ulimit -c; ls /proc/self/fd | tr '\\n' ' ' #", ":::", "x"), "0\n0 1 2 3 ")

    def test_command_of_root_keeps_no_capabilities(self):
        """Not even by running another program, as root has all again where nothing forbids it."""
        result = self.exec("--sandbox", "grep -E '^(NoNewPrivs|Cap)' /proc/self/status #", ":::", "x")
        held = dict(line.split(":\t") for line in result.out.splitlines())
        sets = ("CapInh", "CapPrm", "CapEff", "CapAmb") + (("CapBnd",) if os.geteuid() == 0 else ())
        self.assertEqual({name: held[name] for name in ("NoNewPrivs", *sets)},
                         {"NoNewPrivs": "1", **dict.fromkeys(sets, "0" * 16)}, result)

    @unittest.skipIf(os.geteuid() != 0, "others do not override modes")
    def test_command_of_root_does_not_override_modes_of_files(self):
        (self.home / "other").chmod(0)
        self.assertNotEqual(self.exec("--sandbox", "cat", ":::", self.home / "other").status, 0)
        self.assert_ok(self.exec("cat", ":::", self.home / "other"), "other\n")

    def test_commands_work_as_ever(self):
        self.assert_ok(self.exec("--sandbox", "-k", "echo", ":::", *"abc"), "a\nb\nc\n")
        self.assert_ok(self.exec("--sandbox", "--line-buffer", "-k", "echo", ":::", "a"), "a\n")
        self.assert_ok(self.exec("--sandbox", "--ungroup", "echo", ":::", "a"), "a\n")
        self.assert_ok(self.exec("--sandbox", "--pipe", "wc -l", text="1\n2\n"), "2\n")
        self.assertEqual(self.exec("--sandbox", "--timeout", "0.2", "sleep", ":::", "100").status, 1)
        result = self.exec("--sandbox", "-o", "json", "kill -SEGV $$ #", ":::", "x")
        self.assertEqual(json.loads(result.out)["signal"], 11)

    def test_each_job_says_which_layers_held(self):
        result = self.exec("--sandbox", "-o", "json", "--stats", self.home / "stats", "true", ":::", "1")
        self.assertEqual(json.loads(result.out)["sandbox"], LAYERS)
        stats = json.loads((self.home / "stats").read_text(encoding="ascii"))
        self.assertEqual(stats["sandbox"], LAYERS)
        result = self.exec("--sandbox", "--memory", "64M", "-o", "json", "true", ":::", "1")
        self.assertIn(json.loads(result.out)["sandbox"]["memory"], ("cgroup", "rlimit"))
        self.assertNotIn("sandbox", json.loads(self.exec("-o", "json", "true", ":::", "1").out))

    @unittest.skipIf(not LANDLOCK, "this kernel has no Landlock")
    def test_next_folder_is_another_sandbox(self):
        """What a worker prepared for one command is not what the next may write to."""
        for name in ("a", "b"):
            (self.home / name).mkdir()
        for name, other in (("a", "b"), ("b", "a")):
            result = self.exec("--sandbox", "--workdir", self.home / name, "-j1",
                               f"echo x >mine; echo x >{self.home}/{other}/theirs #", ":::", "x")
            self.assertNotEqual(result.status, 0)
            self.assertEqual(os.listdir(self.home / name), ["mine"])

    @unittest.skipIf(not LANDLOCK, "this kernel has no Landlock")
    def test_output_can_be_opened_by_its_path_where_jobs_may_not_write(self):
        """Of each command, while its worker's rules stay the same; and nothing else can be there."""
        apart = self.home / "apart"
        apart.mkdir()
        result = self.exec("--sandbox", "-j1", "--tmpdir", apart, "-k", "echo {} >/dev/stderr; echo {} >>/dev/stdout #",
                           ":::", *"abc")
        self.assertEqual((result.status, result.out, result.err), (0, "a\nb\nc\n", "a\nb\nc\n"), result)
        for line in (f"touch {apart}/x", f"touch {apart}/muster-exec-*/.muster-apart-*/x",
                     f"rmdir {apart}/muster-exec-*/.muster-apart-*", f"cat {apart}/muster-exec-*/.muster-apart-*/."):
            result = self.exec("--sandbox", "--tmpdir", apart, line + " #", ":::", "x")
            self.assertNotEqual(result.status, 0, line)
        self.assertEqual(os.listdir(apart), [])

    @unittest.skipIf(not LANDLOCK, "this kernel has no Landlock")
    def test_what_is_moved_home_between_two_commands_is_not_read(self):
        """The second has the rules of the first where nothing has changed."""
        for name in ("began", "go"):
            os.mkfifo(self.work / name)
        moved = self.secret.parent / "moved"
        jobs = self.start("exec", "--sandbox", "-j1", "sh", "-c", ":::", f"cat {self.home}/other; echo >began; cat go",
                          f"cat {moved}", cwd=self.work)
        (self.work / "began").read_text(encoding="ascii")
        (self.home / "other").rename(moved)
        (self.work / "go").write_text("", encoding="ascii")
        result = jobs.end()
        self.assertEqual((result.status, result.out), (1, "other\n"), result)
        self.assertIn("Permission denied", result.err)

    def test_output_file_that_a_job_linked_is_not_used_for_the_next(self):
        (self.work / "link.py").write_text(LINK, encoding="ascii")
        mine = self.work / "mine"
        for sandbox in ((), ("--sandbox",)):
            result = self.exec("-j1", *sandbox, "sh", "-c", ":::", "python3 link.py; echo one",
                               "echo two; cat mine", "echo forged >>mine", "echo three")
            self.assert_ok(result, "linked\none\ntwo\nlinked\none\nthree\n")
            self.assertEqual(mine.read_text(encoding="ascii"), "linked\none\nforged\n")
            mine.unlink()

    def test_options_that_do_not_go_together(self):
        self.assert_one_line_error(self.exec("--sandbox", "--privileges", "true", ":::", "1"), "either")
        self.assert_one_line_error(self.exec("--sandbox", "--cat", "wc", text="1\n"), "--pipe")
        self.assert_one_line_error(self.exec("--sandbox=x", "true", ":::", "1"), "strict, net, local and home")

    def test_confined_worker_starts_no_programs(self):
        command = json.dumps({"argv": ["true"]})
        result = self.run_muster("map", "command", "--sandbox", ":::", command)
        self.assertEqual(result.status, 1)
        self.assertIn("muster exec --sandbox", result.err)


@unittest.skipIf(not LANDLOCK, "this kernel has no Landlock")
class FilesOfMuster(Case):
    """What muster itself, which is not confined, writes and reads where jobs can write."""

    def exec(self, *arguments, **options):
        return self.run_muster("exec", "--sandbox", *arguments, **options)

    def results(self, name, script):
        """Runs a job, x, after which the user's secret is what it was and nothing is beside it."""
        result = self.exec("-j1", "--results", name, script + " #", ":::", "x")
        self.assertEqual(self.secret.read_text(encoding="ascii"), "secret\n")
        self.assertEqual(os.listdir(self.secret.parent), ["secret"])
        return result

    def test_results_are_not_written_through_a_link_that_a_job_made(self):
        self.assert_ok(self.results("out", f"mkdir -p out/1/x; ln -s {self.secret} out/1/x/stdout; echo evil"), "")
        self.assertEqual((self.work / "out/1/x/stdout").read_text(encoding="ascii"), "evil\n")
        self.assert_ok(self.results("r-{}", f"ln -s {self.secret} r-x; ln -s {self.secret} r-x.err; echo evil"), "")
        self.assertEqual((self.work / "r-x").read_text(encoding="ascii"), "evil\n")
        self.assertFalse((self.work / "r-x.err").is_symlink())

    def test_results_are_not_made_in_a_folder_that_a_job_made_a_link_to(self):
        home = self.secret.parent
        for name, script in (("out", f"ln -s {home} out/1; echo evil"),
                             ("out", f"rm out/1; ln -s {home} out/1; head -c 3000000 /dev/zero"),
                             ("{}/y", f"ln -s {home} x")):
            result = self.results(name, script)
            self.assertEqual(result.status, 255, result)
            self.assertIn("a link, which is not followed with --sandbox", result.err)

    def test_results_go_where_they_were_to_go_though_a_job_moves_that_folder(self):
        for name, kept in (("out", "kept/1/x/stdout"), ("out/{}/y", "kept/x/y")):
            self.assert_ok(self.results(name, f"mv out kept; ln -s {self.secret.parent} out; echo ok"), "")
            self.assertEqual((self.work / kept).read_text(encoding="ascii"), "ok\n")
            (self.work / "out").unlink()
            shutil.rmtree(self.work / "kept")

    def test_large_output_is_not_put_where_a_link_leads_that_a_job_made_in_the_place_of_its_folder(self):
        """Of --results. The job that comes first looks for it, as long as that is not taken."""
        other = self.home / "elsewhere"
        other.mkdir()
        look = ("until set -- $(ls -d kept/muster-exec-*/muster-* ../elsewhere/muster-exec-*/muster-* 2>/dev/null) && "
                "[ -n \"$1\" ]; do sleep .01; done; echo $1 >seen")
        result = self.exec("-j2", "-k", "--results", "out", "sh", "-c", ":::", look,
                           f"mv out kept; ln -s {other} out; head -c 3000000 /dev/zero")
        self.assertEqual(os.listdir(other), [])
        self.assertIn("kept/muster-exec-", (self.work / "seen").read_text(encoding="ascii"), result)
        self.assertEqual(result.status, 1, result)
        self.assertIn("its output is lost", result.err)

    def test_output_is_there_though_a_job_removed_or_moved_the_folder_for_it(self):
        large = "head -c 3000000 /dev/zero | tr '\\0' x"
        for way in ("rm -r $1", "rm -r $1/.muster-apart-*", "mv $1 $1-moved; rm -r $1-moved", "mv $1/.m* moved; rm -r $1"):
            with self.subTest(way=way):
                result = self.exec("-j1", "-k", "sh", "-c", ":::", f"set -- $TMPDIR/muster-exec-*; {way}",
                                   "echo again >/dev/stdout", large)
                self.assert_ok(result, "again\n" + "x" * 3000000)
                shutil.rmtree(self.work / "moved", ignore_errors=True)

    def test_results_do_not_wait_for_who_reads_a_pipe_that_a_job_made(self):
        self.assert_ok(self.results("out", "mkdir -p out/1/x; mkfifo out/1/x/stdout; echo ok"), "")
        self.assertEqual((self.work / "out/1/x/stdout").read_text(encoding="ascii"), "ok\n")

    def test_root_of_results_may_be_a_link_of_the_users(self):
        (self.work / "tree").mkdir()
        (self.work / "link").symlink_to("tree")
        for text in ("one", "two"):
            self.assert_ok(self.results("link", f"echo {text}"), "")
            self.assertEqual((self.work / "tree/1/x/stdout").read_text(encoding="ascii"), f"{text}\n")

    def test_large_output_is_not_read_through_a_link_that_a_job_put_in_its_place(self):
        waits = 'until set -- $TMPDIR/muster-exec-*/muster-* && [ -e "$1" ]; do sleep .01; done; '
        script = f"if [ {{}} = 2 ]; then head -c 3000000 /dev/zero; else {waits} rm $1; %s $1; fi #"
        for replace in (f"ln -s {self.secret}", "mkfifo"):
            for options in ((), ("-o", "json"), ("--files",), ("--results", "out"), ("--results", "table.csv")):
                with self.subTest(replace=replace, options=options):
                    result = self.exec("-j2", "-k", *options, "--tmpdir", self.temporary, script % replace,
                                       ":::", "1", "2")
                    self.assertEqual(result.status, 1, result)
                    self.assertIn("its output is lost: a job has removed the file that it was in", result.err)
                    self.assertNotIn("secret\\n", result.out)
                    self.assertEqual(self.secret.read_text(encoding="ascii"), "secret\n")
        for path in self.temporary.glob("*.par"):  # of the first job
            path.unlink()

    def test_what_waits_is_not_written_through_a_link_that_a_job_made(self):
        """Of --line-buffer: the file's name was known before it was made. No pipe has room for all that waits."""
        folder = f"echo {self.temporary}/muster-exec-*"
        os.mkfifo(self.work / "over")
        script = (f"if [ {{}} = 1 ]; then cat over; else d=$({folder}); for i in 0 1 2 3 4; do "
                  f"ln -s {self.secret} $d/live-$i; done; head -c 3000000 /dev/zero | tr '\\0' x; echo >over; fi #")
        result = self.exec("-j2", "-k", "--line-buffer", script, ":::", "1", "2")
        self.assertEqual(self.secret.read_text(encoding="ascii"), "secret\n")
        self.assertEqual(result.status, 255, result)
        self.assertIn("cannot keep output in", result.err)

    def test_what_waits_is_not_read_or_written_where_a_job_put_something_else(self):
        write = "head -c 200000 /dev/zero | tr '\\0' x"
        waits = f"until set -- {self.temporary}/muster-exec-*/live-* && [ -e $1 ]; do sleep .01; done"
        os.mkfifo(self.work / "over")
        for replace in (f"ln -s {self.secret}", "mkfifo", f"ln {self.work}/mine"):
            (self.work / "mine").write_text("secret\n", encoding="ascii")
            script = (f"if [ {{}} = 1 ]; then {waits}; rm $1; {replace} $1; echo >over; "
                      f"else {write}; cat over; {write}; fi #")
            result = self.exec("-j2", "-k", "--line-buffer", script, ":::", "1", "2")
            self.assertEqual(self.secret.read_text(encoding="ascii"), "secret\n")
            self.assertEqual(result.status, 255, result)
            self.assertIn("cannot keep output in", result.err)
            self.assertNotIn("secret", result.out)

    def test_folder_that_a_job_says_was_left_over_is_not_removed(self):
        """Where sockets are in a place that jobs of a run before could write to, a lock may say anything."""
        data = self.secret.parent / "muster-data"
        data.mkdir(mode=0o700)
        nest = f"{self.temporary}/muster-{os.getuid()}"
        self.assert_ok(self.exec("-j1", f"mkdir -m700 {nest}; echo {data} >{nest}/AAAAAA.lock #", ":::", "x"), "")
        del self.env["XDG_RUNTIME_DIR"]
        self.assert_ok(self.run_muster("map", "noop", ":::", "1"), "null\n")
        self.assertTrue(data.exists())
        self.assertEqual(os.listdir(nest), [])


@unittest.skipIf(not LANDLOCK, "this kernel has no Landlock")
class Shared(Case):
    """Jobs that somebody gives to a coordinator, beside what that has."""

    def setUp(self):
        super().setUp()
        self.sockets = self.home / "sock"

    def tearDown(self):
        self.coordinator.signal(signal.SIGTERM)
        self.coordinator.end()
        super().tearDown()

    def shared(self, *arguments, listen=None):
        """The endpoint of a coordinator, in a folder of mode 0700, as it has to be."""
        socket = (listen or self.sockets) / "s"
        socket.parent.mkdir(mode=0o700)
        self.coordinator = self.start("coordinator", "-j1", "--listen", f"ipc://{socket}", *arguments, cwd=self.work)
        self.until(socket.exists, "the coordinator listens")
        return f"ipc://{socket}"

    def refused(self, endpoint, command, word, sandbox="--sandbox"):
        result = self.run_muster("exec", "--coordinator", endpoint, sandbox, command, ":::", "x")
        self.assertNotEqual(result.status, 0, result)
        self.assertIn(word, result.err)

    def test_state_file_where_jobs_write_is_refused(self):
        """A job would change what other batches run, and run that unconfined."""
        endpoint = self.shared("--state", "jobs.db")
        self.refused(endpoint, "echo x >>jobs.db #", "--state FILE")
        self.assertTrue((self.work / "jobs.db").exists())

    def test_state_file_by_a_link_where_jobs_write_is_refused(self):
        (self.home / "apart").mkdir()
        (self.work / "link.db").symlink_to(self.home / "apart" / "jobs.db")
        endpoint = self.shared("--state", "link.db")
        self.refused(endpoint, "rm link.db #", "--state FILE")

    def test_state_file_elsewhere_is_neither_read_nor_in_the_way(self):
        apart = self.home / "apart"
        apart.mkdir()
        (apart / "other").touch()
        endpoint = self.shared("--state", str(apart / "jobs.db"))
        for name in ("jobs.db", "jobs.db-wal", "jobs.db-shm"):
            self.assertTrue((apart / name).exists(), name)
            result = self.run_muster("exec", "--coordinator", endpoint, "--sandbox", "cat", ":::", apart / name)
            self.assertNotEqual(result.status, 0, name)
        result = self.run_muster("exec", "--coordinator", endpoint, "--sandbox", "ls", ":::", apart / "jobs.db.output")
        self.assertNotEqual(result.status, 0, result)
        self.assert_ok(self.run_muster("exec", "--coordinator", endpoint, "--sandbox", "cat", ":::", apart / "other"),
                       "")

    def test_socket_of_clients_where_jobs_write_is_refused(self):
        """Workers of a coordinator with a state file meet it elsewhere."""
        (self.home / "apart").mkdir()
        endpoint = self.shared("--state", str(self.home / "apart" / "jobs.db"), listen=self.work / "sock")
        self.refused(endpoint, "mv sock/s sock/t #", "--listen", sandbox="--sandbox=local")
        self.assertTrue((self.work / "sock" / "s").exists())


if __name__ == "__main__":
    harness.main()
