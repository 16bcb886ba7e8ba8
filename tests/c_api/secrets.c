/* What a handle was told in confidence is gone from memory with the options and the handle: no block that is still allocated
 * holds it; and the options' own copy is overwritten before its block is freed. The password of a key, and the key, are nowhere in
 * the memory of the process then, and before that only where no core file has them.
 *
 *     secrets HOSTS ROOT SESSION_TIMEOUT_MS [manual|loop]
 */

#define _GNU_SOURCE

#include <fcntl.h>

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

/* --- all of the memory -------------------------------------------------------------------------------------- */

/* How often the memory has something, and how often where a core file would have it. */
struct found {
    int count;
    int in_core;
};

static char piece[1 << 16];

/* Looks at what can be written, piece by piece, each with the end of the one before. */
static void look_at(int memory, uintptr_t start, uintptr_t end, int is_in_core, const char *what, size_t len,
                    struct found *found)
{
    uintptr_t at = start;
    while (at < end) {
        size_t size = end - at < sizeof piece ? end - at : sizeof piece;
        ssize_t got = pread(memory, piece, size, (off_t)at);
        if (got < (ssize_t)len)
            break;
        for (char *hit = piece; (hit = memmem(hit, (size_t)(piece + got - hit), what, len)) != NULL; hit++) {
            uintptr_t place = at + (uintptr_t)(hit - piece);
            if (place < (uintptr_t)piece || place >= (uintptr_t)piece + sizeof piece) {
                found->count++;
                found->in_core += is_in_core;
            }
        }
        at += (size_t)got == size && size == sizeof piece ? size - len + 1 : (size_t)got;
    }
    explicit_bzero(piece, sizeof piece);
}

static struct found look_for(const char *what, size_t len)
{
    struct found found = {0, 0};
    unsigned long start = 0, end = 0, first, last;
    char line[512], access[8] = "";
    FILE *maps = fopen("/proc/self/smaps", "r");
    int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    CHECK(maps != NULL && memory >= 0);
    while (fgets(line, sizeof line, maps) != NULL) {
        if (sscanf(line, "%lx-%lx %7s", &first, &last, access) == 3) {
            start = first;
            end = last;
        } else if (strncmp(line, "VmFlags:", 8) == 0 && strncmp(access, "rw", 2) == 0) {
            look_at(memory, start, end, strstr(line, " dd") == NULL, what, len, &found);
        }
    }
    fclose(maps);
    close(memory);
    return found;
}

/* It is there, and no core file would have it. A copy is somewhere else for a moment while a file is read. */
static void expect_only_out_of_core(const char *what, size_t len)
{
    int64_t until = clock_ms() + PATIENCE_MS;
    for (;;) {
        struct found found = look_for(what, len);
        if (found.count > 0 && found.in_core == 0)
            return;
        if (clock_ms() >= until)
            fprintf(stderr, "%d copies, %d in a core file\n", found.count, found.in_core);
        CHECK(clock_ms() < until);
        sleep_ms(5);
    }
}

static void expect_nowhere(const char *what, size_t len)
{
    int64_t until = clock_ms() + PATIENCE_MS;
    while (look_for(what, len).count > 0) {
        CHECK(clock_ms() < until);
        sleep_ms(5);
    }
}

#define expect_only_out_of_core(...) FROM_HERE((expect_only_out_of_core)(__VA_ARGS__))
#define expect_nowhere(...) FROM_HERE((expect_nowhere)(__VA_ARGS__))

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

