#include "check.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "daemon/witness/news.h"
#include "netspace.h"
#include "privsep/cut/cut.h"
#include "privsep/grantfile.h"
#include "privsep/helper/events.h"
#include "privsep/netlink.h"
#include "privsep/prepare/news.h"
#include "privsep/prepare/takeover.h"
#include "table.h"

enum { FIRST_PORT = 2222, CAPACITY = 8, USES = 16 };

/* The helper's half and the witness's, joined as they are in life. */
static struct {
    struct grants grants;
    struct events events;
    struct clients clients;
    struct client client[3];
    struct helper_profile profile;
    struct usage usage;
    struct news news;
    struct granttable_view table;
    int witness, uses;
} world;

static struct service service = {IPPROTO_TCP, FIRST_PORT};
static int listener, client, accepted;
static struct error why;

static void make_socket(int *fd, struct sockaddr_in *at)
{
    *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(service.port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    *fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(*fd >= 0);
}

static void let_in(void)
{
    struct sockaddr_in at;

    make_socket(&client, &at);
    assert_int_equal(connect(client, (struct sockaddr *)&at, sizeof at), 0);
    accepted = accept(listener, NULL, NULL);
    assert_true(accepted >= 0);
}

static void hang_up(void)
{
    close(client);
    close(accepted);
}

static void visit(void)
{
    let_in();
    hang_up();
}

/* Another witness, which takes over what is written down. */
static void open_usage(void)
{
    granttable_close(&world.table);
    assert_done(granttable_open(&world.table, AT_FDCWD, &why), why);
    assert_done(usage_open(&world.usage, &world.clients, &world.table, world.uses, USES, &why),
                why);
    news_begin(&world.news, world.events.news);
}

static int begin(void **state)
{
    struct sockaddr_in at;
    int ends[2];

    (void)state;
    service.port++;
    make_socket(&listener, &at);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 16), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    world.events = (struct events){.witness = ends[0], .news = netlink_open(NETLINK_NETFILTER)};
    world.witness = ends[1];
    news_open(world.events.news, &service, 1);
    world.profile = (struct helper_profile){.service_count = 1, .services = {service}};
    for (uint8_t i = 0; i < COUNT_OF(world.client); i++)
        world.client[i] = (struct client){.key_id = {(uint8_t)(i + 1)}, .profile = &world.profile};
    world.clients = (struct clients){.items = world.client, .count = COUNT_OF(world.client)};
    unlink(GRANTTABLE_FILE);
    unlink(USES_FILE);
    world.uses = open(USES_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(world.uses, USES * sizeof(struct use)), 0);
    assert_done(helper_grants_create(&world.grants, AT_FDCWD, CAPACITY, clock_boot_ns(), &why),
                why);
    world.table.file = -1;
    open_usage();
    return 0;
}

static int end(void **state)
{
    (void)state;
    close(world.events.news);
    close(world.events.witness);
    close(world.witness);
    close(world.uses);
    granttable_close(&world.table);
    helper_grants_free(&world.grants);
    return close(listener);
}

static struct ended last_end;

/* What the witness does with what it was told. */
static void serve_events(void)
{
    struct helper_event event;

    while (recv(world.witness, &event, sizeof event, MSG_DONTWAIT) == sizeof event) {
        if (event.kind == EVENT_BEGUN) {
            assert_true(usage_begin(&world.usage, &event, clock_boot_ns()));
        } else if (event.kind == EVENT_VERDICT) {
            assert_true(usage_begin_opened(&world.usage, &event));
        } else {
            news_hear(&world.news, &world.usage);
            usage_end(&world.usage, &event, &last_end);
        }
    }
}

static void hear(void)
{
    enum heard heard;

    do {
        serve_events();
        news_let_go(&world.news, &world.usage);
        heard = news_hear(&world.news, &world.usage);
    } while (heard != NEWS_HEARD);
}

/* A grant that admits so many connections, or any number (0), and whose rule is in force. Of one of
 * the latter the witness was not told yet. */
static struct grant *open_for(const char *whom, uint8_t who, uint32_t connections)
{
    const uint8_t key_id[KEY_ID_SIZE] = {who};
    struct address address;
    struct grant *grant;

