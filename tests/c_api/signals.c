/* Signals and callbacks: a child that a callback starts can be ended, a fault in a callback reaches the program's handler, a
 * signal for the program is handled where the program handles it, and a call from a handler never waits for its own thread.
 *
 *     signals HOSTS ROOT SESSION_TIMEOUT_MS [manual|loop]
 */

#define _GNU_SOURCE

#include <spawn.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "life.h"

extern char **environ;

/* The program dispatches on its main thread here: the loops of check.h block all signals. */
static election_t *open_plain(void)
{
    election_options_t *options = election_options_new();
    election_t *handle = NULL;
    CHECK_INT(ELECTION_OK, election_options_set_session_timeout_ms(options, session_timeout_ms));
    CHECK_INT(ELECTION_OK, election_options_set_dispatch(options, dispatch_way()));
    CHECK_INT(ELECTION_OK, election_open(hosts, options, &handle));
    election_options_free(options);
    return handle;
}

static int is_done;

static void run_callbacks(election_t *handle)
{
    int64_t until = clock_ms() + PATIENCE_MS;
    while (!__atomic_load_n(&is_done, __ATOMIC_ACQUIRE)) {
        CHECK(clock_ms() < until);
        if (is_manual)
            CHECK(election_dispatch(handle, 100) >= 0);
        else
            sleep_ms(1);
    }
}

/* --- a child ------------------------------------------------------------------------------------------------- */

static pid_t child;

static void start_child(const election_event_t *event, void *ctx)
{
    char *arguments[] = {(char *)"sleep", (char *)"60", NULL};
    (void)ctx;
    if (event->role != ELECTION_MASTER)
        return;
    CHECK_INT(0, posix_spawnp(&child, "sleep", NULL, NULL, arguments, environ));
    __atomic_store_n(&is_done, 1, __ATOMIC_RELEASE);
}

static void a_child_can_be_ended(void)
{
    struct path path = at("child");
    election_t *handle = open_plain();
    int status = 0;
    is_done = 0;
    CHECK_INT(ELECTION_OK, go_to_election(handle, path.text, "", 0, start_child, NULL, NULL));
    run_callbacks(handle);
    CHECK_INT(0, kill(child, SIGTERM));
    CHECK_INT(child, waitpid(child, &status, 0));
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    CHECK_INT(ELECTION_OK, election_close(handle));
}

/* --- a fault ------------------------------------------------------------------------------------------------- */

static void end_well(int number)
{
    _exit(number == SIGSEGV ? 42 : 43);
}

static void read_nowhere(const election_event_t *event, void *ctx)
{
    volatile int *volatile nowhere = NULL;
    (void)event;
    (void)ctx;
    *nowhere = 1;
}

static void a_fault_reaches_its_handler(void)
{
    int status = 0;
    pid_t faulty = fork();
    if (faulty == 0) {
        struct path path = at("fault");
        election_t *handle;
        CHECK(signal(SIGSEGV, end_well) != SIG_ERR);
        handle = open_plain();
        is_done = 0;
        CHECK_INT(ELECTION_OK, go_to_election(handle, path.text, "", 0, read_nowhere, NULL, NULL));
        run_callbacks(handle);
        _exit(1);
    }
    CHECK_INT(faulty, waitpid(faulty, &status, 0));
    CHECK(WIFEXITED(status));
    CHECK_INT(42, WEXITSTATUS(status));
}

/* --- a signal for the program -------------------------------------------------------------------------------- */

static pthread_t handled_by;
static int is_handled;

static void note_thread(int number)
{
    (void)number;
    handled_by = pthread_self();
    __atomic_store_n(&is_handled, 1, __ATOMIC_RELEASE);
}

static void send_to_the_program(const election_event_t *event, void *ctx)
{
    (void)ctx;
    if (event->role != ELECTION_MASTER)
        return;
    CHECK_INT(0, kill(getpid(), SIGUSR1));
    while (!__atomic_load_n(&is_handled, __ATOMIC_ACQUIRE))
        sleep_ms(1);
    __atomic_store_n(&is_done, 1, __ATOMIC_RELEASE);
}

