/* What the header promises of callbacks, of threads and of signals.
 *
 *     callbacks HOSTS ROOT SESSION_TIMEOUT_MS [manual|loop] [instrumented]
 *
 * Under valgrind the threads are valgrind's, so their number and signals are not looked at. */

#define _POSIX_C_SOURCE 200809L

#include "life.h"

/* --- from inside a callback --------------------------------------------------------------------------------- */

static struct record inner, inner_observer, other_record;
static election_t *other;
static int depth;

static void everything(struct record *record, const struct heard *heard)
{
    struct path inner_path = at("inside/inner"), other_path = at("inside/other");
    CHECK_INT(1, ++depth);
    CHECK_INT(ELECTION_IN_CALLBACK, election_close(record->handle));
    CHECK_INT(is_manual ? ELECTION_IN_CALLBACK : ELECTION_NOT_MANUAL, election_dispatch(record->handle, 1000));
    if (heard->role == ELECTION_MASTER) {
        CHECK_INT(1, election_is_master(record->handle, heard->path));
        CHECK_INT(ELECTION_ALREADY, stand(record, heard->path, ""));
        CHECK_INT(ELECTION_OK, stand(&inner, inner_path.text, "inner"));
        CHECK_INT(ELECTION_OK, watch(&inner_observer, inner_path.text));
        CHECK_INT(ELECTION_ALREADY, watch(&inner_observer, inner_path.text));

        /* A handle may be opened here, and another one than that of the callback may be closed. */
        other = open_at(hosts);
        record_init(&other_record, other);
        CHECK_INT(ELECTION_OK, stand(&other_record, other_path.text, "other"));
        CHECK(record_wait(&other_record, 1, 0));
        CHECK_INT(ELECTION_OK, close_handle(other));
        CHECK_INT(1, record_freed(&other_record));

        CHECK_INT(ELECTION_OK, election_resign(record->handle, heard->path));
        CHECK_INT(0, election_is_master(record->handle, heard->path));
        CHECK_INT(ELECTION_NOT_THERE, election_resign(record->handle, heard->path));
        /* Callbacks wait for this one, also those that it caused. */
        sleep_ms(50);
        CHECK_INT(0, record_count(&inner));
    }
    depth--;
}

static void everything_at_free(struct record *record)
{
    CHECK_INT(1, ++depth);
    CHECK_INT(0, election_is_master(record->handle, record->heard[0].path));
    CHECK_INT(ELECTION_IN_CALLBACK, election_close(record->handle));
    /* The candidacy is over, so the next may begin. */
    CHECK_INT(ELECTION_OK, go_to_election(record->handle, record->heard[0].path, NULL, 0, NULL, NULL, NULL));
    depth--;
}

static int is_seen_closing;

static void no_member(const election_member_t *member, void *ctx)
{
    (void)member;
    (void)ctx;
    CHECK(!"a closed handle shows members");
}

/* The last words of a handle: nothing can be done with it any more. */
static void after_the_end(struct record *record, const struct heard *heard)
{
    if (heard->reason == ELECTION_REASON_CLOSED) {
        CHECK_INT(0, election_is_master(record->handle, heard->path));
        CHECK_INT(ELECTION_BAD_HANDLE, stand(record, heard->path, ""));
        CHECK_INT(ELECTION_BAD_HANDLE, watch(record, heard->path));
        CHECK_INT(ELECTION_BAD_HANDLE, election_resign(record->handle, heard->path));
        CHECK_INT(ELECTION_BAD_HANDLE, election_unwatch_master(record->handle, heard->path));
        CHECK_INT(ELECTION_BAD_HANDLE, election_wait(record->handle, heard->path, ELECTION_MASTER, 1000));
        CHECK_INT(ELECTION_BAD_HANDLE, election_fenced_delete(record->handle, heard->path, "/t", -1, 1000));
        CHECK_INT(ELECTION_BAD_HANDLE, election_unwatch_members(record->handle, heard->path));
        CHECK_INT(ELECTION_BAD_HANDLE, election_set_value(record->handle, heard->path, "", 0));
        CHECK_INT(ELECTION_BAD_HANDLE, election_members(record->handle, heard->path, no_member, NULL, 1000));
        CHECK_INT(ELECTION_BAD_HANDLE, election_fd(record->handle));
        CHECK_INT(ELECTION_BAD_HANDLE, election_dispatch(record->handle, 0));
        CHECK_INT(ELECTION_IN_CALLBACK, election_close(record->handle));
        is_seen_closing = 1;
    }
}

