#include "check.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/file.h"

static void assert_mode(const char *path, mode_t mode)
{
    struct stat s;

    assert_int_equal(lstat(path, &s), 0);
    assert_int_equal(s.st_mode & 07777, mode);
}

static void assert_content(const char *path, const char *expected)
{
    char buffer[256];
    struct error why;
    ssize_t n = file_read(path, FILE_CONFIGURATION, buffer, sizeof buffer, &why);

    assert_int_equal(n, strlen(expected));
    assert_memory_equal(buffer, expected, strlen(expected));
}

static void modes_must_be_as_tight_as_asked(void **state)
{
    struct error why;

    (void)state;
    for (mode_t mode = 0400; mode <= 0777; mode++) {
        bool secret = !(mode & 077), configuration = !(mode & 022);
        int fd;

        scratch_write_text("file", mode, "x");
        fd = file_open("file", FILE_SECRET, &why);
        assert_int_equal(fd >= 0, secret && (mode & 0400));
        if (fd >= 0)
            close(fd);
        else
            assert_int_equal(errno, EACCES);
        fd = file_open("file", FILE_CONFIGURATION, &why);
        assert_int_equal(fd >= 0, configuration);
        if (fd >= 0)
            close(fd);
    }
}

static void other_peoples_files_are_refused(void **state)
{
    /* What a user is told, who can neither chmod nor chown them. */
    struct {
        const char *path;
        enum file_trust trust;
        const char *text;
        struct error why;
    } said[] = {
        {"roots", FILE_SECRET, "roots: mode 0644 is too open, and it is root's; take a copy that is "
                               "yours, and run chmod 600 on that", {""}},
        {"loose", FILE_CONFIGURATION, "loose: mode 0666 is too open; as root, run: chmod go-w loose",
         {""}},
        {"others", FILE_CONFIGURATION, "others: belongs to user 12345, but must belong to you or "
                                       "root; run this as that user, or take a copy that belongs to "
                                       "you or root", {""}},
    };
    struct error why;
    int own, roots;

    (void)state;
    if (geteuid() != 0)
        skip();
    scratch_write_text("file", 0600, "x");
    assert_int_equal(chown("file", 65534, 65534), 0);
    assert_int_equal(file_open("file", FILE_SECRET, &why), -1);
    assert_non_null(strstr(why.text, "belongs to user 65534, but must belong to root; run this as "
                                     "that user or, if only root is to use it, run: chown root "
                                     "file"));
    own = open("file", O_RDONLY);
    assert_false(file_check(own, FILE_STANDARD_INPUT, FILE_SECRET, &why));
    assert_non_null(strstr(why.text, "or take a copy that belongs to root"));
    close(own);
    /* Their owner may open them, and root's files are as good as one's own. */
    scratch_write_text("roots", 0644, "x");
    scratch_write_text("loose", 0666, "x");
    scratch_write_text("others", 0644, "x");
    assert_int_equal(chown("others", 12345, 12345), 0);
    assert_int_equal(chmod(".", 0755), 0);
    assert_int_equal(seteuid(65534), 0);
    own = file_open("file", FILE_SECRET, &why);
    roots = file_open("roots", FILE_CONFIGURATION, &why);
    for (size_t i = 0; i < COUNT_OF(said); i++)
        assert_int_equal(file_open(said[i].path, said[i].trust, &said[i].why), -1);
    assert_int_equal(seteuid(0), 0);
    for (size_t i = 0; i < COUNT_OF(said); i++)
        assert_string_equal(said[i].why.text, said[i].text);
    assert_true(own >= 0 && roots >= 0);
    close(own);
    close(roots);
}

static void what_may_not_be_opened_is_told(void **state)
{
    struct error why, create, directory;
    bool made;
    int fd;

    (void)state;
    if (geteuid() != 0)
        skip();
    scratch_write_text("file", 0600, "x");
    assert_int_equal(chmod(".", 0755), 0);
    assert_int_equal(seteuid(65534), 0);
    fd = file_open("file", FILE_SECRET, &why);
    made = file_create("new", 0600, "x", 1, &create) ||
           file_make_directory("directory", 0700, &directory);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(fd, -1);
    assert_false(made);
    assert_string_equal(create.text, "new: Permission denied; run this as the user whose directory "
                                     "that is");
    assert_string_equal(directory.text, "directory: Permission denied; run this as the user whose "
                                        "directory that is");
    assert_string_equal(why.text, "file: Permission denied; run this as the user whose file it is; "
                                  "if you are, make it, and the directories above, accessible to "
                                  "you");
}

