/* SPDX-License-Identifier: MIT
 *
 * Two worker processes and one owner of the account, who is the caller. See race.h. Each
 * withdrawal is a job of `withdraw`: the worker decides on the balance it was sent, the owner
 * does something about its decision.
 */
#include "lab/race.h"

#include "base/clock.h"
#include "jobs/argument.h"
#include "jobs/muster_job.h"

enum { PARTIES = 2 };

/* In a worker: whether the balance covers the amount. It changes nothing, and could not. */
static int withdraw(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    int64_t numbers[2]; /* balance, amount */

    if (!argument_integers(argument, 2, 0, RACE_BALANCE, numbers))
        return muster_call_fail(call, "not a balance and an amount");
    ret_result->type = MSGPACK_OBJECT_BOOLEAN;
    ret_result->via.boolean = numbers[0] >= numbers[1];
    return 0;
}

static const muster_function functions[] = {
    {.name = "withdraw", .summary = "whether an account covers a withdrawal", .run = withdraw},
};
static const muster_plugin of_the_race = MUSTER_PLUGIN(functions);

/* One round, as its owner sees it. */
struct owner {
    int64_t balance;
    int64_t copy;                /* that was sent out last */
    unsigned asked, next, still; /* withdrawals sent out, given to the batch, not yet settled */
    unsigned paid;
    uint64_t stale;
    unsigned first_worker; /* that answered in this round; 0: none has */
    bool apart;
    struct muster_error error; /* why no decision came */
};

/* The stream of arguments: [balance, amount], for each withdrawal that is still to be decided. */
static int next_withdrawal(void *context, msgpack_zone *zone, msgpack_object *ret_argument,
                           struct muster_error *ret_error)
{
    struct owner *owner = context;
    msgpack_object *pair;

    if (owner->next == owner->asked)
        return MUSTER_EEND;
    if (!(pair = msgpack_zone_malloc(zone, 2 * sizeof *pair)))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    pair[0] = (msgpack_object){.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = (uint64_t)owner->copy};
    pair[1] = (msgpack_object){.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = RACE_AMOUNT};
    *ret_argument = (msgpack_object){.type = MSGPACK_OBJECT_ARRAY, .via.array = {.size = 2, .ptr = pair}};
    owner->next++;
    return 0;
}

/* A decision arrives: one message after another, on the owner's one thread. */
static int on_decision(void *context, const struct muster_result *result)
{
    struct owner *owner = context;

    if (result->code)
        return muster_error_set(&owner->error, result->code, "withdraw: %s", result->text);
    if (!owner->first_worker)
        owner->first_worker = result->worker;
    owner->apart = owner->apart || result->worker != owner->first_worker;
    if (owner->copy != owner->balance) {
        owner->stale++; /* decided on a balance that is no more */
        return 0;
    }
    owner->still--;
    if (result->value->via.boolean) {
        owner->balance -= RACE_AMOUNT;
        owner->paid++;
    }
    return 0;
}

/* Has all withdrawals of a round decided, some of them more than once. Each time one at least
 * is settled: the first decision that arrives is never stale. */
static int run_round(muster *m, int interrupt_fd, struct owner *owner, struct muster_error *ret_error)
{
    struct muster_batch batch = {
        .function = functions[0].name,
        .source = {.kind = MUSTER_SOURCE_STREAM, .next = next_withdrawal, .context = owner, .fd = -1},
        .chunk_jobs = 1,
        .unordered = true,
        .on_result = on_decision,
        .context = owner,
        .interrupt_fd = interrupt_fd,
    };
    struct muster_summary summary;
    int code = 0;

    *owner = (struct owner){.balance = RACE_BALANCE, .still = PARTIES};
    while (owner->still > 0 && !code) {
        owner->copy = owner->balance;
        owner->asked = owner->still;
        owner->next = 0;
        code = muster_map(m, &batch, &summary, ret_error);
    }
    if (owner->error.code && ret_error)
        *ret_error = owner->error;
    return code;
}

int race_open(muster **ret_workers, struct muster_error *ret_error)
{
    struct muster_options options = {.model = MUSTER_PROCESSES,
                                     .workers = PARTIES,
                                     .warm = true,
                                     .start = MUSTER_FORK,
                                     .functions = &of_the_race};

    return muster_open(&options, ret_workers, ret_error);
}

int race_in_processes(const struct race_spec *spec, struct race_row *row, struct muster_error *ret_error)
{
    uint64_t began_ns = clock_now_ns();
    struct owner owner;
    int code = 0;

    for (uint64_t round = 0; round < row->rounds; round++) {
        if ((code = run_round(spec->workers, spec->interrupt_fd, &owner, ret_error)) != 0)
            break;
        race_count(row, owner.balance, owner.paid);
        row->stale += owner.stale;
        row->apart += owner.apart;
    }
    row->wall_s = (double)(clock_now_ns() - began_ns) / (double)CLOCK_NS_PER_S;
    return code;
}
