/* See what the library does: its log, the connection, counters, and everything at once. */
#include <election.h>
#include <stdio.h>

static void on_log(const election_log_t *record, void *ctx)
{
    (void)ctx;
    printf("%s\n", record->message);
}

static void on_connection(const election_connection_t *connection, void *ctx)
{
    (void)ctx;
    printf("connection: state %d, %s\n", connection->state, election_strerror(connection->rc));
}

int main(void)
{
    election_t *handle;
    election_set_log(ELECTION_LOG_INFO, on_log, NULL, NULL);
    if (election_open("127.0.0.1:2181", NULL, &handle) != ELECTION_OK)
        return 1;
    election_watch_connection(handle, on_connection, NULL, NULL);
    go_to_election(handle, "/master", "10.0.0.7", 8, NULL, NULL, NULL);
    int rc = election_wait(handle, "/master", ELECTION_MASTER, 60000);

    char why[1024];
    if (election_connect_failure(handle, why, sizeof why) == ELECTION_OK && *why != '\0')
        printf("no connection: %s\n", why);
    election_counters_t counters = {.size = sizeof counters};
    if (election_counters(handle, &counters) == ELECTION_OK)
        printf("%llu requests\n", (unsigned long long)counters.requests_sent);
    char *dump = NULL;
    if (election_dump(handle, ELECTION_DUMP_TEXT, &dump) == ELECTION_OK)
        puts(dump);
    election_dump_free(dump);

    election_unwatch_connection(handle);
    election_close(handle);
    election_set_log(ELECTION_LOG_OFF, NULL, NULL, NULL); /* the last records come before this returns */
    return rc != ELECTION_OK;
}
