/* After a fork the parent's handle is inert in the child: it says so, and does nothing to its parent's. The child may open
 * handles of its own.
 *
 *     fork HOSTS ROOT SESSION_TIMEOUT_MS [manual|loop] [instrumented]
 *
 * The program starts itself as `fork exec HOSTS PATH`, to see what is left after an exec. */

#define _POSIX_C_SOURCE 200809L

#include <sys/stat.h>
#include <sys/wait.h>

#include "life.h"

static const char *program;

/* The child has ended by itself, and well. */
static void expect_well(pid_t child)
{
    int status = 0;
    CHECK(child > 0);
    while (waitpid(child, &status, 0) != child)
        continue;
    CHECK(WIFEXITED(status));
    CHECK_INT(0, WEXITSTATUS(status));
}

#define expect_well(...) FROM_HERE((expect_well)(__VA_ARGS__))

static void never_role(const election_event_t *event, void *ctx)
{
    (void)event;
    (void)ctx;
    CHECK(!"a child is told something");
}

static void never_master(const election_master_t *master, void *ctx)
{
    (void)master;
    (void)ctx;
    CHECK(!"a child is told who is master");
}

static void never_members(const election_members_t *members, void *ctx)
{
    (void)members;
    (void)ctx;
    CHECK(!"a child is told who is in");
}

static void never_member(const election_member_t *member, void *ctx)
{
    (void)member;
    (void)ctx;
    CHECK(!"a child is shown a member");
}

static void never_connection(const election_connection_t *connection, void *ctx)
{
    (void)connection;
    (void)ctx;
    CHECK(!"a child is told of the connection");
}

static int never_lead(const election_leadership_t *leadership, void *ctx)
{
    (void)leadership;
    (void)ctx;
    CHECK(!"a child leads in its parent's place");
    return 0;
}

static void never_free(void *ctx)
{
    (void)ctx;
    CHECK(!"a child frees its parent's ctx");
}

/* Everything that can be tried on the parent's handle, in the child. It would hang where it took a lock that another thread
 * of the parent held at the moment of the fork. */
static void try_the_parents(election_t *handle, const char *path)
{
    int64_t token = 0x5a5a, left_ns = 0x5a5a;
    election_counters_t counters = {.size = sizeof counters};
    char *dump = NULL;
    CHECK_INT(0, election_is_master(handle, path));
    CHECK_INT(0, election_lease(handle, path, &token, &left_ns));
    CHECK_INT(0x5a5a, token);
    CHECK_INT(0x5a5a, left_ns);
    CHECK_INT(ELECTION_FORKED, go_to_election(handle, path, "", 0, never_role, NULL, never_free));
    CHECK_INT(ELECTION_FORKED, go_to_election(handle, "/of/the/child", "", 0, never_role, NULL, never_free));
    CHECK_INT(ELECTION_FORKED, election_resign(handle, path));
    CHECK_INT(ELECTION_FORKED, watch_master(handle, path, never_master, NULL, never_free));
    CHECK_INT(ELECTION_FORKED, election_unwatch_master(handle, path));
    CHECK_INT(ELECTION_FORKED, election_watch_members(handle, path, 1, never_members, NULL, never_free));
    CHECK_INT(ELECTION_FORKED, election_unwatch_members(handle, path));
    CHECK_INT(ELECTION_FORKED, election_set_value(handle, path, "child", 5));
    CHECK_INT(ELECTION_FORKED, election_wait(handle, path, ELECTION_MASTER, PATIENCE_MS));
    CHECK_INT(ELECTION_FORKED, election_fd(handle));
    CHECK_INT(ELECTION_FORKED, election_dispatch(handle, PATIENCE_MS));
    CHECK_INT(ELECTION_FORKED, election_fenced_create(handle, path, "/of-the-child", "", 0, PATIENCE_MS));
    CHECK_INT(ELECTION_FORKED, election_fenced_set(handle, path, path, "child", 5, -1, PATIENCE_MS));
    CHECK_INT(ELECTION_FORKED, election_fenced_delete(handle, path, path, -1, PATIENCE_MS));
    CHECK_INT(ELECTION_FORKED, election_members(handle, path, never_member, NULL, PATIENCE_MS));
    CHECK_INT(ELECTION_FORKED, election_get_master(handle, path, never_master, NULL, PATIENCE_MS));
    CHECK_INT(ELECTION_FORKED, election_watch_connection(handle, never_connection, NULL, never_free));
    CHECK_INT(ELECTION_FORKED, election_unwatch_connection(handle));
    CHECK_INT(ELECTION_FORKED, election_wait_finished(handle, PATIENCE_MS));
    CHECK_INT(ELECTION_FORKED, election_counters(handle, &counters));
    CHECK_INT(ELECTION_FORKED, election_dump(handle, ELECTION_DUMP_TEXT, &dump));
    CHECK(dump == NULL);
    CHECK_INT(ELECTION_FORKED, election_interrupt(handle));
    CHECK_INT(ELECTION_FORKED, election_clear_interrupt(handle));
    CHECK_INT(ELECTION_FORKED, election_lead(handle, path, "", 0, never_lead, NULL, PATIENCE_MS, NULL));
    CHECK_INT(ELECTION_FORKED, election_close(handle));
    CHECK_INT(ELECTION_FORKED, election_close(handle));
    CHECK_INT(ELECTION_FORKED, election_resign(handle, path));
    CHECK_INT(0, election_is_master(handle, path));
}

