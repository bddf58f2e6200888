/* SPDX-License-Identifier: MIT
 *
 * Steps of the ledger's tests. See ledger_steps.h.
 */
#include "tests/support/ledger_steps.h"

#include "proto/codec.h"
#include "tests/support/check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct world w;
char state_path[] = "/tmp/muster-test-XXXXXX/store";

struct proto_message submit_range(uint64_t ticket, int64_t last, bool attach)
{
    return (struct proto_message){
        .type = PROTO_SUBMIT,
        .submit = {.ticket = ticket,
                   .function = proto_text("noop"),
                   .kind = PROTO_RANGE,
                   .first = 1,
                   .last = last,
                   .chunk_jobs = 10,
                   .crash_limit = 3,
                   .window_bytes = 1 << 20,
                   .keep = true,
                   .attach = attach,
                   .ordered = true,
                   .cpus = 1},
    };
}

struct proto_message submit_list(uint64_t ticket, bool attach)
{
    struct proto_message message = submit_range(ticket, 1, attach);

    message.submit.kind = PROTO_LIST;
    message.submit.first = message.submit.last = 0;
    return message;
}

struct slice numbers(uint64_t first, uint32_t count)
{
    struct slice payload;
    msgpack_sbuffer buffer;
    msgpack_packer packer;

    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    for (uint32_t i = 0; i < count; i++)
        msgpack_pack_uint64(&packer, first + i);
    payload = (struct slice){.blob = blob_copy(buffer.data, buffer.size), .size = buffer.size};
    CHECK(payload.blob);
    msgpack_sbuffer_destroy(&buffer);
    return payload;
}

void say_arguments(const char *client, uint64_t ticket, uint64_t first, uint32_t count)
{
    struct proto_message message = {
        .type = PROTO_ARGUMENTS,
        .arguments = {.ticket = ticket, .first = first, .count = count},
        .payload = numbers(first, count),
    };

    world_say(&w, client, &message);
    blob_unref(message.payload.blob);
}

void say_seal(const char *client, uint64_t ticket, uint64_t total)
{
    world_say(&w, client,
              &(struct proto_message){.type = PROTO_SEAL, .seal = {.ticket = ticket, .total = total}});
}

void say_attach(const char *client, uint64_t ticket, uint64_t batch, bool ordered, uint64_t window)
{
    world_say(&w, client,
              &(struct proto_message){.type = PROTO_ATTACH,
                                      .attach = {.ticket = ticket,
                                                 .batch = batch,
                                                 .first = 1,
                                                 .ordered = ordered,
                                                 .follow = true,
                                                 .results = true,
                                                 .window_bytes = window}});
}

void say_cancel(const char *client, uint64_t ticket, enum proto_cancel_mode mode)
{
    world_say(&w, client,
              &(struct proto_message){.type = PROTO_CANCEL, .cancel = {.id = ticket, .mode = mode}});
}

void say_request(const char *client, enum proto_operation operation, uint64_t batch, uint64_t number,
                 const char *text)
{
    world_say(&w, client,
              &(struct proto_message){.type = PROTO_REQUEST,
                                      .request = {.ticket = 99,
                                                  .operation = operation,
                                                  .batch = batch,
                                                  .number = number,
                                                  .text = proto_text(text)}});
}

void say_large_list(const char *client, uint64_t ticket, uint64_t jobs, size_t bytes)
{
    struct proto_message list = submit_list(ticket, false);
    char *zeros = calloc(1, bytes);
    msgpack_sbuffer buffer;
    msgpack_packer packer;
    struct blob *blob;

    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    CHECK(zeros && msgpack_pack_bin_with_body(&packer, zeros, bytes) == 0);
    CHECK((blob = blob_copy(buffer.data, buffer.size)));
    world_say(&w, client, &list);
    for (uint64_t job = 1; job <= jobs; job++)
        world_say(&w, client,
                  &(struct proto_message){.type = PROTO_ARGUMENTS,
                                          .arguments = {.ticket = ticket, .first = job, .count = 1},
                                          .payload = {.blob = blob, .size = buffer.size}});
    blob_unref(blob);
    msgpack_sbuffer_destroy(&buffer);
    free(zeros);
}

void say_consumed(const char *client, uint64_t ticket, uint64_t bytes)
{
    world_say(
        &w, client,
        &(struct proto_message){.type = PROTO_CONSUMED, .consumed = {.ticket = ticket, .bytes = bytes}});
}

uint64_t accepted(const char *client)
{
    return world_expect(&w, client, PROTO_ACCEPTED)->accepted.batch;
}

int answered(const char *client)
{
    const struct proto_message *message = world_expect(&w, client, PROTO_ANSWER);

    CHECK(message->answer.ticket == 99);
    return message->answer.code;
}

uint64_t check_results(const char *client, uint64_t jobs, bool ordered)
{
    char *seen = calloc(jobs + 1, 1);
    uint64_t next = 1, count = 0, cost = 0;

    CHECK(seen);
    while (world_has(&w, client, PROTO_RESULTS)) {
        const struct proto_message *results = world_expect(&w, client, PROTO_RESULTS);
        const struct proto_outcome *outcome = &results->results.outcome;

        cost += proto_cost(results);
        CHECK(!ordered || outcome->first == next);
        for (uint64_t job = outcome->first; job < outcome->first + outcome->count; job++, count++) {
            CHECK(job <= jobs && !seen[job]);
            seen[job] = 1;
        }
        next = outcome->first + outcome->count;
    }
    CHECK(count == jobs);
    free(seen);
    return cost;
}

void check_ended(const char *client, uint64_t succeeded, uint64_t failed, uint64_t cancelled)
{
    const struct proto_ended *ended = &world_expect(&w, client, PROTO_ENDED)->ended;

    CHECK(ended->succeeded == succeeded && ended->failed == failed && ended->cancelled == cancelled);
}

void check_state(const char *client, uint64_t batch, const char *state)
{
    const struct proto_message *answer;
    char word[32];

    say_request(client, PROTO_REQUEST_STATUS, batch, 0, "");
    answer = world_expect(&w, client, PROTO_ANSWER);
    CHECK(answer->answer.code == 0);
    snprintf(word, sizeof word, "%c%s", (char)(0xa0 + strlen(state)), state);
    CHECK(memmem(slice_bytes(&answer->payload), answer->payload.size, word, strlen(word)));
}

void open_again(uint32_t epoch)
{
    w.hold_workers = true;
    world_open(&w, state_path, epoch, 2);
    world_hello(&w, "a", "");
}

void make_folder(void)
{
    *strrchr(state_path, '/') = '\0';
    memcpy(state_path + strlen(state_path) - 6, "XXXXXX", 6);
    CHECK(mkdtemp(state_path));
    state_path[strlen(state_path)] = '/';
}

void remove_folder(void)
{
    unlink(state_path);
    *strrchr(state_path, '/') = '\0';
    CHECK(rmdir(state_path) == 0);
    state_path[strlen(state_path)] = '/';
}

void let_pass(void)
{
    CHECK(ledger_deadline_ms(w.ledger) != UINT64_MAX);
    w.now_ms = ledger_deadline_ms(w.ledger);
    ledger_tick(w.ledger, w.now_ms, &w.outbox);
    world_settle(&w);
}
