/* SPDX-License-Identifier: MIT
 *
 * The arithmetic of receipts. See account.h.
 *
 * Every part of a worker's time is given to one phase, by cutting it at moments that are first
 * brought into order; so phases add up whatever the moments are.
 */
#include "client/account.h"

#include <stdlib.h>
#include <string.h>

/* Gaps of a worker that may still turn out to be work, for one of several jobs at once: a report
 * waits behind as many others as came before it in 2 ms. Older ones are settled. */
enum { GAPS = 16 };

struct gap {
    uint64_t from_ns, until_ns;
    struct moments moments; /* of what ran behind it */
};

struct ledger {
    uint64_t reached_ns; /* all before is work or a gap */
    unsigned gap_count;
    struct gap gaps[GAPS]; /* in order of time */
};

struct account {
    uint64_t began_ns;
    struct muster_receipt receipt;
    uint64_t told_ns, merged_ns; /* execute_ns of all work, and of that without a split */
    uint64_t last_ns;            /* when the work ended that ended last */
    uint64_t delivered_ns;       /* of the work that `delivery` is about */
    struct delivery delivery;    /* of what ended last and was delivered */
    unsigned workers;
    struct ledger ledgers[];
};

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Gives the time from *at_ns until `moment_ns`, but not beyond `end_ns`, to a phase. */
static void pass(struct muster_receipt *receipt, enum muster_phase phase, uint64_t *at_ns, uint64_t moment_ns,
                 uint64_t end_ns)
{
    uint64_t until_ns = least(moment_ns, end_ns);

    if (until_ns <= *at_ns)
        return;
    receipt->phase_ns[phase] += until_ns - *at_ns;
    *at_ns = until_ns;
}

/* The way to a worker, from *at_ns to its arrival. */
static void pass_moments(struct muster_receipt *receipt, const struct moments *moments, uint64_t *at_ns,
                         uint64_t end_ns)
{
    pass(receipt, MUSTER_PHASE_QUEUED, at_ns, moments->held_ns, end_ns);
    pass(receipt, MUSTER_PHASE_ENCODE, at_ns, moments->sent_ns, end_ns);
    pass(receipt, MUSTER_PHASE_SEND, at_ns, moments->queued_ns, end_ns);
    pass(receipt, MUSTER_PHASE_QUEUED, at_ns, moments->assigned_ns, end_ns);
    pass(receipt, MUSTER_PHASE_SEND, at_ns, moments->arrived_ns, end_ns);
}

/* The way back, from *at_ns to `end_ns`. */
static void pass_delivery(struct muster_receipt *receipt, const struct delivery *delivery, uint64_t *at_ns,
                          uint64_t end_ns)
{
    pass(receipt, MUSTER_PHASE_RETURN, at_ns, delivery->received_ns, end_ns);
    pass(receipt, MUSTER_PHASE_DECODE_RESULT, at_ns, *at_ns + delivery->decode_ns, end_ns);
    pass(receipt, MUSTER_PHASE_COMMIT, at_ns, end_ns, end_ns);
}

static uint64_t work_ns(const struct work *work)
{
    return work->decode_ns + work->execute_ns + work->encode_ns;
}

struct muster_receipt account_job(const struct moments *moments, const struct work *work,
                                  const struct delivery *delivery)
{
    struct muster_receipt receipt = {.split = work->split};
    uint64_t at_ns = moments->asked_ns, end_ns = most(delivery->handed_ns, at_ns);

    receipt.total_ns = end_ns - at_ns;
    pass_moments(&receipt, moments, &at_ns, end_ns);
    if (work->began_ns == 0) {
        enum muster_phase phase = moments->assigned_ns ? MUSTER_PHASE_EXECUTE : MUSTER_PHASE_QUEUED;

        pass(&receipt, phase, &at_ns, delivery->received_ns, end_ns);
    } else {
        pass(&receipt, MUSTER_PHASE_WAIT, &at_ns, work->began_ns, end_ns);
        pass(&receipt, MUSTER_PHASE_DECODE, &at_ns, at_ns + work->decode_ns, end_ns);
        pass(&receipt, MUSTER_PHASE_EXECUTE, &at_ns, at_ns + work->execute_ns, end_ns);
        pass(&receipt, MUSTER_PHASE_ENCODE_RESULT, &at_ns, at_ns + work->encode_ns, end_ns);
    }
    pass_delivery(&receipt, delivery, &at_ns, end_ns);
    return receipt;
}

