/*
 * job.c - a scheduled job that runs on one instance only. C99.
 *
 * The program of "golang实现通过zookeeper选举master" (seed 004). Start it on every machine. The command runs on one
 * of them; if that one fails, it runs on another. Like the original, the program exits if it cannot reach ZooKeeper
 * within 3 s at the start. Unlike the original, it sees every failover and not just the first. The old master learns
 * that it is no longer master, and stops its command. A master that was cut off or stopped starts no command after its
 * lease.
 *
 *     make && build/job --every 10 -- sh -c 'echo "token $ELECTION_TOKEN on $(hostname)"'
 */
#include "common.h"

#include <getopt.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>

static const char USAGE[] =
    "usage: job [OPTION]... --every SECONDS -- COMMAND [ARG]...\n"
    "Run COMMAND every so many seconds, on one of all the instances that stand at the path.\n"
    "\n"
    "  --every SECONDS  run at the times that divide by it since 1970: at the same ones in each instance\n"
    "  --hosts H        ZooKeeper's servers (127.0.0.1:2181)\n"
    "  --path P         the path of the election (/ElectMasterDemo/master)\n"
    "  --timeout MS     the session timeout (10000)\n"
    "  --help           print this\n"
    "\n"
    "COMMAND never overlaps itself: a time that comes while it runs is skipped. It runs in a process group of\n"
    "its own with no input, and with the master's token in $ELECTION_TOKEN: larger for each later master, so\n"
    "that what it writes to can turn away a master of the past. When the mastership ends, or SIGINT or SIGTERM\n"
    "come, the group gets SIGTERM, and SIGKILL 5 s later. (A job that dies by kill -9 leaves COMMAND running.)\n"
    "\n"
    "Each line is a time and one of\n"
    "  role=MASTER reason=ELECTED rc=0 token=4294967298 value=host:123 path=/ElectMasterDemo/master\n"
    "  job start pid=124 token=4294967298\n"
    "  job stop pid=124 signal=15            it was sent a signal\n"
    "  job end pid=124 exit=0                or signal=15\n"
    "  job skip pid=124                      its time came while it was running\n"
    "\n"
    "Exit code: 0 when ended by a signal, 2 for a wrong command line, 3 when something failed.\n";

enum { CONNECT_TIMEOUT_MS = 3000, KILL_AFTER_MS = 5000, EVERY_MAX_S = 1000000 };

extern char **environ;

/* ---- The role: the callback thread passes it to main ----------------------------------------------------- */

struct role {
    pthread_mutex_t lock;
    int64_t token; /* of the present mastership; 0 if this program is not master */
};

static void on_role(const election_event_t *event, void *ctx)
{
    struct role *role = ctx;
    flockfile(stdout);
    print_time(clock_ms(CLOCK_REALTIME));
    putchar(' ');
    print_role(event);
    funlockfile(stdout);

    pthread_mutex_lock(&role->lock);
    role->token = event->role == ELECTION_MASTER ? event->token : 0;
    pthread_mutex_unlock(&role->lock);
    bell_ring(event->reason == ELECTION_REASON_FAILED ? BELL_FAILED : BELL_ROLE);
}

static int64_t role_token(struct role *role)
{
    pthread_mutex_lock(&role->lock);
    int64_t token = role->token;
    pthread_mutex_unlock(&role->lock);
    return token;
}

/* ---- The job ---------------------------------------------------------------------------------------------- */

struct job {
    char **command;
    pid_t pid;       /* 0 if the command does not run */
    int64_t token;   /* of the mastership that started the command */
    int64_t kill_at; /* on CLOCK_MONOTONIC, after the command was sent SIGTERM; else 0 */
};

static void job_print(const char *what, pid_t pid, const char *name, int64_t value)
{
    flockfile(stdout);
    print_time(clock_ms(CLOCK_REALTIME));
    printf(" job %s pid=%ld", what, (long)pid);
    if (name != NULL)
        printf(" %s=%" PRId64, name, value);
    print_end();
    funlockfile(stdout);
}

/*
 * This uses posix_spawn and not fork, because the process has threads. The child gets an unblocked signal mask and
 * default handlers, its own process group, /dev/null as its input, and $ELECTION_TOKEN.
 */
static void job_start(struct job *job, int64_t token)
{
    char variable[sizeof "ELECTION_TOKEN=" + 20];
    snprintf(variable, sizeof variable, "ELECTION_TOKEN=%" PRId64, token);
    size_t count = 0, kept = 0;
    while (environ[count] != NULL)
        count++;
    char **environment = malloc((count + 2) * sizeof *environment);
    if (environment == NULL) {
        perror("malloc");
        return;
    }
    for (size_t i = 0; i < count; i++)
        if (strncmp(environ[i], "ELECTION_TOKEN=", sizeof "ELECTION_TOKEN=" - 1) != 0)
            environment[kept++] = environ[i];
    environment[kept++] = variable;
    environment[kept] = NULL;

    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

    pid_t pid;
    int error = posix_spawnp(&pid, job->command[0], &files, &attributes, job->command, environment);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    free(environment);
    if (error != 0) {
        fprintf(stderr, "%s: %s\n", job->command[0], strerror(error));
        return;
    }
    job->pid = pid;
    job->token = token;
    job->kill_at = 0;
    job_print("start", pid, "token", token);
}

