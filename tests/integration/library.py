#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""muster as it is installed: a program and a plug-in that know only what `cmake --install` gave."""
import os
import pathlib
import subprocess
import unittest

import harness

BUILD = pathlib.Path(harness.MUSTER).parent


def configured(name):
    """What CMake was told when muster was built."""
    (line,) = [line for line in (BUILD / "CMakeCache.txt").read_text(encoding="utf-8").splitlines()
               if line.startswith(f"{name}:")]
    return line.partition("=")[2]


INSTALLED = pathlib.Path(configured("CMAKE_INSTALL_PREFIX")) / configured("CMAKE_INSTALL_BINDIR") / "muster"

PROGRAM = r"""
#include <inttypes.h>
#include <muster/muster.h>
#include <stdio.h>
#include <string.h>

static int count_true(void *context, const struct muster_result *result)
{
    *(int *)context += result->code == 0 && result->value->type == MSGPACK_OBJECT_BOOLEAN &&
                       result->value->via.boolean;
    return 0;
}

int main(int argc, char **argv)
{
    struct muster_options options = {.workers = 2, .worker_program = argc > 2 ? argv[2] : NULL};
    int primes = 0;
    struct muster_batch batch = {.function = "is_prime", .source = muster_source_range(1, 1000),
                                 .on_result = count_true, .context = &primes, .interrupt_fd = -1};
    msgpack_object number = {.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = 15};
    struct muster_job fib = {.function = "fib", .argument = &number};
    const msgpack_object *value;
    struct muster_summary summary;
    struct muster_error error;
    muster_future *future;
    muster *m;

    if (muster_model_parse(argv[1], &options.model, &error) || muster_open(&options, &m, &error) ||
        muster_map(m, &batch, &summary, &error) || muster_submit(m, &fib, &future, &error) ||
        muster_await(future, &value, &error)) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    printf("%" PRIu64 " jobs, %d primes, fib %" PRIu64 "\n", summary.succeeded, primes, value->via.u64);
    muster_future_drop(future);
    muster_close(m);
    return 0;
}
"""

# Single jobs: a chain, a callback, a failure, and a function of the program's own.
PROGRAM_FUTURES = r"""
#include <inttypes.h>
#include <muster/muster.h>
#include <muster/muster_job.h>
#include <stdio.h>

static int half(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    if (argument->type != MSGPACK_OBJECT_POSITIVE_INTEGER || argument->via.u64 % 2)
        return muster_call_fail(call, "half takes an even integer");
    ret_result->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
    ret_result->via.u64 = argument->via.u64 / 2;
    return 0;
}

static const muster_function functions[] = {{.name = "half", .summary = "half a number", .run = half}};
static const struct muster_plugin table = MUSTER_PLUGIN(functions);

static int submit_half(void *context, muster_future *ended, muster_future *next)
{
    struct muster_job job = {.function = "half", .argument = muster_future_result(ended)->value};
    muster_future *future;
    int code = muster_submit(context, &job, &future, NULL);

    if (code == 0) {
        code = muster_future_follow(next, future);
        muster_future_drop(future);
    }
    return code;
}

static void count(void *context, muster_future *future)
{
    (void)future;
    ++*(int *)context;
}

int main(int argc, char **argv)
{
    struct muster_options options = {.workers = 2, .functions = &table, .start = MUSTER_FORK,
                                     .worker_program = argc > 2 ? argv[2] : NULL};
    msgpack_object number = {.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = 15};
    struct muster_job fib = {.function = "fib", .argument = &number};
    muster_future *first, *quarter, *failed;
    const msgpack_object *value;
    struct muster_error error;
    int calls = 0;
    muster *m;

    if (muster_model_parse(argv[1], &options.model, &error) || muster_open(&options, &m, &error) ||
        muster_submit(m, &fib, &first, &error)) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    if (muster_then(first, submit_half, NULL, m, &quarter) || muster_then(quarter, submit_half, NULL, m, &failed) ||
        muster_future_on_end(failed, count, count, &calls) || muster_await(quarter, &value, &error)) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    printf("%" PRIu64 "\n", value->via.u64);
    if (muster_await(failed, NULL, &error) == MUSTER_EFAILED)
        printf("%s, %d call\n", error.text, calls);
    muster_future_drop(first);
    muster_future_drop(quarter);
    muster_future_drop(failed);
    muster_close(m);
    return 0;
}
"""

PLUGIN = r"""
#include <muster/muster_job.h>

static int twice(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    if (argument->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return muster_call_fail(call, "twice takes an integer >= 0");
    ret_result->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
    ret_result->via.u64 = argument->via.u64 * 2;
    return 0;
}

static const muster_function functions[] = {
    {.name = "twice", .summary = "twice a number", .argument = "integer >= 0", .result = "integer",
     .example = "21", .run = twice},
};
const muster_plugin muster_plugin_table = MUSTER_PLUGIN(functions);
"""

