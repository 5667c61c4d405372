//! The binary: see [`nadmit::cli`].

use std::process::ExitCode;

/// Reviews are many small allocations on several threads, which this allocator is good at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    nadmit::cli::run()
}
