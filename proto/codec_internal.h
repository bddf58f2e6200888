/* SPDX-License-Identifier: MIT
 *
 * What the codec's files share: for each type of message the function of its fields, for codec.c's
 * table of them, and fields that several types have. Of codec.c and codec_*.c
 * alone.
 */
#ifndef MUSTER_PROTO_CODEC_INTERNAL_H
#define MUSTER_PROTO_CODEC_INTERNAL_H

#include "proto/field.h"

/* --- codec.c */

/* Whether the jobs first .. first + count - 1 have indexes that a batch may have. */
bool codec_indexes_fit(uint64_t first, uint64_t count);

/* The first field of a greeting. False: one of another version ends here for us, so that its version can be
 * answered. */
bool codec_version(struct field_coder *c, uint32_t *version);

void codec_kind(struct field_coder *c, enum proto_arguments *kind);
void codec_shared_bytes(struct field_coder *c, uint64_t *bytes);

/* The last field of a SUBMIT and a CHUNK, where jobs have something in common. */
void codec_common(struct field_coder *c, struct proto_text *common);

/* --- codec_batch.c */

void codec_submit(struct field_coder *c, struct proto_message *message);
void codec_accepted(struct field_coder *c, struct proto_message *message);
void codec_arguments(struct field_coder *c, struct proto_message *message);
void codec_seal(struct field_coder *c, struct proto_message *message);
void codec_grant(struct field_coder *c, struct proto_message *message);
void codec_consumed(struct field_coder *c, struct proto_message *message);
void codec_ended(struct field_coder *c, struct proto_message *message);
void codec_cancel(struct field_coder *c, struct proto_message *message);
void codec_attach(struct field_coder *c, struct proto_message *message);
void codec_attached(struct field_coder *c, struct proto_message *message);
void codec_detach(struct field_coder *c, struct proto_message *message);
void codec_request(struct field_coder *c, struct proto_message *message);
void codec_answer(struct field_coder *c, struct proto_message *message);

/* --- codec_worker.c */

void codec_results(struct field_coder *c, struct proto_message *message);
void codec_chunk(struct field_coder *c, struct proto_message *message);
void codec_result(struct field_coder *c, struct proto_message *message);
void codec_returned(struct field_coder *c, struct proto_message *message);
void codec_standing(struct field_coder *c, struct proto_message *message);
void codec_kept(struct field_coder *c, struct proto_message *message);

/* --- codec_host.c */

void codec_join(struct field_coder *c, struct proto_message *message);
void codec_joined(struct field_coder *c, struct proto_message *message);
void codec_spawn(struct field_coder *c, struct proto_message *message);
void codec_kill(struct field_coder *c, struct proto_message *message);
void codec_exited(struct field_coder *c, struct proto_message *message);
void codec_beat(struct field_coder *c, struct proto_message *message);

#endif