# The same in C++, of the oldest standard that a compiler of today takes for granted.
PROGRAM_CXX = r"""
#include <muster/muster.h>
#include <cstring>
#include <iostream>

static int add(void *context, const muster_result *result)
{
    *static_cast<uint64_t *>(context) += result->value ? result->value->via.u64 : 0;
    return 0;
}

int main(int, char **argv)
{
    muster_options options = muster_options();
    muster_batch batch = muster_batch();
    muster_summary summary;
    muster_error error;
    uint64_t sum = 0;
    muster *m;

    options.worker_program = argv[2];
    batch.function = "fib";
    batch.source = muster_source_range(0, 20);
    batch.on_result = add;
    batch.context = &sum;
    batch.interrupt_fd = -1;
    if (muster_model_parse(argv[1], &options.model, &error) || muster_open(&options, &m, &error) ||
        muster_map(m, &batch, &summary, &error)) {
        std::cerr << error.text << std::endl;
        return 1;
    }
    muster_close(m);
    std::cout << sum << std::endl;
    return 0;
}
"""

PLUGIN_CXX = r"""
#include <muster/muster_job.h>

static int thrice(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    if (argument->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return muster_call_fail(call, "thrice takes an integer >= %d", 0);
    ret_result->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
    ret_result->via.u64 = argument->via.u64 * 3;
    return muster_call_sleep(call, 0);
}

static const muster_function functions[] = {
    {"thrice", "three times a number", "integer >= 0", "integer", "21", thrice},
};
const muster_plugin muster_plugin_table = MUSTER_PLUGIN(functions);
"""

CMAKE_PROJECT = """
cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES C)
find_package(muster @VERSION@ REQUIRED)
add_executable(shared program.c)
target_link_libraries(shared PRIVATE muster::muster)
add_executable(static program.c)
target_link_libraries(static PRIVATE muster::static)
add_library(twice MODULE twice.c)
target_link_libraries(twice PRIVATE muster::plugin)
"""


