/* SPDX-License-Identifier: MIT
 *
 * Options of GNU parallel 20221122 that `muster exec` does not have, each with the reason and what
 * to do instead. docs/PARALLEL.md says more of them.
 */
#ifndef MUSTER_CLI_EXEC_ABSENT_H
#define MUSTER_CLI_EXEC_ABSENT_H

/* Why there is no such option: of a word such as --sql or --sql=URL, or -S. NULL: GNU parallel has none
 * of that name either. */
const char *exec_absent_reason(const char *word);

#endif
