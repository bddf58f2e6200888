/* SPDX-License-Identifier: MIT
 *
 * Messages on their way, as bytes. See sim.h.
 */
#include "proto/codec.h"
#include "tests/unit/coordinator/sim.h"

#include <stdlib.h>
#include <utlist.h>

void sim_post(struct sim_pipe *pipe, const struct proto_message *message)
{
    struct sim_letter *letter = calloc(1, sizeof *letter);
    msgpack_sbuffer buffer;

    cr_assert(letter);
    msgpack_sbuffer_init(&buffer);
    cr_assert_eq(proto_encode(message, &buffer), 0, "a %s that cannot be sent",
                 proto_type_name(message->type));
    letter->size = buffer.size;
    letter->bytes = msgpack_sbuffer_release(&buffer);
    letter->payload = message->payload;
    if (letter->payload.blob)
        blob_ref(letter->payload.blob);
    DL_APPEND(pipe->letters, letter);
}

static void destroy(struct sim_letter *letter)
{
    blob_unref(letter->payload.blob);
    free(letter->bytes);
    free(letter);
}

bool sim_open(struct sim_pipe *pipe, struct sim_opened *ret_opened)
{
    struct sim_letter *letter = pipe->letters;
    struct muster_error error = {0};

    if (!letter)
        return false;
    DL_DELETE(pipe->letters, letter);
    ret_opened->letter = letter;
    cr_assert(msgpack_zone_init(&ret_opened->zone, 1024));
    cr_assert_eq(proto_decode(letter->bytes, letter->size, &ret_opened->zone, &ret_opened->message, &error),
                 0, "%s", error.text);
    ret_opened->message.payload = letter->payload;
    cr_assert_eq(proto_check_payload(&ret_opened->message, &error), 0, "%s", error.text);
    return true;
}

void sim_close(struct sim_opened *opened)
{
    msgpack_zone_destroy(&opened->zone);
    destroy(opened->letter);
}

void sim_drop(struct sim_pipe *pipe)
{
    struct sim_letter *letter, *next;

    DL_FOREACH_SAFE(pipe->letters, letter, next)
        destroy(letter);
    pipe->letters = NULL;
}
