/* SPDX-License-Identifier: MIT
 *
 * Who may be at the other end of a connection. See wire_names.h.
 */
#include "proto/wire_names.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static struct name *find(const struct names *names, const char *text)
{
    struct name *name;

    LL_FOREACH(names->list, name)
        if (strcmp(name->text, text) == 0)
            return name;
    return NULL;
}

/* All of them, or, with a text, those that are it or those that are not. */
static void drop(struct names *names, const char *text, bool others)
{
    struct name **place = &names->list, *name;

    while ((name = *place) != NULL) {
        if (text && (strcmp(name->text, text) == 0) == others) {
            place = &name->next;
            continue;
        }
        *place = name->next;
        free(name);
    }
}

void names_fini(struct names *names)
{
    drop(names, NULL, false);
}

bool names_add(struct names *names, const char *text)
{
    struct name *name;

    if (find(names, text))
        return true;
    if (!(name = calloc(1, sizeof *name)))
        return false;
    memcpy(name->text, text, strnlen(text, PROTO_PEER_NAME_MAX));
    LL_PREPEND(names->list, name);
    return true;
}

bool names_have(const struct names *names, const char *text)
{
    return find(names, text) != NULL;
}

void names_drop(struct names *names, const char *text)
{
    drop(names, text, false);
}

void names_settle(struct names *names, const char *text)
{
    drop(names, text, true);
}
