/* SPDX-License-Identifier: MIT
 *
 * See requests_fixture.h.
 */
#include "requests_fixture.h"

#include "proto/value.h"
#include "tests/support/check.h"

#include <string.h>

msgpack_zone answer_zone;

struct proto_message held_range(uint64_t ticket, int64_t last)
{
    struct proto_message message = submit_range(ticket, last, false);

    message.submit.hold = true;
    message.submit.ordered = false;
    return message;
}

struct proto_message held_list(uint64_t ticket)
{
    struct proto_message message = held_range(ticket, 1);

    message.submit.kind = PROTO_LIST;
    message.submit.first = message.submit.last = 0;
    return message;
}

uint64_t submit(const struct proto_message *message)
{
    world_say(&w, "a", message);
    return world_expect(&w, "a", PROTO_ACCEPTED)->accepted.batch;
}

uint64_t accept_range(int64_t last)
{
    struct proto_message message = held_range(1, last);

    return submit(&message);
}

void ask(enum proto_operation operation, uint64_t batch, uint64_t number, const char *text)
{
    say_request("a", operation, batch, number, text);
}

struct proto_answer take_answer(msgpack_object *ret_value)
{
    const struct proto_message *message = world_expect(&w, "a", PROTO_ANSWER);
    size_t offset = 0;

    CHECK(message->answer.ticket == 99);
    msgpack_zone_clear(&answer_zone);
    CHECK(value_unpack_copy(slice_bytes(&message->payload), message->payload.size, &offset, &answer_zone,
                            ret_value) == 0);
    CHECK(offset == message->payload.size);
    return message->answer;
}

void check_code(int code)
{
    msgpack_object value;
    struct proto_answer answer = take_answer(&value);

    CHECK_SAYING(answer.code == code, muster_error_name(answer.code));
    CHECK(code != 0 || value.type == MSGPACK_OBJECT_NIL);
    CHECK((code == 0) == (answer.text.size == 0));
}

msgpack_object told(msgpack_object_type type)
{
    msgpack_object value;

    CHECK(take_answer(&value).code == 0);
    CHECK(value.type == type);
    return value;
}

bool is_text(const msgpack_object *value, const char *text)
{
    return value->type == MSGPACK_OBJECT_STR && value->via.str.size == strlen(text) &&
           memcmp(value->via.str.ptr, text, strlen(text)) == 0;
}

const msgpack_object *find(const msgpack_object *map, const char *key)
{
    for (uint32_t i = 0; i < map->via.map.size; i++)
        if (is_text(&map->via.map.ptr[i].key, key))
            return &map->via.map.ptr[i].val;
    CHECK_SAYING(false, key);
    return NULL;
}

uint64_t count_of(const msgpack_object *map, const char *key)
{
    const msgpack_object *value = find(map, key);

    CHECK_SAYING(value->type == MSGPACK_OBJECT_POSITIVE_INTEGER, key);
    return value->via.u64;
}

msgpack_object status_of(uint64_t batch)
{
    ask(PROTO_REQUEST_STATUS, batch, 0, "");
    return told(MSGPACK_OBJECT_MAP);
}

void check_jobs(uint64_t batch, const char *state, uint64_t succeeded, uint64_t failed, uint64_t cancelled)
{
    msgpack_object map = status_of(batch);

    CHECK_SAYING(is_text(find(&map, "state"), state), state);
    CHECK(count_of(&map, "succeeded") == succeeded);
    CHECK(count_of(&map, "failed") == failed);
    CHECK(count_of(&map, "cancelled") == cancelled);
}

void open_world(unsigned workers)
{
    world_open(&w, NULL, 3, workers);
    world_hello(&w, "a", "ann");
    CHECK(msgpack_zone_init(&answer_zone, 4096));
}

void close_world(void)
{
    msgpack_zone_destroy(&answer_zone);
    world_close(&w);
    w.fail_every = 0;
}
