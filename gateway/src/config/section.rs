//! One section of the configuration: each of its options is declared once.

use std::fmt;

use super::kind::Kind;
use super::reader::Reader;
use super::source::ENV_PREFIX;

/// What the reference says of one option.
#[derive(Debug, Clone)]
pub(crate) struct OptionInfo {
    /// `header_timeout_ms`
    pub(crate) name: String,
    /// `SLUICE_HTTP_HEADER_TIMEOUT_MS`
    pub(crate) env: String,
    /// What it takes.
    pub(crate) kind: String,
    /// In TOML; `None`: not set.
    pub(crate) default: Option<String>,
    /// What it does, as Markdown.
    pub(crate) doc: String,
    /// Whether `<name>_file` and `<env>_FILE` exist too.
    pub(crate) secret: bool,
}

impl OptionInfo {
    pub(crate) fn of<K: Kind>(
        section: &str,
        field: &str,
        doc: &str,
        kind: &K,
        default: &K::Value,
    ) -> Self {
        let name = option_name(field, kind);
        Self {
            env: env_name(section, &name),
            name,
            kind: kind.describe(),
            default: kind.show(default),
            doc: doc.trim().to_owned(),
            secret: K::SECRET,
        }
    }

    /// The names that stand in a file: the option, and for a secret the path of its file.
    pub(crate) fn file_names(&self) -> impl Iterator<Item = String> {
        let path = self.secret.then(|| format!("{}_file", self.name));
        std::iter::once(self.name.clone()).chain(path)
    }

    /// The names that stand in the environment.
    pub(crate) fn env_names(&self) -> impl Iterator<Item = String> {
        let path = self.secret.then(|| format!("{}_FILE", self.env));
        std::iter::once(self.env.clone()).chain(path)
    }
}

/// The option's name: the field's, and the unit.
pub(crate) fn option_name<K: Kind>(field: &str, _: &K) -> String {
    format!("{field}{}", K::SUFFIX)
}

/// The environment variable of an option.
pub(crate) fn env_name(section: &str, option: &str) -> String {
    format!("{ENV_PREFIX}{section}_{option}").to_ascii_uppercase()
}

/// What the reference says of one section.
#[derive(Debug, Clone)]
pub(crate) struct SectionInfo {
    /// `http`
    pub(crate) name: &'static str,
    /// What it is about.
    pub(crate) doc: String,
    /// In the order of the reference.
    pub(crate) options: Vec<OptionInfo>,
}

/// A section, as the macro [`section!`] makes it.
pub(crate) trait Section: Default {
    /// What the reference says of it.
    fn info() -> SectionInfo;
    /// Its options as they run, secrets masked.
    fn running(&self) -> Running;
    /// Reads it; options that are absent or wrong have their default.
    fn read(reader: &mut Reader<'_>) -> Self;
}

/// A section as it runs: by option its value, and whether that is the default.
pub(crate) type Running = (&'static str, Vec<(String, serde_json::Value, bool)>);

/// One option of it.
pub(crate) fn running_option<K: Kind>(
    field: &str,
    kind: K,
    value: &K::Value,
    default: &K::Value,
) -> (String, serde_json::Value, bool)
where
    K::Value: PartialEq,
{
    let name = option_name(field, &kind);
    (name, kind.json(value), value == default)
}

/// Prints an option's value for debugging as its kind wants it: secrets masked.
pub(crate) struct Shown<'a, K: Kind>(pub(crate) K, pub(crate) &'a K::Value);

impl<K: Kind> fmt::Debug for Shown<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug(self.1, f)
    }
}

/// Declares a section: `field: type = default, kind;` for each option, its documentation before
/// it. The struct, its defaults, its reading and its reference come from that.
macro_rules! section {
    (
        $(#[doc = $doc:literal])+
        [$section:literal] $name:ident {
            $(
                $(#[doc = $option_doc:literal])+
                $field:ident: $type:ty = $default:expr, $kind:expr;
            )+
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, PartialEq)]
        pub struct $name {
            $( $(#[doc = $option_doc])+ pub $field: $type, )+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )+ }
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    $( .field(
                        stringify!($field),
                        &crate::config::section::Shown($kind, &self.$field),
                    ) )+
                    .finish()
            }
        }

        impl crate::config::section::Section for $name {
            fn info() -> crate::config::section::SectionInfo {
                let default = Self::default();
                crate::config::section::SectionInfo {
                    name: $section,
                    doc: [$($doc),+].concat().trim().to_owned(),
                    options: vec![ $( crate::config::section::OptionInfo::of(
                        $section,
                        stringify!($field),
                        concat!($($option_doc),+),
                        &$kind,
                        &default.$field,
                    ), )+ ],
                }
            }

            fn running(&self) -> crate::config::section::Running {
                let default = Self::default();
                let options = vec![ $( crate::config::section::running_option(
                    stringify!($field),
                    $kind,
                    &self.$field,
                    &default.$field,
                ), )+ ];
                ($section, options)
            }

            fn read(reader: &mut crate::config::reader::Reader<'_>) -> Self {
                let default = Self::default();
                Self {
                    $( $field: reader
                        .option($section, stringify!($field), &$kind)
                        .unwrap_or(default.$field), )+
                }
            }
        }
    };
}
pub(crate) use section;
