/* SPDX-License-Identifier: MIT
 *
 * What is kept from jobs that are confined. See withheld.h.
 */
#include "coordinator/withheld.h"

#include "base/sandbox.h"
#include "coordinator/keys.h"
#include "coordinator/nest.h"
#include "coordinator/place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int add(struct withheld *withheld, const char *kind, const char *path, const char *ending,
               struct muster_error *ret_error)
{
    if (withheld->count == WITHHELD_MAX)
        return muster_error_set(ret_error, MUSTER_ELIMIT, "more than %d places are to be kept from jobs",
                                WITHHELD_MAX);
    if (asprintf(&withheld->texts[withheld->count], "%s%s%s", kind, path, ending) < 0)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    withheld->count++;
    return 0;
}

bool withheld_state_folder(char ret_folder[PATH_MAX])
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int size = -1;

    if (state && state[0] == '/')
        size = snprintf(ret_folder, PATH_MAX, "%s/muster", state);
    else if (home && home[0] == '/')
        size = snprintf(ret_folder, PATH_MAX, "%s/.local/state/muster", home);
    return size > 0 && size < PATH_MAX;
}

/* Those that are not known, for want of variables, are nobody's. */
int withheld_init(struct withheld *withheld, struct muster_error *ret_error)
{
    char sockets[NEST_HOME_BYTES], keys[KEYS_PATH_BYTES], state[PATH_MAX];
    struct muster_error ignored;
    int code = 0;

    *withheld = (struct withheld){.count = 0};
    if (nest_home(sockets, NULL, &ignored) == 0)
        code = add(withheld, SANDBOX_SOCKETS, sockets, "", ret_error);
    if (code == 0 && keys_path("", keys, &ignored) == 0)
        code = add(withheld, SANDBOX_KEYS, keys, "", ret_error);
    if (code == 0 && withheld_state_folder(state))
        code = add(withheld, SANDBOX_STATE, state, "", ret_error);
    if (code != 0)
        withheld_fini(withheld);
    return code;
}

/* What is in the user's folder is kept with that. */
static bool is_at_home(const char *path)
{
    char home[NEST_HOME_BYTES];
    struct muster_error ignored;

    return nest_home(home, NULL, &ignored) == 0 && sandbox_is_within(home, path);
}

int withheld_add_endpoint(struct withheld *withheld, const char *endpoint, struct muster_error *ret_error)
{
    static const char ipc[] = "ipc://";
    const char *path = endpoint + sizeof ipc - 1;
    int code;

    if (strncmp(endpoint, ipc, sizeof ipc - 1) != 0 || is_at_home(path))
        return 0;
    code = add(withheld, SANDBOX_SOCKETS, path, "", ret_error);
    return code == 0 ? add(withheld, SANDBOX_SOCKETS, path, PLACE_LOCK, ret_error) : code;
}

static int add_state(struct withheld *withheld, const char *path, struct muster_error *ret_error)
{
    static const char *const endings[] = {"", "-wal", "-shm", "-journal", ".output"};
    int code = 0;

    for (size_t i = 0; i < sizeof endings / sizeof *endings && code == 0; i++)
        code = add(withheld, SANDBOX_STATE, path, endings[i], ret_error);
    return code;
}

/* By its name, which may be a link, and by that of the file, beside which the others are. */
int withheld_add_state(struct withheld *withheld, const char *file, struct muster_error *ret_error)
{
    char here[PATH_MAX], path[PATH_MAX], *real;
    int code = 0;

    if (file[0] != '/' && !getcwd(here, sizeof here))
        return muster_error_system(ret_error, errno, "cannot find the working directory");
    if (file[0] == '/')
        here[0] = '\0';
    if (snprintf(path, sizeof path, "%s%s%s", here, here[0] ? "/" : "", file) >= (int)sizeof path)
        return muster_error_set(ret_error, MUSTER_ELIMIT, "the path of %s is too long", file);
    real = realpath(file, NULL);
    if (!real || strcmp(real, path) != 0)
        code = add_state(withheld, path, ret_error);
    if (code == 0 && real)
        code = add_state(withheld, real, ret_error);
    free(real);
    return code;
}

const char *const *withheld_texts(const struct withheld *withheld)
{
    return (const char *const *)withheld->texts;
}

void withheld_fini(struct withheld *withheld)
{
    while (withheld->count > 0)
        free(withheld->texts[--withheld->count]);
}
