/* SPDX-License-Identifier: MIT
 *
 * What the codec refuses of messages about jobs of a batch, and what it cuts of them: chunks, outcomes,
 * failures and times.
 */
#include "codec_fixture.h"
#include "proto/limits.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

TestSuite(codec_jobs, .init = codec_set_up, .fini = codec_tear_down);

Test(codec_jobs, what_a_worker_stands_by_out_of_range_is_refused)
{
    static const struct wrong cases[] = {
        {"[24,0,1,1,1,1]", "batch"},
        {"[24,1,0,1,1,1]", "chunk"},
        {"[24,1,1,0,1,1]", "first"},
        {"[24,1,1,1,0,1]", "count"},
        {"[24,1,1,1,65537,1]", "count"},
        {"[24,1,1,4611686018427387904,2,1]", "count"},
        {"[24,1,1,1,1,0]", "attempt"},
        {"[25,0]", "number"},
        {"[25]", "number"},
        {"[14,1,1,-1,true,0,0,0,1,1,1,0,0,0,false,0,0,0,0,0,[],null]", "number"},
    };

    assert_refused(cases, COUNT(cases));
}

Test(codec_jobs, chunk_out_of_range_is_refused)
{
    static const struct wrong cases[] = {
        {"[13,0,1,\"f\",1,1,1,0,false,0,0,1,5]", "batch"},
        {"[13,1,0,\"f\",1,1,1,0,false,0,0,1,5]", "chunk"},
        {"[13,1,1,\"\",1,1,1,0,false,0,0,1,5]", "function"},
        {"[13,1,1,\"f\",0,1,1,0,false,0,0,1,5]", "first"},
        {"[13,1,1,\"f\",1,0,1,0,false,0,0,1,5]", "count"},
        {"[13,1,1,\"f\",1,65537,1,0,false,0,0,1,5]", "count"},
        {"[13,1,1,\"f\",4611686018427387904,2,1,0,false,0,0,1,5]", "count"},
        {"[13,1,1,\"f\",1,1,0,0,false,0,0,1,5]", "attempt"},
        {"[13,1,1,\"f\",1,1,1,2147483648,false,0,0,1,5]", "timeout_ms"},
        {"[13,1,1,\"f\",1,1,1,0,null,0,0,1,5]", "timings"},
        {"[13,1,1,\"f\",1,1,1,0,false,-1,0,1,5]", "reader"},
        {"[13,1,1,\"f\",1,1,1,0,false,7,1,1,5]", "shared_bytes"},
        {"[13,1,1,\"f\",1,1,1,0,false,7,281474976710657,2,0]", "shared_bytes"},
        {"[13,1,1,\"f\",1,1,1,0,false,0,0,0,5]", "kind"},
        {"[13,1,1,\"f\",1,1,1,0,false,0,0,2,5]", "argument"},
        {"[13,1,1,\"f\",1,2,1,0,false,0,0,1,9223372036854775807]", "argument"},
    };
    static const char *const right[] = {
        "[13,1,1,\"f\",1,1,1,0,false,0,0,1,9223372036854775807]",
        "[13,1,1,\"f\",1,65536,1,0,false,0,0,1,9223372036854710272]",
        "[13,1,1,\"f\",4611686018427387904,1,1,0,false,0,0,2,0]",
        "[13,1,1,\"f\",1,1,1,0,false,7,281474976710656,2,0]",
    };

    assert_refused(cases, COUNT(cases));
    assert_accepted(right, COUNT(right));
}

