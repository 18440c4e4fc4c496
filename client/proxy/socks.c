#include "client/proxy/socks.h"

#include <sodium.h>
#include <string.h>

#include "common/bytes.h"

enum {
    VERSION_4 = 4,
    VERSION_5 = 5,
    PASSWORD_VERSION = 1,      /* RFC 1929, section 2 */
    METHOD_NONE = 0,           /* RFC 1928, section 3 */
    METHOD_PASSWORD = 2,
    METHOD_UNACCEPTABLE = 0xFF,
    COMMAND_CONNECT = 1,
    TYPE_IPV4 = 1,             /* RFC 1928, section 5 */
    TYPE_NAME = 3,
    TYPE_IPV6 = 4,
    GRANTED_4 = 0x5a,          /* the SOCKS4 protocol */
    REFUSED_4 = 0x5b,
};

/* The field that comes next. */
enum state {
    AT_VERSION,
    AT_METHOD_COUNT,
    AT_METHODS,
    AT_PASSWORD_VERSION,
    AT_USERNAME_SIZE,
    AT_USERNAME,
    AT_PASSWORD_SIZE,
    AT_PASSWORD,
    AT_REQUEST,      /* version, command, reserved, address type */
    AT_IPV4,
    AT_IPV6,
    AT_NAME_SIZE,
    AT_NAME,
    AT_PORT,
    AT_REQUEST_4,    /* command, port, address */
    AT_USER_4,       /* up to a zero */
    AT_NAME_4,       /* up to a zero */
    STATES,
};

static enum socks_verdict expect(struct socks *s, enum state state, unsigned size)
{
    s->state = state;
    s->wanted = size;
    s->taken = 0;
    return SOCKS_MORE;
}

static enum socks_verdict refuse(struct socks *s, enum socks_code code)
{
    socks_reply(s, code);
    return SOCKS_GOODBYE;
}

static void set_reply(struct socks *s, uint8_t version, uint8_t value)
{
    s->reply[0] = version;
    s->reply[1] = value;
    s->reply_size = 2;
}

/* ---- greeting and password ----------------------------------------------- */

static uint8_t method_asked(const struct socks *s)
{
    return s->account->username[0] ? METHOD_PASSWORD : METHOD_NONE;
}

static enum socks_verdict take_version(struct socks *s)
{
    s->version = s->field[0];
    if (s->version == VERSION_5)
        return expect(s, AT_METHOD_COUNT, 1);
    if (s->version == VERSION_4)
        return expect(s, AT_REQUEST_4, 7);
    return SOCKS_BROKEN;
}

static enum socks_verdict choose_method(struct socks *s)
{
    if (!s->method_offered) {
        set_reply(s, VERSION_5, METHOD_UNACCEPTABLE);
        return SOCKS_GOODBYE;
    }
    set_reply(s, VERSION_5, method_asked(s));
    if (method_asked(s) == METHOD_PASSWORD)
        expect(s, AT_PASSWORD_VERSION, 1);
    else
        expect(s, AT_REQUEST, 4);
    return SOCKS_ANSWER;
}

static enum socks_verdict take_method_count(struct socks *s)
{
    return s->field[0] == 0 ? choose_method(s) : expect(s, AT_METHODS, s->field[0]);
}

static enum socks_verdict take_methods(struct socks *s)
{
    s->method_offered = memchr(s->field, method_asked(s), s->taken) != NULL;
    return choose_method(s);
}

static enum socks_verdict take_password_version(struct socks *s)
{
    return s->field[0] == PASSWORD_VERSION ? expect(s, AT_USERNAME_SIZE, 1) : SOCKS_BROKEN;
}

static enum socks_verdict judge_password(struct socks *s)
{
    /* The time that this takes depends on nothing but the size of the arrays. */
    bool good = sodium_memcmp(&s->given, s->account, sizeof s->given) == 0;

    socks_end(s);
    set_reply(s, PASSWORD_VERSION, good ? 0 : 1);
    expect(s, AT_REQUEST, 4);
    return good ? SOCKS_ANSWER : SOCKS_GOODBYE;
}

static enum socks_verdict take_username_size(struct socks *s)
{
    return s->field[0] == 0 ? expect(s, AT_PASSWORD_SIZE, 1)
                            : expect(s, AT_USERNAME, s->field[0]);
}

/* Whether the field has a zero in it. A name or password with a zero would seem to end there. */
static bool has_zero(const struct socks *s)
{
    return memchr(s->field, '\0', s->taken) != NULL;
}

static enum socks_verdict take_username(struct socks *s)
{
    if (has_zero(s))
        return SOCKS_BROKEN;
    memcpy(s->given.username, s->field, s->taken);
    return expect(s, AT_PASSWORD_SIZE, 1);
}

static enum socks_verdict take_password_size(struct socks *s)
{
    return s->field[0] == 0 ? judge_password(s) : expect(s, AT_PASSWORD, s->field[0]);
}

static enum socks_verdict take_password(struct socks *s)
{
    if (has_zero(s))
        return SOCKS_BROKEN;
    memcpy(s->given.password, s->field, s->taken);
    return judge_password(s);
}

/* ---- the request --------------------------------------------------------- */

/* Takes a name, or an address that was sent as one. False if it is neither. */
static bool take_host(struct destination *to, const uint8_t *bytes, size_t size)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

    memcpy(to->name, bytes, size);
    to->name[size] = '\0';
    to->has_address = address_parse(&to->address, to->name);
    if (to->has_address)
        return memchr(bytes, '\0', size) == NULL;
    if (strstr(to->name, "..") || strspn(to->name, allowed) != size)
        return false;
    if (size > 0 && to->name[size - 1] == '.')
        to->name[--size] = '\0';
    return size > 0 && to->name[0] != '.';
}