static void only_regular_files_are_opened(void **state)
{
    struct sockaddr_un here = {.sun_family = AF_UNIX, .sun_path = "socket"};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    struct error why;

    (void)state;
    scratch_write_text("target", 0600, "x");
    assert_int_equal(symlink("target", "link"), 0);
    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_int_equal(mkdir("directory", 0700), 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&here, sizeof here), 0);
    assert_int_equal(file_open("link", FILE_SECRET, &why), -1);
    assert_non_null(strstr(why.text, "symbolic link"));
    assert_int_equal(file_open("fifo", FILE_SECRET, &why), -1); /* and does not hang */
    assert_int_equal(file_open("directory", FILE_SECRET, &why), -1);
    assert_int_equal(file_open("socket", FILE_SECRET, &why), -1);
    assert_int_equal(file_open("/dev/null", FILE_SECRET, &why), -1);
    assert_int_equal(file_open("absent", FILE_SECRET, &why), -1);
    assert_int_equal(errno, ENOENT);
    close(listener);
}

static void reading_stops_at_the_size_given(void **state)
{
    char buffer[8];
    struct error why;

    (void)state;
    scratch_write_text("file", 0600, "12345678");
    assert_int_equal(file_read("file", FILE_SECRET, buffer, 8, &why), 8);
    assert_memory_equal(buffer, "12345678", 8);
    assert_int_equal(file_read("file", FILE_SECRET, buffer, 7, &why), -1);
    assert_non_null(strstr(why.text, "more than 7 bytes"));
    scratch_write_text("file", 0600, "");
    assert_int_equal(file_read("file", FILE_SECRET, buffer, 8, &why), 0);
}

static void creating_never_touches_what_is_there(void **state)
{
    struct error why;

    (void)state;
    umask(0);
    assert_true(file_create("new", 0640, "one", 3, &why));
    assert_mode("new", 0640);
    assert_content("new", "one");
    assert_false(file_create("new", 0600, "two", 3, &why));
    assert_int_equal(errno, EEXIST);
    assert_content("new", "one");
    assert_int_equal(symlink("elsewhere", "dangling"), 0);
    assert_false(file_create("dangling", 0600, "two", 3, &why));
    assert_int_equal(access("elsewhere", F_OK), -1);
    umask(077);
    assert_true(file_create("wide", 0644, "x", 1, &why)); /* exactly this mode */
    assert_mode("wide", 0644);
    umask(022);
}

static void replacing_leaves_one_whole_file(void **state)
{
    struct error why;
    int dir = open(".", O_RDONLY | O_DIRECTORY);

    (void)state;
    assert_true(file_replace(dir, "page", 0600, "first", 5, &why));
    assert_content("page", "first");
    assert_true(file_replace(dir, "page", 0600, "2nd", 3, &why));
    assert_content("page", "2nd");
    assert_mode("page", 0600);
    scratch_write_text(".page.new", 0600, "left by a crash");
    assert_true(file_replace(dir, "page", 0600, "third", 5, &why));
    assert_content("page", "third");
    assert_int_equal(access(".page.new", F_OK), -1);
    assert_int_equal(mkdir("in-the-way", 0700), 0);
    assert_false(file_replace(dir, "in-the-way", 0600, "x", 1, &why));
    assert_int_equal(access(".in-the-way.new", F_OK), -1);
    assert_false(file_replace(dir, "no/such", 0600, "x", 1, &why));
    assert_string_equal(why.text, "no/such: No such file or directory");
    close(dir);
}

