/* SPDX-License-Identifier: MIT
 *
 * A shared object that is no plug-in.
 */
int no_table(void);

int no_table(void)
{
    return 0;
}
