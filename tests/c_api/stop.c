/* Each call that waits can be ended: by a signal handler that ran on its thread, and by election_interrupt, from a handler
 * or another thread.
 *
 *     stop HOSTS ROOT SESSION_TIMEOUT_MS SILENT MUTE [manual|loop] [instrumented]
 *
 * SILENT is a server that answers nothing any more once it is asked for a path that ends in /be-silent; MUTE is one that
 * never says a word. */

#define _POSIX_C_SOURCE 200809L

#include <errno.h>

#include "life.h"

static const char *mute;

/* Handles of a silent server do not connect anew while this runs. */
#define SILENT_SESSION_TIMEOUT_MS 60000

static election_t *silent, *standing, *dispatched;
static struct path standing_at, silent_at, other;

/* --- the calls, each of which waits for what does not come ----------------------------------------------------- */

static void never_member(const election_member_t *member, void *ctx)
{
    (void)member;
    (void)ctx;
    CHECK(!"told of a member");
}

static void never_master(const election_master_t *master, void *ctx)
{
    (void)master;
    (void)ctx;
    CHECK(!"told of a master");
}

static int never_lead(const election_leadership_t *leadership, void *ctx)
{
    (void)leadership;
    (void)ctx;
    CHECK(!"leads");
    return 0;
}

static int call_wait(void)
{
    return election_wait(standing, standing_at.text, ELECTION_UNKNOWN, ELECTION_FOREVER);
}

static int call_lead(void)
{
    return election_lead(standing, other.text, "v", 1, never_lead, NULL, ELECTION_FOREVER, NULL);
}

static int call_dispatch(void)
{
    return election_dispatch(dispatched, ELECTION_FOREVER);
}

static int call_members(void)
{
    return election_members(silent, other.text, never_member, NULL, PATIENCE_MS);
}

static int call_get_master(void)
{
    return election_get_master(silent, other.text, never_master, NULL, PATIENCE_MS);
}

static int call_create(void)
{
    return election_fenced_create(silent, silent_at.text, other.text, "v", 1, PATIENCE_MS);
}

static int call_set(void)
{
    return election_fenced_set(silent, silent_at.text, other.text, "v", 1, -1, PATIENCE_MS);
}

static int call_delete(void)
{
    return election_fenced_delete(silent, silent_at.text, other.text, -1, PATIENCE_MS);
}

static int call_open(void)
{
    election_t *const none = (election_t *)(uintptr_t)0x5a5a;
    election_t *opened = none;
    election_options_t *options = election_options_new();
    int rc;
    CHECK_INT(ELECTION_OK, election_options_set_connect_timeout_ms(options, PATIENCE_MS));
    rc = election_open(mute, options, &opened);
    election_options_free(options);
    CHECK(opened == none);
    return rc;
}

/* A call, and the handle that it is of; NULL for the one that has none yet. */
struct call {
    const char *name;
    int (*call)(void);
    election_t **handle;
    /* Heeds an interrupt that came before it. */
    int is_sticky;
};

static const struct call calls[] = {
    {"election_wait", call_wait, &standing, 1},
    {"election_lead", call_lead, &standing, 1},
    {"election_dispatch", call_dispatch, &dispatched, 1},
    {"election_members", call_members, &silent, 0},
    {"election_get_master", call_get_master, &silent, 0},
    {"election_fenced_create", call_create, &silent, 0},
    {"election_fenced_set", call_set, &silent, 0},
    {"election_fenced_delete", call_delete, &silent, 0},
    {"election_open", call_open, NULL, 0},
};

#define CALLS (sizeof calls / sizeof *calls)

/* --- a thread in a call ---------------------------------------------------------------------------------------- */

struct waiter {
    const struct call *call;
    pthread_t thread;
    int rc;
    int is_back;
};

