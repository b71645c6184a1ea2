//! `sluice graph`: the graph that resources decide by, as a picture, and in it the way of a request.

use sluice_worker::resource::{Trace, graph};

use super::json::{Layout, lay_out};
use super::{Exit, Failure, Terminal};

/// Arguments of `sluice graph`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// In which language.
    #[arg(long, value_enum, default_value_t = Format::Svg, conflicts_with = "trace")]
    format: Format,
    /// Show the way of one request: the value of a response's header `sluice-resource-trace`.
    #[arg(long, value_name = "HEADER")]
    trace: Option<String>,
    /// As a page with the steps beside the picture.
    #[arg(long, requires = "trace")]
    html: bool,
    /// The steps alone, as JSON.
    #[arg(long, requires = "trace", conflicts_with = "html")]
    json: bool,
}

/// Languages of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// `docs/resource-graph.svg`
    Svg,
    /// For Graphviz.
    Dot,
    /// For Markdown.
    Mermaid,
}

/// Prints the picture.
pub(super) fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let text = match &args.trace {
        Some(header) => of_request(header, args)?,
        None => match args.format {
            Format::Svg => graph::svg(),
            Format::Dot => graph::dot(),
            Format::Mermaid => graph::mermaid(),
        },
    };
    write!(terminal.out, "{text}")?;
    Ok(Exit::Ok)
}

fn of_request(header: &str, args: &Args) -> Result<String, Failure> {
    let trace = Trace::from_header(header).map_err(|e| Failure::Failed(e.to_string()))?;
    Ok(match (args.html, args.json) {
        (true, _) => graph::html_of(&trace),
        (_, true) => format!(
            "{}\n",
            lay_out(&trace.to_json().to_string(), Layout::Indented)
        ),
        (false, false) => graph::svg_of(&trace),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::{Value, json};

    use super::super::testing::Output;
    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn printed(words: &[&str]) -> Result<String, Failure> {
        let line = Line::try_parse_from(["graph"].iter().chain(words)).unwrap();
        let mut output = Output::default();
        run(&line.args, &mut output.terminal())?;
        Ok(output.out())
    }

    #[test]
    fn the_picture_in_the_docs_is_the_one_that_is_printed() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/resource-graph.svg");
        let kept = std::fs::read_to_string(path).unwrap();
        assert!(
            kept == printed(&[]).unwrap(),
            "docs/resource-graph.svg is not what `sluice graph` prints"
        );
        let dot = printed(&["--format", "dot"]).unwrap();
        assert!(dot.starts_with("digraph"));
        let mermaid = printed(&["--format", "mermaid"]).unwrap();
        assert!(mermaid.contains("flowchart"));
    }

    const HEADER: &str = "service_available?=yes, known_method?=no, handle_unknown_method=501";

    #[test]
    fn the_way_of_a_request_is_shown() {
        let svg = printed(&["--trace", HEADER]).unwrap();
        assert!(
            svg.starts_with("<svg") && svg.contains("class=\"e no\""),
            "{svg}"
        );
        let page = printed(&["--html", "--trace", HEADER]).unwrap();
        assert!(page.starts_with("<!doctype html>") && page.contains(&svg));
        let line = format!("sluice-resource-trace: {HEADER}");
        let steps = printed(&["--json", "--trace", &line]).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&steps).unwrap(),
            json!([
                {"decision": "service_available?", "answer": "yes"},
                {"decision": "known_method?", "answer": "no"},
                {"handler": "handle_unknown_method", "status": 501},
            ])
        );
        let error = printed(&["--trace", "nonsense"]).unwrap_err().to_string();
        assert!(error.contains("sluice-resource-trace"), "{error}");
        for wrong in [&["--html"][..], &["--json", "--html", "--trace", "x"]] {
            assert!(Line::try_parse_from(["graph"].iter().chain(wrong)).is_err());
        }
    }
}
