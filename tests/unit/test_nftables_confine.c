/* privsep/prepare/confine and privsep/helper/narrow, for the helper that runs no program: it does
 * its work with the real kernel, and runs and opens nothing. */
#include "forbidden.h"

#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

#include "common/clock.h"
#include "common/libc.h"
#include "common/log.h"
#include "netspace.h"
#include "people.h"
#include "privsep/helper/firewall.h"
#include "privsep/helper/narrow.h"
#include "privsep/netlink.h"
#include "privsep/nftables/batch.h"
#include "privsep/prepare/confine.h"
#include "privsep/prepare/table.h"
#include "privsep/prepare/takeover.h"
#include "table.h"

enum { CAPACITY = 4 };

static const struct xtables found = {.backend = BACKEND_NFTABLES, .in_use = {true, true}};
static struct grants grants;
static struct firewall *fw;
static int marks, timer;

/* ---- before ----------------------------------------------------------------- */

/* A descriptor above those that the helper finds. */
static int open_high(const char *directory)
{
    mkdir(directory, 0700);
    return fcntl(open(directory, O_RDONLY | O_DIRECTORY), F_DUPFD, 20);
}

/* As they are left open. */
static bool open_descriptors(void)
{
    int state = open_high("state"), run = open_high("run");
    int table = fcntl(netlink_open(NETLINK_NETFILTER), F_DUPFD, 20);

    timer = fcntl(timerfd_create(CLOCK_BOOTTIME, 0), F_DUPFD, 20);
    return state >= 0 && run >= 0 && table >= 0 && dup2(state, HELPER_FD_STATE) >= 0 &&
           dup2(run, HELPER_FD_RUN) >= 0 && dup2(table, HELPER_FD_TABLE) >= 0;
}

static bool as_prepare(void)
{
    struct error why;

    return open_descriptors() && helper_confine(&found, false, &why);
}

/* A plan as far as it is read here, with its parts behind it. */
static const struct plan *make_plan(int filter)
{
    static struct netwriter w;
    static uint8_t bytes[65536];
    struct plan *plan = (struct plan *)(void *)bytes;
    const struct table_form form = {.is_owned = true, .destroys = true};
    const struct helper_setup setup = {.max_grants = CAPACITY, .shut_count = 1,
                                       .shut = {{.protocol = 6, .port = 22}}};
    size_t head, filter_at;
    ssize_t size;

    plan->backend = BACKEND_NFTABLES;
    plan->max_grants = CAPACITY;
    batch_begin(&w);
    head = w.size;
    table_write(&w, &setup, &form);
    plan->table = (struct plan_table){.messages = {sizeof *plan, (uint32_t)(w.size - head)},
                                      .owned = 1, .destroys = 1};
    filter_at = sizeof *plan + w.size - head;
    if (filter_at > sizeof bytes || helper_export_filter(filter, BACKEND_NFTABLES) != 0)
        return NULL;
    memcpy(bytes + sizeof *plan, w.bytes + head, w.size - head);
    size = pread(filter, bytes + filter_at, sizeof bytes - filter_at, 0);
    plan->filter.at = (uint32_t)filter_at;
    plan->filter.size = (uint32_t)size;
    plan->size = plan->filter.at + plan->filter.size;
    return size > 0 ? plan : NULL;
}

static bool as_helper(void)
{
    int filter = fcntl(memfd_create("filter", 0), F_DUPFD, 20);
    const struct plan *plan;
    struct error why;

    if (filter < 0 || !as_prepare())
        return false;
    marks = openat(HELPER_FD_STATE, "marks", O_RDWR | O_CREAT, 0600);
    plan = make_plan(filter);
    if (!plan || !helper_grants_create(&grants, HELPER_FD_RUN, CAPACITY, clock_boot_ns(), &why))
        return false;
    fw = helper_firewall_open(plan);
    return helper_narrow(plan, &why);
}

static void require(bool condition, int number)
{
    if (!condition)
        _exit(number);
}

/* ---- its work ----------------------------------------------------------- */

