/* Elections over TLS, in each way: a handover with a value that takes many records, a connection that breaks under a master, and
 * a server that refuses us. In loop mode the only thread of the library is the one that reads the files, for a moment.
 *
 *     tls HOSTS ROOT SESSION_TIMEOUT_MS TLS_HOSTS FILES [manual|loop] [instrumented]
 *
 * HOSTS are the same servers without TLS. FILES is the string of election_options_set_tls. */

#define _GNU_SOURCE

#include <sys/socket.h>

#include "life.h"

/* Nothing here waits for the end of a session, and a handshake has a fifth of it. */
#define LONG_SESSION_MS 60000

static const char *tls_hosts, *files;

static election_t *open_tls(const char *tls, int connect_timeout_ms)
{
    election_options_t *options = election_options_new();
    election_t *handle = NULL;
    CHECK(options != NULL);
    CHECK_INT(ELECTION_OK, election_options_set_session_timeout_ms(options, LONG_SESSION_MS));
    CHECK_INT(ELECTION_OK, election_options_set_connect_timeout_ms(options, connect_timeout_ms));
    CHECK_INT(ELECTION_OK, election_options_set_tls(options, tls));
    CHECK_INT(ELECTION_OK, open_handle(tls_hosts, options, &handle));
    election_options_free(options);
    return handle;
}

static void check_threads(void)
{
    int64_t until = clock_ms() + PATIENCE_MS;
    while (count_threads_named("election-tls") > 0) {
        CHECK(clock_ms() < until);
        sleep_ms(2);
    }
    CHECK_INT(!is_loop, count_threads_named("election-io"));
    CHECK_INT(0, is_manual ? count_threads_named("election-cb") : 0);
}

/* --- a handover ---------------------------------------------------------------------------------------------- */

#define LONG_VALUE 700000

static void hear_value(const election_master_t *master, void *ctx)
{
    CHECK_INT(LONG_VALUE, master->value_len);
    CHECK(memcmp(ctx, master->value, LONG_VALUE) == 0);
}

static void one_hands_over_to_another(void)
{
    struct path path = at("handover");
    election_t *first = open_tls(files, PATIENCE_MS), *second = open_tls(files, PATIENCE_MS), *plain = open_at(hosts);
    char *value = malloc(LONG_VALUE);
    struct record one, two;
    int64_t token;
    CHECK(value != NULL);
    for (int i = 0; i < LONG_VALUE; i++)
        value[i] = (char)(i * 2654435761u >> 24);
    record_init(&one, first);
    record_init(&two, second);
    CHECK_INT(ELECTION_OK,
              go_to_election(first, path.text, value, LONG_VALUE, hear_role, &one, hear_free));
    token = expect_master(&one, 0, path.text)->token;
    CHECK_INT(ELECTION_OK, stand(&two, path.text, "two"));
    check_value(expect_slave(&two, 0, path.text), value, LONG_VALUE);
    check_threads();

    /* What is written over TLS is read without, and the other way round. */
    CHECK_INT(ELECTION_OK, election_get_master(plain, path.text, hear_value, value, PATIENCE_MS));
    CHECK_INT(ELECTION_OK, election_get_master(second, path.text, hear_value, value, PATIENCE_MS));
    CHECK_INT(ELECTION_OK, election_resign(first, path.text));
    CHECK(expect_master(&two, 1, path.text)->token > token);
    expect_end(&one, 1, path.text, ELECTION_REASON_RESIGNED, ELECTION_RESIGNED);
    CHECK_INT(ELECTION_OK, close_handle(first));
    CHECK_INT(ELECTION_OK, close_handle(second));
    CHECK_INT(ELECTION_OK, close_handle(plain));
    record_done(&one);
    record_done(&two);
    free(value);
}

/* --- a connection that breaks -------------------------------------------------------------------------------- */

/* Ends the connections to servers of this process. */
static void break_connections(void)
{
    int count = 0;
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_storage peer;
        socklen_t size = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &size) == 0 && peer.ss_family != AF_UNIX)
            count += shutdown(fd, SHUT_RDWR) == 0;
    }
    CHECK(count > 0);
}

static void a_master_stays_master_when_its_connection_breaks(void)
{
    struct path path = at("break");
    election_t *handle = open_tls(files, PATIENCE_MS);
    int64_t until = clock_ms() + PATIENCE_MS, token, now = 0;
    election_counters_t counters;
    struct record record;
    record_init(&record, handle);
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "v"));
    token = expect_master(&record, 0, path.text)->token;
    for (unsigned connections = 1; connections <= 3; connections++) {
        for (;;) {
            memset(&counters, 0, sizeof counters);
            counters.size = sizeof counters;
            CHECK_INT(ELECTION_OK, election_counters(handle, &counters));
            CHECK_INT(1, counters.sessions_opened);
            CHECK_INT(1, election_lease(handle, path.text, &now, NULL));
            CHECK_INT(token, now);
            if (counters.connections >= connections)
                break;
            CHECK(clock_ms() < until);
            sleep_ms(1);
        }
        if (connections < 3)
            break_connections();
    }
    CHECK_INT(1, record_count(&record));
    check_threads();
    CHECK_INT(ELECTION_OK, close_handle(handle));
    expect_end(&record, 1, path.text, ELECTION_REASON_CLOSED, ELECTION_CLOSING);
    record_done(&record);
}

/* --- refusals ------------------------------------------------------------------------------------------------ */

/* The server demands a certificate, and there is only the authority's. */
static void a_refusal_is_told(void)
{
    int64_t until = clock_ms() + PATIENCE_MS;
    char ca[512], cause[1024] = "";
    election_t *handle;
    int rc;
    CHECK(strcspn(files, ",") < sizeof ca);
    snprintf(ca, sizeof ca, "%.*s", (int)strcspn(files, ","), files);
    handle = open_tls(ca, 0);
    while (strstr(cause, "demands a client certificate, and there is none") == NULL) {
        CHECK(clock_ms() < until);
        sleep_ms(5);
        CHECK_INT(ELECTION_OK, election_connect_failure(handle, cause, sizeof cause));
    }
    /* It may have been refused after it had said that it wants a session. */
    rc = close_handle(handle);
    CHECK(rc == ELECTION_OK || rc == ELECTION_CONNECTIONLOSS);
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    tls_hosts = argv[4];
    files = argv[5];
    one_hands_over_to_another();
    a_master_stays_master_when_its_connection_breaks();
    a_refusal_is_told();
    return 0;
}
