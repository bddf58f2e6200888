/* SPDX-License-Identifier: MIT
 *
 * seccomp: system calls that computing does not need fail with EPERM. See sandbox.h.
 *
 * They fail, and do not kill: programs ask for much that they can do without, and one that cannot says what
 * it was refused. libseccomp makes the filter: it knows the numbers of each machine, and the ways around them
 * (calls of another ABI). It is loaded when it is needed, which starts of muster without do not pay for.
 */
#include "base/library.h"
#include "base/sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LIBRARY "libseccomp.so.2"

#define SYMBOL_MAP(X)       \
    X(init)                 \
    X(attr_set)             \
    X(rule_add_array)       \
    X(syscall_resolve_name) \
    X(export_bpf)           \
    X(release)

struct seccomp {
#define X(name) __typeof__(seccomp_##name) *name;
    SYMBOL_MAP(X)
#undef X
};

static const struct library_symbol symbols[] = {
#define X(name) {"seccomp_" #name, offsetof(struct seccomp, name)},
    SYMBOL_MAP(X)
#undef X
};

static struct seccomp library; /* complete when it is `there` */
static bool there;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static const char *const refused[] = {
    /* other processes, and what they have in memory */
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "kcmp",
    "pidfd_open", "pidfd_getfd", "pidfd_send_signal",
    /* memory, semaphores and messages that processes of a user share by number or name */
    "shmget", "shmat", "shmctl", "semget", "semop", "semtimedop", "semctl", "msgget", "msgsnd", "msgrcv",
    "msgctl", "ipc", "mq_open", "mq_unlink", "mq_timedsend", "mq_timedreceive", "mq_notify", "mq_getsetattr",
    /* mounts, roots and namespaces */
    "mount", "umount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsconfig",
    "fsmount", "fspick", "mount_setattr", "setns", "unshare",
    /* the kernel itself */
    "bpf", "perf_event_open", "userfaultfd", "kexec_load", "kexec_file_load", "init_module", "finit_module",
    "delete_module", "syslog", "iopl", "ioperm", "modify_ldt",
    /* keys */
    "keyctl", "add_key", "request_key",
    /* what is the machine's */
    "reboot", "swapon", "swapoff", "acct", "settimeofday", "stime", "clock_settime", "clock_adjtime",
    "adjtimex", "sethostname", "setdomainname", "quotactl", "quotactl_fd", "vhangup", "nfsservctl",
    /* files past the rules for them */
    "open_by_handle_at", "name_to_handle_at", "fanotify_init", "lookup_dcookie",
    /* system calls past this filter */
    "io_uring_setup", "io_uring_enter", "io_uring_register"};

/* Of later kernels than the library may know the names of; such numbers are the same on (nearly) all
 * machines. */
enum { OPEN_TREE_ATTR = 467 };
static const int refused_numbers[] = {OPEN_TREE_ATTR};

/* Those that do something to a process, and the argument that says to which. */
static const struct {
    const char *name;
    unsigned argument;
} of_processes[] = {{"prlimit64", 0},      {"sched_setaffinity", 0}, {"sched_setscheduler", 0},
                    {"sched_setparam", 0}, {"sched_setattr", 0},     {"move_pages", 0},
                    {"migrate_pages", 0},  {"setpriority", 1},       {"ioprio_set", 1}};

/* For those whose first argument may say that it is all of a user's; see ioprio_set(2). */
enum { IO_PRIORITY_OF_USER = 3 };
static const struct {
    const char *name;
    uint64_t which;
} of_users[] = {{"setpriority", PRIO_USER}, {"ioprio_set", IO_PRIORITY_OF_USER}};

/* Those that clone takes; see clone(2). */
static const uint64_t namespaces[] = {CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                      CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET};

/* A terminal's input, as if its user had typed it. */
static const uint64_t terminal_requests[] = {TIOCSTI, TIOCLINUX};

static void load(void)
{
    const char *why;

    there = library_load(LIBRARY, symbols, sizeof symbols / sizeof *symbols, &library, &why) == 0;
}

bool sandbox_calls_there(void)
{
    pthread_once(&once, load);
    return there && prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0;
}

/* --- rules; each function returns 0 or a negative errno */

static int refuse(scmp_filter_ctx filter, int error, const char *name, const struct scmp_arg_cmp *condition)
{
    int number = library.syscall_resolve_name(name);

    if (number == __NR_SCMP_ERROR)
        return 0; /* of a later kernel than the library knows */
    return library.rule_add_array(filter, SCMP_ACT_ERRNO((uint32_t)error), number, condition ? 1 : 0,
                                  condition);
}

static int refuse_masked(scmp_filter_ctx filter, const char *name, unsigned argument, uint64_t mask,
                         uint64_t value)
{
    const struct scmp_arg_cmp condition = {
        .arg = argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};

    return refuse(filter, EPERM, name, &condition);
}

/* A pair of datagrams' sockets can be connected to others all the same: those of streams cannot. The kernel
 * looks at 32 bits of a family and 4 of a type, however a caller fills the others. */