/* The same, before and while the child has a handle of its own. */
static void try_everything(election_t *handle, const char *path)
{
    struct path own = at("of-children");
    election_t *opened = NULL;
    election_options_t *options;
    election_verifier_t *verifier;
    give_up_after(60);
    try_the_parents(handle, path);

    /* What is no handle works as ever. */
    CHECK(strcmp(ELECTION_VERSION, election_version()) == 0);
    CHECK(*election_strerror(ELECTION_FORKED) != 0);
    options = election_options_new();
    CHECK_INT(ELECTION_OK, election_options_set_dispatch(options, dispatch_way()));
    CHECK_INT(ELECTION_OK, election_options_set_recipe(options, ELECTION_RECIPE_QUEUE));
    CHECK_INT(ELECTION_OK, election_open(hosts, options, &opened));
    CHECK(opened != handle);
    election_options_free(options);
    verifier = election_verifier_new(1);
    CHECK_INT(ELECTION_OK, election_verifier_admit(verifier, 2));
    election_verifier_free(verifier);
    CHECK_INT(ELECTION_BAD_HANDLE, election_close(NULL));

    CHECK_INT(ELECTION_OK, go_to_election(opened, own.text, "", 0, NULL, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_wait(opened, own.text, ELECTION_MASTER, PATIENCE_MS));
    try_the_parents(handle, path);
    CHECK_INT(1, election_is_master(opened, own.text));
    CHECK_INT(ELECTION_OK, election_close(opened));
    try_the_parents(handle, path);
}

/* --- fork first, and open later ----------------------------------------------------------------------------- */

/* Stands with a handle of its own, tells down a pipe that it is master, and closes when it is told to by another. */
static void open_later(int ready, int may_go, const char *path)
{
    char word;
    election_t *handle = open_at(hosts);
    CHECK_INT(ELECTION_OK, go_to_election(handle, path, "child", 5, NULL, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_wait(handle, path, ELECTION_MASTER, PATIENCE_MS));
    CHECK_INT(1, election_is_master(handle, path));
    CHECK_INT(1, write(ready, "m", 1));
    CHECK_INT(1, read(may_go, &word, 1));
    CHECK_INT(1, election_is_master(handle, path));
    CHECK_INT(ELECTION_OK, close_handle(handle));
}

static void fork_first_and_open_later(void)
{
    struct path path = at("later");
    election_t *handle;
    struct record record;
    int ready[2], may_go[2];
    char word;
    pid_t child;
    CHECK_INT(0, pipe(ready));
    CHECK_INT(0, pipe(may_go));
    child = fork();
    if (child == 0) {
        give_up_after(60);
        open_later(ready[1], may_go[0], path.text);
        exit(0);
    }
    handle = open_at(hosts);
    record_init(&record, handle);
    CHECK_INT(1, read(ready[0], &word, 1));
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "parent"));
    check_value(expect_slave(&record, 0, path.text), "child", 5);
    CHECK_INT(1, write(may_go[1], "g", 1));
    expect_well(child);
    expect_master(&record, 1, path.text);
    CHECK_INT(ELECTION_OK, close_handle(handle));
    record_done(&record);
    close(ready[0]);
    close(ready[1]);
    close(may_go[0]);
    close(may_go[1]);
}

