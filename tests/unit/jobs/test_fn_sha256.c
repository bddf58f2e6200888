/* SPDX-License-Identifier: MIT
 *
 * sha256 against the vectors of FIPS 180-4, from memory and from files, and the files that
 * cannot be read.
 */
#include "rig.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIGEST_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define DIGEST_ABC   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define DIGEST_MILLION                                                                  \
    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0" /* a million "a" \
                                                                        */

static char folder[] = "/tmp/muster-test-XXXXXX";
static char path[256];

static void init(void)
{
    rig_init();
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/caf\xc3\xa9 file", folder);
}

static void fini(void)
{
    unlink(path);
    rmdir(folder);
    rig_fini();
}

TestSuite(sha256, .init = init, .fini = fini);

static void write_file(const void *content, size_t size)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    cr_assert_eq(write(file, content, size), (ssize_t)size);
    close(file);
}

static char *million(void)
{
    char *content = malloc(1000000);

    cr_assert_not_null(content);
    memset(content, 'a', 1000000);
    return content;
}

Test(sha256, wrong_digest_of_bytes)
{
    char *content = million();

    cr_assert_str_eq(run_text("sha256", bytes("", 0)), DIGEST_EMPTY);
    cr_assert_str_eq(run_text("sha256", bytes(NULL, 0)), DIGEST_EMPTY);
    cr_assert_str_eq(run_text("sha256", bytes("abc", 3)), DIGEST_ABC);
    cr_assert_str_eq(run_text("sha256", bytes(content, 1000000)), DIGEST_MILLION);
    free(content);
}

Test(sha256, wrong_digest_of_a_file_of_none_one_or_many_buffers)
{
    char *content = million();

    write_file("", 0);
    cr_assert_str_eq(run_text("sha256", text(path)), DIGEST_EMPTY);
    write_file("abc", 3);
    cr_assert_str_eq(run_text("sha256", text(path)), DIGEST_ABC);
    write_file(content, 1000000);
    cr_assert_str_eq(run_text("sha256", text(path)), DIGEST_MILLION);
    cr_assert_eq(rig.progress, 1000);
    free(content);
}

Test(sha256, descriptors_leak)
{
    int before = open("/dev/null", O_RDONLY | O_CLOEXEC), after;

    close(before);
    write_file("abc", 3);
    run_text("sha256", text(path));
    refuse("sha256", text(folder), "Is a directory");
    refuse("sha256", text("/dev/null"), "neither a file nor a disk");
    after = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(after);
    cr_assert_eq(after, before);
}

Test(sha256, file_that_cannot_be_read_is_named_with_the_reason)
{
    refuse("sha256", text("/nonexistent/file"),
           "cannot open \"/nonexistent/file\": No such file or directory");
    refuse("sha256", text(folder), folder);
    refuse("sha256", text("/proc/self/mem"), "cannot read \"/proc/self/mem\": Input/output error");
}

Test(sha256, fifo_is_refused_without_waiting_for_a_writer)
{
    cr_assert_eq(mkfifo(path, 0600), 0);
    refuse("sha256", text(path), "it is neither a file nor a disk");
}

Test(sha256, path_with_a_nul_byte_or_no_byte_is_refused)
{
    msgpack_object hidden = text("/etc/passwd");

    hidden.via.str.ptr = "/etc/passwd\0.txt";
    hidden.via.str.size = 16;
    refuse("sha256", hidden, "sha256 takes the path of a file, or binary data");
    refuse("sha256", text(""), "not \"\"");
    refuse("sha256", integer(3), "not 3");
}
