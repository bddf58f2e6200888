/* SPDX-License-Identifier: MIT
 *
 * Cache sizes from folders such as the kernel's, good and bad.
 */
#include "lab/caches.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/muster-test-caches-XXXXXX";
static char path[128];
static struct caches caches;

static void write_word(int index, const char *name, const char *word)
{
    FILE *file;

    snprintf(path, sizeof path, "%s/index%d", folder, index);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/index%d/%s", folder, index, name);
    cr_assert_not_null(file = fopen(path, "w"));
    fputs(word, file);
    fclose(file);
}

static void plant(int index, const char *level, const char *type, const char *size)
{
    write_word(index, "level", level);
    write_word(index, "type", type);
    write_word(index, "size", size);
}

static void setup(void)
{
    cr_assert_not_null(mkdtemp(folder));
}

static void teardown(void)
{
    static const char *const names[] = {"level", "type", "size"};

    for (int index = 0; index < 8; index++) {
        for (int i = 0; i < 3; i++) {
            snprintf(path, sizeof path, "%s/index%d/%s", folder, index, names[i]);
            unlink(path);
        }
        snprintf(path, sizeof path, "%s/index%d", folder, index);
        rmdir(path);
    }
    rmdir(folder);
}

TestSuite(caches, .init = setup, .fini = teardown);

Test(caches, instructions_are_taken_for_data)
{
    plant(0, "1\n", "Data\n", "48K\n");
    plant(1, "1\n", "Instruction\n", "32K\n");
    plant(2, "2\n", "Unified\n", "2048K\n");
    plant(3, "3\n", "Unified\n", "300M\n");
    caches_read(folder, &caches);
    cr_assert_eq(caches.bytes[0], 48 << 10);
    cr_assert_eq(caches.bytes[1], 2 << 20);
    cr_assert_eq(caches.bytes[2], (size_t)300 << 20);
}

Test(caches, level_that_is_missing_has_a_size)
{
    plant(0, "1\n", "Data\n", "32K\n");
    caches_read(folder, &caches);
    cr_assert_eq(caches.bytes[0], 32 << 10);
    cr_assert_eq(caches.bytes[1], 0);
    cr_assert_eq(caches.bytes[2], 0);
    caches_read("/nonexistent", &caches);
    cr_assert_eq(caches.bytes[0], 0);
}

Test(caches, level_out_of_range_is_written_elsewhere)
{
    plant(0, "0\n", "Data\n", "32K\n");
    plant(1, "4\n", "Unified\n", "64M\n");
    plant(2, "12\n", "Unified\n", "64M\n");
    plant(3, "", "", "");
    caches_read(folder, &caches);
    for (int i = 0; i < CACHES_LEVELS; i++)
        cr_assert_eq(caches.bytes[i], 0);
}

Test(caches, size_is_read_that_is_none)
{
    cr_assert_eq(caches_parse("512"), 512);
    cr_assert_eq(caches_parse("8K"), 8192);
    cr_assert_eq(caches_parse("1M"), 1 << 20);
    cr_assert_eq(caches_parse(""), 0);
    cr_assert_eq(caches_parse("K"), 0);
    cr_assert_eq(caches_parse("-1K"), 0);
    cr_assert_eq(caches_parse("1KB"), 0);
    cr_assert_eq(caches_parse("1G"), 0);
    cr_assert_eq(caches_parse("99999999999999999999K"), 0);
    cr_assert_eq(caches_parse("18446744073709551615K"), 0);
}
