#include "daemon/portsmith-firewall/login.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/service.h"

#define VARIABLE "SSH_CONNECTION="

enum { ANCESTORS_MAX = 128, SSH_PORT = 22, NAME_SIZE = 64 };

bool login_parse_connection(uint16_t *port, const char *value)
{
    const char *last = value;
    struct error unused;

    for (int blanks = 0; blanks < 3; blanks++) {
        last = strchr(last, ' ');
        if (!last)
            return false;
        last++;
    }
    return port_parse(port, last, &unused);
}

static FILE *open_of_process(pid_t pid, const char *name)
{
    char path[NAME_SIZE];

    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    return fopen(path, "re");
}

static bool find_in_environment(pid_t pid, uint16_t *port)
{
    FILE *environment = open_of_process(pid, "environ");
    char *variable = NULL;
    size_t room = 0;
    bool found = false;

    if (!environment)
        return false;
    while (!found && getdelim(&variable, &room, '\0', environment) > 0)
        found = strncmp(variable, VARIABLE, strlen(VARIABLE)) == 0 &&
                login_parse_connection(port, variable + strlen(VARIABLE));
    free(variable);
    fclose(environment);
    return found;
}

/* Reads a process's name, and returns its parent, or 0 where there is none. The name may hold
 * anything, so what follows it in /proc/PID/stat is looked for behind the last parenthesis
 * (proc(5)). */
static pid_t read_parent(pid_t pid, char name[static NAME_SIZE])
{
    FILE *stat = open_of_process(pid, "stat");
    char line[256] = "", *begin, *end;
    int parent = 0;

    if (!stat)
        return 0;
    line[fread(line, 1, sizeof line - 1, stat)] = '\0';
    fclose(stat);
    begin = strchr(line, '(');
    end = strrchr(line, ')');
    if (!begin || !end || strlen(end) < 4)
        return 0;
    *end = '\0';
    snprintf(name, NAME_SIZE, "%s", begin + 1);
    parent = (int)strtol(end + 4, NULL, 10); /* behind ") S " */
    return parent > 0 ? parent : 0;
}

bool login_find_ssh_port(uint16_t *port)
{
    pid_t pid = getpid();

    for (int i = 0; i < ANCESTORS_MAX && pid > 0; i++) {
        char name[NAME_SIZE] = "";

        if (find_in_environment(pid, port))
            return true;
        pid = read_parent(pid, name);
        if (strncmp(name, "sshd", 4) == 0 || strcmp(name, "dropbear") == 0) {
            *port = SSH_PORT; /* the server has not told its port, so the usual one is assumed */
            return true;
        }
    }
    return false;
}
