/* The library reads no environment variable, whether the hosts are names or addresses. (What the C library's own
 * resolver looks for, as in any program, does not come by here.)
 *
 *     environment HOSTS ROOT SESSION_TIMEOUT_MS [manual|loop]
 */

#define _GNU_SOURCE

#include <dlfcn.h>
#include <netdb.h>

#include "life.h"

static int is_recording;
static char asked[1024];
static pthread_mutex_t asked_lock = PTHREAD_MUTEX_INITIALIZER;

static void record_name(const char *name)
{
    pthread_mutex_lock(&asked_lock);
    if (is_recording && strlen(asked) + strlen(name) + 2 < sizeof asked && strstr(asked, name) == NULL) {
        strcat(asked, name);
        strcat(asked, " ");
    }
    pthread_mutex_unlock(&asked_lock);
}

/* Whoever asks the C library for a variable asks these. */
char *getenv(const char *name)
{
    char *(*real)(const char *);
    *(void **)&real = dlsym(RTLD_NEXT, "getenv");
    record_name(name);
    return real(name);
}

char *secure_getenv(const char *name)
{
    char *(*real)(const char *);
    *(void **)&real = dlsym(RTLD_NEXT, "secure_getenv");
    record_name(name);
    return real(name);
}

static int lookups;

/* The library looks names up on a thread of its own, which blocks signals like the others. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    CHECK(is_instrumented || check_signals_and_count_threads() > 1);
    __atomic_add_fetch(&lookups, 1, __ATOMIC_SEQ_CST);
    return real(node, service, hints, found);
}

static void set_recording(int is_on)
{
    pthread_mutex_lock(&asked_lock);
    is_recording = is_on;
    pthread_mutex_unlock(&asked_lock);
}

static size_t stack_size;

static void measure_the_stack(struct record *record, const struct heard *heard)
{
    pthread_attr_t attributes;
    (void)record;
    (void)heard;
    CHECK_INT(0, pthread_getattr_np(pthread_self(), &attributes));
    CHECK_INT(0, pthread_attr_getstacksize(&attributes, &stack_size));
    CHECK_INT(0, pthread_attr_destroy(&attributes));
}

static void live(const char *where, const char *name)
{
    struct path path = at(name);
    election_t *handle = open_at(where);
    struct record record;
    record_init(&record, handle);
    record.then = measure_the_stack;
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "v"));
    expect_master(&record, 0, path.text);
    CHECK_INT(ELECTION_OK, close_handle(handle));
    expect_end(&record, 1, path.text, ELECTION_REASON_CLOSED, ELECTION_CLOSING);
    record_done(&record);
}

int main(int argc, char **argv)
{
    election_t *handle;
    int64_t until;
    read_arguments(argc, argv);
    CHECK_INT(0, setenv("RUST_MIN_STACK", "67108864", 1));
    set_recording(1);
    CHECK(getenv("recorded?") == NULL);
    CHECK(strcmp(asked, "recorded? ") == 0);
    asked[0] = 0;

    live(hosts, "address");
    /* Not that of the thread for callbacks. */
    CHECK(is_manual || (stack_size >= 2 << 20 && stack_size < 3 << 20));

    /* A host by its name. */
    CHECK_INT(ELECTION_OK, open_handle("localhost:1", NULL, &handle));
    until = clock_ms() + PATIENCE_MS;
    while (__atomic_load_n(&lookups, __ATOMIC_SEQ_CST) == 0) {
        CHECK(clock_ms() < until);
        sleep_ms(2);
    }
    CHECK_INT(ELECTION_OK, close_handle(handle));
    set_recording(0);
    if (asked[0] != 0)
        fprintf(stderr, "asked for: %s\n", asked);
    CHECK(asked[0] == 0);
    return 0;
}
