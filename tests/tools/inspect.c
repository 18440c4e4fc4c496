/* Looks at the system call filters of a running process from outside, with
 * ptrace(2):
 *
 *   inspect calls PID       the system calls that all its filters can allow, a
 *                           line each; "name?" where it depends on arguments
 *   inspect force PID NAME [ARGUMENT]  makes the process do that call, with a
 *                           number as the first argument, the others zero
 *   inspect open PID DIRECTORY NAME  makes the process open a file for writing, in a
 *                           directory that it has open as that descriptor, and says
 *                           "opened" or why not; what it waited in is interrupted
 *   inspect read PID PATH   the same for reading, wherever it is
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

enum { FILTERS_MAX = 8, LAST_CALL = 600, AIMS_MAX = 100, BETWEEN_AIMS_MS = 20 };

struct program {
    struct sock_filter code[BPF_MAXINSNS];
    unsigned length;
};

/* What a filter may answer, over all arguments. */
struct answers {
    bool allow, refuse;
};

static void fail(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

/* ---- the process -------------------------------------------------------- */

static void stop_process(pid_t pid)
{
    if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) != 0 || ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) != 0)
        fail("ptrace");
    if (waitpid(pid, NULL, 0) != pid)
        fail("waitpid");
}

static unsigned read_filters(pid_t pid, struct program *programs)
{
    for (unsigned i = 0; i < FILTERS_MAX; i++) {
        long length = ptrace(PTRACE_SECCOMP_GET_FILTER, pid, (void *)(uintptr_t)i,
                             programs[i].code);

        if (length < 0 && errno == ENOENT)
            return i;
        if (length < 0)
            fail("PTRACE_SECCOMP_GET_FILTER");
        programs[i].length = (unsigned)length;
    }
    return FILTERS_MAX;
}

/* ---- the filters -------------------------------------------------------- */

/* The accumulator holds a known value, or one that depends on arguments. */
struct state {
    unsigned at;
    bool known;
    uint32_t value;
};

static void load(struct state *s, uint32_t offset, uint32_t call)
{
    s->known = offset < offsetof(struct seccomp_data, instruction_pointer);
    s->value = offset == offsetof(struct seccomp_data, nr) ? call : seccomp_arch_native();
}

static bool holds(uint16_t operation, uint32_t left, uint32_t right)
{
    switch (operation) {
    case BPF_JEQ:
        return left == right;
    case BPF_JGT:
        return left > right;
    case BPF_JGE:
        return left >= right;
    default:
        return left & right;
    }
}

static void note_answer(struct answers *answers, uint32_t action)
{
    if (action == SECCOMP_RET_ALLOW)
        answers->allow = true;
    else
        answers->refuse = true;
}

/* Follows every way through the filter. What libseccomp writes only ever jumps
 * forward, so each way ends. */
static void follow(const struct program *p, struct state s, uint32_t call, struct answers *answers)
{
    for (; s.at < p->length; s.at++) {
        const struct sock_filter *step = &p->code[s.at];

        switch (BPF_CLASS(step->code)) {
        case BPF_LD:
            load(&s, step->k, call);
            break;
        case BPF_ALU: /* AND with a constant */
            s.value &= step->k;
            break;
        case BPF_JMP:
            if (BPF_OP(step->code) == BPF_JA) {
                s.at += step->k;
                break;
            }
            if (!s.known) { /* the one way here, the other below */
                struct state other = s;

                other.at += 1u + step->jt;
                follow(p, other, call, answers);
            }
            s.at += s.known && holds(BPF_OP(step->code), s.value, step->k) ? step->jt : step->jf;
            break;
        case BPF_RET:
            note_answer(answers, step->k);
            return;
        default:
            fprintf(stderr, "an instruction that is not known here\n");
            exit(EXIT_FAILURE);
        }
    }
}

/* Allowed if each filter may allow it; in any case if none may refuse. */
static struct answers judge(const struct program *programs, unsigned count, uint32_t call)
{
    struct answers all = {.allow = true};

    for (unsigned i = 0; i < count; i++) {
        struct answers one = {0};

        follow(&programs[i], (struct state){0}, call, &one);
        all.allow &= one.allow;
        all.refuse |= one.refuse;
    }
    return all;
}

static int print_calls(pid_t pid)
{
    static struct program programs[FILTERS_MAX];
    unsigned count;

    stop_process(pid);
    count = read_filters(pid, programs);
    ptrace(PTRACE_DETACH, pid, NULL, NULL);
    if (count == 0) {
        fprintf(stderr, "process %d has no filter\n", pid);
        return EXIT_FAILURE;
    }
    for (uint32_t call = 0; call < LAST_CALL; call++) {
        struct answers answers = judge(programs, count, call);
        char *name = seccomp_syscall_resolve_num_arch(seccomp_arch_native(), (int)call);

        if (name && answers.allow)
            printf("%s%s\n", name, answers.refuse ? "?" : "");
        free(name);
    }
    return EXIT_SUCCESS;
}

/* ---- a call that it would not make -------------------------------------- */

#ifdef __x86_64__
/* False if it does not wait in a system call, right behind the two bytes of the
 * instruction. */
