/* common/privilege/syscalls and all who use it: the filters as they are for each architecture, run
 * on the calls that are made there (tests/unit/calls), and on those that nobody may make. */
#include "check.h"

#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "daemon/sniffer/confine.h"
#include "daemon/sniffer/sniffermessage.h"
#include "daemon/supervisor/confine.h"
#include "daemon/witness/confine.h"
#include "privsep/cut/confine.h"
#include "privsep/prepare/confine.h"
#include "privsep/prepare/drop.h"
#include "privsep/prepare/landlock.h"

enum { X32 = 0x40000000, ARGUMENTS = 6, LINE = 4096, CALLS_LEAST = 5 };

static const struct architecture {
    const char *name;
    uint32_t token;
} architectures[] = {
    {"amd64", SCMP_ARCH_X86_64},
    {"arm64", SCMP_ARCH_AARCH64},
    {"riscv64", SCMP_ARCH_RISCV64},
    {"armhf", SCMP_ARCH_ARM},
};

/* ---- the filters -------------------------------------------------------- */

static uint32_t made_for; /* the architecture whose filters are made */
static int made = -1;     /* the file that they are written to */

scmp_filter_ctx __real_seccomp_init(uint32_t action);
scmp_filter_ctx __wrap_seccomp_init(uint32_t action);
int __wrap_seccomp_load(scmp_filter_ctx filter);
bool __wrap_helper_drop(bool raw, struct error *why);
bool __wrap_helper_landlock_enter(const struct xtables *found, struct error *why);

/* Rules that are added later are translated by libseccomp. */
scmp_filter_ctx __wrap_seccomp_init(uint32_t action)
{
    scmp_filter_ctx filter = __real_seccomp_init(action);

    assert_non_null(filter);
    if (made_for != seccomp_arch_native()) {
        assert_int_equal(seccomp_arch_remove(filter, SCMP_ARCH_NATIVE), 0);
        assert_int_equal(seccomp_arch_add(filter, made_for), 0);
    }
    return filter;
}

/* The test itself stays as it is. */
int __wrap_seccomp_load(scmp_filter_ctx filter)
{
    return seccomp_export_bpf(filter, made);
}

bool __wrap_helper_drop(bool raw, struct error *why)
{
    (void)raw, (void)why;
    return true;
}

bool __wrap_helper_landlock_enter(const struct xtables *found, struct error *why)
{
    (void)found, (void)why;
    return true;
}

static bool confine_sniffer(struct error *why)
{
    return sniffer_confine(SNIFFER_FD_HELPER, why);
}

static bool confine_prepare(struct error *why)
{
    const struct xtables found = {.backend = BACKEND_NFT};

    return helper_confine(&found, false, why);
}

static bool confine_helper(struct error *why)
{
    (void)why;
    return helper_export_filter(made, BACKEND_NFT) == 0;
}

static bool confine_helper_nftables(struct error *why)
{
    (void)why;
    return helper_export_filter(made, BACKEND_NFTABLES) == 0;
}

static const struct process {
    const char *name;
    bool (*confine)(struct error *why);
} processes[] = {
    {"supervisor", supervisor_confine}, {"sniffer", confine_sniffer},
    {"witness", witness_confine},       {"prepare", confine_prepare},
    {"helper", confine_helper},         {"helper-nftables", confine_helper_nftables},
    {"cut", cut_confine},
};

/* Bits for some of them, in the same order. */
enum {
    SUPERVISOR = 1,
    SNIFFER = 2,
    WITNESS = 4,
    PREPARE = 8,
    HELPER = 16,
    NFTABLES = 32,
    CUT = 64,
    RUNNING = SUPERVISOR | PREPARE | HELPER, /* who run other programs */
    STARTING = SUPERVISOR | PREPARE,
    NOT = 128,
};

static struct program {
    struct sock_filter code[BPF_MAXINSNS];
    size_t size;
} programs[COUNT_OF(processes)];

