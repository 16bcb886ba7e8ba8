/* What the C programs of this folder share: checks that name their line, a record of what callbacks heard, and the three
 * ways in which callbacks run: on the library's thread, in a loop of the program's own with poll on election_fd, and in
 * such a loop that does the work of the session as well.
 *
 * A program that succeeds says nothing at all. So whatever the library might print is noticed. */

#ifndef CHECK_H
#define CHECK_H

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "election.h"

/* For what comes in milliseconds on an idle machine, and must come. */
#define PATIENCE_MS 30000

/* Where the program is, whichever of its threads came last; tells what hangs. */
static int line_reached;

/* A helper that checks is called by a macro of its name, so that a failure in it also says from where. */
static int called_from;

/* All threads write these. */
#define NOTE_LINE(note) __atomic_store_n(&(note), __LINE__, __ATOMIC_RELAXED)
#define NOTED_LINE(note) __atomic_load_n(&(note), __ATOMIC_RELAXED)

#define FROM_HERE(call) (NOTE_LINE(called_from), call)

static inline void fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: does not hold: %s (helper last called from line %d)\n", file, line, what,
            NOTED_LINE(called_from));
    _exit(1);
}

static inline void fail_int(const char *file, int line, const char *what, long long expected, long long got)
{
    fprintf(stderr, "%s:%d: %s is %lld, not %lld (helper last called from line %d)\n", file, line, what, got,
            expected, NOTED_LINE(called_from));
    _exit(1);
}