static bool aim_at_call(pid_t pid, int call, unsigned long argument)
{
    struct user_regs_struct registers;
    struct iovec all = {.iov_base = &registers, .iov_len = sizeof registers};

    if (ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &all) != 0)
        fail("PTRACE_GETREGSET");
    if ((long long)registers.orig_rax < 0)
        return false;
    registers.orig_rax = (unsigned long long)-1; /* no restart of the one it waits in */
    registers.rax = (unsigned)call;
    registers.rip -= 2;
    registers.rdi = argument;
    registers.rsi = registers.rdx = registers.r10 = registers.r8 = registers.r9 = 0;
    if (ptrace(PTRACE_SETREGSET, pid, (void *)NT_PRSTATUS, &all) != 0)
        fail("PTRACE_SETREGSET");
    return true;
}
#else
static bool aim_at_call(pid_t pid, int call, unsigned long argument)
{
    (void)pid;
    (void)call;
    (void)argument;
    errno = EINVAL;
    fail("not written for this machine");
    return false;
}
#endif

#ifdef __x86_64__
static void get_registers(pid_t pid, struct user_regs_struct *registers)
{
    struct iovec all = {.iov_base = registers, .iov_len = sizeof *registers};

    if (ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &all) != 0)
        fail("PTRACE_GETREGSET");
}

static void set_registers(pid_t pid, struct user_regs_struct *registers)
{
    struct iovec all = {.iov_base = registers, .iov_len = sizeof *registers};

    if (ptrace(PTRACE_SETREGSET, pid, (void *)NT_PRSTATUS, &all) != 0)
        fail("PTRACE_SETREGSET");
}

/* To the next beginning or end of a system call. */
static void run_to_call(pid_t pid)
{
    int status;

    if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) != 0 || waitpid(pid, &status, 0) != pid)
        fail("PTRACE_SYSCALL");
    if (!WIFSTOPPED(status)) {
        fputs("the process has ended\n", stderr);
        exit(EXIT_FAILURE);
    }
}

/* Its name lies below the stack's end, where nothing is in use. False if the process does
 * not wait in a call. */
static bool try_open(pid_t pid, int directory, const char *name, int mode, long *result)
{
    enum { BELOW = 1024 };
    struct user_regs_struct before, registers;
    struct iovec here = {.iov_base = (void *)(uintptr_t)name, .iov_len = strlen(name) + 1}, there;

    get_registers(pid, &before);
    if ((long long)before.orig_rax < 0)
        return false;
    registers = before;
    there = (struct iovec){.iov_base = (void *)(uintptr_t)(before.rsp - BELOW),
                           .iov_len = here.iov_len};
    if (process_vm_writev(pid, &here, 1, &there, 1, 0) != (ssize_t)here.iov_len)
        fail("process_vm_writev");
    registers.orig_rax = (unsigned long long)-1;
    registers.rax = (unsigned)seccomp_syscall_resolve_name("openat");
    registers.rip -= 2;
    registers.rdi = (unsigned)directory;
    registers.rsi = before.rsp - BELOW;
    registers.rdx = (unsigned)(mode | O_CLOEXEC);
    registers.r10 = 0;
    set_registers(pid, &registers);
    run_to_call(pid);
    run_to_call(pid);
    get_registers(pid, &registers);
    *result = (long)registers.rax;
    before.orig_rax = (unsigned long long)-1;
    before.rax = (unsigned long long)-EINTR;
    set_registers(pid, &before);
    return true;
}
#else
static bool try_open(pid_t pid, int directory, const char *name, int mode, long *result)
{
    (void)pid;
    (void)directory;
    (void)name;
    (void)mode;
    (void)result;
    errno = EINVAL;
    fail("not written for this machine");
    return false;
}
#endif

static int force_open(pid_t pid, int directory, const char *name, int mode)
{
    long result = 0;

    for (int i = 0; i < AIMS_MAX; i++) {
        bool done;

        stop_process(pid);
        done = try_open(pid, directory, name, mode, &result);
        if (ptrace(PTRACE_DETACH, pid, NULL, NULL) != 0)
            fail("PTRACE_DETACH");
        if (done) {
            puts(result >= 0 ? "opened" : strerror((int)-result));
            return EXIT_SUCCESS;
        }
        poll(NULL, 0, BETWEEN_AIMS_MS);
    }
    fprintf(stderr, "process %d never waits\n", pid);
    return EXIT_FAILURE;
}

static int force_call(pid_t pid, const char *name, unsigned long argument)
{
    int call = seccomp_syscall_resolve_name(name);

    if (call < 0) {
        fprintf(stderr, "no system call is named %s here\n", name);
        return EXIT_FAILURE;
    }
    for (int i = 0; i < AIMS_MAX; i++) {
        bool aimed;

        stop_process(pid);
        aimed = aim_at_call(pid, call, argument);
        if (ptrace(PTRACE_DETACH, pid, NULL, NULL) != 0)
            fail("PTRACE_DETACH");
        if (aimed)
            return EXIT_SUCCESS;
        poll(NULL, 0, BETWEEN_AIMS_MS);
    }
    fprintf(stderr, "process %d never waits\n", pid);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    pid_t pid = argc > 2 ? (pid_t)strtol(argv[2], NULL, 10) : 0;

    if (argc == 3 && pid > 0 && strcmp(argv[1], "calls") == 0)
        return print_calls(pid);
    if ((argc == 4 || argc == 5) && pid > 0 && strcmp(argv[1], "force") == 0)
        return force_call(pid, argv[3], argc == 5 ? strtoul(argv[4], NULL, 10) : 0);
    if (argc == 5 && pid > 0 && strcmp(argv[1], "open") == 0)
        return force_open(pid, (int)strtol(argv[3], NULL, 10), argv[4], O_WRONLY);
    if (argc == 4 && pid > 0 && strcmp(argv[1], "read") == 0)
        return force_open(pid, AT_FDCWD, argv[3], O_RDONLY);
    fputs("usage: inspect calls PID | inspect force PID NAME [ARGUMENT]\n"
          "       inspect open PID DIRECTORY NAME | inspect read PID PATH\n", stderr);
    return 2;
}