@unittest.skipIf(harness.SANITIZE, "a program built without the sanitizer cannot use a library built with it")
class Library(harness.Case):
    def setUp(self):
        super().setUp()
        self.prefix = self.home / "prefix"
        self.tool("cmake", "--install", BUILD, "--prefix", self.prefix)
        (config,) = self.prefix.rglob("muster.pc")
        self.libraries = config.parent.parent
        self.env["PKG_CONFIG_PATH"] = str(config.parent)
        self.installed = self.prefix / "bin" / "muster"

    def tool(self, *command):
        """Runs a tool that has to succeed; returns its output."""
        done = subprocess.run([str(word) for word in command], env=self.env, capture_output=True, text=True,
                              timeout=harness.LIMIT_S, check=False)
        self.assertEqual(done.returncode, 0, f"{command}\n{done.stdout}{done.stderr}")
        return done.stdout

    def pkg_config(self, *arguments):
        return self.tool("pkg-config", "--cflags", "--libs", *arguments).split()

    def compile(self, text, output, *options):
        source = self.home / f"{output.name}.c"
        source.write_text(text, encoding="utf-8")
        self.tool(os.environ.get("CC", "cc"), "-Wall", "-Wextra", "-Werror", "-std=gnu11", source, "-o", output,
                  *options)

    def compile_cxx(self, text, output, *options):
        source = self.home / f"{output.name}.cpp"
        source.write_text(text, encoding="utf-8")
        self.tool(os.environ.get("CXX", "c++"), "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-std=c++11", source,
                  "-o", output, *options)

    def compile_static(self, program, text=PROGRAM):
        flags = self.pkg_config("muster")
        flags[flags.index("-lmuster")] = "-l:libmuster.a"
        if configured("MUSTER_COVERAGE") == "ON":
            flags.append("--coverage")
        self.compile(text, program, *flags, *self.pkg_config("libzmq", "libsodium"), "-lm", "-pthread")

    def check_program(self, program):
        for model in ("inline", "threads", "gil", "loop", "processes"):
            result = self.start(model, self.installed, command=str(program),
                                env={"LD_LIBRARY_PATH": str(self.libraries)}).end()
            self.assert_ok(result, "1000 jobs, 168 primes, fib 610\n")

    def test_program_built_with_the_shared_library_runs_every_model(self):
        program = self.home / "shared"
        self.compile(PROGRAM, program, *self.pkg_config("muster"))
        self.assertIn("libmuster.so.0", self.tool("readelf", "-d", program))
        self.check_program(program)

    def test_program_built_with_the_static_library_runs_every_model(self):
        program = self.home / "static"
        self.compile_static(program)
        self.assertNotIn("libmuster.so", self.tool("readelf", "-d", program))
        self.check_program(program)

    def test_program_awaits_single_jobs_of_its_own_functions(self):
        shared, static = self.home / "shared", self.home / "static"
        self.compile(PROGRAM_FUTURES, shared, *self.pkg_config("muster"))
        self.compile_static(static, PROGRAM_FUTURES)
        for program in (shared, static):
            for model in ("inline", "threads", "gil", "loop", "processes"):
                result = self.start(model, self.installed, command=str(program),
                                    env={"LD_LIBRARY_PATH": str(self.libraries)}).end()
                self.assert_ok(result, "305\nhalf takes an even integer, 1 call\n")

    def start_without_a_worker_program(self, **env):
        program = self.home / "static"
        self.compile_static(program)
        return self.start("processes", command=str(program), env=env).end()

    def test_program_that_names_no_command_finds_the_one_in_its_path(self):
        path = f"relative:{self.home}:{self.installed.parent}:/usr/bin"
        self.assert_ok(self.start_without_a_worker_program(PATH=path), "1000 jobs, 168 primes, fib 610\n")

    @unittest.skipIf(INSTALLED.exists(), f"there is an installed command, {INSTALLED}")
    def test_program_does_not_take_itself_for_the_command_it_does_not_find(self):
        result = self.start_without_a_worker_program(PATH=str(self.home))
        self.assert_fails(result, 1, str(INSTALLED), "set worker_program to its path")

    def test_shared_library_exports_only_the_public_names(self):
        lines = self.tool("nm", "-D", "--defined-only", "--format=posix", self.libraries / "libmuster.so").splitlines()
        names = {line.split()[0] for line in lines}
        self.assertLessEqual({"muster_open", "muster_map", "muster_close", "muster_error_name"}, names)
        self.assertEqual([name for name in names if not name.startswith("muster_")], [])

    def test_shared_library_calls_nothing_whose_answer_another_thread_overwrites(self):
        lines = self.tool("nm", "-D", "--undefined-only", "--format=posix", self.libraries / "libmuster.so").splitlines()
        names = {line.split()[0].partition("@")[0] for line in lines}
        self.assertIn("getpwuid_r", names)
        self.assertEqual(names & {"asctime", "ctime", "getgrgid", "getgrnam", "gethostbyname", "getpwnam", "getpwuid",
                                  "gmtime", "localtime", "strtok", "ttyname"}, set())

    def test_plugin_built_from_the_installed_header_is_mapped(self):
        plugin = self.home / "twice.so"
        self.compile(PLUGIN, plugin, "-shared", "-fPIC", f"-I{self.prefix}/include", *self.pkg_config("msgpack"))
        result = self.start("map", "--plugin", plugin, "twice", ":::", 21, command=str(self.installed)).end()
        self.assert_ok(result, "42\n")

    def test_program_and_plugin_in_cxx_include_the_headers(self):
        program, plugin = self.home / "cxx", self.home / "thrice.so"
        self.compile_cxx(PROGRAM_CXX, program, *self.pkg_config("muster"))
        for model in ("inline", "processes"):
            result = self.start(model, self.installed, command=str(program),
                                env={"LD_LIBRARY_PATH": str(self.libraries)}).end()
            self.assert_ok(result, "17710\n")
        self.compile_cxx(PLUGIN_CXX, plugin, "-shared", "-fPIC", f"-I{self.prefix}/include")
        result = self.start("map", "--plugin", plugin, "thrice", ":::", 14, command=str(self.installed)).end()
        self.assert_ok(result, "42\n")

    def configure(self, version):
        """Configures a CMake project that asks for this version; returns how that ended, and its folders."""
        source, build = self.home / "project", self.home / "build"
        source.mkdir()
        (source / "CMakeLists.txt").write_text(CMAKE_PROJECT.replace("@VERSION@", version), encoding="utf-8")
        (source / "program.c").write_text(PROGRAM, encoding="utf-8")
        (source / "twice.c").write_text(PLUGIN, encoding="utf-8")
        done = subprocess.run(["cmake", "-S", source, "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}"],
                              env=self.env, capture_output=True, text=True, timeout=harness.LIMIT_S, check=False)
        return done, build

    def test_cmake_project_finds_the_package(self):
        done, build = self.configure("0.1")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.tool("cmake", "--build", build)
        for program, is_shared in (("shared", True), ("static", False)):
            self.assertEqual("libmuster.so" in self.tool("readelf", "-d", build / program), is_shared)
            self.check_program(build / program)
        self.assertNotIn("libmuster", self.tool("readelf", "-d", build / "libtwice.so"))
        result = self.start("map", "--plugin", build / "libtwice.so", "twice", ":::", 21,
                            command=str(self.installed)).end()
        self.assert_ok(result, "42\n")

    def test_cmake_project_that_asks_for_another_version_is_refused(self):
        done, _ = self.configure("99.0")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('requested version "99.0"', done.stderr)

    def test_what_is_installed_works_where_it_was_moved(self):
        moved = self.home / "moved"
        self.prefix.rename(moved)
        self.env["PKG_CONFIG_PATH"] = self.env["PKG_CONFIG_PATH"].replace(str(self.prefix), str(moved))
        self.prefix, self.installed = moved, moved / "bin" / "muster"
        self.libraries = pathlib.Path(self.env["PKG_CONFIG_PATH"]).parent
        self.assertNotIn(str(self.home / "prefix"), " ".join(self.pkg_config("muster")))
        done, build = self.configure("0.1")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.tool("cmake", "--build", build, "--target", "shared")
        self.check_program(build / "shared")


if __name__ == "__main__":
    harness.main()
