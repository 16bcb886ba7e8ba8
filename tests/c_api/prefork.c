/* A server that forks workers. The parent has a handle and leads; each worker opens a handle of its own, and one of them leads.
 * When it is killed, the next one leads. Nobody disturbs the parent's handle.
 *
 *     prefork HOSTS ROOT SESSION_TIMEOUT_MS [manual|loop] [instrumented]
 */

#define _POSIX_C_SOURCE 200809L

#include <sys/wait.h>

#include "life.h"

#define WORKERS 4

/* In a worker: leads at `path` until it is killed. It writes its number when it leads. */
static void work(const char *path, int number, int ready, election_t *parents, const char *parents_path)
{
    election_t *handle;
    struct record record;
    char word = (char)number, value[] = {(char)('0' + number), 0};
    give_up_after(120);
    handle = open_at(hosts);
    record_init(&record, handle);
    CHECK_INT(ELECTION_OK, stand(&record, path, value));
    CHECK_INT(ELECTION_OK, election_wait(handle, path, ELECTION_MASTER, 3 * PATIENCE_MS));
    CHECK_INT(1, election_is_master(handle, path));
    /* This is not the parent. */
    CHECK_INT(0, election_is_master(parents, parents_path));
    CHECK_INT(ELECTION_FORKED, election_close(parents));
    CHECK_INT(1, write(ready, &word, 1));
    for (;;) {
        CHECK_INT(1, election_is_master(handle, path));
        sleep_ms(50);
    }
}

/* Which worker leads; 0 if none does within this time. */
static int next_leader(int leads, int timeout_ms)
{
    struct pollfd waiting = {leads, POLLIN, 0};
    char word = 0;
    if (poll(&waiting, 1, timeout_ms) == 1)
        CHECK_INT(1, read(leads, &word, 1));
    return word;
}

static void kill_worker(pid_t *workers, int number)
{
    int status = 0;
    CHECK(workers[number] > 0);
    CHECK_INT(0, kill(workers[number], SIGKILL));
    CHECK_INT(workers[number], waitpid(workers[number], &status, 0));
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    workers[number] = 0;
}

int main(int argc, char **argv)
{
    struct path parents, path;
    pid_t workers[WORKERS + 1] = {0};
    int leads[2];
    int64_t token, now = 0;
    election_t *handle;
    struct record record;
    read_arguments(argc, argv);
    parents = at("parent");
    path = at("workers");
    CHECK_INT(0, pipe(leads));
    handle = open_at(hosts);
    record_init(&record, handle);
    CHECK_INT(ELECTION_OK, stand(&record, parents.text, "parent"));
    token = expect_master(&record, 0, parents.text)->token;

    for (int number = 1; number <= WORKERS; number++) {
        workers[number] = fork();
        CHECK(workers[number] >= 0);
        if (workers[number] == 0)
            work(path.text, number, leads[1], handle, parents.text);
    }
    for (int round = 0; round < WORKERS - 1; round++) {
        int leader = next_leader(leads[0], PATIENCE_MS);
        CHECK(leader > 0 && leader <= WORKERS);
        /* One leads at a time. */
        CHECK_INT(0, next_leader(leads[0], 100));
        kill_worker(workers, leader);
    }
    CHECK(next_leader(leads[0], PATIENCE_MS) > 0);

    /* The parent has led throughout. */
    CHECK_INT(1, election_lease(handle, parents.text, &now, NULL));
    CHECK_INT(token, now);
    CHECK_INT(1, record_count(&record));
    for (int number = 1; number <= WORKERS; number++)
        if (workers[number] > 0)
            kill_worker(workers, number);

    /* The place of a worker is free for the parent too, once its session is over. */
    CHECK_INT(ELECTION_OK, go_to_election(handle, path.text, "", 0, NULL, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_wait(handle, path.text, ELECTION_MASTER, PATIENCE_MS));
    CHECK_INT(ELECTION_OK, close_handle(handle));
    record_done(&record);
    return 0;
}
