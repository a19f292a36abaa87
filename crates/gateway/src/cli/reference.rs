//! `carillon settings`: the reference of all settings.

use clap::{Args, ValueEnum};

use crate::settings::reference;

/// Print every setting with its default, as a file to begin with or as a document
#[derive(Debug, Args)]
#[command(after_help = "Example: carillon settings toml > carillon.toml")]
pub(super) struct Reference {
    /// What to print
    #[arg(value_enum)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// A settings file in which every setting is a remark
    Toml,
    /// docs/configuration.md
    Markdown,
}

impl Reference {
    pub(super) fn write(&self) -> String {
        let document = match self.format {
            Format::Toml => reference::toml(),
            Format::Markdown => reference::markdown(),
        };
        document.trim_end().to_owned()
    }
}
