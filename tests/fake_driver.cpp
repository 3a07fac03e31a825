// Stands in for NVIDIA's driver (libcuda.so.1): says which version it is and why there is no device,
// both from the environment, and can do nothing else.
#include <cstdlib>
#include <cstring>

static int number(const char *name) {
    const char *text = std::getenv(name);
    return text ? std::atoi(text) : 0;
}

extern "C" {
int cuInit(unsigned) { return number("FAKE_DRIVER_STATUS"); }
int cuDriverGetVersion(int *version) { *version = number("FAKE_DRIVER_VERSION"); return 0; }
int cuDeviceGetCount(int *count) { *count = 0; return 0; }
int cuGetExportTable(const void **table, const void *) { *table = nullptr; return 801; }
static int unsupported() { return 801; }

int cuGetProcAddress_v2(const char *name, void **function, int, unsigned long long, int *found) {
    if (found) *found = 0;
    *function = (void *)unsupported;
    if (!std::strcmp(name, "cuInit")) *function = (void *)cuInit;
    if (!std::strcmp(name, "cuDriverGetVersion")) *function = (void *)cuDriverGetVersion;
    if (!std::strcmp(name, "cuDeviceGetCount")) *function = (void *)cuDeviceGetCount;
    if (!std::strcmp(name, "cuGetExportTable")) *function = (void *)cuGetExportTable;
    if (!std::strcmp(name, "cuGetProcAddress")) *function = (void *)cuGetProcAddress_v2;
    return 0;
}
int cuGetProcAddress(const char *name, void **function, int version, unsigned long long flags) {
    return cuGetProcAddress_v2(name, function, version, flags, nullptr);
}
}