    assert_true(address_parse(&address, whom));
    grant = table_open(&world.grants, key_id, &address, &service,
                       clock_boot_ns() + 86400 * (int64_t)NSEC_PER_SEC);
    grant->connections = connections;
    helper_events_begin(&world.events, &world.grants, grant, true);
    helper_grants_settle(&world.grants, IPV4, true);
    return grant;
}

static void tell_verdict(const struct grant *grant)
{
    struct helper_event event = {.kind = EVENT_VERDICT, .verdict = VERDICT_OPENED,
                                 .opened = {grant->id}, .address = grant->address,
                                 .services = {grant->service}, .service_count = 1};

    memcpy(event.key_id, grant->key_id, KEY_ID_SIZE);
    helper_events_tell(&world.events, &event);
}

/* The same, but the witness may read of any. The grant's number. */
static uint32_t grant_for(const char *whom, uint8_t who, uint32_t connections)
{
    const struct grant *grant = open_for(whom, who, connections);

    tell_verdict(grant);
    return grant->id;
}

static uint32_t grant_of(uint8_t who, uint32_t connections)
{
    uint32_t id = grant_for("127.0.0.1", who, connections);

    hear();
    return id;
}

static struct grant *find(uint32_t id)
{
    for (size_t i = 0; i < world.grants.count; i++)
        if (world.grants.items[i].id == id)
            return &world.grants.items[i];
    return NULL;
}

/* Ends it for good, its door being shut. */
static void finish(uint32_t id)
{
    struct grant *grant = find(id), copy = *grant;

    helper_grants_remove_at(&world.grants, (size_t)(grant - world.grants.items));
    helper_events_end(&world.events, &copy, 1, END_WINDOW);
    serve_events();
}

static enum was_used use_at_end(uint32_t id)
{
    finish(id);
    return last_end.use;
}

/* What is written down of it; NULL: nothing. */
static const struct use *written(uint32_t id)
{
    for (size_t i = 0; i < USES; i++)
        if (world.usage.uses[i].id == id)
            return &world.usage.uses[i];
    return NULL;
}

static void check_written(uint32_t id, uint32_t used)
{
    assert_non_null(written(id));
    assert_int_equal(written(id)->known, USE_COUNTED);
    assert_int_equal(written(id)->used, used);
}

/* The grant that the helper is to end, 0: none; and it ends it. */
static uint32_t told_to_end(void)
{
    struct witness_word word;
    struct watch *watch = usage_next_end(&world.usage, &word);

    if (!watch)
        return 0;
    watch->is_end_told = true;
    helper_events_obey(&world.grants, &word);
    assert_int_equal(find(word.id)->end, END_COUNTED);
    assert_true(find(word.id)->deadline <= clock_boot_ns());
    return word.id;
}

/* As portsmith-cut does. */
static void ask_kernel(uint32_t id)
{
    const struct cut_door door = {.deed = CUT_ASK, .id = id, .address = find(id)->address,
                                  .service = service};
    struct cut_result result;

    usage_ask(&world.usage, id);
    cut_ask(world.events.news, &door, &result);
    assert_int_equal(result.trouble, CUT_DONE);
    hear();
}

static void fill_up(void)
{
    const int little = 1, enough = 1 << 20;

    assert_int_equal(setsockopt(world.events.news, SOL_SOCKET, SO_RCVBUF, &little, sizeof little),
                     0);
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        visit();
    hear();
    assert_true(world.news.was_lost);
    assert_int_equal(setsockopt(world.events.news, SOL_SOCKET, SO_RCVBUF, &enough, sizeof enough),
                     0);
}

/* ---- counting ----------------------------------------------------------- */

static void nobody_waits_without_grants(void **state)
{
    uint32_t id;

    (void)state;
    assert_false(usage_waits(&world.usage));
    id = grant_of(1, 0);
    assert_true(usage_waits(&world.usage));
    finish(id);
    assert_false(usage_waits(&world.usage));
}

static void the_first_connection_is_enough(void **state)
{
    uint32_t id = grant_of(1, 0);

    (void)state;
    check_written(id, 0);
    visit();
    hear();
    check_written(id, 1);
    assert_false(usage_waits(&world.usage));
    visit();
    hear();
    check_written(id, 1);
    assert_int_equal(told_to_end(), 0);
    assert_int_equal(use_at_end(id), USED_SOME);
}

