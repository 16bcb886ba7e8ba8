/* What a handle was told in confidence is gone from memory with the options and the handle: no block that is still allocated
 * holds it; and the options' own copy is overwritten before its block is freed.
 *
 *     secrets HOSTS ROOT SESSION_TIMEOUT_MS [manual]
 */

#define _GNU_SOURCE

#include "life.h"

static const char secret[] = "user:a secret of 31 characters.";

/* --- who allocates ------------------------------------------------------------------------------------------ */

/* The library calls these of the program, which come before those of the C library. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

struct block {
    char *at;
    size_t size;
};

#define BLOCKS_MAX 65536
static struct block blocks[BLOCKS_MAX];
static int block_count;
static int freed_with_secret;
static pthread_mutex_t blocks_lock = PTHREAD_MUTEX_INITIALIZER;

static int holds_secret(const struct block *block)
{
    return memmem(block->at, block->size, secret, sizeof secret - 1) != NULL;
}

static void *note(void *at, size_t size)
{
    pthread_mutex_lock(&blocks_lock);
    if (at != NULL) {
        if (block_count == BLOCKS_MAX)
            abort();
        blocks[block_count].at = at;
        blocks[block_count++].size = size;
    }
    pthread_mutex_unlock(&blocks_lock);
    return at;
}

static void forget(void *at)
{
    pthread_mutex_lock(&blocks_lock);
    for (int i = block_count - 1; i >= 0; i--)
        if (blocks[i].at == at) {
            freed_with_secret += holds_secret(&blocks[i]);
            blocks[i] = blocks[--block_count];
            break;
        }
    pthread_mutex_unlock(&blocks_lock);
}

void *malloc(size_t size)
{
    return note(__libc_malloc(size), size);
}

void *calloc(size_t count, size_t size)
{
    return note(__libc_calloc(count, size), count * size);
}

void *realloc(void *block, size_t size)
{
    if (block != NULL)
        forget(block);
    return note(__libc_realloc(block, size), size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return note(__libc_memalign(alignment, size), size);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
    *block = note(__libc_memalign(alignment, size), size);
    return *block == NULL;
}

void free(void *block)
{
    if (block != NULL)
        forget(block);
    __libc_free(block);
}

static int count_secrets(void)
{
    int count = 0;
    pthread_mutex_lock(&blocks_lock);
    for (int i = 0; i < block_count; i++)
        count += holds_secret(&blocks[i]);
    pthread_mutex_unlock(&blocks_lock);
    return count;
}

/* --- what becomes of it ------------------------------------------------------------------------------------- */

static void options_alone(void)
{
    election_options_t *options = election_options_new();
    CHECK_INT(ELECTION_OK, election_options_add_auth(options, "digest", secret, sizeof secret - 1));
    CHECK_INT(1, count_secrets());
    election_options_free(options);
    CHECK_INT(0, count_secrets());
    CHECK_INT(0, freed_with_secret);
}

static void a_handle(void)
{
    struct path path = at("secrets");
    election_options_t *options = election_options_new();
    election_t *handle = NULL;
    int64_t until;
    CHECK_INT(ELECTION_OK, election_options_set_session_timeout_ms(options, session_timeout_ms));
    CHECK_INT(ELECTION_OK, election_options_add_auth(options, "digest", secret, sizeof secret - 1));
    CHECK_INT(ELECTION_OK, open_handle(hosts, options, &handle));
    election_options_free(options);
    CHECK_INT(ELECTION_OK, go_to_election(handle, path.text, "v", 1, NULL, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_wait(handle, path.text, ELECTION_MASTER, PATIENCE_MS));
    CHECK(count_secrets() > 0);
    CHECK_INT(ELECTION_OK, close_handle(handle));
    /* The I/O thread puts away what is left. */
    until = clock_ms() + PATIENCE_MS;
    while (count_secrets() > 0) {
        CHECK(clock_ms() < until);
        sleep_ms(2);
    }
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    options_alone();
    a_handle();
    return 0;
}