Test(codec_jobs, outcome_out_of_range_is_refused)
{
    static const struct wrong cases[] = {
        {"[14,0,1,0,true,0,0,0,1,1,1,0,0,0,false,0,0,0,0,0,[],null]", "batch"},
        {"[14,1,0,0,true,0,0,0,1,1,1,0,0,0,false,0,0,0,0,0,[],null]", "chunk"},
        {"[14,1,1,0,1,0,0,0,1,1,1,0,0,0,false,0,0,0,0,0,[],null]", "final"},
        {"[14,1,1,0,true,0,0,0,0,1,1,0,0,0,false,0,0,0,0,0,[],null]", "first"},
        {"[14,1,1,0,false,0,0,0,1,0,1,0,0,0,false,0,0,0,0,0,[],null]", "count"},
        {"[14,1,1,0,true,0,0,0,1,65537,1,0,0,0,false,0,0,0,0,0,[],null]", "count"},
        {"[14,1,1,0,true,0,0,0,4611686018427387905,1,1,0,0,0,false,0,0,0,0,0,[],null]", "count"},
        {"[14,1,1,0,true,0,0,0,1,1,0,0,0,0,false,0,0,0,0,0,[],null]", "attempt"},
        {"[14,1,1,0,true,0,-1,0,1,1,1,0,0,0,false,0,0,0,0,0,[],null]", "process_voluntary"},
        {"[14,1,1,0,true,0,0,-1,1,1,1,0,0,0,false,0,0,0,0,0,[],null]", "process_involuntary"},
        {"[14,1,1,0,true,0,0,0,1,1,1,0,-1,0,false,0,0,0,0,0,[],null]", "began_ns"},
        {"[14,1,1,0,true,0,0,0,1,1,1,0,0,0,false,0,-1,0,0,0,[],null]", "execute_ns"},
        {"[14,1,1,0,true,0,0,0,1,1,1,-1,0,0,false,0,0,0,0,0,[],null]", "arrived_ns"},
        {"[14,1,1,0,true,0,0,0,1,1,1,0,0,-1,false,0,0,0,0,0,[],null]", "reported_ns"},
        {"[14,1,1,0,true,0,0,0,1,1,1,0,0,0,0,0,0,0,0,0,[],null]", "split"},
        {"[14,1,1,0,true,0,0,0,1,1,1,0,0,0,false,-1,0,0,0,0,[],null]", "decode_ns"},
        {"[14,1,1,0,true,0,0,0,1,1,1,0,0,0,false,0,0,-1,0,0,[],null]", "encode_ns"},
        {"[14,1,1,0,true,0,0,0,1,1,1,0,0,0,false,0,0,0,0,-1,[],null]", "shared_bytes"},
        {"[14,1,1,0,true,0,0,0,1,1,1,0,0,0,false,0,0,0,-1,0,[],null]", "cpu_ns"},
        {"[9,0,1,0,0,1,1,1,0,0,0,false,0,0,0,0,0,[],null]", "ticket"},
        {"[9,1,16385,0,0,1,1,1,0,0,0,false,0,0,0,0,0,[],null]", "worker"},
        {"[9,1,1,-1,0,1,1,1,0,0,0,false,0,0,0,0,0,[],null]", "queued_ns"},
        {"[9,1,1,0,-1,1,1,1,0,0,0,false,0,0,0,0,0,[],null]", "assigned_ns"},
        {"[9,1,1,0,0,1,0,1,0,0,0,false,0,0,0,0,0,[],null]", "count"},
        {"[9,1,1,0,0,1,1,0,0,0,0,false,0,0,0,0,0,[],null]", "attempt"},
    };
    static const char *const right[] = {
        "[14,1,1,0,true,0,0,0,4611686018427387905,0,1,0,0,0,false,0,0,0,0,0,[],null]",
        "[14,1,1,0,true,0,0,0,4611686018427387904,1,1,0,0,0,false,0,0,0,0,0,[],null]",
        "[9,1,0,0,0,1,1,1,0,0,0,false,0,0,0,0,0,[],null]",
    };

    assert_refused(cases, COUNT(cases));
    assert_accepted(right, COUNT(right));
}

