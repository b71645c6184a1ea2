//! The `sluice` binary.

use std::process::ExitCode;

// Requests allocate small and often, on several threads: what mimalloc is made for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sluice_gateway::cli::main()
}
