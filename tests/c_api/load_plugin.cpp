// Loads a plugin, waits until it has done its work, and unloads it; three times. Its constructors and destructors do the work:
// static_object.cpp.
//
//     load_plugin PLUGIN

#include <dlfcn.h>
#include <stdio.h>
#include <time.h>

int main(int count, char **arguments)
{
    for (int i = 0; i < 3; i++) {
        const struct timespec moment = {0, 10000000};
        int (*plugin_is_done)() = nullptr;
        void *plugin = dlopen(arguments[count - 1], RTLD_NOW);
        if (plugin != nullptr)
            plugin_is_done = reinterpret_cast<int (*)()>(dlsym(plugin, "plugin_is_done"));
        if (plugin_is_done == nullptr) {
            fprintf(stderr, "%s\n", dlerror());
            return 1;
        }
        for (int waits = 0; !plugin_is_done(); waits++) {
            if (waits == 3000) {
                fprintf(stderr, "the thread of the constructor does not end\n");
                return 1;
            }
            nanosleep(&moment, nullptr);
        }
        dlclose(plugin);
    }
    return 0;
}
