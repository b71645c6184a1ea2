//! The way of one visit as a page: its steps as a list, and the graph with them marked.

use std::fmt::Write as _;

use super::super::{Step, Trace};
use super::svg::{escaped, svg_of};

const STYLE: &str = "body{font:14px sans-serif;margin:2em;color:#222}\
li{line-height:1.5}li code{font-size:14px}.yes{color:#2e7d32}.no{color:#c62828}\
.other{color:#555}svg{max-width:100%;height:auto}";

/// A page that shows what a visit decided: it needs nothing but itself.
#[must_use]
pub fn html_of(trace: &Trace) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <title>What a resource decided</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>What a resource decided</h1>\n<ol>\n"
    );
    for step in trace.steps() {
        let (name, answer) = words(step);
        let class = match answer.as_str() {
            "yes" | "no" => answer.as_str(),
            _ => "other",
        };
        let (name, answer) = (escaped(&name), escaped(&answer));
        let _ = writeln!(
            out,
            "<li><code>{name}</code> <b class=\"{class}\">{answer}</b></li>"
        );
    }
    let _ = write!(out, "</ol>\n{}</body>\n</html>\n", svg_of(trace));
    out
}

fn words(step: &Step) -> (String, String) {
    match step {
        Step::Decision(decision, answer) => (decision.name().to_owned(), answer.name().to_owned()),
        Step::Pipeline(name, answer) => (name.clone(), answer.name().to_owned()),
        Step::Action(action) => (action.name().to_owned(), "ran".to_owned()),
        Step::Handler(handler, status) => (handler.name().to_owned(), status.to_string()),
    }
}
