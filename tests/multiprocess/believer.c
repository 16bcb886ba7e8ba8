/* A candidate that does nothing but ask whether it is master, and writes down what it was told and when.
 *
 *     believer HOSTS PATH VALUE LOG [NAME=NUMBER ...] [fence=ZNODE]
 *
 * With hold_master=1 the callback that says master does not return before the first question after a stop, so that no other
 * callback can run before it.
 *
 * Its main thread asks every millisecond, or every pause_us. It appends lines to LOG, each by one write, so that
 * neither SIGSTOP nor SIGKILL loses one; all stamps are nanoseconds on CLOCK_MONOTONIC, taken before and after:
 *
 *     Y BEFORE AFTER BOOTTIME TOKEN LEFT   master: the first such answer, one each millisecond, and the last
 *     N BEFORE AFTER                       not master any more
 *     W BEFORE AFTER                       between two questions was a long time: the process was stopped
 *     Q BEFORE AFTER ANSWER                the question during which, or after which, that was seen, and the next ones
 *     C STAMP ROLE REASON RC TOKEN         the callback
 *     F BEFORE AFTER RC WHAT               a fenced write
 *     E STAMP RC                           closed
 *
 * Its standard input takes one word a line: resign, stand, close; or create, set, delete and a znode. */

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "election.h"

#define PAUSE_NS 300000000
#define HEARTBEAT_NS 1000000
#define QUESTIONS_AFTER_A_PAUSE 3
#define FENCED_TIMEOUT_MS 20000

static int log_file;
static election_t *handle;
static const char *path, *value, *fence;
static int hold_master;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t woke = PTHREAD_COND_INITIALIZER;
static int stops;