static enum socks_verdict take_request(struct socks *s)
{
    if (s->field[0] != VERSION_5)
        return SOCKS_BROKEN;
    s->command = s->field[1]; /* judged later, as the client sends the rest in any case */
    switch (s->field[3]) {
    case TYPE_IPV4:
        return expect(s, AT_IPV4, 4);
    case TYPE_IPV6:
        return expect(s, AT_IPV6, 16);
    case TYPE_NAME:
        return expect(s, AT_NAME_SIZE, 1);
    default: /* the size of such an address is not known */
        return refuse(s, SOCKS_ADDRESS_UNSUPPORTED);
    }
}

static enum socks_verdict take_ipv4(struct socks *s)
{
    s->destination.has_address = true;
    s->destination.address = address_from_ipv4(s->field);
    return expect(s, AT_PORT, 2);
}

static enum socks_verdict take_ipv6(struct socks *s)
{
    s->destination.has_address = true;
    memcpy(s->destination.address.bytes, s->field, sizeof s->destination.address.bytes);
    return expect(s, AT_PORT, 2);
}

static enum socks_verdict take_name_size(struct socks *s)
{
    return s->field[0] == 0 ? refuse(s, SOCKS_FAILURE) : expect(s, AT_NAME, s->field[0]);
}

static enum socks_verdict take_name(struct socks *s)
{
    return take_host(&s->destination, s->field, s->taken) ? expect(s, AT_PORT, 2)
                                                          : refuse(s, SOCKS_FAILURE);
}

static enum socks_verdict judge_request(struct socks *s)
{
    if (s->command != COMMAND_CONNECT)
        return refuse(s, SOCKS_COMMAND_UNSUPPORTED);
    if (s->destination.port == 0)
        return refuse(s, SOCKS_FAILURE);
    return SOCKS_REQUESTED;
}

static enum socks_verdict take_port(struct socks *s)
{
    s->destination.port = load_be16(s->field);
    return judge_request(s);
}

/* ---- SOCKS4 -------------------------------------------------------------- */

static enum socks_verdict take_request_4(struct socks *s)
{
    s->command = s->field[0];
    s->destination.port = load_be16(s->field + 1);
    s->destination.has_address = true;
    s->destination.address = address_from_ipv4(s->field + 3);
    return expect(s, AT_USER_4, sizeof s->field);
}

static enum socks_verdict take_user_4(struct socks *s)
{
    uint32_t address = load_be32(s->destination.address.bytes + 12);

    if (method_asked(s) != METHOD_NONE) /* SOCKS4 knows no password */
        return refuse(s, SOCKS_NOT_ALLOWED);
    if (address != 0 && address <= 0xFF) /* 0.0.0.x says that a name follows (SOCKS4a) */
        return expect(s, AT_NAME_4, sizeof s->field);
    return judge_request(s);
}

static enum socks_verdict take_name_4(struct socks *s)
{
    return take_host(&s->destination, s->field, s->taken - 1) ? judge_request(s)
                                                              : refuse(s, SOCKS_FAILURE);
}

/* ---- the whole ----------------------------------------------------------- */

static enum socks_verdict (*const take_field[STATES])(struct socks *s) = {
    [AT_VERSION] = take_version,
    [AT_METHOD_COUNT] = take_method_count,
    [AT_METHODS] = take_methods,
    [AT_PASSWORD_VERSION] = take_password_version,
    [AT_USERNAME_SIZE] = take_username_size,
    [AT_USERNAME] = take_username,
    [AT_PASSWORD_SIZE] = take_password_size,
    [AT_PASSWORD] = take_password,
    [AT_REQUEST] = take_request,
    [AT_IPV4] = take_ipv4,
    [AT_IPV6] = take_ipv6,
    [AT_NAME_SIZE] = take_name_size,
    [AT_NAME] = take_name,
    [AT_PORT] = take_port,
    [AT_REQUEST_4] = take_request_4,
    [AT_USER_4] = take_user_4,
    [AT_NAME_4] = take_name_4,
};

static bool ends_at_zero(const struct socks *s)
{
    return s->state == AT_USER_4 || s->state == AT_NAME_4;
}

static enum socks_verdict take_byte(struct socks *s, uint8_t byte)
{
    bool ended = ends_at_zero(s) && byte == 0;

    s->field[s->taken++] = byte;
    if (!ended && s->taken < s->wanted)
        return SOCKS_MORE;
    if (!ended && ends_at_zero(s))
        return refuse(s, SOCKS_FAILURE); /* the string is longer than any may be */
    return take_field[s->state](s);
}

void socks_begin(struct socks *socks, const struct socks_account *account)
{
    *socks = (struct socks){.account = account};
    expect(socks, AT_VERSION, 1);
}

size_t socks_take(struct socks *socks, const uint8_t *bytes, size_t size,
                  enum socks_verdict *verdict)
{
    size_t taken = 0;

    *verdict = SOCKS_MORE;
    while (taken < size && *verdict == SOCKS_MORE)
        *verdict = take_byte(socks, bytes[taken++]);
    return taken;
}

void socks_reply(struct socks *socks, enum socks_code code)
{
    memset(socks->reply, 0, sizeof socks->reply);
    if (socks->version == VERSION_4) {
        socks->reply[1] = code == SOCKS_GRANTED ? GRANTED_4 : REFUSED_4;
        socks->reply_size = 8;
        return;
    }
    socks->reply[0] = VERSION_5;
    socks->reply[1] = (uint8_t)code;
    socks->reply[3] = TYPE_IPV4;
    socks->reply_size = 10;
}

void socks_end(struct socks *socks)
{
    sodium_memzero(&socks->given, sizeof socks->given);
    sodium_memzero(socks->field, sizeof socks->field);
}