#define CHECK(what)                              \
    do {                                         \
        NOTE_LINE(line_reached);                 \
        if (!(what))                             \
            fail(__FILE__, __LINE__, #what);     \
    } while (0)

#define CHECK_INT(expected, what)                                            \
    do {                                                                     \
        long long got_;                                                      \
        NOTE_LINE(line_reached);                                             \
        got_ = (long long)(what);                                            \
        if (got_ != (long long)(expected))                                   \
            fail_int(__FILE__, __LINE__, #what, (long long)(expected), got_); \
    } while (0)

static inline void is_stuck(int signal_number)
{
    char text[] = "stuck after line 00000\n";
    long line = NOTED_LINE(line_reached);
    (void)signal_number;
    for (size_t digit = sizeof text - 3; text[digit] == '0'; digit--, line /= 10)
        text[digit] = (char)('0' + line % 10);
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        _exit(3);
    _exit(2);
}

/* Ends the program, and says where it was, when it is not over by then. */
static inline void give_up_after(unsigned seconds)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = is_stuck;
    sigaction(SIGALRM, &action, NULL);
    alarm(seconds);
}

static inline int64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline void sleep_ms(int ms)
{
    struct timespec pause = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

/* What one callback was told: an election_event_t, or an election_master_t. */
struct heard {
    size_t size;
    char path[256];
    int role;
    int reason;
    int rc;
    char *value;
    size_t value_len;
    int64_t token;
    int64_t session_id;
    int64_t since_ms;
    /* What election_is_master said inside the callback. */
    int is_master;
    pthread_t thread;
};

#define HEARD_MAX 32

/* The ctx of one go_to_election or watch_master. */
struct record {
    pthread_mutex_t lock;
    pthread_cond_t news;
    election_t *handle;
    struct heard heard[HEARD_MAX];
    int count;
    int freed;
    pthread_t freeing_thread;
    /* More to do inside the callback, and inside free_ctx; may be NULL. */
    void (*then)(struct record *record, const struct heard *heard);
    void (*at_free)(struct record *record);
};

static inline void record_init(struct record *record, election_t *handle)
{
    memset(record, 0, sizeof *record);
    pthread_mutex_init(&record->lock, NULL);
    pthread_cond_init(&record->news, NULL);
    /* The first callback reads it. */
    pthread_mutex_lock(&record->lock);
    record->handle = handle;
    pthread_mutex_unlock(&record->lock);
}

static inline election_t *record_handle(struct record *record)
{
    election_t *handle;
    pthread_mutex_lock(&record->lock);
    handle = record->handle;
    pthread_mutex_unlock(&record->lock);
    return handle;
}

static inline void record_done(struct record *record)
{
    for (int i = 0; i < record->count; i++)
        free(record->heard[i].value);
    pthread_mutex_destroy(&record->lock);
    pthread_cond_destroy(&record->news);
}

static inline void record_add(struct record *record, struct heard heard, const char *path, const char *value)
{
    struct heard *kept;
    CHECK(path != NULL && strlen(path) < sizeof heard.path);
    CHECK(value != NULL);
    CHECK_INT(0, value[heard.value_len]);
    strcpy(heard.path, path);
    heard.value = malloc(heard.value_len + 1);
    CHECK(heard.value != NULL);
    memcpy(heard.value, value, heard.value_len + 1);
    heard.thread = pthread_self();

    pthread_mutex_lock(&record->lock);
    CHECK_INT(0, record->freed);
    CHECK(record->count < HEARD_MAX);
    kept = &record->heard[record->count];
    *kept = heard;
    pthread_mutex_unlock(&record->lock);

    if (record->then != NULL)
        record->then(record, kept);

    pthread_mutex_lock(&record->lock);
    record->count++;
    pthread_cond_broadcast(&record->news);
    pthread_mutex_unlock(&record->lock);
}

/* An election_role_fn. */
static inline void hear_role(const election_event_t *event, void *ctx)
{
    struct record *record = ctx;
    struct heard heard;
    memset(&heard, 0, sizeof heard);
    heard.size = event->size;
    heard.role = event->role;
    heard.reason = event->reason;
    heard.rc = event->rc;
    heard.value_len = event->value_len;
    heard.token = event->token;
    heard.is_master = election_is_master(record_handle(record), event->path);
    record_add(record, heard, event->path, event->value);
}

/* An election_master_fn. */
static inline void hear_master(const election_master_t *master, void *ctx)
{
    struct heard heard;
    memset(&heard, 0, sizeof heard);
    heard.size = master->size;
    heard.rc = master->rc;
    heard.value_len = master->value_len;
    heard.token = master->token;
    heard.session_id = master->session_id;
    heard.since_ms = master->since_ms;
    record_add(ctx, heard, master->path, master->value);
}

/* An election_free_fn. */
static inline void hear_free(void *ctx)
{
    struct record *record = ctx;
    if (record->at_free != NULL)
        record->at_free(record);
    pthread_mutex_lock(&record->lock);
    record->freed++;
    record->freeing_thread = pthread_self();
    pthread_cond_broadcast(&record->news);
    pthread_mutex_unlock(&record->lock);
}

static inline int record_count(struct record *record)
{
    int count;
    pthread_mutex_lock(&record->lock);
    count = record->count;
    pthread_mutex_unlock(&record->lock);
    return count;
}

static inline int record_freed(struct record *record)
{
    int freed;
    pthread_mutex_lock(&record->lock);
    freed = record->freed;
    pthread_mutex_unlock(&record->lock);
    return freed;
}

/* Waits until so many callbacks were heard, and free_ctx so many times; says whether that came. */
static inline int record_wait(struct record *record, int count, int freed)
{
    struct timespec until;
    int came;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_MS / 1000;
    pthread_mutex_lock(&record->lock);
    while (record->count < count || record->freed < freed)
        if (pthread_cond_timedwait(&record->news, &record->lock, &until) != 0)
            break;
    came = record->count >= count && record->freed >= freed;
    pthread_mutex_unlock(&record->lock);
    return came;
}

/* --- the three ways ----------------------------------------------------------------------------------------- */

/* The last arguments of a program: how it is to be run. "manual": callbacks run where the program dispatches them. "loop":
 * the same, and the handle has no thread at all. "instrumented": by valgrind, whose threads and signals these then are, and
 * which is slow. */
static int is_manual, is_loop, is_instrumented;

/* The number of election_dispatch_t. */
static inline int dispatch_way(void)
{
    return is_loop ? ELECTION_DISPATCH_LOOP : is_manual ? ELECTION_DISPATCH_MANUAL : ELECTION_DISPATCH_THREAD;
}

/* Takes them off the arguments. */
static inline int read_ways(int argc, char **argv)
{
    for (; argc > 1; argc--) {
        if (strcmp(argv[argc - 1], "manual") == 0)
            is_manual = 1;
        else if (strcmp(argv[argc - 1], "loop") == 0)
            is_manual = is_loop = 1;
        else if (strcmp(argv[argc - 1], "instrumented") == 0)
            is_instrumented = 1;
        else
            break;
    }
    return argc;
}

/* The loop of one handle: a thread that polls its descriptor and dispatches. A callback that blocks, or that waits for
 * another handle's, holds up nobody else. */
struct loop {
    election_t *handle;
    pthread_t thread;
    int fd;
    int is_used;
    int is_over;
};

#define LOOPS_MAX 32
static struct loop loops[LOOPS_MAX];
static pthread_mutex_t loops_lock = PTHREAD_MUTEX_INITIALIZER;

static inline int loop_is_over(struct loop *loop)
{
    int is_over;
    pthread_mutex_lock(&loops_lock);
    is_over = loop->is_over;
    pthread_mutex_unlock(&loops_lock);
    return is_over;
}

static inline void *loop_run(void *ctx)
{
    struct loop *loop = ctx;
    struct pollfd waiting = {loop->fd, POLLIN, 0};
    sigset_t all;
    sigfillset(&all);
    CHECK_INT(0, pthread_sigmask(SIG_SETMASK, &all, NULL));
    while (!loop_is_over(loop)) {
        if (poll(&waiting, 1, 20) > 0) {
            int told = election_dispatch(loop->handle, 0);
            CHECK(told >= 0 || told == ELECTION_BAD_HANDLE);
        }
    }
    return NULL;
}

/* Opens a handle in the way that the program was told. `options` may be NULL, as for election_open. */
static inline int open_handle(const char *hosts, election_options_t *options, election_t **handle)
{
    election_options_t *ours = options != NULL ? options : election_options_new();
    struct loop *loop = loops;
    int rc;
    CHECK_INT(ELECTION_OK, election_options_set_dispatch(ours, dispatch_way()));
    rc = election_open(hosts, ours, handle);
    if (options == NULL)
        election_options_free(ours);
    if (rc != ELECTION_OK || !is_manual)
        return rc;
    pthread_mutex_lock(&loops_lock);
    while (loop->is_used)
        CHECK(++loop < loops + LOOPS_MAX);
    loop->is_used = 1;
    loop->is_over = 0;
    loop->handle = *handle;
    loop->fd = election_fd(*handle);
    CHECK(loop->fd >= 0);
    CHECK_INT(0, pthread_create(&loop->thread, NULL, loop_run, loop));
    pthread_mutex_unlock(&loops_lock);
    return rc;
}

/* Closes a handle; its loop is told before that its descriptor is not to be polled any more. */
static inline int close_handle(election_t *handle)
{
    struct loop *loop = NULL;
    int rc;
    pthread_mutex_lock(&loops_lock);
    for (int i = 0; i < LOOPS_MAX; i++)
        if (loops[i].is_used && !loops[i].is_over && loops[i].handle == handle)
            loop = &loops[i];
    if (loop != NULL)
        loop->is_over = 1;
    pthread_mutex_unlock(&loops_lock);
    rc = election_close(handle);
    if (loop != NULL) {
        CHECK_INT(0, pthread_join(loop->thread, NULL));
        pthread_mutex_lock(&loops_lock);
        loop->is_used = 0;
        pthread_mutex_unlock(&loops_lock);
    }
    return rc;
}

/* The threads of this process by the name. */
static inline int count_threads_named(const char *name)
{
    int count = 0;
    struct dirent *entry;
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks != NULL);
    while ((entry = readdir(tasks)) != NULL) {
        char path[300], line[64] = "";
        FILE *comm;
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        comm = fopen(path, "r");
        if (comm == NULL)
            continue;
        if (fgets(line, sizeof line, comm) != NULL)
            line[strcspn(line, "\n")] = 0;
        fclose(comm);
        count += strcmp(line, name) == 0;
    }
    closedir(tasks);
    return count;
}

/* Faults of an instruction: no thread of the library's blocks them. */
static inline int is_fault(int number)
{
    return number == SIGSEGV || number == SIGBUS || number == SIGFPE || number == SIGILL || number == SIGTRAP ||
           number == SIGSYS;
}

/* The signals that a thread of this process blocks. Returns 0 if the thread has ended. */
static inline int read_blocked_signals(long task, unsigned long long *blocked)
{
    char path[64], line[256];
    FILE *status;
    int is_read = 0;
    snprintf(path, sizeof path, "/proc/self/task/%ld/status", task);
    status = fopen(path, "r");
    if (status == NULL)
        return 0;
    while (!is_read && fgets(line, sizeof line, status) != NULL)
        is_read = sscanf(line, "SigBlk: %llx", blocked) == 1;
    fclose(status);
    return is_read;
}

/* The first signal that such a thread would take and must not, or 0. */
static inline int first_unblocked(unsigned long long blocked)
{
    for (int number = 1; number <= 64; number++) {
        /* Two that nobody can block, and two that belong to the C library. */
        int is_exempt = number == SIGKILL || number == SIGSTOP || number == 32 || number == 33 || is_fault(number);
        if (!is_exempt && (blocked >> (number - 1) & 1) == 0)
            return number;
    }
    return 0;
}

/* The threads of this process but the main one must have every signal blocked that can be, but faults. Those of the tests
 * themselves block all. A callback runs with the program's signals, and may be about to return, so this waits for it.
 * Returns how many threads there are in all. */
static inline int check_signals_and_count_threads(void)
{
    int count = 0;
    int64_t until = clock_ms() + PATIENCE_MS;
    struct dirent *entry;
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks != NULL);
    while ((entry = readdir(tasks)) != NULL) {
        long task = atol(entry->d_name);
        unsigned long long blocked;
        /* A thread may end after it was listed. */
        int is_there = task > 0 && read_blocked_signals(task, &blocked);
        while (is_there && task != (long)getpid() && first_unblocked(blocked) != 0) {
            if (clock_ms() > until) {
                fprintf(stderr, "thread %ld would take signal %d\n", task, first_unblocked(blocked));
                _exit(1);
            }
            sleep_ms(1);
            is_there = read_blocked_signals(task, &blocked);
        }
        count += is_there;
    }
    closedir(tasks);
    return count;
}

#endif
