/* SPDX-License-Identifier: MIT
 *
 * The memory of a run's pace. See pace.h. It is sealed against resizing, so that neither side can make
 * the other's next access fault.
 */
#include "worker/pace.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

static int map_page(int fd, struct pace_page **ret_page)
{
    void *page = mmap(NULL, sizeof **ret_page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (page == MAP_FAILED)
        return MUSTER_ESYSTEM;
    *ret_page = page;
    return 0;
}

/* Keeps errno. */
static void close_failed(int fd)
{
    int saved = errno;

    close(fd);
    errno = saved;
}

int pace_create(int *ret_fd, struct pace_page **ret_page)
{
    int fd = memfd_create("muster-pace", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return MUSTER_ESYSTEM;
    if (ftruncate(fd, sizeof **ret_page) != 0 || fcntl(fd, F_ADD_SEALS, SEALS) != 0 ||
        map_page(fd, ret_page) != 0) {
        close_failed(fd);
        return MUSTER_ESYSTEM;
    }
    *ret_fd = fd;
    return 0;
}

int pace_attach(const char *path, struct pace_page **ret_page)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), code;
    struct stat status;

    if (fd < 0)
        return MUSTER_ESYSTEM;
    if (fstat(fd, &status) != 0 || status.st_size != (off_t)sizeof **ret_page ||
        (fcntl(fd, F_GET_SEALS) & SEALS) != SEALS)
        code = MUSTER_EINVALID;
    else
        code = map_page(fd, ret_page);
    close_failed(fd);
    return code;
}

void pace_detach(struct pace_page *page)
{
    if (page)
        munmap(page, sizeof *page);
}