static void inside_a_callback(void)
{
    struct path path = at("inside/outer");
    struct path inner_path = at("inside/inner");
    struct record outer;
    election_t *handle = open_at(hosts);
    int64_t until = clock_ms() + PATIENCE_MS;
    record_init(&outer, handle);
    record_init(&inner, handle);
    record_init(&inner_observer, handle);
    outer.then = everything;
    outer.at_free = everything_at_free;
    inner.then = after_the_end;

    CHECK_INT(ELECTION_OK, stand(&outer, path.text, "outer"));
    CHECK(record_wait(&outer, 2, 1));
    expect_role(&outer, 1, path.text, ELECTION_UNKNOWN, ELECTION_REASON_RESIGNED, ELECTION_RESIGNED);
    check_value(expect_master(&inner, 0, inner_path.text), "inner", 5);
    expect_observed(&inner_observer, 0, &inner.heard[0]);
    CHECK_INT(1, election_is_master(handle, inner_path.text));
    while (!election_is_master(handle, path.text)) {
        CHECK(clock_ms() < until);
        sleep_ms(5);
    }

    CHECK_INT(ELECTION_OK, close_handle(handle));
    CHECK_INT(1, is_seen_closing);
    CHECK_INT(2, record_count(&outer));
    CHECK_INT(1, record_freed(&outer));
    expect_end(&inner, 1, inner_path.text, ELECTION_REASON_CLOSED, ELECTION_CLOSING);
    CHECK_INT(1, record_freed(&inner_observer));
    record_done(&outer);
    record_done(&inner);
    record_done(&inner_observer);
    record_done(&other_record);
}

/* --- a callback that takes long ----------------------------------------------------------------------------- */

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_news = PTHREAD_COND_INITIALIZER;
static int is_at_gate, is_gate_open;

static void wait_at_gate(struct record *record, const struct heard *heard)
{
    (void)record;
    if (heard->role != ELECTION_MASTER)
        return;
    pthread_mutex_lock(&gate);
    is_at_gate = 1;
    pthread_cond_broadcast(&gate_news);
    while (!is_gate_open)
        pthread_cond_wait(&gate_news, &gate);
    pthread_mutex_unlock(&gate);
}

static void wait_until_blocked(void)
{
    pthread_mutex_lock(&gate);
    while (!is_at_gate)
        pthread_cond_wait(&gate_news, &gate);
    pthread_mutex_unlock(&gate);
}

static void open_gate(void)
{
    pthread_mutex_lock(&gate);
    is_gate_open = 1;
    pthread_cond_broadcast(&gate_news);
    pthread_mutex_unlock(&gate);
}

/* It takes longer than a session timeout. A busy machine may then be cut off from the server for a moment; as long as that
 * is over within the lease, nobody is told, and nobody hears a no. */
static void a_callback_that_takes_long(void)
{
    struct path path = at("long/steady"), blocked_path = at("long/blocked");
    int times_asked = 0, times_master = 0;
    election_t *handle = open_at(hosts), *rival = open_at(hosts);
    struct record steady, blocked, late, rival_record;
    int64_t token, from, longest = 0, started_at;
    record_init(&steady, handle);
    record_init(&blocked, handle);
    record_init(&late, handle);
    record_init(&rival_record, rival);
    is_at_gate = is_gate_open = 0;
    blocked.then = wait_at_gate;

    CHECK_INT(ELECTION_OK, stand(&steady, path.text, "steady"));
    token = expect_master(&steady, 0, path.text)->token;
    CHECK_INT(ELECTION_OK, stand(&rival_record, path.text, "rival"));
    expect_slave(&rival_record, 0, path.text);
    CHECK_INT(ELECTION_OK, stand(&blocked, blocked_path.text, "blocked"));
    wait_until_blocked();

    /* Verbs do not wait for it, and what they bring about may pile up behind it. */
    for (int i = 0; i < 20; i++) {
        from = clock_ms();
        CHECK_INT(ELECTION_OK, watch_master(handle, path.text, hear_master, &late, NULL));
        CHECK_INT(ELECTION_OK, election_unwatch_master(handle, path.text));
        if (clock_ms() - from > longest)
            longest = clock_ms() - from;
    }
    CHECK(longest < session_timeout_ms);

    started_at = clock_ms();
    while (clock_ms() - started_at < (int64_t)session_timeout_ms * 3 / 2) {
        times_asked++;
        times_master += election_is_master(handle, path.text) && election_is_master(handle, blocked_path.text);
        sleep_ms(20);
    }
    CHECK_INT(times_asked, times_master);
    CHECK(times_asked > 0);
    CHECK_INT(0, record_count(&late));
    CHECK_INT(1, record_count(&steady));
    CHECK_INT(1, record_count(&rival_record));
    CHECK_INT(token, rival_record.heard[0].token);

    open_gate();
    CHECK(record_wait(&blocked, 1, 0));
    CHECK_INT(ELECTION_OK, election_resign(handle, blocked_path.text));
    CHECK(record_wait(&blocked, 2, 1));
    expect_end(&blocked, 1, blocked_path.text, ELECTION_REASON_RESIGNED, ELECTION_RESIGNED);
    CHECK_INT(1, record_count(&steady));
    CHECK_INT(ELECTION_OK, close_handle(handle));
    expect_end(&steady, 1, path.text, ELECTION_REASON_CLOSED, ELECTION_CLOSING);
    CHECK(expect_master(&rival_record, 1, path.text)->token > token);
    CHECK_INT(ELECTION_OK, close_handle(rival));
    record_done(&steady);
    record_done(&blocked);
    record_done(&late);
    record_done(&rival_record);
}

