/* SPDX-License-Identifier: MIT
 *
 * What the codec refuses of messages about whole batches: how they are submitted, read, asked about, and end.
 */
#include "codec_fixture.h"
#include "proto/limits.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(codec_batches, .init = codec_set_up, .fini = codec_tear_down);

/* The fields of a SUBMIT from `count` on, of a batch that is like any other. */
#define REST "0,false,false,true,false,\"\",0,0,1,0,0,0,[]]"

Test(codec_batches, submission_out_of_range_is_refused)
{
    static const struct wrong cases[] = {
        {"[4,0,\"f\",1,1,2,0,0,0,1,false,false,1," REST, "ticket"},
        {"[4,1,\"\",1,1,2,0,0,0,1,false,false,1," REST, "function"},
        {"[4,1,\"1f\",1,1,2,0,0,0,1,false,false,1," REST, "function"},
        {"[4,1,\"F\",1,1,2,0,0,0,1,false,false,1," REST, "function"},
        {"[4,1,\"f/g\",1,1,2,0,0,0,1,false,false,1," REST, "function"},
        {"[4,1,\"f\\u0000\",1,1,2,0,0,0,1,false,false,1," REST, "function"},
        {"[4,1,\"a2345678901234567890123456789012345678901234567890123456789012345\",1,1,2,0,0,0,1,false,"
         "false,1," REST,
         "function"},
        {"[4,1,\"f\",0,1,2,0,0,0,1,false,false,1," REST, "kind"},
        {"[4,1,\"f\",3,1,2,0,0,0,1,false,false,1," REST, "kind"},
        {"[4,1,\"f\",1,3,2,0,0,0,1,false,false,1," REST, "last"},
        {"[4,1,\"f\",1,0,4611686018427387904,0,0,0,1,false,false,1," REST, "last"},
        {"[4,1,\"f\",1,-9223372036854775808,9223372036854775807,0,0,0,1,false,false,1," REST, "last"},
        {"[4,1,\"f\",2,1,1,0,0,0,1,false,false,1," REST, "first"},
        {"[4,1,\"f\",1,1.5,2,0,0,0,1,false,false,1," REST, "first"},
        {"[4,1,\"f\",1,1,2,65537,0,0,1,false,false,1," REST, "chunk_jobs"},
        {"[4,1,\"f\",1,1,2,0,2147483648,0,1,false,false,1," REST, "timeout_ms"},
        {"[4,1,\"f\",1,1,2,0,0,1001,1,false,false,1," REST, "retries"},
        {"[4,1,\"f\",1,1,2,0,0,0,0,false,false,1," REST, "crash_limit"},
        {"[4,1,\"f\",1,1,2,0,0,0,1001,false,false,1," REST, "crash_limit"},
        {"[4,1,\"f\",1,1,2,0,0,0,1,0,false,1," REST, "timings"},
        {"[4,1,\"f\",1,1,2,0,0,0,1,false,0,1," REST, "shared"},
        {"[4,1,\"f\",1,1,2,0,0,0,1,false,false,0," REST, "window_bytes"},
    };

    assert_refused(cases, COUNT(cases));
}

/* A SUBMIT of a range, or of a list, up to `count`. */
#define RANGE "[4,1,\"f\",1,1,2,0,0,0,1,false,false,1,"
#define LIST  "[4,1,\"f\",2,0,0,0,0,0,1,false,false,1,"

