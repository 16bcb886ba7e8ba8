/* The life of candidates and observers, as the header promises it.
 *
 *     life HOSTS ROOT SESSION_TIMEOUT_MS [manual|loop]
 */

#define _POSIX_C_SOURCE 200809L

#include "life.h"

/* --- one after the other ------------------------------------------------------------------------------------ */

static void one_after_the_other(void)
{
    struct path path = at("one/after/the/other");
    election_t *first = open_at(hosts);
    election_t *second = open_at(hosts);
    struct record a, b, c, again, rest;
    const struct heard *master;
    int64_t first_token, second_token, closed_at;
    int index;
    record_init(&a, first);
    record_init(&b, second);
    record_init(&c, second);
    record_init(&again, first);
    record_init(&rest, first);

    /* Nobody stands, and not even the parent is there. */
    CHECK_INT(ELECTION_OK, watch(&rest, path.text));
    CHECK(record_wait(&rest, 1, 0));
    CHECK_INT(ELECTION_NONODE, rest.heard[0].rc);

    CHECK_INT(0, election_is_master(first, path.text));
    CHECK_INT(ELECTION_OK, stand(&a, path.text, "10.0.0.7"));
    master = expect_master(&a, 0, path.text);
    check_value(master, "10.0.0.7", 8);
    CHECK(!pthread_equal(pthread_self(), master->thread));
    CHECK_INT(1, election_is_master(first, path.text));
    CHECK_INT(0, election_is_master(second, path.text));
    first_token = master->token;

    CHECK_INT(ELECTION_OK, stand(&b, path.text, "10.0.0.8:4000"));
    CHECK_INT(ELECTION_OK, watch(&c, path.text));
    master = expect_slave(&b, 0, path.text);
    check_value(master, "10.0.0.7", 8);
    CHECK_INT(first_token, master->token);
    CHECK_INT(0, election_is_master(second, path.text));
    index = expect_observed(&c, 0, &a.heard[0]);
    CHECK_INT(1, index);
    CHECK(llabs((long long)c.heard[0].since_ms - (long long)time(NULL) * 1000) < 600000);
    expect_observed(&rest, 1, &a.heard[0]);
    CHECK_INT(c.heard[0].session_id, rest.heard[1].session_id);
    CHECK_INT(c.heard[0].since_ms, rest.heard[1].since_ms);

    CHECK_INT(ELECTION_OK, election_resign(first, path.text));
    CHECK_INT(0, election_is_master(first, path.text));
    CHECK_INT(ELECTION_NOT_THERE, election_resign(first, path.text));
    expect_end(&a, 1, path.text, ELECTION_REASON_RESIGNED, ELECTION_RESIGNED);

    master = expect_master(&b, 1, path.text);
    check_value(master, "10.0.0.8:4000", 13);
    CHECK(master->token > first_token);
    second_token = master->token;
    CHECK_INT(1, election_is_master(second, path.text));
    index = expect_observed(&c, index, master);
    CHECK(c.heard[index - 1].session_id != c.heard[0].session_id);

    CHECK_INT(ELECTION_OK, stand(&again, path.text, "10.0.0.7"));
    master = expect_slave(&again, 0, path.text);
    check_value(master, "10.0.0.8:4000", 13);
    CHECK_INT(second_token, master->token);

    /* All that the second handle is to hear it has heard when election_close returns. */
    CHECK_INT(ELECTION_OK, close_handle(second));
    closed_at = clock_ms();
    CHECK_INT(3, record_count(&b));
    CHECK_INT(index + 1, record_count(&c));
    expect_end(&b, 2, path.text, ELECTION_REASON_CLOSED, ELECTION_CLOSING);
    CHECK_INT(ELECTION_CLOSING, c.heard[index].rc);
    CHECK_INT(0, c.heard[index].value_len);
    CHECK_INT(1, record_freed(&c));
    CHECK_INT(0, election_is_master(second, path.text));
    CHECK_INT(ELECTION_BAD_HANDLE, election_close(second));

    /* The session was ended, not left to expire. */
    master = expect_master(&again, 1, path.text);
    CHECK(clock_ms() - closed_at < session_timeout_ms * 3 / 4);
    CHECK(master->token > second_token);
    CHECK_INT(1, election_is_master(first, path.text));
    CHECK_INT(3, record_count(&b));
    CHECK_INT(index + 1, record_count(&c));

    /* To stop watching is not to stop standing, and has no last words. */
    index = record_count(&rest);
    while (rest.heard[index - 1].token != master->token) {
        CHECK(record_wait(&rest, index + 1, 0));
        index++;
    }
    CHECK_INT(ELECTION_OK, election_unwatch_master(first, path.text));
    CHECK(record_wait(&rest, 0, 1));
    CHECK_INT(index, record_count(&rest));
    CHECK_INT(ELECTION_NOT_THERE, election_unwatch_master(first, path.text));
    CHECK_INT(1, election_is_master(first, path.text));

    CHECK_INT(ELECTION_OK, close_handle(first));
    expect_end(&again, 2, path.text, ELECTION_REASON_CLOSED, ELECTION_CLOSING);
    CHECK_INT(1, record_freed(&a));
    CHECK_INT(1, record_freed(&rest));
    record_done(&a);
    record_done(&b);
    record_done(&c);
    record_done(&again);
    record_done(&rest);
}

/* --- standing and resigning faster than ZooKeeper answers --------------------------------------------------- */