static void change_the_firewall(void)
{
    const struct address address = address_of("192.0.2.7");
    const struct service ssh = service_of("tcp/22");
    struct error why;

    helper_firewall_begin(fw, grants.table);
    require(helper_firewall_clear(fw, &grants, &why), 1);
    table_open(&grants, (const uint8_t[KEY_ID_SIZE]){1}, &address, &ssh,
               clock_boot_ns() + 60 * (int64_t)NSEC_PER_SEC);
    require(helper_firewall_change(fw, &grants, &why), 2);
    require(helper_firewall_look(fw, &grants, &why) == HELPER_RULES_IN_FORCE, 3);
    helper_grants_remove_at(&grants, 0);
    require(helper_firewall_change(fw, &grants, &why), 4);
    require(helper_firewall_mend(fw, &grants, &why), 5);
    require(!helper_grants_lost_file(&grants), 6);
    helper_firewall_close(fw);
}

/* As requests come. */
static void receive_a_message(void)
{
    struct msghdr message = {.msg_iov = NULL};

    require(recvmsg(HELPER_FD_TABLE, &message, MSG_DONTWAIT) < 0 && errno == EAGAIN, 7);
}

static void do_the_rest(void)
{
    const struct itimerspec soon = {.it_value.tv_nsec = 1};
    struct pollfd expired = {.fd = timer, .events = POLLIN};
    const int group = 2;
    void *memory = malloc(1 << 22);

    require(pwrite(marks, "x", 1, 0) == 1 && fdatasync(marks) == 0, 1);
    require(timerfd_settime(timer, TFD_TIMER_ABSTIME, &soon, NULL) == 0, 2);
    require(poll(&expired, 1, 10000) == 1, 3);
    require(memory != NULL, 4);
    memory = realloc(memory, 1 << 23);
    require(memory != NULL, 5);
    free(memory);
    setsockopt(HELPER_FD_TABLE, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group);
    receive_a_message();
    log_warnx("what it has to say");
    close(marks);
}

/* As the log is looked for anew. */
static void ask_a_service(void)
{
    struct sockaddr bus = {.sa_family = AF_UNIX};

    require(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) < 0 && errno == EACCES, 1);
    require(connect(STDIN_FILENO, &bus, sizeof bus) < 0 && errno == EACCES, 2);
}

static void work_goes_on(void **state)
{
    (void)state;
    assert_int_equal(confined(as_helper, change_the_firewall), CHILD_OK << 8);
    assert_int_equal(confined(as_helper, do_the_rest), CHILD_OK << 8);
    assert_int_equal(confined(as_helper, ask_a_service), CHILD_OK << 8);
}

/* ---- what it cannot do -------------------------------------------------- */

static void run_a_program(void)
{
    char *const argv[] = {strdupa("true"), NULL}, *const environment[] = {NULL};

    syscall(SYS_execve, "/bin/true", argv, environment); /* without what gcov does before */
}

static void run_what_is_open(void)
{
    char *const argv[] = {strdupa("true"), NULL}, *const environment[] = {NULL};

    syscall(SYS_execveat, HELPER_FD_STATE, "", argv, environment, AT_EMPTY_PATH);
}

static void spawn_a_program(void)
{
    char *const argv[] = {strdupa("true"), NULL}, *const environment[] = {NULL};
    pid_t child;

    posix_spawn(&child, "/bin/true", NULL, NULL, argv, environment);
}

static void have_a_child(void)
{
    if (fork() == 0)
        _exit(0);
}

static void open_a_file(void)
{
    syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY);
}

static void open_its_own_file(void)
{
    openat(HELPER_FD_STATE, "marks", O_RDWR);
}

#ifdef SYS_open
static void open_as_of_old(void)
{
    syscall(SYS_open, "/etc/passwd", O_RDONLY);
}
#endif

static void open_as_of_late(void)
{
    const uint64_t how[3] = {O_RDONLY};

    syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", how, sizeof how);
}

static void open_by_a_handle(void)
{
    syscall(SYS_open_by_handle_at, AT_FDCWD, NULL, O_RDONLY);
}

static void look_at_a_file(void)
{
    struct stat s;

    stat("/etc/passwd", &s);
}

static void remove_a_file(void)
{
    unlinkat(HELPER_FD_STATE, "marks", 0);
}

static void open_a_netlink_socket(void)
{
    socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
}

static void open_a_tcp_socket(void)
{
    socket(AF_INET, SOCK_STREAM, 0);
}