static void what_was_there_before_does_not_count(void **state)
{
    uint32_t id;

    (void)state;
    grant_of(2, 8); /* somebody listens */
    let_in();
    id = grant_of(1, 8);
    hang_up();
    hear();
    assert_int_equal(use_at_end(id), USED_NOT);
    let_in();
    hear();
    id = grant_of(3, 0);
    hang_up();
    hear();
    assert_int_equal(use_at_end(id), USED_NOT);
}

/* However late the witness hears of the grant, and in which order. */
static void what_comes_after_the_mark_counts(void **state)
{
    uint32_t first, second;

    (void)state;
    first = grant_for("127.0.0.1", 1, 4);
    visit();
    second = grant_for("127.0.0.1", 2, 4);
    visit();
    hear();
    check_written(first, 2);
    check_written(second, 1);
}

/* The rule is in force before the verdict is told. */
static void what_comes_before_the_verdict_counts(void **state)
{
    const struct grant *first, *second;

    (void)state;
    first = open_for("127.0.0.1", 1, 0);
    second = open_for("127.0.0.1", 2, 0);
    visit();
    hear();
    tell_verdict(first);
    hear();
    check_written(first->id, 1);
    assert_null(written(second->id));
    tell_verdict(second);
    hear();
    check_written(second->id, 1);
    check_written(grant_of(3, 0), 0); /* which began later */
}

/* The helper opens for 64 knocks at once, and then tells of them one by one. */
static void a_batch_may_come_before_its_verdicts(void **state)
{
    const struct grant *grant;

    (void)state;
    grant = open_for("127.0.0.1", 1, 0);
    for (int i = 0; i < 64; i++)
        visit();
    hear();
    tell_verdict(grant);
    hear();
    assert_int_equal(written(grant->id)->known, USE_COUNTED);
    check_written(grant->id, 1);
}

/* But no more than there is room for. Nobody knows whether there was another one. */
static void of_very_many_before_the_verdict_nothing_is_known(void **state)
{
    const struct grant *grant;

    (void)state;
    grant = open_for("127.0.0.2", 1, 0);
    for (int i = 0; i <= EARLY_MAX; i++)
        visit();
    hear();
    tell_verdict(grant);
    hear();
    assert_int_equal(written(grant->id)->known, USE_UNKNOWN);
    check_written(grant_of(2, 0), 0);
}

static void of_news_that_are_lost_before_the_verdict_nothing_is_known(void **state)
{
    const struct grant *grant;

    (void)state;
    grant = open_for("127.0.0.1", 1, 0);
    usage_lose_news(&world.usage);
    visit();
    hear();
    tell_verdict(grant);
    hear();
    assert_int_equal(use_at_end(grant->id), USED_UNKNOWN);
    check_written(grant_of(2, 0), 0);
}

static void of_a_grant_whose_verdict_is_lost_nothing_is_known(void **state)
{
    const struct grant *grant;

    (void)state;
    grant = open_for("127.0.0.1", 1, 0);
    usage_follow_table(&world.usage);
    visit();
    hear();
    assert_int_equal(written(grant->id)->known, USE_UNKNOWN);
    assert_int_equal(use_at_end(grant->id), USED_UNKNOWN);
    assert_int_equal(use_at_end(open_for("127.0.0.1", 2, 0)->id), USED_UNKNOWN);
}

/* As a new witness does. */
static void the_table_may_be_read_before_the_verdict(void **state)
{
    const struct grant *grant;

    (void)state;
    grant = open_for("127.0.0.1", 1, 0);
    visit();
    usage_follow_table(&world.usage);
    hear();
    tell_verdict(grant);
    hear();
    assert_int_equal(usage_live(&world.usage), 1);
    check_written(grant->id, 1);
}

static void what_the_firewall_did_not_take_is_not_watched(void **state)
{
    const struct helper_event event = {.kind = EVENT_VERDICT, .verdict = VERDICT_FIREWALL_FAILED,
                                       .services = {service}, .service_count = 1,
                                       .opened = {1}, .is_listening = 1};

    (void)state;
    assert_true(usage_begin_opened(&world.usage, &event));
    assert_int_equal(usage_live(&world.usage), 0);
}

