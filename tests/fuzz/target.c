/* Fuzz targets, one for each function that takes bytes or numbers of the caller's: whatever comes, the function answers with
 * a number that the header names for it, writes no result unless it succeeds, and the handle goes on.
 *
 *     target --function=NAME [libFuzzer's own arguments]        see LLVM's documentation of libFuzzer
 *     target --list                                             the names
 *
 * No server is there and none is looked for: names and connections fail at once. */

#define _GNU_SOURCE

#include <errno.h>
#include <locale.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <wchar.h>

#include "election.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    (void)node;
    (void)service;
    (void)hints;
    (void)result;
    return EAI_NONAME;
}

int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t len)
{
    (void)fd;
    (void)address;
    (void)len;
    errno = ECONNREFUSED;
    return -1;
}

/* --- what comes --------------------------------------------------------------------------------------------- */

static const uint8_t *left;
static size_t left_len;

static int number(void)
{
    int32_t taken = 0;
    size_t len = left_len < sizeof taken ? left_len : sizeof taken;
    if (len > 0)
        memcpy(&taken, left, len);
    left += len;
    left_len -= len;
    return taken;
}

static int64_t long_number(void)
{
    uint64_t high = (uint32_t)number();
    return (int64_t)(high << 32 | (uint32_t)number());
}

/* What comes up to the next 0 byte, in memory of its own that ends there, so that whoever reads on is seen. */
static char *text(void)
{
    size_t len = left_len == 0 ? 0 : strnlen((const char *)left, left_len);
    char *taken = malloc(len + 1);
    if (taken == NULL)
        abort();
    if (len > 0)
        memcpy(taken, left, len);
    taken[len] = 0;
    left += len;
    left_len -= len;
    if (left_len > 0) {
        left++;
        left_len--;
    }
    return taken;
}

/* --- what is answered --------------------------------------------------------------------------------------- */

static const char *function;

static void expect(int got, const int *allowed, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (allowed[i] == got)
            return;
    fprintf(stderr, "%s returned %d (%s)\n", function, got, election_strerror(got));
    abort();
}

#define EXPECT(got, ...)                                              \
    do {                                                              \
        const int allowed_[] = {__VA_ARGS__};                         \
        expect((got), allowed_, sizeof allowed_ / sizeof *allowed_);  \
    } while (0)

