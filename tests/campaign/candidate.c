/* A process of the campaign: it stands, watches, writes as a master would, and keeps its history.
 *
 *     candidate HOSTS NAME FOLDER REGISTER [timeout_ms=N] [dispatch=manual] [tls=FILES] [plant=FAULT]
 *               [stand=RECIPE:PATH ...] [watch=RECIPE:PATH ...]
 *
 * RECIPE is a number of election_recipe_t; there is one handle for each recipe. The history goes to FOLDER/NAME.events and
 * FOLDER/NAME.beliefs, in the format that history.rs describes, each line by one write, so that neither SIGSTOP nor SIGKILL
 * loses one. The main thread asks every millisecond; a second one writes to the register and to ZooKeeper, as long as it is
 * told to be master.
 *
 * Its standard input takes one order a line: resign PATH, stand PATH, close; its end is a close.
 *
 * The plants are faults of this program, which the checker has to find:
 *     believes   a master until another is: what the lease says is not asked
 *     forgets    an observer that hears only the first
 *     keeps      says that it has closed, and has not
 *     leaks      descriptors and memory
 *     spins      a thread that never rests */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "election.h"

#define MOST_ELECTIONS 32
#define RECIPES 2
#define BELIEF_LINE 256
#define ACT_EVERY_NS 200000000
#define THINK_NS 10000000
#define ZNODE_EVERY 3
#define FENCED_TIMEOUT_MS 2000

struct belief {
    int64_t token, first_before, first_after, last_before, last_after, until, least_left, answers, silence;
    off_t line;
    int open;
};

struct election {
    int recipe, stands, watches;
    const char *path;
    struct belief belief;
    /* For plant=believes: the token of the master that it takes itself for, or 0. */
    int64_t claimed;
    int heard;
};

static election_t *handles[RECIPES];
static struct election elections[MOST_ELECTIONS];
static int election_count;
static const char *name, *register_path, *plant = "", *tls;
static int events_file, beliefs_file;
static off_t beliefs_end;
static volatile int closing;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int64_t now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_BOOTTIME, &at);
    return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

static void note(const char *format, ...)
{
    char line[512];
    va_list arguments;
    int len;
    va_start(arguments, format);
    len = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (len < 0 || len >= (int)sizeof line || write(events_file, line, (size_t)len) != len)
        abort();
}

static void must(int rc, const char *what)
{
    if (rc != ELECTION_OK) {
        fprintf(stderr, "%s: %d, %s\n", what, rc, election_strerror(rc));
        exit(1);
    }
}

static int planted(const char *fault)
{
    return strcmp(plant, fault) == 0;
}

/* ---- Callbacks ---------------------------------------------------------------------------------------------------- */

static void on_role(const election_event_t *event, void *ctx)
{
    struct election *it = ctx;
    note("role %" PRId64 " %s %d %d %d %" PRId64 "\n", now(), event->path, (int)event->role, (int)event->reason,
         event->rc, event->token);
    if (planted("believes") && event->role != ELECTION_UNKNOWN) {
        pthread_mutex_lock(&lock);
        it->claimed = event->role == ELECTION_MASTER ? event->token : 0;
        pthread_mutex_unlock(&lock);
    }
}

static void on_master(const election_master_t *master, void *ctx)
{
    struct election *it = ctx;
    if (planted("forgets") && master->rc == ELECTION_OK && it->heard++ == 0)
        must(election_unwatch_master(handles[it->recipe], it->path), "election_unwatch_master");
    note("master %" PRId64 " %s %d %" PRId64 " %" PRId64 " %s\n", now(), master->path, master->rc, master->token,
         master->session_id, master->value_len > 0 ? master->value : "-");
}

static void free_role(void *ctx)
{
    note("freed %" PRId64 " %s role\n", now(), ((struct election *)ctx)->path);
}

static void free_master(void *ctx)
{
    note("freed %" PRId64 " %s master\n", now(), ((struct election *)ctx)->path);
}

/* ---- Beliefs ------------------------------------------------------------------------------------------------------ */

/* Writes the line of a belief, or writes it anew: as long as it is open, it is overwritten after each answer. */
static void put_belief(const struct election *it, int64_t no_before, int64_t no_after)
{
    const struct belief *b = &it->belief;
    char line[BELIEF_LINE + 1];
    int len = snprintf(line, sizeof line,
                       "belief %s %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64
                       " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64,
                       it->path, b->token, b->first_before, b->first_after, b->last_before, b->last_after, b->until,
                       b->least_left, b->answers, b->silence, no_before, no_after);
    if (len < 0 || len >= BELIEF_LINE)
        abort();
    memset(line + len, ' ', (size_t)(BELIEF_LINE - len - 1));
    line[BELIEF_LINE - 1] = '\n';
    if (pwrite(beliefs_file, line, BELIEF_LINE, b->line) != BELIEF_LINE)
        abort();
}

