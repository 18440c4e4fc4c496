#include "daemon/witness/witness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/privilege/powerless.h"
#include "daemon/witness/confine.h"
#include "privsep/grantfile.h"
#include "privsep/witnessmessage.h"

enum {
    TELL_SECONDS = 1, /* until it is told what ended together, though the last of it never came */
    ASK_SECONDS = 10, /* that a question may take */
    ANSWER_SECONDS = 30, /* that the supervisor may take to answer it: more than it ever does */
    PAUSE_SECONDS = 1, /* until a question is asked again that could not be asked */
    NEWS_PATIENCE = 64, /* how often more news are heard before the end of a grant is told */
    REST_MS = 5, /* that events and news gather for, after some were heard */
};

static int64_t seconds_from_now(int seconds)
{
    return clock_boot_ns() + seconds * (int64_t)NSEC_PER_SEC;
}

/* ---- events ------------------------------------------------------------- */

bool witness_event_is_sound(const struct helper_event *event, size_t size)
{
    if (size != sizeof *event || event->service_count > POLICY_SERVICES)
        return false;
    switch (event->kind) {
    case EVENT_VERDICT:
        return event->verdict > VERDICT_NONE && event->verdict < VERDICTS;
    case EVENT_BEGUN:
        return event->id != 0 && event->begun != 0 && event->service_count == 1 &&
               event->connections > 0 && event->connections <= CONNECTIONS_MAX;
    case EVENT_ENDED:
        return event->id != 0 && event->end > END_NONE && event->end <= END_STOPPED &&
               event->service_count == 1;
    case EVENT_REMOVED:
        return true;
    default:
        return false;
    }
}

/* Words what has ended together. */
static void tell_ends(struct witness *w)
{
    struct ending ending;

    w->tell_at = 0;
    ends_sort(w->ended, w->ended_count);
    for (size_t i = 0; i < w->ended_count;) {
        i += ends_take(&w->ended[i], w->ended_count - i, &ending);
        words_say_end(&w->words, &ending);
    }
    w->ended_count = 0;
}

/* All that came in through a grant has come by now, as its door is shut. */
static void take_end(struct witness *w, const struct helper_event *event)
{
    struct ended ended;

    for (int i = 0; i < NEWS_PATIENCE && news_hear(&w->news, &w->usage) == NEWS_MORE; i++)
        ;
    usage_end(&w->usage, event, &ended);
    if (event->end == END_KNOCK || event->end == END_MOVED) {
        w->closed.end = ended.end;
        w->closed.address = ended.address;
        memcpy(w->closed.key_id, ended.key_id, KEY_ID_SIZE);
        ending_add(&w->closed, &ended);
        return;
    }
    if (w->ended_count == w->usage.capacity)
        tell_ends(w);
    if (w->ended_count == 0)
        w->tell_at = seconds_from_now(TELL_SECONDS);
    w->ended[w->ended_count++] = ended;
    if (!event->is_more)
        tell_ends(w);
}

static void take_verdict(struct witness *w, const struct helper_event *event)
{
    if (w->closed.end == END_MOVED)
        words_say_end(&w->words, &w->closed);
    words_say_verdict(&w->words, event, &w->closed);
    w->closed = (struct ending){.end = END_NONE};
    w->may_hush |= event->is_listening;
    if (!usage_begin_opened(&w->usage, event))
        fatalx("there are more grants than there is room for");
    if (event->verdict == VERDICT_FIREWALL_FAILED) /* grants that have begun were not opened */
        w->must_follow = true;
}

/* Reads who changed nftables. */
static void hear_bell(struct witness *w)
{
    uint32_t own[GRANTTABLE_RESTORES];

    if (w->bell < 0)
        return;
    granttable_restores(&w->table, own);
    if (bell_rang(w->bell, own, GRANTTABLE_RESTORES, &w->ringer))
        w->must_look = true;
}

