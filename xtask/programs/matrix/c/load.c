/* Loads a library and calls its Serve. */
#include <dlfcn.h>
#include <stdio.h>

int main(int count, char **arguments)
{
    void *library = dlopen(count > 1 ? arguments[1] : "", RTLD_NOW);
    void (*serve)(void) = library ? (void (*)(void))dlsym(library, "Serve") : 0;
    if (!serve) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    serve();
    return 0;
}