static void make_a_socket_pair(void)
{
    int ends[2];

    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends);
}

static void kill_another(void)
{
    kill(getppid(), 0);
}

static void lock_something(void)
{
    struct flock all = {.l_type = F_WRLCK};

    fcntl(marks, F_SETLK, &all);
}

static void set_a_flag(void)
{
    fcntl(marks, F_SETFD, 0);
}

#ifndef __SANITIZE_ADDRESS__ /* which has these as it likes */
static void have_memory_to_run(void)
{
    mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void have_memory_to_write_and_run(void)
{
    mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void run_memory_that_is_there(void)
{
    static uint8_t page[8192] __attribute__((aligned(4096)));

    mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

#ifdef SYS_pkey_mprotect
static void run_memory_by_a_key(void)
{
    static uint8_t page[8192] __attribute__((aligned(4096)));

    syscall(SYS_pkey_mprotect, page, 4096, PROT_READ | PROT_EXEC, -1);
}
#endif
#endif

static void make_memory_with_a_name(void)
{
    memfd_create("memory", 0);
}

static void all_of_that_kills(void **state)
{
    static void (*const acts[])(void) = {
        run_a_program,         run_what_is_open,  spawn_a_program,    have_a_child,
        open_a_file,           open_its_own_file, open_as_of_late,    open_by_a_handle,
        look_at_a_file,           remove_a_file,     open_a_tcp_socket,  open_a_netlink_socket,
        make_a_socket_pair,    kill_another,      lock_something,     set_a_flag,
        make_memory_with_a_name,
#ifdef SYS_open
        open_as_of_old,
#endif
#ifndef __SANITIZE_ADDRESS__
        have_memory_to_run,    have_memory_to_write_and_run, run_memory_that_is_there,
#ifdef SYS_pkey_mprotect
        run_memory_by_a_key,
#endif
#endif
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(acts); i++) {
        int status = confined(as_helper, acts[i]);

        if (!was_killed(status))
            fail_msg("number %zu was not killed: %d", i, status);
    }
}

/* ---- before it is the helper -------------------------------------------- */

static bool has_landlock(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, 1) > 0;
}

static void start_other_programs(void)
{
    static const char *const paths[] = {"/bin/true", "/usr/sbin/xtables-nft-multi",
                                        "/usr/sbin/iptables-nft-restore"};
    char *const argv[] = {strdupa("program"), NULL}, *const environment[] = {NULL};

    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        syscall(SYS_execve, paths[i], argv, environment);
        require(errno == EACCES || errno == ENOENT, 1 + (int)i);
    }
    require(open("/run/xtables.lock", O_RDONLY) < 0, 10);
}

static void prepare_runs_no_program_but_the_helper(void **state)
{
    (void)state;
    if (!has_landlock())
        skip();
    assert_int_equal(confined(as_prepare, start_other_programs), CHILD_OK << 8);
}

/* What /proc says of a child, once it is confined. The caller frees it. */
static char *status_of_helper(void)
{
    char *text;
    int ready[2], status;
    pid_t child;

    assert_int_equal(pipe(ready), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int end = fcntl(ready[1], F_DUPFD, 30);

        close_range(3, 15, 0);
        if (!as_helper() || write(end, "r", 1) != 1)
            _exit(CHILD_UNCONFINED);
        poll(NULL, 0, -1);
    }
    close(ready[1]);
    assert_true(is_readable(ready[0], 60000));
    text = output_of("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/%ld/status | tr -s '\\t\\n' ' '",
                     (long)child);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    close(ready[0]);
    return text;
}

static void it_has_one_capability(void **state)
{
    char *text = status_of_helper();

    (void)state;
    assert_string_equal(text, "CapInh: 0000000000001000 CapPrm: 0000000000001000 "
                              "CapEff: 0000000000001000 CapBnd: 0000000000001000 "
                              "CapAmb: 0000000000000000 NoNewPrivs: 1 Seccomp: 2 ");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_goes_on),
        cmocka_unit_test(all_of_that_kills),
        cmocka_unit_test(prepare_runs_no_program_but_the_helper),
        cmocka_unit_test(it_has_one_capability),
    };

    return cmocka_run_group_tests(tests, netspace_enter, scratch_leave);
}
