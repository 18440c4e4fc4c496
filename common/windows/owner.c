/* Who may use a file, by its access control list: in the place of fileowner.c. */
#include "common/windows/posix.h"

#include <aclapi.h>
#include <sddl.h>
#include <stdbool.h>

#include "common/file.h"

enum { SID_TEXT_MAX = 187 }; /* SECURITY_MAX_SID_STRING_CHARACTERS, which mingw-w64 lacks */

/* The user's identifier, which the caller frees by LocalFree. NULL with errno. */
static PSID find_user(void)
{
    union {
        TOKEN_USER user;
        char bytes[sizeof(TOKEN_USER) + SECURITY_MAX_SID_SIZE];
    } found;
    DWORD size;
    HANDLE token;
    PSID copy = NULL;

    if (OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token)) {
        if (GetTokenInformation(token, TokenUser, &found, sizeof found, &size) &&
            (copy = LocalAlloc(0, GetLengthSid(found.user.User.Sid))))
            CopySid(GetLengthSid(found.user.User.Sid), copy, found.user.User.Sid);
        CloseHandle(token);
    }
    if (!copy)
        windows_fail(GetLastError());
    return copy;
}

/* The user's, not inherited, for the user alone (SDDL: owner, protected, allow, all).
 * Administrators and the system can take what they want, as root can. */
SECURITY_ATTRIBUTES *windows_private(SECURITY_ATTRIBUTES *attributes)
{
    static const char format[] = "O:%sD:P(A;OICI;FA;;;%s)";
    char rights[sizeof format + 2 * SID_TEXT_MAX], *name;
    PSID user = find_user();
    bool done = user && ConvertSidToStringSidA(user, &name);

    if (done) {
        snprintf(rights, sizeof rights, format, name, name);
        LocalFree(name);
        *attributes = (SECURITY_ATTRIBUTES){.nLength = sizeof *attributes};
        done = ConvertStringSecurityDescriptorToSecurityDescriptorA(
            rights, SDDL_REVISION_1, &attributes->lpSecurityDescriptor, NULL);
    }
    if (!done)
        windows_fail(GetLastError());
    LocalFree(user);
    return done ? attributes : NULL;
}

static bool is_trusted(PSID who, PSID user)
{
    return EqualSid(who, user) || IsWellKnownSid(who, WinLocalSystemSid) ||
           IsWellKnownSid(who, WinBuiltinAdministratorsSid);
}

/* Whether the list lets anybody else read, if that matters, or write. An empty list lets nobody,
 * but no list lets all. */
static bool is_loose(ACL *list, PSID user, enum file_trust trust)
{
    DWORD loose = FILE_WRITE_DATA | FILE_APPEND_DATA | WRITE_DAC | WRITE_OWNER | DELETE |
                  GENERIC_WRITE | GENERIC_ALL;
    void *entry;

    if (trust == FILE_SECRET)
        loose |= FILE_READ_DATA | GENERIC_READ;
    for (DWORD i = 0; list && i < list->AceCount; i++) {
        const ACCESS_ALLOWED_ACE *ace;

        if (!GetAce(list, i, &entry))
            return true;
        ace = entry;
        if (ace->Header.AceType == ACCESS_DENIED_ACE_TYPE ||
            (ace->Header.AceFlags & INHERIT_ONLY_ACE))
            continue;
        if (ace->Header.AceType != ACCESS_ALLOWED_ACE_TYPE ||
            ((ace->Mask & loose) && !is_trusted((PSID)(uintptr_t)&ace->SidStart, user)))
            return true;
    }
    return !list;
}

static bool check(const char *path, PSID owner, ACL *list, enum file_trust trust, struct error *why)
{
    PSID user = find_user();
    bool owned = user && is_trusted(owner, user), loose = !user || is_loose(list, user, trust);

    LocalFree(user);
    if (!owned)
        return error_set(why, "%s: belongs to another user; take a copy that is yours", path);
    return !loose || error_set(why, "%s: other users can %s it; run: icacls \"%s\" /inheritance:r "
                                    "/grant:r \"%%USERNAME%%:F\"", path,
                               trust == FILE_SECRET ? "read or write" : "write", path);
}

bool file_check(int fd, const char *path, enum file_trust trust, struct error *why)
{
    HANDLE handle = (HANDLE)_get_osfhandle(fd);
    PSECURITY_DESCRIPTOR whole;
    PSID owner;
    ACL *list;
    bool sound;

    if (GetFileType(handle) != FILE_TYPE_DISK)
        return error_set(why, "%s: not a regular file", path);
    if (GetSecurityInfo(handle, SE_FILE_OBJECT,
                        OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION, &owner, NULL, &list,
                        NULL, &whole) != ERROR_SUCCESS)
        return error_set(why, "%s: nothing tells who may use it; put it on a drive with NTFS",
                         path);
    sound = check(path, owner, list, trust, why);
    LocalFree(whole);
    return sound;
}

const char *file_explain(int error)
{
    return error == ELOOP ? "is a symbolic link, which is not followed here; put the file itself "
                            "in its place"
                          : strerror(error);
}

/* NTFS keeps names in a log of its own: what is written is found after a crash. */
bool file_sync_directory_of(const char *path)
{
    (void)path;
    return true;
}
