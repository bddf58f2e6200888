/* SPDX-License-Identifier: MIT
 *
 * Values that many jobs use. See muster.h. A shared value is a copy whose large bytes are in the
 * model's heap; whoever keeps or packs a value finds them there, and adds a user instead of a copy.
 */
#include "client/handle.h"
#include "client/keep.h"

#include <stdlib.h>

struct muster_shared {
    msgpack_zone zone; /* of keep.h */
    msgpack_object value;
};

/* Models without processes get a heap when the first value is shared. */
static int require_heap(struct model *model)
{
    return model->heap ? 0 : heap_create(HEAP_PRIVATE, 0, &model->heap);
}

int muster_share(muster *m, const msgpack_object *value, struct muster_shared **ret_shared,
                 struct muster_error *ret_error)
{
    struct muster_shared *shared;
    int code = futures_check_open(m->futures, ret_error);

    if (code != 0)
        return code;
    shared = malloc(sizeof *shared);
    if (!shared || require_heap(m->model) != 0) {
        free(shared);
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory for a shared value");
    }
    keep_init(&shared->zone);
    code = keep_shared(&shared->zone, m->model->heap, value, &shared->value);
    if (code != 0) {
        muster_shared_drop(shared);
        return muster_error_set(ret_error, code, "a value cannot be shared: %s", muster_error_name(code));
    }
    *ret_shared = shared;
    return 0;
}

const msgpack_object *muster_shared_value(const struct muster_shared *shared)
{
    return &shared->value;
}

void muster_shared_drop(struct muster_shared *shared)
{
    if (!shared)
        return;
    keep_fini(&shared->zone);
    free(shared);
}