static void job_signal(const struct job *job, int number)
{
    job_print("stop", job->pid, "signal", number);
    kill(-job->pid, number);
}

/* End the job: send SIGTERM first, and SIGKILL if the job does not end in time. Call it repeatedly. */
static void job_stop(struct job *job)
{
    int64_t now = clock_ms(CLOCK_MONOTONIC);
    if (job->kill_at == 0) {
        job->kill_at = now + KILL_AFTER_MS;
        job_signal(job, SIGTERM);
    } else if (now >= job->kill_at) {
        job->kill_at = now + KILL_AFTER_MS;
        job_signal(job, SIGKILL);
    }
}

static void job_reap(struct job *job)
{
    int status;
    if (job->pid == 0 || waitpid(job->pid, &status, WNOHANG) != job->pid)
        return;
    if (WIFEXITED(status))
        job_print("end", job->pid, "exit", WEXITSTATUS(status));
    else
        job_print("end", job->pid, "signal", WTERMSIG(status));
    job->pid = 0;
}

/* Run the job at its times until a signal comes. Returns the exit code after the job has ended. */
static int run(struct job *job, struct role *role, const election_t *handle, const char *path, int64_t every_ms)
{
    int code = -1; /* the exit code, once the program is to exit */
    int64_t last = clock_ms(CLOCK_REALTIME) / every_ms;
    for (;;) {
        /* The callback rings when the role ends, SIGCHLD rings when the job ends: the timeout is only for the times. */
        int64_t wait_ms = every_ms - clock_ms(CLOCK_REALTIME) % every_ms;
        if (job->pid != 0 && job->kill_at != 0) {
            int64_t left_ms = job->kill_at - clock_ms(CLOCK_MONOTONIC);
            wait_ms = left_ms < 0 ? 0 : left_ms < wait_ms ? left_ms : wait_ms;
        }
        int rung = bell_wait((int)wait_ms);
        if (rung == SIGINT || rung == SIGTERM)
            code = EXIT_DONE;
        else if (rung == BELL_FAILED || rung == SIGPIPE)
            code = EXIT_TROUBLE;

        job_reap(job);
        if (job->pid != 0 && (code >= 0 || role_token(role) != job->token))
            job_stop(job);
        if (job->pid == 0 && code >= 0)
            return code;

        int64_t now = clock_ms(CLOCK_REALTIME) / every_ms;
        if (now == last || now == last - 1) /* if the clock is set back a little, no time is repeated */
            continue;
        last = now;
        int64_t token = role_token(role);
        if (job->pid != 0)
            job_print("skip", job->pid, NULL, 0);
        else if (token != 0 && election_is_master(handle, path)) /* the last check: it must be true right now */
            job_start(job, token);
    }
}

int main(int argc, char *argv[])
{
    static const struct option OPTIONS[] = {
        {"every", required_argument, NULL, 'e'},   {"hosts", required_argument, NULL, 'H'},
        {"path", required_argument, NULL, 'p'},    {"timeout", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    const char *hosts = "127.0.0.1:2181", *path = "/ElectMasterDemo/master";
    int every_s = 0, timeout_ms = 10000;
    for (int option; (option = getopt_long(argc, argv, "+", OPTIONS, NULL)) != -1;) {
        switch (option) {
        case 'e': every_s = number("--every", optarg); break;
        case 'H': hosts = optarg; break;
        case 'p': path = optarg; break;
        case 't': timeout_ms = number("--timeout", optarg); break;
        case 'h': fputs(USAGE, stdout); return EXIT_DONE;
        default: fputs(USAGE, stderr); return EXIT_USAGE;
        }
    }
    if (every_s < 1 || every_s > EVERY_MAX_S || optind == argc) {
        fputs(USAGE, stderr);
        return EXIT_USAGE;
    }

    setvbuf(stdout, NULL, _IOLBF, 0);
    bell_hang();
    bell_on_signal(SIGCHLD);
    election_t *handle;
    int rc = open_handle(hosts, timeout_ms, CONNECT_TIMEOUT_MS, &handle);
    if (rc != ELECTION_OK)
        return complain("election_open", rc);

    char host[256] = "", value[300];
    gethostname(host, sizeof host - 1);
    snprintf(value, sizeof value, "%s:%ld", host, (long)getpid());
    struct role role = {PTHREAD_MUTEX_INITIALIZER, 0};
    struct job job = {argv + optind, 0, 0, 0};
    rc = go_to_election(handle, path, value, strlen(value), on_role, &role, NULL);
    int code = rc == ELECTION_OK ? run(&job, &role, handle, path, (int64_t)every_s * 1000)
                                 : complain("go_to_election", rc);

    /* The job has ended. Closing resigns, so that the next master comes at once. */
    rc = election_close(handle);
    if (rc != ELECTION_OK)
        code = complain("election_close", rc);
    return code;
}
