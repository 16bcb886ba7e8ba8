/* Two copies of the library in one process, as when a program and a plugin of it bring one each: both work, contend with each
 * other as two processes do, and after a fork both are inert in the child.
 *
 *     copies HOSTS ROOT SESSION_TIMEOUT_MS COPY [manual|loop]
 */

#define _GNU_SOURCE

#include <dlfcn.h>
#include <sys/wait.h>

#include "life.h"

/* The functions of the other copy. */
static struct {
    int (*open)(const char *, const election_options_t *, election_t **);
    int (*close)(election_t *);
    int (*stand)(election_t *, const char *, const void *, size_t, election_role_fn, void *, election_free_fn);
    int (*resign)(election_t *, const char *);
    int (*is_master)(const election_t *, const char *);
    int (*wait)(election_t *, const char *, int, int);
} other;

static void *find(void *copy, const char *name)
{
    void *found = dlsym(copy, name);
    CHECK(found != NULL);
    return found;
}

static void load_other(const char *file)
{
    void *copy = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (copy == NULL)
        fprintf(stderr, "%s\n", dlerror());
    CHECK(copy != NULL);
    *(void **)&other.open = find(copy, "election_open");
    *(void **)&other.close = find(copy, "election_close");
    *(void **)&other.stand = find(copy, "go_to_election");
    *(void **)&other.resign = find(copy, "election_resign");
    *(void **)&other.is_master = find(copy, "election_is_master");
    *(void **)&other.wait = find(copy, "election_wait");
    CHECK(other.open != election_open && other.stand != go_to_election);
}

static void count_free(void *ctx)
{
    __atomic_fetch_add((int *)ctx, 1, __ATOMIC_SEQ_CST);
}

static void in_the_child(election_t *ours, election_t *theirs, const char *path)
{
    CHECK_INT(0, election_is_master(ours, path));
    CHECK_INT(0, other.is_master(theirs, path));
    CHECK_INT(ELECTION_FORKED, election_resign(ours, path));
    CHECK_INT(ELECTION_FORKED, other.resign(theirs, path));
    CHECK_INT(ELECTION_FORKED, election_close(ours));
    CHECK_INT(ELECTION_FORKED, other.close(theirs));
}

int main(int argc, char **argv)
{
    struct path path;
    election_t *ours, *theirs = NULL;
    struct record record;
    pid_t child;
    int status, freed = 0;
    read_arguments(argc, argv);
    CHECK(argc >= 5);
    load_other(argv[4]);
    path = at("copies");
    ours = open_at(hosts);
    CHECK_INT(ELECTION_OK, other.open(hosts, NULL, &theirs));
    record_init(&record, ours);

    CHECK_INT(ELECTION_OK, stand(&record, path.text, "ours"));
    expect_master(&record, 0, path.text);
    CHECK_INT(ELECTION_OK, other.stand(theirs, path.text, "theirs", 6, NULL, &freed, count_free));
    CHECK_INT(ELECTION_OK, other.wait(theirs, path.text, ELECTION_SLAVE, PATIENCE_MS));
    CHECK_INT(1, election_is_master(ours, path.text));
    CHECK_INT(0, other.is_master(theirs, path.text));

    /* Each knows its own handles, and nobody else's: both have opened as many. */
    CHECK(ours != theirs);
    CHECK_INT(0, other.is_master(ours, path.text));
    CHECK_INT(0, election_is_master(theirs, path.text));
    CHECK_INT(ELECTION_BAD_HANDLE, other.resign(ours, path.text));
    CHECK_INT(ELECTION_BAD_HANDLE, election_resign(theirs, path.text));
    CHECK_INT(ELECTION_BAD_HANDLE, other.close(ours));
    CHECK_INT(ELECTION_BAD_HANDLE, election_close(theirs));
    CHECK_INT(1, election_is_master(ours, path.text));
    CHECK_INT(0, other.is_master(NULL, path.text));
    CHECK_INT(ELECTION_BAD_HANDLE, other.close(NULL));

    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        in_the_child(ours, theirs, path.text);
        _exit(0);
    }
    CHECK_INT(child, waitpid(child, &status, 0));
    CHECK(WIFEXITED(status));
    CHECK_INT(0, WEXITSTATUS(status));
    CHECK_INT(1, election_is_master(ours, path.text));

    /* The master of one is succeeded by that of the other. */
    CHECK_INT(ELECTION_OK, election_resign(ours, path.text));
    CHECK_INT(ELECTION_OK, other.wait(theirs, path.text, ELECTION_MASTER, PATIENCE_MS));
    CHECK_INT(1, other.is_master(theirs, path.text));
    CHECK_INT(0, election_is_master(ours, path.text));
    expect_end(&record, 1, path.text, ELECTION_REASON_RESIGNED, ELECTION_RESIGNED);
    record_done(&record);
    CHECK_INT(ELECTION_OK, close_handle(ours));
    CHECK_INT(1, other.is_master(theirs, path.text));
    CHECK_INT(0, __atomic_load_n(&freed, __ATOMIC_SEQ_CST));
    CHECK_INT(ELECTION_OK, other.close(theirs));
    CHECK_INT(1, __atomic_load_n(&freed, __ATOMIC_SEQ_CST));
    return 0;
}
