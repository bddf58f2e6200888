/* SPDX-License-Identifier: MIT
 *
 * Numbers of bytes as people read them.
 */
#include "base/size.h"

#include <criterion/criterion.h>

static void expect(uint64_t bytes, const char *text)
{
    char buffer[SIZE_TEXT_BYTES];

    cr_expect_str_eq(size_text(bytes, buffer), text);
}

Test(size, largest_unit_of_which_there_is_one)
{
    expect(0, "0 bytes");
    expect(1023, "1023 bytes");
    expect(1024, "1 KiB");
    expect(1536 << 10, "1.5 MiB");
    expect(64 << 20, "64 MiB");
    expect((uint64_t)1 << 40, "1 TiB");
}

Test(size, no_exponent_however_many)
{
    expect(1023 << 20, "1023 MiB");
    expect((uint64_t)900 << 30, "900 GiB");
    expect(UINT64_MAX, "16 EiB");
}
