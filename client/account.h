/* SPDX-License-Identifier: MIT
 *
 * Where time went (client/receipt.h): from the moments that client, coordinator and worker noted
 * to the receipt of a job, and to that of a batch, which accounts for every nanosecond of its
 * workers. Pure: no clock is read here. Moments that lie, be it that the clocks of two hosts
 * differ, make phases wrong, but never their sum.
 *
 * A batch: what a worker was busy with is told by reports (account_work), nearly in order of time;
 * what lies between is a gap, explained by the jobs that ran behind it. A worker of several jobs
 * at once is busy while any of them is under way, and what is reported late fills gaps.
 */
#ifndef MUSTER_CLIENT_ACCOUNT_H
#define MUSTER_CLIENT_ACCOUNT_H

#include "client/receipt.h"

/* Of neighbouring jobs on their way to a worker, in order of time; 0: not known. */
struct moments {
    uint64_t asked_ns;    /* for their arguments; of a range, the batch began; of a single job, submitted */
    uint64_t held_ns;     /* by the caller, until others are sent with them */
    uint64_t sent_ns;     /* encoded, by the caller */
    uint64_t queued_ns;   /* at the coordinator */
    uint64_t assigned_ns; /* to a worker, and sent there */
    uint64_t arrived_ns;  /* there */
};

/* What a worker did with jobs. */
struct work {
    uint64_t began_ns; /* 0: not known, it died with them */
    uint64_t decode_ns, execute_ns, encode_ns;
    bool split; /* else execute_ns has all three */
};

/* What became of the results. */
struct delivery {
    uint64_t received_ns, decode_ns, handed_ns;
};

/* The receipt of one job. */
struct muster_receipt account_job(const struct moments *moments, const struct work *work,
                                  const struct delivery *delivery);

struct account;

/* NULL when out of memory. */
struct account *account_create(unsigned workers, uint64_t began_ns);

/* Takes NULL. */
void account_destroy(struct account *account);

/* A worker, from 1, did that until `now_ns` at the latest; if it died of the jobs, it executed them
 * until then. Workers that there are not are passed over. */
void account_work(struct account *account, unsigned worker, const struct moments *moments,
                  const struct work *work, uint64_t now_ns);

/* A worker that is the caller was busy with handing results over. */
void account_commit(struct account *account, unsigned worker, uint64_t from_ns, uint64_t until_ns);

/* What became of results that were reported at the end of `work`. */
void account_delivery(struct account *account, const struct work *work, const struct delivery *delivery);

/* The receipt of the batch, which has ended. `execute_ns` is what workers executed in all, where
 * that is known to be more than what account_work was told: attempts that were repeated. */
struct muster_receipt account_close(struct account *account, uint64_t ended_ns, uint64_t execute_ns);

#endif