static int64_t stamp(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void note(const char *format, ...)
{
    char line[512];
    va_list arguments;
    int len;
    va_start(arguments, format);
    len = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (len < 0 || len >= (int)sizeof line || write(log_file, line, (size_t)len) != len)
        abort();
}

static void must(int rc, const char *what)
{
    if (rc != ELECTION_OK) {
        fprintf(stderr, "%s: %d, %s\n", what, rc, election_strerror(rc));
        exit(1);
    }
}

static void on_role(const election_event_t *event, void *ctx)
{
    (void)ctx;
    note("C %" PRId64 " %d %d %d %" PRId64 "\n", stamp(CLOCK_MONOTONIC), (int)event->role, (int)event->reason,
         event->rc, event->token);
    if (hold_master && event->role == ELECTION_MASTER) {
        pthread_mutex_lock(&lock);
        for (int before = stops; stops == before;)
            pthread_cond_wait(&woke, &lock);
        pthread_mutex_unlock(&lock);
    }
}

static void let_callbacks_go(void)
{
    pthread_mutex_lock(&lock);
    stops++;
    pthread_cond_broadcast(&woke);
    pthread_mutex_unlock(&lock);
}

static void stand(void)
{
    must(go_to_election(handle, path, value, strlen(value), on_role, NULL, NULL), "go_to_election");
}

static void write_fenced(const char *how, const char *target)
{
    int64_t before = stamp(CLOCK_MONOTONIC);
    int rc;
    if (strcmp(how, "create") == 0)
        rc = election_fenced_create(handle, path, target, value, strlen(value), FENCED_TIMEOUT_MS);
    else if (strcmp(how, "set") == 0)
        rc = election_fenced_set(handle, path, target, value, strlen(value), -1, FENCED_TIMEOUT_MS);
    else
        rc = election_fenced_delete(handle, path, target, -1, FENCED_TIMEOUT_MS);
    note("F %" PRId64 " %" PRId64 " %d %s\n", before, stamp(CLOCK_MONOTONIC), rc, how);
}

static void *obey(void *unused)
{
    char line[256], verb[16], target[200];
    (void)unused;
    while (fgets(line, sizeof line, stdin) != NULL) {
        int words = sscanf(line, "%15s %199s", verb, target);
        if (words == 2)
            write_fenced(verb, target);
        else if (words == 1 && strcmp(verb, "resign") == 0)
            must(election_resign(handle, path), "election_resign");
        else if (words == 1 && strcmp(verb, "stand") == 0)
            stand();
        else if (words == 1 && strcmp(verb, "close") == 0) {
            int rc = election_close(handle);
            note("E %" PRId64 " %d\n", stamp(CLOCK_MONOTONIC), rc);
        }
    }
    return NULL;
}

static void ask_for_ever(int pause_us)
{
    int64_t former_after = stamp(CLOCK_MONOTONIC), last_noted = 0;
    int64_t token = 0, left = 0, boot = 0, yes_before = 0, yes_after = 0;
    int believes = 0, last_is_noted = 1, to_note = 0;
    struct timespec pause = {0, pause_us * 1000L};
    for (;;) {
        int64_t before, after, now_boot, now_token = 0, now_left = 0;
        int yes;
        now_boot = stamp(CLOCK_BOOTTIME);
        before = stamp(CLOCK_MONOTONIC);
        yes = election_lease(handle, path, &now_token, &now_left);
        after = stamp(CLOCK_MONOTONIC);

        if (believes && (!yes || now_token != token)) {
            if (!last_is_noted)
                note("Y %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 "\n", yes_before, yes_after, boot,
                     token, left);
            note("N %" PRId64 " %" PRId64 "\n", before, after);
            believes = 0;
        }
        if (after - former_after > PAUSE_NS) {
            note("W %" PRId64 " %" PRId64 "\n", former_after, after);
            to_note = QUESTIONS_AFTER_A_PAUSE;
        }
        if (to_note > 0)
            note("Q %" PRId64 " %" PRId64 " %d\n", before, after, yes);
        if (to_note == QUESTIONS_AFTER_A_PAUSE - 1) {
            let_callbacks_go();
            if (fence != NULL)
                write_fenced("set", fence);
        }
        if (to_note > 0)
            to_note--;
        if (yes) {
            yes_before = before;
            yes_after = after;
            boot = now_boot;
            token = now_token;
            left = now_left;
            last_is_noted = !believes || after - last_noted >= HEARTBEAT_NS;
            if (last_is_noted) {
                note("Y %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 "\n", before, after, boot, token, left);
                last_noted = after;
            }
            believes = 1;
        }
        former_after = after;
        nanosleep(&pause, NULL);
    }
}

int main(int argc, char **argv)
{
    election_options_t *options = election_options_new();
    pthread_t thread;
    int pause_us = 1000;
    if (argc < 5 || options == NULL)
        return 2;
    path = argv[2];
    value = argv[3];
    log_file = open(argv[4], O_WRONLY | O_APPEND);
    if (log_file < 0)
        return 2;
    for (int i = 5; i < argc; i++) {
        char name[32] = "";
        int number = 0;
        if (strncmp(argv[i], "fence=", 6) == 0) {
            fence = argv[i] + 6;
            continue;
        }
        if (sscanf(argv[i], "%31[a-z_]=%d", name, &number) != 2)
            return 2;
        if (strcmp(name, "pause_us") == 0)
            pause_us = number;
        else if (strcmp(name, "hold_master") == 0)
            hold_master = number;
        else if (strcmp(name, "session_timeout_ms") == 0)
            must(election_options_set_session_timeout_ms(options, number), argv[i]);
        else if (strcmp(name, "recipe") == 0)
            must(election_options_set_recipe(options, number), argv[i]);
        else if (strcmp(name, "tick_ms") == 0)
            must(election_options_set_tick_ms(options, number), argv[i]);
        else if (strcmp(name, "lease_mode") == 0)
            must(election_options_set_lease_mode(options, number), argv[i]);
        else
            return 2;
    }
    must(election_open(argv[1], options, &handle), "election_open");
    election_options_free(options);
    stand();
    if (pthread_create(&thread, NULL, obey, NULL) != 0)
        return 2;
    ask_for_ever(pause_us);
}