Test(codec_jobs, failures_that_do_not_fit_their_jobs_are_refused)
{
    static const struct wrong cases[] = {
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,null,null]", "failures"},
        {"[14,1,1,0,true,0,0,0,5,1,1,0,0,0,false,0,0,0,0,0,[[5,-11,\"\"],[6,-11,\"\"]],null]", "failures"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[[4,-11,\"\"]],null]", "index"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[[7,-11,\"\"]],null]", "index"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[[5,-11,\"\"],[5,-11,\"\"]],null]", "index"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[[6,-11,\"\"],[5,-11,\"\"]],null]", "index"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[[5,0,\"\"]],null]", "code"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[[5,-99,\"\"]],null]", "code"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[[5,-11,1]],null]", "text"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[[5,-11]],null]", "failure"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[[5,-11,\"\",0]],null]", "failure"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[[5,-11,\"\",false]],null]", "failure value"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[[5,-11,\"\",true,0]],null]", "failure"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[5,-11],null]", "failure"},
        {"[14,1,1,0,true,0,0,0,5,0,1,0,0,0,false,0,0,0,0,0,[[5,-11,\"\"]],null]", "failures"},
    };

    assert_refused(cases, COUNT(cases));
}

Test(codec_jobs, timings_that_do_not_fit_their_jobs_are_refused)
{
    static const struct wrong cases[] = {
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[],[1,2,3,4,5,6,7,8,9]]", "timings"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[],[1,2,3,4,5,6,7,8,9,10,11]]", "timings"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[],[]]", "timings"},
        {"[14,1,1,0,true,0,0,0,5,0,1,0,0,0,false,0,0,0,0,0,[],[]]", "timings"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[],0]", "timings"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[],[1,2,-3,4,5,6,7,8,9,10]]", "timing"},
    };

    assert_refused(cases, COUNT(cases));
}

/* A result of the largest chunk in which every job failed with the longest text. */
Test(codec_jobs, texts_of_many_failures_are_cut_to_fit_a_header)
{
    struct proto_message message = {.type = PROTO_RESULT, .result = {.batch = 1, .chunk = 1}}, back;
    struct proto_outcome *outcome = &message.result.outcome;
    struct proto_failure *failures = calloc(PROTO_CHUNK_JOBS_MAX, sizeof *failures);
    uint64_t *timings = malloc(PROTO_TIMINGS * PROTO_CHUNK_JOBS_MAX * sizeof *timings);
    char text[PROTO_TEXT_MAX];

    cr_assert(failures && timings);
    memset(text, 'x', sizeof text);
    memset(timings, 0xff, PROTO_TIMINGS * PROTO_CHUNK_JOBS_MAX * sizeof *timings);
    for (uint32_t i = 0; i < PROTO_CHUNK_JOBS_MAX; i++)
        failures[i] = (struct proto_failure){.index = PROTO_BATCH_JOBS_MAX - PROTO_CHUNK_JOBS_MAX + 1 + i,
                                             .code = MUSTER_EFAILED,
                                             .text = {.bytes = text, .size = sizeof text}};
    *outcome = (struct proto_outcome){.first = failures[0].index,
                                      .count = PROTO_CHUNK_JOBS_MAX,
                                      .attempt = 1,
                                      .failures = failures,
                                      .failure_count = PROTO_CHUNK_JOBS_MAX,
                                      .timings = timings};
    cr_assert_eq(proto_encode(&message, &encoded), 0);
    cr_assert_leq(encoded.size, PROTO_HEADER_BYTES_MAX);
    cr_assert_eq(decode_bytes(encoded.data, encoded.size, &back), 0, "%s", refusal.text);
    cr_assert_eq(back.result.outcome.failure_count, PROTO_CHUNK_JOBS_MAX);
    cr_assert_geq(back.result.outcome.failures[PROTO_CHUNK_JOBS_MAX - 1].text.size, 16);
    cr_assert_eq(back.result.outcome.timings[PROTO_TIMINGS * PROTO_CHUNK_JOBS_MAX - 1], UINT64_MAX);
    free(failures);
    free(timings);
}

Test(codec_jobs, few_failures_keep_their_whole_texts)
{
    struct proto_failure failures[1000];
    struct proto_message message = {
        .type = PROTO_RESULT,
        .result = {
            .batch = 1,
            .chunk = 1,
            .outcome = {
                .first = 1, .count = 1000, .attempt = 1, .failures = failures, .failure_count = 1000}}};
    struct proto_message back;
    char text[PROTO_TEXT_MAX];

    memset(text, 'x', sizeof text);
    for (uint32_t i = 0; i < 1000; i++)
        failures[i] = (struct proto_failure){
            .index = 1 + i, .code = MUSTER_EFAILED, .text = {.bytes = text, .size = sizeof text}};
    cr_assert_eq(proto_encode(&message, &encoded), 0);
    cr_assert_eq(decode_bytes(encoded.data, encoded.size, &back), 0, "%s", refusal.text);
    for (uint32_t i = 0; i < 1000; i++)
        cr_assert_eq(back.result.outcome.failures[i].text.size, PROTO_TEXT_MAX);
}
