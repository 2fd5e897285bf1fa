//! What can be asked for on the command line.

use clap::{Parser, ValueEnum};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The built-in types. Each is a Rust type of the engine; `--schema` takes any other shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Type {
    Recipe,
    Product,
    Article,
    Table,
}

impl Type {
    /// The engine's name for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Recipe => "recipe",
            Self::Product => "product",
            Self::Article => "article",
            Self::Table => "table",
        }
    }
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For reading in a terminal
    Table,
    /// One array, one object per page
    Json,
    /// One object per page and line
    Jsonl,
    /// One self-contained page: click a value to see its quote in the source
    Html,
}

/// Turns pages into validated records with evidence, offline and with no key.
#[derive(Debug, Parser)]
#[command(
    name = "extract",
    after_help = "\
Each page is a job in the database: an interrupted run resumes when the same command is run again, and pages that are
done already are read from the database. A changed file or another schema is a new job.

Exit codes:
  0    every page gave data that fits the schema
  1    some pages gave none, or only a part (a required field is missing, the page is cut off);
       the others are done, the reasons are shown
  2    the call is wrong: an option or the schema
  3    the database or the output can't be used
  130  interrupted; nothing is lost, run the same command again"
)]
pub(crate) struct Args {
    /// Pages: files, directories (every .html, .htm and .xhtml in them) and http(s) addresses. Without any, the bundled
    /// sample pages
    #[arg(value_name = "PAGE.html | URL | directory")]
    pub(crate) pages: Vec<OsString>,
    /// The shape of one record: a file with a JSON Schema (draft 2020-12)
    #[arg(long, value_name = "FILE", conflicts_with = "kind")]
    pub(crate) schema: Option<PathBuf>,
    /// The shape of one record: a built-in type
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: Option<Type>,
    /// Where jobs and results are kept; made if missing
    #[arg(long, value_name = "FILE", default_value = "atlas.db")]
    pub(crate) db: PathBuf,
    /// How results are written
    #[arg(long, default_value = "table")]
    pub(crate) format: Format,
    /// Where results are written, instead of to standard output (html: atlas-report.html)
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Pages at a time; default one per core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) concurrency: Option<u16>,
    /// Seconds for one page
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=300))]
    pub(crate) timeout: u32,
    /// Fetch from private addresses too, such as your own machine
    #[arg(long)]
    pub(crate) allow_private: bool,
    /// Extract again what is done already
    #[arg(long)]
    pub(crate) fresh: bool,
}

impl Args {
    /// The file that the results go to; `None` for standard output.
    pub(crate) fn target(&self) -> Option<&Path> {
        match (&self.out, self.format) {
            (Some(out), _) => Some(out),
            (None, Format::Html) => Some(Path::new("atlas-report.html")),
            (None, Format::Table | Format::Json | Format::Jsonl) => None,
        }
    }
}