static void ask(struct election *it)
{
    struct belief *b = &it->belief;
    int64_t before, after, token = 0, left = 0;
    int yes;
    before = now();
    yes = election_lease(handles[it->recipe], it->path, &token, &left);
    after = now();
    if (planted("believes") && !closing) {
        pthread_mutex_lock(&lock);
        yes = it->claimed != 0;
        token = it->claimed;
        left = 0;
        pthread_mutex_unlock(&lock);
    }
    if (b->open && (!yes || token != b->token)) {
        put_belief(it, before, after);
        b->open = 0;
    }
    if (!yes)
        return;
    if (!b->open) {
        memset(b, 0, sizeof *b);
        b->open = 1;
        b->token = token;
        b->first_before = before;
        b->first_after = after;
        b->least_left = left;
        b->line = beliefs_end;
        beliefs_end += BELIEF_LINE;
    } else if (before - b->last_after > b->silence) {
        b->silence = before - b->last_after;
    }
    b->last_before = before;
    b->last_after = after;
    b->answers++;
    if (before + left > b->until)
        b->until = before + left;
    if (left < b->least_left)
        b->least_left = left;
    put_belief(it, 0, 0);
}

/* ---- Acts --------------------------------------------------------------------------------------------------------- */

static int connect_register(void)
{
    struct sockaddr_un address;
    int it = socket(AF_UNIX, SOCK_STREAM, 0);
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    if (it < 0 || strlen(register_path) >= sizeof address.sun_path)
        abort();
    memcpy(address.sun_path, register_path, strlen(register_path));
    if (connect(it, (struct sockaddr *)&address, sizeof address) != 0)
        abort();
    return it;
}

/* Sends one write to the register, and returns its answer. */
static int write_register(int it, const char *kind, const char *path, int64_t token)
{
    char line[256];
    int len = snprintf(line, sizeof line, "%s %s %" PRId64 " %s\n", kind, path, token, name), got = 0;
    if (write(it, line, (size_t)len) != len)
        abort();
    while (got == 0 || line[got - 1] != '\n') {
        ssize_t more = read(it, line + got, sizeof line - 1 - (size_t)got);
        if (more <= 0)
            abort();
        got += (int)more;
    }
    line[got] = 0;
    return atoi(line);
}

static void act(struct election *it, int to_register, int with_znode)
{
    struct timespec think = {0, THINK_NS};
    int64_t token = 0, asked = now();
    int rc;
    if (!election_lease(handles[it->recipe], it->path, &token, NULL))
        return;
    nanosleep(&think, NULL);
    rc = write_register(to_register, "fenced", it->path, token);
    note("act %" PRId64 " %" PRId64 " %s fenced %" PRId64 " %d\n", asked, now(), it->path, token, rc);
    rc = write_register(to_register, "unfenced", it->path, token);
    note("act %" PRId64 " %" PRId64 " %s unfenced %" PRId64 " %d\n", asked, now(), it->path, token, rc);
    if (with_znode) {
        char target[128], value[128];
        int len;
        snprintf(target, sizeof target, "/register/%s", strrchr(it->path, '/') + 1);
        len = snprintf(value, sizeof value, "%" PRId64 " %s", token, name);
        rc = election_fenced_set(handles[it->recipe], it->path, target, value, (size_t)len, -1, FENCED_TIMEOUT_MS);
        note("act %" PRId64 " %" PRId64 " %s znode %" PRId64 " %d\n", asked, now(), it->path, token, rc);
    }
}

static void *act_for_ever(void *unused)
{
    int to_register = connect_register();
    (void)unused;
    for (int round = 0; !closing; round++) {
        struct timespec pause = {0, ACT_EVERY_NS};
        for (int i = 0; i < election_count && !closing; i++)
            if (elections[i].stands)
                act(&elections[i], to_register, round % ZNODE_EVERY == 0);
        if (planted("leaks"))
            for (int i = 0; i < 10; i++) {
                char *memory = malloc(100000);
                if (memory == NULL || dup(to_register) < 0)
                    abort();
                memset(memory, i, 100000);
            }
        nanosleep(&pause, NULL);
    }
    close(to_register);
    return NULL;
}

static void *spin(void *unused)
{
    while (!closing)
        continue;
    return unused;
}

/* ---- Orders ------------------------------------------------------------------------------------------------------- */

static void stand(struct election *it)
{
    note("stand %" PRId64 " %s\n", now(), it->path);
    must(go_to_election(handles[it->recipe], it->path, name, strlen(name), on_role, it, free_role), "go_to_election");
}

static void obey(char *line)
{
    char *path = strchr(line, ' ');
    if (strcmp(line, "close") == 0) {
        closing = 1;
        return;
    }
    if (path == NULL)
        exit(2);
    *path++ = 0;
    for (int i = 0; i < election_count; i++) {
        struct election *it = &elections[i];
        if (!it->stands || strcmp(it->path, path) != 0)
            continue;
        if (strcmp(line, "resign") == 0) {
            int rc = election_resign(handles[it->recipe], path);
            note("resign %" PRId64 " %s %d\n", now(), path, rc);
        } else {
            stand(it);
        }
    }
}