/* The news of before it wait in the socket. */
static void a_witness_that_starts_after_the_rule_counts_all(void **state)
{
    const struct grant *grant;

    (void)state;
    grant = open_for("127.0.0.1", 1, 0);
    visit();
    open_usage();
    hear();
    tell_verdict(grant);
    hear();
    check_written(grant->id, 1);
}

/* The mark comes before the event is read, as the witness was just reading news. */
static void a_mark_waits_for_its_event(void **state)
{
    uint32_t id;

    (void)state;
    id = grant_for("127.0.0.1", 1, 2);
    visit();
    assert_int_equal(news_hear(&world.news, &world.usage), NEWS_HELD);
    assert_null(written(id));
    hear();
    check_written(id, 1);
}

static void it_counts_for_whom_it_is_and_for_no_other(void **state)
{
    uint32_t one = grant_of(1, 0), two = grant_of(2, 4), other = grant_for("127.0.0.2", 3, 0);

    (void)state;
    visit();
    hear();
    check_written(one, 1);
    check_written(two, 1);
    check_written(other, 0);
}

/* What is heard then is for others, too. */
static void the_end_of_one_tells_of_others(void **state)
{
    uint32_t ended = grant_of(1, 0), other = grant_of(2, 0);

    (void)state;
    visit();
    assert_int_equal(use_at_end(ended), USED_SOME);
    assert_null(written(ended));
    check_written(other, 1);
}

static void a_grant_for_two_ends_with_the_second(void **state)
{
    uint32_t id = grant_of(1, 2);

    (void)state;
    visit();
    hear();
    assert_int_equal(told_to_end(), 0);
    visit();
    hear();
    assert_int_equal(told_to_end(), id);
    assert_int_equal(told_to_end(), 0);
    helper_events_end(&world.events, find(id), 1, END_NONE);
    serve_events();
    assert_int_equal(last_end.end, END_COUNTED);
    assert_int_equal(last_end.use, USED_SOME);
}

static void another_knock_admits_as_many_again(void **state)
{
    uint32_t id = grant_of(1, 2);

    (void)state;
    visit();
    hear();
    visit(); /* is not heard yet, and came in by the first */
    assert_int_equal(grant_of(1, 2), id);
    check_written(id, 0);
    visit();
    hear();
    assert_int_equal(told_to_end(), 0);
    visit();
    hear();
    assert_int_equal(told_to_end(), id);
}

static void a_word_about_an_earlier_allowance_ends_nothing(void **state)
{
    uint32_t id = grant_of(1, 1);
    struct witness_word word;

    (void)state;
    visit();
    hear();
    assert_non_null(usage_next_end(&world.usage, &word));
    grant_of(1, 1);
    helper_events_obey(&world.grants, &word);
    assert_int_equal(find(id)->end, END_NONE);
    assert_true(find(id)->deadline > clock_boot_ns());
    assert_int_equal(told_to_end(), 0);
}

static void without_a_socket_nothing_is_counted(void **state)
{
    int socket = world.events.news;
    uint32_t id, counting;

    (void)state;
    world.events.news = open("/dev/null", O_RDONLY);
    news_begin(&world.news, world.events.news);
    assert_int_equal(world.news.fd, -1);
    id = grant_of(1, 0);
    counting = grant_of(2, 1);
    assert_int_equal(find(counting)->end, END_UNWITNESSED);
    assert_true(find(counting)->deadline <= clock_boot_ns());
    assert_int_equal(find(id)->end, END_NONE);
    assert_int_equal(use_at_end(id), USED_UNKNOWN);
    close(world.events.news);
    world.events.news = socket;
}

static void of_connections_that_are_not_tracked_nothing_is_known(void **state)
{
    (void)state;
    world.profile.untracked = 1;
    assert_int_equal(use_at_end(grant_of(1, 0)), USED_UNKNOWN);
}

/* ---- lost news ---------------------------------------------------------- */