/* --- open first, and fork then ------------------------------------------------------------------------------ */

static void expect_undisturbed(struct record *record, const char *path, int64_t token, int for_ms)
{
    int64_t from = clock_ms();
    do {
        int64_t now = 0;
        CHECK_INT(1, election_lease(record->handle, path, &now, NULL));
        CHECK_INT(token, now);
        CHECK_INT(1, record_count(record));
        CHECK_INT(0, record_freed(record));
        sleep_ms(10);
    } while (clock_ms() - from < for_ms);
}

#define expect_undisturbed(...) FROM_HERE((expect_undisturbed)(__VA_ARGS__))

static pid_t start_child(election_t *handle, const char *path, void (*end)(int))
{
    pid_t child = fork();
    if (child == 0) {
        try_everything(handle, path);
        /* A child of the child is none of the parent's either. */
        child = fork();
        if (child == 0) {
            CHECK_INT(0, election_is_master(handle, path));
            CHECK_INT(ELECTION_FORKED, election_close(handle));
            end(0);
        }
        expect_well(child);
        end(0);
    }
    return child;
}

static void a_child_is_inert(void)
{
    struct path path = at("inert");
    election_t *handle = open_at(hosts);
    struct record record;
    int64_t token;
    pid_t lasting;
    record_init(&record, handle);
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "parent"));
    token = expect_master(&record, 0, path.text)->token;

    /* One that does nothing and lives on, one that leaves by exit, one by _exit. */
    lasting = fork();
    if (lasting == 0) {
        for (;;)
            pause();
    }
    CHECK(lasting > 0);
    expect_well(start_child(handle, path.text, exit));
    expect_undisturbed(&record, path.text, token, 100);
    expect_well(start_child(handle, path.text, _exit));
    /* Longer than a session lasts that is not heard of any more. */
    expect_undisturbed(&record, path.text, token, session_timeout_ms * 3 / 2);

    /* And everything still works. */
    CHECK_INT(ELECTION_OK, election_resign(handle, path.text));
    expect_end(&record, 1, path.text, ELECTION_REASON_RESIGNED, ELECTION_RESIGNED);
    CHECK_INT(ELECTION_OK, go_to_election(handle, path.text, "", 0, NULL, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_wait(handle, path.text, ELECTION_MASTER, PATIENCE_MS));
    CHECK_INT(ELECTION_OK, close_handle(handle));
    record_done(&record);
    CHECK_INT(0, kill(lasting, SIGKILL));
    CHECK_INT(lasting, waitpid(lasting, NULL, 0));
}

static pid_t forked_inside;

static void fork_inside(struct record *record, const struct heard *heard)
{
    if (heard->role == ELECTION_MASTER) {
        forked_inside = fork();
        if (forked_inside == 0) {
            try_everything(record->handle, heard->path);
            _exit(0);
        }
    }
}

static void inside_a_callback(void)
{
    struct path path = at("inside");
    election_t *handle = open_at(hosts);
    struct record record;
    int64_t token;
    record_init(&record, handle);
    record.then = fork_inside;
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "parent"));
    token = expect_master(&record, 0, path.text)->token;
    expect_well(forked_inside);
    expect_undisturbed(&record, path.text, token, 100);
    CHECK_INT(ELECTION_OK, close_handle(handle));
    record_done(&record);
}

/* --- while threads of the parent are at work in the library ------------------------------------------------- */

struct worker {
    election_t *handle;
    struct path path;
    pthread_mutex_t lock;
    int is_over;
};

static void hear_nothing(const election_master_t *master, void *ctx)
{
    (void)master;
    (void)ctx;
}