/* As the four architectures have it, whatever this one is. */
static void read_program(struct program *program)
{
    ssize_t size = pread(made, program->code, sizeof program->code, 0);

    assert_true(size > 0 && size % (ssize_t)sizeof *program->code == 0);
    program->size = (size_t)size / sizeof *program->code;
    for (size_t i = 0; i < program->size; i++) {
        program->code[i].code = le16toh(program->code[i].code);
        program->code[i].k = le32toh(program->code[i].k);
    }
}

static void make_programs(const struct architecture *of)
{
    made_for = of->token;
    for (size_t i = 0; i < COUNT_OF(processes); i++) {
        struct error why = {""};

        made = memfd_create("filter", 0);
        assert_true(made >= 0);
        assert_done(processes[i].confine(&why), why);
        read_program(&programs[i]);
        close(made);
    }
}

/* ---- what they say ------------------------------------------------------ */

/* As struct seccomp_data has it, in words of 32 bits: of what has 64, the low half first. */
struct call {
    uint32_t words[4 + 2 * ARGUMENTS];
};

static struct call make_call(uint32_t architecture, int number, const uint32_t *arguments)
{
    struct call call = {{(uint32_t)number, architecture}};

    for (size_t i = 0; i < ARGUMENTS; i++)
        call.words[4 + 2 * i] = arguments[i];
    return call;
}

/* The part of classic BPF that libseccomp writes. */
static uint32_t answer(const struct program *program, const struct call *call)
{
    uint32_t a = 0;

    for (size_t i = 0; i < program->size; i++) {
        const struct sock_filter *step = &program->code[i];

        switch (step->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            assert_true(step->k % 4 == 0 && step->k / 4 < COUNT_OF(call->words));
            a = call->words[step->k / 4];
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= step->k;
            break;
        case BPF_JMP | BPF_JA:
            i += step->k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            i += a == step->k ? step->jt : step->jf;
            break;
        case BPF_JMP | BPF_JGT | BPF_K:
            i += a > step->k ? step->jt : step->jf;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            i += a >= step->k ? step->jt : step->jf;
            break;
        case BPF_RET | BPF_K:
            return step->k;
        default:
            fail_msg("an instruction that is not known here: %#x", step->code);
        }
    }
    fail_msg("a filter without an end");
    return 0;
}

static bool kills(uint32_t said)
{
    said &= SECCOMP_RET_ACTION_FULL;
    return said == SECCOMP_RET_KILL_PROCESS || said == SECCOMP_RET_KILL_THREAD ||
           said == SECCOMP_RET_TRAP; /* in a debug build */
}

/* What libraries try, and can do without. */
static bool is_tried_in_vain(const char *name, const uint32_t *arguments, uint32_t said)
{
    if (strcmp(name, "clone3") == 0)
        return said == (SECCOMP_RET_ERRNO | ENOSYS);
    return said == (SECCOMP_RET_ERRNO | EACCES) &&
           (strcmp(name, "connect") == 0 ||
            (strcmp(name, "socket") == 0 && arguments[0] == AF_UNIX));
}

/* ---- what is made ------------------------------------------------------- */

/* A call of a list: NAME/NUMBER and, if they matter, :ARGUMENT... in hexadecimal. Without a
 * number, the one that the name has; below 0 where there is no such call. */
struct made_call {
    char name[40];
    int number;
    uint32_t arguments[ARGUMENTS];
};

static struct made_call parse_call(char *word, const struct architecture *on)
{
    struct made_call call = {.name = ""};
    size_t length = strcspn(word, "/:");
    int named;

    assert_true(length > 0 && length < sizeof call.name);
    memcpy(call.name, word, length);
    named = seccomp_syscall_resolve_name_arch(on->token, call.name);
    word += length;
    call.number = *word == '/' ? (int)strtol(word + 1, &word, 10) : named;
    if (call.number != named)
        fail_msg("%s on %s: %d, not %d", call.name, on->name, named, call.number);
    for (size_t i = 0; *word == ':' && i < ARGUMENTS; i++)
        call.arguments[i] = (uint32_t)strtoul(word + 1, &word, 16);
    assert_int_equal(*word, '\0');
    return call;
}