#define HOLDS(what)                                                   \
    do {                                                              \
        if (!(what)) {                                                \
            fprintf(stderr, "%s: does not hold: %s\n", function, #what); \
            abort();                                                  \
        }                                                             \
    } while (0)

static int is_utf8(const char *said)
{
    mbstate_t state = {0};
    return mbsrtowcs(NULL, &said, 0, &state) != (size_t)-1;
}

/* One for all inputs, with nobody to dispatch: no callback is called but those of the handle that is closed. */
static election_t *handle;

static void on_role(const election_event_t *event, void *ctx)
{
    HOLDS(event->value[event->value_len] == 0 && ctx == &handle);
}

static void on_master(const election_master_t *master, void *ctx)
{
    HOLDS(master->value[master->value_len] == 0 && ctx == &handle);
}

static void on_member(const election_member_t *member, void *ctx)
{
    (void)member;
    (void)ctx;
    HOLDS(!"there is nobody");
}

static void on_members(const election_members_t *members, void *ctx)
{
    HOLDS(members->size == sizeof *members && ctx == &handle);
}

static void on_log(const election_log_t *record, void *ctx)
{
    HOLDS(record->size == sizeof *record && ctx == &handle);
}

static void open_(void)
{
    char *hosts = text();
    election_t *const none = (election_t *)(uintptr_t)0x5a5a;
    election_t *opened = none;
    int rc = election_open(hosts, NULL, &opened);
    EXPECT(rc, ELECTION_OK, ELECTION_BAD_HOSTS);
    HOLDS((rc == ELECTION_OK) == (opened != none));
    if (rc == ELECTION_OK)
        EXPECT(election_close(opened), ELECTION_OK);
    free(hosts);
}

/* By so much a value is said to be longer than it is, when a test plants that. */
#ifndef TOO_LONG
#define TOO_LONG 0
#endif

static void stand_as(int (*go)(election_t *, const char *, const void *, size_t, election_role_fn, void *, election_free_fn))
{
    char *path = text();
    int rc = go(handle, path, left, left_len + TOO_LONG, on_role, &handle, NULL);
    EXPECT(rc, ELECTION_OK, ELECTION_BAD_PATH, ELECTION_BAD_VALUE);
    if (rc == ELECTION_OK) {
        HOLDS(path[0] == '/' && path[1] != 0 && path[strlen(path) - 1] != '/' && strstr(path, "//") == NULL);
        EXPECT(go(handle, path, NULL, 0, NULL, NULL, NULL), ELECTION_ALREADY);
        EXPECT(election_resign(handle, path), ELECTION_OK);
#ifdef PLANTED
        /* Found only by what the library thinks of a path. */
        HOLDS(strchr(strchr(path + 1, '/') == NULL ? path + 1 : strchr(path + 1, '/') + 1, '/') == NULL);
#endif
    }
    free(path);
}

static void stand(void)
{
    stand_as(go_to_election);
}

static void stand_by_prefix(void)
{
    stand_as(election_go_to_election);
}

static void watch_as(int (*watch)(election_t *, const char *, election_master_fn, void *, election_free_fn))
{
    char *path = text();
    int rc = watch(handle, path, on_master, &handle, NULL);
    EXPECT(rc, ELECTION_OK, ELECTION_BAD_PATH);
    if (rc == ELECTION_OK)
        EXPECT(election_unwatch_master(handle, path), ELECTION_OK);
    free(path);
}

static void watch(void)
{
    watch_as(watch_master);
}

static void watch_by_prefix(void)
{
    watch_as(election_watch_master);
}

static void watch_members(void)
{
    int enough = number();
    char *path = text();
    int rc = election_watch_members(handle, path, enough, on_members, &handle, NULL);
    EXPECT(rc, ELECTION_OK, ELECTION_BAD_PATH, ELECTION_BAD_COUNT);
    if (rc == ELECTION_OK)
        EXPECT(election_unwatch_members(handle, path), ELECTION_OK);
    free(path);
}

static void unwatch_members(void)
{
    char *path = text();
    EXPECT(election_unwatch_members(handle, path), ELECTION_NOT_THERE, ELECTION_BAD_PATH);
    free(path);
}

static void set_value(void)
{
    char *path = text();
    EXPECT(election_set_value(handle, path, left, left_len), ELECTION_NOT_THERE, ELECTION_BAD_PATH, ELECTION_BAD_VALUE);
    free(path);
}

static void get_master(void)
{
    int timeout_ms = number();
    char *path = text();
    EXPECT(election_get_master(handle, path, on_master, &handle, timeout_ms), ELECTION_CONNECTIONLOSS,
           ELECTION_BAD_PATH, ELECTION_BAD_TIMEOUT, ELECTION_OPERATIONTIMEOUT);
    free(path);
}

static void resign(void)
{
    char *path = text();
    EXPECT(election_resign(handle, path), ELECTION_NOT_THERE, ELECTION_BAD_PATH);
    free(path);
}

static void unwatch(void)
{
    char *path = text();
    EXPECT(election_unwatch_master(handle, path), ELECTION_NOT_THERE, ELECTION_BAD_PATH);
    free(path);
}

static void is_master(void)
{
    char *path = text();
    HOLDS(election_is_master(handle, path) == 0);
    free(path);
}

static void lease(void)
{
    char *path = text();
    int64_t token = 7, left_ns = 7;
    HOLDS(election_lease(handle, path, &token, &left_ns) == 0 && token == 7 && left_ns == 7);
    free(path);
}

static void wait(void)
{
    int role = number(), timeout_ms = number();
    char *path = text();
    EXPECT(election_wait(handle, path, role, timeout_ms), ELECTION_NOT_THERE, ELECTION_BAD_PATH, ELECTION_BAD_ROLE,
           ELECTION_BAD_TIMEOUT);
    free(path);
}

static void dispatch(void)
{
    /* Nothing to wait for: the longest time is not waited out. */
    int timeout_ms = number();
    if (timeout_ms <= 0 || timeout_ms > 3600000)
        HOLDS(election_dispatch(handle, timeout_ms) >= 0 || timeout_ms != 0);
}

static void wait_finished(void)
{
    EXPECT(election_wait_finished(handle, number()), ELECTION_OK, ELECTION_BAD_TIMEOUT, ELECTION_OPERATIONTIMEOUT);
}

#define FENCED ELECTION_NOT_MASTER, ELECTION_BAD_PATH, ELECTION_BAD_VALUE, ELECTION_BAD_TIMEOUT, ELECTION_OPERATIONTIMEOUT

static void fenced_create(void)
{
    int timeout_ms = number();
    char *path = text(), *target = text();
    EXPECT(election_fenced_create(handle, path, target, left, left_len, timeout_ms), FENCED);
    free(path);
    free(target);
}

static void fenced_set(void)
{
    int timeout_ms = number(), version = number();
    char *path = text(), *target = text();
    EXPECT(election_fenced_set(handle, path, target, left, left_len, version, timeout_ms), FENCED);
    free(path);
    free(target);
}

static void fenced_delete(void)
{
    int timeout_ms = number(), version = number();
    char *path = text(), *target = text();
    EXPECT(election_fenced_delete(handle, path, target, version, timeout_ms), FENCED);
    free(path);
    free(target);
}

static void members(void)
{
    int timeout_ms = number();
    char *path = text();
    EXPECT(election_members(handle, path, on_member, NULL, timeout_ms), ELECTION_CONNECTIONLOSS, ELECTION_BAD_PATH,
           ELECTION_BAD_TIMEOUT, ELECTION_OPERATIONTIMEOUT);
    free(path);
}

static int never_lead(const election_leadership_t *leadership, void *ctx)
{
    (void)leadership;
    (void)ctx;
    HOLDS(!"nobody is master here");
    return 0;
}

static void lead(void)
{
    int timeout_ms = number();
    char *path = text();
    int result = 7;
    /* Whoever would wait for long is interrupted. */
    int is_interrupted = timeout_ms > 20;
    if (is_interrupted)
        EXPECT(election_interrupt(handle), ELECTION_OK);
    EXPECT(election_lead(handle, path, left, left_len, never_lead, &handle, timeout_ms, &result), ELECTION_BAD_PATH,
           ELECTION_BAD_VALUE, ELECTION_BAD_TIMEOUT, is_interrupted ? ELECTION_INTERRUPTED : ELECTION_OPERATIONTIMEOUT);
    HOLDS(result == 7);
    EXPECT(election_clear_interrupt(handle), ELECTION_OK);
    EXPECT(election_resign(handle, path), ELECTION_BAD_PATH, ELECTION_NOT_THERE);
    free(path);
}

/* No pointer passes for a handle, or for a leadership, that nobody has. */
static void interrupt(void)
{
    election_t *other = (election_t *)(uintptr_t)long_number();
    if (other != handle)
        EXPECT(election_interrupt(other), ELECTION_BAD_HANDLE);
}

static void leaderships(void)
{
    const election_leadership_t *none = (const election_leadership_t *)(uintptr_t)long_number();
    HOLDS(election_should_stop(none) == 1 && election_leadership_token(none) == 0);
    EXPECT(election_wait_stop(none, number()), ELECTION_BAD_LEADERSHIP, ELECTION_BAD_TIMEOUT);
}

/* An option is one of few numbers, or in a range. */
static void set(int (*set_option)(election_options_t *, int), int refusal)
{
    election_options_t *options = election_options_new();
    int rc;
    HOLDS(options != NULL);
    rc = set_option(options, number());
    EXPECT(rc, ELECTION_OK, refusal);
    election_options_free(options);
}

static void session_timeout(void) { set(election_options_set_session_timeout_ms, ELECTION_BAD_TIMEOUT); }
static void connect_timeout(void) { set(election_options_set_connect_timeout_ms, ELECTION_BAD_TIMEOUT); }
static void recipe(void) { set(election_options_set_recipe, ELECTION_BAD_RECIPE); }
static void way(void) { set(election_options_set_dispatch, ELECTION_BAD_DISPATCH); }
static void acl(void) { set(election_options_set_acl, ELECTION_BAD_ACL); }
static void grace(void) { set(election_options_set_grace_ms, ELECTION_BAD_TIMEOUT); }
static void grade(void) { set(election_options_set_lease_mode, ELECTION_BAD_LEASE_MODE); }
static void margin(void) { set(election_options_set_lease_margin_ms, ELECTION_BAD_TIMEOUT); }
static void tick(void) { set(election_options_set_tick_ms, ELECTION_BAD_TIMEOUT); }
static void frame_limit(void) { set(election_options_set_frame_limit_bytes, ELECTION_BAD_FRAME_LIMIT); }

static void add_auth(void)
{
    char *scheme = text();
    election_options_t *options = election_options_new();
    int rc = election_options_add_auth(options, scheme, left, left_len);
    EXPECT(rc, ELECTION_OK, ELECTION_BAD_AUTH);
    if (rc == ELECTION_OK)
        HOLDS(scheme[0] != 0 && is_utf8(scheme) && strlen(scheme) + left_len <= 65536);
    election_options_free(options);
    free(scheme);
}

static void verify_host(void) { set(election_options_set_tls_verify_host, ELECTION_BAD_TLS); }

static void set_tls(void)
{
    char *files = text();
    election_options_t *options = election_options_new();
    int rc = election_options_set_tls(options, files);
    EXPECT(rc, ELECTION_OK, ELECTION_BAD_TLS);
    if (rc == ELECTION_OK)
        HOLDS(is_utf8(files) && strlen(files) <= 16384);
    election_options_free(options);
    free(files);
}

static void set_sasl(void)
{
    static const char *const known[] = {"mechanism", "service", "host", "user", "realm", "password_file"};
    char *name = text(), *value = text();
    election_options_t *options = election_options_new();
    int rc = election_options_set_sasl(options, name, value);
    EXPECT(rc, ELECTION_OK, ELECTION_BAD_SASL);
    if (rc == ELECTION_OK) {
        size_t i = 0;
        while (i < sizeof known / sizeof *known && strcmp(name, known[i]) != 0)
            i++;
        HOLDS(i < sizeof known / sizeof *known && is_utf8(value) && strlen(value) <= 4096);
    }
    election_options_free(options);
    free(name);
    free(value);
}

static void add_acl(void)
{
    int permissions = number();
    char *scheme = text(), *id = text();
    election_options_t *options = election_options_new();
    int rc = election_options_add_acl(options, permissions, scheme, id);
    EXPECT(rc, ELECTION_OK, ELECTION_BAD_ACL);
    if (rc == ELECTION_OK)
        HOLDS(permissions > 0 && permissions <= ELECTION_PERM_ALL && scheme[0] != 0 && is_utf8(scheme) && is_utf8(id));
    election_options_free(options);
    free(scheme);
    free(id);
}

/* Only what turns the log off: nobody could hear what it says. */
static void set_log(void)
{
    int level = number();
    int rc = election_set_log(level, level == ELECTION_LOG_OFF ? on_log : NULL, &handle, NULL);
    EXPECT(rc, ELECTION_OK, ELECTION_BAD_LEVEL, ELECTION_BAD_CALLBACK);
    HOLDS((rc == ELECTION_OK) == (level == ELECTION_LOG_OFF));
    HOLDS((rc == ELECTION_BAD_CALLBACK) == (level > ELECTION_LOG_OFF && level <= ELECTION_LOG_DEBUG));
}

/* The caller's struct may be shorter or longer than the library's: not a byte beyond its size is written. */
static void counters(void)
{
    size_t size = (uint32_t)number(), known = sizeof(election_counters_t);
    unsigned char *place = malloc(size < sizeof size ? sizeof size : size > 8192 ? 8192 : size);
    int rc;
    if (place == NULL)
        abort();
    memcpy(place, &size, sizeof size);
    rc = election_counters(handle, (election_counters_t *)(void *)place);
    EXPECT(rc, ELECTION_OK, ELECTION_BAD_SIZE);
    HOLDS((rc == ELECTION_OK) == (size >= known && size <= 4096));
    if (rc == ELECTION_OK) {
        memcpy(&size, place, sizeof size);
        HOLDS(size == known);
    }
    free(place);
}

/* Whatever path and value stand in it, a description is text without control characters but the ends of its lines. */
static void dump(void)
{
    char *const none = (char *)(uintptr_t)0x5a5a;
    int format = number();
    char *path = text(), *described = none;
    int stood = go_to_election(handle, path, left, left_len, NULL, NULL, NULL);
    int rc = election_dump(handle, format, &described);
    EXPECT(rc, ELECTION_OK, ELECTION_BAD_FORMAT);
    HOLDS((rc == ELECTION_OK) == (described != none));
    if (rc == ELECTION_OK) {
        HOLDS(is_utf8(described) && (format == ELECTION_DUMP_TEXT || described[0] == '{'));
        for (const char *c = described; *c != 0; c++)
            HOLDS((unsigned char)*c >= ' ' || *c == '\n');
        election_dump_free(described);
    }
    if (stood == ELECTION_OK)
        EXPECT(election_resign(handle, path), ELECTION_OK);
    free(path);
}

/* The highest token only rises, and a smaller one never passes. */
static void verifier(void)
{
    int64_t highest = long_number();
    election_verifier_t *admits = election_verifier_new(highest);
    HOLDS(admits != NULL && election_verifier_highest(admits) == highest);
    while (left_len > 0) {
        int64_t token = long_number();
        int is_stale = token <= 0 || token < highest;
        EXPECT(election_verifier_admit(admits, token), is_stale ? ELECTION_STALE_TOKEN : ELECTION_OK);
        highest = is_stale ? highest : token;
        HOLDS(election_verifier_highest(admits) == highest);
    }
    election_verifier_free(admits);
}

static void sentence(void)
{
    int rc = number();
    const char *said = election_strerror(rc);
    HOLDS(said != NULL && *said != 0 && said == election_strerror(rc));
}

/* Whatever a call was given: what is said of its failure is one line of text. */
static void explanation(void)
{
    int rc = number();
    char *hosts = text();
    election_t *none = NULL;
    int refused = election_open(hosts, NULL, &none);
    const char *said = election_explain(refused);
    HOLDS(*said != 0 && is_utf8(said));
    for (const char *c = said; *c != 0; c++)
        HOLDS((unsigned char)*c >= ' ');
    HOLDS(*election_explain(rc) != 0);
    if (refused == ELECTION_OK)
        election_close(none);
    free(hosts);
}

/* Writes no more than it is said that there is room for. */
static void connect_failure(void)
{
    size_t size = (unsigned char)number() % 64;
    char *place = malloc(size + 1);
    place[size] = 0x5a;
    int rc = election_connect_failure(handle, place, size);
    EXPECT(rc, ELECTION_OK, ELECTION_BAD_SIZE);
    HOLDS((rc == ELECTION_OK) == (size > 0) && place[size] == 0x5a);
    if (rc == ELECTION_OK)
        HOLDS(strlen(place) < size && is_utf8(place));
    free(place);
}

static const struct {
    const char *name;
    void (*run)(void);
} targets[] = {
    {"election_open", open_},
    {"go_to_election", stand},
    {"watch_master", watch},
    {"election_go_to_election", stand_by_prefix},
    {"election_watch_master", watch_by_prefix},
    {"election_watch_members", watch_members},
    {"election_unwatch_members", unwatch_members},
    {"election_set_value", set_value},
    {"election_get_master", get_master},
    {"election_resign", resign},
    {"election_unwatch_master", unwatch},
    {"election_is_master", is_master},
    {"election_lease", lease},
    {"election_wait", wait},
    {"election_lead", lead},
    {"election_interrupt", interrupt},
    {"election_should_stop", leaderships},
    {"election_wait_stop", leaderships},
    {"election_dispatch", dispatch},
    {"election_wait_finished", wait_finished},
    {"election_fenced_create", fenced_create},
    {"election_fenced_set", fenced_set},
    {"election_fenced_delete", fenced_delete},
    {"election_members", members},
    {"election_options_set_session_timeout_ms", session_timeout},
    {"election_options_set_connect_timeout_ms", connect_timeout},
    {"election_options_set_recipe", recipe},
    {"election_options_set_dispatch", way},
    {"election_options_set_grace_ms", grace},
    {"election_options_set_lease_mode", grade},
    {"election_options_set_lease_margin_ms", margin},
    {"election_options_set_tick_ms", tick},
    {"election_options_set_frame_limit_bytes", frame_limit},
    {"election_options_add_auth", add_auth},
    {"election_options_set_tls", set_tls},
    {"election_options_set_tls_verify_host", verify_host},
    {"election_options_set_sasl", set_sasl},
    {"election_options_set_acl", acl},
    {"election_options_add_acl", add_acl},
    {"election_set_log", set_log},
    {"election_counters", counters},
    {"election_dump", dump},
    {"election_verifier_new", verifier},
    {"election_verifier_admit", verifier},
    {"election_strerror", sentence},
    {"election_explain", explanation},
    {"election_connect_failure", connect_failure},
};

static void (*run)(void);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    election_options_t *options = election_options_new();
    int is_utf8_known = setlocale(LC_CTYPE, "C.UTF-8") != NULL;
    size_t count = sizeof targets / sizeof *targets;
    for (int i = 1; i < *argc; i++) {
        int is_list = strcmp((*argv)[i], "--list") == 0;
        for (size_t k = 0; k < count; k++) {
            if (is_list)
                puts(targets[k].name);
            else if (strncmp((*argv)[i], "--function=", 11) == 0 && strcmp((*argv)[i] + 11, targets[k].name) == 0) {
                function = targets[k].name;
                run = targets[k].run;
            }
        }
        if (is_list)
            exit(0);
    }
    if (run == NULL || !is_utf8_known || options == NULL || election_options_set_dispatch(options, ELECTION_DISPATCH_MANUAL) != 0 ||
        election_open("127.0.0.1:1", options, &handle) != ELECTION_OK) {
        fprintf(stderr, "usage: %s --function=NAME | --list\n", (*argv)[0]);
        exit(2);
    }
    election_options_free(options);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    left = data;
    left_len = size;
    run();
    /* The ends of what was begun. */
    HOLDS(election_dispatch(handle, 0) >= 0);
    return 0;
}
