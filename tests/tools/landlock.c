/* Linked into the helper of a build for coverage, which writes down what it has
 * counted when it ends: Landlock would keep it from these files. So everything is
 * done but the last step. What Landlock keeps away is for test_helper_confine to say. */
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ARGUMENTS = 4 }; /* the most that a caller of ours passes */

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

long __wrap_syscall(long number, ...)
{
    long a[ARGUMENTS];
    va_list arguments;

    if (number == SYS_landlock_restrict_self)
        return 0;
    va_start(arguments, number);
    for (int i = 0; i < ARGUMENTS; i++)
        a[i] = va_arg(arguments, long);
    va_end(arguments);
    return __real_syscall(number, a[0], a[1], a[2], a[3]);
}
