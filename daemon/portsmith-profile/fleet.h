/* portsmith-profile roster: what is done with rosters where they are signed, and what their clients
 * are given. */
#ifndef PORTSMITH_FLEET_H
#define PORTSMITH_FLEET_H

/* Runs "roster init", "roster sign", "roster show" or "roster bundle", as a command of
 * portsmith-profile. Returns an exit status. */
int fleet_run(const char *config_file, int argc, char **argv);

#endif