typedef void call_check(const struct architecture *on, const struct process *process,
                        const struct program *program, const struct made_call *call);

static size_t process_of(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(processes); i++)
        if (strcmp(processes[i].name, name) == 0)
            return i;
    fail_msg("no process is called '%s'", name);
    return 0;
}

/* The list of an architecture has what is called there. What musl makes, some architecture has;
 * libseccomp has numbers below -1 for it elsewhere. */
static bool is_called(const char *list, const struct architecture *on,
                      const struct made_call *call)
{
    if (call->number >= 0)
        return true;
    if (call->number == __NR_SCMP_ERROR || strcmp(list, on->name) == 0)
        fail_msg("%s in the list of %s is no call", call->name, list);
    return false;
}

/* Each line has a process, and calls. Adds to `counts` how many each has on this architecture. */
static void each_call_of(const char *list, const struct architecture *on, call_check *check,
                         size_t counts[static COUNT_OF(processes)])
{
    char path[512], line[LINE], *rest;
    FILE *file;

    snprintf(path, sizeof path, TEST_CALLS "/%s", list);
    file = fopen(path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        char *word = line[0] == '#' ? NULL : strtok_r(line, " \n", &rest);
        size_t at = word ? process_of(word) : 0;

        while (word && (word = strtok_r(NULL, " \n", &rest))) {
            struct made_call call = parse_call(word, on);

            if (!is_called(list, on, &call))
                continue;
            check(on, &processes[at], &programs[at], &call);
            counts[at]++;
        }
    }
    fclose(file);
}

static void on_each_architecture(call_check *check)
{
    for (size_t i = 0; i < COUNT_OF(architectures); i++) {
        size_t counts[COUNT_OF(processes)] = {0};

        make_programs(&architectures[i]);
        each_call_of(architectures[i].name, &architectures[i], check, counts);
        for (size_t j = 0; j < COUNT_OF(processes); j++)
            if (counts[j] < CALLS_LEAST)
                fail_msg("%s on %s: no calls", processes[j].name, architectures[i].name);
        each_call_of("musl", &architectures[i], check, counts);
    }
}

static void check_goes_through(const struct architecture *on, const struct process *process,
                               const struct program *program, const struct made_call *call)
{
    const struct call made_call = make_call(on->token, call->number, call->arguments);
    uint32_t said = answer(program, &made_call);

    if (said != SECCOMP_RET_ALLOW && !is_tried_in_vain(call->name, call->arguments, said))
        fail_msg("%s on %s may not %s(%x, %x, %x, %x): %x", process->name, on->name, call->name,
                 call->arguments[0], call->arguments[1], call->arguments[2], call->arguments[3],
                 said);
}

static void what_is_needed_goes_through(void **state)
{
    (void)state;
    on_each_architecture(check_goes_through);
}

/* ---- what is forbidden -------------------------------------------------- */

