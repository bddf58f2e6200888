/* SPDX-License-Identifier: MIT
 *
 * Every limit on what crosses a process boundary, in one place. A peer that exceeds one is
 * refused with MUSTER_ELIMIT or MUSTER_EPROTOCOL before anything is allocated for it.
 */
#ifndef MUSTER_PROTO_LIMITS_H
#define MUSTER_PROTO_LIMITS_H

enum {
    /* Version of proto/PROTOCOL.md. A peer of another version is refused at HELLO. */
    PROTO_VERSION = 5,

    /* msgpack-c's unpacker nests at most 32 containers (MSGPACK_EMBED_STACK_SIZE); a value
     * may nest 28 deep, which leaves the rest for the message around it. */
    PROTO_DEPTH_MAX = 28,

    /* Elements of one value, all levels together. msgpack-c takes 24 bytes for each, so a
     * value unpacks to at most 384 MiB. */
    PROTO_ELEMENTS_MAX = 1 << 24,

    /* One encoded argument or result. */
    PROTO_VALUE_BYTES_MAX = 256 << 20,

    /* The payload frame of one message: one value of the largest size, or many that were
     * gathered until they passed PROTO_BLOCK_BYTES. */
    PROTO_PAYLOAD_BYTES_MAX = PROTO_VALUE_BYTES_MAX + (1 << 20),

    /* The header frame of one message; its failure texts are cut to fit. */
    PROTO_HEADER_BYTES_MAX = 5 << 20,

    /* Elements of a header frame: each job of a chunk may have five timings, and a failure of
     * four fields and the array around them: ten elements. */
    PROTO_HEADER_ELEMENTS_MAX = 11 << 16,

    /* Jobs of one chunk. */
    PROTO_CHUNK_JOBS_MAX = 1 << 16,

    /* A sender gathers values into one payload until they pass this many bytes: large
     * enough that a message costs little per byte, small enough to stay in an L2 cache. */
    PROTO_BLOCK_BYTES = 256 << 10,

    /* Failures that a worker gathers before it reports: with texts of full length they fill
     * less than half of a header frame. */
    PROTO_REPORT_FAILURES_MAX = 2048,

    /* What a message with a payload counts in grants and windows beside its payload's bytes:
     * about what one takes in memory, received and decoded, while it waits for its turn (2.8 KB
     * measured), so that many tiny messages are bounded too. */
    PROTO_MESSAGE_COST_BYTES = 3072,

    /* And each failure in it, beside its text. */
    PROTO_FAILURE_COST_BYTES = 64,

    /* What a peer has sent and a coordinator has not come to yet, beside one message, each at its bytes and
     * PROTO_UNREAD_COST_BYTES; and what all peers have. Who has more is cut off, and of all together who has
     * most. A client's largest value and what it was granted, or what a worker keeps and reports, have room;
     * 87,000 messages take 18 MB beside their bytes, and ZeroMQ has read some more. */
    PROTO_UNREAD_COST_BYTES = 2 * PROTO_MESSAGE_COST_BYTES,
    PROTO_UNREAD_BYTES_MAX = 512 << 20,
    PROTO_UNREAD_ALL_BYTES_MAX = 1 << 30,

    /* The ext type of a reference to bytes in shared memory, and the bytes of one. */
    PROTO_SHARED_EXT = 77,
    PROTO_SHARED_REFERENCE_BYTES = 37,

    /* Argument bytes that a coordinator lets a client send ahead of what workers took. */
    PROTO_GRANT_BYTES = 4 << 20,

    /* Arguments in one ARGUMENTS message. */
    PROTO_BLOCK_JOBS_MAX = 4096,

    /* Jobs that one worker runs at once, each on a stack of its own. */
    PROTO_CONCURRENCY_MAX = 20000,

    PROTO_FUNCTION_NAME_MAX = 64,  /* bytes */
    PROTO_TEXT_MAX = 1000,         /* bytes of an error text; longer ones are cut */
    PROTO_NAME_MAX = 200,          /* bytes of a batch's name */
    PROTO_USER_MAX = 64,           /* bytes of who submits */
    PROTO_PEER_NAME_MAX = 64,      /* bytes of a routing id */
    PROTO_WORKERS_MAX = 16384,     /* of one coordinator, those of other hosts included */
    PROTO_HOSTS_MAX = 256,         /* of one coordinator */
    PROTO_HOST_WORKERS_MAX = 1024, /* of one of these: its JOIN names them, and a stranger may say no more */
    PROTO_HOST_NAME_MAX = 64,      /* bytes */
    PROTO_PLUGINS_MAX = 64,        /* of one host */
    PROTO_DIGEST_DIGITS = 64,      /* of a plug-in */
    PROTO_EXIT_TEXT_MAX = 767,     /* bytes that say how a worker ended */
    PROTO_BEAT_MS_MAX = 60000,
    PROTO_BEATS = 3,             /* that may be missing before a connection between hosts is given up */
    PROTO_CLIENTS_MAX = 1024,    /* of one coordinator */
    PROTO_BATCHES_MAX = 1 << 16, /* open ones of one coordinator */
    PROTO_CREDIT_MAX = 20016,    /* chunks a worker may hold: one for each job it runs at once, and 16 */
    /* What a worker keeps of results that are not on disk, at their cost; behind that it begins no job. */
    PROTO_KEPT_BYTES_MAX = 64 << 20,

    /* Chunks that a worker may stand by: those that it holds, and those of results that it keeps. */
    PROTO_STANDING_MAX = PROTO_CREDIT_MAX + PROTO_KEPT_BYTES_MAX / PROTO_MESSAGE_COST_BYTES + 1,

    /* What all jobs of a batch have in common. */
    PROTO_COMMON_BYTES_MAX = 192 << 10,

    PROTO_RETRIES_MAX = 1000,
    PROTO_CRASH_LIMIT_MAX = 1000,
    PROTO_TIMEOUT_MS_MAX = 0x7fffffff, /* 24 days */
    PROTO_PRIORITY_MAX = 1000,         /* and as far below 0 */
    PROTO_AFTER_MAX = 64,              /* batches that one waits for */
    PROTO_ANSWER_BATCHES_MAX = 10000,  /* that one REQUEST is told of: 2 MB as they usually are */

    /* Incarnations of a coordinator: chunk numbers are 64 bits, of which the lowest 40 count the
     * chunks of one incarnation (a million a second for twelve days). */
    PROTO_EPOCH_MAX = (1 << 24) - 1,
};

/* Jobs of one batch: indexes fit a positive int64_t with room to add. */
#define PROTO_BATCH_JOBS_MAX (INT64_C(1) << 62)

/* Bytes in shared memory that one message may count: more than the 47 bits of address space in
 * which somebody could map them. Sums of 65536 messages do not overflow. */
#define PROTO_SHARED_BYTES_MAX (INT64_C(1) << 48)

/* Memory that one job may claim: more than a process can address. */
#define PROTO_MEMORY_BYTES_MAX (INT64_C(1) << 48)

/* When a batch may begin at the latest: the last millisecond of the year 9999, behind which a date
 * has more than four digits for the year. */
#define PROTO_BEGIN_MS_MAX INT64_C(253402300799999)

#endif
