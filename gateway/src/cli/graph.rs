//! `sluice graph`: the graph that resources decide by, as a picture.

use sluice_worker::resource::graph;

use super::{Exit, Failure, Terminal};

/// Arguments of `sluice graph`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// In which language.
    #[arg(long, value_enum, default_value_t = Format::Svg)]
    format: Format,
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
    let text = match args.format {
        Format::Svg => graph::svg(),
        Format::Dot => graph::dot(),
        Format::Mermaid => graph::mermaid(),
    };
    write!(terminal.out, "{text}")?;
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Output;
    use super::*;

    fn printed(format: Format) -> String {
        let mut output = Output::default();
        run(&Args { format }, &mut output.terminal()).unwrap();
        output.out()
    }

    #[test]
    fn the_picture_in_the_docs_is_the_one_that_is_printed() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/resource-graph.svg");
        let kept = std::fs::read_to_string(path).unwrap();
        assert!(
            kept == printed(Format::Svg),
            "docs/resource-graph.svg is not what `sluice graph` prints"
        );
        assert!(printed(Format::Dot).starts_with("digraph"));
        assert!(printed(Format::Mermaid).contains("flowchart"));
    }
}