static void *work_on_and_on(void *ctx)
{
    struct worker *worker = ctx;
    int is_over = 0;
    while (!is_over) {
        CHECK_INT(ELECTION_OK, watch_master(worker->handle, worker->path.text, hear_nothing, NULL, NULL));
        CHECK_INT(ELECTION_OK, election_unwatch_master(worker->handle, worker->path.text));
        /* Not faster than the server answers, so that the close below finds nothing to wait for. */
        for (int i = 0; i < 100; i++)
            election_is_master(worker->handle, worker->path.text);
        sleep_ms(5);
        pthread_mutex_lock(&worker->lock);
        is_over = worker->is_over;
        pthread_mutex_unlock(&worker->lock);
    }
    return NULL;
}

static void in_the_midst_of_work(void)
{
    struct path path = at("busy");
    struct worker workers[2];
    pthread_t threads[2];
    election_t *handle = open_at(hosts);
    struct record record;
    int64_t token;
    record_init(&record, handle);
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "parent"));
    token = expect_master(&record, 0, path.text)->token;
    for (int i = 0; i < 2; i++) {
        workers[i].handle = handle;
        workers[i].path = at(i == 0 ? "busy/one" : "busy/two");
        workers[i].is_over = 0;
        pthread_mutex_init(&workers[i].lock, NULL);
        CHECK_INT(0, pthread_create(&threads[i], NULL, work_on_and_on, &workers[i]));
    }
    for (int i = 0; i < (is_instrumented ? 5 : 50); i++) {
        pid_t child = fork();
        if (child == 0 && i % 10 == 0)
            try_everything(handle, path.text);
        if (child == 0) {
            give_up_after(60);
            try_the_parents(handle, path.text);
            _exit(0);
        }
        expect_well(child);
    }
    for (int i = 0; i < 2; i++) {
        pthread_mutex_lock(&workers[i].lock);
        workers[i].is_over = 1;
        pthread_mutex_unlock(&workers[i].lock);
        CHECK_INT(0, pthread_join(threads[i], NULL));
        pthread_mutex_destroy(&workers[i].lock);
    }
    expect_undisturbed(&record, path.text, token, 100);
    CHECK_INT(ELECTION_OK, close_handle(handle));
    record_done(&record);
}

/* --- after exec --------------------------------------------------------------------------------------------- */

/* Nothing of the parent's is open here: standard input, output and error, at most, and what valgrind and the test have. */
static int count_sockets(void)
{
    int count = 0;
    for (int fd = 3; fd < 256; fd++) {
        struct stat stat;
        char link[64], target[64] = "";
        if (fstat(fd, &stat) != 0)
            continue;
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        count += S_ISSOCK(stat.st_mode);
        if (readlink(link, target, sizeof target - 1) > 0)
            count += strncmp(target, "anon_inode:", 11) == 0;
    }
    return count;
}

static int run_after_exec(const char *path)
{
    election_t *handle = NULL;
    give_up_after(60);
    CHECK_INT(0, count_sockets());
    CHECK_INT(ELECTION_OK, election_open(hosts, NULL, &handle));
    CHECK_INT(ELECTION_OK, go_to_election(handle, path, "exec", 4, NULL, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_wait(handle, path, ELECTION_SLAVE, PATIENCE_MS));
    CHECK_INT(ELECTION_OK, election_close(handle));
    return 0;
}

static void after_exec(void)
{
    struct path path = at("exec");
    election_t *handle = open_at(hosts);
    struct record record;
    int64_t token;
    pid_t child;
    record_init(&record, handle);
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "parent"));
    token = expect_master(&record, 0, path.text)->token;
    CHECK(is_instrumented || count_sockets() > 0);
    child = fork();
    if (child == 0) {
        execl(program, program, "exec", hosts, path.text, (char *)NULL);
        _exit(127);
    }
    expect_well(child);
    expect_undisturbed(&record, path.text, token, 100);
    CHECK_INT(ELECTION_OK, close_handle(handle));
    record_done(&record);
}

int main(int argc, char **argv)
{
    program = argv[0];
    if (argc == 4 && strcmp(argv[1], "exec") == 0) {
        hosts = argv[2];
        return run_after_exec(argv[3]);
    }
    read_arguments(argc, argv);
    fork_first_and_open_later();
    a_child_is_inert();
    inside_a_callback();
    in_the_midst_of_work();
    after_exec();
    return 0;
}
