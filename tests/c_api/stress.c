/* Every function from many threads at once, while handles are opened, elect, resign, watch, ask, describe themselves,
 * dispatch and are closed under them, by two threads at the same moment.
 *
 *     stress HOSTS ROOT SESSION_TIMEOUT_MS [manual|loop] [instrumented]
 *
 * What must hold whatever comes: each call returns what the header says that it may; each ctx is freed once, and not if it
 * was refused; callbacks of a handle run one at a time, and none after election_close has returned; no MASTER at a path
 * before the one before it has ended, and each has a larger token. */

#define _POSIX_C_SOURCE 200809L

#include "life.h"

#define SLOTS 3
#define PATHS 2
#define WORKERS 6
#define LIVES_MAX 400
#define CTXS_MAX 40000

/* A handle from its opening to its end. */
struct one_life {
    election_t *handle;
    int number;
    int is_closed;
    int callbacks_running;
    /* The candidate that is master at a path, and the token of the last one. */
    struct ctx *master[PATHS];
    int64_t token[PATHS];
};

enum state { REFUSED, ACCEPTED };

/* What one call handed over. */
struct ctx {
    struct one_life *life;
    int path;
    int freed;
    int is_over;
    enum state state;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct one_life lives[LIVES_MAX];
static struct one_life *slots[SLOTS];
static struct ctx ctxs[CTXS_MAX];
static int lives_used, ctxs_used, is_over, callbacks_seen, masters_seen;

/* The recipe goes with the slot, and the paths with the recipe. */
static int recipe_of(int slot)
{
    return slot == 0 ? ELECTION_RECIPE_QUEUE : ELECTION_RECIPE_NODE;
}

static struct path path_of(const struct one_life *life, int path)
{
    char name[32];
    snprintf(name, sizeof name, "%s/%d", life->number % SLOTS == 0 ? "queue" : "node", path);
    return at(name);
}

static unsigned draw(unsigned *seed, unsigned below)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed % below;
}

/* --- what is handed over ------------------------------------------------------------------------------------- */

static struct ctx *new_ctx(struct one_life *life, int path)
{
    struct ctx *ctx = NULL;
    pthread_mutex_lock(&lock);
    if (ctxs_used < CTXS_MAX) {
        ctx = &ctxs[ctxs_used++];
        ctx->life = life;
        ctx->path = path;
    }
    pthread_mutex_unlock(&lock);
    return ctx;
}

static void settle(struct ctx *ctx, int rc)
{
    pthread_mutex_lock(&lock);
    ctx->state = rc == ELECTION_OK ? ACCEPTED : REFUSED;
    pthread_mutex_unlock(&lock);
}

static void enter(struct ctx *ctx)
{
    pthread_mutex_lock(&lock);
    CHECK_INT(0, ctx->freed);
    CHECK_INT(0, ctx->is_over);
    callbacks_seen++;
    if (ctx->life != NULL) {
        CHECK_INT(0, ctx->life->is_closed);
        CHECK_INT(1, ++ctx->life->callbacks_running);
    }
    pthread_mutex_unlock(&lock);
}

static void leave(struct ctx *ctx)
{
    pthread_mutex_lock(&lock);
    if (ctx->life != NULL)
        CHECK_INT(0, --ctx->life->callbacks_running);
    pthread_mutex_unlock(&lock);
}

static void on_free(void *context)
{
    struct ctx *ctx = context;
    pthread_mutex_lock(&lock);
    CHECK_INT(1, ++ctx->freed);
    if (ctx->life != NULL) {
        CHECK_INT(0, ctx->life->is_closed);
        CHECK_INT(0, ctx->life->callbacks_running);
        /* The last that a candidate heard was no mastership. */
        CHECK(ctx->life->master[ctx->path] != ctx);
    }
    pthread_mutex_unlock(&lock);
}

static void act_inside(struct one_life *life, const char *path, unsigned what);

/* Does a little work, and is master meanwhile as long as it need not stop. */
static int lead(const election_leadership_t *leadership, void *context)
{
    struct one_life *life = context;
    pthread_mutex_lock(&lock);
    CHECK_INT(0, life->is_closed);
    pthread_mutex_unlock(&lock);
    for (int piece = 0; piece < 3; piece++) {
        int rc = election_wait_stop(leadership, 1);
        CHECK(rc == ELECTION_OPERATIONTIMEOUT || (rc == ELECTION_OK && election_should_stop(leadership)));
    }
    CHECK(election_leadership_token(leadership) > 0);
    return 0;
}