struct account *account_create(unsigned workers, uint64_t began_ns)
{
    struct account *account = calloc(1, sizeof *account + workers * sizeof account->ledgers[0]);

    if (!account)
        return NULL;
    account->began_ns = account->last_ns = began_ns;
    account->workers = workers;
    for (unsigned i = 0; i < workers; i++)
        account->ledgers[i].reached_ns = began_ns;
    return account;
}

void account_destroy(struct account *account)
{
    free(account);
}

/* --- gaps */

/* Nothing fills this gap any more. */
static void settle(struct account *account, const struct gap *gap)
{
    struct muster_receipt *receipt = &account->receipt;
    uint64_t at_ns = gap->from_ns;

    pass(receipt, MUSTER_PHASE_IDLE, &at_ns, gap->moments.asked_ns, gap->until_ns);
    pass_moments(receipt, &gap->moments, &at_ns, gap->until_ns);
    pass(receipt, MUSTER_PHASE_WAIT, &at_ns, gap->until_ns, gap->until_ns);
}

/* In its place among the gaps; the oldest goes where there is no room. */
static void insert(struct account *account, struct ledger *ledger, unsigned place, const struct gap *gap)
{
    if (ledger->gap_count == GAPS && place == 0) {
        settle(account, gap);
        return;
    }
    if (ledger->gap_count == GAPS) {
        settle(account, &ledger->gaps[0]);
        memmove(ledger->gaps, ledger->gaps + 1, --ledger->gap_count * sizeof *gap);
        place--;
    }
    memmove(&ledger->gaps[place + 1], &ledger->gaps[place], (ledger->gap_count++ - place) * sizeof *gap);
    ledger->gaps[place] = *gap;
}

/* Takes the time between out of the gaps, and returns how much that was. */
static uint64_t fill(struct account *account, struct ledger *ledger, uint64_t from_ns, uint64_t until_ns)
{
    uint64_t filled_ns = 0;

    for (unsigned i = ledger->gap_count; i-- > 0 && ledger->gaps[i].until_ns > from_ns;) {
        struct gap *gap = &ledger->gaps[i], before = *gap;

        if (gap->from_ns >= until_ns)
            continue;
        before.until_ns = most(from_ns, gap->from_ns);
        filled_ns += least(until_ns, gap->until_ns) - before.until_ns;
        gap->from_ns = least(until_ns, gap->until_ns); /* what is left behind, maybe nothing */
        if (before.until_ns > before.from_ns)
            insert(account, ledger, i, &before);
    }
    return filled_ns;
}

/* The worker was busy between these. Returns how much of that is new; `moments` are of what it
 * was busy with. */
static uint64_t advance(struct account *account, struct ledger *ledger, const struct moments *moments,
                        uint64_t from_ns, uint64_t until_ns)
{
    uint64_t busy_ns = 0;

    if (from_ns < ledger->reached_ns) {
        busy_ns = fill(account, ledger, from_ns, least(until_ns, ledger->reached_ns));
        from_ns = ledger->reached_ns;
    } else if (from_ns > ledger->reached_ns) {
        insert(account, ledger, ledger->gap_count,
               &(struct gap){.from_ns = ledger->reached_ns, .until_ns = from_ns, .moments = *moments});
        ledger->reached_ns = from_ns;
    }
    if (until_ns <= from_ns)
        return busy_ns;
    ledger->reached_ns = until_ns;
    return busy_ns + (until_ns - from_ns);
}

/* --- what happens */

/* part / whole of busy_ns */
static uint64_t share(uint64_t busy_ns, uint64_t part_ns, uint64_t whole_ns)
{
    if (busy_ns >= whole_ns)
        return part_ns;
    return (uint64_t)((double)busy_ns * ((double)part_ns / (double)whole_ns));
}

