/* SPDX-License-Identifier: MIT
 *
 * A coordinator that is killed, or whose power goes, at any moment: after every write that SQLite made, the
 * file opens, and has all that was accepted or recorded by then, and of what was under way all or nothing.
 * With MUSTER_LONG in the environment every moment is tried, several times; else a sample. MUSTER_SEED is
 * another one.
 */
#include "tests/unit/coordinator/store_contents.h"
#include "tests/unit/coordinator/store_fixture.h"
#include "tests/unit/coordinator/store_recorder.h"

#include <string.h>

enum { LAST_BATCH = 240, CUTS = 4 /* of each moment, in the long form */, SAMPLE = 100 };

/* What the store said that it had done, after so many steps. */
static struct moment {
    size_t steps;
    char *contents;
} * moments;
static size_t moment_count;

static void note(struct store *store)
{
    CHECK((moments = realloc(moments, (moment_count + 1) * sizeof *moments)));
    moments[moment_count++] =
        (struct moment){.steps = recorder_steps(), .contents = contents_describe(store)};
    CHECK(moments[moment_count - 1].contents);
}

/* From an empty file to one whose log was carried over, and written anew over what was in it. */
static void run(void)
{
    const char *path = fixture_path("power");
    struct store *store;

    recorder_begin(path);
    store = fixture_open(path);
    note(store);
    contents_fill(store, note);
    contents_add(store, CONTENTS_BATCHES + 1, LAST_BATCH, note);
    recorder_end();
    store_destroy(store);
}

/* The last one that was told before so many steps. */
static size_t find_moment(size_t steps)
{
    size_t found = 0;

    while (found + 1 < moment_count && moments[found + 1].steps <= steps)
        found++;
    return found;
}

static void check_file(const char *path, size_t steps, const char *how)
{
    size_t told = find_moment(steps);
    struct muster_error error = {0};
    struct store *store;
    char *text;

    if (store_create(path, &store, &error) != 0) {
        fprintf(stderr, "%s after step %zu: %s\n", how, steps, error.text);
        CHECK(!"the file is opened");
    }
    text = contents_describe(store);
    store_destroy(store);
    if (!text || (strcmp(text, moments[told].contents) != 0 &&
                  (told + 1 == moment_count || strcmp(text, moments[told + 1].contents) != 0))) {
        fprintf(stderr, "%s after step %zu: it has other contents than after request %zu or the next\n", how,
                steps, told);
        CHECK(!"what was told is there");
    }
    free(text);
}

static void check_killed(size_t steps, bool torn)
{
    const char *path = fixture_path("copy");

    recorder_kill(steps, torn, path);
    check_file(path, steps, torn ? "killed amid the write" : "killed");
}

static void check_cut(size_t steps, uint64_t seed)
{
    const char *path = fixture_path("copy");
    char how[64];

    snprintf(how, sizeof how, "power gone (%llu)", (unsigned long long)seed);
    recorder_cut(steps, seed, path);
    check_file(path, steps, how);
}

/* Calls it for each moment; in the short form for some. */
static void try_moments(void (*try)(size_t steps, uint64_t seed))
{
    const size_t count = recorder_steps();
    const char *given = getenv("MUSTER_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : 1;

    for (size_t i = 0; i < (getenv("MUSTER_LONG") ? count + 1 : SAMPLE); i++) {
        seed = seed * 6364136223846793005 + 1442695040888963407; /* Knuth's MMIX */
        try(getenv("MUSTER_LONG") ? i : (seed >> 33) % (count + 1), seed >> 20);
    }
}

static void try_kill(size_t steps, uint64_t seed)
{
    check_killed(steps, seed % 2);
    if (getenv("MUSTER_LONG"))
        check_killed(steps, seed % 2 == 0);
}

static void try_cut(size_t steps, uint64_t seed)
{
    for (uint64_t i = 0; i < (getenv("MUSTER_LONG") ? CUTS : 1); i++)
        check_cut(steps, seed + i);
}

static void killed_at_any_moment_the_file_has_what_was_told(void)
{
    try_moments(try_kill);
}

/* A frame's header may lie in two pages of the system. */
static void killed_amid_a_header_the_file_has_what_was_told(void)
{
    size_t torn = 0;

    for (size_t i = 0; i < recorder_steps(); i++)
        if (recorder_tears(i)) {
            check_killed(i, true);
            torn++;
        }
    CHECK(torn > 3);
}

static void without_power_at_any_moment_the_file_has_what_was_told(void)
{
    try_moments(try_cut);
}

int main(void)
{
    static const struct check checks[] = {
#define TEST(name) {#name, name}
        TEST(killed_at_any_moment_the_file_has_what_was_told),
        TEST(killed_amid_a_header_the_file_has_what_was_told),
        TEST(without_power_at_any_moment_the_file_has_what_was_told),
    };

    run();
    printf("%zu steps, %zu requests\n", recorder_steps(), moment_count);
    check_all(checks, sizeof checks / sizeof *checks);
    for (size_t i = 0; i < moment_count; i++)
        free(moments[i].contents);
    free(moments);
    return 0;
}
