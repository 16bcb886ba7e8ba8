/* To look inside: the log, the connection, the counters, and the dump.
 *
 *     inside HOSTS ROOT SESSION_TIMEOUT_MS [manual|loop] [instrumented]
 */

#define _GNU_SOURCE

#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "life.h"

/* --- the log ------------------------------------------------------------------------------------------------ */

/* What a log_fn has heard. */
struct journal {
    pthread_mutex_t lock;
    int count;
    int by_level[ELECTION_LOG_DEBUG + 1];
    int with_path;
    int freed;
    int is_slow;
    election_t *handle;
    char last[512];
    /* The first record that holds this text. */
    const char *wanted;
    char found[512];
    /* More to do inside log_fn; may be NULL. */
    void (*then)(struct journal *journal);
};

static void journal_init(struct journal *journal)
{
    memset(journal, 0, sizeof *journal);
    pthread_mutex_init(&journal->lock, NULL);
}

static int journal_look(struct journal *journal, const int *what)
{
    int now;
    pthread_mutex_lock(&journal->lock);
    now = *what;
    pthread_mutex_unlock(&journal->lock);
    return now;
}

/* An election_log_fn. */
static void take_down(const election_log_t *record, void *ctx)
{
    struct journal *journal = ctx;
    char name[32] = "";
    sigset_t blocked;
    CHECK_INT(sizeof *record, record->size);
    CHECK(record->level >= ELECTION_LOG_ERROR && record->level <= ELECTION_LOG_DEBUG);
    CHECK(record->message[0] != 0 && strpbrk(record->message, "\r\n") == NULL);
    CHECK(record->path == NULL || record->path[0] == '/');
    CHECK(llabs((long long)record->at_ms - (long long)time(NULL) * 1000) < 600000);
    CHECK_INT(0, pthread_getname_np(pthread_self(), name, sizeof name));
    CHECK(strcmp(name, "election-log") == 0);
    CHECK_INT(0, pthread_sigmask(SIG_SETMASK, NULL, &blocked));
    /* That of the thread that set the log. */
    CHECK_INT(0, sigismember(&blocked, SIGTERM));
    CHECK_INT(0, sigismember(&blocked, SIGPIPE));

    pthread_mutex_lock(&journal->lock);
    CHECK_INT(0, journal->freed);
    CHECK(journal->handle == NULL || record->handle == journal->handle);
    journal->count++;
    journal->by_level[record->level]++;
    journal->with_path += record->path != NULL;
    snprintf(journal->last, sizeof journal->last, "%s", record->message);
    if (journal->wanted != NULL && journal->found[0] == 0 && strstr(record->message, journal->wanted) != NULL)
        snprintf(journal->found, sizeof journal->found, "%s", record->message);
    pthread_mutex_unlock(&journal->lock);
    if (journal->then != NULL)
        journal->then(journal);
    if (journal_look(journal, &journal->is_slow))
        sleep_ms(20);
}

static void free_journal(void *ctx)
{
    struct journal *journal = ctx;
    pthread_mutex_lock(&journal->lock);
    journal->freed++;
    pthread_mutex_unlock(&journal->lock);
}

static int set_log(int level, struct journal *journal)
{
    return election_set_log(level, take_down, journal, free_journal);
}

/* It becomes master, whatever it hears before: on a busy machine, a break of the connection. */
static void become_master(struct record *record, const char *path)
{
    CHECK_INT(ELECTION_OK, stand(record, path, "10.0.0.7"));
    CHECK_INT(ELECTION_OK, election_wait(record->handle, path, ELECTION_MASTER, PATIENCE_MS));
    CHECK(record_wait(record, 1, 0));
}

#define become_master(...) FROM_HERE((become_master)(__VA_ARGS__))

