/* SPDX-License-Identifier: MIT
 *
 * PROTOCOL.md against the headers: types, error numbers and limits are the same in both, and
 * every golden vector is linked.
 */
#include "base/error.h"
#include "proto/limits.h"
#include "proto/messages.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>

static char page[1 << 17];

static void set_up(void)
{
    FILE *file = fopen(PROTO_FOLDER "/PROTOCOL.md", "r");
    size_t size;

    cr_assert_not_null(file);
    size = fread(page, 1, sizeof page - 1, file);
    fclose(file);
    cr_assert(size > 0 && size < sizeof page - 1);
}

TestSuite(protocol, .init = set_up);

static void assert_there(const char *text)
{
    cr_assert_not_null(strstr(page, text), "PROTOCOL.md lacks \"%s\"", text);
}

Test(protocol, every_type_has_its_number)
{
#define X(name, number) assert_there("\n| `" #name "` | " #number " |");
    PROTO_TYPE_MAP(X)
#undef X
}

Test(protocol, every_error_has_its_number_and_text)
{
#define X(name, number, text) assert_there("\n| `" #name "` | " #number " | " text " |\n");
    MUSTER_ERROR_MAP(X)
#undef X
}

Test(protocol, every_operation_has_its_number)
{
#define X(name, number) assert_there("\n| `" #name "` | " #number " | ");
    PROTO_OPERATION_MAP(X)
#undef X
}

static void assert_limit(const char *name, long long value)
{
    char row[128];

    snprintf(row, sizeof row, "\n| %s | %lld |", name, value);
    assert_there(row);
}

Test(protocol, every_limit_has_its_value)
{
#define LIMIT(name) assert_limit(#name, PROTO_##name)
    LIMIT(DEPTH_MAX);
    LIMIT(ELEMENTS_MAX);
    LIMIT(VALUE_BYTES_MAX);
    LIMIT(PAYLOAD_BYTES_MAX);
    LIMIT(HEADER_BYTES_MAX);
    LIMIT(HEADER_ELEMENTS_MAX);
    LIMIT(CHUNK_JOBS_MAX);
    LIMIT(BLOCK_JOBS_MAX);
    LIMIT(BATCH_JOBS_MAX);
    LIMIT(MESSAGE_COST_BYTES);
    LIMIT(FAILURE_COST_BYTES);
    LIMIT(SHARED_EXT);
    LIMIT(SHARED_REFERENCE_BYTES);
    LIMIT(SHARED_BYTES_MAX);
    LIMIT(FUNCTION_NAME_MAX);
    LIMIT(TEXT_MAX);
    LIMIT(PEER_NAME_MAX);
    LIMIT(WORKERS_MAX);
    LIMIT(CLIENTS_MAX);
    LIMIT(HOSTS_MAX);
    LIMIT(HOST_NAME_MAX);
    LIMIT(PLUGINS_MAX);
    LIMIT(DIGEST_DIGITS);
    LIMIT(EXIT_TEXT_MAX);
    LIMIT(BEAT_MS_MAX);
    LIMIT(BEATS);
    LIMIT(BATCHES_MAX);
    LIMIT(CREDIT_MAX);
    LIMIT(STANDING_MAX);
    LIMIT(KEPT_BYTES_MAX);
    LIMIT(CONCURRENCY_MAX);
    LIMIT(RETRIES_MAX);
    LIMIT(CRASH_LIMIT_MAX);
    LIMIT(TIMEOUT_MS_MAX);
    LIMIT(NAME_MAX);
    LIMIT(USER_MAX);
    LIMIT(PRIORITY_MAX);
    LIMIT(AFTER_MAX);
    LIMIT(ANSWER_BATCHES_MAX);
    LIMIT(MEMORY_BYTES_MAX);
    LIMIT(BEGIN_MS_MAX);
    LIMIT(EPOCH_MAX);
#undef LIMIT
}

Test(protocol, every_golden_vector_is_linked)
{
    DIR *folder = opendir(PROTO_FOLDER "/golden");
    struct dirent *entry;
    char link[300];

    cr_assert_not_null(folder);
    while ((entry = readdir(folder))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(link, sizeof link, "](golden/%s)", entry->d_name);
        assert_there(link);
    }
    closedir(folder);
}