static void of_lost_news_nothing_is_said_and_what_counts_is_asked_for(void **state)
{
    uint32_t counting = grant_for("127.0.0.2", 2, 1), id = grant_of(1, 0);

    (void)state;
    fill_up();
    assert_null(written(counting));
    assert_int_equal(usage_next_question(&world.usage), counting);
    assert_int_equal(told_to_end(), 0);
    ask_kernel(counting);
    assert_int_equal(usage_next_question(&world.usage), 0);
    check_written(counting, 0);
    assert_int_equal(told_to_end(), 0);
    visit(); /* by another */
    hear();
    check_written(counting, 0);
    (void)id;
}

static void what_is_told_when_asked_counts_once(void **state)
{
    uint32_t id = grant_of(1, 8);

    (void)state;
    visit();
    visit();
    hear();
    check_written(id, 2);
    usage_lose_news(&world.usage);
    visit();
    hear(); /* this was told by itself, too */
    assert_null(written(id));
    ask_kernel(id);
    check_written(id, 3);
    assert_int_equal(told_to_end(), 0);
}

static void what_was_lost_and_is_found_ends_the_grant(void **state)
{
    uint32_t id = grant_of(1, 3);

    (void)state;
    fill_up();
    ask_kernel(id);
    assert_int_equal(told_to_end(), id);
}

/* Those that an earlier allowance let in are known. */
static void what_an_earlier_knock_admitted_does_not_count_when_asked(void **state)
{
    uint32_t id = grant_of(1, 3);

    (void)state;
    visit();
    visit();
    hear();
    grant_of(1, 3);
    visit();
    hear();
    usage_lose_news(&world.usage);
    ask_kernel(id);
    check_written(id, 1);
}

static void a_question_that_fails_ends_the_grant(void **state)
{
    uint32_t id = grant_of(1, 3);

    (void)state;
    usage_lose_news(&world.usage);
    assert_int_equal(usage_next_question(&world.usage), id);
    usage_ask(&world.usage, id);
    assert_int_equal(usage_next_question(&world.usage), 0);
    usage_end_question(&world.usage, id + 1, false); /* another's */
    assert_int_equal(told_to_end(), 0);
    usage_end_question(&world.usage, id, false);
    assert_int_equal(told_to_end(), id);
    helper_events_end(&world.events, find(id), 1, END_NONE);
    serve_events();
    assert_int_equal(last_end.end, END_UNWITNESSED);
}

/* A witness that was hostile could have filled the file. */
static void grants_have_room_whatever_was_written_down(void **state)
{
    uint32_t id = grant_of(1, 3);
    struct use use = {.known = USE_COUNTED};

    (void)state;
    for (uint32_t i = 0; i < USES; i++) {
        use.id = id + 1000 + i;
        assert_int_equal(pwrite(world.uses, &use, sizeof use, (off_t)(i * sizeof use)), sizeof use);
    }
    open_usage();
    usage_follow_table(&world.usage);
    assert_int_equal(usage_next_question(&world.usage), id);
    grant_of(2, 3); /* fails unless it can be watched */
}

static void what_was_written_down_of_a_grant_to_come_does_not_count(void **state)
{
    const struct use use = {.id = world.grants.table->last_id + 1, .known = USE_COUNTED, .used = 1};
    uint32_t id;

    (void)state;
    assert_int_equal(pwrite(world.uses, &use, sizeof use, 0), sizeof use);
    open_usage();
    id = grant_of(1, 0);
    assert_int_equal(id, use.id);
    check_written(id, 0);
}

/* Nobody could be asked. */
static void a_question_that_is_put_off_is_asked_again(void **state)
{
    uint32_t id = grant_of(1, 3);

    (void)state;
    usage_lose_news(&world.usage);
    usage_ask(&world.usage, id);
    usage_put_off_question(&world.usage, id + 1); /* another's */
    assert_int_equal(usage_next_question(&world.usage), 0);
    usage_put_off_question(&world.usage, id);
    assert_int_equal(usage_next_question(&world.usage), id);
    assert_int_equal(told_to_end(), 0);
    assert_null(written(id));
}

