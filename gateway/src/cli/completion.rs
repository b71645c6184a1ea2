//! `sluice completion`: what a shell needs to complete command lines.

use clap_complete::Shell;

use super::{Exit, Failure, Terminal, description};

/// Arguments of `sluice completion`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
pub(super) fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut description(), "sluice", &mut script);
    terminal.out.write_all(&script)?;
    Ok(Exit::Ok)
}
