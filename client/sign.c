#include "client/sign.h"

#include "client/agent.h"
#include "client/counter.h"
#include "common/clock.h"

static bool sign_by_agent(struct signature *signature, struct knocker *k,
                          const uint8_t encoded[static REQUEST_SIZE], struct error *why)
{
    int64_t begun = clock_boot_ns();
    uint8_t blob[SSH_BLOB_SIZE];
    char path[PATH_MAX];
    bool is_signed;

    envelope_ssh_blob(blob, k->server_public, encoded);
    is_signed = agent_path(path, k->agent, why) &&
                agent_sign(path, &k->ssh_key, blob, k->tell, signature, why);
    if (clock_boot_ns() - begun > (int64_t)AGENT_SLOW * NSEC_PER_SEC)
        k->asks = true; /* whoever denies or misses one prompt wants no more of them */
    if (!is_signed)
        return false;
    return envelope_verify(signature, &k->signer, k->server_public, encoded) ||
           error_set(why, "the ssh-agent at %s has not signed by the key of SSHKey: nothing is "
                          "sent; use another agent", path);
}

static bool sign_once(struct signature *signature, struct knocker *k,
                      const struct request *request, struct error *why)
{
    uint8_t encoded[REQUEST_SIZE];

    request_encode(encoded, request);
    if (k->signer.form != SIGNER_NATIVE)
        return sign_by_agent(signature, k, encoded, why);
    envelope_sign(signature, k->signing, k->server_public, encoded);
    return true;
}

/* The counter is a time. An older one than the server permits would be refused. */
static bool is_late(const struct request *request)
{
    uint64_t now = clock_wall_us();

    return now > request->counter && now - request->counter > KNOCK_FRESH * (uint64_t)USEC_PER_SEC;
}

static bool renew_if_late(struct request *request, struct error *why)
{
    struct error warning;

    return !is_late(request) || counter_take_own(1, &request->counter, &warning, why);
}

bool knock_sign(struct signature *signature, struct knocker *knocker, struct request *request,
                struct error *why)
{
    if (knocker->signer.form == SIGNER_NATIVE)
        return sign_once(signature, knocker, request, why);
    if (!renew_if_late(request, why) || !sign_once(signature, knocker, request, why))
        return false;
    return !is_late(request) ||
           (renew_if_late(request, why) && sign_once(signature, knocker, request, why));
}