static int closes_over;

static void *close_in_a_thread(void *handle)
{
    CHECK_INT(ELECTION_OK, close_handle(handle));
    pthread_mutex_lock(&gate);
    closes_over++;
    pthread_mutex_unlock(&gate);
    return NULL;
}

static void close_waits_for_a_callback_that_runs(void)
{
    struct path path = at("close-waits");
    election_t *handle = open_at(hosts);
    struct record record;
    pthread_t closers[2];
    int over;
    record_init(&record, handle);
    is_at_gate = is_gate_open = closes_over = 0;
    record.then = wait_at_gate;
    CHECK_INT(ELECTION_OK, stand(&record, path.text, ""));
    wait_until_blocked();
    /* The second one waits for the first, and hears the same. */
    for (int i = 0; i < 2; i++)
        CHECK_INT(0, pthread_create(&closers[i], NULL, close_in_a_thread, handle));
    /* Longer than the 2 s for the server, which are no limit for the callback. */
    sleep_ms(3000);
    pthread_mutex_lock(&gate);
    over = closes_over;
    pthread_mutex_unlock(&gate);
    CHECK_INT(0, over);
    CHECK_INT(0, record_freed(&record));
    /* Meanwhile the handle is closed for everybody. */
    CHECK_INT(ELECTION_BAD_HANDLE, election_resign(handle, path.text));
    CHECK_INT(ELECTION_OPERATIONTIMEOUT, election_wait_finished(handle, 1));
    open_gate();
    for (int i = 0; i < 2; i++)
        CHECK_INT(0, pthread_join(closers[i], NULL));
    expect_end(&record, 1, path.text, ELECTION_REASON_CLOSED, ELECTION_CLOSING);
    record_done(&record);
}

/* --- many threads, one handle ------------------------------------------------------------------------------- */

struct crowd {
    pthread_mutex_t lock;
    election_t *handle;
    struct path path;
    int rounds[3];
    int accepted;
    int freed;
};

static void count_free(void *ctx)
{
    struct crowd *crowd = ctx;
    pthread_mutex_lock(&crowd->lock);
    crowd->freed++;
    pthread_mutex_unlock(&crowd->lock);
}

static void count_round(struct crowd *crowd, int who, int accepted)
{
    pthread_mutex_lock(&crowd->lock);
    crowd->rounds[who]++;
    crowd->accepted += accepted;
    pthread_mutex_unlock(&crowd->lock);
}

static void *ask_on_and_on(void *ctx)
{
    struct crowd *crowd = ctx;
    while (election_resign(crowd->handle, "/nobody/stands/here") == ELECTION_NOT_THERE) {
        int answer = election_is_master(crowd->handle, crowd->path.text);
        CHECK(answer == 0 || answer == 1);
        count_round(crowd, 0, 0);
    }
    CHECK_INT(0, election_is_master(crowd->handle, crowd->path.text));
    return NULL;
}

static void *stand_on_and_on(void *ctx)
{
    struct crowd *crowd = ctx;
    for (;;) {
        int rc = go_to_election(crowd->handle, crowd->path.text, NULL, 0, NULL, crowd, count_free);
        count_round(crowd, 1, rc == ELECTION_OK);
        if (rc == ELECTION_OK)
            rc = election_resign(crowd->handle, crowd->path.text);
        if (rc != ELECTION_OK) {
            CHECK_INT(ELECTION_BAD_HANDLE, rc);
            return NULL;
        }
    }
}

static void ignore_master(const election_master_t *master, void *ctx)
{
    (void)master;
    (void)ctx;
}

static void *watch_on_and_on(void *ctx)
{
    struct crowd *crowd = ctx;
    for (;;) {
        int rc = watch_master(crowd->handle, crowd->path.text, ignore_master, crowd, count_free);
        count_round(crowd, 2, rc == ELECTION_OK);
        if (rc == ELECTION_OK)
            rc = election_unwatch_master(crowd->handle, crowd->path.text);
        if (rc != ELECTION_OK) {
            CHECK_INT(ELECTION_BAD_HANDLE, rc);
            return NULL;
        }
    }
}