static void on_role(const election_event_t *event, void *context)
{
    struct ctx *ctx = context;
    struct one_life *life;
    unsigned what;
    enter(ctx);
    CHECK_INT(sizeof *event, event->size);
    pthread_mutex_lock(&lock);
    life = ctx->life;
    if (event->role == ELECTION_MASTER) {
        CHECK(life->master[ctx->path] == NULL);
        CHECK(event->token > life->token[ctx->path]);
        life->master[ctx->path] = ctx;
        life->token[ctx->path] = event->token;
        masters_seen++;
    } else if (life->master[ctx->path] == ctx) {
        life->master[ctx->path] = NULL;
    }
    ctx->is_over = event->reason == ELECTION_REASON_RESIGNED || event->reason == ELECTION_REASON_CLOSED;
    what = (unsigned)callbacks_seen;
    pthread_mutex_unlock(&lock);
    act_inside(life, event->path, what);
    leave(ctx);
}

static void on_master(const election_master_t *master, void *context)
{
    enter(context);
    CHECK_INT(0, master->value[master->value_len]);
    leave(context);
}

static void on_members(const election_members_t *members, void *context)
{
    enter(context);
    CHECK(members->members[members->count] == NULL);
    leave(context);
}

static void on_connection(const election_connection_t *connection, void *context)
{
    enter(context);
    CHECK_INT(sizeof *connection, connection->size);
    leave(context);
}

static void on_log(const election_log_t *record, void *context)
{
    enter(context);
    CHECK(record->message != NULL);
    leave(context);
}

/* The two that are asked for are shown on the thread that asks. */
static void on_answer_master(const election_master_t *master, void *context)
{
    (void)context;
    CHECK_INT(sizeof *master, master->size);
}

static void on_answer_member(const election_member_t *member, void *context)
{
    (void)context;
    CHECK_INT(0, member->value[member->value_len]);
}

/* --- what the workers do ------------------------------------------------------------------------------------- */

#define END 1

/* One of these, or ELECTION_BAD_HANDLE; the list ends with END. */
static void expect_one_of(const char *what, int rc, const int *allowed)
{
    if (rc == ELECTION_BAD_HANDLE)
        return;
    for (; *allowed != END; allowed++)
        if (rc == *allowed)
            return;
    fprintf(stderr, "%s returned %d, %s\n", what, rc, election_explain(rc));
    _exit(1);
}

#define EXPECT(call, ...) expect_one_of(#call, call, (const int[]){__VA_ARGS__, END})

/* What a request may come to, besides its own. */
#define ON_THE_WAY ELECTION_CONNECTIONLOSS, ELECTION_OPERATIONTIMEOUT, ELECTION_INTERRUPTED

static int hand_over(struct one_life *life, const char *path, int index, unsigned what)
{
    struct ctx *ctx = new_ctx(life, index);
    int rc;
    if (ctx == NULL)
        return ELECTION_ALREADY;
    switch (what) {
    case 0:
        rc = go_to_election(life->handle, path, "value", 5, on_role, ctx, on_free);
        break;
    case 1:
        rc = watch_master(life->handle, path, on_master, ctx, on_free);
        break;
    case 2:
        rc = election_watch_members(life->handle, path, 2, on_members, ctx, on_free);
        break;
    default:
        rc = election_watch_connection(life->handle, on_connection, ctx, on_free);
        break;
    }
    settle(ctx, rc);
    return rc;
}

static void take_back(struct one_life *life, const char *path, unsigned what)
{
    switch (what) {
    case 0:
        EXPECT(election_resign(life->handle, path), ELECTION_OK, ELECTION_NOT_THERE);
        break;
    case 1:
        EXPECT(election_unwatch_master(life->handle, path), ELECTION_OK, ELECTION_NOT_THERE);
        break;
    case 2:
        EXPECT(election_unwatch_members(life->handle, path), ELECTION_OK, ELECTION_NOT_THERE);
        break;
    default:
        EXPECT(election_unwatch_connection(life->handle), ELECTION_OK, ELECTION_NOT_THERE);
        break;
    }
}

