/* The part of the CUDA driver that tests/gpu/load.py calls: one GPU on which nothing happens. */
#include <stddef.h>
#include <unistd.h>

int cuInit(unsigned flags) { return (int)flags; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGet(int *device, int index) { *device = index; return 0; }
int cuDevicePrimaryCtxRetain(void **context, int device) { (void)device; *context = NULL; return 0; }
int cuCtxSetCurrent(void *context) { (void)context; return 0; }
int cuCtxSynchronize(void) { return usleep(1000); }
int cuMemAlloc_v2(unsigned long long *memory, size_t bytes) { *memory = bytes; return 0; }
int cuModuleLoadData(void **module, const void *code) { *module = NULL; return *(const char *)code != '\n'; }
int cuModuleGetFunction(void **function, void *module, const char *name) { (void)name; *function = module; return 0; }
int cuLaunchKernel(void *function, unsigned x, unsigned y, unsigned z, unsigned a, unsigned b, unsigned c, unsigned shared,
                   void *stream, void **arguments, void **extra)
{
    (void)function, (void)shared, (void)stream, (void)extra;
    return !(x && y && z && a && b && c && arguments);
}