/* A certificate, and its key, which the secret opens: made by openssl req -x509 and openssl pkcs8 -topk8. */
static const char certificate[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBcDCCARegAwIBAgIUUuOJPrDDzhpBlzGfQn6v/UQHI1AwCgYIKoZIzj0EAwIw\n"
    "DTELMAkGA1UEAwwCdXMwIBcNMjYxMTI5MDU1NjE2WhgPMjEyNjExMDUwNTU2MTZa\n"
    "MA0xCzAJBgNVBAMMAnVzMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE913fT5ON\n"
    "IgCeKm4RJYAxuUmuNXV9+qrgFXwkf0wWQMihJMnaWxHXnkABm2OrEGXwTQh6bTgD\n"
    "BLOgDwqDGMLGWaNTMFEwHQYDVR0OBBYEFN5PdIroojsnt0HVvhMkXP/G68lyMB8G\n"
    "A1UdIwQYMBaAFN5PdIroojsnt0HVvhMkXP/G68lyMA8GA1UdEwEB/wQFMAMBAf8w\n"
    "CgYIKoZIzj0EAwIDRwAwRAIgbnWs26CMdt73ZBJF8Pl/lErwB6PikRpcdAUYCApi\n"
    "cNoCIF/cwD0qu/DBozDn+kGVRZKC8D8pIVthTbI4UDADsiNR\n"
    "-----END CERTIFICATE-----\n";
static const char key[] =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
    "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAihR6C3vMW5SAICA+gw\n"
    "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEGIY/pMAZhkWuHs7hV7EWv8EgZBA\n"
    "iNBd/XDqNKy62+lffuFRKAXjIO4/tx7xwfsUzu2s10rHAdibOqzZmNH88vLIH8Jc\n"
    "Zmj1ciHFctITAYLlI/gauqvzNkHZvcpFVdJNIjEH0X2he2RA7DrxP7QLHLvy1p18\n"
    "Xu3r7uwd3bTU73AIEzws1ZSGPrJpRXx5aHuMSqvEvLWUfwV04LVqBL9mzSfKWjo=\n"
    "-----END ENCRYPTED PRIVATE KEY-----\n";

/* The private number of that key in the forms that it has in memory: as in the file, and as the TLS implementation calculates with it
 * (d * 2^256 modulo the order of P-256, the lowest byte first). */
static const char number[] =
    "\x42\xde\x5a\x2c\x3f\x07\xc9\x6f\x25\x76\x18\xc2\x89\xa8\x0a\x78"
    "\xb7\x6f\xb1\x96\x6c\x12\xbc\x75\x92\xcc\x9a\xb3\x3d\x6b\x48\x71";
static const char number_at_work[] =
    "\xff\xce\x2f\x75\x11\xa0\xa5\xd3\x4f\x9c\x91\xf1\x0f\x9e\x39\xd0"
    "\xd2\x5a\xa3\xb5\x13\x53\xe9\x1e\x6e\x71\xe2\xae\x4a\xfb\xf8\x56";

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

/* The password of a key. The files are read when the handle is opened, and again for each attempt to connect. */
static void a_key(void)
{
    char folder[] = "/tmp/election-secrets-XXXXXX";
    char names[2][64], files[256];
    election_options_t *options = election_options_new();
    election_t *handle = NULL;
    int64_t until;
    CHECK(mkdtemp(folder) != NULL);
    snprintf(names[0], sizeof names[0], "%s/cert", folder);
    snprintf(names[1], sizeof names[1], "%s/key", folder);
    write_file(names[0], certificate);
    write_file(names[1], key);
    snprintf(files, sizeof files, "%s,%s,%s,%s", names[0], names[0], names[1], secret);
    CHECK_INT(ELECTION_OK, election_options_set_tls(options, files));
    explicit_bzero(files, sizeof files);
    CHECK_INT(1, count_secrets());
    CHECK_INT(ELECTION_OK, open_handle("127.0.0.1:1", options, &handle));
    election_options_free(options);
    CHECK(count_secrets() > 0);
    expect_only_out_of_core(secret, sizeof secret - 1);
    expect_only_out_of_core(number_at_work, sizeof number_at_work - 1);
    CHECK_INT(ELECTION_OK, close_handle(handle));
    until = clock_ms() + PATIENCE_MS;
    while (count_secrets() > 0) {
        CHECK(clock_ms() < until);
        sleep_ms(2);
    }
    CHECK_INT(0, freed_with_secret);
    expect_nowhere(secret, sizeof secret - 1);
    expect_nowhere(number, sizeof number - 1);
    expect_nowhere(number_at_work, sizeof number_at_work - 1);
    unlink(names[0]);
    unlink(names[1]);
    rmdir(folder);
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    options_alone();
    a_key();
    a_handle();
    return 0;
}
