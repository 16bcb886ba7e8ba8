/* election_members: who stands at a path, in order, with values.
 *
 *     members HOSTS ROOT SESSION_TIMEOUT_MS [manual|loop] [instrumented]
 */

#define _POSIX_C_SOURCE 200809L

#include "life.h"

#define CANDIDATES 5

struct list {
    election_member_t members[CANDIDATES];
    char names[CANDIDATES][128];
    char values[CANDIDATES][128];
    int count;
    pthread_t thread;
};

static void take_down(const election_member_t *member, void *ctx)
{
    struct list *list = ctx;
    int at = list->count++;
    CHECK(at < CANDIDATES);
    CHECK_INT(sizeof *member, member->size);
    CHECK(strlen(member->name) < sizeof list->names[at]);
    CHECK(member->value_len < sizeof list->values[at]);
    CHECK_INT(0, member->value[member->value_len]);
    list->members[at] = *member;
    strcpy(list->names[at], member->name);
    memcpy(list->values[at], member->value, member->value_len + 1);
    CHECK(pthread_equal(list->thread, pthread_self()));
}

static struct list list_members(election_t *handle, const char *path)
{
    struct list list;
    memset(&list, 0, sizeof list);
    list.thread = pthread_self();
    CHECK_INT(ELECTION_OK, election_members(handle, path, take_down, &list, PATIENCE_MS));
    return list;
}

static void check_member(const struct list *list, int at, const char *value, size_t value_len)
{
    const election_member_t *member = &list->members[at];
    CHECK(at < list->count);
    CHECK_INT(value_len, member->value_len);
    CHECK(memcmp(value, list->values[at], value_len) == 0);
    CHECK(member->token > 0);
    CHECK(member->session_id != 0);
    CHECK(llabs((long long)member->since_ms - (long long)time(NULL) * 1000) < 600000);
}

#define check_member(...) FROM_HERE((check_member)(__VA_ARGS__))

static void a_queue(void)
{
    struct path path = at("queue");
    election_t *handles[CANDIDATES];
    static struct record records[CANDIDATES];
    struct list list;
    int64_t token;
    for (int i = 0; i < CANDIDATES; i++) {
        char value[8];
        snprintf(value, sizeof value, "m%d", i);
        handles[i] = open_recipe(ELECTION_RECIPE_QUEUE);
        record_init(&records[i], handles[i]);
        if (i == 0)
            CHECK_INT(0, list_members(handles[0], path.text).count);
        CHECK_INT(ELECTION_OK, stand(&records[i], path.text, value));
        if (i == 0)
            expect_master(&records[i], 0, path.text);
        else if (i == 1)
            check_value(expect_slave(&records[i], 0, path.text), "m0", 2);
        else
            expect_in_queue(&records[i], 0, path.text);
        CHECK_INT(i + 1, list_members(handles[0], path.text).count);
    }

    /* In the order in which they came, whoever asks. */
    for (int asked = 0; asked < CANDIDATES; asked++) {
        list = list_members(handles[asked], path.text);
        CHECK_INT(CANDIDATES, list.count);
        for (int i = 0; i < CANDIDATES; i++) {
            char value[8];
            snprintf(value, sizeof value, "m%d", i);
            check_member(&list, i, value, 2);
            CHECK(strncmp(list.names[i], "_c_", 3) == 0);
            CHECK(strstr(list.names[i], "-latch-") != NULL);
            for (int k = 0; k < i; k++) {
                CHECK(list.members[k].token < list.members[i].token);
                CHECK(list.members[k].session_id != list.members[i].session_id);
                CHECK(strcmp(list.names[k], list.names[i]) != 0);
            }
        }
        CHECK_INT(records[0].heard[0].token, list.members[0].token);
    }

    /* One in the middle leaves, then the master; the token that was foretold is the next master's. */
    token = list.members[1].token;
    CHECK_INT(ELECTION_OK, close_handle(handles[2]));
    list = list_members(handles[4], path.text);
    CHECK_INT(CANDIDATES - 1, list.count);
    check_member(&list, 1, "m1", 2);
    check_member(&list, 2, "m3", 2);
    CHECK_INT(ELECTION_OK, close_handle(handles[0]));
    CHECK_INT(token, expect_master(&records[1], 1, path.text)->token);
    list = list_members(handles[4], path.text);
    CHECK_INT(CANDIDATES - 2, list.count);
    check_member(&list, 0, "m1", 2);
    check_member(&list, 1, "m3", 2);
    check_member(&list, 2, "m4", 2);

    CHECK_INT(ELECTION_OK, close_handle(handles[1]));
    CHECK_INT(ELECTION_OK, close_handle(handles[3]));
    CHECK_INT(ELECTION_OK, close_handle(handles[4]));
    for (int i = 0; i < CANDIDATES; i++)
        record_done(&records[i]);
}

static struct list seen_inside;

static void list_inside(struct record *record, const struct heard *heard)
{
    if (heard->role == ELECTION_MASTER)
        seen_inside = list_members(record->handle, heard->path);
}

static void a_node(void)
{
    struct path path = at("node"), below = at("node/below");
    election_t *first = open_at(hosts), *second = open_at(hosts);
    struct record a, b;
    struct list list;
    record_init(&a, first);
    record_init(&b, second);
    a.then = list_inside;
    CHECK_INT(0, list_members(first, path.text).count);
    CHECK_INT(0, list_members(first, below.text).count);
    CHECK_INT(ELECTION_OK,
              go_to_election(first, path.text, "\0binary\0", 8, hear_role, &a, hear_free));
    expect_master(&a, 0, path.text);
    CHECK_INT(1, seen_inside.count);
    check_member(&seen_inside, 0, "\0binary\0", 8);
    CHECK_INT(ELECTION_OK, stand(&b, path.text, "slave"));
    expect_slave(&b, 0, path.text);

    /* Who waits is nowhere to be seen. */
    list = list_members(second, path.text);
    CHECK_INT(1, list.count);
    check_member(&list, 0, "\0binary\0", 8);
    CHECK(strcmp(list.names[0], "node") == 0);
    CHECK_INT(a.heard[0].token, list.members[0].token);
    CHECK_INT(ELECTION_OK, close_handle(first));
    expect_master(&b, 1, path.text);
    list = list_members(second, path.text);
    check_member(&list, 0, "slave", 5);
    CHECK_INT(ELECTION_OK, election_resign(second, path.text));
    CHECK(record_wait(&b, 3, 1));
    CHECK_INT(ELECTION_OK, close_handle(second));
    record_done(&a);
    record_done(&b);
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    a_queue();
    a_node();
    return 0;
}
