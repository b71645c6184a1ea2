//! `sluice new`: a project to start from.

use std::path::{Path, PathBuf};

use super::{Exit, Failure, Terminal};

const MANIFEST: &str = include_str!("new/Cargo.toml.txt");
const MAIN: &str = include_str!("new/main.rs.txt");
const README: &str = include_str!("new/README.md.txt");

/// Arguments of `sluice new`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a worker in Rust: a project that compiles, with a function, a stream and a test.
    Worker {
        /// The name of the project, its folder and its service: a-z, 0-9 and -, a letter first.
        #[arg(value_parser = name)]
        name: String,
        /// Where to make the folder.
        #[arg(long, default_value = ".")]
        into: PathBuf,
        /// Use the SDK of this folder, instead of that of the repository.
        #[arg(long, value_name = "DIR")]
        sdk: Option<PathBuf>,
        /// Print what was made as one JSON object.
        #[arg(long)]
        json: bool,
    },
}

fn name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let starts = text.starts_with(|c: char| c.is_ascii_lowercase());
    if starts && text.chars().all(plain) && text.len() <= 64 && !text.ends_with('-') {
        Ok(text.to_owned())
    } else {
        Err("write a-z, 0-9 and -, a letter first, at most 64 of them".to_owned())
    }
}

/// Makes the project; what is there already stays as it is.
pub(super) fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let Command::Worker {
        name,
        into,
        sdk,
        json,
    } = &args.command;
    let folder = into.join(name);
    let failed = |what: &Path| {
        let what = what.display().to_string();
        move |e: std::io::Error| Failure::Failed(format!("{what}: {e}"))
    };
    std::fs::create_dir_all(into).map_err(failed(into))?;
    // Fails where it exists: nobody's work is written over.
    std::fs::create_dir(&folder).map_err(failed(&folder))?;
    let source = folder.join("src");
    std::fs::create_dir(&source).map_err(failed(&source))?;
    let sdk = sdk_of(sdk.as_deref())?;
    let files = [
        ("Cargo.toml", MANIFEST),
        ("src/main.rs", MAIN),
        ("README.md", README),
        (".gitignore", "/target\n"),
    ];
    for (file, text) in files {
        let path = folder.join(file);
        let text = text.replace("{name}", name).replace("{sdk}", &sdk);
        std::fs::write(&path, text).map_err(failed(&path))?;
    }
    let shown = folder.display();
    if *json {
        let names = files.map(|(file, _)| file);
        let made = serde_json::json!({ "folder": folder, "files": names });
        writeln!(terminal.out, "{made}")?;
        return Ok(Exit::Ok);
    }
    writeln!(terminal.out, "made {shown}\n")?;
    writeln!(
        terminal.out,
        "    sluice dev                  # in one terminal"
    )?;
    writeln!(terminal.out, "    cd {shown} && cargo run     # in another")?;
    writeln!(terminal.out, "    sluice call {name} greet name=Ada")?;
    Ok(Exit::Ok)
}

/// Where the project gets the SDK from, as its manifest says it.
fn sdk_of(folder: Option<&Path>) -> Result<String, Failure> {
    let Some(folder) = folder else {
        let repository = env!("CARGO_PKG_REPOSITORY");
        return Ok(format!("{{ git = {:?} }}", repository));
    };
    let path = folder.canonicalize().map_err(|e| {
        let folder = folder.display();
        Failure::Usage(format!("--sdk {folder}: {e}"))
    })?;
    let text = toml::Value::from(path.display().to_string()).to_string();
    Ok(format!("{{ path = {text} }}"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Output;
    use super::*;

    fn args(into: &Path) -> Args {
        Args {
            command: Command::Worker {
                name: "greeter".to_owned(),
                into: into.to_owned(),
                sdk: None,
                json: false,
            },
        }
    }

    #[test]
    fn nothing_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let mut output = Output::default();
        let exit = run(&args(folder.path()), &mut output.terminal()).unwrap();
        assert_eq!(exit, Exit::Ok);
        let manifest = folder.path().join("greeter/Cargo.toml");
        std::fs::write(&manifest, "mine").unwrap();
        let failure = run(&args(folder.path()), &mut output.terminal()).unwrap_err();
        assert!(failure.to_string().contains("greeter"), "{failure}");
        assert_eq!(std::fs::read_to_string(&manifest).unwrap(), "mine");
    }

    #[test]
    fn names() {
        assert!(name("my-worker2").is_ok());
        for wrong in ["", "../x", "2x", "X", "a b", "a_b", "x-"] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }
}
