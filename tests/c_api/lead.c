/* election_lead: a function runs while master, hears when it should stop, and keeps the place until it has returned.
 *
 *     lead HOSTS ROOT SESSION_TIMEOUT_MS SILENT [manual|loop] [instrumented]
 *
 * SILENT is a server that answers nothing any more once it is asked for a path that ends in /be-silent. */

#define _POSIX_C_SOURCE 200809L

#include "life.h"

/* A function that runs until it should stop, on a thread of its own. */
struct leader {
    election_t *handle;
    struct path path;
    int timeout_ms;
    pthread_t thread;
    /* What is done in the function, besides waiting. */
    void (*then)(struct leader *leader);
    /* Written by the function, read by all. */
    const election_leadership_t *leadership;
    int64_t token;
    int is_leading, may_return, is_stopped, is_back;
    int returned, rc;
};

#define GET(of) __atomic_load_n(&(of), __ATOMIC_SEQ_CST)
#define SET(of, value) __atomic_store_n(&(of), value, __ATOMIC_SEQ_CST)

static void await(int *what)
{
    int64_t until = clock_ms() + PATIENCE_MS;
    while (!GET(*what)) {
        CHECK(clock_ms() < until);
        sleep_ms(1);
    }
}

#define await(...) FROM_HERE((await)(__VA_ARGS__))

static int work(const election_leadership_t *leadership, void *ctx)
{
    struct leader *leader = ctx;
    CHECK(leader != NULL);
    CHECK_INT(0, election_should_stop(leadership));
    CHECK_INT(1, election_lease(leader->handle, leader->path.text, &leader->token, NULL));
    CHECK_INT(leader->token, election_leadership_token(leadership));
    SET(leader->leadership, leadership);
    SET(leader->is_leading, 1);
    CHECK_INT(ELECTION_OK, election_wait_stop(leadership, ELECTION_FOREVER));
    CHECK_INT(1, election_should_stop(leadership));
    SET(leader->is_stopped, 1);
    if (leader->then != NULL)
        leader->then(leader);
    while (!GET(leader->may_return))
        sleep_ms(1);
    return 42;
}

static void *lead(void *ctx)
{
    struct leader *leader = ctx;
    leader->returned = 7;
    leader->rc = election_lead(leader->handle, leader->path.text, "v", 1, work, leader, leader->timeout_ms,
                               &leader->returned);
    SET(leader->is_back, 1);
    return NULL;
}

static void start(struct leader *leader, election_t *handle, const char *path)
{
    memset(leader, 0, sizeof *leader);
    leader->handle = handle;
    leader->path = at(path);
    leader->timeout_ms = ELECTION_FOREVER;
    CHECK_INT(0, pthread_create(&leader->thread, NULL, lead, leader));
}

static void ends(struct leader *leader, int rc, int returned)
{
    CHECK_INT(0, pthread_join(leader->thread, NULL));
    CHECK_INT(rc, leader->rc);
    CHECK_INT(returned, leader->returned);
}

#define ends(...) FROM_HERE((ends)(__VA_ARGS__))

/* A leader that waits behind the master. */
static void waits(struct leader *leader)
{
    int64_t until = clock_ms() + PATIENCE_MS;
    while (election_wait(leader->handle, leader->path.text, ELECTION_SLAVE, PATIENCE_MS) == ELECTION_NOT_THERE)
        CHECK(clock_ms() < until);
    CHECK_INT(0, GET(leader->is_leading));
}

#define waits(...) FROM_HERE((waits)(__VA_ARGS__))

/* --- one after another ----------------------------------------------------------------------------------------- */

static int count_pieces(const election_leadership_t *leadership, void *ctx)
{
    int *pieces = ctx;
    while (*pieces < 3) {
        CHECK_INT(ELECTION_OPERATIONTIMEOUT, election_wait_stop(leadership, 1));
        ++*pieces;
    }
    return -5;
}