/* A short life: one is master, resigns, and closes. */
static void live_once(const char *name, struct journal *journal)
{
    struct path path = at(name);
    election_t *handle = open_at(hosts);
    struct record record;
    if (journal != NULL) {
        pthread_mutex_lock(&journal->lock);
        journal->handle = NULL;
        pthread_mutex_unlock(&journal->lock);
    }
    record_init(&record, handle);
    become_master(&record, path.text);
    CHECK_INT(ELECTION_OK, election_resign(handle, path.text));
    CHECK(record_wait(&record, 2, 1));
    CHECK_INT(ELECTION_OK, close_handle(handle));
    record_done(&record);
}

static void levels(void)
{
    struct journal journals[ELECTION_LOG_DEBUG + 1];
    live_once("never-set", NULL);
    CHECK_INT(0, is_instrumented ? 0 : count_threads_named("election-log"));
    for (int level = ELECTION_LOG_OFF; level <= ELECTION_LOG_DEBUG; level++) {
        char name[32];
        journal_init(&journals[level]);
        CHECK_INT(ELECTION_OK, set_log(level, &journals[level]));
        /* The former one is over when the next is set. */
        if (level > ELECTION_LOG_OFF)
            CHECK_INT(1, journals[level - 1].freed);
        CHECK_INT(level == ELECTION_LOG_OFF, journal_look(&journals[level], &journals[level].freed));
        snprintf(name, sizeof name, "level-%d", level);
        live_once(name, NULL);
        CHECK(is_instrumented || check_signals_and_count_threads() >= (is_loop ? 1 : 2));
    }
    CHECK_INT(ELECTION_OK, election_set_log(ELECTION_LOG_OFF, NULL, NULL, NULL));
    live_once("level-off", NULL);
    for (int level = ELECTION_LOG_OFF; level <= ELECTION_LOG_DEBUG; level++) {
        struct journal *journal = &journals[level];
        CHECK_INT(1, journal->freed);
        for (int above = level + 1; above <= ELECTION_LOG_DEBUG; above++)
            CHECK_INT(0, journal->by_level[above]);
        /* Nothing went wrong. */
        CHECK_INT(0, journal->by_level[ELECTION_LOG_ERROR]);
        if (level < ELECTION_LOG_INFO)
            CHECK_INT(0, journal->count - journal->by_level[ELECTION_LOG_WARN]);
        else
            CHECK(journal->by_level[ELECTION_LOG_INFO] >= 6 && journal->with_path >= 3);
        CHECK(journal->by_level[ELECTION_LOG_DEBUG] >= (level == ELECTION_LOG_DEBUG ? 6 : 0));
        pthread_mutex_destroy(&journal->lock);
    }
    CHECK_INT(0, is_instrumented ? 0 : count_threads_named("election-log"));
}

static void a_record_names_its_handle(void)
{
    struct path path = at("names");
    struct journal journal;
    election_t *handle;
    struct record record;
    CHECK_INT(ELECTION_OK, election_set_log(ELECTION_LOG_OFF, NULL, NULL, NULL));
    handle = open_at(hosts);
    journal_init(&journal);
    journal.handle = handle;
    journal.wanted = "master, elected";
    CHECK_INT(ELECTION_OK, set_log(ELECTION_LOG_DEBUG, &journal));
    record_init(&record, handle);
    become_master(&record, path.text);
    CHECK_INT(ELECTION_OK, close_handle(handle));
    CHECK_INT(ELECTION_OK, election_set_log(ELECTION_LOG_OFF, NULL, NULL, NULL));
    CHECK(strstr(journal.found, path.text) == journal.found);
    CHECK(strstr(journal.last, "closed") != NULL);
    record_done(&record);
}

static election_t *handle_for_log;

static void do_everything(struct journal *journal)
{
    char *dump = NULL;
    election_counters_t counters = {.size = sizeof counters};
    if (journal->count != 1)
        return;
    CHECK_INT(ELECTION_IN_CALLBACK, election_close(handle_for_log));
    CHECK_INT(ELECTION_OK, election_counters(handle_for_log, &counters));
    CHECK_INT(ELECTION_OK, election_dump(handle_for_log, ELECTION_DUMP_JSON, &dump));
    election_dump_free(dump);
    CHECK_INT(0, election_is_master(handle_for_log, "/nowhere"));
    CHECK_INT(ELECTION_OK, election_set_log(ELECTION_LOG_OFF, NULL, NULL, NULL));
    CHECK_INT(0, journal_look(journal, &journal->freed));
}