static void all_have_their_turn_to_be_asked_for(void **state)
{
    const uint32_t first = grant_of(1, 3), second = grant_of(2, 3), third = grant_of(3, 3);

    (void)state;
    for (int i = 0; i < 2; i++) {
        usage_lose_news(&world.usage);
        assert_int_equal(usage_next_question(&world.usage), i == 0 ? second : third);
        usage_ask(&world.usage, usage_next_question(&world.usage));
        usage_end_question(&world.usage, world.usage.asked, true);
    }
    assert_int_equal(usage_next_question(&world.usage), first);
}

static void news_that_are_lost_meanwhile_are_asked_for_again(void **state)
{
    uint32_t id = grant_of(1, 8);

    (void)state;
    usage_lose_news(&world.usage);
    usage_ask(&world.usage, id);
    usage_lose_news(&world.usage);
    usage_end_question(&world.usage, id, true);
    assert_null(written(id));
    assert_int_equal(usage_next_question(&world.usage), id);
}

static void what_is_known_is_not_lost(void **state)
{
    uint32_t used = grant_of(1, 0);

    (void)state;
    visit();
    hear();
    grant_for("127.0.0.2", 2, 0);
    hear();
    fill_up();
    assert_int_equal(use_at_end(used), USED_SOME);
}

static void a_mark_that_does_not_come_is_given_up(void **state)
{
    uint32_t counting;
    int64_t now, next;

    (void)state;
    counting = grant_for("127.0.0.1", 1, 1);
    serve_events();
    now = clock_boot_ns();
    next = usage_give_up_marks(&world.usage, now);
    assert_true(next > now && next <= now + (int64_t)NSEC_PER_SEC);
    assert_true(usage_give_up_marks(&world.usage, next + NSEC_PER_SEC) == INT64_MAX);
    assert_int_equal(usage_next_question(&world.usage), counting);
}

/* ---- another witness ---------------------------------------------------- */

static void what_is_written_goes_on_with_the_next(void **state)
{
    uint32_t id = grant_of(1, 2), ended = grant_of(2, 0), unread;

    (void)state;
    visit();
    hear();
    unread = grant_for("127.0.0.1", 3, 2);
    visit(); /* between the two witnesses */
    helper_grants_remove_at(&world.grants, 1);
    open_usage();
    usage_follow_table(&world.usage);
    assert_true(world.grants.count == 2);
    hear();
    assert_int_equal(told_to_end(), id);
    check_written(unread, 1);
    assert_int_equal(usage_next_question(&world.usage), 0);
    /* What the helper has ended meanwhile is known until it says so. */
    helper_events_end(&world.events, &(struct grant){.id = ended, .service = service}, 1,
                      END_FORBIDDEN);
    serve_events();
    assert_int_equal(last_end.use, USED_SOME);
}

static void what_is_not_written_is_asked_for(void **state)
{
    uint32_t counting = grant_of(1, 2), id = grant_of(2, 0);

    (void)state;
    visit();
    hear();
    assert_int_equal(ftruncate(world.uses, 0), 0);
    assert_int_equal(ftruncate(world.uses, USES * sizeof(struct use)), 0);
    open_usage();
    usage_follow_table(&world.usage);
    assert_int_equal(usage_next_question(&world.usage), counting);
    ask_kernel(counting);
    check_written(counting, 1);
    assert_int_equal(use_at_end(id), USED_UNKNOWN);
}

static void one_that_admits_fewer_by_now_ends(void **state)
{
    uint32_t id = grant_of(1, 3);

    (void)state;
    visit();
    visit();
    hear();
    find(id)->connections = 2;
    grant_seal(find(id));
    open_usage();
    usage_follow_table(&world.usage);
    assert_int_equal(told_to_end(), id);
}

static void one_whose_connections_are_not_told_of_any_more_ends(void **state)
{
    uint32_t counting = grant_of(1, 3), id = grant_of(2, 0);

    (void)state;
    world.profile.untracked = 1;
    open_usage();
    usage_follow_table(&world.usage);
    assert_int_equal(told_to_end(), counting);
    assert_int_equal(use_at_end(id), USED_UNKNOWN);
}