static void it_ends_when_the_function_returns(void)
{
    struct path path = at("returns");
    election_t *handle = open_at(hosts);
    int pieces = 0, returned = 0;
    CHECK_INT(ELECTION_OK, election_lead(handle, path.text, "v", 1, count_pieces, &pieces, PATIENCE_MS, &returned));
    CHECK_INT(3, pieces);
    CHECK_INT(-5, returned);
    CHECK_INT(0, election_is_master(handle, path.text));
    CHECK_INT(ELECTION_NOT_THERE, election_resign(handle, path.text));
    /* And again, with no place for the result. */
    pieces = 0;
    CHECK_INT(ELECTION_OK, election_lead(handle, path.text, NULL, 0, count_pieces, &pieces, PATIENCE_MS, NULL));
    CHECK_INT(3, pieces);
    CHECK_INT(ELECTION_OK, close_handle(handle));
}

static void the_next_leads_when_the_function_has_returned(void)
{
    election_t *handles[2] = {open_at(hosts), open_at(hosts)};
    struct leader first, second;
    start(&first, handles[0], "next");
    await(&first.is_leading);
    start(&second, handles[1], "next");
    waits(&second);
    CHECK_INT(ELECTION_OK, election_interrupt(handles[0]));
    await(&first.is_stopped);
    /* It should stop, and has not yet. */
    sleep_ms(100);
    CHECK_INT(0, GET(second.is_leading));
    CHECK_INT(1, election_is_master(handles[0], first.path.text));
    SET(first.may_return, 1);
    ends(&first, ELECTION_OK, 42);
    await(&second.is_leading);
    CHECK(second.token > first.token);
    /* A thread that the function left behind hears that it should stop. */
    CHECK_INT(1, election_should_stop(first.leadership));
    CHECK_INT(0, election_leadership_token(first.leadership));
    CHECK_INT(ELECTION_BAD_LEADERSHIP, election_wait_stop(first.leadership, 1000));

    CHECK_INT(ELECTION_INTERRUPTED, election_lead(handles[0], first.path.text, "", 0, work, NULL, PATIENCE_MS, NULL));
    CHECK_INT(ELECTION_OK, election_clear_interrupt(handles[0]));
    CHECK_INT(ELECTION_OPERATIONTIMEOUT, election_lead(handles[0], first.path.text, "", 0, work, NULL, 20, NULL));
    CHECK_INT(ELECTION_NOT_THERE, election_resign(handles[0], first.path.text));
    SET(second.may_return, 1);
    CHECK_INT(ELECTION_OK, election_interrupt(handles[1]));
    ends(&second, ELECTION_OK, 42);
    for (int i = 0; i < 2; i++)
        CHECK_INT(ELECTION_OK, close_handle(handles[i]));
}

/* A leadership that should stop should stop still when the interrupt is cleared, and can save its state. */
static void save(struct leader *leader)
{
    struct path target = at("saved");
    CHECK_INT(ELECTION_OK,
              election_fenced_create(leader->handle, leader->path.text, target.text, "v", 1, PATIENCE_MS));
    CHECK_INT(ELECTION_OK, election_clear_interrupt(leader->handle));
    CHECK_INT(1, election_should_stop(leader->leadership));
    CHECK_INT(ELECTION_OK, election_wait_stop(leader->leadership, 1000));
    CHECK_INT(ELECTION_OK, election_interrupt(leader->handle));
    CHECK_INT(ELECTION_OK, election_clear_interrupt(leader->handle));
}

static void it_saves_its_state_when_it_was_interrupted(void)
{
    election_t *handle = open_at(hosts);
    struct leader leader;
    start(&leader, handle, "saves");
    leader.then = save;
    leader.may_return = 1;
    await(&leader.is_leading);
    CHECK_INT(ELECTION_OK, election_interrupt(handle));
    ends(&leader, ELECTION_OK, 42);
    CHECK_INT(ELECTION_OK, close_handle(handle));
}

/* --- ended by others ------------------------------------------------------------------------------------------- */

