/*
 * causes.c HOSTS TEXT: no server of HOSTS opens a session, and TEXT is said of it wherever it is promised: in what
 * election_explain says of an election_open that has waited for 1.9 s, and, within 2 s, in the connection's event, in the
 * log, in election_connect_failure and in a dump.
 */

#include "../check.h"

static const char *expected;
static int is_logged, is_told, is_closed;

static void on_log(const election_log_t *record, void *ctx)
{
    (void)ctx;
    CHECK(strstr(record->message, "its session is over") == NULL);
    if (strstr(record->message, "closed; it had no session") != NULL)
        __atomic_store_n(&is_closed, 1, __ATOMIC_SEQ_CST);
    if (record->level == ELECTION_LOG_WARN && strstr(record->message, expected) != NULL)
        __atomic_store_n(&is_logged, 1, __ATOMIC_SEQ_CST);
}

static void on_connection(const election_connection_t *connection, void *ctx)
{
    (void)ctx;
    if (connection->cause == NULL)
        return;
    CHECK_INT(ELECTION_CONNECTING, connection->state);
    CHECK_INT(ELECTION_CONNECTIONLOSS, connection->rc);
    if (strstr(connection->cause, expected) != NULL)
        __atomic_store_n(&is_told, 1, __ATOMIC_SEQ_CST);
    else
        fprintf(stderr, "told instead: %s\n", connection->cause);
}

static void open_that_waits(const char *hosts)
{
    election_t *handle = NULL;
    election_options_t *options = election_options_new();
    CHECK_INT(ELECTION_OK, election_options_set_connect_timeout_ms(options, 1900));
    int rc = election_open(hosts, options, &handle);
    const char *said = election_explain(rc);
    CHECK_INT(ELECTION_OPERATIONTIMEOUT, rc);
    if (strstr(said, expected) == NULL)
        fprintf(stderr, "explained instead: %s\n", said);
    CHECK(strstr(said, expected) != NULL);
    /* Of other numbers it says what it says of them anyway. */
    CHECK(election_explain(ELECTION_CLOSING) == election_strerror(ELECTION_CLOSING));
    CHECK(election_explain(rc) == said);
    election_options_free(options);
}

static void open_in_the_background(const char *hosts)
{
    election_t *handle = NULL;
    char text[4096], beginning[8], *dump = NULL;
    CHECK_INT(ELECTION_OK, election_set_log(ELECTION_LOG_INFO, on_log, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_open(hosts, NULL, &handle));
    CHECK_INT(ELECTION_OK, election_connect_failure(handle, text, sizeof text));
    /* Of several servers, the first may have refused by now, and the others not yet. */
    CHECK(*text == 0 || strstr(text, expected) != NULL || strstr(expected, text) != NULL);
    CHECK_INT(ELECTION_OK, election_watch_connection(handle, on_connection, NULL, NULL));
    for (int tenths = 0; tenths < 20 && !__atomic_load_n(&is_told, __ATOMIC_SEQ_CST); tenths++)
        nanosleep(&(struct timespec){0, 100000000}, NULL);
    CHECK(__atomic_load_n(&is_told, __ATOMIC_SEQ_CST));

    CHECK_INT(ELECTION_OK, election_connect_failure(handle, text, sizeof text));
    CHECK(strstr(text, expected) != NULL);
    CHECK_INT(ELECTION_OK, election_connect_failure(handle, beginning, sizeof beginning));
    CHECK(strlen(beginning) == sizeof beginning - 1 && strncmp(text, beginning, strlen(beginning)) == 0);
    CHECK_INT(ELECTION_OK, election_connect_failure(handle, beginning, 1));
    CHECK(*beginning == 0);
    CHECK_INT(ELECTION_OK, election_dump(handle, ELECTION_DUMP_TEXT, &dump));
    /* A dump escapes the quotes in it. */
    char unquoted[512];
    snprintf(unquoted, sizeof unquoted, "%.*s", (int)strcspn(expected, "\""), expected);
    CHECK(strstr(dump, unquoted) != NULL);
    election_dump_free(dump);
    CHECK_INT(ELECTION_OK, election_close(handle));
    /* The last records are handed over first. */
    CHECK_INT(ELECTION_OK, election_set_log(ELECTION_LOG_OFF, NULL, NULL, NULL));
    CHECK(__atomic_load_n(&is_logged, __ATOMIC_SEQ_CST));
    CHECK(__atomic_load_n(&is_closed, __ATOMIC_SEQ_CST));
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    expected = argv[2];
    open_that_waits(argv[1]);
    open_in_the_background(argv[1]);
    return 0;
}
