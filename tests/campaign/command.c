/* The COMMAND of `election run` in a fault campaign: it writes down when it runs, as tests/campaign/history.rs says.
 *
 *     command BELIEFS
 *
 * A run is a belief: the path and the token are in its environment. The line of a run is appended once and then written in
 * place each millisecond, so that neither SIGSTOP nor SIGKILL loses what it has seen. It says less than the truth: this
 * process ran before its first stamp and after its last one. */

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE 256

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
    (void)signal;
    stopped = 1;
}

static int64_t now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_BOOTTIME, &at);
    return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

int main(int argc, char **argv)
{
    const char *path = getenv("ELECTION_PATH"), *token = getenv("ELECTION_TOKEN");
    const struct timespec pause = {0, 1000000};
    int64_t first = now(), silence = 0, last = first;
    int file;
    off_t place;
    if (argc != 2 || path == NULL || token == NULL || signal(SIGTERM, stop) == SIG_ERR)
        return 2;
    file = open(argv[1], O_WRONLY | O_CREAT, 0644);
    if (file < 0 || (place = lseek(file, 0, SEEK_END)) < 0)
        return 2;
    for (int64_t stamps = 1;; stamps++) {
        char line[LINE + 1];
        int len;
        int64_t at = now();
        if (at - last > silence)
            silence = at - last;
        last = at;
        len = snprintf(line, sizeof line,
                       "belief %s %s %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " 0 %" PRId64 " %" PRId64
                       " 0 0",
                       path, token, first, first, at, at, at, stamps, silence);
        if (len < 0 || len >= LINE)
            return 2;
        memset(line + len, ' ', (size_t)(LINE - len - 1));
        line[LINE - 1] = '\n';
        if (pwrite(file, line, LINE, place) != LINE)
            return 2;
        if (stopped)
            return 0;
        nanosleep(&pause, NULL);
    }
}
