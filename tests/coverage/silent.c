/* Linked, in a build for coverage, into what ends confined, or without privilege: there it
 * would write down what it has counted, for which its filter would kill it, or complain
 * that it cannot. The unit tests count what of daemon/ is asked for. */
void __wrap___gcov_exit(void);

void __wrap___gcov_exit(void)
{
}
