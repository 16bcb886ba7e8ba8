/* One mistake, in a callback: what the sanitizers are there to find, so that each is seen to have been on.
 *
 *     planted HOSTS ROOT SESSION_TIMEOUT_MS MISTAKE [manual]
 */

#define _POSIX_C_SOURCE 200809L

#include <limits.h>

#include "../c_api/life.h"

static const char *mistake;
static int count;
static int is_done;

static void make_mistake(struct record *record, const struct heard *heard)
{
    static const int *freed, *last;
    int *numbers = malloc(4 * sizeof *numbers);
    (void)record;
    CHECK(numbers != NULL);
    memset(numbers, 0, 4 * sizeof *numbers);
    if (strcmp(mistake, "overflow of the heap") == 0)
        count += numbers[heard->role + 3];
    if (strcmp(mistake, "use after free") == 0 && freed == NULL)
        freed = numbers;
    if (strcmp(mistake, "leak") == 0 && last == NULL)
        numbers = NULL;
    free(numbers);
    if (freed != NULL)
        count += *freed;
    if (strcmp(mistake, "signed overflow") == 0)
        count += INT_MAX - 1 + heard->role + heard->role;
    if (strcmp(mistake, "race") == 0)
        count++;
    __atomic_store_n(&is_done, 1, __ATOMIC_RELAXED);
}

int main(int argc, char **argv)
{
    struct path path;
    struct record record;
    election_t *handle;
    read_arguments(argc, argv);
    CHECK(argc >= 5);
    mistake = argv[4];
    path = at("planted");
    handle = open_at(hosts);
    record_init(&record, handle);
    record.then = make_mistake;
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "v"));
    /* Until the callback has run: no lock is taken in between, so nothing orders the two. */
    while (strcmp(mistake, "race") == 0 && !__atomic_load_n(&is_done, __ATOMIC_RELAXED)) {
        count++;
        sleep_ms(1);
    }
    expect_master(&record, 0, path.text);
    CHECK_INT(ELECTION_OK, close_handle(handle));
    record_done(&record);
    return 0;
}