static void inside_log_fn(void)
{
    struct path path = at("inside-log");
    struct journal journal;
    int64_t until = clock_ms() + PATIENCE_MS;
    handle_for_log = open_at(hosts);
    journal_init(&journal);
    journal.then = do_everything;
    CHECK_INT(ELECTION_OK, set_log(ELECTION_LOG_DEBUG, &journal));
    CHECK_INT(ELECTION_OK, go_to_election(handle_for_log, path.text, "v", 1, NULL, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_wait(handle_for_log, path.text, ELECTION_MASTER, PATIENCE_MS));
    while (journal_look(&journal, &journal.freed) == 0) {
        CHECK(clock_ms() < until);
        sleep_ms(5);
    }
    CHECK_INT(1, journal.count);
    CHECK_INT(1, journal.freed);
    CHECK_INT(ELECTION_OK, close_handle(handle_for_log));
}

/* A log_fn that sleeps holds up neither elections nor callbacks; what it cannot take is counted. */
static void a_slow_listener(void)
{
    struct path path = at("slow");
    struct journal journal;
    election_t *handle = open_at(hosts);
    struct record record;
    int64_t from;
    journal_init(&journal);
    journal.is_slow = 1;
    journal.wanted = "were dropped";
    record_init(&record, handle);
    become_master(&record, path.text);
    CHECK_INT(ELECTION_OK, set_log(ELECTION_LOG_DEBUG, &journal));
    from = clock_ms();
    for (int i = 0; i < 400; i++)
        CHECK_INT(ELECTION_OK,
                  election_fenced_set(handle, path.text, path.text, "w", 1, -1, PATIENCE_MS));
    /* By the listener's time it would have been some 2,000 records of 20 ms each. */
    CHECK(is_instrumented || clock_ms() - from < 20000);
    CHECK_INT(1, election_is_master(handle, path.text));
    pthread_mutex_lock(&journal.lock);
    journal.is_slow = 0;
    pthread_mutex_unlock(&journal.lock);
    sleep_ms(100);
    CHECK_INT(ELECTION_OK, close_handle(handle));
    CHECK_INT(ELECTION_OK, election_set_log(ELECTION_LOG_OFF, NULL, NULL, NULL));
    CHECK_INT(1, journal.freed);
    if (strstr(journal.found, "were dropped") == NULL)
        CHECK(journal.count > 400);
    record_done(&record);
}

/* What the parent's log_fn is told in a child: nothing. The child may set its own. */
static pid_t logging_process;

static void only_in_its_process(struct journal *journal)
{
    (void)journal;
    CHECK_INT(logging_process, getpid());
}

static void log_and_fork(void)
{
    struct path path = at("log-fork");
    struct journal journal, of_child;
    election_t *handle, *own;
    logging_process = getpid();
    journal_init(&journal);
    journal.then = only_in_its_process;
    CHECK_INT(ELECTION_OK, set_log(ELECTION_LOG_DEBUG, &journal));
    handle = open_at(hosts);
    CHECK_INT(ELECTION_OK, go_to_election(handle, path.text, "v", 1, NULL, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_wait(handle, path.text, ELECTION_MASTER, PATIENCE_MS));
    for (int i = 0; i < 30; i++) {
        int status = 0;
        pid_t child = fork();
        if (child == 0) {
            give_up_after(60);
            CHECK_INT(0, election_is_master(handle, path.text));
            CHECK_INT(ELECTION_FORKED, election_resign(handle, path.text));
            /* The log of its own tells of a handle of its own. */
            journal_init(&of_child);
            CHECK_INT(ELECTION_OK, set_log(ELECTION_LOG_DEBUG, &of_child));
            own = open_at(hosts);
            CHECK_INT(ELECTION_OK, close_handle(own));
            CHECK_INT(ELECTION_OK, election_set_log(ELECTION_LOG_OFF, NULL, NULL, NULL));
            CHECK_INT(1, of_child.freed);
            CHECK(of_child.count > 0);
            _exit(0);
        }
        CHECK(child > 0);
        CHECK_INT(child, waitpid(child, &status, 0));
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    CHECK_INT(ELECTION_OK, close_handle(handle));
    CHECK_INT(0, journal_look(&journal, &journal.freed));
    CHECK_INT(ELECTION_OK, election_set_log(ELECTION_LOG_OFF, NULL, NULL, NULL));
    CHECK_INT(1, journal.freed);
    CHECK(journal.count > 10);
}

/* A child that was forked before anything was opened, after its parent had set a log. */
static void log_fork_and_open(void)
{
    struct journal journal, of_child;
    int status = 0;
    pid_t child;
    logging_process = getpid();
    journal_init(&journal);
    journal.then = only_in_its_process;
    CHECK_INT(ELECTION_OK, set_log(ELECTION_LOG_DEBUG, &journal));
    child = fork();
    if (child == 0) {
        give_up_after(60);
        live_once("log-fork-open", NULL);
        journal_init(&of_child);
        CHECK_INT(ELECTION_OK, set_log(ELECTION_LOG_INFO, &of_child));
        live_once("log-fork-open", NULL);
        CHECK_INT(ELECTION_OK, election_set_log(ELECTION_LOG_OFF, NULL, NULL, NULL));
        CHECK_INT(1, of_child.freed);
        CHECK(of_child.by_level[ELECTION_LOG_INFO] >= 6);
        _exit(0);
    }
    CHECK(child > 0);
    CHECK_INT(child, waitpid(child, &status, 0));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_INT(ELECTION_OK, election_set_log(ELECTION_LOG_OFF, NULL, NULL, NULL));
    CHECK_INT(0, journal.count);
    CHECK_INT(1, journal.freed);
}

/* --- the connection ----------------------------------------------------------------------------------------- */

#define CHANGES_MAX 16

struct watcher {
    pthread_mutex_t lock;
    election_connection_t changes[CHANGES_MAX];
    int count;
    int freed;
};

static void hear_connection(const election_connection_t *connection, void *ctx)
{
    struct watcher *watcher = ctx;
    pthread_mutex_lock(&watcher->lock);
    CHECK_INT(sizeof *connection, connection->size);
    CHECK_INT(0, watcher->freed);
    CHECK(watcher->count < CHANGES_MAX);
    watcher->changes[watcher->count++] = *connection;
    pthread_mutex_unlock(&watcher->lock);
}

static void free_watcher(void *ctx)
{
    struct watcher *watcher = ctx;
    pthread_mutex_lock(&watcher->lock);
    watcher->freed++;
    pthread_mutex_unlock(&watcher->lock);
}

static int watch_it(election_t *handle, struct watcher *watcher)
{
    memset(watcher, 0, sizeof *watcher);
    pthread_mutex_init(&watcher->lock, NULL);
    return election_watch_connection(handle, hear_connection, watcher, free_watcher);
}

static void wait_for(struct watcher *watcher, const int *what, int number)
{
    int64_t until = clock_ms() + PATIENCE_MS;
    int now = 0;
    while (now < number) {
        CHECK(clock_ms() < until);
        pthread_mutex_lock(&watcher->lock);
        now = *what;
        pthread_mutex_unlock(&watcher->lock);
        sleep_ms(2);
    }
}

static const election_connection_t *expect_state(struct watcher *watcher, int index, int state, int rc)
{
    const election_connection_t *change = &watcher->changes[index];
    wait_for(watcher, &watcher->count, index + 1);
    CHECK_INT(state, change->state);
    CHECK_INT(rc, change->rc);
    return change;
}

#define expect_state(...) FROM_HERE((expect_state)(__VA_ARGS__))

static void connection(void)
{
    struct watcher watcher, again;
    election_t *handle = open_at(hosts);
    const election_connection_t *change;
    CHECK_INT(ELECTION_OK, watch_it(handle, &watcher));
    CHECK_INT(ELECTION_ALREADY, watch_it(handle, &again));
    change = expect_state(&watcher, 0, ELECTION_CONNECTED, ELECTION_OK);
    CHECK(change->session_id != 0);
    CHECK(change->session_timeout_ms >= 1000 && change->session_timeout_ms <= 3600000);
    CHECK_INT(ELECTION_OK, election_unwatch_connection(handle));
    CHECK_INT(ELECTION_NOT_THERE, election_unwatch_connection(handle));
    wait_for(&watcher, &watcher.freed, 1);
    CHECK_INT(1, watcher.count);

    CHECK_INT(ELECTION_OK, watch_it(handle, &again));
    expect_state(&again, 0, ELECTION_CONNECTED, ELECTION_OK);
    CHECK_INT(watcher.changes[0].session_id, again.changes[0].session_id);
    CHECK_INT(ELECTION_OK, close_handle(handle));
    expect_state(&again, 1, ELECTION_CLOSED, ELECTION_CLOSING);
    CHECK_INT(2, again.count);
    CHECK_INT(1, again.freed);
    CHECK_INT(1, watcher.freed);
}

static void no_connection(void)
{
    struct watcher watcher;
    election_t *handle = NULL;
    int index = 0;
    CHECK_INT(ELECTION_OK, open_handle("127.0.0.1:1", NULL, &handle));
    CHECK_INT(ELECTION_OK, watch_it(handle, &watcher));
    wait_for(&watcher, &watcher.count, 1);
    /* Told before the first attempt has failed, or after. */
    if (watcher.changes[0].rc == ELECTION_OK)
        expect_state(&watcher, index++, ELECTION_CONNECTING, ELECTION_OK);
    expect_state(&watcher, index++, ELECTION_CONNECTING, ELECTION_CONNECTIONLOSS);
    sleep_ms(500);
    CHECK_INT(ELECTION_OK, close_handle(handle));
    /* However often it has failed meanwhile. */
    expect_state(&watcher, index, ELECTION_CLOSED, ELECTION_CLOSING);
    CHECK_INT(index + 1, watcher.count);
    CHECK_INT(1, watcher.freed);
}

/* --- the counters ------------------------------------------------------------------------------------------- */

static void counters(void)
{
    struct path path = at("counters");
    election_t *handle = open_at(hosts);
    struct record record;
    election_counters_t counters = {.size = sizeof counters}, before;
    unsigned char larger[sizeof counters + 64];
    int64_t until = clock_ms() + PATIENCE_MS;
    CHECK_INT(ELECTION_OK, election_counters(handle, &counters));
    CHECK_INT(sizeof counters, counters.size);
    CHECK_INT(1, counters.connections);
    CHECK_INT(1, counters.sessions_opened);
    CHECK_INT(0, counters.sessions_expired);
    CHECK_INT(0, counters.creates);
    CHECK_INT(0, counters.callbacks_run);
    before = counters;

    record_init(&record, handle);
    become_master(&record, path.text);
    do {
        CHECK(clock_ms() < until);
        sleep_ms(10);
        CHECK_INT(ELECTION_OK, election_counters(handle, &counters));
    } while (counters.proofs_committed < 3);
    CHECK(counters.creates >= 1 && counters.reads >= 1);
    CHECK_INT(counters.masterships_begun, counters.masterships_ended + 1);
    CHECK(counters.proofs_sent >= counters.proofs_committed);
    CHECK(counters.proof_last_us > 0 && counters.proof_longest_us >= counters.proof_last_us);
    CHECK(counters.callbacks_run >= 1);
    CHECK(counters.requests_sent > before.requests_sent);

    CHECK_INT(ELECTION_OK, election_fenced_set(handle, path.text, path.text, "w", 1, -1, PATIENCE_MS));
    CHECK_INT(ELECTION_OK, election_resign(handle, path.text));
    CHECK(record_wait(&record, 2, 1));
    /* Nobody stands any more: once the last answer has come, nothing moves. */
    do {
        CHECK(clock_ms() < until);
        sleep_ms(10);
        CHECK_INT(ELECTION_OK, election_counters(handle, &counters));
    } while (counters.deletes == 0 ||
             counters.requests_sent != counters.requests_answered + counters.requests_unknown);
    CHECK_INT(counters.requests_sent, counters.creates + counters.deletes + counters.sets + counters.reads + counters.touches +
                                          counters.proofs_sent + counters.fenced_writes);
    CHECK_INT(1, counters.fenced_writes);
    CHECK_INT(counters.masterships_begun, counters.masterships_ended);
    CHECK_INT(record_count(&record), counters.callbacks_run);
    CHECK(counters.watches_fired >= 1);

    /* A program that knows more fields gets 0 in them, and is told how much is known; what lies behind is not touched. */
    memset(larger, 0x5a, sizeof larger);
    ((election_counters_t *)(void *)larger)->size = sizeof counters + 32;
    CHECK_INT(ELECTION_OK, election_counters(handle, (election_counters_t *)(void *)larger));
    CHECK_INT(sizeof counters, ((election_counters_t *)(void *)larger)->size);
    for (size_t i = sizeof counters; i < sizeof larger; i++)
        CHECK_INT(i < sizeof counters + 32 ? 0 : 0x5a, larger[i]);
    CHECK_INT(ELECTION_OK, close_handle(handle));
    record_done(&record);
}

/* --- the dump ----------------------------------------------------------------------------------------------- */

static char *dump_of(election_t *handle, int format)
{
    char *dump = NULL;
    CHECK_INT(ELECTION_OK, election_dump(handle, format, &dump));
    CHECK(dump != NULL);
    return dump;
}

static void expect_in_dump(election_t *handle, int format, const char *text)
{
    char *dump = dump_of(handle, format);
    if (strstr(dump, text) == NULL)
        fprintf(stderr, "no %s in\n%s\n", text, dump);
    CHECK(strstr(dump, text) != NULL);
    election_dump_free(dump);
}

/* The znode is read after the role is told. */
static void wait_for_dump(election_t *handle, int format, const char *text)
{
    int64_t until = clock_ms() + PATIENCE_MS;
    for (int is_there = 0; !is_there; sleep_ms(2)) {
        char *dump = dump_of(handle, format);
        CHECK(clock_ms() < until);
        is_there = strstr(dump, text) != NULL;
        election_dump_free(dump);
    }
}

#define expect_in_dump(...) FROM_HERE((expect_in_dump)(__VA_ARGS__))

static void dump_inside(struct record *record, const struct heard *heard)
{
    if (heard->role == ELECTION_MASTER) {
        expect_in_dump(record->handle, ELECTION_DUMP_JSON, "\"role\": \"master\", \"reason\": \"elected\"");
        expect_in_dump(record->handle, ELECTION_DUMP_TEXT, "history\n");
    }
}

static void dumps(void)
{
    struct path path = at("dump");
    election_t *handle = open_at(hosts);
    struct record record;
    record_init(&record, handle);
    record.then = dump_inside;
    expect_in_dump(handle, ELECTION_DUMP_JSON, "\"candidates\": []");
    expect_in_dump(handle, ELECTION_DUMP_JSON, "\"why_not\": \"no proof was committed in this session\"");
    become_master(&record, path.text);
    CHECK(record_wait(&record, 1, 0));
    expect_in_dump(handle, ELECTION_DUMP_JSON, "\"task\": \"answered\"");
    expect_in_dump(handle, ELECTION_DUMP_JSON, path.text);
    expect_in_dump(handle, ELECTION_DUMP_JSON, "\"value\": \"10.0.0.7\"");
    wait_for_dump(handle, ELECTION_DUMP_JSON, "\"machine\": {\"state\": \"watching\"");
    expect_in_dump(handle, ELECTION_DUMP_TEXT, "state              watching\n");
    CHECK_INT(ELECTION_OK, close_handle(handle));
    record_done(&record);

    CHECK_INT(ELECTION_OK, open_handle("127.0.0.1:1", NULL, &handle));
    expect_in_dump(handle, ELECTION_DUMP_JSON, "\"why_not\": \"no session\"");
    CHECK_INT(ELECTION_OK, close_handle(handle));
}

/* The thread that runs the handle's task, held still by a tracer. In loop mode there is none: a dump does the work itself. */
static void dump_of_a_busy_handle(void)
{
    election_t *handle = open_at(hosts);
    int go[2], held[2], status = 0, rc;
    char word, *dump;
    long thread = 0;
    pid_t tracer;
    struct dirent *entry;
    DIR *tasks = opendir("/proc/self/task");
    int64_t from;
    CHECK(tasks != NULL);
    while ((entry = readdir(tasks)) != NULL) {
        char path[300], line[64] = "";
        FILE *comm;
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        comm = fopen(path, "r");
        if (comm != NULL && fgets(line, sizeof line, comm) != NULL && strcmp(line, "election-io\n") == 0)
            thread = atol(entry->d_name);
        if (comm != NULL)
            fclose(comm);
    }
    closedir(tasks);
    CHECK(thread > 0);
    CHECK_INT(0, pipe(go));
    CHECK_INT(0, pipe(held));
    /* Where only parents may trace. It fails where there is no such rule. */
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    tracer = fork();
    if (tracer == 0) {
        give_up_after(60);
        CHECK_INT(0, ptrace(PTRACE_SEIZE, (pid_t)thread, NULL, NULL));
        CHECK_INT(0, ptrace(PTRACE_INTERRUPT, (pid_t)thread, NULL, NULL));
        CHECK_INT(thread, waitpid((pid_t)thread, &status, __WALL));
        CHECK_INT(1, write(held[1], "h", 1));
        CHECK_INT(1, read(go[0], &word, 1));
        CHECK_INT(0, ptrace(PTRACE_DETACH, (pid_t)thread, NULL, NULL));
        _exit(0);
    }
    CHECK(tracer > 0);
    CHECK_INT(1, read(held[0], &word, 1));
    from = clock_ms();
    dump = dump_of(handle, ELECTION_DUMP_JSON);
    CHECK(clock_ms() - from >= 999 && clock_ms() - from < 10000);
    CHECK_INT(1, write(go[1], "g", 1));
    CHECK(strstr(dump, "\"task\": \"busy\"") != NULL);
    CHECK(strstr(dump, "\"state\": \"connected\"") != NULL);
    CHECK(strstr(dump, "\"session\": null") != NULL);
    election_dump_free(dump);
    CHECK_INT(tracer, waitpid(tracer, &status, 0));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    wait_for_dump(handle, ELECTION_DUMP_JSON, "\"task\": \"answered\"");
    /* Held for longer than the client waits for a server, it takes the connection for broken. */
    rc = close_handle(handle);
    CHECK(rc == ELECTION_OK || rc == ELECTION_CONNECTIONLOSS);
    for (int i = 0; i < 2; i++) {
        close(go[i]);
        close(held[i]);
    }
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    /* A child has the memory of threads that it has not: lost, and valgrind would say so. */
    if (!is_instrumented)
        log_fork_and_open();
    levels();
    a_record_names_its_handle();
    inside_log_fn();
    a_slow_listener();
    connection();
    no_connection();
    counters();
    dumps();
    if (!is_instrumented) {
        if (!is_loop)
            dump_of_a_busy_handle();
        log_and_fork();
    }
    return 0;
}
