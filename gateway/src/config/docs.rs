//! The reference and the example file, both made from the options' declarations.

use std::fmt::Write as _;

use super::section::{OptionInfo, SectionInfo};
use super::{Config, kind};

const INTRODUCTION: &str = include_str!("docs/introduction.md");
const FUNCTIONS: &str = include_str!("docs/functions.md");
const EXAMPLE_HEADER: &str = include_str!("docs/example_header.toml");
const EXAMPLE_FUNCTIONS: &str = include_str!("docs/example_functions.toml");

/// `docs/configuration.md`.
#[must_use]
pub fn reference() -> String {
    let mut out = INTRODUCTION.to_owned();
    for section in Config::reference() {
        push_section(&mut out, &section);
    }
    out.push('\n');
    out.push_str(FUNCTIONS);
    out
}

fn push_section(out: &mut String, section: &SectionInfo) {
    let _ = write!(out, "\n## `[{}]`\n\n{}\n\n", section.name, section.doc);
    out.push_str("| option | default | takes | what it does |\n|---|---|---|---|\n");
    for option in &section.options {
        let _ = writeln!(
            out,
            "| `{}`<br>`{}` | {} | {} | {}{} |",
            option.name,
            option.env,
            option
                .default
                .as_ref()
                .map_or_else(|| "not set".to_owned(), |d| format!("`{d}`")),
            cell(&option.kind),
            cell(&option.doc),
            secret_note(option),
        );
    }
}

fn secret_note(option: &OptionInfo) -> String {
    if option.secret {
        format!(
            " From a file: `{}_file`, `{}_FILE`.",
            option.name, option.env
        )
    } else {
        String::new()
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// `sluice.example.toml`: every option with its default, commented out.
#[must_use]
pub fn example() -> String {
    let mut out = EXAMPLE_HEADER.to_owned();
    for section in Config::reference() {
        let _ = write!(out, "\n# {}\n[{}]\n", section.doc, section.name);
        for option in &section.options {
            push_example(&mut out, option);
        }
    }
    out.push('\n');
    out.push_str(EXAMPLE_FUNCTIONS);
    out
}

fn push_example(out: &mut String, option: &OptionInfo) {
    for line in wrapped(&format!("{} Takes {}.", option.doc, option.kind), 96) {
        let _ = writeln!(out, "# {line}");
    }
    match &option.default {
        Some(default) => {
            let _ = writeln!(out, "#{} = {default}", option.name);
        }
        // Empty means not set.
        None => {
            let _ = writeln!(out, "#{} = {}", option.name, kind::quoted(""));
        }
    }
}

/// Breaks text into lines of at most `width` characters, between words.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