static void *run_call(void *ctx)
{
    struct waiter *waiter = ctx;
    waiter->rc = waiter->call->call();
    __atomic_store_n(&waiter->is_back, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static int is_back(struct waiter *waiter)
{
    return __atomic_load_n(&waiter->is_back, __ATOMIC_SEQ_CST);
}

static void start(struct waiter *waiter, const struct call *call)
{
    memset(waiter, 0, sizeof *waiter);
    waiter->call = call;
    CHECK_INT(0, pthread_create(&waiter->thread, NULL, run_call, waiter));
}

static void ends_interrupted(struct waiter *waiter)
{
    CHECK_INT(0, pthread_join(waiter->thread, NULL));
    if (waiter->rc != ELECTION_INTERRUPTED)
        fprintf(stderr, "%s:\n", waiter->call->name);
    CHECK_INT(ELECTION_INTERRUPTED, waiter->rc);
}

#define ends_interrupted(...) FROM_HERE((ends_interrupted)(__VA_ARGS__))

/* --- handlers -------------------------------------------------------------------------------------------------- */

static int handled;
static election_t *to_interrupt;

static void count(int number)
{
    (void)number;
    __atomic_fetch_add(&handled, 1, __ATOMIC_SEQ_CST);
}

static void interrupt(int number)
{
    int former = errno = 4711;
    (void)number;
    if (election_interrupt(__atomic_load_n(&to_interrupt, __ATOMIC_SEQ_CST)) != ELECTION_OK || errno != former)
        _exit(9);
    __atomic_fetch_add(&handled, 1, __ATOMIC_SEQ_CST);
}

static void on_signal(int number, void (*handler)(int), int flags)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = flags;
    sigemptyset(&action.sa_mask);
    CHECK_INT(0, sigaction(number, &action, NULL));
}

/* A signal that comes just before the call waits is not heard: it is sent until one comes while it waits. */
static void a_handler_ends_each_call(int flags)
{
    on_signal(SIGUSR1, count, flags);
    for (size_t i = 0; i < CALLS; i++) {
        struct waiter waiter;
        int64_t from = clock_ms();
        handled = 0;
        start(&waiter, &calls[i]);
        while (!is_back(&waiter)) {
            CHECK_INT(0, pthread_kill(waiter.thread, SIGUSR1));
            sleep_ms(2);
        }
        ends_interrupted(&waiter);
        CHECK(handled > 0);
        CHECK(clock_ms() - from < PATIENCE_MS);
    }
}

/* Signals that are ignored, or that stop and continue the process, end nothing. */
static void what_runs_no_handler_ends_nothing(void)
{
    on_signal(SIGUSR2, SIG_IGN, 0);
    for (size_t i = 0; i < 2; i++) {
        struct waiter waiter;
        start(&waiter, &calls[i]);
        for (int times = 0; times < 20; times++) {
            CHECK_INT(0, pthread_kill(waiter.thread, SIGUSR2));
            CHECK_INT(0, pthread_kill(waiter.thread, SIGCONT));
            sleep_ms(2);
        }
        CHECK_INT(0, is_back(&waiter));
        CHECK_INT(ELECTION_OK, election_interrupt(standing));
        ends_interrupted(&waiter);
        CHECK_INT(ELECTION_OK, election_clear_interrupt(standing));
    }
}

static void an_interrupt_ends_each_call(void)
{
    for (size_t i = 0; i < CALLS; i++) {
        struct waiter waiter;
        if (calls[i].handle == NULL)
            continue;
        start(&waiter, &calls[i]);
        do {
            CHECK_INT(ELECTION_OK, election_interrupt(*calls[i].handle));
            sleep_ms(2);
        } while (!is_back(&waiter));
        ends_interrupted(&waiter);
        CHECK_INT(ELECTION_OK, election_clear_interrupt(*calls[i].handle));
    }
}

/* One interrupt, and every call that waits on the handle ends. */
static void an_interrupt_ends_all_calls_at_once(void)
{
    struct waiter waiters[4];
    for (size_t i = 0; i < 4; i++)
        start(&waiters[i], &calls[i % 2 == 0 ? 0 : 1]);
    sleep_ms(20);
    CHECK_INT(ELECTION_OK, election_interrupt(standing));
    for (size_t i = 0; i < 4; i++) {
        CHECK_INT(0, pthread_join(waiters[i].thread, NULL));
        /* One stands at a path for each handle. */
        CHECK(waiters[i].rc == ELECTION_INTERRUPTED || (i % 2 == 1 && waiters[i].rc == ELECTION_ALREADY));
    }
    CHECK_INT(ELECTION_OK, election_clear_interrupt(standing));
}

/* The race that every program has: the handler runs just before the call waits. */
static void an_interrupt_before_the_call_is_not_lost(int flags)
{
    on_signal(SIGUSR1, interrupt, flags);
    for (size_t i = 0; i < CALLS; i++) {
        if (!calls[i].is_sticky)
            continue;
        __atomic_store_n(&to_interrupt, *calls[i].handle, __ATOMIC_SEQ_CST);
        handled = 0;
        raise(SIGUSR1);
        CHECK_INT(1, handled);
        for (int times = 0; times < 3; times++)
            CHECK_INT(ELECTION_INTERRUPTED, calls[i].call());
        CHECK_INT(ELECTION_OK, election_clear_interrupt(*calls[i].handle));
    }
}

/* A handler that interrupts, on a thread that is in all kinds of calls, at any place in them. */
static volatile sig_atomic_t is_enough;

static void *interrupt_main(void *ctx)
{
    pthread_t *main_thread = ctx;
    for (int i = 0; i < (is_instrumented ? 200 : 2000); i++) {
        CHECK_INT(0, pthread_kill(*main_thread, SIGUSR1));
        if (i % 16 == 0)
            sleep_ms(1);
    }
    is_enough = 1;
    return NULL;
}

static void a_handler_may_interrupt_at_any_place(void)
{
    pthread_t main_thread = pthread_self(), thread;
    int interrupted = 0;
    on_signal(SIGUSR1, interrupt, SA_RESTART);
    __atomic_store_n(&to_interrupt, standing, __ATOMIC_SEQ_CST);
    CHECK_INT(0, pthread_create(&thread, NULL, interrupt_main, &main_thread));
    while (!is_enough) {
        election_t *handle = NULL;
        int rc = election_wait(standing, standing_at.text, ELECTION_UNKNOWN, 1);
        CHECK(rc == ELECTION_INTERRUPTED || rc == ELECTION_OPERATIONTIMEOUT);
        interrupted += rc == ELECTION_INTERRUPTED;
        CHECK_INT(1, election_is_master(standing, standing_at.text));
        CHECK_INT(ELECTION_OK, open_handle("127.0.0.1:1", NULL, &handle));
        CHECK_INT(ELECTION_OK, close_handle(handle));
        CHECK_INT(ELECTION_BAD_HANDLE, election_interrupt(handle));
        CHECK_INT(ELECTION_OK, election_clear_interrupt(standing));
    }
    CHECK_INT(0, pthread_join(thread, NULL));
    CHECK(interrupted > 0);
    CHECK_INT(ELECTION_OK, election_clear_interrupt(standing));
}

/* Who was interrupted can still write down its state: questions and writes that begin later are carried out. */
static void what_begins_after_an_interrupt_is_carried_out(void)
{
    CHECK_INT(ELECTION_OK, election_interrupt(standing));
    CHECK_INT(ELECTION_OK,
              election_fenced_create(standing, standing_at.text, at("state").text, "v", 1, PATIENCE_MS));
    CHECK_INT(ELECTION_INTERRUPTED, election_wait(standing, standing_at.text, ELECTION_MASTER, 1));
    CHECK_INT(ELECTION_OK, election_clear_interrupt(standing));
    CHECK_INT(ELECTION_OK, election_wait(standing, standing_at.text, ELECTION_MASTER, 1));
}

static void ignore_member(const election_member_t *member, void *ctx)
{
    (void)member;
    (void)ctx;
}

/* A master by a server that answers nothing from now on. */
static election_t *master_that_falls_silent(const char *host)
{
    election_t *handle = open_with(host, SILENT_SESSION_TIMEOUT_MS);
    struct path path = at("silent/be-silent");
    CHECK_INT(ELECTION_OK, go_to_election(handle, silent_at.text, "v", 1, NULL, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_wait(handle, silent_at.text, ELECTION_MASTER, PATIENCE_MS));
    CHECK_INT(ELECTION_OPERATIONTIMEOUT, election_members(handle, path.text, ignore_member, NULL, 1));
    return handle;
}

int main(int argc, char **argv)
{
    election_options_t *options = election_options_new();
    const char *host;
    int left = read_ways(argc, argv);
    CHECK_INT(6, left);
    host = argv[4];
    mute = argv[5];
    hosts = argv[1];
    root = argv[2];
    session_timeout_ms = atoi(argv[3]);
    give_up_after(240);
    other = at("other");
    silent_at = at("silent");
    silent = master_that_falls_silent(host);
    standing_at = at("standing");
    /* Nobody becomes master where one stands who does not go. */
    CHECK_INT(ELECTION_OK, open_handle(hosts, NULL, &standing));
    CHECK_INT(ELECTION_OK, go_to_election(standing, standing_at.text, "v", 1, NULL, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_wait(standing, standing_at.text, ELECTION_MASTER, ELECTION_FOREVER));
    CHECK_INT(ELECTION_OK, election_options_set_dispatch(options, is_loop ? ELECTION_DISPATCH_LOOP : ELECTION_DISPATCH_MANUAL));
    CHECK_INT(ELECTION_OK, election_open("127.0.0.1:1", options, &dispatched));
    election_options_free(options);
    {
        election_t *in_the_way = open_at(hosts);
        CHECK_INT(ELECTION_OK, go_to_election(in_the_way, other.text, "v", 1, NULL, NULL, NULL));
        CHECK_INT(ELECTION_OK, election_wait(in_the_way, other.text, ELECTION_MASTER, PATIENCE_MS));

        a_handler_ends_each_call(0);
        a_handler_ends_each_call(SA_RESTART);
        what_runs_no_handler_ends_nothing();
        an_interrupt_ends_each_call();
        an_interrupt_ends_all_calls_at_once();
        an_interrupt_before_the_call_is_not_lost(0);
        an_interrupt_before_the_call_is_not_lost(SA_RESTART);
        a_handler_may_interrupt_at_any_place();
        what_begins_after_an_interrupt_is_carried_out();
        CHECK_INT(ELECTION_OK, close_handle(in_the_way));
    }
    CHECK_INT(ELECTION_OK, election_close(dispatched));
    CHECK_INT(ELECTION_OK, close_handle(standing));
    /* No server confirms it. */
    CHECK_INT(ELECTION_CONNECTIONLOSS, close_handle(silent));
    return 0;
}
