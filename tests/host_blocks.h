// Runs kernels with shared memory and barriers on the host: block after block, a fiber per thread.
//
// Each thread runs up to its next barrier before the next thread starts, so what another thread has
// yet to write is still missing: a forgotten barrier gives wrong numbers, every time.  Neither warps
// nor races within one instruction exist here.
#pragma once
#include <ucontext.h>
#include <functional>
#include <vector>

struct dim3 { unsigned x, y, z; };
static dim3 threadIdx, blockIdx, blockDim, gridDim;
#define __global__
#define __device__
#define __shared__ static

struct Fiber { ucontext_t context; std::vector<char> stack; bool done; };
static ucontext_t scheduler;
static Fiber *running;
static std::function<void()> kernel_body;

inline void __syncthreads() { swapcontext(&running->context, &scheduler); }

static void fiber_main() {
    kernel_body();
    running->done = true;
    swapcontext(&running->context, &scheduler);
}

// 0, or 1 if some threads of a block ended while others wait at a barrier.
inline int launch(unsigned blocks, unsigned threads, std::function<void()> body) {
    kernel_body = body;
    gridDim = {blocks, 1, 1};
    blockDim = {threads, 1, 1};
    std::vector<Fiber> fibers(threads);
    for (unsigned block = 0; block < blocks; ++block) {
        blockIdx = {block, 0, 0};
        for (Fiber &fiber : fibers) {
            fiber.done = false;
            fiber.stack.resize(32768);
            getcontext(&fiber.context);
            fiber.context.uc_stack.ss_sp = fiber.stack.data();
            fiber.context.uc_stack.ss_size = fiber.stack.size();
            makecontext(&fiber.context, fiber_main, 0);
        }
        for (unsigned ended = 0; ended < threads;) {
            for (unsigned thread = 0; thread < threads; ++thread) {
                threadIdx = {thread, 0, 0};
                running = &fibers[thread];
                swapcontext(&scheduler, &running->context);
                ended += running->done;
            }
            if (ended && ended < threads) return 1;
        }
    }
    return 0;
}
