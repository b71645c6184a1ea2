//! `sluice docs`: prints documentation that is made from the source.

use std::fmt::Write as _;

use super::{Exit, Failure, Terminal, description};
use crate::config::docs::{example, reference, wrapped};

const INTRODUCTION: &str = include_str!("docs/introduction.md");

/// Arguments of `sluice docs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which page.
    #[arg(value_enum)]
    page: Page,
}

/// What can be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Page {
    /// `docs/configuration.md`
    Config,
    /// `sluice.example.toml`
    Example,
    /// `docs/cli.md`
    Cli,
}

/// Prints a page.
pub(super) fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let text = match args.page {
        Page::Config => reference(),
        Page::Example => example(),
        Page::Cli => command_line(),
    };
    write!(terminal.out, "{text}")?;
    Ok(Exit::Ok)
}

/// `docs/cli.md`: the introduction, then every command's help.
#[must_use]
pub fn command_line() -> String {
    let mut out = INTRODUCTION.to_owned();
    let mut root = description();
    // Gives every command its full name for the usage line.
    root.build();
    for command in root.get_subcommands_mut() {
        if command.is_hide_set() || command.get_name() == "help" {
            continue;
        }
        let name = command.get_name().to_owned();
        // Lines as they are written: whether clap wraps them depends on what else is built with it.
        let help = command.clone().term_width(0).render_long_help();
        let help = help.to_string();
        let _ = write!(out, "\n## `sluice {name}`\n\n```text\n");
        for line in help.trim_end().lines() {
            let text = line.trim_start();
            let indent = " ".repeat(line.len() - text.len());
            for part in wrapped(text, 98 - indent.len()) {
                let _ = writeln!(out, "{}", format!("{indent}{part}").trim_end());
            }
        }
        out.push_str("```\n");
    }
    out
}