static void a_resignation_waits_for_the_function(void)
{
    election_t *handles[2] = {open_at(hosts), open_at(hosts)};
    struct leader first, second;
    start(&first, handles[0], "resigned");
    await(&first.is_leading);
    start(&second, handles[1], "resigned");
    waits(&second);
    /* One that does not lead yet has nothing to wait for. */
    CHECK_INT(ELECTION_OK, election_resign(handles[1], second.path.text));
    ends(&second, ELECTION_RESIGNED, 7);
    CHECK_INT(ELECTION_OK, election_resign(handles[0], first.path.text));
    await(&first.is_stopped);
    CHECK_INT(1, election_is_master(handles[0], first.path.text));
    CHECK_INT(ELECTION_OK, election_resign(handles[0], first.path.text));
    SET(first.may_return, 1);
    ends(&first, ELECTION_OK, 42);
    CHECK_INT(0, election_is_master(handles[0], first.path.text));
    for (int i = 0; i < 2; i++)
        CHECK_INT(ELECTION_OK, close_handle(handles[i]));
}

struct closer {
    election_t *handle;
    int is_closed;
};

static void *close_it(void *ctx)
{
    struct closer *closer = ctx;
    CHECK_INT(ELECTION_OK, close_handle(closer->handle));
    SET(closer->is_closed, 1);
    return NULL;
}

static void close_inside(struct leader *leader)
{
    CHECK_INT(ELECTION_IN_CALLBACK, election_close(leader->handle));
    CHECK_INT(1, election_is_master(leader->handle, leader->path.text));
}

static void a_close_waits_for_the_function(void)
{
    election_t *handle = open_at(hosts), *other = open_at(hosts);
    struct closer closer = {handle, 0};
    struct leader leader, waiting;
    pthread_t thread;
    start(&leader, handle, "closed");
    leader.then = close_inside;
    await(&leader.is_leading);
    start(&waiting, other, "closed");
    waits(&waiting);
    CHECK_INT(0, pthread_create(&thread, NULL, close_it, &closer));
    await(&leader.is_stopped);
    sleep_ms(50);
    CHECK_INT(0, GET(closer.is_closed));
    CHECK_INT(ELECTION_BAD_HANDLE,
              election_lead(handle, at("another").text, "", 0, work, NULL, PATIENCE_MS, NULL));
    SET(leader.may_return, 1);
    ends(&leader, ELECTION_OK, 42);
    CHECK_INT(0, pthread_join(thread, NULL));
    await(&waiting.is_leading);
    SET(waiting.may_return, 1);
    CHECK_INT(ELECTION_OK, election_resign(other, waiting.path.text));
    ends(&waiting, ELECTION_OK, 42);

    /* One that waits for mastership holds a close up by nothing. */
    {
        election_t *master = open_at(hosts);
        CHECK_INT(ELECTION_OK, go_to_election(master, at("closed").text, "", 0, NULL, NULL, NULL));
        CHECK_INT(ELECTION_OK, election_wait(master, at("closed").text, ELECTION_MASTER, PATIENCE_MS));
        start(&waiting, other, "closed");
        waits(&waiting);
        CHECK_INT(ELECTION_OK, close_handle(other));
        ends(&waiting, ELECTION_CLOSING, 7);
        CHECK_INT(ELECTION_OK, close_handle(master));
    }
}

/* --- two at once ----------------------------------------------------------------------------------------------- */

static int lead_inside(const election_leadership_t *leadership, void *ctx)
{
    election_t *handle = ctx;
    int pieces = 0, returned = 0;
    CHECK_INT(ELECTION_ALREADY, election_lead(handle, at("outer").text, "", 0, work, NULL, PATIENCE_MS, NULL));
    CHECK_INT(ELECTION_ALREADY, go_to_election(handle, at("outer").text, "", 0, NULL, NULL, NULL));
    CHECK_INT(ELECTION_OK,
              election_lead(handle, at("inner").text, "", 0, count_pieces, &pieces, PATIENCE_MS, &returned));
    CHECK_INT(-5, returned);
    CHECK_INT(0, election_should_stop(leadership));
    CHECK_INT(ELECTION_IN_CALLBACK, election_close(handle));
    CHECK_INT(ELECTION_OK, election_set_value(handle, at("outer").text, "w", 1));
    return 1;
}