static const struct forbidden {
    const char *name;
    uint32_t arguments[ARGUMENTS];
    unsigned but_to; /* those who may; with NOT, those who may not, and of others nothing is said */
} forbidden[] = {
    /* running something, and having memory for that */
    {"execve", {0}, RUNNING},
    {"execveat", {0}, 0},
    {"clone", {SIGCHLD}, RUNNING},
    {"clone", {CLONE_NEWUSER | SIGCHLD}, 0},
    {"clone", {CLONE_NEWNET | SIGCHLD}, 0},
    {"fork", {0}, 0},
    {"vfork", {0}, RUNNING},
#ifndef __SANITIZE_ADDRESS__ /* which has these as it likes */
    {"mmap", {0, 0, PROT_READ | PROT_EXEC}, RUNNING},
    {"mmap2", {0, 0, PROT_READ | PROT_EXEC}, RUNNING},
    {"mmap", {0, 0, PROT_READ}, RUNNING | NFTABLES},
    {"mmap2", {0, 0, PROT_READ}, RUNNING | NFTABLES},
    {"mprotect", {0, 0, PROT_READ | PROT_EXEC}, RUNNING},
    {"tgkill", {0}, RUNNING | NFTABLES},
#endif
    {"pkey_mprotect", {0, 0, PROT_READ | PROT_EXEC}, 0},
    {"remap_file_pages", {0}, 0},
    {"personality", {0}, 0},
    {"memfd_create", {0}, SUPERVISOR},
    {"memfd_secret", {0}, 0},
    {"userfaultfd", {0}, 0},
    {"modify_ldt", {0}, 0},
    /* other processes */
    {"ptrace", {0}, 0},
    {"process_vm_readv", {0}, 0},
    {"process_vm_writev", {0}, 0},
    {"process_madvise", {0}, 0},
    {"pidfd_open", {0}, 0},
    {"pidfd_getfd", {0}, 0},
    {"pidfd_send_signal", {0}, 0},
    {"kill", {0}, RUNNING},
    {"prlimit64", {1}, 0},
    {"fcntl", {0, F_SETOWN}, SUPERVISOR},
    {"fcntl64", {0, F_SETOWN}, SUPERVISOR},
    {"fcntl", {0, F_ADD_SEALS}, STARTING},
    {"fcntl64", {0, F_ADD_SEALS}, STARTING},
    {"fcntl", {0, F_SETLEASE}, SUPERVISOR},
    {"fcntl64", {0, F_SETLEASE}, SUPERVISOR},
    /* files */
    {"open", {0}, RUNNING},
    {"openat", {0}, RUNNING},
    {"open", {0, O_TRUNC}, SUPERVISOR},
    {"openat", {0, 0, O_TRUNC}, SUPERVISOR},
    {"openat2", {0}, 0},
    {"open_by_handle_at", {0}, 0},
    {"name_to_handle_at", {0}, 0},
    {"creat", {0}, 0},
    {"statx", {0}, RUNNING},
    {"newfstatat", {0}, RUNNING},
    {"fstatat64", {0}, RUNNING},
    {"unlinkat", {0}, STARTING},
    {"renameat", {0}, STARTING},
    {"renameat2", {0}, STARTING},
    {"mkdirat", {0}, SUPERVISOR},
    {"mknodat", {0}, 0},
    {"symlinkat", {0}, 0},
    {"linkat", {0}, 0},
    {"truncate", {0}, 0},
    {"truncate64", {0}, 0},
    {"ftruncate", {0}, SUPERVISOR},
    {"ftruncate64", {0}, SUPERVISOR},
    {"chmod", {0}, 0},
    {"fchmodat", {0}, 0},
    {"fchmod", {0}, SUPERVISOR},
    {"chown", {0}, 0},
    {"chown32", {0}, 0},
    {"fchown", {0}, 0},
    {"fchown32", {0}, 0},
    {"fchownat", {0}, 0},
    {"setxattr", {0}, 0},
    {"fsetxattr", {0}, 0},
    {"io_uring_setup", {0}, 0},
    {"io_uring_enter", {0}, 0},
    {"fanotify_init", {0}, 0},
    {"sendfile", {0}, 0},
    {"write", {1}, RUNNING | NFTABLES},
    {"writev", {1}, RUNNING},
    {"pwritev", {0}, 0},
    {"ioctl", {0, TIOCSTI}, 0},
    {"ioctl", {0, TIOCLINUX}, 0},
    {"ioctl", {0, SIOCSIFFLAGS}, SUPERVISOR},
    {"ioctl", {0, TIOCGWINSZ}, RUNNING},
    /* sockets */
    {"socket", {AF_INET, SOCK_STREAM}, 0},
    {"socket", {AF_INET6, SOCK_STREAM}, 0},
    {"socket", {AF_INET, SOCK_DGRAM}, RUNNING},
    {"socket", {AF_INET6, SOCK_RAW}, RUNNING},
    {"socket", {AF_PACKET, SOCK_RAW}, SUPERVISOR},
    {"socket", {AF_VSOCK, SOCK_STREAM}, 0},
    {"socket", {AF_ALG, SOCK_SEQPACKET}, 0},
    {"socket", {AF_XDP, SOCK_RAW}, 0},
    {"socket", {AF_UNIX, SOCK_STREAM}, STARTING},
    {"socket", {AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER}, RUNNING},
    {"socket", {AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG}, SUPERVISOR},
    {"socket", {AF_NETLINK, SOCK_RAW, NETLINK_GENERIC}, SUPERVISOR},
    {"socket", {AF_NETLINK, SOCK_RAW, NETLINK_AUDIT}, 0},
    {"socket", {AF_NETLINK, SOCK_RAW, NETLINK_XFRM}, 0},
    {"socket", {AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT}, 0},
    {"socketpair", {AF_UNIX, SOCK_STREAM}, SUPERVISOR},
    {"bind", {0}, RUNNING},
    {"connect", {0}, STARTING},
    {"listen", {0}, SUPERVISOR},
    {"accept4", {0}, SUPERVISOR},
    {"setsockopt", {0}, RUNNING | NFTABLES},
    {"sendmsg", {0}, RUNNING},
    {"sendmmsg", {0}, 0},
    {"sendto", {SNIFFER_FD_HELPER + 1}, NOT | SNIFFER},
    {"send", {SNIFFER_FD_HELPER + 1}, NOT | SNIFFER},
    {"sendto", {0, 0, 0, 0, 1, 1}, NOT | WITNESS},
    /* the host, and powers over it */
    {"bpf", {0}, 0},
    {"perf_event_open", {0}, 0},
    {"kexec_load", {0}, 0},
    {"kexec_file_load", {0}, 0},
    {"init_module", {0}, SUPERVISOR},
    {"finit_module", {0}, SUPERVISOR},
    {"delete_module", {0}, 0},
    {"reboot", {0}, 0},
    {"swapon", {0}, 0},
    {"mount", {0}, 0},
    {"umount2", {0}, 0},
    {"pivot_root", {0}, 0},
    {"chroot", {0}, SUPERVISOR},
    {"move_mount", {0}, 0},
    {"open_tree", {0}, 0},
    {"fsopen", {0}, 0},
    {"fsmount", {0}, 0},
    {"mount_setattr", {0}, 0},
    {"setns", {0}, 0},
    {"unshare", {CLONE_NEWNET}, SUPERVISOR},
    {"unshare", {CLONE_NEWNS}, 0},
    {"unshare", {CLONE_NEWUSER}, 0},
    {"unshare", {CLONE_NEWNET | CLONE_NEWUSER}, 0},
    {"setuid", {0}, SUPERVISOR},
    {"setuid32", {0}, SUPERVISOR},
    {"setresuid", {0}, SUPERVISOR},
    {"setresuid32", {0}, SUPERVISOR},
    {"setreuid", {0}, 0},
    {"setfsuid", {0}, 0},
    {"capset", {0}, SUPERVISOR},
    {"prctl", {PR_SET_DUMPABLE}, STARTING},
    {"prctl", {PR_CAPBSET_DROP}, SUPERVISOR},
    {"seccomp", {0}, STARTING},
    {"landlock_create_ruleset", {0}, SUPERVISOR},
    {"landlock_restrict_self", {0}, STARTING},
    {"timerfd_create", {0}, STARTING},
    {"keyctl", {0}, 0},
    {"add_key", {0}, 0},
    {"request_key", {0}, 0},
    {"settimeofday", {0}, 0},
    {"clock_settime", {0}, 0},
    {"clock_settime64", {0}, 0},
    {"clock_adjtime", {0}, 0},
    {"clock_adjtime64", {0}, 0},
    {"adjtimex", {0}, 0},
    {"sethostname", {0}, 0},
    {"setdomainname", {0}, 0},
    {"acct", {0}, 0},
    {"quotactl", {0}, 0},
    {"syslog", {0}, 0},
    {"iopl", {0}, 0},
    {"ioperm", {0}, 0},
};

