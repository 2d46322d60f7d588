//! The `owf` binary: parse, dispatch, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    let code = owf::cli::main(std::env::args_os(), owf::mcp::serve);
    // Whatever ended this process early: an agent without anybody who reads its answer does not go on.
    owf::process::end_running();
    code
}
