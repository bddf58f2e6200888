/* SPDX-License-Identifier: MIT
 *
 * Verbs whose first word says what is to be done, `lab race`, `bench memory`: one run, one
 * report, as text or as one JSON document. A further subject of a verb is a line in its table.
 */
#ifndef MUSTER_CLI_SUBJECT_H
#define MUSTER_CLI_SUBJECT_H

#include "cli/options.h"

#include <stddef.h>

enum { SUBJECTS_MAX = 8 }; /* of one verb */

/* Does it and appends what was found to the output. 0, MUSTER_ECANCELLED or another error. */
typedef int subject_run(const struct options *options, struct output *output, struct muster_error *ret_error);

struct subject {
    const char *name;
    subject_run *run;
};

/* All of such a verb: reads the command line, runs the subject, prints what it said. `nothing` is
 * what an interrupt leaves, as "nothing was shown". Returns the exit status. */
int subject_verb(enum verb verb, const struct subject *subjects, size_t count, const char *nothing, int argc,
                 char **argv);

#endif
