/* A server that stops answering while its connections stand: what waits for it ends on time, and a master that hears of it
 * again within its lease was master all the while.
 *
 *     frozen HOSTS ROOT SESSION_TIMEOUT_MS SERVER_PID [manual|loop]
 */

#define _POSIX_C_SOURCE 200809L

#include <dirent.h>

#include "life.h"

/* Stops a process, and waits until each of its threads has stopped: until then one may still answer. */
static void freeze(pid_t pid)
{
    char path[300], state;
    struct dirent *entry;
    DIR *threads;
    FILE *stat;
    int running;
    CHECK_INT(0, kill(pid, SIGSTOP));
    do {
        running = 0;
        (void)snprintf(path, sizeof path, "/proc/%ld/task", (long)pid);
        threads = opendir(path);
        CHECK(threads != NULL);
        while ((entry = readdir(threads)) != NULL) {
            if (entry->d_name[0] == '.')
                continue;
            (void)snprintf(path, sizeof path, "/proc/%ld/task/%.20s/stat", (long)pid, entry->d_name);
            stat = fopen(path, "r");
            if (stat == NULL)
                continue; /* this thread has ended */
            /* "pid (name) state": no thread of a Java machine has a ")" in its name. */
            running |= fscanf(stat, "%*[^)]) %c", &state) != 1 || state != 'T';
            (void)fclose(stat);
        }
        (void)closedir(threads);
    } while (running);
}

static void no_member(const election_member_t *member, void *ctx)
{
    (void)member;
    (void)ctx;
    CHECK(!"a server that is frozen tells of a member");
}

int main(int argc, char **argv)
{
    struct path path;
    struct record record;
    election_t *handle;
    int64_t token = 0, later = 0, from, took;
    pid_t server;
    int rc;
    read_arguments(argc, argv);
    CHECK(argc >= 5);
    server = (pid_t)atol(argv[4]);
    CHECK(server > 1);
    path = at("frozen");
    handle = open_at(hosts);
    record_init(&record, handle);
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "v"));
    expect_master(&record, 0, path.text);
    CHECK_INT(1, election_lease(handle, path.text, &token, NULL));

    /* A sixth of the session timeout; after two fifths the connection would be given up, which is told neither. */
    from = clock_ms();
    freeze(server);
    CHECK_INT(ELECTION_OPERATIONTIMEOUT, election_members(handle, path.text, no_member, NULL, 200));
    CHECK_INT(ELECTION_OPERATIONTIMEOUT,
              election_fenced_create(handle, path.text, path.text, "", 0, session_timeout_ms / 6 - 200));
    took = clock_ms() - from;
    CHECK_INT(1, election_is_master(handle, path.text));
    CHECK_INT(0, kill(server, SIGCONT));
    CHECK(took >= session_timeout_ms / 6 - 2 && took < session_timeout_ms / 3);
    from = clock_ms();
    while (clock_ms() - from < session_timeout_ms) {
        CHECK_INT(1, election_lease(handle, path.text, &later, NULL));
        CHECK_INT(token, later);
        sleep_ms(10);
    }
    CHECK_INT(1, record_count(&record));

    /* For longer than the lease: it ends on time, on the clock alone, and the callback says so. */
    from = clock_ms();
    freeze(server);
    while (election_is_master(handle, path.text)) {
        CHECK(clock_ms() - from < session_timeout_ms);
        sleep_ms(1);
    }
    CHECK(clock_ms() - from > session_timeout_ms / 4);
    CHECK(record_wait(&record, 2, 0));
    CHECK_INT(ELECTION_UNKNOWN, record.heard[1].role);
    CHECK(record.heard[1].reason == ELECTION_REASON_LEASE_EXPIRED ? record.heard[1].rc == ELECTION_LEASE_EXPIRED
                                                           : record.heard[1].rc == ELECTION_CONNECTIONLOSS);
    CHECK_INT(ELECTION_NOT_MASTER, election_fenced_create(handle, path.text, "/t", "", 0, PATIENCE_MS));

    /* And a close has its bound. */
    from = clock_ms();
    rc = close_handle(handle);
    took = clock_ms() - from;
    CHECK_INT(0, kill(server, SIGCONT));
    CHECK_INT(ELECTION_CONNECTIONLOSS, rc);
    CHECK(took < 4000);
    CHECK_INT(ELECTION_REASON_CLOSED, record.heard[record_count(&record) - 1].reason);
    CHECK_INT(1, record_freed(&record));
    record_done(&record);
    return 0;
}
