/* A child that was made in any way hears at its first call that it is none of the parent's, and every call of it returns at
 * once: by fork, by fork and clone as system calls, and by vfork, which shares the memory. Meanwhile other threads of the parent hold the locks of malloc and of the library.
 *
 *     children HOSTS ROOT SESSION_TIMEOUT_MS [manual|loop]
 */

#define _GNU_SOURCE

#include <sys/syscall.h>
#include <sys/wait.h>

#include "life.h"

enum way { BY_FORK, BY_FORK_WITHOUT_HANDLERS, BY_CLONE, WAYS };

static pid_t make_child(enum way way)
{
    switch (way) {
    case BY_FORK:
        return fork();
    case BY_FORK_WITHOUT_HANDLERS:
        return (pid_t)syscall(SYS_fork);
    default:
        return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    }
}

static void expect_well(pid_t child)
{
    int status = 0;
    CHECK(child > 0);
    CHECK_INT(child, waitpid(child, &status, 0));
    CHECK(WIFEXITED(status));
    CHECK_INT(0, WEXITSTATUS(status));
}

#define expect_well(...) FROM_HERE((expect_well)(__VA_ARGS__))

/* The parent's, for the child to try. */
static election_t *handle;
static struct path path;
static election_options_t *options;
static election_verifier_t *verifier;
static char *dump;

static void never(const election_event_t *event, void *ctx)
{
    (void)event;
    (void)ctx;
    _exit(90);
}

static void never_free(void *ctx)
{
    (void)ctx;
    _exit(91);
}

static void try_everything(enum way way)
{
    election_t *opened = NULL;
    char *described = NULL;
    int is_raw = way != BY_FORK;
    alarm(20); /* its default action ends a child that hangs */
    CHECK_INT(0, election_is_master(handle, path.text));
    CHECK_INT(ELECTION_FORKED, go_to_election(handle, path.text, "c", 1, never, NULL, never_free));
    CHECK_INT(ELECTION_FORKED, election_resign(handle, path.text));
    CHECK_INT(ELECTION_FORKED, election_set_value(handle, path.text, "c", 1));
    CHECK_INT(ELECTION_FORKED, election_wait(handle, path.text, ELECTION_MASTER, PATIENCE_MS));
    CHECK_INT(ELECTION_FORKED, election_wait_finished(handle, PATIENCE_MS));
    CHECK_INT(ELECTION_FORKED, election_fd(handle));
    CHECK_INT(ELECTION_FORKED, election_dispatch(handle, PATIENCE_MS));
    CHECK_INT(ELECTION_FORKED, election_unwatch_master(handle, path.text));
    CHECK_INT(ELECTION_FORKED, election_fenced_delete(handle, path.text, path.text, -1, PATIENCE_MS));
    CHECK_INT(ELECTION_FORKED, election_dump(handle, ELECTION_DUMP_TEXT, &described));
    CHECK_INT(ELECTION_FORKED, election_interrupt(handle));
    CHECK_INT(ELECTION_FORKED, election_close(handle));
    CHECK_INT(ELECTION_FORKED, election_close(handle));
    CHECK_INT(0, election_is_master(handle, path.text));
    CHECK(strcmp(ELECTION_VERSION, election_version()) == 0);
    if (is_raw) {
        CHECK_INT(ELECTION_FORKED, election_open(hosts, NULL, &opened));
        CHECK(election_options_new() == NULL);
        CHECK(election_verifier_new(1) == NULL);
        CHECK_INT(ELECTION_FORKED, election_set_log(ELECTION_LOG_OFF, NULL, NULL, NULL));
        CHECK_INT(ELECTION_FORKED, election_options_add_auth(options, "digest", "a:b", 3));
        CHECK_INT(ELECTION_FORKED, election_verifier_admit(verifier, 9));
    } else {
        CHECK_INT(ELECTION_OK, election_verifier_admit(verifier, 9));
        CHECK_INT(ELECTION_OK, election_open(hosts, NULL, &opened));
        CHECK_INT(ELECTION_FORKED, election_close(handle));
        CHECK_INT(ELECTION_OK, election_close(opened));
    }
    election_options_free(options);
    election_verifier_free(verifier);
    election_dump_free(dump);
    _exit(0);
}

static int is_over;

static void *hold_locks(void *ctx)
{
    (void)ctx;
    while (!__atomic_load_n(&is_over, __ATOMIC_RELAXED)) {
        void *blocks[64];
        for (int i = 0; i < 64; i++)
            blocks[i] = malloc((size_t)i * 512 + 2000);
        for (int i = 0; i < 64; i++)
            free(blocks[i]);
        election_set_value(handle, path.text, "p", 1);
    }
    return NULL;
}

static void in_the_memory_of_its_parent(void)
{
    int status = 0;
    pid_t child = vfork();
    if (child == 0) {
        /* Nothing is the child's own; election_is_master speaks for the parent. */
        int is_right = election_is_master(handle, path.text) == 1;
        is_right = is_right && election_resign(handle, path.text) == ELECTION_FORKED;
        is_right = is_right && election_close(handle) == ELECTION_FORKED;
        is_right = is_right && election_open(hosts, NULL, &handle) == ELECTION_FORKED;
        is_right = is_right && election_set_log(ELECTION_LOG_OFF, NULL, NULL, NULL) == ELECTION_FORKED;
        _exit(!is_right);
    }
    CHECK(child > 0);
    CHECK_INT(child, waitpid(child, &status, 0));
    CHECK(WIFEXITED(status));
    CHECK_INT(0, WEXITSTATUS(status));
}

int main(int argc, char **argv)
{
    struct record record;
    pthread_t threads[2];
    read_arguments(argc, argv);
    path = at("children");
    handle = open_at(hosts);
    options = election_options_new();
    verifier = election_verifier_new(1);
    record_init(&record, handle);
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "parent"));
    expect_master(&record, 0, path.text);
    CHECK_INT(ELECTION_OK, election_dump(handle, ELECTION_DUMP_TEXT, &dump));
    for (int i = 0; i < 2; i++)
        CHECK_INT(0, pthread_create(&threads[i], NULL, hold_locks, NULL));
    for (int i = 0; i < 100; i++) {
        for (int way = 0; way < WAYS; way++) {
            pid_t child = make_child((enum way)way);
            if (child == 0)
                try_everything((enum way)way);
            expect_well(child);
        }
        in_the_memory_of_its_parent();
    }
    __atomic_store_n(&is_over, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < 2; i++)
        CHECK_INT(0, pthread_join(threads[i], NULL));
    CHECK_INT(1, election_is_master(handle, path.text));
    CHECK_INT(ELECTION_OK, close_handle(handle));
    CHECK_INT(1, record_freed(&record));
    election_dump_free(dump);
    election_options_free(options);
    election_verifier_free(verifier);
    record_done(&record);
    return 0;
}