/* Whoever wrote it may have been killed, or hostile. */
static void what_is_written_wrongly_is_not_believed(void **state)
{
    uint32_t id = grant_of(1, 3);
    struct use *use = &world.usage.uses[written(id) - world.usage.uses];
    const struct use right = *use;
    struct use wrong[] = {right, right, right, right};

    (void)state;
    wrong[0].known = USE_COUNTED + 1;
    wrong[1].used = CONNECTIONS_MAX + 1;
    wrong[2].flow_count = USE_FLOWS + 1;
    wrong[3].allowance++;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        memset(world.usage.uses, 0, USES * sizeof *use);
        *use = wrong[i];
        open_usage();
        usage_follow_table(&world.usage);
        assert_int_equal(usage_next_question(&world.usage), id);
    }
}

static void a_grant_that_is_gone_is_forgotten_at_the_second_look(void **state)
{
    uint32_t id = grant_of(1, 0);

    (void)state;
    helper_grants_clear(&world.grants);
    usage_follow_table(&world.usage);
    assert_non_null(written(id));
    usage_follow_table(&world.usage);
    assert_null(written(id));
}

static int enter(void **state)
{
    if (netspace_enter(state) != 0)
        return -1;
    return system("ip link set lo up && iptables -A INPUT -m conntrack --ctstate NEW");
}

#define WITH_GRANTS(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_GRANTS(nobody_waits_without_grants),
        WITH_GRANTS(the_first_connection_is_enough),
        WITH_GRANTS(what_was_there_before_does_not_count),
        WITH_GRANTS(what_comes_after_the_mark_counts),
        WITH_GRANTS(what_comes_before_the_verdict_counts),
        WITH_GRANTS(a_batch_may_come_before_its_verdicts),
        WITH_GRANTS(of_very_many_before_the_verdict_nothing_is_known),
        WITH_GRANTS(of_news_that_are_lost_before_the_verdict_nothing_is_known),
        WITH_GRANTS(of_a_grant_whose_verdict_is_lost_nothing_is_known),
        WITH_GRANTS(the_table_may_be_read_before_the_verdict),
        WITH_GRANTS(what_the_firewall_did_not_take_is_not_watched),
        WITH_GRANTS(a_witness_that_starts_after_the_rule_counts_all),
        WITH_GRANTS(a_mark_waits_for_its_event),
        WITH_GRANTS(it_counts_for_whom_it_is_and_for_no_other),
        WITH_GRANTS(the_end_of_one_tells_of_others),
        WITH_GRANTS(a_grant_for_two_ends_with_the_second),
        WITH_GRANTS(another_knock_admits_as_many_again),
        WITH_GRANTS(a_word_about_an_earlier_allowance_ends_nothing),
        WITH_GRANTS(without_a_socket_nothing_is_counted),
        WITH_GRANTS(of_connections_that_are_not_tracked_nothing_is_known),
        WITH_GRANTS(of_lost_news_nothing_is_said_and_what_counts_is_asked_for),
        WITH_GRANTS(what_is_told_when_asked_counts_once),
        WITH_GRANTS(what_was_lost_and_is_found_ends_the_grant),
        WITH_GRANTS(what_an_earlier_knock_admitted_does_not_count_when_asked),
        WITH_GRANTS(a_question_that_fails_ends_the_grant),
        WITH_GRANTS(grants_have_room_whatever_was_written_down),
        WITH_GRANTS(what_was_written_down_of_a_grant_to_come_does_not_count),
        WITH_GRANTS(a_question_that_is_put_off_is_asked_again),
        WITH_GRANTS(all_have_their_turn_to_be_asked_for),
        WITH_GRANTS(news_that_are_lost_meanwhile_are_asked_for_again),
        WITH_GRANTS(what_is_known_is_not_lost),
        WITH_GRANTS(a_mark_that_does_not_come_is_given_up),
        WITH_GRANTS(what_is_written_goes_on_with_the_next),
        WITH_GRANTS(what_is_not_written_is_asked_for),
        WITH_GRANTS(one_that_admits_fewer_by_now_ends),
        WITH_GRANTS(one_whose_connections_are_not_told_of_any_more_ends),
        WITH_GRANTS(what_is_written_wrongly_is_not_believed),
        WITH_GRANTS(a_grant_that_is_gone_is_forgotten_at_the_second_look),
    };

    return cmocka_run_group_tests_name("usage", tests, enter, scratch_leave);
}
