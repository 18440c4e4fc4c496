#include "common/windows/posix.h"

#include <stdarg.h>
#include <stdbool.h>

#undef strerror

char *program_invocation_short_name;

/* All is bytes: knocks and bundles go to standard output, and no end of line is to be changed. */
__attribute__((constructor)) static void begin(void)
{
    static char path[MAX_PATH];
    DWORD size = GetModuleFileNameA(NULL, path, sizeof path - 1);
    char *name = strrchr(path, '\\');

    program_invocation_short_name = size > 0 && name ? name + 1 : path;
    if (strlen(program_invocation_short_name) > 4)
        path[size - 4] = '\0'; /* .exe */
    _fmode = O_BINARY;
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        _setmode(fd, O_BINARY);
}

/* ---- errors --------------------------------------------------------------- */

/* By Windows, by POSIX, and by name: strerror knows none that sockets have. */
static const struct {
    unsigned windows;
    int posix;
    const char *text; /* NULL: strerror knows */
} errors[] = {
    {ERROR_FILE_NOT_FOUND, ENOENT, NULL},
    {ERROR_PATH_NOT_FOUND, ENOENT, NULL},
    {ERROR_INVALID_NAME, ENOENT, NULL},
    {ERROR_ACCESS_DENIED, EACCES, NULL},
    {ERROR_SHARING_VIOLATION, EACCES, NULL},
    {ERROR_FILE_EXISTS, EEXIST, NULL},
    {ERROR_ALREADY_EXISTS, EEXIST, NULL},
    {ERROR_DISK_FULL, ENOSPC, NULL},
    {ERROR_CANT_RESOLVE_FILENAME, ELOOP, "Too many levels of symbolic links"},
    {WSAEWOULDBLOCK, EAGAIN, NULL},
    {WSAEACCES, EACCES, NULL},
    {WSAEMSGSIZE, EMSGSIZE, "Message too long"},
    {WSAEADDRNOTAVAIL, EADDRNOTAVAIL, "Cannot assign requested address"},
    {WSAEAFNOSUPPORT, EAFNOSUPPORT, "Address family not supported by protocol"},
    {WSAENETDOWN, ENETDOWN, "Network is down"},
    {WSAENETUNREACH, ENETUNREACH, "Network is unreachable"},
    {WSAEHOSTUNREACH, EHOSTUNREACH, "No route to host"},
    {WSAECONNREFUSED, ECONNREFUSED, "Connection refused"},
    {WSAECONNRESET, ECONNRESET, "Connection reset by peer"},
    {WSAECONNABORTED, ECONNABORTED, "Software caused connection abort"},
    {WSAETIMEDOUT, ETIMEDOUT, "Connection timed out"},
    {WSAENOTSOCK, ENOTSOCK, "Socket operation on non-socket"},
    {WSAEMFILE, EMFILE, NULL},
};

enum { ERRORS = sizeof errors / sizeof *errors };

int windows_fail(unsigned error)
{
    errno = EIO;
    for (size_t i = 0; i < ERRORS; i++)
        if (errors[i].windows == error)
            errno = errors[i].posix;
    return -1;
}

const char *windows_strerror(int error)
{
    for (size_t i = 0; i < ERRORS; i++)
        if (errors[i].posix == error && errors[i].text)
            return errors[i].text;
    return strerror(error);
}

static void say(const char *format, va_list arguments, const char *error)
{
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "%s%s\n", error ? ": " : "", error ? error : "");
}

void warn(const char *format, ...)
{
    const char *error = windows_strerror(errno);
    va_list arguments;

    va_start(arguments, format);
    say(format, arguments, error);
    va_end(arguments);
}

void warnx(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say(format, arguments, NULL);
    va_end(arguments);
}

void errx(int status, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say(format, arguments, NULL);
    va_end(arguments);
    exit(status);
}

/* ---- files ---------------------------------------------------------------- */

static HANDLE create(const char *path, int flags)
{
    DWORD access = flags & O_RDWR ? GENERIC_READ | GENERIC_WRITE
                 : flags & O_WRONLY ? GENERIC_WRITE : GENERIC_READ;
    DWORD how = !(flags & O_CREAT) ? OPEN_EXISTING : flags & O_EXCL ? CREATE_NEW : OPEN_ALWAYS;
    DWORD more = flags & O_NOFOLLOW ? FILE_FLAG_OPEN_REPARSE_POINT : 0;
    SECURITY_ATTRIBUTES attributes, *private = NULL;
    HANDLE handle = INVALID_HANDLE_VALUE;

    if ((flags & O_CREAT) && !(private = windows_private(&attributes)))
        return handle;
    handle = CreateFileA(path, access, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                         private, how, FILE_ATTRIBUTE_NORMAL | more, NULL);
    if (handle == INVALID_HANDLE_VALUE)
        windows_fail(GetLastError());
    if (private)
        LocalFree(private->lpSecurityDescriptor);
    return handle;
}

static bool is_link(HANDLE handle)
{
    BY_HANDLE_FILE_INFORMATION found;

    return GetFileInformationByHandle(handle, &found) &&
           (found.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT);
}

int windows_open(const char *path, int flags, ...)
{
    HANDLE handle = create(strcmp(path, "/dev/null") == 0 ? "NUL" : path, flags);
    int fd;

    if (handle == INVALID_HANDLE_VALUE)
        return -1;
    if ((flags & O_NOFOLLOW) && is_link(handle)) {
        CloseHandle(handle);
        return windows_fail(ERROR_CANT_RESOLVE_FILENAME);
    }
    fd = _open_osfhandle((intptr_t)handle, O_BINARY | O_NOINHERIT);
    if (fd < 0)
        CloseHandle(handle);
    return fd;
}

int windows_mkdir(const char *path)
{
    SECURITY_ATTRIBUTES attributes, *private = windows_private(&attributes);
    DWORD found = GetFileAttributesA(path), error = ERROR_SUCCESS;

    if (!private)
        return -1;
    if (found != INVALID_FILE_ATTRIBUTES && (found & FILE_ATTRIBUTE_DIRECTORY))
        error = ERROR_ALREADY_EXISTS; /* of a drive, Windows would say something else */
    else if (!CreateDirectoryA(path, private))
        error = GetLastError();
    LocalFree(private->lpSecurityDescriptor);
    return error == ERROR_SUCCESS ? 0 : windows_fail(error);
}

int windows_rename(const char *from, const char *to)
{
    return MoveFileExA(from, to, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH)
               ? 0
               : windows_fail(GetLastError());
}
