"""A real load on every GPU through the driver alone: no toolkit, no framework, nothing to download.

Prints one line when all GPUs are busy, and works until its standard input is closed.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any, Final

LIBRARY: Final = "libcuda.so.1"
BYTES: Final = 1 << 30
"""Memory that is taken on each GPU."""
BLOCKS, THREADS, ROUNDS = 4096, 256, 1 << 18
TARGETS: Final = (("6.0", "sm_50"), ("6.3", "sm_75"))
"""Version of PTX and target, the oldest first; the driver compiles for the GPU that is there."""
KERNEL: Final = """
.version {version}
.target {target}
.address_size 64
.visible .entry spin(.param .u64 out, .param .u32 rounds)
{{
    .reg .pred %p1; .reg .f32 %f1; .reg .b32 %r<3>; .reg .b64 %rd<3>;
    ld.param.u64 %rd1, [out];
    ld.param.u32 %r1, [rounds];
    cvta.to.global.u64 %rd2, %rd1;
    mov.f32 %f1, 0f3F800000;
    mov.u32 %r2, 0;
again:
    fma.rn.f32 %f1, %f1, 0f3F000000, 0f3F000000;
    add.u32 %r2, %r2, 1;
    setp.lt.u32 %p1, %r2, %r1;
    @%p1 bra again;
    st.global.f32 [%rd2], %f1;
    ret;
}}
"""


class Gpu:
    """One GPU with a context, memory and the kernel."""

    def __init__(self, cuda: Any, index: int) -> None:
        self._cuda = cuda
        device, context = ctypes.c_int(), ctypes.c_void_p()
        check(cuda.cuDeviceGet(ctypes.byref(device), index))
        check(cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device))
        self._context = context
        check(cuda.cuCtxSetCurrent(context))
        self._memory = ctypes.c_uint64()
        check(cuda.cuMemAlloc_v2(ctypes.byref(self._memory), ctypes.c_size_t(BYTES)))
        module, self._kernel = ctypes.c_void_p(), ctypes.c_void_p()
        for number, (version, target) in enumerate(TARGETS):
            code = cuda.cuModuleLoadData(ctypes.byref(module), KERNEL.format(version=version, target=target).encode())
            if code == 0 or number == len(TARGETS) - 1:
                check(code)
                break
        check(cuda.cuModuleGetFunction(ctypes.byref(self._kernel), module, b"spin"))

    def work(self) -> None:
        """Starts one kernel, which takes some milliseconds."""
        check(self._cuda.cuCtxSetCurrent(self._context))
        rounds = ctypes.c_uint32(ROUNDS)
        arguments = (ctypes.c_void_p * 2)(ctypes.addressof(self._memory), ctypes.addressof(rounds))
        check(self._cuda.cuLaunchKernel(self._kernel, BLOCKS, 1, 1, THREADS, 1, 1, 0, None, arguments, None))

    def wait(self) -> None:
        """Waits for the kernel."""
        check(self._cuda.cuCtxSetCurrent(self._context))
        check(self._cuda.cuCtxSynchronize())


def check(code: int) -> None:
    """Ends the program with the driver's code."""
    if code != 0:
        sys.exit(f"the CUDA driver answers {code}")


def main() -> None:
    """Works until standard input is closed."""
    import select

    try:
        cuda = ctypes.CDLL(LIBRARY)
    except OSError as error:
        sys.exit(str(error))
    count = ctypes.c_int()
    check(cuda.cuInit(0))
    check(cuda.cuDeviceGetCount(ctypes.byref(count)))
    gpus = [Gpu(cuda, index) for index in range(count.value)]
    is_said = False
    while not select.select([sys.stdin], [], [], 0)[0]:
        for gpu in gpus:
            gpu.work()
        for gpu in gpus:
            gpu.wait()
        if not is_said:
            print(f"{len(gpus)} GPUs are busy", flush=True)
            is_said = True


if __name__ == "__main__":
    main()
