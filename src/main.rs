//! The `owf` binary: parse, dispatch, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    owf::cli::main(std::env::args_os(), owf::mcp::serve)
}