static void ask(struct one_life *life, const char *path)
{
    int64_t token = 0, left_ns = 0;
    int answer = election_is_master(life->handle, path);
    CHECK(answer == 0 || answer == 1);
    if (election_lease(life->handle, path, &token, &left_ns))
        CHECK(token > 0 && left_ns > 0);
    else
        CHECK_INT(0, token + left_ns);
}

static void write_fenced(struct one_life *life, const char *path, unsigned what)
{
    struct path target = at("target");
    switch (what) {
    case 0:
        EXPECT(election_fenced_create(life->handle, path, target.text, "t", 1, 500), ELECTION_OK,
               ELECTION_NOT_MASTER, ELECTION_NODEEXISTS, ON_THE_WAY);
        break;
    case 1:
        EXPECT(election_fenced_set(life->handle, path, target.text, "s", 1, -1, 500), ELECTION_OK,
               ELECTION_NOT_MASTER, ELECTION_NONODE, ON_THE_WAY);
        break;
    default:
        EXPECT(election_fenced_delete(life->handle, path, target.text, -1, 500), ELECTION_OK, ELECTION_NOT_MASTER,
               ELECTION_NONODE, ON_THE_WAY);
        break;
    }
}

static void look_inside(struct one_life *life, unsigned what)
{
    election_counters_t counters = {.size = sizeof counters};
    char *dump = NULL, why[256];
    EXPECT(election_counters(life->handle, &counters), ELECTION_OK);
    EXPECT(election_connect_failure(life->handle, why, sizeof why), ELECTION_OK);
    if (what % 4 == 0) {
        EXPECT(election_dump(life->handle, what % 8 == 0 ? ELECTION_DUMP_TEXT : ELECTION_DUMP_JSON, &dump), ELECTION_OK);
        election_dump_free(dump);
    }
}

static void set_log(unsigned what)
{
    struct ctx *ctx = new_ctx(NULL, 0);
    if (ctx != NULL)
        settle(ctx, election_set_log(what % (ELECTION_LOG_DEBUG + 1), on_log, ctx, on_free));
}

static void dispatch(struct one_life *life)
{
    int told = election_dispatch(life->handle, 5);
    if (told < 0)
        CHECK(told == ELECTION_BAD_HANDLE || (is_manual && told == ELECTION_INTERRUPTED) || (told == ELECTION_NOT_MANUAL && !is_manual));
    if (election_fd(life->handle) >= 0)
        CHECK(is_manual);
}

static election_verifier_t *verifier;

static void without_a_handle(unsigned what)
{
    int64_t before = election_verifier_highest(verifier);
    EXPECT(election_verifier_admit(verifier, what + 1), ELECTION_OK, ELECTION_STALE_TOKEN);
    CHECK(election_verifier_highest(verifier) >= before);
    CHECK(strcmp(ELECTION_VERSION, election_version()) == 0);
    CHECK(*election_strerror(-(int)(what % 1100)) != 0);
}

/* A handle of the worker's own, which has nobody to talk to. */
static void open_and_close(void)
{
    election_options_t *options = election_options_new();
    election_t *handle = NULL;
    struct ctx *ctx = new_ctx(NULL, 0);
    CHECK_INT(ELECTION_OK, election_options_set_session_timeout_ms(options, 5000));
    CHECK_INT(ELECTION_OK, election_options_set_connect_timeout_ms(options, 0));
    CHECK_INT(ELECTION_OK, election_options_set_recipe(options, ELECTION_RECIPE_QUEUE));
    CHECK_INT(ELECTION_OK, election_options_set_dispatch(options, is_loop ? ELECTION_DISPATCH_LOOP : ELECTION_DISPATCH_MANUAL));
    CHECK_INT(ELECTION_OK, election_options_set_grace_ms(options, 1));
    CHECK_INT(ELECTION_OK, election_options_set_lease_mode(options, ELECTION_LEASE_ANSWERED));
    CHECK_INT(ELECTION_OK, election_options_set_lease_margin_ms(options, 1));
    CHECK_INT(ELECTION_OK, election_options_set_tick_ms(options, 500));
    CHECK_INT(ELECTION_OK, election_options_set_frame_limit_bytes(options, 1 << 20));
    CHECK_INT(ELECTION_OK, election_options_add_auth(options, "digest", "a:b", 3));
    CHECK_INT(ELECTION_OK, election_options_set_acl(options, ELECTION_ACL_CREATOR));
    CHECK_INT(ELECTION_OK, election_options_add_acl(options, ELECTION_PERM_READ, "world", "anyone"));
    CHECK_INT(ELECTION_OK, election_options_set_tls_verify_host(options, 0));
    CHECK_INT(ELECTION_OK, election_open("127.0.0.1:1", options, &handle));
    /* There are no such files, and the handle has a copy of its own of what was there before. */
    CHECK_INT(ELECTION_OK, election_options_set_tls(options, "ca.pem,client.crt,client.key,secret"));
    CHECK_INT(ELECTION_OK, election_options_set_sasl(options, "mechanism", "DIGEST-MD5"));
    election_options_free(options);
    if (ctx != NULL)
        settle(ctx, watch_master(handle, "/any", on_master, ctx, on_free));
    CHECK_INT(ELECTION_OK, election_close(handle));
}