static void closed_while_in_use(void)
{
    static struct crowd crowd;
    pthread_t threads[3];
    int64_t until = clock_ms() + PATIENCE_MS;
    int is_warm = 0, is_all_freed = 0;
    pthread_mutex_init(&crowd.lock, NULL);
    crowd.handle = open_at(hosts);
    crowd.path = at("crowd");
    CHECK_INT(0, pthread_create(&threads[0], NULL, ask_on_and_on, &crowd));
    CHECK_INT(0, pthread_create(&threads[1], NULL, stand_on_and_on, &crowd));
    CHECK_INT(0, pthread_create(&threads[2], NULL, watch_on_and_on, &crowd));
    while (!is_warm) {
        CHECK(clock_ms() < until);
        sleep_ms(5);
        pthread_mutex_lock(&crowd.lock);
        is_warm = crowd.rounds[0] > 50 && crowd.rounds[1] > 50 && crowd.rounds[2] > 50;
        pthread_mutex_unlock(&crowd.lock);
    }
    CHECK_INT(ELECTION_OK, close_handle(crowd.handle));
    for (int i = 0; i < 3; i++)
        CHECK_INT(0, pthread_join(threads[i], NULL));
    while (!is_all_freed) {
        CHECK(clock_ms() < until);
        pthread_mutex_lock(&crowd.lock);
        CHECK(crowd.freed <= crowd.accepted);
        is_all_freed = crowd.freed == crowd.accepted;
        pthread_mutex_unlock(&crowd.lock);
        sleep_ms(5);
    }
    pthread_mutex_destroy(&crowd.lock);
}

/* --- threads and signals ------------------------------------------------------------------------------------ */

static int is_signal_mask_seen;

static void look_at_signals(struct record *record, const struct heard *heard)
{
    sigset_t blocked;
    (void)record;
    (void)heard;
    __atomic_store_n(&is_signal_mask_seen, 1, __ATOMIC_RELAXED);
    if (is_manual) /* the thread is the program's own */
        return;
    /* That of the thread that opened the handle. */
    CHECK_INT(0, pthread_sigmask(SIG_SETMASK, NULL, &blocked));
    for (int number = 1; number < 32; number++)
        CHECK_INT(0, sigismember(&blocked, number));
}

static void threads_and_signals(void)
{
    struct path path = at("threads");
    election_t *handle = open_at(hosts);
    struct record record;
    sigset_t blocked;
    record_init(&record, handle);
    record.then = look_at_signals;
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "me"));
    expect_master(&record, 0, path.text);
    CHECK_INT(1, __atomic_load_n(&is_signal_mask_seen, __ATOMIC_RELAXED));
    if (!is_instrumented) {
        /* This one, the I/O thread, which there is not in loop mode, and the one for callbacks: the program's own with manual
         * dispatch and in loop mode. */
        CHECK_INT(is_loop ? 2 : 3, check_signals_and_count_threads());
    }
    CHECK_INT(ELECTION_OK, close_handle(handle));
    record_done(&record);

    /* The caller's own mask is as it was. */
    CHECK_INT(0, pthread_sigmask(SIG_SETMASK, NULL, &blocked));
    for (int number = 1; number < 32; number++)
        CHECK_INT(0, sigismember(&blocked, number));
}

static void handles_leave_no_threads(void)
{
    election_t *handles[5];
    int64_t until = clock_ms() + PATIENCE_MS;
    int before;
    if (is_instrumented)
        return;
    before = check_signals_and_count_threads();
    for (int i = 0; i < 5; i++)
        handles[i] = open_at(hosts);
    CHECK(check_signals_and_count_threads() <= before + 5);
    for (int i = 0; i < 5; i++)
        CHECK_INT(ELECTION_OK, close_handle(handles[i]));
    while (check_signals_and_count_threads() > before) {
        CHECK(clock_ms() < until);
        sleep_ms(10);
    }
}

typedef void handler(int);

/* What a signal does; a program may have been started with some of them ignored. */
static handler *handler_of(int number)
{
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 ? action.sa_handler : SIG_DFL;
}

int main(int argc, char **argv)
{
    handler *handlers[32];
    read_arguments(argc, argv);
    for (int number = 1; number < 32; number++)
        handlers[number] = handler_of(number);
    threads_and_signals();
    inside_a_callback();
    closed_while_in_use();
    close_waits_for_a_callback_that_runs();
    /* In loop mode it would delay the session, too: see program_loop.c. */
    if (!is_loop)
        a_callback_that_takes_long();
    handles_leave_no_threads();
    for (int number = 1; number < 32; number++)
        CHECK(handler_of(number) == handlers[number]);
    return 0;
}