static void the_main_thread_takes_it(void)
{
    struct path path = at("program");
    struct sigaction action;
    election_t *handle;
    memset(&action, 0, sizeof action);
    action.sa_handler = note_thread;
    CHECK_INT(0, sigaction(SIGUSR1, &action, NULL));
    handle = open_plain();
    is_done = is_handled = 0;
    CHECK_INT(ELECTION_OK, go_to_election(handle, path.text, "", 0, send_to_the_program, NULL, NULL));
    run_callbacks(handle);
    CHECK(pthread_equal(handled_by, pthread_self()));
    CHECK_INT(ELECTION_OK, election_close(handle));
}

/* A program that waits for its signals blocks them before it opens a handle. */
static void a_blocked_signal_waits_for_sigwait(void)
{
    struct path path = at("blocked");
    sigset_t waited_for, former;
    election_t *handle;
    int number = 0;
    sigfillset(&waited_for);
    CHECK_INT(0, pthread_sigmask(SIG_BLOCK, &waited_for, &former));
    handle = open_plain();
    is_done = 0;
    is_handled = 1;
    CHECK_INT(ELECTION_OK, go_to_election(handle, path.text, "", 0, send_to_the_program, NULL, NULL));
    run_callbacks(handle);
    sigemptyset(&waited_for);
    sigaddset(&waited_for, SIGUSR1);
    CHECK_INT(0, sigwait(&waited_for, &number));
    CHECK_INT(SIGUSR1, number);
    CHECK_INT(0, pthread_sigmask(SIG_SETMASK, &former, NULL));
    CHECK_INT(ELECTION_OK, election_close(handle));
}

/* --- calls from a handler ------------------------------------------------------------------------------------ */

static election_t *interrupted;
static struct path interrupted_path;
static int refusals, handlers_run;

static void call_from_a_handler(int number)
{
    int rc = election_set_value(interrupted, interrupted_path.text, "h", 1);
    (void)number;
    handlers_run++;
    if (rc == ELECTION_IN_HANDLER) {
        refusals++;
        /* All of them say so, and return. */
        if (election_close(interrupted) != ELECTION_IN_HANDLER ||
            election_resign(interrupted, interrupted_path.text) != ELECTION_IN_HANDLER ||
            election_is_master(interrupted, interrupted_path.text) != 0 || election_options_new() != NULL)
            _exit(1);
    }
    if (election_interrupt(interrupted) != ELECTION_OK)
        _exit(1);
}

static void a_handler_never_waits_for_its_own_thread(void)
{
    struct itimerval often = {{0, 500}, {0, 500}}, off = {{0, 0}, {0, 0}};
    struct sigaction action;
    int64_t until;
    memset(&action, 0, sizeof action);
    action.sa_handler = call_from_a_handler;
    action.sa_flags = SA_RESTART;
    CHECK_INT(0, sigaction(SIGPROF, &action, NULL));
    interrupted = open_plain();
    interrupted_path = at("handler");
    CHECK_INT(ELECTION_OK, go_to_election(interrupted, interrupted_path.text, "", 0, NULL, NULL, NULL));
    until = clock_ms() + PATIENCE_MS;
    CHECK_INT(0, setitimer(ITIMER_PROF, &often, NULL));
    /* Nothing but calls, and none that frees or takes memory for long: a handler that strikes malloc of the program's own
     * could not be told. */
    while (__atomic_load_n(&refusals, __ATOMIC_RELAXED) < 20) {
        CHECK(clock_ms() < until);
        for (int i = 0; i < 100; i++)
            election_counters(interrupted, &(election_counters_t){.size = sizeof(election_counters_t)});
    }
    CHECK_INT(0, setitimer(ITIMER_PROF, &off, NULL));
    CHECK_INT(ELECTION_OK, election_close(interrupted));
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    give_up_after(120);
    a_fault_reaches_its_handler();
    a_child_can_be_ended();
    the_main_thread_takes_it();
    a_blocked_signal_waits_for_sigwait();
    a_handler_never_waits_for_its_own_thread();
    return 0;
}
