//! From arguments to pages: files, what is in directories, addresses, and the bundled samples.
//!
//! A page that can't be used is kept with its problem, so that the others are still processed and the report is whole.

use crate::args::Args;
use crate::progress::Reading;
use crate::shape::Shape;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use url::Url;

/// A page larger than this is refused before it is read: the engine's own limit is lower.
pub(crate) const MAX_PAGE_BYTES: u64 = 32 * 1024 * 1024;

/// A page to work on.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// As the caller named it.
    pub(crate) label: String,
    pub(crate) shape: Arc<Shape>,
    pub(crate) place: Place,
}

/// Where the page is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// A file: its `file:` address, the hash of its bytes, and the address it was published at, if known.
    File { path: PathBuf, url: Url, sha256: String, published: Option<Url> },
    /// An `http` or `https` address.
    Web { url: Url },
    /// Nowhere that can be used, and what to do about it.
    Unusable { problem: String },
}

impl Source {
    /// The address the engine is given.
    pub(crate) fn url(&self) -> Option<&Url> {
        match &self.place {
            Place::File { url, .. } | Place::Web { url } => Some(url),
            Place::Unusable { .. } => None,
        }
    }
}

/// One line of `pages/samples.json`.
#[derive(Debug, Deserialize)]
struct Sample {
    file: String,
    #[serde(rename = "type")]
    kind: String,
    url: String,
}

/// The folder of the bundled sample pages.
pub(crate) fn samples_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("pages")
}

/// The pages of this call, in order, each once.
///
/// # Errors
/// What is wrong with the call as a whole: no shape for the caller's own pages, samples missing.
pub(crate) fn collect(args: &Args, shape: Option<Arc<Shape>>) -> Result<Vec<Source>> {
    let mut reading = Reading::new();
    if args.pages.is_empty() {
        return samples(shape.as_ref(), &mut reading);
    }
    let Some(shape) = shape else {
        bail!("say what to extract: --type recipe, product, article or table, or --schema FILE with a JSON Schema");
    };
    let mut sources = Vec::new();
    for page in &args.pages {
        let path = Path::new(page);
        if let Some(address) = page.to_str().filter(|page| page.contains("://")) {
            sources.push(Source { label: shown(address), shape: shape.clone(), place: web(address, &mut reading) });
        } else if path.is_dir() {
            directory(path, &shape, &mut sources, &mut reading);
        } else {
            let label = path.display().to_string();
            sources.push(Source { label, shape: shape.clone(), place: file(path, None, &mut reading) });
        }
    }
    Ok(distinct(sources))
}

/// Without repetitions: a page named twice is worked on once.
fn distinct(sources: Vec<Source>) -> Vec<Source> {
    let mut seen = std::collections::HashSet::new();
    sources.into_iter().filter(|source| source.url().is_none_or(|url| seen.insert(url.clone()))).collect()
}

fn samples(shape: Option<&Arc<Shape>>, reading: &mut Reading) -> Result<Vec<Source>> {
    let dir = samples_dir();
    let list = std::fs::read(dir.join("samples.json")).with_context(|| {
        format!("the sample pages are not in {}: run from the repository, or name pages of your own", dir.display())
    })?;
    let list: Vec<Sample> = serde_json::from_slice(&list).context("samples.json can't be read")?;
    let mut sources = Vec::new();
    for sample in list {
        let own = Shape::builtin(&sample.kind)?;
        if shape.is_some_and(|wanted| wanted.name != own.name) {
            continue;
        }
        let published = Url::parse(&sample.url).context("samples.json can't be read")?;
        let place = file(&dir.join(&sample.file), Some(published), reading);
        sources.push(Source { label: sample.file, shape: own, place });
    }
    if sources.is_empty() {
        bail!("the sample pages fit the built-in types only: name pages of your own to use --schema");
    }
    Ok(sources)
}