/* Whoever is not to make the call is ended by it, and the others make it. */
static void check_forbidden(const struct architecture *on, const struct forbidden *f, int number)
{
    const struct call call = make_call(on->token, number, f->arguments);

    for (size_t i = 0; i < COUNT_OF(processes); i++) {
        const uint32_t said = answer(&programs[i], &call);
        const bool is_named = (f->but_to & 1u << i) != 0, is_not = (f->but_to & NOT) != 0;
        bool is_right = is_named && !is_not
                            ? said == SECCOMP_RET_ALLOW
                            : kills(said) || is_tried_in_vain(f->name, f->arguments, said);

        if (!is_right && (is_named || !is_not))
            fail_msg("%s on %s: %s(%x, %x, %x): %x", processes[i].name, on->name, f->name,
                     f->arguments[0], f->arguments[1], f->arguments[2], said);
    }
}

static void what_is_forbidden_does_not(void **state)
{
    bool is_somewhere[COUNT_OF(forbidden)] = {false};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(architectures); i++) {
        make_programs(&architectures[i]);
        for (size_t j = 0; j < COUNT_OF(forbidden); j++) {
            int number = seccomp_syscall_resolve_name_arch(architectures[i].token,
                                                           forbidden[j].name);

            if (number < 0)
                continue;
            is_somewhere[j] = true;
            check_forbidden(&architectures[i], &forbidden[j], number);
        }
    }
    for (size_t j = 0; j < COUNT_OF(forbidden); j++)
        if (!is_somewhere[j])
            fail_msg("%s is a call of no architecture", forbidden[j].name);
}

