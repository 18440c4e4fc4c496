/* portsmith-profile group: how hosts come to share one server key. */
#ifndef PORTSMITH_GROUP_H
#define PORTSMITH_GROUP_H

/* Runs "group create" or "group join" of portsmith-profile. Returns an exit status. */
int group_run(const char *config_file, int argc, char **argv);

#endif
