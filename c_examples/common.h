/*
 * common.h - the code that the C and C++ examples share: opening a handle, printing, and the bell that wakes main.
 *
 * C99 and C++11, POSIX. Include it first: it makes the system headers declare POSIX. Each example is one
 * source file with this header, so every function here is static.
 */
#ifndef COMMON_H
#define COMMON_H

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <election.h>

/* The exit codes of the examples. */
enum {
    EXIT_DONE = 0,   /* success */
    EXIT_NOBODY = 1, /* watch --once: no master */
    EXIT_USAGE = 2,  /* the command line is wrong */
    EXIT_TROUBLE = 3 /* ZooKeeper, the library or the system failed */
};

/* ---- Opening ------------------------------------------------------------------------------------------- */

/* Open a handle with the two options that most programs set. Returns the result of the first call that fails. */
static inline int open_handle(const char *hosts, int session_timeout_ms, int connect_timeout_ms,
                              election_t **handle)
{
    election_options_t *options = election_options_new();
    int rc = election_options_set_session_timeout_ms(options, session_timeout_ms);
    if (rc == ELECTION_OK)
        rc = election_options_set_connect_timeout_ms(options, connect_timeout_ms);
    if (rc == ELECTION_OK)
        rc = election_open(hosts, options, handle);
    election_options_free(options);
    return rc;
}

/* Print on stderr that `what` failed. Returns the exit code: the command line is the cause of the BAD_ errors. */
static inline int complain(const char *what, int rc)
{
    fprintf(stderr, "%s: %s\n", what, election_strerror(rc));
    return rc <= ELECTION_BAD_HANDLE && rc >= ELECTION_BAD_RECIPE ? EXIT_USAGE : EXIT_TROUBLE;
}

/* Read a whole number, 0 or more, of an option. Exits if `text` is not such a number. */
static inline int number(const char *option, const char *text)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || value < 0 || value > INT_MAX) {
        fprintf(stderr, "%s: not a number: %s\n", option, text);
        exit(EXIT_USAGE);
    }
    return (int)value;
}

/* ---- The bell: a pipe. Signal handlers and callbacks write to it ("ring"); the main thread reads it ----- */

static int bell[2] = {-1, -1};

/* A signal handler rings with the number of the signal. A callback may also ring with one of these. */
enum {
    BELL_ROLE = 'R',  /* the role may have changed */
    BELL_DONE = 'D',  /* the answer has come */
    BELL_FAILED = 'F' /* the library failed: no more events come */
};

/* Ring: wake the main thread with a signal's number or one of the above. Async-signal-safe; never blocks. */
static inline void bell_ring(int what)
{
    int saved_errno = errno;
    unsigned char byte = (unsigned char)what;
    ssize_t written = write(bell[1], &byte, 1);
    (void)written; /* a full pipe also wakes the main thread */
    errno = saved_errno;
}

/* Let a signal ring the bell. */
static inline void bell_on_signal(int signal_number)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = bell_ring;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(signal_number, &action, NULL);
}

/* Make the bell, and let SIGINT and SIGTERM ring it. Exits if no pipe can be made. */
static inline void bell_hang(void)
{
    if (pipe(bell) != 0) {
        perror("pipe");
        exit(EXIT_TROUBLE);
    }
    for (int end = 0; end < 2; end++) {
        fcntl(bell[end], F_SETFD, FD_CLOEXEC);
        fcntl(bell[end], F_SETFL, O_NONBLOCK);
    }
    bell_on_signal(SIGINT);
    bell_on_signal(SIGTERM);
    /* A write to a pipe without a reader then fails, also in a callback. print_end tells main. */
    signal(SIGPIPE, SIG_IGN);
}

/* Wait for a ring; if `timeout_ms` is -1, for ever. Returns the byte that was rung, or 0 on a timeout. */
static inline int bell_wait(int timeout_ms)
{
    struct pollfd waiting = {bell[0], POLLIN, 0};
    unsigned char byte;
    int ready;
    do
        ready = poll(&waiting, 1, timeout_ms);
    while (ready < 0 && errno == EINTR);
    return ready > 0 && read(bell[0], &byte, 1) == 1 ? byte : 0;
}

/* ---- Printing: callbacks and main share stdout, so each line is printed under the lock of stdout -------- */

/* Print bytes as one word: printable ASCII unchanged; all other bytes, blanks and the backslash as \xHH. */
static inline void print_escaped(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (byte > ' ' && byte < 0x7f && byte != '\\')
            putchar(byte);
        else
            printf("\\x%02x", byte);
    }
}

/* Print a time, in milliseconds since 1970, as 2013-02-15T20:48:49.123+0800. */
static inline void print_time(int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm local;
    char date[32], zone[8];
    localtime_r(&seconds, &local);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &local);
    strftime(zone, sizeof zone, "%z", &local);
    printf("%s.%03d%s", date, (int)(ms % 1000), zone);
}

/* Get the time of a clock in milliseconds. CLOCK_REALTIME counts from 1970. */
static inline int64_t clock_ms(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/*
 * End a line. If the reader of stdout is gone, ring with SIGPIPE, so that main closes the handle. The signal itself is
 * ignored.
 */
static inline void print_end(void)
{
    putchar('\n');
    if (fflush(stdout) != 0)
        bell_ring(SIGPIPE);
}

static inline const char *role_name(election_role_t role)
{
    switch (role) {
    case ELECTION_UNKNOWN: return "UNKNOWN";
    case ELECTION_SLAVE: return "SLAVE";
    case ELECTION_MASTER: return "MASTER";
    }
    return "?";
}

static inline const char *reason_name(election_reason_t reason)
{
    switch (reason) {
    case ELECTION_REASON_ELECTED: return "ELECTED";
    case ELECTION_REASON_FOLLOWING: return "FOLLOWING";
    case ELECTION_REASON_SUSPENDED: return "SUSPENDED";
    case ELECTION_REASON_EXPIRED: return "EXPIRED";
    case ELECTION_REASON_DELETED: return "DELETED";
    case ELECTION_REASON_REFUSED: return "REFUSED";
    case ELECTION_REASON_DENIED: return "DENIED";
    case ELECTION_REASON_BLOCKED: return "BLOCKED";
    case ELECTION_REASON_RESIGNED: return "RESIGNED";
    case ELECTION_REASON_CLOSED: return "CLOSED";
    case ELECTION_REASON_FAILED: return "FAILED";
    case ELECTION_REASON_LEASE_EXPIRED: return "LEASE_EXPIRED";
    case ELECTION_REASON_GRACE: return "GRACE";
    case ELECTION_REASON_FOREIGN_CONTENDER: return "FOREIGN_CONTENDER";
    }
    return "?"; /* a reason of a later version of the library */
}

/* Print an event: role=MASTER reason=ELECTED rc=0 token=4294967298 value=10.0.0.1 path=/master */
static inline void print_role(const election_event_t *event)
{
    flockfile(stdout);
    printf("role=%s reason=%s rc=%d token=%" PRId64 " value=", role_name(event->role),
           reason_name(event->reason), event->rc, event->token);
    print_escaped(event->value, event->value_len);
    printf(" path=");
    print_escaped(event->path, strlen(event->path));
    print_end();
    funlockfile(stdout);
}

#endif /* COMMON_H */
