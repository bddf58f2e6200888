/* SPDX-License-Identifier: MIT
 *
 * Messages on their way, as bytes. Between two peers they arrive in the order in which they were sent; those
 * of different peers overtake each other. See sim.h.
 */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Later than those before it. Now and then a line is silent for long, and all that it has arrives at once. */
static uint64_t choose_arrival(const struct sim_line *line)
{
    uint64_t arrival = world.now_ns + sim_soon(world.slow_ns);

    if (sim_fault(world.faults.partition))
        arrival += sim_below(12 * CLOCK_NS_PER_S);
    if (arrival < line->held_ns)
        arrival = line->held_ns;
    return arrival > line->last_ns ? arrival : line->last_ns + 1;
}

/* It is the simulation's, and so is a reference on its payload. */
static void keep(struct sim_letter *letter)
{
    sim_memory_own(letter);
    sim_memory_own(letter->bytes);
    sim_memory_lend(&letter->payload);
    if (letter->payload.blob)
        blob_ref(letter->payload.blob);
}

void sim_post(struct sim_line *line, const struct proto_message *message)
{
    struct sim_letter *letter = calloc(1, sizeof *letter);
    msgpack_sbuffer buffer;

    SIM_CHECK(letter, "out of memory");
    msgpack_sbuffer_init(&buffer);
    SIM_CHECK(proto_encode(message, &buffer) == 0, "a %s that cannot be sent",
              proto_type_name(message->type));
    letter->size = buffer.size;
    letter->bytes = msgpack_sbuffer_release(&buffer);
    letter->payload = message->payload;
    keep(letter);
    letter->arrives_ns = line->last_ns = choose_arrival(line);
    DL_APPEND(line->letters, letter);
}

void sim_post_again(struct sim_line *line, const struct sim_letter *letter)
{
    struct sim_letter *copy = malloc(sizeof *copy);
    void *bytes = malloc(letter->size);

    SIM_CHECK(copy && bytes, "out of memory");
    memcpy(bytes, letter->bytes, letter->size);
    *copy = (struct sim_letter){.bytes = bytes, .size = letter->size, .payload = letter->payload};
    keep(copy);
    copy->arrives_ns = line->last_ns = choose_arrival(line);
    DL_APPEND(line->letters, copy);
}

void sim_pass(struct sim_line *from, struct sim_line *to, const char *via)
{
    struct sim_letter *letter = from->letters;

    DL_DELETE(from->letters, letter);
    snprintf(letter->via, sizeof letter->via, "%s", via);
    letter->arrives_ns = to->last_ns = choose_arrival(to);
    DL_APPEND(to->letters, letter);
}

void sim_hold(struct sim_line *line, uint64_t until_ns)
{
    struct sim_letter *letter;
    uint64_t arrives_ns = until_ns;

    line->held_ns = until_ns;
    DL_FOREACH(line->letters, letter)
        if (letter->arrives_ns < arrives_ns)
            letter->arrives_ns = arrives_ns++;
    if (line->last_ns < arrives_ns)
        line->last_ns = arrives_ns;
}

uint64_t sim_arrival(const struct sim_line *line)
{
    return line->letters ? line->letters->arrives_ns : CLOCK_NEVER;
}

static void destroy(struct sim_letter *letter)
{
    sim_memory_take_back(&letter->payload);
    blob_unref(letter->payload.blob);
    sim_memory_free(letter->bytes);
    sim_memory_free(letter);
}

void sim_open(struct sim_line *line, struct sim_opened *ret_opened)
{
    struct sim_letter *letter = line->letters;
    struct muster_error error = {0};

    DL_DELETE(line->letters, letter);
    ret_opened->letter = letter;
    SIM_CHECK(msgpack_zone_init(&ret_opened->zone, 1024), "out of memory");
    SIM_CHECK(proto_decode(letter->bytes, letter->size, &ret_opened->zone, &ret_opened->message, &error) == 0,
              "%s", error.text);
    ret_opened->message.payload = letter->payload;
    SIM_CHECK(proto_check_payload(&ret_opened->message, &error) == 0, "%s", error.text);
}

void sim_close(struct sim_opened *opened)
{
    msgpack_zone_destroy(&opened->zone);
    destroy(opened->letter);
}

void sim_drop(struct sim_line *line)
{
    struct sim_letter *letter, *next;

    DL_FOREACH_SAFE(line->letters, letter, next)
        destroy(letter);
    *line = (struct sim_line){.letters = NULL};
}

void sim_leave(struct sim_line *line, const char *name)
{
    size_t ghost = sim_below(SIM_GHOSTS);

    sim_drop(&world.ghosts[ghost].from);
    snprintf(world.ghosts[ghost].name, sizeof world.ghosts[ghost].name, "%s", name);
    world.ghosts[ghost].from = *line;
    *line = (struct sim_line){.letters = NULL};
}

uint64_t sim_subject(const struct proto_message *message)
{
    return message->type == PROTO_HELLO || message->type == PROTO_WELCOME || message->type == PROTO_STOP ||
                   message->type >= PROTO_JOIN
               ? 0
               : message->ended.ticket; /* the first field of each of them */
}