static int refuse_pairs(scmp_filter_ctx filter)
{
    enum { TYPE = 0xf };
    int code = refuse_masked(filter, "socketpair", 1, TYPE, SOCK_DGRAM);

    return code == 0 ? refuse_masked(filter, "socketpair", 1, TYPE, SOCK_RAW) : code;
}

static int refuse_sockets(scmp_filter_ctx filter, unsigned left)
{
    const struct scmp_arg_cmp later = {.arg = 0, .op = SCMP_CMP_GE, .datum_a = AF_MAX};
    int code = left & SANDBOX_UNIX_SOCKETS ? 0 : refuse_pairs(filter);

    if (!(left & (SANDBOX_UNIX_SOCKETS | SANDBOX_INET_SOCKETS)))
        return code == 0 ? refuse(filter, EPERM, "socket", NULL) : code;
    if (code == 0)
        code = refuse(filter, EPERM, "socket", &later);
    for (uint64_t family = 0; family < AF_MAX && code == 0; family++)
        if (!(family == AF_UNIX && (left & SANDBOX_UNIX_SOCKETS)) &&
            !((family == AF_INET || family == AF_INET6) && (left & SANDBOX_INET_SOCKETS)))
            code = refuse_masked(filter, "socket", 0, UINT32_MAX, family);
    return code;
}

/* What names a process: 0 is the caller itself, which nothing else is. */
static int refuse_others(scmp_filter_ctx filter)
{
    int code = 0;

    for (size_t i = 0; i < sizeof of_processes / sizeof *of_processes && code == 0; i++) {
        const struct scmp_arg_cmp another = {
            .arg = of_processes[i].argument, .op = SCMP_CMP_NE, .datum_a = 0};

        code = refuse(filter, EPERM, of_processes[i].name, &another);
    }
    for (size_t i = 0; i < sizeof of_users / sizeof *of_users && code == 0; i++)
        code = refuse_masked(filter, of_users[i].name, 0, UINT32_MAX, of_users[i].which);
    return code;
}

static int add_rules(scmp_filter_ctx filter, unsigned left)
{
    /* Where its flags are is memory that changes: with ENOSYS callers take clone. */
    int code = refuse(filter, ENOSYS, "clone3", NULL);

    for (size_t i = 0; i < sizeof refused / sizeof *refused && code == 0; i++)
        code = refuse(filter, EPERM, refused[i], NULL);
    for (size_t i = 0; i < sizeof refused_numbers / sizeof *refused_numbers && code == 0; i++)
        code = library.rule_add_array(filter, SCMP_ACT_ERRNO(EPERM), refused_numbers[i], 0, NULL);
    for (size_t i = 0; i < sizeof namespaces / sizeof *namespaces && code == 0; i++)
        code = refuse_masked(filter, "clone", 0, namespaces[i], namespaces[i]);
    for (size_t i = 0; i < sizeof terminal_requests / sizeof *terminal_requests && code == 0; i++)
        code = refuse_masked(filter, "ioctl", 1, UINT32_MAX, terminal_requests[i]);
    if (code == 0) /* all others at once: what stands for "all of them" to kill(2) */
        code = refuse_masked(filter, "kill", 0, UINT32_MAX, UINT32_MAX);
    if (code == 0 && !(left & SANDBOX_SCHEDULING))
        code = refuse_others(filter);
    return code == 0 ? refuse_sockets(filter, left) : code;
}

/* --- the filter as the kernel takes it */

static int read_filter(int fd, struct sock_fprog *ret_filter)
{
    struct sock_filter *instructions;
    struct stat stat;

    if (fstat(fd, &stat) != 0)
        return -errno;
    if (!(instructions = malloc((size_t)stat.st_size)))
        return -ENOMEM;
    if (pread(fd, instructions, (size_t)stat.st_size, 0) != stat.st_size) {
        free(instructions);
        return -EIO;
    }
    *ret_filter = (struct sock_fprog){.len = (unsigned short)((size_t)stat.st_size / sizeof *instructions),
                                      .filter = instructions};
    return 0;
}

/* libseccomp writes it to a file. */
static int export(scmp_filter_ctx filter, struct sock_fprog *ret_filter)
{
    int fd = memfd_create("muster-filter", MFD_CLOEXEC), code;

    if (fd < 0)
        return -errno;
    code = library.export_bpf(filter, fd);
    if (code == 0)
        code = read_filter(fd, ret_filter);
    close(fd);
    return code;
}

int sandbox_calls_filter(unsigned left, struct sock_fprog *ret_filter, struct muster_error *ret_error)
{
    enum { BINARY_TREE = 2 };
    scmp_filter_ctx filter;
    int code;

    pthread_once(&once, load);
    if (!(filter = library.init(SCMP_ACT_ALLOW)))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "sandbox: out of memory");
    code = library.attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(EPERM));
    if (code == 0)
        code = library.attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, BINARY_TREE);
    if (code == 0)
        code = add_rules(filter, left);
    if (code == 0)
        code = export(filter, ret_filter);
    library.release(filter);
    return code ? muster_error_system(ret_error, -code, "sandbox: cannot make a filter of system calls") : 0;
}

int sandbox_calls_enter(const struct sock_fprog *filter)
{
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, filter);
}