Test(codec_batches, submission_that_is_to_be_kept_out_of_range_is_refused)
{
    static const struct wrong cases[] = {
        {RANGE "1,false,false,true,false,\"\",0,0,1,0,0,0,[]]", "count"},
        {LIST "4097,false,false,true,false,\"\",0,0,1,0,0,0,[]]", "count"},
        {LIST "-1,false,false,true,false,\"\",0,0,1,0,0,0,[]]", "count"},
        {RANGE "0,0,false,true,false,\"\",0,0,1,0,0,0,[]]", "keep"},
        {RANGE "0,false,true,true,false,\"\",0,0,1,0,0,0,[]]", "hold"},
        {RANGE "0,false,false,false,false,\"\",0,0,1,0,0,0,[]]", "attach"},
        {RANGE "0,false,false,true,null,\"\",0,0,1,0,0,0,[]]", "ordered"},
        {RANGE "0,false,false,true,false,null,0,0,1,0,0,0,[]]", "name"},
        {RANGE "0,false,false,true,false,\"\",1001,0,1,0,0,0,[]]", "priority"},
        {RANGE "0,false,false,true,false,\"\",-1001,0,1,0,0,0,[]]", "priority"},
        {RANGE "0,false,false,true,false,\"\",4294967296,0,1,0,0,0,[]]", "priority"},
        {RANGE "0,false,false,true,false,\"\",0,-1,1,0,0,0,[]]", "most_running"},
        {RANGE "0,false,false,true,false,\"\",0,0,0,0,0,0,[]]", "cpus"},
        {RANGE "0,false,false,true,false,\"\",0,0,16385,0,0,0,[]]", "cpus"},
        {RANGE "0,false,false,true,false,\"\",0,0,1,281474976710657,0,0,[]]", "memory_bytes"},
        {RANGE "0,false,false,true,false,\"\",0,0,1,0,253402300800000,0,[]]", "begin_ms"},
        {RANGE "0,false,false,true,false,\"\",0,0,1,0,0,2147483648,[]]", "backoff_ms"},
        {RANGE "0,false,false,true,false,\"\",0,0,1,0,0,0,null]", "after"},
        {RANGE "0,false,false,true,false,\"\",0,0,1,0,0,0,[7]]", "after"},
        {RANGE "0,false,false,true,false,\"\",0,0,1,0,0,0,[[7]]]", "after"},
        {RANGE "0,false,false,true,false,\"\",0,0,1,0,0,0,[[7,1,1]]]", "after"},
        {RANGE "0,false,false,true,false,\"\",0,0,1,0,0,0,[[0,1]]]", "after batch"},
        {RANGE "0,false,false,true,false,\"\",0,0,1,0,0,0,[[7,0]]]", "after condition"},
        {RANGE "0,false,false,true,false,\"\",0,0,1,0,0,0,[[7,1],[8,3]]]", "after condition"},
        {RANGE "0,false,false,true,false,\"\",0,0,1,0,0,0,[],null]", "common"},
        {RANGE "0,false,false,true,false,\"\",0,0,1,0,0,0,[],\"x\"]", "common"},
    };
    static const char *const right[] = {
        LIST "4096,false,false,true,false,\"\",0,0,1,0,0,0,[]]",
        RANGE
        "0,true,true,false,true,\"x\",1000,4294967295,1024,281474976710656,253402300799999,2147483647,[]]",
        RANGE "0,true,false,true,true,\"x\",-1000,1,1,1,1,1,[[9223372036854775807,2]]]",
    };

    assert_refused(cases, COUNT(cases));
    assert_accepted(right, COUNT(right));
}

/* The header of a SUBMIT whose name is so long, and that waits for so many batches. */
static int decode_submission(unsigned name, unsigned after)
{
    struct proto_message message;
    char header[2048];
    int size = snprintf(header, sizeof header, RANGE "0,true,false,true,false,\"%*s\",0,0,1,0,0,0,[",
                        (int)name, "x");

    for (unsigned i = 0; i < after; i++)
        size += snprintf(header + size, sizeof header - (size_t)size, "%s[%u,1]", i ? "," : "", i + 1);
    snprintf(header + size, sizeof header - (size_t)size, "]]");
    return decode(header, &message);
}

Test(codec_batches, submission_with_too_long_a_name_or_too_many_to_wait_for_is_refused)
{
    cr_assert_eq(decode_submission(PROTO_NAME_MAX, PROTO_AFTER_MAX), 0);
    cr_assert_eq(decode_submission(PROTO_NAME_MAX + 1, 0), MUSTER_EPROTOCOL);
    cr_assert_not_null(strstr(refusal.text, "name"));
    cr_assert_eq(decode_submission(1, PROTO_AFTER_MAX + 1), MUSTER_EPROTOCOL);
    cr_assert_not_null(strstr(refusal.text, "after"));
}