static void take_removal(struct witness *w)
{
    w->removals++;
    w->quiet_at = seconds_from_now(QUIET_SECONDS);
    hear_bell(w);
    words_say_removal(w->removals, &w->ringer);
}

/* A crowd is told of once. */
static void notice_crowd(struct witness *w)
{
    if (w->has_no_crowd || usage_live(&w->usage) <= CROWD)
        return;
    w->has_no_crowd = true;
    words_say_crowded();
}

void witness_take_event(struct witness *w, const struct helper_event *event)
{
    if (event->lost > 0) {
        words_say_events_lost(&w->words, event->lost);
        w->must_follow = true;
    }
    if (event->kind != EVENT_ENDED && w->ended_count > 0)
        tell_ends(w);
    switch (event->kind) {
    case EVENT_VERDICT:
        take_verdict(w, event);
        break;
    case EVENT_BEGUN:
        w->may_hush = true;
        if (!usage_begin(&w->usage, event, clock_boot_ns()))
            fatalx("there are more grants than there is room for");
        break;
    case EVENT_ENDED:
        take_end(w, event);
        break;
    case EVENT_REMOVED:
        take_removal(w);
        break;
    }
    notice_crowd(w);
}

/* Where many knock at once, a witness that wakes for each event and each connection takes the
 * processor from those who open doors. So events and news gather for a while. */
static void rest(struct witness *w)
{
    w->rest_until = clock_boot_ns() + REST_MS * (int64_t)NSEC_PER_MSEC;
}

/* Takes all events that wait. A helper that has ended has said all by then. */
static void serve_events(struct witness *w)
{
    struct helper_event event;

    while (w->helper >= 0) {
        ssize_t n = recv(w->helper, &event, sizeof event, MSG_DONTWAIT | MSG_TRUNC);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            close(w->helper);
            w->helper = -1;
        } else if (!witness_event_is_sound(&event, (size_t)n)) {
            fatalx("the helper said what no helper says");
        } else {
            witness_take_event(w, &event);
            rest(w);
        }
    }
}

/* ---- news --------------------------------------------------------------- */

/* Events come before the news behind their marks. */
static enum heard serve_news(struct witness *w)
{
    enum heard heard;

    serve_events(w);
    news_let_go(&w->news, &w->usage);
    heard = news_hear(&w->news, &w->usage);
    if (w->news.was_lost)
        words_say_news_lost(&w->words);
    if (w->news.was_heard)
        rest(w);
    w->news.was_lost = w->news.was_heard = false;
    return heard;
}

static void follow_table(struct witness *w)
{
    if (w->must_follow)
        usage_follow_table(&w->usage);
    w->must_follow = false;
}

/* ---- questions ---------------------------------------------------------- */

/* A question that the supervisor could not ask has no answer. The others have theirs in the news.
 * Where the grant's profile has asked too much, or the last witness's question is not done with,
 * the same is asked again. Returns false once the supervisor has hung up. */
static bool serve_supervisor(struct witness *w)
{
    struct witness_answer answer;
    ssize_t n = recv(w->supervisor, &answer, sizeof answer, MSG_DONTWAIT | MSG_TRUNC);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n != sizeof answer)
        return false;
    w->ask_at = 0;
    if (answer.error == EDQUOT || answer.error == EBUSY) {
        usage_put_off_question(&w->usage, answer.id);
        w->ask_at = seconds_from_now(PAUSE_SECONDS);
    } else if (answer.error != 0) {
        usage_end_question(&w->usage, answer.id, false);
    }
    return true;
}

