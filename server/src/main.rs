//! The binary `fastn`.

use std::process::ExitCode;

// Beside mimalloc it costs the same CPU time and keeps a quarter less memory with 50,000 executions waiting.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    fastn_server::run()
}
