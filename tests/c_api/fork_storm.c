/* A fork at any moment of another thread's: while it is at the very first call of the process, at its first election_open,
 * or opens, looks and closes on and on. Whoever is forked then hears what it may hear, and nobody waits for a thread that
 * is not there.
 *
 *     fork_storm HOSTS ROOT SESSION_TIMEOUT_MS [manual|loop]
 */

#define _POSIX_C_SOURCE 200809L

#include <sys/wait.h>

#include "life.h"

/* Processes that begin anew, and how often each forks. */
#define BEGINNINGS 300
#define FORKS 12
/* While handles come and go. */
#define FORKS_IN_THE_MIDST 2000

static const char *const nowhere = "127.0.0.1:1";

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

static void pause_us(int us)
{
    struct timespec pause = {0, (long)us * 1000};
    nanosleep(&pause, NULL);
}

struct other {
    pthread_t thread;
    int is_going;
    int is_over;
    /* The last handle that it got. */
    election_t *handle;
};

static int is_set(int *flag)
{
    return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

static void open_and_close(struct other *other)
{
    election_t *handle = NULL;
    CHECK_INT(ELECTION_OK, open_handle(nowhere, NULL, &handle));
    __atomic_store_n(&other->handle, handle, __ATOMIC_RELEASE);
    CHECK_INT(0, election_is_master(handle, "/storm"));
    CHECK_INT(ELECTION_OK, go_to_election(handle, "/storm", "", 0, NULL, NULL, NULL));
    CHECK_INT(ELECTION_OK, close_handle(handle));
}

static void *be_the_other(void *ctx)
{
    struct other *other = ctx;
    __atomic_store_n(&other->is_going, 1, __ATOMIC_RELEASE);
    do
        open_and_close(other);
    while (!is_set(&other->is_over));
    return NULL;
}

/* A thread that has never called the library, for a moment: what a thread has of its own is made and goes. */
static void *look(void *ctx)
{
    CHECK_INT(0, election_is_master(ctx, "/storm"));
    return NULL;
}

static void try_in_the_child(struct other *other)
{
    election_t *handle = __atomic_load_n(&other->handle, __ATOMIC_ACQUIRE), *opened = NULL;
    election_options_t *options = election_options_new();
    pthread_t thread;
    int rc;
    give_up_after(30);
    CHECK_INT(ELECTION_BAD_HANDLE, election_close(NULL));
    CHECK_INT(0, election_is_master(handle, "/storm"));
    /* Whether the parent had closed it or not. */
    rc = handle == NULL ? ELECTION_BAD_HANDLE : ELECTION_FORKED;
    CHECK_INT(rc, election_resign(handle, "/storm"));
    CHECK_INT(rc, election_close(handle));
    CHECK_INT(rc, election_close(handle));
    CHECK_INT(0, pthread_create(&thread, NULL, look, handle));
    CHECK_INT(0, pthread_join(thread, NULL));
    /* It may open, whatever its parent's threads were about to do; and closes what it opened. */
    CHECK_INT(ELECTION_OK, election_options_set_dispatch(options, dispatch_way()));
    CHECK_INT(ELECTION_OK, election_open(nowhere, options, &opened));
    CHECK_INT(ELECTION_OK, go_to_election(opened, "/storm", "", 0, NULL, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_close(opened));
    /* The parent may have closed it. */
    rc = election_close(handle);
    CHECK(rc == ELECTION_BAD_HANDLE || (rc == ELECTION_FORKED && handle != NULL));
    election_options_free(options);
    exit(0);
}

/* Forks again and again from the moment at which the other thread sets out. */
static void at_the_beginning(int turn)
{
    struct other other = {.is_over = 1};
    pid_t children[FORKS];
    give_up_after(60);
    CHECK_INT(0, pthread_create(&other.thread, NULL, be_the_other, &other));
    while (!is_set(&other.is_going))
        continue;
    /* Another moment each time. */
    pause_us(turn * 7 % 400);
    for (int i = 0; i < FORKS; i++) {
        children[i] = fork();
        if (children[i] == 0)
            try_in_the_child(&other);
    }
    for (int i = 0; i < FORKS; i++)
        expect_well(children[i]);
    CHECK_INT(0, pthread_join(other.thread, NULL));
    exit(0);
}

static void in_the_midst(void)
{
    struct other others[2] = {{.is_over = 0}, {.is_over = 0}};
    for (int i = 0; i < 2; i++)
        CHECK_INT(0, pthread_create(&others[i].thread, NULL, be_the_other, &others[i]));
    for (int i = 0; i < FORKS_IN_THE_MIDST; i++) {
        pid_t child;
        while (!is_set(&others[i % 2].is_going))
            continue;
        child = fork();
        if (child == 0)
            try_in_the_child(&others[i % 2]);
        expect_well(child);
    }
    for (int i = 0; i < 2; i++) {
        __atomic_store_n(&others[i].is_over, 1, __ATOMIC_RELEASE);
        CHECK_INT(0, pthread_join(others[i].thread, NULL));
    }
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    for (int turn = 0; turn < BEGINNINGS; turn++) {
        pid_t child = fork();
        if (child == 0)
            at_the_beginning(turn);
        expect_well(child);
    }
    in_the_midst();
    return 0;
}