/* A worker died of the job, or was ended for it: it ran since it was assigned, as account_job has it. */
static void execute_until_death(struct account *account, struct ledger *ledger, const struct moments *moments,
                                uint64_t now_ns)
{
    uint64_t from_ns = most(most(moments->assigned_ns, moments->arrived_ns), account->began_ns);

    if (moments->assigned_ns == 0 || from_ns >= now_ns)
        return;
    account->receipt.phase_ns[MUSTER_PHASE_EXECUTE] += advance(account, ledger, moments, from_ns, now_ns);
    account->last_ns = most(account->last_ns, now_ns);
}

void account_work(struct account *account, unsigned worker, const struct moments *moments,
                  const struct work *work, uint64_t now_ns)
{
    uint64_t *phases = account->receipt.phase_ns;
    uint64_t whole_ns = work_ns(work), from_ns, until_ns, busy_ns, decode_ns, encode_ns;

    if (worker == 0 || worker > account->workers)
        return;
    now_ns = most(now_ns, account->began_ns);
    if (work->began_ns == 0)
        execute_until_death(account, &account->ledgers[worker - 1], moments, now_ns);
    if (work->began_ns == 0 || whole_ns == 0)
        return;
    from_ns = least(most(work->began_ns, account->began_ns), now_ns);
    until_ns = from_ns + least(whole_ns, now_ns - from_ns);
    busy_ns = advance(account, &account->ledgers[worker - 1], moments, from_ns, until_ns);
    decode_ns = least(share(busy_ns, work->decode_ns, whole_ns), busy_ns);
    encode_ns = least(share(busy_ns, work->encode_ns, whole_ns), busy_ns - decode_ns);
    phases[MUSTER_PHASE_DECODE] += decode_ns;
    phases[MUSTER_PHASE_ENCODE_RESULT] += encode_ns;
    phases[MUSTER_PHASE_EXECUTE] += busy_ns - decode_ns - encode_ns;
    account->told_ns += work->execute_ns;
    account->merged_ns += work->split ? 0 : work->execute_ns;
    account->last_ns = most(account->last_ns, until_ns);
}

void account_commit(struct account *account, unsigned worker, uint64_t from_ns, uint64_t until_ns)
{
    static const struct moments at_once;

    if (worker == 0 || worker > account->workers)
        return;
    account->receipt.phase_ns[MUSTER_PHASE_COMMIT] +=
        advance(account, &account->ledgers[worker - 1], &at_once, from_ns, until_ns);
}

void account_delivery(struct account *account, const struct work *work, const struct delivery *delivery)
{
    uint64_t ended_ns = work->began_ns + work_ns(work);

    if (ended_ns < account->delivered_ns)
        return;
    account->delivered_ns = ended_ns;
    account->delivery = *delivery;
}

/* --- the end */

/* Moves up to *left_ns from a phase to EXECUTE. */
static void take_back(struct account *account, enum muster_phase phase, uint64_t *left_ns)
{
    uint64_t *phases = account->receipt.phase_ns, moved_ns = least(*left_ns, phases[phase]);

    phases[phase] -= moved_ns;
    phases[MUSTER_PHASE_EXECUTE] += moved_ns;
    *left_ns -= moved_ns;
}

struct muster_receipt account_close(struct account *account, uint64_t ended_ns, uint64_t execute_ns)
{
    struct muster_receipt *receipt = &account->receipt;
    uint64_t left_ns = execute_ns > account->told_ns ? execute_ns - account->told_ns : 0;

    for (unsigned i = 0; i < account->workers; i++) {
        struct ledger *ledger = &account->ledgers[i];
        uint64_t at_ns = ledger->reached_ns;

        for (unsigned k = 0; k < ledger->gap_count; k++)
            settle(account, &ledger->gaps[k]);
        ledger->gap_count = 0;
        pass(receipt, MUSTER_PHASE_IDLE, &at_ns, account->last_ns, ended_ns);
        if (account->delivered_ns)
            pass_delivery(receipt, &account->delivery, &at_ns, ended_ns);
        pass(receipt, MUSTER_PHASE_IDLE, &at_ns, ended_ns, ended_ns);
    }
    take_back(account, MUSTER_PHASE_QUEUED, &left_ns);
    take_back(account, MUSTER_PHASE_WAIT, &left_ns);
    take_back(account, MUSTER_PHASE_IDLE, &left_ns);
    receipt->split = account->merged_ns <= account->told_ns / 100;
    receipt->total_ns = (ended_ns - account->began_ns) * account->workers;
    return *receipt;
}