static void inside_each_other(void)
{
    election_t *handle = open_at(hosts);
    int returned = 0;
    CHECK_INT(ELECTION_OK,
              election_lead(handle, at("outer").text, "", 0, lead_inside, handle, PATIENCE_MS, &returned));
    CHECK_INT(1, returned);
    CHECK_INT(ELECTION_OK, close_handle(handle));
}

static int is_refused;

static void lead_in_a_callback(struct record *record, const struct heard *heard)
{
    if (heard->role == ELECTION_MASTER) {
        CHECK_INT(ELECTION_IN_CALLBACK,
                  election_lead(record->handle, at("inner").text, "", 0, work, NULL, PATIENCE_MS, NULL));
        is_refused = 1;
    }
}

static void inside_a_callback(void)
{
    struct path path = at("callback");
    election_t *handle = open_at(hosts);
    struct record record;
    record_init(&record, handle);
    record.then = lead_in_a_callback;
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "v"));
    expect_master(&record, 0, path.text);
    CHECK_INT(1, is_refused);
    CHECK_INT(ELECTION_OK, close_handle(handle));
    record_done(&record);
}

/* --- cut off --------------------------------------------------------------------------------------------------- */

static void ignore_member(const election_member_t *member, void *ctx)
{
    (void)member;
    (void)ctx;
}

static int64_t left_when_it_heard;

static void measure_what_is_left(struct leader *leader)
{
    int64_t token = 0;
    CHECK_INT(1, election_lease(leader->handle, leader->path.text, &token, &left_when_it_heard));
    CHECK_INT(leader->token, token);
    while (election_is_master(leader->handle, leader->path.text))
        sleep_ms(1);
}

/* The function hears it before the lease ends. Then another one may lead, though the function has not returned. */
static void the_lease_ends(const char *silent)
{
    election_t *cut_off = open_at(silent), *other = open_at(hosts);
    struct leader first, second;
    start(&first, cut_off, "lost");
    first.then = measure_what_is_left;
    await(&first.is_leading);
    start(&second, other, "lost");
    waits(&second);
    CHECK_INT(ELECTION_OPERATIONTIMEOUT, election_members(cut_off, at("be-silent").text, ignore_member, NULL, 1));
    await(&first.is_stopped);
    await(&second.is_leading);
    CHECK(second.token > first.token);
    CHECK_INT(0, GET(first.is_back));
    CHECK_INT(0, election_is_master(cut_off, first.path.text));
    SET(first.may_return, 1);
    ends(&first, ELECTION_LEADERSHIP_LOST, 42);
    CHECK(left_when_it_heard > 0 && left_when_it_heard <= (int64_t)session_timeout_ms * 1000000 / 8);
    CHECK_INT(ELECTION_NOT_THERE, election_resign(cut_off, first.path.text));
    SET(second.may_return, 1);
    CHECK_INT(ELECTION_OK, election_interrupt(other));
    ends(&second, ELECTION_OK, 42);
    CHECK_INT(ELECTION_OK, close_handle(other));
    (void)close_handle(cut_off);
}

int main(int argc, char **argv)
{
    int left = read_ways(argc, argv);
    CHECK_INT(5, left);
    hosts = argv[1];
    root = argv[2];
    session_timeout_ms = atoi(argv[3]);
    give_up_after(240);
    it_ends_when_the_function_returns();
    the_next_leads_when_the_function_has_returned();
    it_saves_its_state_when_it_was_interrupted();
    a_resignation_waits_for_the_function();
    a_close_waits_for_the_function();
    inside_each_other();
    inside_a_callback();
    the_lease_ends(argv[4]);
    return 0;
}
