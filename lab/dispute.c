/* SPDX-License-Identifier: MIT
 *
 * One job run again, for an error message. See dispute.h.
 */
#include "lab/dispute.h"

#include <stdio.h>
#include <string.h>

void dispute_note(struct dispute *dispute, const struct muster_result *result)
{
    char words[DISPUTE_OUTCOME_BYTES] = "";

    dispute->index = result->index;
    if (result->code != 0) {
        snprintf(dispute->outcome, sizeof dispute->outcome, "failed (%.150s)", result->text);
        return;
    }
    /* Ends where the room does. */
    msgpack_object_print_buffer(words, sizeof words - 1, *result->value);
    snprintf(dispute->outcome, sizeof dispute->outcome, "returned %.180s", words);
}

/* A stream of one argument of another stream. */
struct excerpt {
    const struct muster_source *source;
    uint64_t skip; /* arguments before it */
    bool given;
    msgpack_zone zone; /* of those that are skipped */
};

static int next_of_excerpt(void *context, msgpack_zone *zone, msgpack_object *ret_argument,
                           struct muster_error *ret_error)
{
    struct excerpt *excerpt = context;
    int code;

    if (excerpt->given)
        return MUSTER_EEND;
    for (; excerpt->skip > 0; excerpt->skip--) {
        code = excerpt->source->next(excerpt->source->context, &excerpt->zone, ret_argument, ret_error);
        msgpack_zone_clear(&excerpt->zone);
        if (code != 0)
            return code;
    }
    code = excerpt->source->next(excerpt->source->context, zone, ret_argument, ret_error);
    excerpt->given = code == 0;
    return code;
}

static int note(void *context, const struct muster_result *result)
{
    dispute_note(context, result);
    return 0;
}

/* What inline makes of the job now; "cannot be asked again" when that fails. */
static void ask_again(const struct dispute *dispute, const struct compare_spec *spec, muster *baseline,
                      struct dispute *ret_answer)
{
    struct muster_batch batch = {.function = spec->batch.function,
                                 .on_result = note,
                                 .context = ret_answer,
                                 .retries = spec->batch.retries,
                                 .interrupt_fd = spec->batch.interrupt_fd};
    struct excerpt excerpt = {.source = &spec->batch.source, .skip = dispute->index - 1};

    *ret_answer = (struct dispute){.outcome = "cannot be asked again"};
    if (spec->batch.source.kind == MUSTER_SOURCE_RANGE) {
        batch.source.first = batch.source.last = spec->batch.source.first + (int64_t)(dispute->index - 1);
        muster_map(baseline, &batch, NULL, NULL);
        return;
    }
    if (spec->rewind(spec->batch.source.context) != 0 ||
        !msgpack_zone_init(&excerpt.zone, MSGPACK_ZONE_CHUNK_SIZE))
        return;
    batch.source = (struct muster_source){.kind = MUSTER_SOURCE_STREAM,
                                          .next = next_of_excerpt,
                                          .context = &excerpt,
                                          .fd = spec->batch.source.fd};
    muster_map(baseline, &batch, NULL, NULL);
    msgpack_zone_destroy(&excerpt.zone);
}

int dispute_explain(const struct dispute *dispute, const struct compare_spec *spec, muster *baseline,
                    enum muster_model model, struct muster_error *ret_error)
{
    struct dispute answer;
    const char *hint = "";

    ask_again(dispute, spec, baseline, &answer);
    if (model == MUSTER_INLINE || strcmp(answer.outcome, dispute->outcome) == 0)
        hint = ": its result differs from run to run";
    return muster_error_set(ret_error, MUSTER_ESTATE, "the models disagree on job %llu: inline %s, %s %s%s",
                            (unsigned long long)dispute->index, answer.outcome, muster_model_name(model),
                            dispute->outcome, hint);
}
