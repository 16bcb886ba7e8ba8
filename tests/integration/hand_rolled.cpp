/*
 * hand_rolled.cpp - what people copy today: the seeds' own way to elect a master, each in the words and with the
 * mistakes of its seed. The tests run it beside the library, in the same faults and in the same election. Not to be
 * copied.
 *
 *     hand_rolled 000|001|003|004 HOSTS PATH VALUE TIMEOUT_MS
 *
 * Changed from the seeds: the parameters; each line is flushed; what would be undefined (to print a NULL or a value
 * without its end) is defined. A line, or the end, on standard input ends it, as a key ends seed 000.
 */
#include <zookeeper/zookeeper.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <thread>

static const char *hosts, *path, *value;
static int timeout_ms;

static zhandle_t *connect(watcher_fn watcher)
{
    zhandle_t *zh = zookeeper_init(hosts, watcher, timeout_ms, 0, NULL, 0);
    if (zh == NULL) {
        fprintf(stderr, "Error when connecting to zookeeper servers...\n");
        exit(EXIT_FAILURE);
    }
    return zh;
}

static void print_session(int type, int state)
{
    if (type == ZOO_SESSION_EVENT && state == ZOO_EXPIRED_SESSION_STATE)
        printf("zookeeper session expired!\n");
}

/* 000: create once, sleep, watch once it is known that somebody else was faster. */

namespace seed_000 {

int status = -1; // 1: master, 0: slave

void go_to_election(zhandle_t *zh, int type, int state, const char *path, void *ip);

void init_1(zhandle_t *, int, int, const char *, void *) { printf("init handler\n"); }

void get_master(int rc, const char *value, int value_len, const struct Stat *, const void *data)
{
    if (rc == ZOK)
        printf("%s%.*s\n", (const char *)data, value_len, value);
    else
        printf("%s(null)\n", (const char *)data);
}

void watch_master(zhandle_t *zh, const char *ip)
{
    int ret = zoo_awget(zh, path, go_to_election, (void *)ip, get_master, "get master ip :");
    if (ret) {
        fprintf(stderr, "Error %d for %s\n", ret, "re");
        exit(EXIT_FAILURE);
    }
}

void getResult(int rc, const char *, const void *)
{
    switch (rc) {
    case ZOK:
        printf("Become master\n");
        status = 1;
        break;
    case ZNODEEXISTS:
        printf("Become slave, keep watch\n");
        status = 0;
        break;
    }
}

void go_to_election(zhandle_t *zh, int, int, const char *, void *ip)
{
    int ret = zoo_acreate(zh, path, (const char *)ip, 15, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, getResult, "election");
    if (ret) {
        fprintf(stderr, "Error %d for %s\n", ret, "election");
        exit(EXIT_FAILURE);
    }
    sleep(1);
    if (status == 0)
        watch_master(zh, (const char *)ip);
}

void run()
{
    zhandle_t *zh = connect(init_1);
    go_to_election(zh, 0, 0, path, (void *)value);
    getchar();
    zookeeper_close(zh);
}

} // namespace seed_000

/* 001: observe the value, and arm the watch again whenever it is called. */

namespace seed_001 {

void clients_watcher_g(zhandle_t *, int type, int state, const char *, void *) { print_session(type, state); }

void data_complete(int rc, const char *value, int value_len, const struct Stat *, const void *)
{
    printf("[data_complete] rc=%d data[%.*s]\n", rc, rc == ZOK ? value_len : 0, rc == ZOK ? value : "");
}

void watch_cb(zhandle_t *zh, int, int, const char *path, void *)
{
    printf("call watch cb path[%s]\n", path);
    int ret = zoo_awget(zh, path, watch_cb, NULL, data_complete, NULL);
    if (ret != ZOK)
        printf("zookeeper wget error\n");
}

void run()
{
    zhandle_t *zh = connect(clients_watcher_g);
    zoo_awget(zh, path, watch_cb, NULL, data_complete, NULL);
    getchar();
    zookeeper_close(zh);
}

} // namespace seed_001

/* 003: every second, whoever is not master tries to become it; whoever is works. */

namespace seed_003 {

bool is_master = false;

void zk_watcher(zhandle_t *, int type, int state, const char *, void *) { print_session(type, state); }

bool change_to_master(zhandle_t *zh)
{
    int errcode = zoo_create(zh, path, value, strlen(value) + 1, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, NULL, 0);
    if (errcode != ZOK) {
        is_master = false;
        printf("become master[%s] failed: (%d)%s\n", path, errcode, zerror(errcode));
        return false;
    }
    is_master = true;
    printf("becase master[%s]\n", path);
    return true;
}

void run()
{
    zhandle_t *zh = connect(zk_watcher);
    std::thread([zh] {
        while (true) {
            usleep(1000 * 1000);
            if (!is_master && !change_to_master(zh))
                continue;
            printf("do_work\n");
        }
    }).detach();
    getchar();
    zookeeper_close(zh);
}

} // namespace seed_003

/* 004: elect, watch once, elect once more when the znode goes; whoever was elected does the job from then on. */

namespace seed_004 {

void ignore(zhandle_t *, int type, int state, const char *, void *) { print_session(type, state); }

void elect_master(zhandle_t *zh);

void created(int rc, const char *, const void *)
{
    if (rc != ZOK) {
        printf("elect master failure, (%d)%s\n", rc, zerror(rc));
        return;
    }
    printf("elect master success!\n");
    std::thread([] {
        while (true) {
            printf("do some job on master\n");
            usleep(100 * 1000);
        }
    }).detach();
}

void elect_master(zhandle_t *zh)
{
    zoo_acreate(zh, path, value, strlen(value), &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, created, NULL);
}

void child_event(zhandle_t *zh, int type, int, const char *, void *)
{
    if (type == ZOO_DELETED_EVENT) {
        printf("receive znode delete event\n");
        elect_master(zh);
    }
}

void watched(int rc, const struct Stat *, const void *) { printf("watch result, %d\n", rc); }

void run()
{
    zhandle_t *zh = connect(ignore);
    elect_master(zh);
    zoo_awexists(zh, path, child_event, NULL, watched, NULL);
    getchar();
    zookeeper_close(zh);
}

} // namespace seed_004

int main(int argc, char *argv[])
{
    if (argc != 6) {
        fprintf(stderr, "usage: hand_rolled 000|001|003|004 HOSTS PATH VALUE TIMEOUT_MS\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    hosts = argv[2];
    path = argv[3];
    value = argv[4];
    timeout_ms = atoi(argv[5]);
    switch (atoi(argv[1])) {
    case 0: seed_000::run(); break;
    case 1: seed_001::run(); break;
    case 3: seed_003::run(); break;
    case 4: seed_004::run(); break;
    default: return 2;
    }
    // The loops of 003 and 004 have no end.
    fflush(stdout);
    _exit(0);
}