static void limit_files_to(rlim_t size)
{
    struct rlimit limit;

    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void putting_leaves_the_new_file_and_nothing_else(void **state)
{
    char long_path[PATH_MAX];
    struct error why;

    (void)state;
    assert_true(file_put("put", 0600, "one", 3, &why));
    scratch_write_text("put.new", 0644, "left over");
    assert_true(file_put("put", 0600, "two", 3, &why));
    assert_content("put", "two");
    assert_mode("put", 0600);
    assert_int_equal(access("put.new", F_OK), -1);
    assert_false(file_put("nowhere/put", 0600, "one", 3, &why));
    assert_int_equal(mkdir("taken", 0700), 0);
    assert_false(file_put("taken", 0600, "one", 3, &why));
    assert_int_equal(access("taken.new", F_OK), -1);
    memset(long_path, 'x', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    assert_false(file_put(long_path, 0600, "one", 3, &why));
}

static void removing_what_is_not_there_is_no_error(void **state)
{
    struct error why;

    (void)state;
    scratch_write_text("remove", 0600, "x");
    assert_true(file_remove("remove", &why));
    assert_int_equal(access("remove", F_OK), -1);
    assert_true(file_remove("remove", &why));
    assert_int_equal(mkdir("stays", 0700), 0);
    assert_false(file_remove("stays", &why));
    assert_non_null(strstr(why.text, "stays: "));
}

/* As on a full disk. */
static void what_cannot_be_written_whole_is_not_left_behind(void **state)
{
    struct error why;
    int dir = open(".", O_RDONLY | O_DIRECTORY);
    bool created, replaced;

    (void)state;
    assert_true(file_replace(dir, "kept", 0600, "first", 5, &why));
    limit_files_to(2);
    created = file_create("too-large", 0600, "first", 5, &why);
    replaced = file_replace(dir, "kept", 0600, "2nd", 3, &why);
    limit_files_to(RLIM_INFINITY);
    assert_false(created);
    assert_false(replaced);
    assert_non_null(strstr(why.text, "kept: File too large"));
    assert_int_equal(access("too-large", F_OK), -1);
    assert_int_equal(access(".kept.new", F_OK), -1);
    assert_content("kept", "first");
    close(dir);
}

/* A regular file by its mode, and its first page is never there to be read. */
static void a_failed_read_is_told(void **state)
{
    char buffer[8];
    struct error why;

    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(file_read("/proc/self/mem", FILE_SECRET, buffer, sizeof buffer, &why), -1);
    assert_non_null(strstr(why.text, "/proc/self/mem: "));
    assert_non_null(strstr(why.text, strerror(EIO)));
}

static void a_name_too_long_is_an_error(void **state)
{
    char path[PATH_MAX + 2];

    (void)state;
    memset(path, '/', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_false(file_sync_directory_of(path));
    assert_int_equal(errno, ENAMETOOLONG);
}

static void directories_are_made_with_their_parents(void **state)
{
    char *here = *state, path[256];
    struct error why;

    umask(0);
    snprintf(path, sizeof path, "%s/a/b/c", here);
    assert_true(file_make_directory(path, 0700, &why));
    assert_mode("a", 0700);
    assert_mode("a/b/c", 0700);
    assert_int_equal(chmod("a/b", 0750), 0);
    assert_true(file_make_directory(path, 0700, &why));
    assert_mode("a/b", 0750); /* left as it is */
    assert_true(file_make_directory("relative/too", 0755, &why));
    scratch_write_text("plain", 0600, "x");
    assert_false(file_make_directory("plain/below", 0700, &why));
    assert_false(file_make_directory("", 0700, &why));
    umask(022);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modes_must_be_as_tight_as_asked),
        cmocka_unit_test(other_peoples_files_are_refused),
        cmocka_unit_test(what_may_not_be_opened_is_told),
        cmocka_unit_test(only_regular_files_are_opened),
        cmocka_unit_test(reading_stops_at_the_size_given),
        cmocka_unit_test(creating_never_touches_what_is_there),
        cmocka_unit_test(replacing_leaves_one_whole_file),
        cmocka_unit_test(putting_leaves_the_new_file_and_nothing_else),
        cmocka_unit_test(removing_what_is_not_there_is_no_error),
        cmocka_unit_test(what_cannot_be_written_whole_is_not_left_behind),
        cmocka_unit_test(a_failed_read_is_told),
        cmocka_unit_test(a_name_too_long_is_an_error),
        cmocka_unit_test(directories_are_made_with_their_parents),
    };

    return cmocka_run_group_tests_name("file", tests, scratch_enter, scratch_leave);
}