Test(codec_batches, attachment_out_of_range_is_refused)
{
    static const struct wrong cases[] = {
        {"[19,0,1,1,true,true,true,true,1]", "ticket"},
        {"[19,1,0,1,true,true,true,true,1]", "batch"},
        {"[19,1,1,0,true,true,true,true,1]", "first"},
        {"[19,1,1,4611686018427387905,true,true,true,true,1]", "first"},
        {"[19,1,1,1,1,true,true,true,1]", "ordered"},
        {"[19,1,1,1,true,1,true,true,1]", "follow"},
        {"[19,1,1,1,true,true,1,true,1]", "arguments"},
        {"[19,1,1,1,true,true,true,false,0]", "arguments"},
        {"[19,1,1,1,true,true,true,1,1]", "results"},
        {"[19,1,1,1,true,true,true,true,0]", "window_bytes"},
        {"[19,1,1,1,true,true,false,false,1]", "window_bytes"},
        {"[20,0,1,\"f\",1,1,2,2,true]", "ticket"},
        {"[20,1,0,\"f\",1,1,2,2,true]", "batch"},
        {"[20,1,1,\"\",1,1,2,2,true]", "function"},
        {"[20,1,1,\"f\",0,1,2,2,true]", "kind"},
        {"[20,1,1,\"f\",1,3,2,2,true]", "last"},
        {"[20,1,1,\"f\",2,1,1,2,true]", "first"},
        {"[20,1,1,\"f\",1,1,2,4611686018427387905,true]", "total"},
        {"[20,1,1,\"f\",1,1,2,2,0]", "sealed"},
        {"[21,0]", "ticket"},
        {"[21]", "ticket"},
        {"[21,1,1]", "more than 1"},
    };
    static const char *const right[] = {
        "[19,9223372036854775807,1,4611686018427387904,false,false,false,true,9223372036854775807]",
        "[19,1,1,1,false,true,false,false,0]",
        "[20,1,1,\"f\",2,0,0,0,true]",
    };

    assert_refused(cases, COUNT(cases));
    assert_accepted(right, COUNT(right));
}

Test(codec_batches, question_or_answer_out_of_range_is_refused)
{
    static const struct wrong cases[] = {
        {"[22,0,1,0,0,\"\"]", "ticket"},     {"[22,1,0,0,0,\"\"]", "operation"},
        {"[22,1,10,0,0,\"\"]", "operation"}, {"[22,1,1,-1,0,\"\"]", "batch"},
        {"[22,1,1,0,-1,\"\"]", "number"},    {"[22,1,1,0,0,null]", "text"},
        {"[23,0,0,false,\"\"]", "ticket"},   {"[23,1,1,false,\"\"]", "code"},
        {"[23,1,-99,false,\"\"]", "code"},   {"[23,1,0,0,\"\"]", "more"},
        {"[23,1,0,false,7]", "text"},
    };

    assert_refused(cases, COUNT(cases));
}

Test(codec_batches, submission_at_its_limits_is_accepted)
{
    static const char *const headers[] = {
        ("[4,1,\"a234567890123456789012345678901234567890123456789012345678901_.-\",1,1,3,0,0,0,1,true,false,"
         "1," REST),
        "[4,1,\"f\",1,1,4611686018427387904,65536,2147483647,1000,1000,true,false,1," REST,
        "[4,1,\"f\",1,-9223372036854775808,-9223372036854775808,0,0,0,1,false,false,1," REST,
        "[4,1,\"f\",1,9223372036854775807,9223372036854775807,0,0,0,1,false,false,1," REST,
        "[4,1,\"f\",1,-2305843009213693952,2305843009213693951,0,0,0,1,false,false,1," REST,
    };

    assert_accepted(headers, COUNT(headers));
}

Test(codec_batches, end_out_of_range_is_refused)
{
    static const struct wrong cases[] = {
        {"[11,0,0,1,1,1,0,0,0,0,0,0,0,0,0,0,0,\"\"]", "ticket"},
        {"[11,1,1,1,1,1,0,0,0,0,0,0,0,0,0,0,0,\"\"]", "code"},
        {"[11,1,0,4611686018427387905,0,0,0,0,0,0,0,0,0,0,0,0,0,\"\"]", "succeeded"},
        {"[11,1,0,4611686018427387904,1,0,0,0,0,0,0,0,0,0,0,0,0,\"\"]", "failed"},
        {"[11,1,0,4611686018427387903,1,1,0,0,0,0,0,0,0,0,0,0,0,\"\"]", "cancelled"},
        {"[11,1,0,1,1,1,0,0,0,0,0,0,0,0,0,-1,0,\"\"]", "voluntary"},
        {"[11,1,0,1,1,1,0,0,0,0,0,0,0,0,0,0,-1,\"\"]", "involuntary"},
        {"[11,1,0,1,1,1,0,0,0,0,0,0,0,0,0,0,0,0]", "text"},
    };

    assert_refused(cases, COUNT(cases));
}
