/* SPDX-License-Identifier: MIT
 *
 * Fields of answers. See facts.h.
 */
#include "cli/facts.h"

#include "base/controls.h"
#include "cli/json_write.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

const msgpack_object *fact_find(const msgpack_object *map, const char *key)
{
    if (map->type != MSGPACK_OBJECT_MAP)
        return NULL;
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        const msgpack_object *name = &map->via.map.ptr[i].key;

        if (name->type == MSGPACK_OBJECT_STR && name->via.str.size == strlen(key) &&
            memcmp(name->via.str.ptr, key, name->via.str.size) == 0)
            return &map->via.map.ptr[i].val;
    }
    return NULL;
}

uint64_t fact_count(const msgpack_object *map, const char *key)
{
    const msgpack_object *value = fact_find(map, key);

    return value && value->type == MSGPACK_OBJECT_POSITIVE_INTEGER ? value->via.u64 : 0;
}

int64_t fact_integer(const msgpack_object *map, const char *key)
{
    const msgpack_object *value = fact_find(map, key);

    if (value && value->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
        return value->via.i64;
    return value && value->type == MSGPACK_OBJECT_POSITIVE_INTEGER && value->via.u64 <= INT64_MAX
               ? value->via.i64
               : 0;
}

bool fact_flag(const msgpack_object *map, const char *key)
{
    const msgpack_object *value = fact_find(map, key);

    return value && value->type == MSGPACK_OBJECT_BOOLEAN && value->via.boolean;
}

/* The bytes of the character that comes next; 1 where there is none, or it is a control character. */
static size_t character(const char *bytes, size_t left, bool *ret_shown)
{
    size_t length = 1;

    while (length < left && length < 4 && json_utf8_bytes(bytes, length) == 0)
        length++;
    *ret_shown = json_utf8_bytes(bytes, length) == length && controls_at(bytes, length) == 0;
    return json_utf8_bytes(bytes, length) == length ? length : 1;
}

const char *fact_string(const msgpack_object *value, char *text, size_t size)
{
    const char *bytes = "";
    size_t left = 0, used = 0, length;
    bool shown;

    if (value && value->type == MSGPACK_OBJECT_STR) {
        bytes = value->via.str.ptr;
        left = value->via.str.size;
    }
    for (; left > 0; bytes += length, left -= length) {
        length = character(bytes, left, &shown);
        if (used + (shown ? length : 1) >= size)
            break;
        memcpy(text + used, shown ? bytes : "?", shown ? length : 1);
        used += shown ? length : 1;
    }
    text[used] = '\0';
    return text;
}

const char *fact_text(const msgpack_object *map, const char *key, char *text, size_t size)
{
    return fact_string(fact_find(map, key), text, size);
}

const char *fact_short(uint64_t count, char text[FACT_BYTES])
{
    static const char units[] = "MGTPE";
    double number = (double)count / 1e6;
    size_t unit = 0;

    if (count < 10000000) {
        snprintf(text, FACT_BYTES, "%" PRIu64, count);
        return text;
    }
    for (; number >= 1000 && units[unit + 1]; unit++)
        number /= 1000;
    snprintf(text, FACT_BYTES, "%.1f%c", number, units[unit]);
    return text;
}

const char *fact_when(uint64_t ms, char text[FACT_BYTES])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;

    if (ms == 0 || !localtime_r(&seconds, &parts) ||
        strftime(text, FACT_BYTES, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        strcpy(text, "-");
    return text;
}

const char *fact_moment(uint64_t ms, char text[FACT_BYTES])
{
    time_t seconds = (time_t)(ms / 1000), now = time(NULL);
    struct tm parts, today;

    if (ms == 0 || !localtime_r(&seconds, &parts) || !localtime_r(&now, &today) ||
        strftime(text, FACT_BYTES, parts.tm_year == today.tm_year ? "%m-%d %H:%M" : "%Y-%m-%d", &parts) == 0)
        strcpy(text, "-");
    return text;
}

const char *fact_duration(uint64_t ms, char text[FACT_BYTES])
{
    uint64_t s = ms / 1000;

    if (s < 10)
        snprintf(text, FACT_BYTES, "%.2fs", (double)ms / 1e3);
    else if (s < 60)
        snprintf(text, FACT_BYTES, "%.1fs", (double)ms / 1e3);
    else if (s < 3600)
        snprintf(text, FACT_BYTES, "%" PRIu64 "m%02us", s / 60, (unsigned)(s % 60));
    else if (s < 86400)
        snprintf(text, FACT_BYTES, "%" PRIu64 "h%02um", s / 3600, (unsigned)(s % 3600 / 60));
    else
        snprintf(text, FACT_BYTES, "%" PRIu64 "d%02uh", s / 86400, (unsigned)(s % 86400 / 3600));
    return text;
}