/* ---- what comes by another architecture's entry --------------------------- */

static void check_is_killed_as(const struct architecture *on, const struct process *process,
                               const struct program *program, const struct made_call *call,
                               uint32_t token, int number)
{
    const struct call made_call = make_call(token, number, call->arguments);
    uint32_t said = answer(program, &made_call);

    if (!kills(said))
        fail_msg("%s on %s, as on %x: %s: %x", process->name, on->name, token, call->name, said);
}

/* A 64-bit kernel also takes the calls of its 32-bit sibling, which have other numbers. */
static void check_is_foreign(const struct architecture *on, const struct process *process,
                             const struct program *program, const struct made_call *call)
{
    static const uint32_t tokens[] = {AUDIT_ARCH_X86_64, AUDIT_ARCH_I386,    AUDIT_ARCH_AARCH64,
                                      AUDIT_ARCH_ARM,    AUDIT_ARCH_RISCV64, AUDIT_ARCH_RISCV32,
                                      AUDIT_ARCH_S390X};

    for (size_t i = 0; i < COUNT_OF(tokens); i++)
        if (tokens[i] != on->token)
            check_is_killed_as(on, process, program, call, tokens[i], call->number);
    if (on->token == AUDIT_ARCH_X86_64)
        check_is_killed_as(on, process, program, call, on->token, call->number | X32);
}

static void calls_of_another_architecture_kill(void **state)
{
    (void)state;
    on_each_architecture(check_is_foreign);
}

/* Filters are made for kernels that end processes, whatever this one can (qemu-user nothing). */
static int know_all_actions(void **state)
{
    (void)state;
    return seccomp_api_set(3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_needed_goes_through),
        cmocka_unit_test(what_is_forbidden_does_not),
        cmocka_unit_test(calls_of_another_architecture_kill),
    };

    return cmocka_run_group_tests(tests, know_all_actions, NULL);
}
