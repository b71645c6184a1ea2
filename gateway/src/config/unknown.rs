//! Names that are none of ours: mistakes in the file, warnings in the environment.

use toml::de::{DeTable, DeValue};

use super::mistake::{Mistake, Origin};
use super::reader::{File, Reader};
use super::section::SectionInfo;
use super::source::ENV_PREFIX;
use super::suggest::{closest, did_you_mean};
use super::{api_key, function, limit};

/// Variables that the command line reads; see `docs/cli.md`.
pub(crate) const CLI_VARIABLES: [&str; 5] = [
    "SLUICE_CONFIG",
    "SLUICE_URL",
    "SLUICE_ADMIN_URL",
    "SLUICE_ADMIN_TOKEN",
    "SLUICE_TOKEN",
];

/// Reports all names that `sections` do not have.
pub(super) fn check(reader: &mut Reader<'_>, sections: &[SectionInfo]) {
    if let Some(file) = reader.file {
        let mistakes = file_mistakes(file, sections);
        reader.mistakes.extend(mistakes);
    }
    let warnings = env_warnings(reader, sections);
    reader.warnings.extend(warnings);
}

fn file_mistakes(file: File<'_>, sections: &[SectionInfo]) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for (key, value) in file.table.iter() {
        let name = key.get_ref().as_ref();
        let mut report = |message: String| {
            let origin = file.text.origin(key.span().start);
            mistakes.push(Mistake::new(origin, name, message));
        };
        match (sections.iter().find(|s| s.name == name), value.get_ref()) {
            (Some(section), DeValue::Table(table)) => {
                mistakes.extend(section_mistakes(file, section, table, sections));
            }
            (Some(_), _) => report(format!("expected the section [{name}], a table")),
            (None, _) if [function::KEY, limit::KEY, api_key::KEY].contains(&name) => {}
            (None, _) => report(unknown_section(name, sections)),
        }
    }
    mistakes
}

fn unknown_section(name: &str, sections: &[SectionInfo]) -> String {
    if let Some(section) = section_of(name, sections) {
        return format!("is an option of {section}: move it below that header");
    }
    let names = sections
        .iter()
        .map(|s| s.name)
        .chain([function::KEY, limit::KEY, api_key::KEY]);
    let all: Vec<&str> = names.clone().collect();
    format!(
        "unknown section{}; there are {}",
        did_you_mean(name, names),
        all.join(", ")
    )
}

fn section_of(name: &str, sections: &[SectionInfo]) -> Option<String> {
    let has = |s: &&SectionInfo| s.options.iter().any(|o| o.file_names().any(|n| n == name));
    let found: Vec<String> = sections
        .iter()
        .filter(has)
        .map(|s| format!("[{}]", s.name))
        .collect();
    (!found.is_empty()).then(|| found.join(" or "))
}

fn section_mistakes(
    file: File<'_>,
    section: &SectionInfo,
    table: &DeTable<'_>,
    sections: &[SectionInfo],
) -> Vec<Mistake> {
    let known: Vec<String> = section
        .options
        .iter()
        .flat_map(|o| o.file_names())
        .collect();
    let mut mistakes = Vec::new();
    for (key, _) in table.iter() {
        let name = key.get_ref().as_ref();
        if known.iter().any(|k| k == name) {
            continue;
        }
        let near = closest(name, known.iter().map(String::as_str));
        let message = match (near, section_of(name, sections)) {
            (_, Some(other)) => format!("unknown option; it belongs to {other}"),
            (Some(near), None) => format!("unknown option (did you mean {near}?)"),
            (None, None) => format!(
                "unknown option; [{}] has {}",
                section.name,
                known.join(", ")
            ),
        };
        mistakes.push(Mistake::new(
            file.text.origin(key.span().start),
            format!("{}.{name}", section.name),
            message,
        ));
    }
    mistakes
}

// Only warnings: the names of a Kubernetes service called `sluice` look just like ours.
fn env_warnings(reader: &Reader<'_>, sections: &[SectionInfo]) -> Vec<Mistake> {
    // Compared without the part that all share, which would make all look alike.
    let rest = |name: &str| name.trim_start_matches(ENV_PREFIX).to_owned();
    let known: Vec<String> = sections
        .iter()
        .flat_map(|s| &s.options)
        .flat_map(|o| o.env_names())
        .chain(CLI_VARIABLES.map(str::to_owned))
        .map(|name| rest(&name))
        .collect();
    reader
        .env
        .names()
        .filter(|name| !known.contains(&rest(name)))
        .map(|name| {
            let hint = closest(&rest(name), known.iter().map(String::as_str))
                .map(|near| format!(" (did you mean {ENV_PREFIX}{near}?)"))
                .unwrap_or_default();
            let message = format!("no option has this name{hint}; it is ignored");
            Mistake::new(Origin::Env(name.to_owned()), "", message)
        })
        .collect()
}
