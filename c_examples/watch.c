/*
 * watch.c - print the master and every change of it, without standing. C99.
 *
 * The program of "【Zookeeper】Leader选举机制示例(异步API)" (seed 001). The original watches the data at a path and sets
 * its watch again each time; here one call, watch_master, does this. If the session expires, the original only prints
 * this; the library opens a new session.
 *
 *     make && build/watch /master
 *     master=$(build/watch --once /master) && echo "the master is $master"
 */
#include "common.h"

#include <getopt.h>

static const char USAGE[] =
    "usage: watch [OPTION]... PATH\n"
    "Print who is master at PATH, and each change, until SIGINT or SIGTERM.\n"
    "\n"
    "  --hosts H      ZooKeeper's servers (127.0.0.1:2181)\n"
    "  --timeout MS   the session timeout (10000)\n"
    "  --once         print the value of the master of now, and nothing else, and exit\n"
    "  --wait MS      for how long --once waits for an answer (5000)\n"
    "  --help         print this\n"
    "\n"
    "Each line is a time, one of three words, and what is known:\n"
    "  2013-02-15T20:48:49.123+0800 master value=10.0.0.1 token=4294967298 session=0x1000e0a5c5f0000\n"
    "      since=2013-02-15T20:48:49.120+0800 path=/master              (all on one line)\n"
    "  2013-02-15T20:48:59.123+0800 nobody path=/master\n"
    "  2013-02-15T20:49:09.123+0800 unknown rc=-4 path=/master          (and the reason on standard error)\n"
    "Bytes that are not printable ASCII, blanks and backslashes are written \\xHH. session=0x0 is a znode that\n"
    "belongs to no session: it was not made by a candidate, and stays.\n"
    "\n"
    "Exit code: 0 when ended by a signal, and with --once when there is a master; 1 with --once when there is\n"
    "none; 2 for a wrong command line; 3 when something failed or, with --once, nobody could tell in time.\n";

struct once {
    int code; /* the exit code: EXIT_TROUBLE until the answer has come */
    int rc;   /* the last rc of the library, to explain EXIT_TROUBLE */
};

/* --once: take the first answer that names the master, or says that no candidate is master. */
static void answer_once(const election_master_t *master, void *ctx)
{
    struct once *once = ctx;
    if (once->code != EXIT_TROUBLE || master->rc == ELECTION_CLOSING)
        return;
    once->rc = master->rc;
    if (master->rc == ELECTION_OK) {
        print_escaped(master->value, master->value_len);
        print_end();
        once->code = EXIT_DONE;
    } else if (master->rc == ELECTION_NONODE) {
        once->code = EXIT_NOBODY;
    }
    if (once->code != EXIT_TROUBLE || master->rc == ELECTION_INTERNAL)
        bell_ring(BELL_DONE);
}

/* Print each change. */
static void print_change(const election_master_t *master, void *ctx)
{
    (void)ctx;
    if (master->rc == ELECTION_CLOSING)
        return;

    print_time(clock_ms(CLOCK_REALTIME));
    if (master->rc == ELECTION_OK) {
        printf(" master value=");
        print_escaped(master->value, master->value_len);
        printf(" token=%" PRId64 " session=0x%" PRIx64 " since=", master->token, (uint64_t)master->session_id);
        print_time(master->since_ms);
    } else if (master->rc == ELECTION_NONODE) {
        printf(" nobody");
    } else {
        printf(" unknown rc=%d", master->rc);
        fprintf(stderr, "%s: %s\n", master->path, election_strerror(master->rc));
    }
    printf(" path=");
    print_escaped(master->path, strlen(master->path));
    print_end();
    if (master->rc == ELECTION_INTERNAL)
        bell_ring(BELL_FAILED);
}

int main(int argc, char *argv[])
{
    static const struct option OPTIONS[] = {
        {"hosts", required_argument, NULL, 'H'}, {"timeout", required_argument, NULL, 't'},
        {"once", no_argument, NULL, 'o'},        {"wait", required_argument, NULL, 'w'},
        {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0},
    };
    const char *hosts = "127.0.0.1:2181";
    int timeout_ms = 10000, wait_ms = 5000, only_once = 0;
    for (int option; (option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1;) {
        switch (option) {
        case 'H': hosts = optarg; break;
        case 't': timeout_ms = number("--timeout", optarg); break;
        case 'o': only_once = 1; break;
        case 'w': wait_ms = number("--wait", optarg); break;
        case 'h': fputs(USAGE, stdout); return EXIT_DONE;
        default: fputs(USAGE, stderr); return EXIT_USAGE;
        }
    }
    if (optind != argc - 1) {
        fputs(USAGE, stderr);
        return EXIT_USAGE;
    }
    const char *path = argv[optind];

    setvbuf(stdout, NULL, _IOLBF, 0);
    bell_hang();
    election_t *handle;
    int rc = open_handle(hosts, timeout_ms, 0, &handle);
    if (rc != ELECTION_OK)
        return complain("election_open", rc);

    struct once once = {EXIT_TROUBLE, ELECTION_OPERATIONTIMEOUT};
    int code;
    rc = watch_master(handle, path, only_once ? answer_once : print_change, &once, NULL);
    if (rc == ELECTION_OK) {
        int rung = bell_wait(only_once ? wait_ms : -1);
        code = rung == SIGINT || rung == SIGTERM ? EXIT_DONE : EXIT_TROUBLE;
    } else {
        code = complain("watch_master", rc);
    }

    /* No callback runs after this, so this thread alone uses `once`. */
    election_close(handle);
    if (only_once && rc == ELECTION_OK) {
        code = once.code;
        if (code == EXIT_TROUBLE)
            complain(path, once.rc);
    }
    return code;
}