/* All but to close and to dispatch may be done here; those say so. */
static void act_inside(struct one_life *life, const char *path, unsigned what)
{
    CHECK_INT(0, election_is_master(NULL, path));
    if (what % 16 == 0) {
        EXPECT(election_close(life->handle), ELECTION_IN_CALLBACK);
        EXPECT(election_wait_finished(life->handle, 1000), ELECTION_IN_CALLBACK);
        EXPECT(election_dispatch(life->handle, 0), is_manual ? ELECTION_IN_CALLBACK : ELECTION_NOT_MANUAL);
    }
    if (what % 8 == 1)
        EXPECT(election_resign(life->handle, path), ELECTION_OK, ELECTION_NOT_THERE);
    if (what % 8 == 2)
        EXPECT(election_wait(life->handle, path, ELECTION_MASTER, 1), ELECTION_OK, ELECTION_NOT_THERE,
               ELECTION_OPERATIONTIMEOUT, ELECTION_INTERRUPTED);
    if (what % 8 == 4)
        EXPECT(election_lead(life->handle, path, "value", 5, lead, life, 1, NULL), ELECTION_IN_CALLBACK);
    if (what % 8 == 3)
        look_inside(life, what);
}

static void act(struct one_life *life, unsigned *seed)
{
    int index = (int)draw(seed, PATHS);
    unsigned what = draw(seed, 4);
    struct path path = path_of(life, index);
    switch (draw(seed, 12)) {
    case 0:
    case 1:
    case 2:
        EXPECT(hand_over(life, path.text, index, what), ELECTION_OK, ELECTION_ALREADY);
        break;
    case 3:
    case 4:
        take_back(life, path.text, what);
        break;
    case 5:
        EXPECT(election_wait(life->handle, path.text, ELECTION_MASTER, 1 + (int)draw(seed, 20)), ELECTION_OK,
               ELECTION_NOT_THERE, ELECTION_OPERATIONTIMEOUT, ELECTION_INTERRUPTED);
        if (what == 0)
            EXPECT(election_lead(life->handle, path.text, "value", 5, lead, life, 20, NULL), ELECTION_OK,
                   ELECTION_LEADERSHIP_LOST, ELECTION_ALREADY, ELECTION_RESIGNED, ELECTION_CLOSING, ON_THE_WAY);
        if (what == 1)
            EXPECT(election_interrupt(life->handle), ELECTION_OK);
        if (what >= 1)
            EXPECT(election_clear_interrupt(life->handle), ELECTION_OK);
        break;
    case 6:
        EXPECT(election_members(life->handle, path.text, on_answer_member, NULL, 500), ELECTION_OK, ON_THE_WAY);
        EXPECT(election_get_master(life->handle, path.text, on_answer_master, NULL, 500), ELECTION_OK, ON_THE_WAY);
        break;
    case 7:
        write_fenced(life, path.text, what % 3);
        break;
    case 8:
        look_inside(life, draw(seed, 64));
        break;
    case 9:
        dispatch(life);
        break;
    case 10:
        EXPECT(election_set_value(life->handle, path.text, "other", 5), ELECTION_OK, ELECTION_NOT_THERE);
        without_a_handle(*seed);
        break;
    default:
        if (what == 0)
            set_log(*seed);
        if (what == 1)
            open_and_close();
        for (int i = 0; i < 100; i++)
            ask(life, path.text);
        break;
    }
}

static int is_all_over(void)
{
    int over;
    pthread_mutex_lock(&lock);
    over = is_over;
    pthread_mutex_unlock(&lock);
    return over;
}