/* Asks for the next grant. A supervisor that does not read cannot ask. */
static void ask(struct witness *w)
{
    struct witness_question question;

    if (w->ask_at != 0 && clock_boot_ns() < w->ask_at)
        return;
    w->ask_at = 0;
    question.id = usage_next_question(&w->usage);
    if (question.id == 0)
        return;
    usage_ask(&w->usage, question.id);
    w->ask_until = seconds_from_now(ASK_SECONDS);
    if (send(w->supervisor, &question, sizeof question, MSG_DONTWAIT | MSG_NOSIGNAL) ==
        sizeof question)
        w->ask_at = seconds_from_now(ANSWER_SECONDS);
    else
        usage_end_question(&w->usage, question.id, false);
}

/* ---- words -------------------------------------------------------------- */

/* False if the helper's socket has no room: then all words wait. */
static bool tell_helper(struct witness *w, const struct witness_word *word)
{
    w->is_stuffed = w->helper >= 0 &&
                    send(w->helper, word, sizeof *word, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
                    errno == EAGAIN;
    return !w->is_stuffed;
}

static void tell_words(struct witness *w)
{
    const struct witness_word look = {.kind = WORD_LOOK};
    const struct witness_word hush = {.kind = WORD_HUSH, .id = w->usage.told};
    struct witness_word word;
    struct watch *watch;

    while ((watch = usage_next_end(&w->usage, &word))) {
        if (!tell_helper(w, &word))
            return;
        watch->is_end_told = true;
    }
    if (w->must_look && tell_helper(w, &look))
        w->must_look = false;
    if (w->may_hush && !usage_waits(&w->usage) && tell_helper(w, &hush))
        w->may_hush = false;
}

/* ---- the loop ----------------------------------------------------------- */

static void bring_forward(int64_t *when, int64_t other)
{
    if (other != 0 && other < *when)
        *when = other;
}

/* Does what is due, and returns the milliseconds until something else is; -1: nothing is. */
static int serve_time(struct witness *w)
{
    int64_t now = clock_boot_ns(), next;

    if (w->tell_at != 0 && now >= w->tell_at)
        tell_ends(w);
    if (w->quiet_at != 0 && now >= w->quiet_at) {
        words_say_quiet(w->removals);
        w->quiet_at = w->removals = 0;
    }
    if (w->ask_until != 0 && now >= w->ask_until)
        usage_end_question(&w->usage, w->usage.asked, false);
    if (w->usage.asked == 0) /* the answer came in the news */
        w->ask_until = 0;
    if (now >= w->rest_until)
        w->rest_until = 0;
    throttle_sum_up(&w->words.throttle, &w->clients, now);
    next = usage_give_up_marks(&w->usage, now);
    bring_forward(&next, w->rest_until);
    bring_forward(&next, w->tell_at);
    bring_forward(&next, w->ask_until);
    bring_forward(&next, w->quiet_at);
    bring_forward(&next, w->ask_at);
    bring_forward(&next, throttle_next(&w->words.throttle));
    if (next == INT64_MAX)
        return -1;
    return next <= now ? 0 : (int)((next - now) / NSEC_PER_MSEC + 1);
}

/* Says what is left to say. The helper has ended before. */
static _Noreturn void finish(struct witness *w)
{
    serve_news(w);
    if (w->ended_count > 0)
        tell_ends(w);
    throttle_sum_up(&w->words.throttle, &w->clients, INT64_MAX);
    exit(EXIT_SUCCESS);
}

/* By what the helper may wake it. While it rests events do not: whatever wakes it, they are taken
 * first. */
static struct pollfd helper_wakes(const struct witness *w)
{
    return (struct pollfd){.fd = w->helper, .events = (short)((w->rest_until ? 0 : POLLIN) |
                                                              (w->is_stuffed ? POLLOUT : 0))};
}

/* By what the kernel may wake it. A connection may be the last that its grant admits: where there
 * may be such grants, news wake it also while it rests. */
static struct pollfd news_wakes(const struct witness *w)
{
    return (struct pollfd){.fd = w->rest_until && !w->counts ? -1 : w->news.fd, .events = POLLIN};
}

static _Noreturn void serve(struct witness *w)
{
    enum { SUPERVISOR, HELPER, NEWS, BELL, FDS };

    for (;;) {
        enum heard heard = serve_news(w);
        int patience;
        struct pollfd fds[FDS] = {[SUPERVISOR] = {.fd = w->supervisor, .events = POLLIN}};

        follow_table(w);
        patience = serve_time(w);
        if (heard == NEWS_HEARD)
            ask(w);
        tell_words(w);
        fds[HELPER] = helper_wakes(w);
        fds[NEWS] = news_wakes(w);
        fds[BELL] = (struct pollfd){.fd = w->bell, .events = POLLIN};
        if (poll(fds, FDS, patience) < 0 && errno != EINTR)
            fatal("poll");
        if (fds[BELL].revents)
            hear_bell(w);
        if (fds[SUPERVISOR].revents && !serve_supervisor(w))
            finish(w);
    }
}

/* ---- getting ready ------------------------------------------------------ */

static void prepare_process(void)
{
    const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2};

    for (int fd = WITNESS_FD_SUPERVISOR; fd <= WITNESS_FD_USES; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            fatalx("portsmith-witness is started by portsmithd, never by hand");
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        fatal("cannot forbid core dumps");
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    setsid();
    if (sodium_init() < 0)
        fatalx("libsodium cannot be initialised");
}

static bool open_usage(struct witness *w, struct error *why)
{
    struct stat s;

    if (fstat(WITNESS_FD_USES, &s) != 0)
        return error_set(why, "the file of uses: %s", strerror(errno));
    if (!usage_open(&w->usage, &w->clients, &w->table, WITNESS_FD_USES,
                    (size_t)s.st_size / sizeof(struct use), why))
        return false;
    close(WITNESS_FD_USES);
    w->ended = calloc(w->usage.capacity + 1, sizeof *w->ended);
    return w->ended || error_set(why, "no memory for %zu grants", w->usage.capacity);
}

static bool is_socket(int fd)
{
    struct stat s;

    return fstat(fd, &s) == 0 && S_ISSOCK(s.st_mode);
}

static bool get_ready(struct witness *w, const struct witness_setup *setup, struct error *why)
{
    const struct plan *plan = plan_map(WITNESS_FD_PLAN, why);

    *w = (struct witness){.supervisor = WITNESS_FD_SUPERVISOR, .helper = WITNESS_FD_HELPER,
                          .bell = is_socket(WITNESS_FD_BELL) ? WITNESS_FD_BELL : -1,
                          .may_hush = true, .must_follow = true, .words.clients = &w->clients};
    w->has_no_crowd = plan && (plan->grant_store == GRANT_STORE_SET ||
                               plan->backend == BACKEND_NFTABLES); /* with no rule for each grant */
    if (!plan || !clients_make(&w->clients, plan, why) ||
        !granttable_view(&w->table, WITNESS_FD_GRANTS, why) || !open_usage(w, why))
        return false;
    close(WITNESS_FD_PLAN);
    news_begin(&w->news, WITNESS_FD_NEWS);
    usage_follow_table(&w->usage);
    w->counts = plan->counts;
    for (size_t i = 0; i < w->usage.top; i++) /* grants of profiles that do not count any more */
        w->counts |= w->usage.watches[i].connections > 0;
    return powerless_become(setup->empty, setup->uid, setup->gid, why) && witness_confine(why);
}

void witness_run(void)
{
    struct witness_setup setup;
    static struct witness w;
    struct error why;

    prepare_process();
    if (recv(WITNESS_FD_SUPERVISOR, &setup, sizeof setup, MSG_TRUNC) != (ssize_t)sizeof setup ||
        !memchr(setup.empty, '\0', sizeof setup.empty))
        fatalx("portsmithd has not told all that a witness has to know");
    log_open("portsmith-witness", setup.foreground, setup.debug);
    if (!get_ready(&w, &setup, &why))
        fatalx("%s", why.text);
    serve(&w);
}
