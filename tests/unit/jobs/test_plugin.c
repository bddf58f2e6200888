/* SPDX-License-Identifier: MIT
 *
 * Plug-in files: found where they should be, refused with a reason, and used.
 */
#include "rig.h"

#include "jobs/builtin.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/muster-test-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[256];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void init(void)
{
    rig_init();
    cr_assert_not_null(mkdtemp(folder));
    unsetenv("MUSTER_PLUGIN_PATH");
}

static void fini(void)
{
    static const char *const files[] = {"text.so", "empty.so", "elf.so", "fifo.so"};
    size_t i;

    for (i = 0; i < sizeof files / sizeof *files; i++)
        unlink(in_folder(files[i]));
    cr_assert_eq(rmdir(folder), 0);
    rig_fini();
}

TestSuite(plugin, .init = init, .fini = fini);

static void refuse_plugin(const char *path, int code, const char *fragment)
{
    struct muster_error error = {0};

    cr_assert_eq(registry_load(rig.registry, path, &error), code, "%s", error.text);
    cr_assert_not_null(strstr(error.text, fragment), "\"%s\" does not say: %s", error.text, fragment);
    cr_assert_not_null(strstr(error.text, path), "\"%s\" does not name %s", error.text, path);
    cr_assert_eq(registry_count(rig.registry), BUILTIN_COUNT);
}

static void load(const char *path)
{
    struct muster_error error;

    cr_assert_eq(registry_load(rig.registry, path, &error), 0, "%s", error.text);
}

static const char *write_file(const char *name, const void *content, size_t size)
{
    const char *path = in_folder(name);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    cr_assert_eq(write(file, content, size), (ssize_t)size);
    close(file);
    return path;
}

Test(plugin, functions_of_a_plugin_are_found_and_run)
{
    const char *origin;

    load(MUSTER_TEST_PLUGINS "/collatz.so");
    cr_assert_eq(registry_count(rig.registry), BUILTIN_COUNT + 1);
    cr_assert_str_eq(registry_at(rig.registry, 0, &origin)->name, "collatz");
    cr_assert_str_eq(origin, MUSTER_TEST_PLUGINS "/collatz.so");
    cr_assert_eq(run_integer("collatz", integer(1)), 0);
    cr_assert_eq(run_integer("collatz", integer(27)), 111);
    refuse("collatz", integer(0), "collatz takes an integer from 1 on");
    refuse("collatz", integer(INT64_MAX), "leaves 64 bits");
}

Test(plugin, failure_of_a_plugins_function_comes_back_with_its_text)
{
    load(MUSTER_TEST_PLUGINS "/faulty.so");
    refuse("fail", text("no coffee"), "no coffee");
    refuse("fail_silently", NIL, "fail_silently failed with code 1");
}

Test(plugin, file_that_is_missing_is_named)
{
    refuse_plugin(in_folder("missing.so"), MUSTER_ENOTFOUND, "No such file or directory");
    refuse_plugin("/etc/passwd/x.so", MUSTER_ENOTFOUND, "Not a directory");
    refuse_plugin("./missing.so", MUSTER_ENOTFOUND, "No such file or directory");
}

Test(plugin, empty_name_is_refused)
{
    struct muster_error error;

    cr_assert_eq(registry_load(rig.registry, "", &error), MUSTER_EINVALID);
    cr_assert_str_eq(error.text, "a plug-in needs a name");
}

Test(plugin, file_that_is_no_shared_object_is_refused_with_the_loaders_reason)
{
    static const char elf[] = "\177ELF\2\1\1 garbage behind a magic number";

    refuse_plugin(write_file("text.so", "#!/bin/sh\n", 10), MUSTER_EINVALID, "cannot load plug-in");
    refuse_plugin(write_file("empty.so", "", 0), MUSTER_EINVALID, "file too short");
    refuse_plugin(write_file("elf.so", elf, sizeof elf), MUSTER_EINVALID, "cannot load plug-in");
}

Test(plugin, folder_and_fifo_are_refused_without_being_opened)
{
    refuse_plugin(folder, MUSTER_EINVALID, "it is not a file");
    cr_assert_eq(mkfifo(in_folder("fifo.so"), 0600), 0);
    refuse_plugin(in_folder("fifo.so"), MUSTER_EINVALID, "it is not a file");
}

Test(plugin, shared_object_without_a_table_is_refused)
{
    refuse_plugin(MUSTER_TEST_PLUGINS "/no_table.so", MUSTER_EINVALID, "does not export muster_plugin_table");
}

Test(plugin, other_abi_version_says_to_rebuild)
{
    refuse_plugin(MUSTER_TEST_PLUGINS "/wrong_abi.so", MUSTER_EVERSION,
                  "was built for function ABI 9, this muster has 1: rebuild it against this muster_job.h");
}

Test(plugin, plugin_with_one_name_taken_adds_none_of_its_functions)
{
    refuse_plugin(MUSTER_TEST_PLUGINS "/clash.so", MUSTER_EINVALID,
                  "the name noop is taken by a function of muster");
    cr_assert_null(registry_find(rig.registry, "clash_free", 10));
}

Test(plugin, plugin_with_a_bad_name_is_refused)
{
    refuse_plugin(MUSTER_TEST_PLUGINS "/bad_name.so", MUSTER_EINVALID,
                  "\"Bad Name\" is no name for a function");
}

Test(plugin, plugin_loaded_twice_is_refused_and_keeps_working)
{
    struct muster_error error;

    load(MUSTER_TEST_PLUGINS "/collatz.so");
    cr_assert_eq(registry_load(rig.registry, MUSTER_TEST_PLUGINS "/collatz.so", &error), MUSTER_EINVALID);
    cr_assert_not_null(strstr(error.text, "the name collatz is taken by a function of " MUSTER_TEST_PLUGINS));
    cr_assert_eq(run_integer("collatz", integer(27)), 111);
}

Test(plugin, bare_name_without_a_search_path_says_how_to_name_a_file)
{
    refuse_plugin("collatz", MUSTER_ENOTFOUND,
                  "MUSTER_PLUGIN_PATH, which is not set; for a file here say ./collatz");
    setenv("MUSTER_PLUGIN_PATH", "", 1);
    refuse_plugin("collatz", MUSTER_ENOTFOUND, "which is not set");
}

Test(plugin, bare_name_is_found_in_a_later_folder_with_and_without_its_ending)
{
    setenv("MUSTER_PLUGIN_PATH", "/nonexistent::" MUSTER_TEST_PLUGINS, 1);
    load("collatz");
    load("faulty.so");
    cr_assert_not_null(registry_find(rig.registry, "collatz", 7));
    cr_assert_not_null(registry_find(rig.registry, "crash", 5));
}

Test(plugin, bare_name_in_no_folder_names_the_folders)
{
    setenv("MUSTER_PLUGIN_PATH", "/nonexistent:/usr/nonexistent", 1);
    refuse_plugin("collatz", MUSTER_ENOTFOUND, "(/nonexistent:/usr/nonexistent)");
}

Test(plugin, empty_folder_of_the_search_path_is_not_the_current_one)
{
    cr_assert_eq(chdir(MUSTER_TEST_PLUGINS), 0);
    setenv("MUSTER_PLUGIN_PATH", ":/nonexistent:", 1);
    refuse_plugin("collatz.so", MUSTER_ENOTFOUND, "there is no plug-in");
    load("./collatz.so");
}