/// An address for terminals, logs and reports that are passed on: without user, password, query and fragment, which may
/// hold secrets. The results of `--format json` have it whole.
fn shown(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    if Url::parse(address).is_err() {
        // Nobody can tell its parts.
        return format!("{scheme}://…");
    }
    let (authority, path) = rest.split_at(rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (path, more) = path.split_at(path.find(['?', '#']).unwrap_or(path.len()));
    format!("{scheme}://{host}{path}{}", if more.is_empty() { "" } else { "?…" })
}

fn web(text: &str, reading: &mut Reading) -> Place {
    let url = match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => url,
        Ok(url) if url.scheme() == "file" => {
            return match url.to_file_path() {
                Ok(path) => file(&path, None, reading),
                Err(()) => unusable("this file address names no file here: give a path"),
            };
        }
        _ => return unusable("not an address that can be fetched: give http://… or https://…"),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return unusable("the address holds a user name or a password, which are never stored or sent: leave them out");
    }
    if url.as_str().len() > 2048 {
        return unusable("the address is longer than 2048 characters: shorten it, or save the page and give the file");
    }
    Place::Web { url }
}

/// Every page below `dir`, in name order. Hidden folders and links to folders are left out: links can go in circles.
fn directory(dir: &Path, shape: &Arc<Shape>, sources: &mut Vec<Source>, reading: &mut Reading) {
    let before = sources.len();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let listed = std::fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = match listed {
            Ok(entries) => entries,
            Err(error) => {
                let place = unusable(&format!("can't be listed ({}): check its permissions", reason(&error)));
                sources.push(Source { label: folder.display().to_string(), shape: shape.clone(), place });
                continue;
            }
        };
        entries.sort_by_key(std::fs::DirEntry::file_name);
        let mut inner = Vec::new();
        for entry in entries {
            let path = entry.path();
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if !hidden {
                    inner.push(path);
                }
            } else if is_page(&path) {
                let place = file(&path, None, reading);
                sources.push(Source { label: path.display().to_string(), shape: shape.clone(), place });
            }
        }
        folders.extend(inner.into_iter().rev());
    }
    if sources.len() == before {
        let place = unusable("no .html, .htm or .xhtml file in this directory: name the files themselves");
        sources.push(Source { label: dir.display().to_string(), shape: shape.clone(), place });
    }
}

fn is_page(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    ["html", "htm", "xhtml"].iter().any(|page| extension.eq_ignore_ascii_case(page))
}

fn file(path: &Path, published: Option<Url>, reading: &mut Reading) -> Place {
    match fingerprint(path, reading) {
        Ok((path, sha256)) => match Url::from_file_path(&path) {
            Ok(url) if url.as_str().len() <= 2048 => Place::File { path, url, sha256, published },
            _ => unusable("the path is too long for an address (2048 characters): move the file"),
        },
        Err(problem) => Place::Unusable { problem },
    }
}

fn fingerprint(path: &Path, reading: &mut Reading) -> Result<(PathBuf, String), String> {
    let io = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => "no such file: check the path".to_owned(),
        io::ErrorKind::PermissionDenied => "no permission to read this file: change its mode or owner".to_owned(),
        _ => format!("can't be read ({})", reason(&error)),
    };
    let path = std::fs::canonicalize(path).map_err(io)?;
    let meta = std::fs::metadata(&path).map_err(io)?;
    if !meta.is_file() {
        return Err("not a file or a directory: give a page's file".to_owned());
    }
    if meta.len() > MAX_PAGE_BYTES {
        return Err(format!(
            "the page has {} MiB, more than the {} MiB that one page may have: cut it or split it",
            meta.len() / (1024 * 1024),
            MAX_PAGE_BYTES / (1024 * 1024)
        ));
    }
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(&path).map_err(io)?, &mut Hashing(&mut hasher)).map_err(io)?;
    reading.file(meta.len());
    Ok((path, hex(&hasher.finalize())))
}

/// Lets bytes be copied into a hash.
struct Hashing<'h>(&'h mut Sha256);

impl io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

fn unusable(problem: &str) -> Place {
    Place::Unusable { problem: problem.to_owned() }
}

fn reason(error: &io::Error) -> String {
    error.kind().to_string()
}
