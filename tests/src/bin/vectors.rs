//! `vectors [--deviations FILE] DIR…`: runs the test vectors under `DIR/gen_api` and `DIR/rest`.
//!
//! Prints what fails with what was expected and got, and what deviates on purpose (by id, with the
//! reason that `docs/deviations.json` gives, for `rest` `docs/deviations-rest.json`: ids are those
//! of one folder), and the counts of each folder. The last line is `N passed, N failed, N skipped`, of all
//! folders together; deviations count as skipped there. Ends with 1 if anything else fails.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sluice_e2e::vectors::{Counts, Deviations, Report, load, run};
use sluice_e2e::{Error, Result};

#[expect(clippy::print_stderr, reason = "this is a program for people")]
#[tokio::main]
async fn main() -> ExitCode {
    match all().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("vectors: {error}");
            ExitCode::from(2)
        }
    }
}

#[expect(clippy::print_stdout, reason = "this is a program for people")]
async fn all() -> Result<bool> {
    let (deviations, folders) = arguments()?;
    let mut all = Counts::default();
    for kind in KINDS {
        let mut report = Report::new(Deviations::load(&deviations_of(&deviations, kind))?);
        for file in files(&folders, kind)? {
            let vectors = load(&file)?;
            let count = vectors.len();
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            if !run(&name, vectors, &mut report).await {
                report.skip(&file, count);
            }
        }
        for line in report.lines() {
            println!("{line}");
        }
        println!("{}", report.counts().of_folder(kind));
        all += report.counts();
    }
    println!("{}", all.in_all());
    Ok(all.failed == 0)
}

/// The folders of vectors.
const KINDS: [&str; 2] = ["gen_api", "rest"];

/// `x.json` for `gen_api`, `x-rest.json` for `rest`.
fn deviations_of(file: &Path, kind: &str) -> PathBuf {
    if kind == "gen_api" {
        return file.to_owned();
    }
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!("{stem}-{kind}.json"))
}

fn arguments() -> Result<(PathBuf, Vec<PathBuf>)> {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/deviations.json");
    let (mut deviations, mut folders) = (PathBuf::from(own), Vec::new());
    let mut arguments = std::env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--deviations" {
            let file = arguments.next();
            deviations = file
                .ok_or_else(|| Error::new("--deviations needs a file"))?
                .into();
        } else {
            folders.push(argument.into());
        }
    }
    if folders.is_empty() {
        return Err(Error::new("usage: vectors [--deviations FILE] DIR…"));
    }
    Ok((deviations, folders))
}

/// All files of vectors of one kind, in order.
fn files(folders: &[PathBuf], kind: &str) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for folder in folders {
        if !KINDS.iter().any(|kind| folder.join(kind).is_dir()) {
            let text = format!("{}: no folder gen_api or rest", folder.display());
            return Err(Error::new(text));
        }
        all.extend(json_files(&folder.join(kind))?);
    }
    Ok(all)
}

fn json_files(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let because = |e| Error::because(folder.display(), e);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(because)? {
        let path = entry.map_err(because)?.path();
        if path.extension().is_some_and(|ext| ext == "json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