#define QUICK 20

static void quick_changes_of_mind(void)
{
    struct path path = at("quick");
    election_t *handle = open_at(hosts);
    static struct record records[QUICK];
    char value[16];
    for (int i = 0; i < QUICK; i++) {
        record_init(&records[i], handle);
        snprintf(value, sizeof value, "value %d", i);
        CHECK_INT(ELECTION_OK, stand(&records[i], path.text, value));
        /* What was passed was copied. */
        memset(value, 'x', sizeof value);
        if (i % 3 == 2)
            CHECK(record_wait(&records[i], 1, 0));
        if (i < QUICK - 1) {
            CHECK_INT(ELECTION_OK, election_resign(handle, path.text));
            CHECK_INT(0, election_is_master(handle, path.text));
        }
    }
    check_value(expect_master(&records[QUICK - 1], 0, path.text), "value 19", 8);
    for (int i = 0; i < QUICK - 1; i++) {
        int last;
        CHECK(record_wait(&records[i], 1, 1));
        last = record_count(&records[i]) - 1;
        expect_end(&records[i], last, path.text, ELECTION_REASON_RESIGNED, ELECTION_RESIGNED);
        CHECK(last <= 1);
        if (last == 1)
            CHECK_INT(ELECTION_MASTER, records[i].heard[0].role);
        record_done(&records[i]);
    }
    CHECK_INT(ELECTION_OK, close_handle(handle));
    expect_end(&records[QUICK - 1], 1, path.text, ELECTION_REASON_CLOSED, ELECTION_CLOSING);
    record_done(&records[QUICK - 1]);
}

/* --- values, and ctx without a callback --------------------------------------------------------------------- */

static void pass_value(const char *name, const void *value, size_t value_len)
{
    struct path path = at(name);
    election_t *first = open_at(hosts), *second = open_at(hosts);
    struct record a, b, c;
    record_init(&a, first);
    record_init(&b, second);
    record_init(&c, second);
    CHECK_INT(ELECTION_OK, go_to_election(first, path.text, value, value_len, hear_role, &a, hear_free));
    check_value(expect_master(&a, 0, path.text), value_len == 0 ? "" : value, value_len);
    CHECK_INT(ELECTION_OK, stand(&b, path.text, "-"));
    check_value(expect_slave(&b, 0, path.text), value_len == 0 ? "" : value, value_len);
    CHECK_INT(ELECTION_OK, watch(&c, path.text));
    expect_observed(&c, 0, &a.heard[0]);
    CHECK_INT(ELECTION_OK, close_handle(second));
    CHECK_INT(ELECTION_OK, close_handle(first));
    record_done(&a);
    record_done(&b);
    record_done(&c);
}

static void values(void)
{
    char *longest = malloc(ELECTION_VALUE_MAX);
    CHECK(longest != NULL);
    for (size_t i = 0; i < ELECTION_VALUE_MAX; i++)
        longest[i] = (char)(i * 31 >> 3);
    pass_value("value/bytes", "\0a\0\xff\xfe\0", 6);
    pass_value("value/empty", "", 0);
    pass_value("value/null", NULL, 0);
    pass_value("value/longest", longest, ELECTION_VALUE_MAX);
    free(longest);
}

static void without_a_callback(void)
{
    struct path path = at("no-callback");
    election_t *handle = open_at(hosts);
    struct record record;
    int64_t until = clock_ms() + PATIENCE_MS;
    record_init(&record, handle);
    CHECK_INT(ELECTION_OK, go_to_election(handle, path.text, NULL, 0, NULL, &record, hear_free));
    while (!election_is_master(handle, path.text)) {
        CHECK(clock_ms() < until);
        sleep_ms(5);
    }
    CHECK_INT(ELECTION_OK, election_resign(handle, path.text));
    CHECK_INT(0, election_is_master(handle, path.text));
    CHECK(record_wait(&record, 0, 1));
    CHECK_INT(ELECTION_OK, go_to_election(handle, path.text, NULL, 0, NULL, NULL, NULL));
    CHECK_INT(ELECTION_OK, close_handle(handle));
    CHECK_INT(1, record_freed(&record));
    CHECK_INT(0, record_count(&record));
    record_done(&record);
}

/* --- a chroot ----------------------------------------------------------------------------------------------- */

static void below_a_chroot(void)
{
    char below[512];
    struct path path = at("chroot/not/made/yet/master");
    election_t *inside, *outside = open_at(hosts);
    struct record a, b;
    snprintf(below, sizeof below, "%s%s/chroot/not/made", hosts, root);
    inside = open_at(below);
    record_init(&a, inside);
    record_init(&b, outside);
    CHECK_INT(ELECTION_OK, stand(&a, "/yet/master", "inside"));
    expect_master(&a, 0, "/yet/master");
    CHECK_INT(ELECTION_OK, stand(&b, path.text, "outside"));
    check_value(expect_slave(&b, 0, path.text), "inside", 6);
    CHECK_INT(a.heard[0].token, b.heard[0].token);
    CHECK_INT(ELECTION_OK, close_handle(inside));
    expect_master(&b, 1, path.text);
    CHECK_INT(ELECTION_OK, close_handle(outside));
    record_done(&a);
    record_done(&b);
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    one_after_the_other();
    quick_changes_of_mind();
    values();
    without_a_callback();
    below_a_chroot();
    return 0;
}
