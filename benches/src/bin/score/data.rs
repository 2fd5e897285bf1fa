//! Folders: which parts stand where, and the pages in them.
//!
//! A part is known by what it holds, never by its folder's name, so that one part can be given on its own.

use anyhow::{Context, Result, bail};
use flate2::read::GzDecoder;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The parts that hold something this program can score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Recipe pages by host, each with a label file.
    Recipes,
    /// Pages with one labelled table each.
    Tables,
    /// News and blog pages with title, author and date.
    Article,
    /// Pages with a publication date.
    Dates,
}

impl Kind {
    /// The part's name in the output.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Recipes => "recipes",
            Self::Tables => "tables",
            Self::Article => "article",
            Self::Dates => "dates",
        }
    }
}

/// One part and its folder.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    pub(crate) kind: Kind,
    pub(crate) dir: PathBuf,
}

/// Finds the parts in `dir`: the folder itself, or the folders in it, two levels down.
pub(crate) fn discover(dir: &Path) -> Result<Vec<Part>> {
    if !dir.is_dir() {
        bail!("{} is not a folder: give one laid out like the data's README says", dir.display());
    }
    let mut parts = Vec::new();
    look(dir, 2, &mut parts)?;
    parts.sort();
    if parts.is_empty() {
        bail!(
            "{} holds no part that can be scored (recipes, tables, article, dates): each is known by its label files",
            dir.display()
        );
    }
    Ok(parts)
}

fn look(dir: &Path, depth: u8, parts: &mut Vec<Part>) -> Result<()> {
    if let Some(kind) = kind_of(dir)? {
        parts.push(Part { kind, dir: dir.into() });
        return Ok(());
    }
    if depth > 0 {
        for child in entries(dir)?.into_iter().filter(|path| path.is_dir()) {
            look(&child, depth - 1, parts)?;
        }
    }
    Ok(())
}

fn kind_of(dir: &Path) -> Result<Option<Kind>> {
    let labels = dir.join("labels.json");
    if labels.is_file() {
        let first = json(&labels)?.get(0).cloned().unwrap_or_default();
        let labelled = |key| first.get(key).is_some();
        return Ok(match (labelled("file"), labelled("with"), labelled("date")) {
            (true, true, _) => Some(Kind::Article),
            (true, false, true) => Some(Kind::Dates),
            _ => None,
        });
    }
    // The first labelled page in a folder of this folder tells: `HOST/NAME.json` or `2NN/ID.json`.
    for child in entries(dir)?.into_iter().filter(|path| path.is_dir()) {
        let Some(label) = labels_in(&child)?.into_iter().next() else { continue };
        let value = json(&label)?;
        if value.get("ingredients").is_some() {
            return Ok(Some(Kind::Recipes));
        }
        if value.get("tableIndex").is_some() && label.with_extension("csv").is_file() {
            return Ok(Some(Kind::Tables));
        }
    }
    Ok(None)
}

/// The label files `*.json` that have a page beside them, in name order.
pub(crate) fn labels_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let has_page = |path: &PathBuf| path.extension().is_some_and(|e| e == "json") && page_of(path).is_some();
    Ok(entries(dir)?.into_iter().filter(has_page).collect())
}

/// The folders in a folder, in name order.
pub(crate) fn folders_in(dir: &Path) -> Result<Vec<PathBuf>> {
    Ok(entries(dir)?.into_iter().filter(|path| path.is_dir()).collect())
}

fn page_of(label: &Path) -> Option<PathBuf> {
    ["html.gz", "html"].into_iter().map(|extension| label.with_extension(extension)).find(|path| path.is_file())
}

/// The page's bytes beside a label file.
pub(crate) fn page_beside(label: &Path) -> Result<Vec<u8>> {
    page(&page_of(label).with_context(|| format!("{} has no page beside it", label.display()))?)
}

/// A page's bytes, decompressed.
pub(crate) fn page(path: &Path) -> Result<Vec<u8>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    if path.extension().is_none_or(|extension| extension != "gz") {
        return Ok(bytes);
    }
    let mut out = Vec::new();
    GzDecoder::new(&bytes[..]).read_to_end(&mut out).with_context(|| format!("{} is not gzip", path.display()))?;
    Ok(out)
}

/// A JSON file.
pub(crate) fn json(path: &Path) -> Result<serde_json::Value> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is not JSON", path.display()))
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let listed = std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let mut paths = listed.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// A table file: quoted fields, quotes escaped with a backslash, line breaks allowed inside quotes.
pub(crate) fn table(path: &Path) -> Result<Vec<Vec<String>>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut chars) = (false, text.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted => cell.extend(chars.next().map(|c| if c == 'n' { '\n' } else { c })),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            '\r' if !quoted => {}
            c => cell.push(c),
        }
    }
    if !cell.is_empty() || !row.is_empty() {
        row.push(cell);
        rows.push(row);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_keep_quotes_and_line_breaks() {
        let path = std::env::temp_dir().join(format!("atlas-score-{}.csv", std::process::id()));
        std::fs::write(&path, "\"a\",\"say \\\"hi\\\"\"\n\"two\nlines\",\"\"\n").unwrap();
        let rows = table(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(rows, [["a", "say \"hi\""], ["two\nlines", ""]]);
    }
}
