//! Finds the events of the log in the sources.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// One `tracing::level!(…)`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Event {
    pub(crate) target: String,
    pub(crate) message: String,
    pub(crate) level: String,
    pub(crate) fields: Vec<String>,
}

/// All events of the sources in a folder, tests left out, in the order of their targets.
pub(crate) fn collect(folder: &Path, of: &str, to: &mut Vec<Event>) {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !is_test(folder, &path) {
                let source: TokenStream = fs::read_to_string(&path).unwrap().parse().unwrap();
                scan(source, &module(folder, &path, of), &mut found);
            }
        }
    }
    found.sort();
    found.dedup();
    to.append(&mut found);
}

fn is_test(folder: &Path, path: &Path) -> bool {
    let inside = path.strip_prefix(folder).unwrap();
    let names = ["tests", "tests.rs", "testing.rs", "fake.rs"];
    inside.iter().any(|part| names.iter().any(|n| part == *n))
}

/// The module of a file, which is the target of its events.
fn module(folder: &Path, path: &Path, of: &str) -> String {
    let inside: PathBuf = path.strip_prefix(folder).unwrap().with_extension("");
    let parts = inside.iter().map(|part| part.to_str().unwrap());
    let parts = parts.filter(|part| !matches!(*part, "lib" | "main" | "mod"));
    std::iter::once(of)
        .chain(parts)
        .collect::<Vec<_>>()
        .join("::")
}

fn scan(tokens: TokenStream, module: &str, to: &mut Vec<Event>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (i, token) in tokens.iter().enumerate() {
        let TokenTree::Group(group) = token else {
            continue;
        };
        let before = |n: usize| i.checked_sub(n).map(|at| tokens[at].to_string());
        let is = |n: usize, text: &str| before(n).as_deref() == Some(text);
        if is(1, "tests") && is(2, "mod") {
            continue;
        }
        let level = before(2).filter(|_| is(1, "!") && is(3, ":") && is(5, "tracing"));
        let level = level
            .filter(|name| ["trace", "debug", "info", "warn", "error"].contains(&name.as_str()));
        match level {
            Some(level) if group.delimiter() == Delimiter::Parenthesis => {
                to.push(event(group.stream(), module, level));
            }
            _ => scan(group.stream(), module, to),
        }
    }
}

fn event(arguments: TokenStream, module: &str, level: String) -> Event {
    let mut event = Event {
        target: module.to_owned(),
        message: String::new(),
        level,
        fields: Vec::new(),
    };
    let tokens: Vec<TokenTree> = arguments.into_iter().collect();
    let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(p) if p.as_char() == ',');
    for argument in tokens.split(is_comma) {
        let text: Vec<String> = argument.iter().map(ToString::to_string).collect();
        match text.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] => {}
            [literal] if literal.starts_with('"') => event.message = unquoted(literal),
            ["target", ":", target] => event.target = unquoted(target),
            ["%" | "?", ref name @ ..] => event.fields.push(field(name)),
            ref name => event.fields.push(field(name)),
        }
    }
    event
}

/// The name before `=`, or all of a shorthand.
fn field(tokens: &[&str]) -> String {
    tokens.iter().take_while(|t| **t != "=").copied().collect()
}

fn unquoted(literal: &str) -> String {
    let inside = literal.trim_matches('"').replace("\\\"", "\"");
    // A line that goes on in the next one.
    let mut lines = inside.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |text, line| text + line.trim_start())
}