static void listen_to_orders(void)
{
    static char text[1024];
    static size_t len;
    char *end;
    ssize_t more = read(STDIN_FILENO, text + len, sizeof text - 1 - len);
    if (more <= 0) {
        closing = more == 0;
        return;
    }
    len += (size_t)more;
    text[len] = 0;
    while ((end = strchr(text, '\n')) != NULL) {
        *end = 0;
        obey(text);
        len -= (size_t)(end + 1 - text);
        memmove(text, end + 1, len + 1);
    }
}

static void open_handle(int recipe, const char *hosts, int timeout_ms, int manual)
{
    election_options_t *options = election_options_new();
    must(election_options_set_session_timeout_ms(options, timeout_ms), "session timeout");
    must(election_options_set_recipe(options, recipe), "recipe");
    must(election_options_set_dispatch(options, manual ? ELECTION_DISPATCH_MANUAL : ELECTION_DISPATCH_THREAD), "dispatch");
    if (tls != NULL)
        must(election_options_set_tls(options, tls), "TLS");
    must(election_open(hosts, options, &handles[recipe]), "election_open");
    election_options_free(options);
}

static int open_log(const char *folder, const char *what, int flags)
{
    char path[512];
    int it;
    snprintf(path, sizeof path, "%s/%s.%s", folder, name, what);
    it = open(path, O_WRONLY | O_CREAT | O_EXCL | flags, 0644);
    if (it < 0)
        exit(2);
    return it;
}

int main(int argc, char **argv)
{
    int timeout_ms = 10000, manual = 0;
    int64_t asks = 0, told_at = 0;
    struct pollfd waiting[1 + RECIPES];
    pthread_t actor, spinner;
    if (argc < 5)
        return 2;
    name = argv[2];
    register_path = argv[4];
    events_file = open_log(argv[3], "events", O_APPEND);
    beliefs_file = open_log(argv[3], "beliefs", 0);
    for (int i = 5; i < argc; i++) {
        struct election *it = &elections[election_count];
        char *value = strchr(argv[i], '=');
        if (value++ == NULL)
            return 2;
        if (strncmp(argv[i], "timeout_ms=", 11) == 0) {
            timeout_ms = atoi(value);
        } else if (strncmp(argv[i], "dispatch=", 9) == 0) {
            manual = strcmp(value, "manual") == 0;
        } else if (strncmp(argv[i], "tls=", 4) == 0) {
            tls = value;
        } else if (strncmp(argv[i], "plant=", 6) == 0) {
            plant = value;
        } else {
            if (election_count == MOST_ELECTIONS || value[0] < '0' || value[0] >= '0' + RECIPES || value[1] != ':')
                return 2;
            it->recipe = value[0] - '0';
            it->path = value + 2;
            it->stands = strncmp(argv[i], "stand=", 6) == 0;
            it->watches = strncmp(argv[i], "watch=", 6) == 0;
            election_count++;
        }
    }
    for (int i = 0; i < election_count; i++) {
        struct election *it = &elections[i];
        if (handles[it->recipe] == NULL)
            open_handle(it->recipe, argv[1], timeout_ms, manual);
        if (it->stands)
            stand(it);
        if (it->watches) {
            note("watch %" PRId64 " %s\n", now(), it->path);
            must(watch_master(handles[it->recipe], it->path, on_master, it, free_master), "watch_master");
        }
    }
    if (pthread_create(&actor, NULL, act_for_ever, NULL) != 0)
        return 2;
    if (planted("spins") && pthread_create(&spinner, NULL, spin, NULL) != 0)
        return 2;

    while (!closing) {
        struct timespec pause = {0, 1000000};
        int count = 0;
        waiting[count].fd = STDIN_FILENO;
        waiting[count++].events = POLLIN;
        for (int i = 0; manual && i < RECIPES; i++)
            if (handles[i] != NULL) {
                waiting[count].fd = election_fd(handles[i]);
                waiting[count++].events = POLLIN;
            }
        if (ppoll(waiting, (nfds_t)count, &pause, NULL) < 0 && errno != EINTR)
            abort();
        for (int i = 0; i < election_count; i++)
            if (elections[i].stands) {
                ask(&elections[i]);
                asks++;
            }
        for (int i = 0; manual && i < RECIPES; i++)
            if (handles[i] != NULL && election_dispatch(handles[i], 0) < 0)
                abort();
        if (count > 0 && (waiting[0].revents & (POLLIN | POLLHUP)) != 0)
            listen_to_orders();
        if (now() - told_at > 1000000000) {
            told_at = now();
            note("asked %" PRId64 " %" PRId64 "\n", told_at, asks);
        }
    }

    pthread_join(actor, NULL);
    for (int i = 0; i < RECIPES; i++)
        if (handles[i] != NULL) {
            int64_t from = now();
            int rc = planted("keeps") ? ELECTION_OK : election_close(handles[i]);
            note("close %" PRId64 " %" PRId64 " %d %d\n", from, now(), i, rc);
        }
    for (int i = 0; i < election_count; i++)
        if (elections[i].stands && !planted("keeps"))
            ask(&elections[i]);
    note("asked %" PRId64 " %" PRId64 "\n", now(), asks);
    if (planted("keeps")) {
        close(STDOUT_FILENO);
        pause();
    }
    return 0;
}
