//! The `nadmit` binary; see [`nadmit::cli`].

use std::process::ExitCode;

/// Reviews make many small allocations on several threads, for which mimalloc is fast.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    nadmit::cli::run()
}
