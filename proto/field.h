/* SPDX-License-Identifier: MIT
 *
 * The fields of a header frame, one call each, in both directions: the same description of a
 * message writes it and reads it, so the two cannot drift apart. A call that meets a field
 * out of range notes the error and its name; every further call then does nothing, and the
 * caller looks at `code` once, at the end.
 */
#ifndef MUSTER_PROTO_FIELD_H
#define MUSTER_PROTO_FIELD_H

#include "proto/messages.h"

#include <msgpack.h>

struct field_coder {
    msgpack_packer *packer;     /* where fields are written; NULL: reading */
    const msgpack_object *next; /* reading: the next field, up to `end` */
    const msgpack_object *end;
    msgpack_zone *zone; /* reading: memory for what is not borrowed from the frame */
    int code;           /* 0, or why it stopped */
    const char *name;   /* of the field at which it stopped */
    const char *why;    /* completes "field NAME ..." */
};

/* Where an enclosing array goes on. */
struct field_cursor {
    const msgpack_object *next, *end;
};

static inline bool field_writing(const struct field_coder *c)
{
    return c->packer;
}

void field_u64(struct field_coder *c, const char *name, uint64_t min, uint64_t max, uint64_t *value);
void field_u32(struct field_coder *c, const char *name, uint32_t min, uint32_t max, uint32_t *value);
void field_i64(struct field_coder *c, const char *name, int64_t *value);
void field_i32(struct field_coder *c, const char *name, int32_t min, int32_t max, int32_t *value);
void field_bool(struct field_coder *c, const char *name, bool *value);

/* An error code, or 0 where `zero` allows it. */
void field_code(struct field_coder *c, const char *name, bool zero, int32_t *value);

/* A text of at most `max` bytes; a longer one is cut as it is written and refused as it is read. */
void field_text(struct field_coder *c, const char *name, uint32_t max, struct proto_text *value);

/* Bytes, `max` at most. */
void field_bytes(struct field_coder *c, const char *name, uint32_t max, struct proto_text *value);

/* A last field that may be left out. Writing: whether it is there. Reading: whether a field is left. */
bool field_given(const struct field_coder *c, bool given);

/* The name of a function: 1 to PROTO_FUNCTION_NAME_MAX of [a-z0-9_.-], beginning with a letter. */
void field_function(struct field_coder *c, const char *name, struct proto_text *value);

/* An optional field. Writing: nil when `absent`. Reading: whether it is nil. The field itself
 * follows when this returns false. */
bool field_absent(struct field_coder *c, const char *name, bool absent);

/* An array of min..max elements: its elements are the fields until field_leave. */
void field_enter(struct field_coder *c, const char *name, uint32_t min, uint32_t max, uint32_t *count,
                 struct field_cursor *ret_outside);
void field_leave(struct field_coder *c, const struct field_cursor *outside);

/* What holds between fields: when `holds` is false, `name` is at fault. */
void field_require(struct field_coder *c, bool holds, const char *name, const char *why);

/* Reading: passes over all fields that are left. Writing: an error. */
void field_skip_rest(struct field_coder *c);

/* Reading: zeroed memory for `count` objects, NULL when it stopped or the count is 0. */
void *field_memory(struct field_coder *c, size_t count, size_t size);

/* The first `max` bytes of a text at most, without a UTF-8 sequence cut in two. */
struct proto_text field_cut(struct proto_text text, uint32_t max);

#endif
