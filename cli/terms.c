/* SPDX-License-Identifier: MIT
 *
 * Terms out of words. See terms.h.
 */
#include "cli/terms.h"

#include "base/clock.h"
#include "base/controls.h"
#include "cli/begin.h"
#include "cli/json_write.h"
#include "cli/quantity.h"

#include <stdio.h>
#include <string.h>

int terms_take_name(struct terms *terms, const char *text, struct muster_error *ret_error)
{
    size_t size = strlen(text);

    if (size == 0 || size > PROTO_NAME_MAX || json_utf8_bytes(text, size) < size || controls_in(text, size))
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "a name of 1 to %d bytes is expected, UTF-8 without control characters",
                                PROTO_NAME_MAX);
    terms->name = text;
    return 0;
}

static int refuse_after(struct muster_error *ret_error)
{
    return muster_error_set(ret_error, MUSTER_EINVALID,
                            "numbers of batches are expected, such as 12, 12:any or 12,13:ok");
}

int terms_take_after(struct terms *terms, const char *text, struct muster_error *ret_error)
{
    struct muster_after after;
    struct muster_error why;
    char digits[24];
    size_t size;

    for (;; text++) {
        size = strspn(text, "0123456789");
        snprintf(digits, sizeof digits, "%.*s", (int)(size < sizeof digits ? size : sizeof digits), text);
        if (quantity_integer(digits, 1, INT64_MAX, &after.batch, &why))
            return refuse_after(ret_error);
        text += size;
        size = strcspn(text, ",");
        after.any = size == 4 && strncmp(text, ":any", size) == 0;
        if (!after.any && size > 0 && (size != 3 || strncmp(text, ":ok", size) != 0))
            return refuse_after(ret_error);
        text += size;
        if (terms->after_count == PROTO_AFTER_MAX)
            return muster_error_set(ret_error, MUSTER_EINVALID, "a batch can wait for at most %d others",
                                    PROTO_AFTER_MAX);
        terms->after[terms->after_count++] = after;
        if (*text == '\0')
            return 0;
    }
}

int terms_take_begin(struct terms *terms, const char *text, struct muster_error *ret_error)
{
    return begin_read(text, (int64_t)(clock_read_ns(CLOCK_REALTIME) / 1000000), &terms->begin_ms, ret_error);
}

int terms_take_priority(struct terms *terms, const char *text, struct muster_error *ret_error)
{
    uint64_t number;
    bool below = text[0] == '-';

    if (quantity_integer(text + below, 0, PROTO_PRIORITY_MAX, &number, ret_error))
        return muster_error_set(ret_error, MUSTER_EINVALID, "a whole number from %d to %d is expected",
                                -PROTO_PRIORITY_MAX, PROTO_PRIORITY_MAX);
    terms->priority = below ? -(int)number : (int)number;
    return 0;
}

int terms_check(const struct terms *terms, bool shared, struct muster_error *ret_error)
{
    if (shared || (terms->after_count == 0 && terms->begin_ms == 0))
        return 0;
    return muster_error_set(
        ret_error, MUSTER_EINVALID,
        "--%s needs a coordinator that outlives this command ('muster coordinator' starts "
        "one): --coordinator default",
        terms->after_count > 0 ? "after" : "begin");
}

void terms_apply(const struct terms *terms, struct muster_batch *batch)
{
    batch->name = terms->name;
    batch->after = terms->after;
    batch->after_count = terms->after_count;
    batch->begin_ms = terms->begin_ms;
    batch->priority = terms->priority;
    batch->most_running = terms->most_running;
    batch->cpus = terms->cpus;
    batch->memory_bytes = terms->memory_bytes;
    batch->backoff_s = terms->backoff_s;
}
