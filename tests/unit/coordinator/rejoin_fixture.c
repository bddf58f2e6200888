/* SPDX-License-Identifier: MIT
 *
 * See rejoin_fixture.h.
 */
#include "tests/unit/coordinator/rejoin_fixture.h"

#include <criterion/criterion.h>

const unsigned second[] = {2};

void says_hello_of_several(unsigned slot, uint32_t standing, uint32_t concurrency)
{
    step_message(worker_name(slot), &(struct proto_message){.type = PROTO_HELLO,
                                                            .hello = {.version = PROTO_VERSION,
                                                                      .role = PROTO_WORKER,
                                                                      .pid = 100 + slot,
                                                                      .credit = 3 * concurrency - 2,
                                                                      .concurrency = concurrency,
                                                                      .standing = standing}});
    expect_sent(worker_name(slot), PROTO_WELCOME);
}

void says_hello(unsigned slot, uint32_t standing)
{
    says_hello_of_several(slot, standing, 1);
}

void stands_by(unsigned slot, const struct proto_chunk *chunk, uint32_t count)
{
    step_message(worker_name(slot), &(struct proto_message){.type = PROTO_STANDING,
                                                            .standing = {.batch = chunk->batch,
                                                                         .chunk = chunk->chunk,
                                                                         .first = chunk->first,
                                                                         .count = count,
                                                                         .attempt = chunk->attempt}});
}

void finishes(unsigned slot, const struct proto_chunk *chunk)
{
    worker_finishes(slot, chunk);
    expect_results(chunk->first, chunk->count, NULL);
}

void expect_cancel(unsigned slot, enum proto_cancel_mode mode, uint64_t first, uint64_t count)
{
    const struct proto_cancel *asked = &expect_sent(worker_name(slot), PROTO_CANCEL)->cancel;

    cr_assert_eq(asked->mode, mode);
    cr_assert_eq(asked->first, first);
    cr_assert_eq(asked->count, count);
}
