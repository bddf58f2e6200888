/* SPDX-License-Identifier: MIT
 *
 * withdraw: decides on a withdrawal from a copy of an account. That it changes nothing is the
 * point of it: the account stays with whoever asks, and so does what is done about the
 * decision (lab/race.h).
 */
#include "jobs/argument.h"
#include "jobs/builtin.h"

#define AMOUNT_MAX (INT64_C(1) << 53) /* exact as JSON in any language */

static int withdraw(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    int64_t numbers[2]; /* balance, amount */

    if (!argument_integers(argument, 2, 0, AMOUNT_MAX, numbers))
        return argument_refuse(call, &function_withdraw, argument);
    ret_result->type = MSGPACK_OBJECT_BOOLEAN;
    ret_result->via.boolean = numbers[0] >= numbers[1];
    return 0;
}

const muster_function function_withdraw = {
    .name = "withdraw",
    .summary = "whether an account covers a withdrawal: a decision on a copy",
    .argument = "[balance, amount], two integers from 0 to 9007199254740992",
    .result = "true or false",
    .example = "[100,80]",
    .run = withdraw,
};
