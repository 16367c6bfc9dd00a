//! The `gofuncgraph` command.

use std::process::ExitCode;

use gofuncgraph::{cli, session};

fn main() -> ExitCode {
    let command = match cli::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(message) => {
            // A reader that is gone misses nothing.
            let _ = message.print();
            let code = u8::try_from(message.exit_code()).unwrap_or(2);
            return ExitCode::from(code);
        }
    };
    match session::run(&command) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            session::notice(format_args!("gofuncgraph: {error}"));
            error.exit_code().into()
        }
    }
}