static void *work(void *context)
{
    unsigned seed = 2654435761u * (1u + *(unsigned *)context);
    while (!is_all_over()) {
        struct one_life *life;
        pthread_mutex_lock(&lock);
        life = slots[draw(&seed, SLOTS)];
        pthread_mutex_unlock(&lock);
        act(life, &seed);
        if (draw(&seed, 3) == 0)
            sleep_ms(1);
    }
    return NULL;
}

/* --- opening and closing ------------------------------------------------------------------------------------- */

static void begin(int slot)
{
    struct setup setup = {0, recipe_of(slot), 0, 0, 0, 0};
    struct one_life *life;
    CHECK(lives_used + SLOTS <= LIVES_MAX);
    /* So that its number says which slot it was made for. */
    while (lives_used % SLOTS != slot)
        lives_used++;
    life = &lives[lives_used];
    life->number = lives_used++;
    life->handle = open_as(hosts, setup);
    pthread_mutex_lock(&lock);
    slots[slot] = life;
    pthread_mutex_unlock(&lock);
}

static pthread_barrier_t both;

/* One of them closes it; the other one waits for that, or finds no handle any more. */
static void *close_too(void *context)
{
    struct one_life *life = context;
    int *rc = malloc(sizeof *rc);
    CHECK(rc != NULL);
    pthread_barrier_wait(&both);
    *rc = close_handle(life->handle);
    CHECK_INT(ELECTION_BAD_HANDLE, election_resign(life->handle, "/any"));
    CHECK_INT(0, election_is_master(life->handle, path_of(life, 0).text));
    if (*rc != ELECTION_BAD_HANDLE) {
        pthread_mutex_lock(&lock);
        life->is_closed = 1;
        CHECK_INT(0, life->callbacks_running);
        pthread_mutex_unlock(&lock);
    }
    return rc;
}

static void end(struct one_life *life)
{
    pthread_t closers[2];
    int *rc[2];
    CHECK_INT(0, pthread_barrier_init(&both, NULL, 2));
    for (int i = 0; i < 2; i++)
        CHECK_INT(0, pthread_create(&closers[i], NULL, close_too, life));
    for (int i = 0; i < 2; i++)
        CHECK_INT(0, pthread_join(closers[i], (void **)&rc[i]));
    /* Who comes while the other one closes hears the same; who comes later finds no handle. */
    CHECK(*rc[0] == *rc[1] || *rc[0] == ELECTION_BAD_HANDLE || *rc[1] == ELECTION_BAD_HANDLE);
    CHECK(*rc[0] != ELECTION_BAD_HANDLE || *rc[1] != ELECTION_BAD_HANDLE);
    for (int i = 0; i < 2; i++) {
        EXPECT(*rc[i], ELECTION_OK, ELECTION_CONNECTIONLOSS, ELECTION_BAD_HANDLE);
        free(rc[i]);
    }
    CHECK_INT(0, pthread_barrier_destroy(&both));
}

int main(int argc, char **argv)
{
    pthread_t workers[WORKERS];
    unsigned numbers[WORKERS];
    int64_t until;
    int rounds = 0;
    read_arguments(argc, argv);
    until = clock_ms() + (is_instrumented ? 8000 : 5000);
    verifier = election_verifier_new(0);
    for (int slot = 0; slot < SLOTS; slot++)
        begin(slot);
    for (unsigned i = 0; i < WORKERS; i++) {
        numbers[i] = i;
        CHECK_INT(0, pthread_create(&workers[i], NULL, work, &numbers[i]));
    }
    while (clock_ms() < until || rounds < SLOTS) {
        struct one_life *former = slots[rounds % SLOTS];
        sleep_ms(150);
        begin(rounds % SLOTS);
        end(former);
        rounds++;
        if (lives_used + 2 * SLOTS > LIVES_MAX)
            break;
    }
    pthread_mutex_lock(&lock);
    is_over = 1;
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < WORKERS; i++)
        CHECK_INT(0, pthread_join(workers[i], NULL));
    for (int slot = 0; slot < SLOTS; slot++)
        end(slots[slot]);
    CHECK_INT(ELECTION_OK, election_set_log(ELECTION_LOG_OFF, NULL, NULL, NULL));
    election_verifier_free(verifier);

    CHECK(callbacks_seen > 0 && masters_seen > 0);
    for (int i = 0; i < ctxs_used; i++)
        CHECK_INT(ctxs[i].state == ACCEPTED, ctxs[i].freed);
    return 0;
}
