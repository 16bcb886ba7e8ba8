/* A slow disk for a server, to be preloaded: while there is a file $SLOW_DISK, each flush takes as many milliseconds as that
 * file says. */

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void wait_for_the_disk(void)
{
    const char *path = getenv("SLOW_DISK");
    FILE *file = path != NULL ? fopen(path, "r") : NULL;
    int ms = 0;
    if (file == NULL)
        return;
    if (fscanf(file, "%d", &ms) == 1 && ms > 0) {
        struct timespec pause = {ms / 1000, ms % 1000 * 1000000L};
        nanosleep(&pause, NULL);
    }
    fclose(file);
}

int fsync(int descriptor)
{
    int (*real)(int);
    *(void **)&real = dlsym(RTLD_NEXT, "fsync");
    wait_for_the_disk();
    return real(descriptor);
}

int fdatasync(int descriptor)
{
    int (*real)(int);
    *(void **)&real = dlsym(RTLD_NEXT, "fdatasync");
    wait_for_the_disk();
    return real(descriptor);
}
