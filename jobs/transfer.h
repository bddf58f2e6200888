/* SPDX-License-Identifier: MIT
 *
 * One document on its way: a GET with libcurl, its limits, and what is said of it when it
 * fails. Who waits for it, and how, is not known here: jobs/fetch.c blocks, jobs/fetch_loop.c
 * lets others run.
 */
#ifndef MUSTER_JOBS_TRANSFER_H
#define MUSTER_JOBS_TRANSFER_H

#include "jobs/curl.h"
#include "jobs/muster_job.h"

struct transfer {
    const struct curl *curl;
    CURL *easy;                   /* owned; CURLOPT_PRIVATE is the transfer */
    struct muster_fetch *request; /* borrowed */
    double timeout_s;
    uint64_t bytes; /* of the body, so far */
    bool refused;   /* by on_body */
    char reason[CURL_ERROR_SIZE];
};

/* Prepares a GET of request->url, in place: the transfer must not move. 0; or what
 * muster_call_fail returned. */
int transfer_init(struct transfer *transfer, const struct curl *curl, muster_call *call,
                  struct muster_fetch *request);

/* Not while it is in a multi handle. Takes a zeroed transfer. */
void transfer_fini(struct transfer *transfer);

/* It has ended with `code`: sets request->status and returns 0, or fails the call. */
int transfer_end(struct transfer *transfer, muster_call *call, CURLcode code);

#endif
